"""How fast calls go out: as fast as the service lets them through, evenly, and slower at once when it says so.

boto3's own adaptive mode does the same for the codes it knows; Image Builder's ``CallRateLimitExceededException`` is
not among them, and its model does not mark it either.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable

_FIRST, _MOST, _LEAST = 50.0, 2000.0, 1.0
"""Calls a second: at the start, beyond which nothing is held back, and how few there are at least."""

_WINDOW = 1.0
"""Seconds over which is measured what comes through; no two steps down are closer, for refusals come in groups."""

_GROWTH_AT_FIRST, _STEP_AT_FIRST = 2.0, 0.3
_GROWTH_NEAR, _GROWTH_FAR, _NEAR = 1.05, 1.25, 10.0
"""Up by a factor in each silent step: doubled until the service refuses for the first time; then near what it let
through, and after so many silent seconds faster again."""


class Pace:
    """The pace of the calls to one region, shared by all threads and event loops of the process.

    Args:
        now: a monotonic clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._rate = _FIRST
        self._next = now()
        self._passed: deque[float] = deque()
        self._refused_at: float | None = None
        self._stepped_at = now()
        self._lock = threading.Lock()
        self._lines: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = weakref.WeakKeyDictionary()

    @property
    def rate(self) -> float:
        """Calls a second, at most."""
        return self._rate

    async def turn(self) -> None:
        """Wait until a call may go out; first come, first served."""
        with self._lock:
            line = self._lines.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        async with line:
            while wait := self.take():
                await asyncio.sleep(wait)

    def take(self) -> float:
        """Take the next turn, if it has come: 0; else the seconds until it comes."""
        with self._lock:
            now = self._now()
            if now < self._next:
                return self._next - now
            # A turn that came a moment late does not put off those after it; longer silence is not saved up.
            self._next = max(self._next, now - 1 / self._rate) + 1 / self._rate
            return 0.0

    def passed(self) -> None:
        """The service answered: after some silence, faster."""
        with self._lock:
            now = self._now()
            self._forget(now)
            self._passed.append(now)
            step, growth, silent = _STEP_AT_FIRST, _GROWTH_AT_FIRST, now - self._stepped_at
            if self._refused_at is not None:
                step, silent = _WINDOW, now - self._refused_at
                growth = _GROWTH_NEAR if silent < _NEAR else _GROWTH_FAR
            if silent >= step and now - self._stepped_at >= step:
                self._rate, self._stepped_at = min(self._rate * growth, _MOST), now

    def refused(self) -> None:
        """The service said that it was too much (429): down to what it has let through lately, at once."""
        with self._lock:
            now = self._now()
            last, self._refused_at = self._refused_at, now
            self._forget(now)
            if last is not None and now - self._stepped_at < _WINDOW:
                return
            let_through = len(self._passed) / _WINDOW
            self._rate = max(self._rate / 2, min(0.95 * self._rate, 0.95 * let_through), _LEAST)
            self._stepped_at, self._next = now, max(self._next, now + 1 / self._rate)

    def _forget(self, now: float) -> None:
        while self._passed and self._passed[0] <= now - _WINDOW:
            self._passed.popleft()
