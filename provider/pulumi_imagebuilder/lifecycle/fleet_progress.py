"""What a person who waits for a fleet is shown: one short line that counts its images."""

from __future__ import annotations

from ..durations import clock
from ..errors import ImageBuilderError
from .progress import Progress
from .reasons import grouped

_NOTED_FOR = 5.0
"""Seconds that it is told why a call was made again."""


class FleetProgress(Progress):
    """How far a fleet has come: ``143 of 200 done, 2 failed, 55 in progress, 48s``.

    Attributes:
        total: how many images there are.
        done: how many of them are done.
        ended: how many more have nothing going on any more; only their state is still to be read.
        failures: why images failed, by ARN.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.total = self.done = self.ended = 0
        self.failures: dict[str, ImageBuilderError] = {}
        self._noted_at = 0.0

    @property
    def counted(self) -> str:
        """The counts alone."""
        failed = f", {len(self.failures)} failed" if self.failures else ""
        done = self.done + self.ended
        left = self.total - done - len(self.failures)
        return f"{done} of {self.total} done{failed}{f', {left} in progress' if left else ''}"

    def text(self) -> str:
        """The line."""
        noted = f" ({self.note})" if self.note and self.elapsed - self._noted_at < _NOTED_FOR else ""
        return f"{self.counted}, {clock(self.elapsed)}{noted}"

    def state(self) -> tuple[object, ...]:
        """What is new when it changes."""
        return (self.done + self.ended, len(self.failures))

    def retrying(self, why: str) -> None:
        """Take in that a call for one of the images is made again, and why."""
        self.note, self._noted_at = why, self.elapsed

    def out_of_time(self, limit: float) -> str:
        """What to say when the time limit, in seconds, has run out."""
        failed = f"; {grouped(self.failures)}" if self.failures else ""
        return (
            f"{self.asked}: the time limit of {clock(limit)} ran out with {self.counted}{failed}; what is in progress "
            f"goes on, and {self.next_run} goes on from here; or give it longer with custom_timeouts"
        )


class MemberProgress(Progress):
    """How far one image of a fleet has come."""

    def __init__(self, asked: str, fleet: FleetProgress) -> None:
        super().__init__(asked, same_command=fleet.same_command)
        self._fleet = fleet

    def retrying(self, why: str) -> None:
        """Take in that a call is made again, and why: the fleet tells it."""
        super().retrying(why)
        self._fleet.retrying(why)
