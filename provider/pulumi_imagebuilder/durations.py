"""Durations as Pulumi writes them, which is as Go does: ``90s``, ``1h30m``, ``1.5h``."""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
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
