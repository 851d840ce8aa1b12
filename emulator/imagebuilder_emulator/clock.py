"""The emulator's time: real by default, and movable by a test."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")


def parse_duration(text: str) -> timedelta:
    """Read a length of time such as ``5s``, ``200ms``, ``1h30m``, ``90d`` or ``2w``; ``0`` needs no unit.

    Raises:
        ValueError: the text is no length of time, or longer than Python can hold.
    """
    if text != "0" and not re.fullmatch(rf"(?:{_PART.pattern})+", text):
        raise ValueError(f"{text!r} is not a length of time such as 5s, 200ms, 1h30m or 90d")
    try:
        return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))
    except OverflowError:
        raise ValueError(f"{text!r} is longer than {timedelta.max.days} days") from None


def _real_time() -> datetime:
    return datetime.now(UTC)


class Clock:
    """A base time plus an offset.

    Args:
        base: the time without offset, in UTC. Real time by default; a simulation gives one that stands still, as
            ``lambda: datetime(2026, 1, 1, tzinfo=timezone.utc)``, and then time moves by `advance` and `set` alone.
    """

    def __init__(self, base: Callable[[], datetime] = _real_time) -> None:
        self._base = base
        self._offset = timedelta(0)
        self._lock = threading.Lock()

    @property
    def offset(self) -> timedelta:
        """How far the emulator is ahead of the base time."""
        with self._lock:
            return self._offset

    def now(self) -> datetime:
        """Return the emulator's present, in UTC."""
        return self._present(self.offset)

    def advance(self, by: timedelta) -> datetime:
        """Move on; returns the new present.

        Raises:
            ValueError: ``by`` is negative, or ends after the year 9999.
        """
        if by < timedelta(0):
            raise ValueError(f"time moves forward only, got {by}")
        with self._lock:
            now = self._present(self._offset + by)
            self._offset += by
        return now

    def set(self, to: datetime) -> datetime:
        """Move to an instant in the future; returns the new present.

        Raises:
            ValueError: ``to`` has no offset, or has passed.
        """
        if to.tzinfo is None:
            raise ValueError(f"the clock needs a time with an offset, got {to.isoformat()}")
        return self.advance(to - self.now())

    def restore(self, offset: timedelta) -> None:
        """Take over the ``offset`` of another clock: for a saved state, and the way back to the base time."""
        with self._lock:
            self._present(offset)
            self._offset = offset

    def _present(self, offset: timedelta) -> datetime:
        try:
            return self._base() + offset
        except OverflowError:
            raise ValueError(f"the clock cannot go {offset.days} days from real time") from None
