"""Run one task per image side by side, with shared reads and poll schedules."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import ImageBuilderError
from ..validation import ImageArn
from .client import ImageClient
from .entities import Image
from .images import ImageBatchReader, ReadBarrier
from .polling import PollSchedule
from .progress import FleetProgress, Progress
from .references import ReferenceSurvey

if TYPE_CHECKING:
    from ..aws.service import Service

T = TypeVar("T")

ImageTask = Callable[[ImageClient], Coroutine[Any, Any, T]]
"""Does the work for one image."""

_JOIN_DELAY = 0.1
"""Seconds that a single resource's read of its image waits for reads of other resources, to share a call."""


class RunContext:
    """What all resources of a run share: reads and poll schedules.

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
        """Read images with few calls; leave out those that may not be read."""
        readings = await self.reader.read(arns, on_retry=on_retry)
        return {arn: reading.image for arn, reading in readings.items() if reading.image is not None}

    def barrier(self, *, fleet: bool) -> ReadBarrier:
        """Return the barrier that joins reads: of one fleet's images, or of all single resources."""
        return ReadBarrier(self.reader) if fleet else self._single

    def schedule(self, arn: str, key: str) -> PollSchedule:
        """Return the poll schedule that executions with the same key share in the image's region.

        Args:
            arn: the image.
            key: equal for executions that take about equally long.
        """
        return self._schedules[ImageArn.parse(arn).region, key]


@dataclass
class Results(Generic[T]):
    """The results of tasks; filled in while they run, so that they can be read after a time-out too.

    Args:
        done: what each finished task returned, by the image's ARN.
        failed: the error of each failed task, by the image's ARN.
        progress: the progress of each image.
    """

    done: dict[str, T] = field(default_factory=dict)
    failed: dict[str, ImageBuilderError] = field(default_factory=dict)
    progress: dict[str, Progress] = field(default_factory=dict)


async def run_tasks(
    context: RunContext,
    tasks: Mapping[str, ImageTask[T]],
    results: Results[T],
    *,
    schedule_key: str,
    fleet: FleetProgress | None,
) -> None:
    """Run a task for each image, side by side; a failed task does not stop the others.

    Args:
        context: what all resources of the run share.
        tasks: the tasks by the image's ARN.
        results: filled in; ``progress`` already has an entry for each image.
        schedule_key: executions with the same key share a poll schedule.
        fleet: the progress of the fleet; None for a single resource.
    """
    if fleet:
        fleet.total, fleet.failures = len(tasks), results.failed
    barrier = context.barrier(fleet=fleet is not None)

    async def carry_out(arn: str) -> None:
        client = ImageClient(context.service, arn, results.progress[arn], barrier, context.schedule(arn, schedule_key))
        with barrier.membership():
            try:
                results.done[arn] = await tasks[arn](client)
                if fleet:
                    fleet.done += 1
            except ImageBuilderError as error:
                results.failed[arn] = error

    await asyncio.gather(*map(carry_out, tasks))
