"""The emulator's time: real by default, and movable by a test."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone


class Clock:
    """Real time plus an offset."""

    def __init__(self) -> None:
        self._offset = timedelta(0)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The emulator's present, in UTC."""
        with self._lock:
            return datetime.now(timezone.utc) + self._offset

    def advance(self, by: timedelta) -> datetime:
        """Move on; returns the new present.

        Raises:
            ValueError: ``by`` is negative.
        """
        if by < timedelta(0):
            raise ValueError(f"time moves forward only, got {by}")
        with self._lock:
            self._offset += by
        return self.now()

    def set(self, to: datetime) -> datetime:
        """Move to an instant in the future; returns the new present.

        Raises:
            ValueError: ``to`` has no offset, or has passed.
        """
        if to.tzinfo is None:
            raise ValueError(f"the clock needs a time with an offset, got {to.isoformat()}")
        return self.advance(to - self.now())
