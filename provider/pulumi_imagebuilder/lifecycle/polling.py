"""Decide when to poll lifecycle executions, and wait until they end."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Iterator

from ..errors import ServiceError
from .client import ExecutionUnknown, ImageClient
from .entities import (
    CONSISTENCY_WINDOW,
    EXECUTION_CANCELLABLE,
    EXECUTION_SUCCEEDED,
    EXECUTION_UNFINISHED,
    RESOURCE_IN_USE,
    ExecutionSnapshot,
)

_MIN_DELAY, _SHARE, _MAX_DELAY = 1.0, 0.1, 30.0

_MAX_PROBES = 3
"""How many executions of a schedule are polled by the rule as long as none has ended."""

_FIRST_POLL = 15.0
"""Seconds until the others are polled if none has ended by then; then at twice that age, and so on."""

_MARGIN = 0.05
"""Seconds after the expected end at which an execution is polled."""


def poll_delay(elapsed: float) -> float:
    """Return the seconds until the next poll, so that an end is noticed within max(1 s, 10 % of the time it took).

    Args:
        elapsed: seconds waited so far.
    """
    # A tenth less than allowed: the poll itself takes time too.
    return 0.9 * min(max(_MIN_DELAY, _SHARE * elapsed), _MAX_DELAY)


class PollSchedule:
    """Decides when to poll executions that are awaited at the same time and take about equally long.

    Until the first has succeeded, a few of them (the probes) are polled by the rule of :func:`poll_delay`. The probes
    take turns, so that one which hangs does not delay the others. Every other execution is polled when it is as old as
    the shortest one was at its end, and by the rule from then on. So an execution that takes as long as expected costs
    one call and its end is noticed at once; a longer one is noticed by the rule; only a shorter one is noticed later.
    The schedule forgets these durations when no execution is awaited any more.
    """

    def __init__(self) -> None:
        self._members = 0
        self._reset()

    def _reset(self) -> None:
        self._probes: dict[str, float] = {}
        """The executions that are polled by the rule, and the age of each at its next poll."""
        self._polled = False
        """Whether a probe has been polled."""
        self._queue: dict[str, float] = {}
        """The others, the next probe first, and when each began, by the loop's clock."""
        self._shortest: dict[bool, float] = {}
        """The shortest duration of the executions that have succeeded (True) and of those that have not (False)."""
        self._end_counts = {True: 0, False: 0}
        self._reading_duration: set[bool] = set()
        self._sleeping: set[asyncio.Future[None]] = set()

    @contextlib.contextmanager
    def membership(self) -> Iterator[None]:
        """Take part in the schedule while an execution is awaited."""
        self._members += 1
        try:
            yield
        finally:
            self._members -= 1
            if not self._members:
                self._reset()

    async def pause(self, execution_id: str, elapsed: float) -> None:
        """Wait until the next poll of an execution is due.

        Args:
            execution_id: the execution.
            elapsed: seconds since it began, at the last poll; before the first one, now.
        """
        loop = asyncio.get_running_loop()
        began = loop.time() - elapsed
        self._polled |= self._probes.pop(execution_id, None) is not None
        self._queue[execution_id] = began
        try:
            self._promote_probes(loop.time())
            while (wait := self.due(execution_id, elapsed) + began - loop.time()) > 0:
                await self._sleep_until_notified(wait)
        except asyncio.CancelledError:
            self._leave(execution_id)
            raise
        self._queue.pop(execution_id, None)

    def due(self, execution_id: str, elapsed: float) -> float:
        """Return the age of an execution at which the next poll is due, in seconds.

        Args:
            execution_id: the execution.
            elapsed: its age at the last poll.
        """
        ahead = [moment for moment in self._expected() if moment > elapsed]
        if ahead:
            return min(ahead)
        if True in self._shortest:
            return elapsed + poll_delay(elapsed)
        if execution_id in self._probes:
            return self._probes[execution_id]
        return max(_FIRST_POLL, 2 * elapsed)

    async def ended(
        self, execution_id: str, status: str, elapsed: float, duration: Callable[[], Awaitable[float]]
    ) -> None:
        """Record that an execution has ended.

        The duration of the first, and of each shorter one, is read from the service: measured here it would be longer
        by up to one poll interval, and it is unknown for an execution that an earlier run started.

        Args:
            execution_id: the execution.
            status: its final status.
            elapsed: seconds from its beginning to the poll that showed its end.
            duration: reads from the service how long it took, in seconds.
        """
        succeeded = status in EXECUTION_SUCCEEDED
        self._probes.pop(execution_id, None)
        self._end_counts[succeeded] += 1
        if (
            succeeded not in self._reading_duration
            and elapsed < 0.9 * self._shortest.get(succeeded, math.inf)
            and self._queue
        ):
            self._reading_duration.add(succeeded)
            try:
                self._shortest[succeeded] = min(await duration(), self._shortest.get(succeeded, math.inf))
            finally:
                self._reading_duration.discard(succeeded)
        self._promote_probes(asyncio.get_running_loop().time())
        self._notify()

    def _leave(self, execution_id: str) -> None:
        """Forget an execution that is no longer awaited; if it was a probe, promote another."""
        self._queue.pop(execution_id, None)
        if self._probes.pop(execution_id, None) is not None:
            self._promote_probes(asyncio.get_running_loop().time())
            self._notify()

    def _promote_probes(self, now: float) -> None:
        """Make probes of those that have waited longest, while there are too few."""
        while True not in self._shortest and len(self._probes) < _MAX_PROBES and self._queue:
            execution_id = next(iter(self._queue))
            age = now - self._queue.pop(execution_id)
            # The first ones are polled one after the other, so that an end shows to one of them sooner than to all.
            share = 1.0 if self._polled else 1 - len(self._probes) / _MAX_PROBES
            self._probes[execution_id] = age + share * poll_delay(age)
            self._notify()

    def _notify(self) -> None:
        """Wake all that sleep, so that they compute again when their poll is due."""
        for sleeping in self._sleeping:
            _wake(sleeping)
        self._sleeping.clear()

    async def _sleep_until_notified(self, seconds: float) -> None:
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
        kinds = [
            succeeded for succeeded in self._shortest if succeeded or self._end_counts[False] >= self._end_counts[True]
        ]
        return [self._shortest[succeeded] + _MARGIN for succeeded in kinds]


def _wake(sleeping: asyncio.Future[None]) -> None:
    if not sleeping.done():
        sleeping.set_result(None)


async def wait_until_ended(
    client: ImageClient, execution_id: str, *, poll_first: bool = True, age: float = 0.0, shared: bool = False
) -> ExecutionSnapshot:
    """Wait until an execution ends, with one call per poll.

    An execution that the service does not know is polled again while reads may lag behind its start.

    Args:
        client: the client of the image that the execution belongs to.
        execution_id: the execution.
        poll_first: whether to poll before the first pause; not worth a call if it has just been started.
        age: seconds since it began.
        shared: whether to use the client's poll schedule, which executions of the same change share. Default: the rule
            for one execution.

    Returns:
        The snapshot that showed the end.

    Raises:
        ExecutionUnknown: the service does not know the execution, and has not for the consistency window.
    """
    schedule = client.schedule if shared else PollSchedule()
    with schedule.membership():
        return await _poll(client, schedule, execution_id, poll_first=poll_first, age=age)


async def _poll(
    client: ImageClient, schedule: PollSchedule, execution_id: str, *, poll_first: bool, age: float
) -> ExecutionSnapshot:
    loop = asyncio.get_running_loop()
    began = loop.time() - age
    unknown_since: float | None = None
    if not poll_first:
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

    Safe to repeat: an execution that has ended stays as it is. A cancellation that the service refuses because the
    execution is in use is requested again.

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
            if snapshot.status in EXECUTION_CANCELLABLE and error.code != RESOURCE_IN_USE:
                raise
            client.progress.note = f"cancelling lifecycle execution {execution_id} again: {error.reason}"
        await asyncio.sleep(poll_delay(loop.time() - began))
    if snapshot.status in EXECUTION_UNFINISHED:
        snapshot = await wait_until_ended(client, execution_id)
    client.progress.execution_id = None
    return snapshot
