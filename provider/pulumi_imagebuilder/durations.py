"""Durations as Pulumi writes them, which is as Go does: ``90s``, ``1h30m``, ``1.5h``; and ages in one unit: ``90d``."""

from __future__ import annotations

import re
from datetime import timedelta

_SECONDS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0
}  # fmt: skip
_PART = re.compile(rf"([0-9]+\.?[0-9]*|\.[0-9]+)({'|'.join(_SECONDS)})")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_AGE = re.compile(r"([0-9]+)([smhdw])")
_AGE_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str) -> float:
    """Return the seconds of a Go duration; ``d`` for days is accepted too.

    Args:
        text: as ``1h30m``, ``1.5h`` or ``0``; negative ones are refused.

    Raises:
        ValueError: the text is not a duration.

    >>> parse_duration("1h30m")
    5400.0
    """
    if text == "0":
        return 0.0
    if not _DURATION.fullmatch(text):
        raise ValueError(f"invalid duration {text!r}; expected e.g. 30m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def parse_age(text: str) -> timedelta:
    """Return the time span of an age: ``90d``, ``12h``, ``2w``, ``30m`` or ``45s``.

    Raises:
        ValueError: the text is not an age, or one longer than a ``timedelta`` can be.

    >>> parse_age("2w").days
    14
    """
    match = _AGE.fullmatch(text) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"invalid age {text!r}; expected e.g. 90d, 12h or 2w")
    try:
        return timedelta(**{_AGE_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise ValueError(f"invalid age {text!r}; expected at most {timedelta.max.days}d") from None


def format_elapsed(seconds: float) -> str:
    """Return an elapsed time for people, in whole seconds or minutes: ``42s``, ``3m05s``, ``1h02m``.

    >>> format_elapsed(185)
    '3m05s'
    """
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
