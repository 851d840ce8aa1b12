"""Many images side by side: each goes the way of a single one, and what can be asked for all at once is."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ..aws import Service
from ..errors import ImageBuilderError
from ..validation import ImageArn
from .client import ImageClient
from .entities import Image
from .images import ImageBatchReader, ReadBarrier
from .polling import PollSchedule
from .progress import FleetProgress, Progress
from .references import ReferenceSurvey

T = TypeVar("T")

ImageTask = Callable[[ImageClient], Coroutine[Any, Any, T]]
"""What is to be done for one image."""

_JOIN_DELAY = 0.1
"""Seconds that a single resource's read of its image waits for those of others."""


class Session:
    """What all resources of a run share, whether they declare one image or many: reads, and when to poll.

    Args:
        service: where calls go.
        now: a monotonic clock, in seconds.
    """

    def __init__(self, service: Service, now: Callable[[], float] = time.monotonic) -> None:
        self.service = service
        self.reader = ImageBatchReader(service)
        self.references = ReferenceSurvey(service, read_images=self._read_images, clock=now)
        self._single = ReadBarrier(self.reader, _JOIN_DELAY)
        self._schedules: defaultdict[tuple[str, str], PollSchedule] = defaultdict(PollSchedule)

    async def _read_images(self, arns: Sequence[str], on_retry: Callable[[str], None]) -> dict[str, Image]:
        """Read images with few calls; without those that may not be read."""
        readings = await self.reader.read(arns, on_retry=on_retry)
        return {arn: reading.image for arn, reading in readings.items() if reading.image is not None}

    def barrier(self, *, fleet: bool) -> ReadBarrier:
        """Return what joins reads: of a fleet's images alone, for they end together; or of all single resources."""
        return ReadBarrier(self.reader) if fleet else self._single

    def schedule(self, arn: str, kind: str) -> PollSchedule:
        """Return the poll schedule of executions that take about equally long.

        Args:
            arn: the image.
            kind: what is done to it.
        """
        return self._schedules[ImageArn.parse(arn).region, kind]


@dataclass
class Results(Generic[T]):
    """How far tasks have come; filled in while they run, so that it can be read after a time limit too.

    Args:
        done: what came of a task, by the image's ARN.
        failed: why a task failed, by the image's ARN.
        progress: how far each image has come.
    """

    done: dict[str, T] = field(default_factory=dict)
    failed: dict[str, ImageBuilderError] = field(default_factory=dict)
    progress: dict[str, Progress] = field(default_factory=dict)


async def run_all(
    session: Session, tasks: Mapping[str, ImageTask[T]], results: Results[T], *, kind: str, fleet: FleetProgress | None
) -> None:
    """Carry out a task for each of some images, side by side; what fails for one does not stop the others.

    Args:
        session: what they share with other resources.
        tasks: the tasks by the image's ARN.
        results: what came of them; ``progress`` has one for each image.
        kind: what they do: those of the same kind share a poll schedule.
        fleet: the progress of the fleet; None for a single resource.
    """
    if fleet:
        fleet.total, fleet.failures = len(tasks), results.failed
    barrier = session.barrier(fleet=fleet is not None)

    async def carry_out(arn: str) -> None:
        client = ImageClient(session.service, arn, results.progress[arn], barrier, session.schedule(arn, kind))
        with barrier.membership():
            try:
                results.done[arn] = await tasks[arn](client)
                if fleet:
                    fleet.done += 1
            except ImageBuilderError as error:
                results.failed[arn] = error

    await asyncio.gather(*map(carry_out, tasks))
