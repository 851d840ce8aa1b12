"""When to look at lifecycle executions, and the loops that wait until they end."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Iterator

from ..errors import ServiceError
from .client import ExecutionUnknown, ImageClient
from .entities import EXECUTION_CANCELLABLE, EXECUTION_SUCCEEDED, EXECUTION_UNFINISHED, ExecutionSnapshot

_MIN_DELAY, _SHARE, _MAX_DELAY = 1.0, 0.1, 30.0

_MAX_PROBES = 3
"""How many executions of a schedule are polled by the rule as long as none has ended."""

_FIRST_LOOK = 15.0
"""Seconds until the others are looked at if none has ended by then; after that at twice the time, and so on."""

_MARGIN = 0.05
"""Seconds after the moment that an end is expected at."""

CONSISTENCY_WINDOW = 30.0
"""Seconds that reads may lag behind writes: an execution or a change that cannot be seen for longer is not there."""


def poll_delay(elapsed: float) -> float:
    """Return the seconds until the next poll, so that an end is noticed within max(1 s, 10 % of the time it took).

    Args:
        elapsed: seconds waited so far.
    """
    # A tenth less than allowed: the poll itself takes time too.
    return 0.9 * min(max(_MIN_DELAY, _SHARE * elapsed), _MAX_DELAY)


class PollSchedule:
    """When to look at executions that are waited for at the same time and take about equally long.

    As long as none has ended well, a few of them (the probes) are polled by :func:`poll_delay`, in turn, so that one
    which hangs hides nothing. No other one is looked at before it has taken as long as the shortest so far; from then
    on by the rule. So an end that comes as expected costs one call and is noticed at once, one that comes later is
    noticed by the rule, and only one that comes before all others is noticed later. What was learned is forgotten when
    nothing is waited for any more.
    """

    def __init__(self) -> None:
        self._members = 0
        self._reset()

    def _reset(self) -> None:
        self._probes: dict[str, float] = {}
        """Those that are polled by the rule, and how old they were when their turn came."""
        self._queue: dict[str, float] = {}
        """The others, whose turn it is next first, and when each of them began, by the loop's clock."""
        self._shortest: dict[bool, float] = {}
        self._ends = {True: 0, False: 0}
        self._asking: set[bool] = set()
        self._sleeping: set[asyncio.Future[None]] = set()

    @contextlib.contextmanager
    def membership(self) -> Iterator[None]:
        """Take part in the schedule, as long as an execution is waited for."""
        self._members += 1
        try:
            yield
        finally:
            self._members -= 1
            if not self._members:
                self._reset()

    async def pause(self, execution_id: str, elapsed: float) -> None:
        """Wait until the next look at an execution is due, by what is known then.

        Args:
            execution_id: the execution.
            elapsed: seconds since it began, at the last look or, before the first one, now.
        """
        loop = asyncio.get_running_loop()
        began = loop.time() - elapsed
        self._probes.pop(execution_id, None)
        self._queue[execution_id] = began
        try:
            self._appoint(loop.time())
            while (wait := self.due(execution_id, elapsed) + began - loop.time()) > 0:
                await self._news_or(wait)
        except asyncio.CancelledError:
            self._leave(execution_id)
            raise
        self._queue.pop(execution_id, None)

    def due(self, execution_id: str, elapsed: float) -> float:
        """Return how old an execution is to be at the next look, in seconds.

        Args:
            execution_id: the execution.
            elapsed: how old it was at the last look.
        """
        ahead = [moment for moment in self._expected() if moment > elapsed]
        if ahead:
            return min(ahead)
        if True in self._shortest:
            return elapsed + poll_delay(elapsed)
        if execution_id in self._probes:
            turn = max(elapsed, self._probes[execution_id])
            return turn + poll_delay(turn)
        return max(_FIRST_LOOK, 2 * elapsed)

    async def ended(
        self, execution_id: str, status: str, elapsed: float, duration: Callable[[], Awaitable[float]]
    ) -> None:
        """Take in that an execution has ended.

        How long the first and those quicker took is asked of the service: our own time from start to look is longer
        by a poll's interval, and says nothing of an execution that an earlier run started.

        Args:
            execution_id: the execution.
            status: its final status.
            elapsed: seconds from its beginning to the look that showed the end.
            duration: asks the service how long it took, in seconds.
        """
        well = status in EXECUTION_SUCCEEDED
        self._probes.pop(execution_id, None)
        self._ends[well] += 1
        if well not in self._asking and elapsed < 0.9 * self._shortest.get(well, math.inf) and self._queue:
            self._asking.add(well)
            try:
                self._shortest[well] = min(await duration(), self._shortest.get(well, math.inf))
            finally:
                self._asking.discard(well)
        self._appoint(asyncio.get_running_loop().time())
        self._notify()

    def _leave(self, execution_id: str) -> None:
        """Forget an execution that is no longer waited for; its turn goes to the next."""
        self._queue.pop(execution_id, None)
        if self._probes.pop(execution_id, None) is not None:
            self._appoint(asyncio.get_running_loop().time())
            self._notify()

    def _appoint(self, now: float) -> None:
        """Give the turn to those who have waited for it longest."""
        while True not in self._shortest and len(self._probes) < _MAX_PROBES and self._queue:
            execution_id = next(iter(self._queue))
            self._probes[execution_id] = now - self._queue.pop(execution_id)
            self._notify()

    def _notify(self) -> None:
        """Let all that wait look again at what they wait for."""
        for sleeping in self._sleeping:
            _wake(sleeping)
        self._sleeping.clear()

    async def _news_or(self, seconds: float) -> None:
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
        """Return the ages at which ends are expected; failures count only where they are the rule."""
        kinds = [well for well in self._shortest if well or self._ends[False] >= self._ends[True]]
        return [self._shortest[well] + _MARGIN for well in kinds]


def _wake(sleeping: asyncio.Future[None]) -> None:
    if not sleeping.done():
        sleeping.set_result(None)


async def wait_until_ended(
    client: ImageClient, execution_id: str, *, look_first: bool = True, age: float = 0.0, shared: bool = False
) -> ExecutionSnapshot:
    """Wait until an execution ends, one call per look.

    An execution that the service does not know is looked for again while reads may lag behind its start.

    Args:
        client: the client of the image that the execution belongs to.
        execution_id: the execution.
        look_first: whether to look before the first pause; not worth a call where it has just been started.
        age: seconds since it began.
        shared: whether the client's poll schedule applies, which executions of the same change share. Default: the
            rule for one execution.

    Returns:
        The snapshot that showed the end.

    Raises:
        ExecutionUnknown: the service does not know the execution, and has not for the consistency window.
    """
    schedule = client.schedule if shared else PollSchedule()
    with schedule.membership():
        return await _poll(client, schedule, execution_id, look_first=look_first, age=age)


async def _poll(
    client: ImageClient, schedule: PollSchedule, execution_id: str, *, look_first: bool, age: float
) -> ExecutionSnapshot:
    loop = asyncio.get_running_loop()
    began = loop.time() - age
    unknown_since: float | None = None
    if not look_first:
        await schedule.pause(execution_id, age)
    while True:
        try:
            snapshot = await client.snapshot(execution_id)
        except ExecutionUnknown as error:
            unknown_since = loop.time() if unknown_since is None else unknown_since
            if loop.time() - unknown_since > CONSISTENCY_WINDOW:
                raise
            client.progress.note = f"lifecycle execution {execution_id} cannot be read yet: {error.reason}"
            await asyncio.sleep(poll_delay(loop.time() - unknown_since))
            continue
        unknown_since = None
        client.progress.update(snapshot)
        elapsed = loop.time() - began
        if snapshot.status not in EXECUTION_UNFINISHED:
            await schedule.ended(execution_id, snapshot.status, elapsed, lambda: client.duration(execution_id))
            return snapshot
        await schedule.pause(execution_id, elapsed)


async def cancel_and_wait(client: ImageClient, execution_id: str) -> ExecutionSnapshot:
    """Cancel an execution and wait until it is cancelled, or has ended before that.

    Safe to repeat: an execution that has ended is left as it is. A cancellation that the service refuses for a moment
    is asked for again.

    Raises:
        ExecutionUnknown: the service does not know the execution.
        ServiceError: the service refused, and not because the execution has ended meanwhile.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    snapshot = await client.snapshot(execution_id)
    client.progress.execution_id = execution_id
    while snapshot.status in EXECUTION_CANCELLABLE:
        try:
            await client.cancel(execution_id)
            break
        except ServiceError as error:
            snapshot = await client.snapshot(execution_id)
            if snapshot.status in EXECUTION_CANCELLABLE and error.code != "ResourceInUseException":
                raise
            client.progress.note = f"cancelling lifecycle execution {execution_id} again: {error.reason}"
        await asyncio.sleep(poll_delay(loop.time() - began))
    if snapshot.status in EXECUTION_UNFINISHED:
        snapshot = await wait_until_ended(client, execution_id)
    client.progress.execution_id = None
    return snapshot
