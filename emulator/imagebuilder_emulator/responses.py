"""Answers in the service's own form: what the models know, shaped by the service model's output shapes."""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from .exceptions import (
    ClientException,
    ImageBuilderError,
    InvalidPaginationTokenException,
    InvalidRequestException,
    ResourceNotFoundException,
)
from .models import ImageBuilderBackend
from .records import Ami, Execution, Image, Impact
from .shapes import parse

Answer = Mapping[str, Any]
_ACTIONS = {"AVAILABLE": "AVAILABLE", "DEPRECATED": "DEPRECATE", "DISABLED": "DISABLE", "DELETED": "DELETE"}
_DEFAULT_PAGE = 25


class ImageBuilderResponse:
    """Answers one request.

    Args:
        backend: the state.
        region: the region that the request was signed for.
    """

    def __init__(self, backend: ImageBuilderBackend, region: str) -> None:
        self.backend = backend
        self.region = region

    def dispatch(
        self, operation: Any, query: str, body: bytes, in_path: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """Carry out an operation of the model; returns the status, the headers and the body."""
        headers = {"Content-Type": "application/json", "x-amzn-RequestId": str(uuid.uuid4())}
        try:
            if operation is None:
                raise ClientException("There is no such operation in EC2 Image Builder")
            handler = _HANDLERS.get(operation.name)
            if handler is None:
                raise ClientException(f"{operation.name} is not emulated")
            answer = handler(self, parse(operation, query, body, in_path))
        except ImageBuilderError as error:
            headers["x-amzn-errortype"] = error.code
            return error.status, headers, json.dumps({"message": error.message}).encode()
        return 200, headers, json.dumps(_shaped(operation.output_shape, answer)).encode()

    def start_resource_state_update(self, request: Answer) -> Answer:
        """``StartResourceStateUpdate``."""
        return self.backend.start_resource_state_update(request, self.region)

    def cancel_lifecycle_execution(self, request: Answer) -> Answer:
        """``CancelLifecycleExecution``."""
        return self.backend.cancel_lifecycle_execution(request)

    def get_lifecycle_execution(self, request: Answer) -> Answer:
        """``GetLifecycleExecution``."""
        return {"lifecycleExecution": _execution(self.backend.get_lifecycle_execution(request["lifecycleExecutionId"]))}

    def list_lifecycle_executions(self, request: Answer) -> Answer:
        """``ListLifecycleExecutions``, newest first."""
        return self._page(
            "lifecycleExecutions", map(_execution, self.backend.executions_of(request["resourceArn"])), request
        )

    def list_lifecycle_execution_resources(self, request: Answer) -> Answer:
        """``ListLifecycleExecutionResources``: the image record, or with it as parent what lies under it."""
        execution = self.backend.get_lifecycle_execution(request["lifecycleExecutionId"])
        parent = request.get("parentResourceId")
        if parent is None:
            rows = [_record_impact(execution)]
        elif parent == execution.image_arn:
            rows = [_impact(execution, impact) for impact in execution.impacts]
        else:
            rows = []
        return {
            **self._page("resources", rows, request),
            "lifecycleExecutionId": execution.id,
            "lifecycleExecutionState": {"status": execution.status, "reason": execution.reason},
        }

    def get_image(self, request: Answer) -> Answer:
        """``GetImage``."""
        return {"image": _image(self.backend.get_image(request["imageBuildVersionArn"], self.region))}

    def list_images(self, request: Answer) -> Answer:
        """``ListImages``: the versions of images; those with nothing but deprecated builds only when asked for."""
        if request.get("owner", "Self") != "Self":
            return self._page("imageVersionList", [], request)
        versions: dict[str, list[Image]] = {}
        for image in self.backend.images_in(self.region):
            versions.setdefault(image.name if request.get("byName") else image.version_arn, []).append(image)
        rows = [
            _version(builds[0], by_name=bool(request.get("byName")))
            for builds in versions.values()
            if request.get("includeDeprecated") or any(image.state != "DEPRECATED" for image in builds)
        ]
        return self._page("imageVersionList", _filtered(rows, request), request)

    def list_image_build_versions(self, request: Answer) -> Answer:
        """``ListImageBuildVersions``: the builds of one version, or all builds."""
        version = request.get("imageVersionArn")
        images = [image for image in self.backend.images_in(self.region) if version in {None, image.version_arn}]
        return self._page("imageSummaryList", _filtered(map(_image, images), request), request)

    def create_image(self, request: Answer) -> Answer:
        """``CreateImage``."""
        return self.backend.create_image(request, self.region)

    def delete_image(self, request: Answer) -> Answer:
        """``DeleteImage``."""
        return self.backend.delete_image(request["imageBuildVersionArn"], self.region)

    def tag_resource(self, request: Answer) -> Answer:
        """``TagResource``."""
        self._tagged(request).tags.update(request["tags"])
        return {}

    def untag_resource(self, request: Answer) -> Answer:
        """``UntagResource``."""
        image = self._tagged(request)
        for key in request["tagKeys"]:
            image.tags.pop(key, None)
        return {}

    def list_tags_for_resource(self, request: Answer) -> Answer:
        """``ListTagsForResource``."""
        return {"tags": self._tagged(request).tags}

    def _tagged(self, request: Answer) -> Image:
        arn = request["resourceArn"]
        if arn not in self.backend.images:
            raise ResourceNotFoundException(f"The resource {arn} was not found")
        return self.backend.get_image(arn, self.region)

    def _page(self, key: str, rows: Iterable[Answer], request: Answer) -> dict[str, Any]:
        """One page of a list; a token holds where the next begins and what it was handed out for."""
        everything = list(rows)
        asked = {name: value for name, value in request.items() if name not in {"nextToken", "maxResults"}}
        start, size = _offset(request.get("nextToken"), key, asked), request.get("maxResults", _DEFAULT_PAGE)
        page: dict[str, Any] = {key: everything[start : start + size]}
        if start + size < len(everything):
            page["nextToken"] = base64.urlsafe_b64encode(json.dumps([key, asked, start + size]).encode()).decode()
        return page


_HANDLERS: Mapping[str, Callable[[ImageBuilderResponse, Answer], Answer]] = {
    "StartResourceStateUpdate": ImageBuilderResponse.start_resource_state_update,
    "GetLifecycleExecution": ImageBuilderResponse.get_lifecycle_execution,
    "ListLifecycleExecutions": ImageBuilderResponse.list_lifecycle_executions,
    "ListLifecycleExecutionResources": ImageBuilderResponse.list_lifecycle_execution_resources,
    "CancelLifecycleExecution": ImageBuilderResponse.cancel_lifecycle_execution,
    "GetImage": ImageBuilderResponse.get_image,
    "ListImages": ImageBuilderResponse.list_images,
    "ListImageBuildVersions": ImageBuilderResponse.list_image_build_versions,
    "CreateImage": ImageBuilderResponse.create_image,
    "DeleteImage": ImageBuilderResponse.delete_image,
    "TagResource": ImageBuilderResponse.tag_resource,
    "UntagResource": ImageBuilderResponse.untag_resource,
    "ListTagsForResource": ImageBuilderResponse.list_tags_for_resource,
}


def _offset(token: str | None, key: str, asked: Mapping[str, Any]) -> int:
    if token is None:
        return 0
    try:
        handed_to, request, start = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError, TypeError):
        raise InvalidPaginationTokenException("The nextToken is not one that was handed out") from None
    if handed_to != key or request != asked or not isinstance(start, int):
        raise InvalidPaginationTokenException("The nextToken was handed out for another request")
    return start


_FILTERS = {"name": "name", "version": "version", "type": "type", "platform": "platform", "osVersion": "osVersion"}


def _filtered(rows: Iterable[Answer], request: Answer) -> Sequence[Answer]:
    found = list(rows)
    for condition in request.get("filters", []):
        member = _FILTERS.get(condition.get("name", ""))
        if member is None:
            raise InvalidRequestException(
                f"The filter {condition.get('name')!r} is not one of {', '.join(sorted(_FILTERS))}"
            )
        found = [row for row in found if row.get(member) in condition.get("values", [])]
    return found


def _execution(execution: Execution) -> Answer:
    return {
        "lifecycleExecutionId": execution.id,
        "resourcesImpactedSummary": {"hasImpactedResources": bool(execution.impacts)},
        "state": {"status": execution.status, "reason": execution.reason},
        "startTime": execution.asked_at,
        "endTime": execution.end,
    }


def _record_impact(execution: Execution) -> Answer:
    return {
        "accountId": execution.image_arn.split(":")[4],
        "resourceId": execution.image_arn,
        "state": {"status": execution.record_status, "reason": execution.record_reason},
        "action": {"name": _ACTIONS[execution.target]},
        "region": execution.image_arn.split(":")[3],
        "startTime": execution.asked_at,
        "endTime": execution.end,
    }


def _impact(execution: Execution, impact: Impact) -> Answer:
    resource = impact.resource
    return {
        "accountId": resource.account,
        "resourceId": resource.id if isinstance(resource, Ami) else f"{resource.repository}:{resource.tag}",
        "state": {"status": impact.status, "reason": impact.reason},
        "action": {"name": _ACTIONS[execution.target]},
        "region": resource.region,
        "snapshots": impact.snapshots,
        "imageUris": [] if isinstance(resource, Ami) else [resource.uri],
        "startTime": impact.start,
        "endTime": impact.end,
    }


def _image(image: Image) -> dict[str, Any]:
    regions: dict[str, list[str]] = {}
    for container in image.containers:
        regions.setdefault(container.region, []).append(container.uri)
    return {
        "arn": image.arn,
        "type": image.type,
        "name": image.name,
        "version": f"{image.version}/{image.build}",
        "platform": image.platform,
        "state": {"status": image.state, "reason": image.reason},
        "owner": image.account,
        "dateCreated": _text(image.date_created),
        "outputResources": {
            "amis": [{"region": ami.region, "image": ami.id, "accountId": ami.account} for ami in image.amis],
            "containers": [{"region": region, "imageUris": uris} for region, uris in regions.items()],
        },
        "tags": image.tags,
        "deprecationTime": image.deprecation_time,
        "lifecycleExecutionId": image.lifecycle_execution_id,
    }


def _version(image: Image, *, by_name: bool) -> Answer:
    stem = f"{image.arn.split('/')[0]}/{image.name}"
    return {
        "arn": stem if by_name else image.version_arn,
        "name": image.name,
        "type": image.type,
        "version": None if by_name else image.version,
        "platform": image.platform,
        "owner": image.account,
        "dateCreated": _text(image.date_created),
    }


def _shaped(shape: Any, value: Any) -> Any:
    """A value in the wire's form: members of the shape alone, nothing for None, timestamps as epoch seconds."""
    if shape is None:
        return {}
    if shape.type_name == "structure":
        return {
            name: _shaped(shape.members[name], item)
            for name, item in value.items()
            if item is not None and name in shape.members
        }
    if shape.type_name == "list":
        return [_shaped(shape.member, item) for item in value]
    if shape.type_name == "timestamp":
        return value.timestamp()
    return value


def _text(at: datetime) -> str:
    return at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
