"""The pace of calls against a service that lets through so many a second."""

from __future__ import annotations

import asyncio

import pytest
from imagebuilder_emulator.selection import selection
from pulumi_imagebuilder.pacing import Pace


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


class Client:
    """Calls as fast as its pace allows; every call is answered at once."""

    def __init__(self, rate: float | None, burst: int | None = None) -> None:
        self.clock = Clock()
        self.pace = Pace(self.clock)
        self.limit(rate, burst)
        self.times: list[float] = []

    def limit(self, rate: float | None, burst: int | None = None) -> None:
        options = {} if rate is None else {"rate": str(rate), "burst": str(burst or int(rate))}
        self._strikes = selection(options, self.clock) if options else lambda call: False

    def run(self, seconds: float) -> tuple[int, int]:
        """How many calls passed, and how many were refused."""
        passed = refused = 0
        end = self.clock.time + seconds
        while self.clock.time < end:
            wait = self.pace.take()
            if wait:
                self.clock.time += wait
                continue
            self.times.append(self.clock.time)
            if self._strikes(len(self.times)):
                refused += 1
                self.pace.refused()
            else:
                passed += 1
                self.pace.passed()
        return passed, refused


@pytest.mark.parametrize(
    ("rate", "burst", "used"), [(20, 20, 0.9), (20, 1, 0.65), (5, 50, 0.9), (100, 10, 0.9), (2, 2, 0.8)]
)
def test_what_the_service_lets_through_is_used(rate: int, burst: int, used: float) -> None:
    """Nearly all of it where it forgives two calls that come close, with few calls that are refused."""
    client = Client(rate, burst)
    client.run(5)
    passed, refused = client.run(60)
    assert passed >= used * 60 * rate
    assert refused <= 0.15 * passed


def test_200_calls_at_20_a_second() -> None:
    """From a standing start it takes hardly longer than the service needs."""
    client = Client(20)
    began = client.clock.time
    passed = refused = 0
    while passed < 200:
        more = client.run(0.1)
        passed, refused = passed + more[0], refused + more[1]
    assert client.clock.time - began < 10
    assert refused < 60


def test_silence_speeds_up_again() -> None:
    """A service that lets more through than before is soon asked more."""
    client = Client(10)
    client.run(20)
    assert client.pace.rate < 20
    client.limit(None)
    client.run(30)
    assert client.pace.rate > 500


def test_an_unhindered_start() -> None:
    """A thousand calls are not held back for long where nothing is refused."""
    passed, refused = Client(None).run(3)
    assert passed > 1000
    assert refused == 0


def test_no_bursts() -> None:
    """Calls are evenly spaced, after silence too."""
    client = Client(20)
    client.run(10)
    client.clock.time += 100
    client.times.clear()
    client.run(1)
    gaps = [later - earlier for earlier, later in zip(client.times, client.times[1:], strict=False)]
    assert min(gaps[1:]) > 0.02


def test_refused_without_end() -> None:
    """Down to one call a second."""
    client = Client(None)
    client._strikes = lambda call: True
    client.run(20)
    assert client.pace.rate == 1
    assert client.run(10)[1] <= 11


def test_first_come_first_served() -> None:
    """Those who wait for their turn get it in their order."""
    order: list[int] = []

    async def call(pace: Pace, number: int) -> None:
        await pace.turn()
        order.append(number)

    async def calls() -> None:
        pace = Pace()
        await asyncio.gather(*(call(pace, number) for number in range(10)))

    asyncio.run(calls())
    assert order == list(range(10))
