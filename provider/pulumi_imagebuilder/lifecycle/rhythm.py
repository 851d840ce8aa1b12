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

    As long as none has ended well, the rule holds for a few of them in turn, so that one which hangs hides nothing.
    Then no other one is looked at before it has taken as long as the shortest so far; from then on by the rule. So an
    end that comes as expected costs one look and is noticed at once, one that comes later is noticed by the rule, and
    only one that comes before all others is noticed later.

    Args:
        members: how many executions there will be.
    """

    def __init__(self, members: int) -> None:
        self._most_scouts = max(1, min(_MOST_SCOUTS, members // _FOR_EACH_SCOUT))
        self._scouts: dict[str, float] = {}
        """Those that the rule holds for, and how old they were when their turn came."""
        self._queue: dict[str, float] = {}
        """The others, whose turn it is next first, and when each of them began, by the loop's clock."""
        self._shortest: dict[bool, float] = {}
        self._ends = {True: 0, False: 0}
        self._asking: set[bool] = set()
        self._sleeping: set[asyncio.Future[None]] = set()

    async def pause(self, execution_id: str, elapsed: float) -> None:
        """Wait until the next look is due, by what is known then."""
        loop = asyncio.get_running_loop()
        began = loop.time() - elapsed
        self._scouts.pop(execution_id, None)
        self._queue[execution_id] = began
        self._appoint(loop.time())
        while (wait := self.due(execution_id, elapsed) + began - loop.time()) > 0:
            await self._news_or(wait)
        self._queue.pop(execution_id, None)

    def due(self, execution_id: str, elapsed: float) -> float:
        """How old an execution is to be at the next look, in seconds.

        Args:
            execution_id: what is looked at.
            elapsed: how old it was at the last look.
        """
        ahead = [moment for moment in self._expected() if moment > elapsed]
        if ahead:
            return min(ahead)
        if True in self._shortest:
            return elapsed + poll_delay(elapsed)
        if execution_id in self._scouts:
            turn = max(elapsed, self._scouts[execution_id])
            return turn + poll_delay(turn)
        return max(_FIRST_LOOK, 2 * elapsed)

    async def ended(self, execution_id: str, status: str, elapsed: float, took: Callable[[], Awaitable[float]]) -> None:
        """Take in that an execution has ended; how long the first and those quicker took is asked of the service.

        Our own time from start to look is longer by a poll's interval, and says nothing of an execution that a run
        before this one started.
        """
        well = status in EXECUTION_SUCCEEDED
        self._scouts.pop(execution_id, None)
        self._ends[well] += 1
        if well not in self._asking and elapsed < 0.9 * self._shortest.get(well, math.inf):
            self._asking.add(well)
            try:
                self._shortest[well] = min(await took(), self._shortest.get(well, math.inf))
            finally:
                self._asking.discard(well)
        self._appoint(asyncio.get_running_loop().time())
        self._tell()

    def _appoint(self, now: float) -> None:
        """Give the turn to those who have waited for it longest."""
        while True not in self._shortest and len(self._scouts) < self._most_scouts and self._queue:
            execution_id = next(iter(self._queue))
            self._scouts[execution_id] = now - self._queue.pop(execution_id)
            self._tell()

    def _tell(self) -> None:
        """Let all that wait look again at what they wait for."""
        for sleeping in self._sleeping:
            _wake(sleeping)
        self._sleeping.clear()

    async def _news_or(self, seconds: float) -> None:
        # Not `asyncio.wait_for`: before Python 3.12 it loses a cancellation that comes in the same moment as the news.
        loop = asyncio.get_running_loop()
        sleeping = loop.create_future()
        self._sleeping.add(sleeping)
        alarm = loop.call_later(seconds, _wake, sleeping)
        try:
            await sleeping
        finally:
            alarm.cancel()
            self._sleeping.discard(sleeping)

    def _expected(self) -> list[float]:
        """The ages at which ends are expected: a failure mostly comes sooner, but counts only where it is the rule."""
        kinds = [well for well in self._shortest if well or self._ends[False] >= self._ends[True]]
        return [self._shortest[well] + _AFTER for well in kinds]


def _wake(sleeping: asyncio.Future[None]) -> None:
    if not sleeping.done():
        sleeping.set_result(None)
