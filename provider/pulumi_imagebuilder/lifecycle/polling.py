"""Decide when to poll lifecycle executions, and wait until they end."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import TypeVar

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

T = TypeVar("T")

_MIN_DELAY, _SHARE, _MAX_DELAY = 1.0, 0.1, 30.0

_PROBES, _MAX_PROBES, _EXECUTIONS_PER_PROBE = 3, 10, 30
"""How many executions of a schedule are polled within one poll delay: three, and of 120 or more up to ten."""

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


Member = object
"""One wait for an execution."""


class PollSchedule:
    """Decides when to poll executions that are awaited at the same time and take about equally long.

    Until the first has succeeded, they take turns: as many of them as there are probes are polled within one
    :func:`poll_delay`, evenly spaced, and one that hangs does not delay the others. Then every execution is polled when
    it is as old as the shortest one was at its end, and by the rule of :func:`poll_delay` from then on. So an execution
    that takes as long as expected costs one call and its end is noticed at once; a longer one is noticed by the rule;
    only a shorter one is noticed later. The schedule forgets these durations when no execution is awaited any more.
    """

    def __init__(self) -> None:
        self._members = 0
        self._reset()

    def _reset(self) -> None:
        self._waiting: dict[Member, asyncio.Future[None]] = {}
        """Who waits for the next poll, the next one first, and what wakes each."""
        self._polling: set[Member] = set()
        """Those that are being polled."""
        self._last_poll = self._youngest = -math.inf
        """When the last poll began, and when the youngest execution began, by the loop's clock."""
        self._shortest: dict[bool, float] = {}
        """The shortest duration of the executions that have succeeded (True) and of those that have not (False)."""
        self._end_counts = {True: 0, False: 0}
        self._reading_duration: set[bool] = set()

    @contextlib.contextmanager
    def membership(self) -> Iterator[Member]:
        """Take part in the schedule while an execution is awaited, which two resources may do for the same one."""
        self._members += 1
        member = object()
        try:
            yield member
        finally:
            self._members -= 1
            self._polling.discard(member)
            self._wake_next()
            if not self._members:
                self._reset()

    async def pause(self, member: Member, elapsed: float) -> None:
        """Wait until the next poll of an execution is due.

        Args:
            member: who waits for it.
            elapsed: seconds since it began, at the last poll; before the first one, now.
        """
        loop = asyncio.get_running_loop()
        since = loop.time()
        self._polling.discard(member)
        self._youngest = max(self._youngest, since - elapsed)
        self._waiting[member] = loop.create_future()
        self._wake_next()
        try:
            while (wait := self._due(member, elapsed, since) - loop.time()) > 0:
                sleeping = self._waiting[member] = loop.create_future()
                alarm = loop.call_later(wait, _wake, sleeping)
                try:
                    await sleeping
                finally:
                    alarm.cancel()
            self._polling.add(member)
            self._last_poll = loop.time()
        finally:
            del self._waiting[member]
            self._wake_next()

    def _due(self, member: Member, elapsed: float, since: float) -> float:
        """Return when the next poll of an execution is due, by the loop's clock.

        Args:
            member: who waits for it.
            elapsed: its age at the last poll.
            since: when that was.
        """
        ahead = [age for age in self._expected() if age > elapsed]
        if ahead:
            return since - elapsed + min(ahead)
        if True in self._shortest:
            return since + poll_delay(elapsed)
        probes = max(1, min(self._members, max(_PROBES, self._members // _EXECUTIONS_PER_PROBE), _MAX_PROBES))
        if member == next(iter(self._waiting)) and len(self._polling) < probes:
            last = max(self._last_poll, since)
            return last + poll_delay(last - self._youngest) / probes
        return since - elapsed + max(_FIRST_POLL, 2 * elapsed)

    async def ended(
        self, member: Member, status: str, elapsed: float, duration: Callable[[], Awaitable[float]]
    ) -> None:
        """Record that an execution has ended.

        The duration of the first, and of each shorter one, is read from the service: measured here it would be longer
        by up to one poll interval, and it is unknown for an execution that an earlier run started.

        Args:
            member: who waits for it.
            status: its final status.
            elapsed: seconds from its beginning to the poll that showed its end.
            duration: reads from the service how long it took, in seconds.
        """
        succeeded = status in EXECUTION_SUCCEEDED
        self._polling.discard(member)
        self._end_counts[succeeded] += 1
        if (
            succeeded not in self._reading_duration
            and elapsed < 0.9 * self._shortest.get(succeeded, math.inf)
            and self._waiting
        ):
            self._reading_duration.add(succeeded)
            try:
                self._shortest[succeeded] = min(await duration(), self._shortest.get(succeeded, math.inf))
            finally:
                self._reading_duration.discard(succeeded)
        for sleeping in self._waiting.values():
            _wake(sleeping)

    def _wake_next(self) -> None:
        """Wake the one whose turn is next, to compute again when its poll is due."""
        for sleeping in islice(self._waiting.values(), 1):
            _wake(sleeping)

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
    with schedule.membership() as member:
        return await _poll(client, schedule, member, execution_id, poll_first=poll_first, age=age)


async def _poll(
    client: ImageClient, schedule: PollSchedule, member: Member, execution_id: str, *, poll_first: bool, age: float
) -> ExecutionSnapshot:
    loop = asyncio.get_running_loop()
    began = loop.time() - age
    if not poll_first:
        await schedule.pause(member, age)
    while True:
        snapshot = await retry_while_unknown(client, execution_id, lambda: client.snapshot(execution_id))
        client.progress.update(snapshot)
        elapsed = loop.time() - began
        if snapshot.status not in EXECUTION_UNFINISHED:
            await schedule.ended(member, snapshot.status, elapsed, lambda: client.duration(execution_id))
            return snapshot
        await schedule.pause(member, elapsed)


async def retry_while_unknown(client: ImageClient, execution_id: str, read: Callable[[], Awaitable[T]]) -> T:
    """Return what a read of an execution returns; repeat it while reads may lag behind the execution's start.

    Args:
        client: the client of the image that the execution belongs to.
        execution_id: the execution.
        read: reads the execution; what it has done before it raises :class:`ExecutionUnknown` may be done again.

    Raises:
        ExecutionUnknown: the service does not know the execution, and has not for the consistency window.
    """
    loop = asyncio.get_running_loop()
    unknown_since: float | None = None
    while True:
        try:
            return await read()
        except ExecutionUnknown as error:
            # Not since the first read: its retries may have taken longer than the window.
            unknown_since = loop.time() if unknown_since is None else unknown_since
            waited = loop.time() - unknown_since
            if waited > CONSISTENCY_WINDOW:
                raise
            client.progress.note = f"lifecycle execution {execution_id} cannot be read yet: {error.reason}"
            await asyncio.sleep(poll_delay(waited))


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
    try:
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
    except ExecutionUnknown:
        # Any other error leaves it set: it may still be under way, which the message says.
        client.progress.execution_id = None
        raise
    client.progress.execution_id = None
    return snapshot
