"""Handle values as Pulumi passes them, unknown in a preview and numbers as doubles, and show them in messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Pulumi's mark for a value that a preview does not know yet (``pulumi.runtime.rpc.UNKNOWN``)."""

_TYPE = "__type"

_MAX_SHOWN = 200


def has_unknown(value: Any) -> bool:
    """Return whether a value is unknown, or anything inside it is."""
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(has_unknown(item) for item in value)
    return bool(value == UNKNOWN)


def unserializable(type_name: str) -> dict[str, str]:
    """Return a marker for a value that Pulumi cannot serialize, as a ``timedelta``; validation refuses it by its type.

    Args:
        type_name: name of the value's type.
    """
    return {_TYPE: type_name}


def is_unserializable(value: Any) -> bool:
    """Return whether a value is a marker that :func:`unserializable` made."""
    return isinstance(value, Mapping) and value.keys() == {_TYPE}


def whole_numbers(value: Any) -> Any:
    """Return the same value with whole doubles as ints: Pulumi sends every number as a double.

    >>> whole_numbers({"value": 3.0, "factors": [0.5, True]})
    {'value': 3, 'factors': [0.5, True]}
    """
    if isinstance(value, Mapping):
        return {key: whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [whole_numbers(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def show(value: Any) -> str:
    """Return a value as Python writes it, on one line and at most 200 characters of it.

    >>> show({"regions": ["us-east-1"], "is_public": True})
    '{"regions": ["us-east-1"], "is_public": True}'
    """
    if isinstance(value, str) and value != UNKNOWN:
        kept = value if len(value) <= _MAX_SHOWN else f"{value[:_MAX_SHOWN]}…"
        return printable(json.dumps(kept, ensure_ascii=False))
    text = _show(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def printable(text: str) -> str:
    r"""Return the text with invisible characters escaped: always a single line.

    >>> printable("us\neast")
    'us\\u000aeast'
    """
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _show(value: Any) -> str:
    if isinstance(value, str):
        return "[unknown]" if value == UNKNOWN else show(value)
    if is_unserializable(value):
        return str(value[_TYPE])
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_show(key)}: {_show(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_show, value)) + "]"
    if value is None or isinstance(value, bool | int | float):
        return str(whole_numbers(value))
    # Pulumi's assets, archives and resources: their text would be an address in memory.
    return type(value).__name__
