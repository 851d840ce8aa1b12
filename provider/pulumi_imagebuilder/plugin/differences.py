"""Where two declarations differ, property by property, as the engine displays it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pulumi.runtime.proto import provider_pb2

from ..validation.values import whole_numbers

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")

Kind = provider_pb2.PropertyDiff.Kind

_ABSENT: tuple[Any, ...] = (None, False, [], {})
"""What means the same as nothing at all, in every property of ours."""


def find_differences(name: str, old: Any, new: Any) -> dict[str, Kind.ValueType]:
    """Return the paths inside a property at which it differs, each with what has happened there.

    Args:
        name: the property.
        old: its value in the state.
        new: its value as declared. One that only means something else than the old one differs as a whole.
    """
    return dict(_differences(name, whole_numbers(old), whole_numbers(new))) or {name: Kind.UPDATE}


def with_replacement(kind: Kind.ValueType) -> Kind.ValueType:
    """Return the kind of a difference that replaces the resource."""
    replacing: Mapping[Kind.ValueType, Kind.ValueType] = {
        Kind.ADD: Kind.ADD_REPLACE,
        Kind.DELETE: Kind.DELETE_REPLACE,
        Kind.UPDATE: Kind.UPDATE_REPLACE,
    }
    return replacing[kind]


def _differences(path: str, old: Any, new: Any) -> Iterator[tuple[str, Kind.ValueType]]:
    if old == new or (old in _ABSENT and new in _ABSENT):
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(_member(path, key), old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _list_differences(path, old, new)
    elif old is None:
        yield path, Kind.ADD
    elif new is None:
        yield path, Kind.DELETE
    else:
        yield path, Kind.UPDATE


def _list_differences(path: str, old: list[Any], new: list[Any]) -> Iterator[tuple[str, Kind.ValueType]]:
    if all(isinstance(item, str) for item in (*old, *new)):
        # A set: what came and what left, wherever the others have moved to.
        removed = {index for index, item in enumerate(old) if item not in set(new)}
        added = {index for index, item in enumerate(new) if item not in set(old)}
        for index in sorted(removed | added):
            both = index in removed and index in added
            yield f"{path}[{index}]", Kind.UPDATE if both else Kind.DELETE if index in removed else Kind.ADD
        return
    for index in range(max(len(old), len(new))):
        before, after = (items[index] if index < len(items) else None for items in (old, new))
        yield from _differences(f"{path}[{index}]", before, after)


def _member(path: str, key: str) -> str:
    return f"{path}.{key}" if _PLAIN.fullmatch(key) else f"{path}[{json.dumps(key)}]"
