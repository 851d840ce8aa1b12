"""Put numbers and lists into words, for messages."""

from __future__ import annotations

from collections.abc import Iterable


def count(number: int, noun: str) -> str:
    """Return ``1 image`` or ``2 images``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def enumerate_words(items: Iterable[str], limit: int | None = None) -> str:
    """Return ``a, b and c``, or ``a, b and 4 more`` with a limit.

    >>> enumerate_words(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    words = list(items)
    if limit is not None and len(words) > limit:
        words = [*words[:limit], f"{len(words) - limit} more"]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
