"""Limit a client's rate of calls: botocore's adaptive limiter, changed for fleets that start all calls at once."""

from __future__ import annotations

import threading
from typing import Any

from botocore.retries import adaptive, bucket, standard, throttling

_WINDOW = 0.5
"""The window of seconds in which the rate of calls is measured."""


def limit_rate(client: Any, clock: bucket.Clock) -> adaptive.ClientRateLimiter:
    """Slow a client's calls down when its service throttles them.

    It is what botocore's adaptive mode registers, with the rate measured by :class:`CallRate` and throttling noticed by
    :class:`ThrottlingDetector`.

    Args:
        client: a botocore client of the standard retry mode.
        clock: the time.

    Returns:
        The limiter.
    """
    detector = ThrottlingDetector(clock)
    limiter = adaptive.ClientRateLimiter(
        rate_adjustor=throttling.CubicCalculator(starting_max_rate=0, start_time=clock.current_time()),
        rate_clocker=CallRate(clock),
        token_bucket=bucket.TokenBucket(max_rate=1, clock=clock),
        throttling_detector=detector,
        clock=clock,
    )
    client.meta.events.register("before-send", limiter.on_sending_request)
    client.meta.events.register("before-send", detector.on_sending_request)
    client.meta.events.register("needs-retry", limiter.on_receiving_response)
    return limiter


class CallRate:
    """Measures the rate of a client's calls; replaces botocore's ``RateClocker``.

    That class measures nothing before its first window has passed: throttled within it, a client would fall to one call
    in two seconds.

    Args:
        clock: the time.
    """

    def __init__(self, clock: bucket.Clock) -> None:
        self.measured_rate = 0.0
        self._clock = clock
        self._lock = threading.Lock()
        self._began: float | None = None
        self._calls = 0
        self._complete = False

    def record(self, amount: int = 1) -> float:
        """Count calls that were answered now, and return the rate."""
        with self._lock:
            now = self._clock.current_time()
            if self._began is None:
                self._began = now
            self._calls += amount
            elapsed = now - self._began
            if elapsed >= _WINDOW or not self._complete:
                self.measured_rate = self._calls / max(elapsed, 0.001)
            if elapsed >= _WINDOW:
                self._began, self._calls, self._complete = now, 0, True
            return self.measured_rate


class ThrottlingDetector:
    """Notices when a service throttles, once for all calls that were under way together.

    botocore's own notices each refusal, and each lowers the rate: sixteen calls that are refused at once would lower it
    sixteen times for one reason.

    Args:
        clock: the time.
    """

    def __init__(self, clock: bucket.Clock) -> None:
        self._errors = standard.ThrottlingErrorDetector(retry_event_adapter=standard.RetryEventAdapter())
        self._clock = clock
        self._call = threading.local()
        self._lock = threading.Lock()
        self._noticed = 0.0

    def on_sending_request(self, **_: Any) -> None:
        """Note when the call of this thread was sent."""
        self._call.sent = self._clock.current_time()

    def is_throttling_error(self, **kwargs: Any) -> bool:
        """Return whether an answer is a refusal of a call that was sent after the last refusal was noticed."""
        if not self._errors.is_throttling_error(**kwargs):
            return False
        with self._lock:
            if self._call.sent < self._noticed:
                return False
            self._noticed = self._clock.current_time()
            return True
