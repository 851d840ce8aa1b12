"""Values as Pulumi hands them over: unknown in a preview, numbers as doubles; and how they look in a message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What Pulumi puts in the place of a value that a preview does not know yet (``pulumi.runtime.rpc.UNKNOWN``)."""

_TYPE = "__type"

_LONGEST_SHOWN = 200


def has_unknown(value: Any) -> bool:
    """Whether a value is unknown, or anything inside it is."""
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(has_unknown(item) for item in value)
    return bool(value == UNKNOWN)


def foreign(type_name: str) -> dict[str, str]:
    """What stands for a value that Pulumi cannot carry, as a ``timedelta``: the check refuses it by its type's name."""
    return {_TYPE: type_name}


def is_foreign(value: Any) -> bool:
    """Whether a value stands for one that Pulumi cannot carry."""
    return isinstance(value, Mapping) and value.keys() == {_TYPE}


def whole_numbers(value: Any) -> Any:
    """The same value with whole doubles as ints: Pulumi sends every number as a double.

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


def shown(value: Any) -> str:
    """A value as Python has it, on one line and not without end.

    >>> shown({"regions": ["us-east-1"], "is_public": True})
    '{"regions": ["us-east-1"], "is_public": True}'
    """
    if isinstance(value, str) and value != UNKNOWN:
        kept = value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}…"
        return printable(json.dumps(kept, ensure_ascii=False))
    text = _shown(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def printable(text: str) -> str:
    r"""The text with what is no visible sign written out: always a single line.

    >>> printable("us\neast")
    'us\\u000aeast'
    """
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return "[unknown]" if value == UNKNOWN else shown(value)
    if is_foreign(value):
        return str(value[_TYPE])
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_shown(key)}: {_shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if value is None or isinstance(value, bool | int | float):
        return str(whole_numbers(value))
    # Pulumi's assets, archives and resources: their text would be an address in memory.
    return type(value).__name__
