"""Times are RFC 3339, in whole seconds of UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pulumi_imagebuilder.validation.times import parse, text


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.timezones()))
def test_parse_keeps_the_instant(instant: datetime) -> None:
    """Whatever offset a time is written with, the whole second it means is kept."""
    offset = instant.utcoffset()
    assert offset is not None
    assume(offset.total_seconds() % 60 == 0)  # Offsets of local mean time have seconds, which RFC 3339 cannot write.
    assert parse(instant.isoformat()) == instant.astimezone(UTC).replace(microsecond=0)


@given(st.datetimes())
def test_text_round_trip(instant: datetime) -> None:
    """What is written here is read here."""
    utc = instant.replace(microsecond=0, tzinfo=UTC)
    assert parse(text(utc)) == utc


@given(st.text(alphabet="0123456789-+:.TZtz ", max_size=30) | st.text())
def test_parse_raises_no_other_error(written: str) -> None:
    """A text is a time, or the error is a clause about it; no other error is raised."""
    try:
        assert text(parse(written)).endswith("Z")
    except ValueError as error:
        assert str(error) in {  # noqa: PT017 - both outcomes are right
            "is not an RFC 3339 time",
            "has no time of day",
            "has no offset from UTC",
            "is a time that does not exist",
        }


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("2026-W49-2T00:00:00Z", "is not an RFC 3339 time"),
        ("20261201T000000Z", "is not an RFC 3339 time"),
        ("2026-12-01T00:00:00,5Z", "is not an RFC 3339 time"),
        ("2026-12-01T00Z", "is not an RFC 3339 time"),
        ("2026-12-01T24:00:00Z", "is not an RFC 3339 time"),
        ("2026-12-01T00:00:00+24:00", "is not an RFC 3339 time"),
        ("2026-12-01T00:00:00+05:60", "is not an RFC 3339 time"),
        ("2026-12-31T23:59:60Z", "is a time that does not exist"),
        ("0001-01-01T00:00:00+00:01", "is a time that does not exist"),
        ("2026-12-01", "has no time of day"),
        ("2026-12-01T00:00:00.5", "has no offset from UTC"),
    ],
)
def test_parse_refuses_what_only_python_takes(written: str, problem: str) -> None:
    """ISO 8601 has many more forms; which of them Python takes depends on its version."""
    with pytest.raises(ValueError, match=f"^{problem}$"):
        parse(written)


@pytest.mark.parametrize("fraction", ["", ".5", ".250", ".999999", ".123456789"])
def test_parse_drops_fractions(fraction: str) -> None:
    """A fraction of any length is dropped, not rounded."""
    assert parse(f"2026-12-01T00:00:00{fraction}Z") == datetime(2026, 12, 1, tzinfo=UTC)
