"""Durations, ages and elapsed times."""

from __future__ import annotations

import doctest
from datetime import timedelta
from typing import Any

import pulumi_imagebuilder.durations
import pytest
from pulumi_imagebuilder.durations import format_elapsed, parse_age, parse_duration


def test_documented_examples_are_true() -> None:
    """Every example in a docstring gives the result that it shows."""
    assert doctest.testmod(pulumi_imagebuilder.durations).failed == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("90s", 90.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        (".5m", 30.0),
        ("1.m", 60.0),
        ("2d", 172800.0),
        ("1h0m0.25s", 3600.25),
        ("1500ms", 1.5),
        ("250us", 0.00025),
        ("250\u00b5s", 0.00025),
        ("250\u03bcs", 0.00025),
        ("5ns", 5e-9),
    ],
)
def test_parse_duration_takes_what_go_takes(text: str, seconds: float) -> None:
    """Every unit of Go, and days; fractions on both sides of the point."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "1", "h", "1h 30m", " 1h", "1h\n", "-1h", "1e3s", "1w", "1H", "\u0661h", "never", "."]
)
def test_parse_duration_refuses_other_texts(text: str) -> None:
    """The error shows the text and what one looks like."""
    with pytest.raises(ValueError, match=r"^invalid duration '.*'; expected e\.g\. 30m or 1h30m$"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("45s", timedelta(seconds=45)),
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("90d", timedelta(days=90)),
        ("2w", timedelta(weeks=2)),
        ("0d", timedelta()),
    ],
)
def test_parse_age(text: str, age: timedelta) -> None:
    """A whole number of one unit."""
    assert parse_age(text) == age


@pytest.mark.parametrize("text", ["", "90", "d", "1h30m", "1.5d", "-1d", "90 d", "3M", "90d\n", "\u0669d", 90, None])
def test_parse_age_refuses_other_values(text: Any) -> None:
    """Months and years have no fixed length, and several units would not be one age."""
    with pytest.raises(ValueError, match=r"^invalid age .*; expected e\.g\. 90d, 12h or 2w$"):
        parse_age(text)


def test_parse_age_refuses_more_than_a_timedelta_holds() -> None:
    """An age that Python cannot hold is refused as an age, not as an overflow."""
    with pytest.raises(ValueError, match=r"^invalid age '999999999999d'; expected at most 999999999d$"):
        parse_age("999999999999d")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m00s"),
        (185, "3m05s"),
        (3599.9, "59m59s"),
        (3600, "1h00m"),
        (3720, "1h02m"),
        (90000, "25h00m"),
    ],
)
def test_format_elapsed(seconds: float, text: str) -> None:
    """Two units at the most, cut and not rounded."""
    assert format_elapsed(seconds) == text
