"""Properties as the engine sends them."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format, struct_pb2
from pulumi_imagebuilder.plugin import wire
from pulumi_imagebuilder.validation import UNKNOWN, unserializable

SIGNATURE = "4dabf18193072939515e22adb298388d"


def secret(value: Any) -> dict[str, Any]:
    return {SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "value": value}


def struct(value: Any) -> Any:
    return json_format.ParseDict(value, struct_pb2.Struct())


def to_dict(message: Any) -> Any:
    return json_format.MessageToDict(message)


def test_plain_values_there_and_back() -> None:
    """Nothing is lost: empty lists and objects, texts, numbers and unknown values."""
    values = {"a": [], "b": {}, "c": "text", "d": 1.5, "e": True, "f": {"g": ["x", 2.0]}, "h": UNKNOWN}
    received = wire.read(struct(values))
    assert received == wire.Received(values, frozenset())
    assert to_dict(wire.write(received.values)) == values


def test_none_is_left_out() -> None:
    """Of objects; in a list it has a place."""
    assert to_dict(wire.write({"a": None, "b": {"c": None}, "d": [None]})) == {"b": {}, "d": [None]}


def test_secrets_there_and_back() -> None:
    """Their values are plain to the provider, and secrets again in its answer, at whatever depth."""
    sent = {"token": secret("x"), "rules": {"tagMap": {"a": secret("b"), "c": "d"}}, "open": "y"}
    received = wire.read(struct(sent))
    assert received.values == {"token": "x", "rules": {"tagMap": {"a": "b", "c": "d"}}, "open": "y"}
    assert received.secrets == {("token",), ("rules", "tagMap", "a")}
    assert to_dict(wire.write(received.values, received.secrets)) == sent


def test_a_secret_inside_a_list() -> None:
    """Makes the list one: its items may be sorted on the way."""
    received = wire.read(struct({"arns": ["b", secret("a")], "objects": [{"key": secret(1.0)}]}))
    assert received.values == {"arns": ["b", "a"], "objects": [{"key": 1.0}]}
    assert to_dict(wire.write(received.values, received.secrets)) == {
        "arns": secret(["b", "a"]),
        "objects": secret([{"key": 1.0}]),
    }


def test_a_secret_inside_a_secret() -> None:
    """Is one secret."""
    received = wire.read(struct({"a": secret({"b": secret("c")})}))
    assert received == wire.Received({"a": {"b": "c"}}, frozenset({("a",)}))


@pytest.mark.parametrize(
    ("mark", "name"),
    [
        ("c44067f5952c0a294b673a41bacd8c17", "Asset"),
        ("0def7320c3a5731c473e5ecbe6d01bc7", "Archive"),
        ("5cf8f73096256a8f31e491e813e4eb8e", "Resource"),
        ("d0e6a833031e9bbcd3f4e8bde6ca49a4", "object"),
    ],
)
def test_objects_of_pulumis_own(mark: str, name: str) -> None:
    """Are no values: the validation refuses them by their type."""
    assert wire.read(struct({"a": {SIGNATURE: mark, "text": "x"}})).values == {"a": unserializable(name)}
