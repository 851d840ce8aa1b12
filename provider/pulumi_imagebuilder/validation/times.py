"""Times as RFC 3339 has them. The service takes whole seconds, so that is what a time is kept in."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

EXAMPLE = "2030-01-31T00:00:00Z"

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:([Zz])|([+-])(\d\d):(\d\d))?)?", re.ASCII
)
"""Written out, for what ``datetime.fromisoformat`` takes differs from one Python to the next."""


def parse(text: str) -> datetime:
    """The instant in UTC, whole seconds.

    Raises:
        ValueError: it is none; the message says in a clause what is wrong about it, to follow on the text.

    >>> parse("2030-01-31T02:00:00+02:00").isoformat()
    '2030-01-31T00:00:00+00:00'
    """
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError("is not an RFC 3339 time")
    year, month, day, hour, minute, second, utc, sign, hours, minutes = match.groups()
    if hour is None:
        raise ValueError("has no time of day")
    if not utc and not sign:
        raise ValueError("has no offset from UTC")
    try:
        local = datetime(*map(int, (year, month, day, hour, minute, second)), tzinfo=timezone.utc)  # type: ignore[misc, arg-type]
        if sign and (int(hours) > 23 or int(minutes) > 59):
            raise ValueError
        offset = timedelta(hours=int(hours), minutes=int(minutes)) if sign else timedelta()
        return local + offset if sign == "-" else local - offset
    except (ValueError, OverflowError):
        raise ValueError("is a time that does not exist") from None


def text(instant: datetime) -> str:
    """An instant as everything here writes it.

    >>> text(datetime(2030, 1, 31, tzinfo=timezone.utc))
    '2030-01-31T00:00:00Z'
    """
    return instant.astimezone(timezone.utc).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
