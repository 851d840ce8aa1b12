"""Read and write times as RFC 3339 in whole seconds: the service accepts no fractions."""

from __future__ import annotations

import re
from datetime import UTC, datetime

EXAMPLE = "2030-01-31T00:00:00Z"

_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ]((?:[01]\d|2[0-3]):\d\d:\d\d)(?:\.\d+)?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)?)?", re.ASCII
)
"""``datetime.fromisoformat`` takes more than this, and what it takes differs from one Python to the next."""


def parse(text: str) -> datetime:
    """Return the instant in UTC, in whole seconds.

    Raises:
        ValueError: the text is not such a time; the message is a clause about it, to follow the text.

    >>> parse("2030-01-31T02:00:00.250+02:00").isoformat()
    '2030-01-31T00:00:00+00:00'
    """
    match = _RFC_3339.fullmatch(text)
    if not match:
        raise ValueError("is not an RFC 3339 time")
    day, clock, offset = match.groups()
    if clock is None:
        raise ValueError("has no time of day")
    if offset is None:
        raise ValueError("has no offset from UTC")
    try:
        return datetime.fromisoformat(f"{day}T{clock}{offset.upper()}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is a time that does not exist") from None


def text(instant: datetime) -> str:
    """Return an instant as state and messages have it.

    >>> text(datetime(2030, 1, 31, tzinfo=UTC))
    '2030-01-31T00:00:00Z'
    """
    return instant.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
