"""Names of properties: snake_case here and in Python programs, camelCase in the native provider's schema and state."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

MAPS = frozenset({"tag_map", "executions", "lifecycle_execution_ids"})
"""Properties whose keys are values of users or of the service, as tags and ARNs: they keep their names."""

ANY = frozenset({"triggers"})
"""Properties that hold any values of the user's, in which nothing is a name of ours."""


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
        elif snake in MAPS and isinstance(value, Mapping):
            renamed[rename(name)] = {key: _rename_inside(item, rename) for key, item in value.items()}
        else:
            renamed[rename(name)] = _rename_inside(value, rename)
    return renamed


def _rename_inside(value: Any, rename: Callable[[str], str]) -> Any:
    if isinstance(value, Mapping):
        return _rename(value, rename)
    if isinstance(value, list | tuple):
        return [_rename_inside(item, rename) for item in value]
    return value
