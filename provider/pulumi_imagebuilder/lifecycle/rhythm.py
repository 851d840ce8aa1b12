"""When to look at an execution again: by the rule for one that is alone, by what is known of the others in a fleet."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from .statuses import EXECUTION_SUCCEEDED

_SHORTEST, _SHARE, _LONGEST = 1.0, 0.1, 30.0

_MOST_SCOUTS, _FOR_EACH_SCOUT = 3, 30
"""How many executions of a fleet are looked at by the rule as long as none has ended: one at least, one more for so
many others."""

_FIRST_LOOK = 15.0
"""Seconds until the others are looked at if none has ended by then; after that at twice the time, and so on."""

_AFTER = 0.05
"""Seconds after the moment that an end is expected at."""


def poll_delay(elapsed: float) -> float:
    """Seconds until the next poll, so that an end is noticed within max(1 s, 10 % of the time it took).

    Args:
        elapsed: seconds waited so far.
    """
    # A tenth less than allowed: the poll itself takes time too.
    return 0.9 * min(max(_SHORTEST, _SHARE * elapsed), _LONGEST)


class Rhythm:
    """The rule for one execution: it alone tells when to look again."""

    async def pause(self, execution_id: str, elapsed: float) -> None:
        """Wait until the next look is due.

        Args:
            execution_id: what is looked at.
            elapsed: seconds since it began, at the last look or, before the first one, now.
        """
        await asyncio.sleep(poll_delay(elapsed))

    async def ended(self, execution_id: str, status: str, elapsed: float, took: Callable[[], Awaitable[float]]) -> None:
        """Take in that an execution has ended.

        Args:
            execution_id: what was looked at.
            status: what it ended as.
            elapsed: seconds from its beginning to the look that showed the end.
            took: asks the service how long it took, in seconds.
        """


class SharedRhythm(Rhythm):
    """For executions of one fleet, which take about equally long: the first to end tell when to look at the others.

    A few are looked at by the rule. Once one of them has ended, no other one is looked at before it has taken as long
    as the shortest so far; from then on by the rule. So an end that comes as expected costs one look and is noticed at
    once, one that comes later is noticed by the rule, and only one that comes before all others is noticed later.

    Args:
        members: how many executions there will be.
    """

    def __init__(self, members: int) -> None:
        self._most_scouts = max(1, min(_MOST_SCOUTS, members // _FOR_EACH_SCOUT))
        self._scouts: set[str] = set()
        self._shortest: dict[bool, float] = {}
        self._ends = {True: 0, False: 0}
        self._asking: set[bool] = set()
        self._news = asyncio.Event()

    async def pause(self, execution_id: str, elapsed: float) -> None:
        """Wait until the next look is due, by what is known then."""
        if not self._shortest and len(self._scouts) < self._most_scouts:
            self._scouts.add(execution_id)
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (wait := self.due(execution_id, elapsed) - elapsed - (loop.time() - began)) > 0:
            news = self._news
            try:
                await asyncio.wait_for(news.wait(), wait)
            except asyncio.TimeoutError:
                return

    def due(self, execution_id: str, elapsed: float) -> float:
        """How old an execution is to be at the next look, in seconds.

        Args:
            execution_id: what is looked at.
            elapsed: how old it was at the last look.
        """
        expected = self._expected()
        ahead = [moment for moment in expected if moment > elapsed]
        if ahead:
            return min(ahead)
        if expected or execution_id in self._scouts:
            return elapsed + poll_delay(elapsed)
        return max(_FIRST_LOOK, 2 * elapsed)

    async def ended(self, execution_id: str, status: str, elapsed: float, took: Callable[[], Awaitable[float]]) -> None:
        """Take in that an execution has ended; how long the first and those quicker took is asked of the service.

        Our own time from start to look is longer by a poll's interval, and says nothing of an execution that a run
        before this one started.
        """
        well = status in EXECUTION_SUCCEEDED
        self._scouts.discard(execution_id)
        self._ends[well] += 1
        if well not in self._asking and elapsed < 0.9 * self._shortest.get(well, math.inf):
            self._asking.add(well)
            try:
                self._shortest[well] = min(await took(), self._shortest.get(well, math.inf))
            finally:
                self._asking.discard(well)
        self._news.set()
        self._news = asyncio.Event()

    def _expected(self) -> list[float]:
        """The ages at which ends are expected: a failure mostly comes sooner, but counts only where it is the rule."""
        kinds = [well for well in self._shortest if well or self._ends[False] >= self._ends[True]]
        return [self._shortest[well] + _AFTER for well in kinds]
