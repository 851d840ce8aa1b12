"""The rate limit of a client, without a service and without waiting."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import botocore.hooks
import pytest
from botocore.retries import adaptive, bucket
from pulumi_imagebuilder.aws.pacing import CallRate, ThrottlingDetector, limit_rate

OK: Any = (SimpleNamespace(status_code=200), {})
THROTTLED: Any = (SimpleNamespace(status_code=429), {"Error": {"Code": "Throttling"}})


class Clock:
    """A clock that a test turns."""

    now = 1000.2

    def current_time(self) -> float:
        return self.now

    def sleep(self, amount: float) -> None:
        self.now += amount


class Client:
    """A client's events, and what its calls do to them."""

    def __init__(self) -> None:
        self.events = botocore.hooks.HierarchicalEmitter()
        self.meta = SimpleNamespace(events=self.events)

    def send(self) -> None:
        self.events.emit("before-send.imagebuilder.GetImage", request=None)

    def receive(self, response: Any) -> None:
        self.events.emit(
            "needs-retry.imagebuilder.GetImage",
            response=response,
            attempts=1,
            caught_exception=None,
            request_dict={"context": {}},
            operation=SimpleNamespace(error_shapes=[], service_model=None),
        )


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call's turn comes at once: these tests turn the clock."""
    monkeypatch.setattr(bucket.TokenBucket, "acquire", lambda self, *arguments, **named: True)


@pytest.fixture(params=["ours", "botocore's"])
def side(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Our limiter, and botocore's beside it, whose weakness is shown."""
    clock, client = Clock(), Client()
    if request.param == "ours":
        limiter = limit_rate(client, clock)
    else:
        monkeypatch.setattr(bucket, "Clock", lambda: clock)
        limiter = adaptive.register_retry_handler(client)
    return SimpleNamespace(ours=request.param == "ours", clock=clock, client=client, limiter=limiter)


def test_calls_that_are_refused_together_lower_the_rate_once(side: Any) -> None:
    """Twenty pass within a tenth of a second and twelve, under way with them, are refused.

    botocore's limiter falls to its least rate, half a call a second; ours to seven tenths of what was sent.
    """
    for _ in range(20):
        side.client.send()
        side.clock.sleep(0.005)
        side.client.receive(OK)
    for _ in range(12):
        side.client.send()
    side.clock.sleep(0.005)
    for _ in range(12):
        side.client.receive(THROTTLED)
    rate = side.limiter._token_bucket.max_rate
    assert 100 < rate < 250 if side.ours else rate == 0.5


def test_a_call_sent_after_a_refusal_lowers_the_rate_again() -> None:
    """So the rate comes down to the service's within a few calls."""
    clock, client = Clock(), Client()
    limiter = limit_rate(client, clock)
    rates = []
    for _ in range(3):
        client.send()
        clock.sleep(0.01)
        client.receive(THROTTLED)
        rates.append(limiter._token_bucket.max_rate)
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 3


def test_the_rate_rises_while_nothing_is_refused() -> None:
    """Up to twice of what is sent."""
    clock, client = Clock(), Client()
    limiter = limit_rate(client, clock)
    client.send()
    client.receive(THROTTLED)
    for _ in range(200):
        client.send()
        clock.sleep(0.05)
        client.receive(OK)
    assert limiter._token_bucket.max_rate == pytest.approx(40, rel=0.1)


def test_call_rate_is_known_from_the_first_call_on_and_by_window_after_that() -> None:
    """Calls over time: since the first one, until a window has passed; then of each window."""
    clock = Clock()
    rate = CallRate(clock)
    assert rate.record() == 1000
    clock.sleep(0.1)
    assert rate.record() == pytest.approx(20)
    clock.sleep(0.4)
    assert rate.record() == pytest.approx(6)
    clock.sleep(0.1)
    assert rate.record() == pytest.approx(6)
    clock.sleep(0.4)
    assert rate.record(3) == pytest.approx(8)
    assert rate.measured_rate == pytest.approx(8)


def test_detector_notices_a_refusal_once_for_calls_under_way_together() -> None:
    """The second one is of a call that was sent before the first was noticed; the third is of a later call."""
    clock = Clock()
    detector = ThrottlingDetector(clock)
    refusal = {"response": THROTTLED, "attempts": 1, "caught_exception": None, "request_dict": {"context": {}}}
    refusal["operation"] = SimpleNamespace(error_shapes=[])
    answer = refusal | {"response": OK}
    detector.on_sending_request()
    clock.sleep(0.1)
    assert not detector.is_throttling_error(**answer)
    assert detector.is_throttling_error(**refusal)
    assert not detector.is_throttling_error(**refusal)
    detector.on_sending_request()
    assert detector.is_throttling_error(**refusal)
