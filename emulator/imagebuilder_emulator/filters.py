"""The filters of ``ListImages`` and ``ListImageBuildVersions``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from .entities import Image
from .exceptions import InvalidRequestException

_SHOWN: Mapping[str, Callable[[Image], str | None]] = {
    "name": lambda image: image.display_name,
    "osVersion": lambda image: image.os_version,
    "platform": lambda image: image.platform,
    "type": lambda image: image.type,
    "version": lambda image: image.version,
}


def parse_filters(request: Mapping[str, Any], without: Collection[str] = ()) -> Callable[[Image], bool]:
    """Return a predicate for images that pass all filters of a request: of each, one of its values is the image's.

    Args:
        request: the request.
        without: filters that do not go together with the rest of it.

    Raises:
        InvalidRequestException: there is no such filter, or it does not go together with the rest.
    """
    conditions = []
    for each in request.get("filters", []):
        name = each.get("name", "")
        if name not in _SHOWN:
            raise InvalidRequestException(f"The filter {name!r} is not one of {', '.join(_SHOWN)}")
        if name in without:
            raise InvalidRequestException(f"byName cannot be combined with the filter {name!r}")
        conditions.append((name, tuple(each.get("values", []))))
    return lambda image: all(
        any(_matches(name, _SHOWN[name](image) or "", value) for value in values) for name, values in conditions
    )


def _matches(name: str, shown: str, value: str) -> bool:
    """Compare letter for letter; a name also by its beginning, ``web*``, or by a part, ``*web*``."""
    if name == "name" and value.endswith("*"):
        return value[1:-1] in shown if len(value) > 1 and value.startswith("*") else shown.startswith(value[:-1])
    return shown == value
