"""One image at the service: find it, its executions and their resources; each absent thing has one way to be absent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..aws import Service
from ..errors import ImageNotFound
from ..rules import ImageArn
from . import tokens
from .builds import answered_at
from .progress import Progress
from .records import GONE, MOST_RESOURCES_KEPT, Execution, Image, parse_resource
from .rhythm import Rhythm
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
    at: datetime
    """When it was, by the service's clock."""
    began: datetime | None = None
    ended: datetime | None = None
    """When the first of the resources began to change, and the last one ended; None where the service does not say."""

    def seconds_since(self, then: datetime) -> float:
        """Seconds from a time of the service's to this look; none if it was later."""
        return max(0.0, (self.at - then).total_seconds())


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
        self.rhythm = Rhythm()
        self._service = service
        arn = ImageArn.parse(resource_arn)
        self._region, self._account = arn.region, arn.account

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

    async def executions_before(self) -> list[Execution]:
        """The executions that were there before this run asks for one."""
        return await self.executions()

    async def began_before_this_run(self, execution_id: str) -> bool:
        """Whether an execution that was not among those before did begin earlier nevertheless: here all were listed."""
        return False

    async def execution(self, execution_id: str, look: Look) -> Execution:
        """An execution in full, after a look at it."""
        return await self.find_execution(execution_id)

    async def took(self, execution_id: str) -> float:
        """How long an execution that has ended took, in seconds, by the service's own account."""
        answer = await self._call("get_lifecycle_execution", lifecycleExecutionId=execution_id)
        execution = answer["lifecycleExecution"]
        began, ended = execution.get("startTime"), execution.get("endTime")
        return float((ended - began).total_seconds()) if began and ended else 0.0

    async def look(self, execution_id: str, start: str | None = None) -> Look:
        """``ListLifecycleExecutionResources``, one page: the state of the execution and resources with it."""
        answer = await self._call(
            "list_lifecycle_execution_resources",
            lifecycleExecutionId=execution_id,
            parentResourceId=self.arn,
            maxResults=MOST_RESOURCES_KEPT,
            **({"nextToken": start} if start else {}),
        )
        state, resources = answer.get("lifecycleExecutionState", {}), answer.get("resources", [])
        return Look(
            status=state["status"],
            reason=state.get("reason"),
            resources=[parse_resource(resource) for resource in resources],
            more=answer.get("nextToken"),
            at=answered_at(answer),
            began=min((each["startTime"] for each in resources if each.get("startTime")), default=None),
            ended=max((each["endTime"] for each in resources if each.get("endTime")), default=None),
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
        self._service.configuration.check_account(self._account, self.progress.asked)
        return await self._service.call(
            self._region, operation, asked=self.progress.asked, on_retry=self.progress.retrying, **parameters
        )
