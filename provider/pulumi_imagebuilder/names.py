"""Names of properties: snake_case here and in Python programs, camelCase in the native provider's schema and state."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .validation.schema import installed

_OUTPUT_MAPS = frozenset({"executions", "lifecycle_execution_ids"})
"""Outputs that are maps by ARN."""

ANY = frozenset({"triggers"})
"""Properties that hold any values of the user's, whose keys keep their names."""


def keeps_keys(name: str, value: Any) -> bool:
    """Return whether the keys of a property are the user's or the service's, as tags and ARNs, and keep their names.

    Which arguments of the service are maps is read from its model, and only for a value whose keys would change: a
    user's program does not load botocore without need.

    Args:
        name: the property, in snake_case.
        value: its value.
    """
    if name in ANY:
        return True
    if not isinstance(value, Mapping) or all(key == to_camel_case(key) == to_snake_case(key) for key in value):
        return False
    return name in _OUTPUT_MAPS or name in installed().maps


def to_camel_case(name: str) -> str:
    """Return a name in camelCase.

    >>> to_camel_case("resource_arn")
    'resourceArn'
    """
    return re.sub("_([a-z])", lambda match: match[1].upper(), name)


def to_snake_case(name: str) -> str:
    """Return a name in snake_case.

    >>> to_snake_case("resourceArn")
    'resource_arn'
    """
    return re.sub("[A-Z]", lambda match: f"_{match[0].lower()}", name)


def with_camel_case(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return properties with all names in camelCase, those that begin with two underscores as they are.

    >>> with_camel_case({"exclusion_rules": {"amis": {"tag_map": {"cost_center": "1"}}}, "__left": "AVAILABLE"})
    {'exclusionRules': {'amis': {'tagMap': {'cost_center': '1'}}}, '__left': 'AVAILABLE'}
    """
    return _rename(properties, to_camel_case)


def with_snake_case(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return properties with all names in snake_case, those that begin with two underscores as they are.

    >>> with_snake_case({"executions": {"arn:Web": {"imageState": "DISABLED"}}, "triggers": [{"aB": 1}]})
    {'executions': {'arn:Web': {'image_state': 'DISABLED'}}, 'triggers': [{'aB': 1}]}
    """
    return _rename(properties, to_snake_case)


def _rename(properties: Mapping[str, Any], rename: Callable[[str], str]) -> dict[str, Any]:
    renamed = {}
    for name, value in properties.items():
        snake = to_snake_case(name)
        if name.startswith("__") or snake in ANY:
            renamed[name] = value
        else:
            renamed[rename(name)] = _rename_inside(snake, value, rename)
    return renamed


def _rename_inside(name: str, value: Any, rename: Callable[[str], str]) -> Any:
    """Return the value of a property, or of an element of one that is a list, with the names inside of it renamed."""
    if isinstance(value, list | tuple):
        return [_rename_inside(name, item, rename) for item in value]
    if not isinstance(value, Mapping):
        return value
    if keeps_keys(name, value):
        return {key: _rename_inside("", item, rename) for key, item in value.items()}
    return _rename(value, rename)
