"""What a waiting person is shown: one short line, and what has to be said when time runs out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..durations import clock
from .statuses import EXECUTION_ENDED_BADLY, EXECUTION_SUCCEEDED, RESOURCE_DONE

STARTING = "STARTING"
"""The status as long as the service has told none."""


@dataclass
class Progress:
    """How far one state update has come; written by the lifecycle, read by whoever shows it.

    Args:
        asked: what is being done, as errors begin: ``changing arn:… to DISABLED``.
        same_command: whether only the same command goes on with it after an error, and not any `pulumi up`.
        now: a monotonic clock, in seconds.
    """

    asked: str
    same_command: bool = False
    now: Callable[[], float] = time.monotonic
    status: str = STARTING
    execution_id: str | None = None
    in_the_way: str | None = None
    unsettled: str | None = None
    note: str | None = None
    _resources: tuple[int, int, bool] = (0, 0, False)
    _began: float = field(init=False)
    _told: tuple[object, ...] = ()
    _tell_again: float = 0

    def __post_init__(self) -> None:
        self._began = self.now()

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        return self.now() - self._began

    @property
    def command(self) -> str:
        """What a person is told to run again."""
        return "the same command" if self.same_command else "`pulumi up`"

    @property
    def next_run(self) -> str:
        """What goes on with it after an error."""
        return self.command if self.same_command else f"the next {self.command}"

    def saw(self, status: str, resources: Sequence[dict[str, Any]], *, more: bool) -> None:
        """Take in what a poll showed; ``more`` when the execution has more resources than were read."""
        done = sum(resource["status"] in RESOURCE_DONE for resource in resources)
        self.status, self.note, self._resources = status, None, (done, len(resources), more)

    def retrying(self, why: str) -> None:
        """Take in that a call is made again, and why."""
        self.note = why

    def text(self) -> str:
        """The line: ``IN_PROGRESS 42s, 3 of 7 resources``."""
        done, total, more = self._resources
        counted = f", {done} of {total}{'+' if more else ''} resources" if total else ""
        noted = f" ({self.note})" if self.note else ""
        waiting = f"waiting for {self.in_the_way} of the same image to end: " if self.in_the_way else ""
        if self.unsettled:
            return f"waiting for the image to be built: {self.unsettled} {clock(self.elapsed)}{noted}"
        return f"{waiting}{self.status} {clock(self.elapsed)}{counted}{noted}"

    def state(self) -> tuple[object, ...]:
        """What is new when it changes."""
        return (self.status, self.note, self.in_the_way, self.unsettled, self._resources)

    def news(self) -> str | None:
        """The line if it is worth a line in a log: something is new, or half as much time again has passed.

        So the first minute of a wait has some ten lines in a log, and each minute after it has one.
        """
        shown = self.state()
        if shown == self._told and self.elapsed < self._tell_again:
            return None
        self._told, self._tell_again = shown, min(1.5 * self.elapsed, self.elapsed + 60)
        return self.text()

    def out_of_time(self, limit: float) -> str:
        """What to say when the time limit, in seconds, has run out: what goes on, and what the next run will do."""
        told = f"{self.asked}: the time limit of {clock(limit)} ran out"
        longer = "or give it longer with custom_timeouts"
        if self.unsettled:
            return (
                f"{told} while the image was still {self.unsettled}: "
                f"run {self.command} again once it is built, {longer}"
            )
        if self.in_the_way:
            return f"{told} while waiting for lifecycle execution {self.in_the_way}, which has the image in use: " + (
                f"run {self.command} again once it has ended, {longer}"
            )
        if self.execution_id and self.status in EXECUTION_SUCCEEDED | EXECUTION_ENDED_BADLY:
            return (
                f"{told} while it was read how lifecycle execution {self.execution_id} ended, which was as "
                f"{self.status}: {self.next_run} goes on from here"
            )
        if self.execution_id:
            return f"{told} while lifecycle execution {self.execution_id} was {self.status}: it goes on, and " + (
                f"{self.next_run} goes on waiting for it; {longer}"
            )
        last = f" ({self.note})" if self.note else ""
        return f"{told} before the service answered{last}: {self.next_run} goes on from here"
