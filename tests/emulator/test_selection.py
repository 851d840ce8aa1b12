"""The calls that a fault strikes are chosen by number, by share or by rate."""

from __future__ import annotations

import re

import pytest
from imagebuilder_emulator.selection import selection


def test_a_rate_lets_a_burst_pass_and_then_so_many_a_second() -> None:
    """Two a second: two at once pass, and one more every half second; what is saved up ends with the burst."""
    now = 100.0
    beyond = selection({"rate": "2"}, lambda: now)
    assert [beyond(0) for _ in range(3)] == [False, False, True]
    now += 0.5
    assert [beyond(0) for _ in range(2)] == [False, True]
    now += 3600
    assert [beyond(0) for _ in range(3)] == [False, False, True]


def test_a_burst_can_be_larger_or_smaller_than_the_rate() -> None:
    """It is the rate, and at least one, unless it is given."""
    slow = selection({"rate": "0.5"}, lambda: 0)
    assert [slow(0) for _ in range(2)] == [False, True]
    generous = selection({"rate": "1", "burst": "3"}, lambda: 0)
    assert [generous(0) for _ in range(4)] == [False, False, False, True]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"first": "0"}, "first must be a whole number from 1, got '0'"),
        ({"nth": "1,"}, "nth must be a whole number from 1, got ''"),
        ({"share": "1.5"}, "share must be a number from 0 to 1, got '1.5'"),
        ({"share": "nan"}, "share must be a number from 0 to 1, got 'nan'"),
        ({"share": "1", "seed": "x"}, "seed must be a whole number from 1, got 'x'"),
        ({"rate": "-1"}, "rate must be a number from 0, got '-1'"),
        ({"rate": "inf"}, "rate must be a number from 0, got 'inf'"),
        ({"rate": "1", "burst": "0"}, "burst must be a whole number from 1, got '0'"),
        ({"first": "1", "share": "1"}, "first and share exclude each other"),
        ({"seed": "1"}, "seed goes with share"),
        ({"burst": "1", "first": "1"}, "burst goes with rate"),
    ],
)
def test_what_chooses_nothing_sensible_is_refused(options: dict[str, str], why: str) -> None:
    """The message names the option, its bounds and the value."""
    with pytest.raises(ValueError, match=f"^{re.escape(why)}$"):
        selection(options)
