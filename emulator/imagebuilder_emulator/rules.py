"""The rules of ``StartResourceStateUpdate`` that the shapes do not say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from .entities import STABLE_STATES, Image
from .exceptions import InvalidRequestException

SCHEDULED_FAR_AHEAD = timedelta(minutes=5)
"""From this far ahead, a deprecation is scheduled as an execution; nearer than that it is immediate."""


def validate_request(request: Mapping[str, Any], now: datetime) -> None:
    """Check a request by the rules that do not need the image.

    Raises:
        InvalidRequestException: a rule refuses the request.
    """
    target, includes = request["state"].get("status"), included(request)
    if target is None:
        raise InvalidRequestException("Missing required parameter 'state.status'")
    if "executionRole" in request and "includeResources" not in request:
        raise InvalidRequestException("executionRole is only valid together with includeResources")
    if "includeResources" in request and "executionRole" not in request:
        raise InvalidRequestException("includeResources needs an executionRole")
    for resource in ("snapshots", "containers"):
        if resource in includes and target != "DELETED":
            raise InvalidRequestException(f"includeResources.{resource} is only valid with the state DELETED")
    if target == "DELETED" and not includes:
        raise InvalidRequestException(
            "The state DELETED must include underlying resources; use DeleteImage to remove the image record alone"
        )
    if "updateAt" in request:
        if target != "DEPRECATED":
            raise InvalidRequestException(f"updateAt is only valid with the state DEPRECATED, not with {target}")
        if request["updateAt"] <= now:
            raise InvalidRequestException("updateAt must be in the future")


def validate_image(request: Mapping[str, Any], image: Image) -> None:
    """Check a request by the rules about the image's state and type.

    Raises:
        InvalidRequestException: a rule refuses the request for this image.
    """
    target = request["state"]["status"]
    if image.state == "DELETED":
        raise InvalidRequestException("The image is DELETED; its state can no longer be updated")
    if image.state not in STABLE_STATES:
        raise InvalidRequestException(f"The image is {image.state}; its state can be updated once that has ended")
    if image.state in {"FAILED", "CANCELLED"} and target != "DELETED":
        raise InvalidRequestException(f"The image is {image.state} and can only be moved to DELETED, not to {target}")
    if image.type == "DOCKER" and target != "DELETED":
        raise InvalidRequestException(f"Container images can only be moved to DELETED, not to {target}")


def recipe(request: Mapping[str, Any]) -> str:
    """Check ``CreateImage``; returns the ARN of the one recipe that it names.

    Raises:
        InvalidRequestException: a rule refuses the request.
    """
    named = [request[key] for key in ("imageRecipeArn", "containerRecipeArn") if key in request]
    if len(named) != 1:
        raise InvalidRequestException("Exactly one of imageRecipeArn and containerRecipeArn is required")
    if request.get("workflows") and "executionRole" not in request:
        raise InvalidRequestException("workflows need an executionRole")
    group = request.get("loggingConfiguration", {}).get("logGroupName", "/aws/imagebuilder/")
    if not group.startswith("/aws/imagebuilder/") and "executionRole" not in request:
        raise InvalidRequestException("A log group outside of /aws/imagebuilder/ needs an executionRole")
    arn: str = named[0]
    return arn


def included(request: Mapping[str, Any]) -> frozenset[str]:
    """Return the kinds of underlying resources that a request includes."""
    return frozenset(kind for kind, wanted in request.get("includeResources", {}).items() if wanted)


def is_asynchronous(request: Mapping[str, Any], now: datetime) -> bool:
    """Return whether the change is carried out by an execution."""
    return bool(included(request)) or ("updateAt" in request and request["updateAt"] - now >= SCHEDULED_FAR_AHEAD)
