"""One image at the service: find it, its executions and their resources; each absent thing has one way to be absent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..aws import Service
from ..errors import ImageNotFound
from ..rules import ImageArn
from . import tokens
from .progress import Progress
from .records import GONE, MOST_RESOURCES_KEPT, Execution, Image, parse_resource
from .statuses import EXECUTION_ENDED_BADLY

_LARGEST_PAGE = 100
"""The most that the service puts into one page."""


@dataclass(frozen=True)
class Look:
    """One look at an execution and the resources under the image: as much as a single call tells."""

    status: str
    reason: str | None
    resources: list[dict[str, Any]]
    more: str | None
    """Where the rest of the resources begins; None when these are all."""


class ImageClient:
    """The calls that concern one image build version, in the image's own region.

    Every method raises :class:`~pulumi_imagebuilder.errors.ServiceRefused` for a client error and retries whatever
    passes by itself, telling ``progress`` why.

    Args:
        service: where calls go.
        resource_arn: ARN of the image build version.
        progress: what is being done, and where retries are told.
    """

    def __init__(self, service: Service, resource_arn: str, progress: Progress) -> None:
        self.arn = resource_arn
        self.progress = progress
        self._service = service
        self._region = ImageArn.parse(resource_arn).region

    async def start(self, request: Mapping[str, Any], token: str) -> str | None:
        """``StartResourceStateUpdate``: the execution's id, or None after an immediate change."""
        answer = await self._call("start_resource_state_update", resourceArn=self.arn, clientToken=token, **request)
        return answer.get("lifecycleExecutionId")

    async def cancel(self, execution_id: str) -> None:
        """``CancelLifecycleExecution``: asks only; what is done stays done."""
        await self._call(
            "cancel_lifecycle_execution", lifecycleExecutionId=execution_id, clientToken=tokens.cancel(execution_id)
        )

    async def find_image(self) -> Image:
        """``GetImage``; :data:`GONE` when the service says that it is not found."""
        try:
            answer = await self._call("get_image", imageBuildVersionArn=self.arn)
        except ImageNotFound:
            return GONE
        return Image.parse(answer["image"])

    async def find_execution(self, execution_id: str) -> Execution:
        """``GetLifecycleExecution``."""
        answer = await self._call("get_lifecycle_execution", lifecycleExecutionId=execution_id)
        return Execution.parse(answer["lifecycleExecution"])

    async def executions(self) -> list[Execution]:
        """``ListLifecycleExecutions``, all pages, in the service's order."""
        return [
            Execution.parse(execution)
            async for page in self._pages("list_lifecycle_executions", resourceArn=self.arn, maxResults=_LARGEST_PAGE)
            for execution in page["lifecycleExecutions"]
        ]

    async def look(self, execution_id: str, start: str | None = None) -> Look:
        """``ListLifecycleExecutionResources``, one page: the state of the execution and resources with it."""
        answer = await self._call(
            "list_lifecycle_execution_resources",
            lifecycleExecutionId=execution_id,
            parentResourceId=self.arn,
            maxResults=MOST_RESOURCES_KEPT,
            **({"nextToken": start} if start else {}),
        )
        state = answer.get("lifecycleExecutionState", {})
        return Look(
            status=state["status"],
            reason=state.get("reason"),
            resources=[parse_resource(resource) for resource in answer.get("resources", [])],
            more=answer.get("nextToken"),
        )

    async def action(self, execution_id: str) -> str | None:
        """What an execution does to the image record, as ``DEPRECATE``; None where the service lists it not yet."""
        answer = await self._call("list_lifecycle_execution_resources", lifecycleExecutionId=execution_id)
        for resource in map(parse_resource, answer.get("resources", [])):
            if resource["resource_id"] == self.arn:
                action: str | None = resource["action"]
                return action
        return None

    async def resources(self, execution_id: str, first: Look) -> list[dict[str, Any]]:
        """The resources of an execution, going on from a first look at it.

        Where it failed all are read, for what failed has to be found and counted. Else the first page is all that an
        outcome keeps, and reading thousands more would only cost calls.
        """
        found, look = list(first.resources), first
        while look.more and first.status in EXECUTION_ENDED_BADLY:
            look = await self.look(execution_id, look.more)
            found += look.resources
        return found

    async def _pages(self, operation: str, **parameters: Any) -> AsyncIterator[dict[str, Any]]:
        while True:
            page = await self._call(operation, **parameters)
            yield page
            if not page.get("nextToken"):
                return
            parameters["nextToken"] = page["nextToken"]

    async def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        def retrying(why: str) -> None:
            self.progress.note = why

        return await self._service.call(
            self._region, operation, asked=self.progress.asked, on_retry=retrying, **parameters
        )
