"""Images and executions as the service shows them, member by member as the service model names them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .entities import STABLE_STATES, Ami, Execution, Image, Impact
from .variants import Variants

Row = Mapping[str, Any]
_ACTIONS = {"AVAILABLE": "AVAILABLE", "DEPRECATED": "DEPRECATE", "DISABLED": "DISABLE", "DELETED": "DELETE"}


class ExecutionSerializer:
    """Shows executions at a time, under the variants that are switched on.

    Args:
        variants: the readings.
        now: the time by which a schedule waits or not.
    """

    def __init__(self, variants: Variants, now: datetime) -> None:
        self._variants, self._now = variants, now

    def state(self, execution: Execution) -> Row:
        """Return a ``LifecycleExecutionState``."""
        waiting = execution.scheduled and execution.status == "PENDING"
        only_in_record = execution.status == "FAILED" and self._variants["failure-reason"] == "image-record"
        return {
            "status": self._variants["schedule-status"] if waiting else execution.status,
            "reason": None if only_in_record else execution.reason,
        }

    def execution(self, execution: Execution) -> Row:
        """Return a ``LifecycleExecution``."""
        # The image record itself is a resource, once the execution has begun.
        found = bool(execution.impacts) or execution.status in {"IN_PROGRESS", "SUCCESS"}
        return {
            "lifecycleExecutionId": execution.id,
            "lifecyclePolicyArn": execution.policy_arn,
            "resourcesImpactedSummary": {"hasImpactedResources": found},
            "state": self.state(execution),
            "startTime": execution.asked_at,
            "endTime": execution.end,
        }

    def image_entries(self, execution: Execution) -> list[Row]:
        """Return the ``LifecycleExecutionResource`` of the image record; none before a schedule's time."""
        if execution.scheduled and (execution.end or self._now) < execution.begins_at:
            return []
        return [
            {
                "accountId": execution.image_arn.split(":")[4],
                "resourceId": execution.image_arn,
                "state": {"status": execution.record_status, "reason": execution.record_reason},
                "action": _action(execution),
                "region": execution.region,
                **self._times(execution.asked_at, execution.end),
            }
        ]

    def resource_entry(self, execution: Execution, impact: Impact) -> Row:
        """Return the ``LifecycleExecutionResource`` of an AMI or a container image."""
        resource = impact.resource
        return {
            "accountId": resource.account,
            "resourceId": resource.id if isinstance(resource, Ami) else resource.uri,
            "state": {"status": impact.status, "reason": impact.reason},
            "action": _action(execution),
            "region": resource.region,
            "snapshots": impact.snapshots,
            "imageUris": [] if isinstance(resource, Ami) else [resource.uri],
            **self._times(impact.start, impact.end),
        }

    def _times(self, start: datetime | None, end: datetime | None) -> Row:
        return {"startTime": start, "endTime": end} if self._variants["resource-times"] == "present" else {}


def _action(execution: Execution) -> Row:
    by = f"The lifecycle policy {execution.policy_arn}" if execution.policy_arn else "StartResourceStateUpdate"
    return {"name": _ACTIONS[execution.target], "reason": f"{by} moves the image to {execution.target}"}


def serialize_image(image: Image) -> Row:
    """Return an ``Image``, or an ``ImageSummary``: the members that are known are in both."""
    regions: dict[str, list[str]] = {}
    for container in image.containers:
        regions.setdefault(container.region, []).append(container.uri)
    outputs = {
        "amis": [
            {"region": ami.region, "image": ami.id, "name": image.label, "accountId": ami.account} for ami in image.amis
        ],
        "containers": [{"region": region, "imageUris": uris} for region, uris in regions.items()],
    }
    return {
        "arn": image.arn,
        "type": image.type,
        "name": image.display_name,
        "version": f"{image.version}/{image.build}",
        "platform": image.platform,
        "osVersion": image.os_version,
        "state": {
            "status": image.state,
            "reason": image.reason,
            "failureContext": image.failure_context if image.state == "FAILED" else None,
        },
        "owner": image.account,
        "dateCreated": _text(image.date_created),
        "outputResources": outputs if image.state in STABLE_STATES or image.state == "DELETED" else None,
        "tags": image.tags,
        "buildType": "USER_INITIATED",
        "imageSource": "CUSTOM",
        "deprecationTime": image.deprecation_time,
        "lifecycleExecutionId": image.lifecycle_execution_id,
    }


def serialize_image_version(image: Image, *, by_name: bool) -> Row:
    """Return an ``ImageVersion``, from its oldest build; or what all versions of a name have in common."""
    return {
        "arn": image.name_arn if by_name else image.version_arn,
        "name": image.display_name,
        "type": image.type,
        "version": None if by_name else image.version,
        "platform": image.platform,
        "osVersion": image.os_version,
        "owner": image.account,
        "dateCreated": _text(image.date_created),
        "buildType": "USER_INITIATED",
        "imageSource": "CUSTOM",
    }


def latest_version_references(version_arn: str) -> Row:
    """Return ``LatestVersionReferences``: ARNs that always mean the latest version."""
    stem, _, version = version_arn.rpartition("/")
    major, minor, _ = version.split(".")
    return {
        "latestVersionArn": f"{stem}/x.x.x",
        "latestMajorVersionArn": f"{stem}/{major}.x.x",
        "latestMinorVersionArn": f"{stem}/{major}.{minor}.x",
        "latestPatchVersionArn": f"{stem}/{version}",
    }


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
