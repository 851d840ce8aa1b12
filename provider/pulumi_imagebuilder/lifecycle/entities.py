"""Represent the service's images, executions and resources as our outputs do; its statuses and limits as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

EXECUTION_UNFINISHED = frozenset({"PENDING", "IN_PROGRESS", "CANCELLING"})
EXECUTION_CANCELLABLE = frozenset({"PENDING", "IN_PROGRESS"})
EXECUTION_SUCCEEDED = frozenset({"SUCCESS"})
EXECUTION_UNSUCCESSFUL = frozenset({"FAILED", "CANCELLED"})

ACTION = {"AVAILABLE": "AVAILABLE", "DEPRECATED": "DEPRECATE", "DISABLED": "DISABLE", "DELETED": "DELETE"}
"""What an execution does to an image and its resources, by the state that was asked for."""

RESOURCE_SUCCEEDED = frozenset({"SUCCESS"})
RESOURCE_DONE = frozenset({"SUCCESS", "SKIPPED", "FAILED"})

IMAGE_UNSTABLE = frozenset({"PENDING", "CREATING", "BUILDING", "TESTING", "DISTRIBUTING", "INTEGRATING"})
"""States of an image that is being built: until it is built the service refuses to change its state."""

IMAGE_GONE = "DELETED"
"""The state of an image record that no longer exists: some answers still contain it, most say it is not found."""

RESOURCE_IN_USE = "ResourceInUseException"
"""The error code for an image that an execution has in use."""

INVALID_REQUEST = "InvalidRequestException"
"""The error code for a state, a time or a role that the service does not accept; also for what does not exist."""

MAY_BE_ABSENT = frozenset({"ResourceNotFoundException", INVALID_REQUEST})
"""The error codes for an image or an execution that does not exist, or not any more."""

IMAGE_LAG = 3.5
"""Seconds for which a read of an image may lag behind a write."""

IMAGE_LAG_AFTER_END = 5.0
"""The same, counted from the end time of an execution, which has whole seconds."""

CONSISTENCY_WINDOW = 30.0
"""Seconds for which a read of an execution may lag behind its start, and a read of an image behind an earlier run."""

SETTLED_AFTER = timedelta(minutes=1)
"""An image that was read this long after an execution ended shows its effect; reading it again costs little."""

PAGE_SIZE = 100
"""The most entries that Image Builder puts on one page."""

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
        """Read the ``image`` of a response, or a summary of it."""
        return cls(
            state=image["state"]["status"],
            type=image.get("type"),
            deprecation_time=image.get("deprecationTime"),
            lifecycle_execution_id=image.get("lifecycleExecutionId"),
            amis=tuple(ami for ami in (image.get("outputResources") or {}).get("amis") or () if ami.get("image")),
        )

    def deprecation_is_ahead(self, now: datetime) -> bool:
        """Return whether the image has a deprecation time that has not come."""
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
        """Read a ``lifecycleExecution`` of a response."""
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
    def sort_time(self) -> datetime:
        """The key to sort by, newest last: an execution that has neither started nor ended is the newest."""
        return self.began or datetime.max.replace(tzinfo=UTC)

    def came_after(self, other: Execution) -> bool | None:
        """Return whether it is newer than another one; None where the service gives no time."""
        return None if self.began is None or other.began is None else self.began > other.began

    @property
    def unfinished(self) -> bool:
        """Whether it has not ended."""
        return self.status in EXECUTION_UNFINISHED


def newest(executions: Sequence[Execution]) -> Execution | None:
    """Return the newest execution; None if there are none."""
    return max(executions, key=lambda execution: execution.sort_time, default=None)


@dataclass(frozen=True)
class ExecutionSnapshot:
    """An execution and the resources under the image, as one call returned them."""

    status: str
    reason: str | None
    resources: list[dict[str, Any]]
    next_token: str | None
    """The token of the next page of resources; None if these are all."""
    at: datetime
    """When it was taken, by the service's clock."""
    started: datetime | None = None
    ended: datetime | None = None
    """When the first of the resources began to change, and the last one ended; None if the service does not say."""

    def seconds_since(self, then: datetime | None) -> float:
        """Return the seconds from a time of the service's to this snapshot; 0 if that was later, or is not known."""
        return max(0.0, (self.at - then).total_seconds()) if then else 0.0


@dataclass(frozen=True)
class Outcome:
    """The result of a state update, from which a resource's outputs are made."""

    client_token: str
    image: Image
    execution: Execution | None = None
    resources: Sequence[dict[str, Any]] = field(default_factory=list)

    @property
    def skipped(self) -> bool:
        """Whether exclusion rules kept a resource: then a deletion keeps the image record too."""
        return any(resource["status"] == "SKIPPED" for resource in self.resources)

    @property
    def truncated(self) -> bool:
        """Whether the outputs list only a part of the execution's resources."""
        return len(self.resources) > MAX_RESOURCES


def parse_resource(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return one entry of ``ListLifecycleExecutionResources`` as an entry of the output ``resources``."""
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
    """Format a time for an output: RFC 3339 in UTC, whole seconds."""
    if value is None:
        return None
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
