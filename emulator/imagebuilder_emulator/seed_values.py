"""The values of a seed: read, or refused with their place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


class SeedError(ValueError):
    """A seed that cannot be read; the text says where and why."""


def read_object(value: Any, where: str, allowed: Collection[str]) -> Mapping[str, Any]:
    """Return an object with no other keys than those allowed.

    Raises:
        SeedError: it is none, or has another key.
    """
    if not isinstance(value, Mapping):
        raise SeedError(f"{where} must be an object, got {value!r}")
    unknown = sorted(set(value) - set(allowed))
    if unknown:
        raise SeedError(f"{where} has an unknown key {unknown[0]!r}; known are {', '.join(sorted(allowed))}")
    return value


def read_list(value: Any, where: str) -> list[Any]:
    """Return a list; nothing stands for an empty one.

    Raises:
        SeedError: it is none.
    """
    if value is not None and not isinstance(value, list):
        raise SeedError(f"{where} must be a list, got {value!r}")
    return value or []


def read_choice(value: Any, where: str, allowed: Collection[str]) -> str:
    """Return one of the values that are allowed.

    Raises:
        SeedError: it is none of them.
    """
    if value not in allowed:
        raise SeedError(f"{where}: {value!r} is not one of {', '.join(allowed)}")
    return str(value)
