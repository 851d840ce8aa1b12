"""Many images side by side: each goes the way of a single one, and what can be asked for all at once is.

What they share: a survey of the images before anything is asked, and one when all that goes on has ended; the rhythm
of looking at executions; and one pace of calls, which is the service's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from ..aws import Service
from ..errors import FleetFailed, ImageBuilderError
from .client import ImageClient, Look
from .fleet_progress import FleetProgress, MemberProgress
from .reasons import grouped
from .records import GONE, Execution, Image, instant
from .rhythm import SharedRhythm
from .statuses import EXECUTION_SUCCEEDED, EXECUTION_UNFINISHED, IMAGE_GONE, RESOURCE_SUCCEEDED
from .survey import Survey

T = TypeVar("T")

Work = Callable[[ImageClient], Coroutine[Any, Any, T]]
"""What is to be done for one image."""

_WORKING = "WORKING"
_SETTLES_IN = timedelta(minutes=1)
"""An image that was read so long after the end of an execution shows what it did; reading it again costs little."""


async def each(service: Service, progress: FleetProgress, asked: str, work: Mapping[str, Work[T]]) -> dict[str, T]:
    """Do something for each of many images, side by side; what fails for one does not stop the others.

    Args:
        service: where calls go.
        progress: what is being done.
        asked: what is being done for one of them, with ``{}`` for its ARN.
        work: what is to be done, by the image's ARN.

    Returns:
        What came of it, by ARN.

    Raises:
        FleetFailed: some failed; all others have been carried out.
        asyncio.CancelledError: the caller's time limit; ``progress`` holds how far it came.
    """
    progress.total, progress.status = len(work), _WORKING
    if not work:
        return {}
    fleet = _Fleet(service, progress)
    await fleet.survey(list(work))
    done: dict[str, T] = {}

    async def carry_out(arn: str) -> None:
        client = _Member(service, arn, MemberProgress(asked.format(arn), fleet=progress), fleet)
        try:
            done[arn] = await work[arn](client)
            progress.done += 1
        except ImageBuilderError as error:
            progress.failures[arn] = error
        finally:
            fleet.leave()

    await asyncio.gather(*map(carry_out, work))
    if progress.failures:
        raise FleetFailed(
            f"{progress.asked}: {progress.counted}; {grouped(progress.failures)}; mend the cause and run "
            f"{progress.command} again, which touches only what is not done"
        )
    return {arn: done[arn] for arn in work}


class _Fleet:
    """What the members share."""

    def __init__(self, service: Service, progress: FleetProgress) -> None:
        self.progress = progress
        self.rhythm = SharedRhythm(progress.total)
        self.images: dict[str, Image] = {}
        self._survey = Survey(service, progress)
        self._working = 0
        self._waiting: dict[str, asyncio.Future[Image | None]] = {}
        self._deleted: set[str] = set()
        self._reading: asyncio.Task[None] | None = None

    def began(self, region: str) -> datetime:
        """When this run began, by the clock of the service in a region; long ago where it has not answered yet."""
        return self._survey.began.get(region, datetime(1970, 1, 1, tzinfo=timezone.utc))

    async def survey(self, arns: list[str]) -> None:
        """Read all images before anything is asked for them; all are at work from then on."""
        self.images = await self._survey.read(arns)
        self._working = len(arns)

    async def image(self, arn: str, *, deleted: bool) -> Image | None:
        """An image as it stands once all others that are at work have come as far as this: then one survey tells all.

        None where it may not be read.

        Args:
            arn: the image.
            deleted: whether an execution has deleted it, with nothing left out.
        """
        waiting: asyncio.Future[Image | None] = asyncio.get_running_loop().create_future()
        self._waiting[arn] = waiting
        if deleted and self.images.get(arn, GONE) != GONE:
            self._deleted.add(arn)
        self.progress.ended += 1
        self.leave()
        try:
            image = await waiting
        except ImageBuilderError:
            self._resume()
            raise
        # Not where time runs out here: then it counts among those that are done.
        self._resume()
        return image

    def _resume(self) -> None:
        self.progress.ended -= 1
        self._working += 1

    def leave(self) -> None:
        """One is no longer at work: it is done, or waits for its image."""
        self._working -= 1
        if self._working == 0 and self._waiting:
            self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        waiting, self._waiting = self._waiting, {}
        try:
            images = await self._survey.read(waiting, deleted=self._deleted)
        except Exception as error:
            for future in waiting.values():
                if not future.done():
                    future.set_exception(error)
            return
        for arn, future in waiting.items():
            if not future.done():
                future.set_result(images.get(arn))


class _Member(ImageClient):
    """The calls that concern one image of a fleet, without those that the fleet makes for all."""

    def __init__(self, service: Service, arn: str, progress: MemberProgress, fleet: _Fleet) -> None:
        super().__init__(service, arn, progress)
        self.rhythm = fleet.rhythm
        self._fleet = fleet
        self._touched = False
        """Whether anything has gone on since the survey that may have changed the image."""
        self._deletes = self._deleted = False

    async def start(self, request: Mapping[str, Any], token: str) -> str | None:
        """As for one; what a known execution answers for has gone on before the survey."""
        execution_id = await super().start(request, token)
        known = self._fleet.images.get(self.arn, GONE).lifecycle_execution_id
        self._touched |= execution_id is None or execution_id != known
        self._deletes = request["state"]["status"] == IMAGE_GONE
        return execution_id

    async def look(self, execution_id: str, start: str | None = None) -> Look:
        """As for one."""
        look = await super().look(execution_id, start)
        self._touched |= look.status in EXECUTION_UNFINISHED
        all_done = look.more is None and all(each["status"] in RESOURCE_SUCCEEDED for each in look.resources)
        self._deleted = self._deletes and look.status in EXECUTION_SUCCEEDED and all_done
        return look

    async def find_image(self) -> Image:
        """From a survey: the first one as long as nothing has gone on since."""
        if self._touched:
            image = await self._fleet.image(self.arn, deleted=self._deleted)
        else:
            image = self._fleet.images.get(self.arn)
        return image or await super().find_image()

    async def executions(self) -> list[Execution]:
        """As for one; what goes on, or ended about when the images were read, may not have been seen in them yet."""
        listed = await super().executions()
        settled = str(instant(self._fleet.began(self._region) - _SETTLES_IN))
        self._touched |= any(each.end_time is None or each.end_time >= settled for each in listed)
        return listed

    async def executions_before(self) -> list[Execution]:
        """None are asked for where the image does not know of any."""
        image = self._fleet.images.get(self.arn, GONE)
        return [] if image != GONE and image.lifecycle_execution_id is None else await self.executions()

    async def began_before_this_run(self, execution_id: str) -> bool:
        """By the service's own clock: an image need not know of its executions."""
        return (await self.find_execution(execution_id)).age < self._fleet.began(self._region)

    async def execution(self, execution_id: str, look: Look) -> Execution:
        """As the look tells it: from the first change under the image to the last; asked for where it does not."""
        if look.more or look.status in EXECUTION_UNFINISHED or not (look.began and look.ended):
            return await self.find_execution(execution_id)
        times = instant(look.began), instant(look.ended)
        return Execution(execution_id, look.status, look.reason, *times, began=look.began)
