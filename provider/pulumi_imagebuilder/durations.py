"""Durations as Pulumi writes them, which is as Go does: ``90s``, ``1h30m``, ``1.5h``."""

from __future__ import annotations

import re
from datetime import timedelta

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_AGE = re.compile(r"([0-9]+)([smhdw])", re.ASCII)
_AGES = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def seconds(text: str) -> float:
    """Seconds of a Go duration; ``d`` for days is taken too.

    Raises:
        ValueError: the text is no duration.

    >>> seconds("1h30m")
    5400.0
    """
    if not re.fullmatch(rf"(?:{_PART.pattern})+", text):
        raise ValueError(f"{text!r} is not a duration such as 30m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def delta(text: str) -> timedelta:
    """The time span of an age: ``90d``, ``12h``, ``2w``, ``30m`` or ``45s``.

    Raises:
        ValueError: the text is no age, or a longer one than there can be.

    >>> delta("2w").days
    14
    """
    match = _AGE.fullmatch(text) if isinstance(text, str) else None
    try:
        if match:
            return timedelta(**{_AGES[match[2]]: int(match[1])})
    except OverflowError:
        raise ValueError(f"{text!r} is longer than there has been time") from None
    raise ValueError(f"{text!r} is not valid; expected an age such as 90d, 12h or 2w")


def clock(elapsed: float) -> str:
    """A time for people: ``42s``, ``3m05s``, ``1h02m``.

    >>> clock(185)
    '3m05s'
    """
    whole = int(elapsed)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
