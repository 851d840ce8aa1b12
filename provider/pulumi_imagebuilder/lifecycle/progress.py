"""What a waiting person is shown: one short line, and what has to be said when time runs out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..durations import clock
from .statuses import RESOURCE_DONE


@dataclass
class Progress:
    """How far one state update has come; written by the lifecycle, read by whoever shows it.

    Args:
        asked: what is being done, as errors begin: ``changing arn:… to DISABLED``.
        now: a monotonic clock, in seconds.
    """

    asked: str
    now: Callable[[], float] = time.monotonic
    status: str = "STARTING"
    execution_id: str | None = None
    in_the_way: str | None = None
    note: str | None = None
    _resources: tuple[int, int, bool] = (0, 0, False)
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.now()

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        return self.now() - self._began

    def saw(self, status: str, resources: Sequence[dict[str, Any]], *, more: bool) -> None:
        """Take in what a poll showed; ``more`` when the execution has more resources than were read."""
        done = sum(resource["status"] in RESOURCE_DONE for resource in resources)
        self.status, self.note, self._resources = status, None, (done, len(resources), more)

    def text(self) -> str:
        """The line: ``IN_PROGRESS 42s, 3 of 7 resources``."""
        done, total, more = self._resources
        counted = f", {done} of {total}{'+' if more else ''} resources" if total else ""
        noted = f" ({self.note})" if self.note else ""
        waiting = f"waiting for {self.in_the_way} of the same image to end: " if self.in_the_way else ""
        return f"{waiting}{self.status} {clock(self.elapsed)}{counted}{noted}"

    def out_of_time(self, limit: float) -> str:
        """What to say when the time limit, in seconds, has run out: what goes on, and what the next run will do."""
        told = f"{self.asked}: the time limit of {clock(limit)} ran out"
        longer = "or give it longer with custom_timeouts"
        if self.in_the_way:
            return f"{told} while waiting for lifecycle execution {self.in_the_way}, which has the image in use: " + (
                f"run `pulumi up` again once it has ended, {longer}"
            )
        if self.execution_id:
            return (
                f"{told} while lifecycle execution {self.execution_id} was {self.status}: it goes on, and the next "
                + (f"`pulumi up` goes on waiting for it; {longer}")
            )
        last = f" ({self.note})" if self.note else ""
        return f"{told} before the service answered{last}: the next `pulumi up` goes on from here"
