"""The service's images, executions and resources in the words of our outputs, and its statuses as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

EXECUTION_UNFINISHED = frozenset({"PENDING", "IN_PROGRESS", "CANCELLING"})
EXECUTION_CANCELLABLE = frozenset({"PENDING", "IN_PROGRESS"})
EXECUTION_SUCCEEDED = frozenset({"SUCCESS"})
EXECUTION_UNSUCCESSFUL = frozenset({"FAILED", "CANCELLED"})

ACTION = {"AVAILABLE": "AVAILABLE", "DEPRECATED": "DEPRECATE", "DISABLED": "DISABLE", "DELETED": "DELETE"}
"""What an execution does to an image and its resources, by the state that was asked for."""

RESOURCE_SUCCEEDED = frozenset({"SUCCESS"})
RESOURCE_UNFINISHED = frozenset({"IN_PROGRESS"})
RESOURCE_DONE = frozenset({"SUCCESS", "SKIPPED", "FAILED"})

IMAGE_STABLE = frozenset({"AVAILABLE", "DEPRECATED", "DISABLED", "FAILED", "CANCELLED"})
IMAGE_UNSTABLE = frozenset({"PENDING", "CREATING", "BUILDING", "TESTING", "DISTRIBUTING", "INTEGRATING"})
"""Of an image that is being built: the service refuses to change its state until that has ended."""

IMAGE_GONE = "DELETED"
"""The state of an image record that no longer exists: some answers still contain it, most say it is not found."""

MAX_RESOURCES = 100
"""How many resources an output lists: an execution may touch thousands, and Pulumi rewrites its state often."""

_ORDER = ("FAILED", "IN_PROGRESS", "SKIPPED", "SUCCESS")


@dataclass(frozen=True)
class Image:
    """An image record (``GetImage``, ``ListImageBuildVersions``)."""

    state: str
    type: str | None = None
    deprecation_time: datetime | None = None
    lifecycle_execution_id: str | None = None
    amis: tuple[Mapping[str, Any], ...] = field(default=(), repr=False, compare=False)
    """The AMIs that it names, as the service has them: ``region``, ``image``, ``accountId``."""

    @classmethod
    def parse(cls, image: Mapping[str, Any]) -> Image:
        """Read the ``image`` of an answer, or a summary of it."""
        return cls(
            state=image["state"]["status"],
            type=image.get("type"),
            deprecation_time=image.get("deprecationTime"),
            lifecycle_execution_id=image.get("lifecycleExecutionId"),
            amis=tuple(ami for ami in (image.get("outputResources") or {}).get("amis") or () if ami.get("image")),
        )

    def deprecation_is_ahead(self, now: datetime) -> bool:
        """Return whether the image is to be deprecated at a time to come."""
        return self.deprecation_time is not None and self.deprecation_time > now


GONE = Image(state=IMAGE_GONE)
"""An image that the service no longer finds."""


@dataclass(frozen=True)
class Execution:
    """A lifecycle execution (``GetLifecycleExecution``)."""

    id: str
    status: str
    reason: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    policy_arn: str | None = None
    """The lifecycle policy that runs it; None for a state update."""

    @classmethod
    def parse(cls, execution: Mapping[str, Any]) -> Execution:
        """Read a ``lifecycleExecution`` of an answer."""
        return cls(
            id=execution["lifecycleExecutionId"],
            status=execution["state"]["status"],
            reason=execution["state"].get("reason"),
            started=execution.get("startTime"),
            ended=execution.get("endTime"),
            policy_arn=execution.get("lifecyclePolicyArn"),
        )

    @property
    def began(self) -> datetime | None:
        """When it started, or ended where it never started; None if the service gives neither."""
        return self.started or self.ended

    @property
    def age(self) -> datetime:
        """Sort key, the newest last: an execution that has neither started nor ended is the newest."""
        return self.began or datetime.max.replace(tzinfo=UTC)

    def came_after(self, other: Execution) -> bool | None:
        """Return whether it is newer than another one; None where the service gives no time."""
        return None if self.began is None or other.began is None else self.began > other.began

    @property
    def unfinished(self) -> bool:
        """Whether it has not ended."""
        return self.status in EXECUTION_UNFINISHED


def newest(executions: Sequence[Execution]) -> Execution | None:
    """Return the newest of some executions; None where there are none."""
    return max(executions, key=lambda execution: execution.age, default=None)


@dataclass(frozen=True)
class ExecutionSnapshot:
    """One look at an execution and the resources under the image: what a single call answers."""

    status: str
    reason: str | None
    resources: list[dict[str, Any]]
    next_token: str | None
    """Where the next page of resources begins; None when these are all."""
    at: datetime
    """When it was taken, by the service's clock."""
    started: datetime | None = None
    ended: datetime | None = None
    """When the first of the resources began to change, and the last one ended; None where the service does not say."""

    def seconds_since(self, then: datetime) -> float:
        """Return the seconds from a time of the service's to this snapshot; 0 if it was later."""
        return max(0.0, (self.at - then).total_seconds())


@dataclass(frozen=True)
class Outcome:
    """How a state update went: what the outputs of a resource are made of."""

    client_token: str
    image: Image
    execution: Execution | None = None
    resources: Sequence[dict[str, Any]] = field(default_factory=list)

    @property
    def truncated(self) -> bool:
        """Whether the outputs list only a part of the execution's resources."""
        return len(self.resources) > MAX_RESOURCES


def parse_resource(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Read one entry of ``ListLifecycleExecutionResources`` into the words of the output ``resources``."""
    state = resource.get("state", {})
    return {
        "account_id": resource.get("accountId"),
        "region": resource.get("region"),
        "resource_id": resource.get("resourceId"),
        "action": resource.get("action", {}).get("name"),
        "status": state.get("status"),
        "reason": state.get("reason"),
        "snapshots": [_parse_snapshot(snapshot) for snapshot in resource.get("snapshots", [])],
        "image_uris": list(resource.get("imageUris", [])),
    }


def complete_resource(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of the output ``resources`` with all its keys: Pulumi drops those that are None."""
    snapshots = [{**_parse_snapshot({}), **snapshot} for snapshot in kept.get("snapshots") or []]
    return {**parse_resource({}), **kept, "snapshots": snapshots}


def _parse_snapshot(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    state = snapshot.get("state", {})
    return {"snapshot_id": snapshot.get("snapshotId"), "status": state.get("status"), "reason": state.get("reason")}


def sort_resources(resources: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort resources, failed ones first, in an order that does not depend on the service's."""
    known = {status: place for place, status in enumerate(_ORDER)}
    return sorted(resources, key=lambda r: (known.get(r["status"], 0), str(r["region"]), str(r["resource_id"])))


def format_time(value: datetime | None) -> str | None:
    """Format a time of the service as our outputs have it: RFC 3339 in UTC, whole seconds."""
    if value is None:
        return None
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
