"""What the service says of an image, an execution and its resources, in the words of our outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from .statuses import EXECUTION_UNFINISHED, IMAGE_GONE

MOST_RESOURCES_KEPT = 100
"""How many resources an outcome lists: an execution may touch thousands, and Pulumi's state is rewritten often."""

_ORDER = ("FAILED", "IN_PROGRESS", "SKIPPED", "SUCCESS")


@dataclass(frozen=True)
class Image:
    """An image record (``GetImage``)."""

    state: str
    type: str | None = None
    deprecation_time: str | None = None
    lifecycle_execution_id: str | None = None

    @property
    def deprecation_is_ahead(self) -> bool:
        """Whether it is to be deprecated at a time to come."""
        return self.deprecation_time is not None and self.deprecation_time > str(instant(datetime.now(timezone.utc)))

    @classmethod
    def parse(cls, image: Mapping[str, Any]) -> Image:
        """Read the ``image`` of an answer."""
        return cls(
            state=image["state"]["status"],
            type=image.get("type"),
            deprecation_time=instant(image.get("deprecationTime")),
            lifecycle_execution_id=image.get("lifecycleExecutionId"),
        )


GONE = Image(state=IMAGE_GONE)
"""An image that the service no longer finds."""


@dataclass(frozen=True)
class Execution:
    """A lifecycle execution (``GetLifecycleExecution``)."""

    id: str
    status: str
    reason: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    began: datetime | None = field(default=None, compare=False)
    """When it was started, or ended where it never was, as exactly as the service tells; None if neither."""

    @classmethod
    def parse(cls, execution: Mapping[str, Any]) -> Execution:
        """Read a ``lifecycleExecution`` of an answer."""
        return cls(
            id=execution["lifecycleExecutionId"],
            status=execution["state"]["status"],
            reason=execution["state"].get("reason"),
            start_time=instant(execution.get("startTime")),
            end_time=instant(execution.get("endTime")),
            began=execution.get("startTime") or execution.get("endTime"),
        )

    @property
    def age(self) -> datetime:
        """What to sort executions by, the newest last: one that has neither begun nor ended is the newest."""
        return self.began or datetime.max.replace(tzinfo=timezone.utc)

    def came_after(self, other: Execution) -> bool | None:
        """Whether it is newer than another one; None where the service does not tell."""
        return None if self.began is None or other.began is None else self.began > other.began

    @property
    def unfinished(self) -> bool:
        """Whether it goes on."""
        return self.status in EXECUTION_UNFINISHED


@dataclass(frozen=True)
class Outcome:
    """How a state update went: what the outputs of a resource are made of."""

    client_token: str
    image: Image
    execution: Execution | None = None
    resources: Sequence[dict[str, Any]] = field(default_factory=list)
    more: bool = False
    """Whether the execution has resources that were not read."""

    @property
    def cut(self) -> bool:
        """Whether the outputs list only a part of the execution's resources."""
        return self.more or len(self.resources) > MOST_RESOURCES_KEPT

    def outputs(self) -> dict[str, Any]:
        """The outputs of a state update, every one of them, None where the service told nothing."""
        execution = self.execution
        return {
            "lifecycle_execution_id": execution.id if execution else None,
            "status": execution.status if execution else None,
            "status_reason": execution.reason if execution else None,
            "start_time": execution.start_time if execution else None,
            "end_time": execution.end_time if execution else None,
            "image_state": self.image.state,
            "deprecation_time": self.image.deprecation_time,
            "resources": kept_resources(self.resources),
            "client_token": self.client_token,
        }


def parse_resource(resource: Mapping[str, Any]) -> dict[str, Any]:
    """One entry of ``ListLifecycleExecutionResources`` in the words of the output ``resources``."""
    state = resource.get("state", {})
    return {
        "account_id": resource.get("accountId"),
        "region": resource.get("region"),
        "resource_id": resource.get("resourceId"),
        "action": resource.get("action", {}).get("name"),
        "status": state.get("status"),
        "reason": state.get("reason"),
        "snapshots": [_snapshot(snapshot) for snapshot in resource.get("snapshots", [])],
        "image_uris": list(resource.get("imageUris", [])),
    }


def complete_resource(kept: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of the output ``resources`` with all its keys, whatever has become of those that are None."""
    snapshots = [{**_snapshot({}), **snapshot} for snapshot in kept.get("snapshots", [])]
    return {**parse_resource({}), **kept, "snapshots": snapshots}


def _snapshot(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    state = snapshot.get("state", {})
    return {"snapshot_id": snapshot.get("snapshotId"), "status": state.get("status"), "reason": state.get("reason")}


def kept_resources(resources: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most 100 resources, failed ones first, in an order that does not depend on the service's."""
    known = {status: place for place, status in enumerate(_ORDER)}
    ordered = sorted(resources, key=lambda r: (known.get(r["status"], 0), str(r["region"]), str(r["resource_id"])))
    return ordered[:MOST_RESOURCES_KEPT]


def how_to_read_all(resource_arn: str, outcome: Outcome) -> str:
    """For a person: that the outputs list only a part of the resources, and what lists all of them."""
    assert outcome.execution is not None
    return (
        f"the output `resources` holds only {MOST_RESOURCES_KEPT} of the resources; all are listed by: "
        f"aws imagebuilder list-lifecycle-execution-resources --region {resource_arn.split(':')[3]} "
        f"--lifecycle-execution-id {outcome.execution.id} --parent-resource-id {resource_arn}"
    )


def instant(value: datetime | None) -> str | None:
    """A time of the service as our outputs write it: RFC 3339 in UTC, whole seconds."""
    if value is None:
        return None
    return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
