"""Properties as the engine sends them: secrets, unknown values and objects of Pulumi's own inside a protobuf Struct."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import struct_pb2

from ..validation import unserializable

Path = tuple[str, ...]
"""Names of properties from the top down. What is inside a list has the path of the list."""

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the mark of a secret
_OBJECTS = {
    "c44067f5952c0a294b673a41bacd8c17": "Asset",
    "0def7320c3a5731c473e5ecbe6d01bc7": "Archive",
    "5cf8f73096256a8f31e491e813e4eb8e": "Resource",
}
"""Marks of what is no value of ours; the names are for messages."""


@dataclass(frozen=True)
class Received:
    """Properties as plain values; an unknown one is :data:`pulumi_imagebuilder.validation.UNKNOWN`.

    Args:
        values: the properties.
        secrets: the paths of those that are secrets.
    """

    values: dict[str, Any]
    secrets: frozenset[Path]


def read(struct: struct_pb2.Struct) -> Received:
    """Return the properties of a request."""
    secrets: set[Path] = set()
    values = {name: _read(value, (name,), secrets) for name, value in struct.fields.items()}
    return Received(values, frozenset(secrets))


def write(values: Mapping[str, Any], secrets: Iterable[Path] = ()) -> struct_pb2.Struct:
    """Return properties for an answer, without those that are None.

    Args:
        values: the properties.
        secrets: the paths of those that are secrets; some may not be among the properties.
    """
    marked = frozenset(secrets)
    return _write(values, (), marked).struct_value


def _read(value: struct_pb2.Value, path: Path, secrets: set[Path]) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        inside: set[Path] = set()
        items = [_read(item, path, inside) for item in value.list_value.values]
        if inside:
            secrets.add(path)
        return items
    if kind != "struct_value":
        return None if kind in (None, "null_value") else getattr(value, kind)
    fields = value.struct_value.fields
    mark = fields[_SIGNATURE].string_value if _SIGNATURE in fields else None
    if mark == _SECRET:
        secrets.add(path)
        return _read(fields["value"], path, set())
    if mark is not None:
        return unserializable(_OBJECTS.get(mark, "object"))
    return {name: _read(item, (*path, name), secrets) for name, item in fields.items()}


def _write(value: Any, path: Path, secrets: frozenset[Path]) -> struct_pb2.Value:
    written = struct_pb2.Value()
    if path in secrets:
        inner = _write(value, path, frozenset())
        written.struct_value.fields[_SIGNATURE].string_value = _SECRET
        written.struct_value.fields["value"].CopyFrom(inner)
    elif isinstance(value, Mapping):
        # An empty one is a value too.
        written.struct_value.SetInParent()
        for name, item in value.items():
            if item is not None:
                written.struct_value.fields[name].CopyFrom(_write(item, (*path, name), secrets))
    elif isinstance(value, list | tuple):
        written.list_value.SetInParent()
        for item in value:
            written.list_value.values.append(_write(item, path, secrets - {path}))
    elif isinstance(value, bool):
        written.bool_value = value
    elif isinstance(value, int | float):
        written.number_value = value
    elif isinstance(value, str):
        written.string_value = value
    else:
        written.null_value = struct_pb2.NULL_VALUE
    return written
