"""Answers in the service's own form, shaped by the service model's output shapes."""

from __future__ import annotations

import itertools
import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

from . import filters, recipes
from .entities import Image
from .exceptions import ClientException, ImageBuilderError, InvalidRequestException, ResourceNotFoundException
from .models import ImageBuilderBackend
from .pagination import paginate
from .serializers import ExecutionSerializer, latest_version_references, serialize_image, serialize_image_version
from .shapes import parse_request

Answer = Mapping[str, Any]
Item = TypeVar("Item")
_HAS_EXECUTIONS = r":image/[^/]+/\d+\.\d+\.\d+/\d+\Z|:lifecycle-policy/[^/]+\Z"


class ImageBuilderResponse:
    """Answers requests of one region.

    Args:
        backend: the state.
        region: the region that the request was signed for.
    """

    def __init__(self, backend: ImageBuilderBackend, region: str) -> None:
        self.backend = backend
        self.region = region
        self._executions = ExecutionSerializer(backend.variants, backend.clock.now())

    def dispatch(
        self, operation: Any, query: str, body: bytes, in_path: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """Carry out an operation of the model; returns the status, the headers and the body."""
        headers = {"Content-Type": "application/json", "x-amzn-RequestId": str(uuid.uuid4())}
        try:
            if operation is None:
                raise ClientException("There is no such operation in EC2 Image Builder")
            handler = find_handler(operation)
            answer = handler(self, parse_request(operation, query, body, in_path))
            if "requestId" in operation.output_shape.members:
                answer = {**answer, "requestId": headers["x-amzn-RequestId"]}
        except ImageBuilderError as error:
            headers["x-amzn-errortype"] = error.code
            return error.status, headers, json.dumps({"message": error.message}).encode()
        shaped = shape_answer(operation.output_shape, answer)
        return 200, headers, json.dumps(shaped, default=datetime.timestamp).encode()

    def start_resource_state_update(self, request: Answer) -> Answer:
        """``StartResourceStateUpdate``."""
        return self.backend.start_resource_state_update(request, self.region)

    def cancel_lifecycle_execution(self, request: Answer) -> Answer:
        """``CancelLifecycleExecution``."""
        return self.backend.cancel_lifecycle_execution(request, self.region)

    def get_lifecycle_execution(self, request: Answer) -> Answer:
        """``GetLifecycleExecution``."""
        execution = self.backend.get_lifecycle_execution(request["lifecycleExecutionId"], self.region)
        return {"lifecycleExecution": self._executions.execution(execution)}

    def list_lifecycle_executions(self, request: Answer) -> Answer:
        """``ListLifecycleExecutions`` of an image build version or a lifecycle policy, newest first."""
        arn = request["resourceArn"]
        if not re.search(_HAS_EXECUTIONS, arn):
            raise InvalidRequestException(f"{arn} is the ARN of neither an image build version nor a lifecycle policy")
        found = self.backend.list_lifecycle_executions(arn, self.region)
        return self._page("lifecycleExecutions", found, request, self._executions.execution)

    def list_lifecycle_execution_resources(self, request: Answer) -> Answer:
        """``ListLifecycleExecutionResources``: the image record, or with it as parent what lies under it."""
        execution = self.backend.get_lifecycle_execution(request["lifecycleExecutionId"], self.region)
        listed = self.backend.store.listed_execution(execution, self.backend.clock.now()) or execution
        parent = request.get("parentResourceId")
        if parent is None:
            rows = self._page("resources", self._executions.image_entries(listed), request, lambda entry: entry)
        else:
            impacts = listed.impacts if parent == execution.image_arn else []
            rows = self._page("resources", impacts, request, partial(self._executions.resource_entry, listed))
        return {
            **rows,
            "lifecycleExecutionId": execution.id,
            "lifecycleExecutionState": self._executions.state(listed),
        }

    def get_image(self, request: Answer) -> Answer:
        """``GetImage``."""
        image = self.backend.get_image(request["imageBuildVersionArn"], self.region)
        return {
            "image": serialize_image(image),
            "latestVersionReferences": latest_version_references(image.version_arn),
        }

    def list_images(self, request: Answer) -> Answer:
        """``ListImages``: the versions of images, or with ``byName`` their names."""
        by_name = request.get("byName", False)
        passes = filters.parse_filters(request, without=("version",) if by_name else ())
        store, now = self.backend.store, self.backend.clock.now()
        images = store.visible_in_region(self.region, now) if request.get("owner", "Self") == "Self" else []
        groups = itertools.groupby(filter(passes, images), key=attrgetter("name_arn" if by_name else "version_arn"))
        return self._page(
            "imageVersionList",
            (next(builds) for _, builds in groups),
            request,
            partial(serialize_image_version, by_name=by_name),
        )

    def list_image_build_versions(self, request: Answer) -> Answer:
        """``ListImageBuildVersions``: the builds of one version, or all builds."""
        version, store, now = request.get("imageVersionArn"), self.backend.store, self.backend.clock.now()
        passes = filters.parse_filters(request)
        if version is None:
            images = store.visible_in_region(self.region, now)
        else:
            images = store.visible_builds(version, now) if version.split(":")[3] == self.region else []
        return self._page("imageSummaryList", filter(passes, images), request, serialize_image)

    def create_image(self, request: Answer) -> Answer:
        """``CreateImage``."""
        answer = self.backend.create_image(request, self.region)
        version = answer["imageBuildVersionArn"].rpartition("/")[0]
        return {**answer, "latestVersionReferences": latest_version_references(version)}

    def retry_image(self, request: Answer) -> Answer:
        """``RetryImage``."""
        return self.backend.retry_image(request, self.region)

    def list_image_recipes(self, request: Answer) -> Answer:
        """``ListImageRecipes``."""
        found = recipes.select_recipes(self.backend.recipes.values(), "image-recipe", self.region, request)
        return paginate("imageRecipeSummaryList", found, request, recipes.serialize_recipe_summary)

    def list_container_recipes(self, request: Answer) -> Answer:
        """``ListContainerRecipes``."""
        found = recipes.select_recipes(self.backend.recipes.values(), "container-recipe", self.region, request)
        return paginate("containerRecipeSummaryList", found, request, recipes.serialize_recipe_summary)

    def get_image_recipe(self, request: Answer) -> Answer:
        """``GetImageRecipe``."""
        return self._recipe(request["imageRecipeArn"])

    def get_container_recipe(self, request: Answer) -> Answer:
        """``GetContainerRecipe``."""
        return self._recipe(request["containerRecipeArn"])

    def _recipe(self, arn: str) -> Answer:
        return recipes.serialize_recipe(recipes.find_recipe(self.backend.recipes.values(), arn, self.region))

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

    def _page(self, key: str, items: Iterable[Item], request: Answer, row: Callable[[Item], Answer]) -> dict[str, Any]:
        return paginate(key, items, request, row, short=self.backend.variants["pages"] == "short")

    def _tagged(self, request: Answer) -> Image:
        arn = request["resourceArn"]
        if arn not in self.backend.images:
            raise ResourceNotFoundException(f"The resource {arn} was not found")
        return self.backend.get_image(arn, self.region)


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
    "RetryImage": ImageBuilderResponse.retry_image,
    "DeleteImage": ImageBuilderResponse.delete_image,
    "ListImageRecipes": ImageBuilderResponse.list_image_recipes,
    "GetImageRecipe": ImageBuilderResponse.get_image_recipe,
    "ListContainerRecipes": ImageBuilderResponse.list_container_recipes,
    "GetContainerRecipe": ImageBuilderResponse.get_container_recipe,
    "TagResource": ImageBuilderResponse.tag_resource,
    "UntagResource": ImageBuilderResponse.untag_resource,
    "ListTagsForResource": ImageBuilderResponse.list_tags_for_resource,
}


def find_handler(operation: Any) -> Callable[[ImageBuilderResponse, Answer], Answer]:
    """Return what answers an operation of the model, given an `ImageBuilderResponse` and checked parameters.

    Raises:
        ClientException: the operation is not emulated.
    """
    handler = _HANDLERS.get(operation.name)
    if handler is None:
        raise ClientException(f"{operation.name} is not emulated")
    return handler


def shape_answer(shape: Any, value: Any) -> Any:
    """Return a value as its shape has it: members of the shape alone, none that are None, times to the millisecond."""
    if shape is None:
        return {}
    if shape.type_name == "structure":
        members = shape.members
        return {
            name: shape_answer(members[name], item)
            for name, item in value.items()
            if item is not None and name in members
        }
    if shape.type_name == "list":
        return [shape_answer(shape.member, item) for item in value]
    if shape.type_name == "map":
        return dict(value)
    if shape.type_name == "timestamp":
        return value.replace(microsecond=value.microsecond // 1000 * 1000)
    return value
