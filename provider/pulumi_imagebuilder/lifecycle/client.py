"""One image at the service: find it, its executions and their resources; each absent thing has one way to be absent."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..aws import Service, answered_at
from ..errors import ImageBuilderError, ResourceNotFound, ServiceError, TemporaryError
from ..validation import ImageArn
from .change import derive_token
from .entities import (
    EXECUTION_SUCCEEDED,
    EXECUTION_UNFINISHED,
    EXECUTION_UNSUCCESSFUL,
    GONE,
    IMAGE_GONE,
    RESOURCE_SUCCEEDED,
    Execution,
    ExecutionSnapshot,
    Image,
    Outcome,
    parse_resource,
)
from .images import ReadBarrier
from .progress import Progress

if TYPE_CHECKING:
    from .polling import PollSchedule

_PAGE_SIZE = 100
"""The most that the service puts on one page; it may put less."""

_SETTLING_TIME = timedelta(minutes=1)
"""An image that was read so long after the end of an execution shows what it did; reading it again costs little."""

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

_UNKNOWN_EXECUTION = frozenset({"ResourceNotFoundException", "InvalidRequestException"})
"""Codes that answer for an execution that the service does not know, or has forgotten."""


class ExecutionUnknown(TemporaryError):
    """The service does not know a lifecycle execution: it cannot be read yet, or has been forgotten."""


class CheckAgain(TemporaryError):
    """A start would be sent again, and what was checked before it may not hold any more."""


class ImageClient:
    """The calls that concern one image build version, in the image's own region.

    Every method raises :class:`~pulumi_imagebuilder.errors.ServiceError` for a client error and retries what is
    transient, noting on ``progress`` why.

    Args:
        service: where calls go.
        resource_arn: ARN of the image build version.
        progress: what is being done, and where retries are noted.
        barrier: reads images together with those of others that are worked on side by side.
        schedule: when to look at the executions that are waited for side by side.
    """

    def __init__(
        self, service: Service, resource_arn: str, progress: Progress, barrier: ReadBarrier, schedule: PollSchedule
    ) -> None:
        self.arn = resource_arn
        self.progress = progress
        self.schedule = schedule
        self._service = service
        self._barrier = barrier
        arn = ImageArn.parse(resource_arn)
        self._region, self._account = arn.region, arn.account
        self._first: Image | None = None
        self._began: datetime | None = None
        """When the service first answered, by its clock."""
        self.now = datetime.now(UTC)
        """The time of the last answer, by the service's clock; until then this machine's."""
        self._changed = False
        """Whether anything has happened since the first read that may have changed the image."""
        self._deletes = self._deleted = False

    async def start(self, request: Mapping[str, Any], token: str, *, retry_until: float = math.inf) -> str | None:
        """Call ``StartResourceStateUpdate``; return the execution's id, or None after an immediate change.

        Args:
            request: the parameters other than the ARN and the token.
            token: the client token.
            retry_until: until when it may be sent again after a transient error, by the loop's time.

        Raises:
            CheckAgain: it was not answered, and may not be sent again. What was sent may have started an execution.
        """
        self._deletes = request["state"]["status"] == IMAGE_GONE
        loop = asyncio.get_running_loop()

        def on_retry(reason: str) -> None:
            self.progress.retrying(reason)
            if loop.time() >= retry_until:
                raise CheckAgain(reason)

        try:
            answer = await self._call(
                "start_resource_state_update", on_retry, resourceArn=self.arn, clientToken=token, **request
            )
        except ServiceError as error:
            # A user's own token may be a secret, and the service repeats it in what it refuses.
            error.reason = error.reason.replace(token, "[redacted]")
            raise
        execution_id: str | None = answer.get("lifecycleExecutionId")
        # What an execution that the image shows already has done was done before it was read.
        self._changed |= execution_id is None or not self._first or execution_id != self._first.lifecycle_execution_id
        return execution_id

    async def cancel(self, execution_id: str) -> None:
        """Call ``CancelLifecycleExecution``: it only asks, and what is done stays done."""
        # Always the same token, so that cancelling twice is cancelling once.
        token = derive_token(["cancel", execution_id])
        self._changed = True
        await self._call("cancel_lifecycle_execution", lifecycleExecutionId=execution_id, clientToken=token)

    async def find_image(self, *, again: bool = False) -> Image:
        """Return the image; :data:`GONE` when the service says that it is not found.

        The first read serves as long as nothing has happened since that may have changed the image.

        Args:
            again: whether to read it now in any case, without waiting for others.
        """
        if again:
            return await self._get_image()
        if self._first is not None and not self._changed:
            return self._first
        fleet = self.progress.fleet if self._first else None
        if fleet:
            fleet.ended += 1
        try:
            reading = await self._barrier.read(self.arn, deleted=self._deleted, on_retry=self.progress.retrying)
        except ImageBuilderError:
            if fleet:
                fleet.ended -= 1
            raise
        # On cancellation keep `ended`, so that the time-out message counts this image as done.
        if fleet:
            fleet.ended -= 1
        if reading.error:
            raise reading.error.with_action(self.progress.action)
        image = reading.image or await self._get_image()
        if self._first is None:
            self._first = image
        self._note_time(reading.as_of)
        return image

    async def is_gone(self, refusal: ServiceError) -> bool:
        """Return whether a start was refused because the image is gone: not found, or deleted and so not valid."""
        if refusal.code not in {"ResourceNotFoundException", "InvalidRequestException"}:
            return False
        return (await self.find_image(again=True)).state == IMAGE_GONE

    async def _get_image(self) -> Image:
        try:
            answer = await self._call("get_image", imageBuildVersionArn=self.arn)
        except ResourceNotFound:
            return GONE
        return Image.parse(answer["image"])

    async def executions(self) -> list[Execution]:
        """Return the executions that ``ListLifecycleExecutions`` lists for the image, in the service's order."""
        listed = [
            Execution.parse(execution)
            async for page in self._pages("list_lifecycle_executions", resourceArn=self.arn, maxResults=_PAGE_SIZE)
            for execution in page["lifecycleExecutions"]
        ]
        # What is under way, or ended about when the image was read, may not have shown in it yet.
        settled = (self._began or _LONG_AGO) - _SETTLING_TIME
        self._changed |= any(execution.ended is None or execution.ended >= settled for execution in listed)
        return listed

    async def executions_before(self) -> list[Execution]:
        """Return the executions before this run started one; none are listed where the image names none."""
        image = await self.find_image()
        return [] if image != GONE and image.lifecycle_execution_id is None else await self.executions()

    async def began_before_this_run(self, execution_id: str) -> bool:
        """Return whether an execution that was not listed began before this run's first answer nevertheless."""
        return (await self._get_execution(execution_id)).age < (self._began or _LONG_AGO)

    async def snapshot(self, execution_id: str, next_token: str | None = None) -> ExecutionSnapshot:
        """Look at an execution: its state, and one page of the resources under the image.

        Args:
            execution_id: the execution.
            next_token: the page. Default: the first.

        Raises:
            ExecutionUnknown: the service does not know the execution.
        """
        answer = await self._call_for_execution(
            "list_lifecycle_execution_resources",
            execution_id,
            parentResourceId=self.arn,
            maxResults=_PAGE_SIZE,
            **({"nextToken": next_token} if next_token else {}),
        )
        state, resources = answer["lifecycleExecutionState"], answer.get("resources", [])
        self._changed |= state["status"] in EXECUTION_UNFINISHED
        return ExecutionSnapshot(
            status=state["status"],
            reason=state.get("reason"),
            resources=[parse_resource(resource) for resource in resources],
            next_token=answer.get("nextToken"),
            at=answered_at(answer),
            started=min((each["startTime"] for each in resources if each.get("startTime")), default=None),
            ended=max((each["endTime"] for each in resources if each.get("endTime")), default=None),
        )

    async def resources(self, execution_id: str, first: ExecutionSnapshot) -> list[dict[str, Any]]:
        """Return all resources of an execution under the image: those of a snapshot, and the pages after it."""
        found, snapshot = list(first.resources), first
        while snapshot.next_token:
            snapshot = await self.snapshot(execution_id, snapshot.next_token)
            found += snapshot.resources
        if self._deletes and first.status in EXECUTION_SUCCEEDED:
            self._deleted = all(resource["status"] in RESOURCE_SUCCEEDED for resource in found)
        return found

    async def find_record_entry(self, execution_id: str) -> dict[str, Any] | None:
        """Return what an execution does to the image record itself; None where the service does not list it yet."""
        parameters: dict[str, Any] = {"maxResults": _PAGE_SIZE}
        while True:
            page = await self._call_for_execution("list_lifecycle_execution_resources", execution_id, **parameters)
            for resource in map(parse_resource, page.get("resources", [])):
                if resource["resource_id"] == self.arn:
                    return resource
            if not page.get("nextToken"):
                return None
            parameters["nextToken"] = page["nextToken"]

    async def find_action(self, execution_id: str) -> str | None:
        """Return what an execution does to the image record, as ``DEPRECATE``; None where it is not listed yet."""
        entry = await self.find_record_entry(execution_id)
        return entry["action"] if entry else None

    async def duration(self, execution_id: str) -> float:
        """Return how long an execution that has ended took, in seconds, by the service's own times."""
        execution = await self._get_execution(execution_id)
        began, ended = execution.started, execution.ended
        return (ended - began).total_seconds() if began and ended else 0.0

    async def outcome(
        self,
        token: str,
        execution_id: str,
        image: Image | None = None,
        snapshot: ExecutionSnapshot | None = None,
    ) -> Outcome:
        """Return how an execution went, or goes: its times, its reason, all resources under the image, and the image.

        Args:
            token: the client token that it is known by.
            execution_id: the execution.
            image: the image, where it has been read since. Default: it is read.
            snapshot: the last snapshot of the execution. Default: one is taken.

        Raises:
            ExecutionUnknown: the service does not know the execution.
        """
        snapshot = snapshot or await self.snapshot(execution_id)
        execution, resources = await self.describe(execution_id, snapshot)
        # The image after the execution: the state of an update that ended well must not hold what was before it.
        return Outcome(token, image or await self.find_image(), execution, resources)

    async def describe(self, execution_id: str, snapshot: ExecutionSnapshot) -> tuple[Execution, list[dict[str, Any]]]:
        """Return an execution with its times and its reason, and all its resources under the image.

        Args:
            execution_id: the execution.
            snapshot: the last snapshot of it.
        """
        self.progress.update(snapshot)
        resources = await self.resources(execution_id, snapshot)
        return await self._describe_execution(execution_id, snapshot), resources

    async def _describe_execution(self, execution_id: str, snapshot: ExecutionSnapshot) -> Execution:
        """Return an execution in full: as the snapshot has it, and asked for only where that does not say enough."""
        unfinished = snapshot.status in EXECUTION_UNFINISHED
        if snapshot.next_token or unfinished or not (snapshot.started and snapshot.ended):
            execution = await self._get_execution(execution_id)
        else:
            execution = Execution(
                execution_id, snapshot.status, snapshot.reason, started=snapshot.started, ended=snapshot.ended
            )
        if execution.status in EXECUTION_UNSUCCESSFUL and not execution.reason:
            entry = await self.find_record_entry(execution_id)
            reason = entry["reason"] if entry else None
            execution = Execution(execution.id, execution.status, reason, execution.started, execution.ended)
        return execution

    async def _get_execution(self, execution_id: str) -> Execution:
        answer = await self._call_for_execution("get_lifecycle_execution", execution_id)
        return Execution.parse(answer["lifecycleExecution"])

    async def _pages(self, operation: str, **parameters: Any) -> AsyncIterator[dict[str, Any]]:
        pages = self._service.pages(
            "imagebuilder",
            self._region,
            operation,
            account=self._account,
            on_retry=self.progress.retrying,
            **parameters,
        )
        try:
            async for page in pages:
                self._note_time(answered_at(page))
                yield page
        except ImageBuilderError as error:
            raise error.with_action(self.progress.action) from error.__cause__

    async def _call_for_execution(self, operation: str, execution_id: str, **parameters: Any) -> dict[str, Any]:
        try:
            return await self._call(operation, lifecycleExecutionId=execution_id, **parameters)
        except ServiceError as error:
            if error.code in _UNKNOWN_EXECUTION:
                raise ExecutionUnknown(error.reason, action=error.action) from error
            raise

    async def _call(
        self, operation: str, on_retry: Callable[[str], None] | None = None, **parameters: Any
    ) -> dict[str, Any]:
        try:
            answer = await self._service.call(
                "imagebuilder",
                self._region,
                operation,
                account=self._account,
                on_retry=on_retry or self.progress.retrying,
                **parameters,
            )
        except ImageBuilderError as error:
            raise error.with_action(self.progress.action) from error.__cause__
        self._note_time(answered_at(answer))
        return answer

    def _note_time(self, at: datetime | None) -> None:
        self.now = at or self.now
        self._began = self._began or at
