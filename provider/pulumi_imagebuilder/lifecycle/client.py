"""Call the service about one image, its executions and their resources.

A missing image is :data:`GONE`; an unknown execution raises :class:`ExecutionUnknown`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..aws.answers import OnRetry, answered_at
from ..errors import ImageBuilderError, ServiceError, TemporaryError, redact
from ..validation import ImageArn
from .change import derive_token
from .entities import (
    EXECUTION_SUCCEEDED,
    EXECUTION_UNFINISHED,
    EXECUTION_UNSUCCESSFUL,
    GONE,
    IMAGE_GONE,
    IMAGE_LAG,
    MAY_BE_ABSENT,
    PAGE_SIZE,
    RESOURCE_SUCCEEDED,
    SETTLED_AFTER,
    Execution,
    ExecutionSnapshot,
    Image,
    Outcome,
    parse_resource,
)
from .images import ReadBarrier, get_image
from .progress import Progress

if TYPE_CHECKING:
    from ..aws.service import Service
    from .polling import PollSchedule

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class ExecutionUnknown(TemporaryError):
    """The service does not know a lifecycle execution: it cannot be read yet, or not any more."""


class CheckAgain(TemporaryError):
    """A start has to be checked again before it is sent again."""


class ImageClient:
    """Makes the calls that concern one image build version, in the image's own region.

    Every method raises :class:`~pulumi_imagebuilder.errors.ServiceError` for a client error and retries transient
    errors, noting on ``progress`` why. :meth:`find_image` caches the image. The cache is stale after a :meth:`start`
    or :meth:`cancel`, and after :meth:`executions` or :meth:`snapshot` has shown an execution that may have changed the
    image since. After a complete deletion, which :meth:`resources` notices, an image that a list lacks counts as gone.

    Args:
        service: where calls go.
        resource_arn: ARN of the image build version.
        progress: what is being done; retries are noted there.
        barrier: joins reads of images that are changed side by side.
        schedule: decides when to poll executions that are awaited side by side.
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
        self._cached_image: Image | None = None
        self._began: datetime | None = None
        """The time of the service's first answer, by its clock."""
        self.now = datetime.now(UTC)
        """The time of the last answer, by the service's clock; until then this machine's."""
        self._cache_is_stale = False
        """Whether something since the first read may have changed the image."""
        self._deletes = self._deleted = False

    async def start(self, request: Mapping[str, Any], token: str, *, retry_until: float = math.inf) -> str | None:
        """Call ``StartResourceStateUpdate``; return the execution's id, or None after an immediate change.

        Args:
            request: the parameters other than the ARN and the token.
            token: the client token.
            retry_until: the time until which it may be sent again after a transient error, by the loop's clock.

        Raises:
            CheckAgain: there was no answer, and the time has passed. The service may have started an execution.
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
            error.reason = redact(error.reason, [token])
            raise
        execution_id: str | None = answer.get("lifecycleExecutionId")
        # If the image already names this execution, the cached image includes its effect.
        named = self._cached_image.lifecycle_execution_id if self._cached_image else None
        self._cache_is_stale |= execution_id is None or execution_id != named
        return execution_id

    async def cancel(self, execution_id: str) -> None:
        """Request cancellation; resources that were changed stay changed."""
        # Always the same token, so that cancelling twice is cancelling once.
        token = derive_token(["cancel", execution_id])
        self._cache_is_stale = True
        await self._call("cancel_lifecycle_execution", lifecycleExecutionId=execution_id, clientToken=token)

    async def find_image(self, *, fresh: bool = False) -> Image:
        """Return the image, from the cache unless that is stale; :data:`GONE` if the service does not find it.

        Args:
            fresh: whether to read it now in any case, without waiting for other reads.
        """
        if fresh:
            return await self._get_image()
        if self._cached_image is not None and not self._cache_is_stale:
            return self._cached_image
        with self.progress.reading_result(is_last=self._cached_image is not None):
            reading = await self._barrier.read(self.arn, deleted=self._deleted, on_retry=self.progress.retrying)
        if reading.error:
            raise reading.error.with_action(self.progress.action)
        image = reading.image or await self._get_image()
        if self._cached_image is None:
            self._cached_image = image
        self._note_time(reading.as_of)
        return image

    async def is_gone(self, refusal: ServiceError) -> bool:
        """Return whether a start was refused because the image is gone, which a read may show later."""
        if refusal.code not in MAY_BE_ABSENT:
            return False
        if (await self.find_image(fresh=True)).state == IMAGE_GONE:
            return True
        await asyncio.sleep(IMAGE_LAG)
        return (await self.find_image(fresh=True)).state == IMAGE_GONE

    async def _get_image(self) -> Image:
        try:
            reading = await get_image(self._service, self.arn, self.progress.retrying)
        except ImageBuilderError as error:
            raise error.with_action(self.progress.action) from error.__cause__
        self._note_time(reading.as_of)
        assert reading.image is not None
        return reading.image

    async def executions(self) -> list[Execution]:
        """Return the executions that ``ListLifecycleExecutions`` lists for the image, in the service's order."""
        listed = [
            Execution.parse(execution)
            async for page in self._pages("list_lifecycle_executions", resourceArn=self.arn, maxResults=PAGE_SIZE)
            for execution in page["lifecycleExecutions"]
        ]
        # The cached image may lack the effect of executions that are under way, or ended about when it was read.
        settled = (self._began or _LONG_AGO) - SETTLED_AFTER
        self._cache_is_stale |= any(execution.ended is None or execution.ended >= settled for execution in listed)
        return listed

    async def executions_if_named(self) -> list[Execution]:
        """Return the image's executions; skip the call if the image record names none."""
        image = await self.find_image()
        return [] if image != GONE and image.lifecycle_execution_id is None else await self.executions()

    async def began_before_this_run(self, execution_id: str) -> bool:
        """Return whether an execution that was not listed began before this run's first call all the same."""
        return (await self._get_execution(execution_id)).sort_time < (self._began or _LONG_AGO)

    async def snapshot(self, execution_id: str, next_token: str | None = None) -> ExecutionSnapshot:
        """Return the state of an execution and one page of its resources under the image.

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
            maxResults=PAGE_SIZE,
            **({"nextToken": next_token} if next_token else {}),
        )
        state, resources = answer["lifecycleExecutionState"], answer.get("resources", [])
        self._cache_is_stale |= state["status"] in EXECUTION_UNFINISHED
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
        """Return all resources of an execution under the image: those of a snapshot, and of the pages after it."""
        found, snapshot = list(first.resources), first
        while snapshot.next_token:
            snapshot = await self.snapshot(execution_id, snapshot.next_token)
            found += snapshot.resources
        if self._deletes and first.status in EXECUTION_SUCCEEDED:
            self._deleted = all(resource["status"] in RESOURCE_SUCCEEDED for resource in found)
        return found

    async def find_record_entry(self, execution_id: str) -> dict[str, Any] | None:
        """Return the entry of the image record itself among an execution's resources; None if it is not listed yet."""
        parameters: dict[str, Any] = {"maxResults": PAGE_SIZE}
        while True:
            page = await self._call_for_execution("list_lifecycle_execution_resources", execution_id, **parameters)
            for resource in map(parse_resource, page.get("resources", [])):
                if resource["resource_id"] == self.arn:
                    return resource
            if not page.get("nextToken"):
                return None
            parameters["nextToken"] = page["nextToken"]

    async def find_action(self, execution_id: str) -> str | None:
        """Return what an execution does to the image record, as ``DEPRECATE``; None if that is not listed yet."""
        entry = await self.find_record_entry(execution_id)
        return entry["action"] if entry else None

    async def duration(self, execution_id: str) -> float:
        """Return the duration of an execution that has ended, in seconds, by the service's times."""
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
        """Return the result of an execution so far: times, reason, all resources under the image, and the image.

        Args:
            token: the client token that it is known by.
            execution_id: the execution.
            image: the image, if it has been read since. Default: it is read.
            snapshot: the last snapshot of the execution. Default: one is taken.

        Raises:
            ExecutionUnknown: the service does not know the execution.
        """
        snapshot = snapshot or await self.snapshot(execution_id)
        execution, resources = await self.describe(execution_id, snapshot)
        # Read the image after the execution: the state must not hold the image as it was before.
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
        """Return an execution from its snapshot; call GetLifecycleExecution only if the snapshot is not enough."""
        unfinished = snapshot.status in EXECUTION_UNFINISHED
        if snapshot.next_token or unfinished or not (snapshot.started and snapshot.ended):
            execution = await self._get_execution(execution_id)
        else:
            execution = Execution(
                execution_id, snapshot.status, snapshot.reason, started=snapshot.started, ended=snapshot.ended
            )
        if execution.status in EXECUTION_UNSUCCESSFUL and not execution.reason:
            entry = await self.find_record_entry(execution_id)
            execution = replace(execution, reason=entry["reason"] if entry else None)
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
            if error.code in MAY_BE_ABSENT:
                raise ExecutionUnknown(error.reason, action=error.action) from error
            raise

    async def _call(self, operation: str, on_retry: OnRetry | None = None, **parameters: Any) -> dict[str, Any]:
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
