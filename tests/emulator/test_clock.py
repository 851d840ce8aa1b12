"""The emulator's time can be moved, forward only, by lengths of time that people can read."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from imagebuilder_emulator.clock import Clock, parse_duration


def test_it_moves_forward() -> None:
    """Advancing and setting move the present; real time goes on from there."""
    clock = Clock()
    before = clock.now()
    assert clock.advance(timedelta(days=90)) - before >= timedelta(days=90)
    assert clock.set(datetime(2100, 1, 1, tzinfo=UTC)).year == 2100


def test_it_never_moves_back() -> None:
    """Going back would undo what was done, so it is refused."""
    with pytest.raises(ValueError, match=r"^time moves forward only, got -1 day, 23:59:59$"):
        Clock().advance(timedelta(seconds=-1))
    with pytest.raises(ValueError, match=r"^the clock needs a time with an offset, got 2100-01-01T00:00:00$"):
        Clock().set(datetime(2100, 1, 1))


def test_it_stays_where_it_is_when_the_end_of_time_is_passed() -> None:
    """A move beyond the last representable year is refused and leaves the clock usable."""
    clock = Clock()
    with pytest.raises(ValueError, match=r"^the clock cannot go 9999999 days from real time$"):
        clock.advance(timedelta(days=9_999_999))
    assert clock.offset == timedelta(0)


def test_the_offset_of_another_clock_can_be_taken_over() -> None:
    """A saved offset leads to the same present again, and none leads back to real time."""
    clock = Clock()
    clock.advance(timedelta(days=90))
    other = Clock()
    other.restore(clock.offset)
    assert abs(other.now() - clock.now()) < timedelta(seconds=1)
    other.restore(timedelta(0))
    assert abs(other.now() - datetime.now(UTC)) < timedelta(seconds=1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0s", 0), ("200ms", 0.2), ("5s", 5), ("1.5s", 1.5), ("1h30m", 5400), ("90d", 7776000), ("2w", 1209600)],
)
def test_a_length_of_time_is_numbers_with_units(text: str, seconds: float) -> None:
    """Parts add up; each has its unit."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "5s!", "5x", "1e3s"])
def test_anything_else_is_no_length_of_time(text: str) -> None:
    """What is not understood whole is refused whole."""
    with pytest.raises(ValueError, match=rf"^{text!r} is not a length of time such as 5s, 200ms, 1h30m or 90d$"):
        parse_duration(text)


def test_a_length_of_time_has_an_end() -> None:
    """What Python cannot hold is refused with a sentence."""
    message = "'99999999999d' is longer than 999999999 days"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_duration("99999999999d")
