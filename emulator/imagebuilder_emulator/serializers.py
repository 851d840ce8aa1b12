"""What the service shows of images and executions, member by member as the service model names them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from .entities import Ami, Execution, Image, Impact

Row = Mapping[str, Any]
_ACTIONS = {"AVAILABLE": "AVAILABLE", "DEPRECATED": "DEPRECATE", "DISABLED": "DISABLE", "DELETED": "DELETE"}


def serialize_execution(execution: Execution) -> Row:
    """A ``LifecycleExecution``."""
    return {
        "lifecycleExecutionId": execution.id,
        "resourcesImpactedSummary": {"hasImpactedResources": bool(execution.impacts)},
        "state": {"status": execution.status, "reason": execution.reason},
        "startTime": execution.asked_at,
        "endTime": execution.end,
    }


def serialize_image_entry(execution: Execution) -> Row:
    """The ``LifecycleExecutionResource`` of the image record."""
    return {
        "accountId": execution.image_arn.split(":")[4],
        "resourceId": execution.image_arn,
        "state": {"status": execution.record_status, "reason": execution.record_reason},
        "action": {"name": _ACTIONS[execution.target]},
        "region": execution.region,
        "startTime": execution.asked_at,
        "endTime": execution.end,
    }


def serialize_resource_entry(execution: Execution, impact: Impact) -> Row:
    """The ``LifecycleExecutionResource`` of an AMI or a container image."""
    resource = impact.resource
    return {
        "accountId": resource.account,
        "resourceId": resource.id if isinstance(resource, Ami) else resource.uri,
        "state": {"status": impact.status, "reason": impact.reason},
        "action": {"name": _ACTIONS[execution.target]},
        "region": resource.region,
        "snapshots": impact.snapshots,
        "imageUris": [] if isinstance(resource, Ami) else [resource.uri],
        "startTime": impact.start,
        "endTime": impact.end,
    }


def serialize_image(image: Image) -> Row:
    """An ``Image``, or an ``ImageSummary``: the members that are known are in both."""
    regions: dict[str, list[str]] = {}
    for container in image.containers:
        regions.setdefault(container.region, []).append(container.uri)
    return {
        "arn": image.arn,
        "type": image.type,
        "name": image.name,
        "version": f"{image.version}/{image.build}",
        "platform": image.platform,
        "osVersion": image.os_version,
        "state": {"status": image.state, "reason": image.reason},
        "owner": image.account,
        "dateCreated": _text(image.date_created),
        "outputResources": {
            "amis": [
                {"region": ami.region, "image": ami.id, "name": image.label, "accountId": ami.account}
                for ami in image.amis
            ],
            "containers": [{"region": region, "imageUris": uris} for region, uris in regions.items()],
        },
        "tags": image.tags,
        "buildType": "USER_INITIATED",
        "imageSource": "CUSTOM",
        "deprecationTime": image.deprecation_time,
        "lifecycleExecutionId": image.lifecycle_execution_id,
    }


def serialize_image_version(image: Image, *, by_name: bool) -> Row:
    """An ``ImageVersion``, from its oldest build; or what all versions of a name have in common."""
    return {
        "arn": image.name_arn if by_name else image.version_arn,
        "name": image.name,
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
    """``LatestVersionReferences``: ARNs that always mean the latest version."""
    stem, _, version = version_arn.rpartition("/")
    major, minor, _ = version.split(".")
    return {
        "latestVersionArn": f"{stem}/x.x.x",
        "latestMajorVersionArn": f"{stem}/{major}.x.x",
        "latestMinorVersionArn": f"{stem}/{major}.{minor}.x",
        "latestPatchVersionArn": f"{stem}/{version}",
    }


def _text(at: datetime) -> str:
    return at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
