"""Requests read and checked by the botocore service model: one parser for all operations."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import botocore.session

from .exceptions import InvalidParameterException, InvalidRequestException


@functools.lru_cache(maxsize=1)
def service_model() -> Any:
    """Return the model of EC2 Image Builder."""
    return botocore.session.get_session().get_service_model("imagebuilder")


@functools.lru_cache(maxsize=1)
def operations() -> Mapping[tuple[str, str], Any]:
    """Return all operations of the model by HTTP method and path."""
    models = (service_model().operation_model(name) for name in service_model().operation_names)
    return {(model.http["method"], model.http["requestUri"].partition("?")[0]): model for model in models}


def parse_request(operation: Any, query: str, body: bytes, in_path: Mapping[str, str]) -> dict[str, Any]:
    """Read a request and check it against the operation's input shape.

    Args:
        operation: its model.
        query: the URL's query.
        body: JSON, or nothing.
        in_path: the parameters in the URL's path, by the names that it has for them.

    Raises:
        InvalidRequestException: it is no JSON object, or a shape refuses it; all that is wrong is named.
        InvalidParameterException: the same, for an operation whose model has this error in its place.
    """
    refused = _refusal(operation)
    try:
        parameters = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        raise refused("The request body is not valid JSON") from None
    if not isinstance(parameters, dict):
        raise refused("The request body is not a JSON object")
    shape, given = operation.input_shape, parse_qs(query, keep_blank_values=True)
    for name, member in shape.members.items():
        location, key = member.serialization.get("location"), member.serialization.get("name", name)
        if location == "querystring" and key in given:
            parameters[name] = given[key] if member.type_name == "list" else given[key][-1]
        elif location == "uri" and key in in_path:
            parameters[name] = in_path[key]
    return _checked(operation, parameters)


def parse_parameters(operation: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Check boto3's parameters against the operation's input shape.

    Args:
        operation: its model.
        parameters: arguments of boto3's method.

    Raises:
        InvalidRequestException: a shape refuses a parameter; all that is wrong is named.
        InvalidParameterException: the same, for an operation whose model has this error in its place.
    """
    return _checked(operation, _to_wire(parameters))


def _checked(operation: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    shape = operation.input_shape
    problems = list(find_problems(shape, parameters))
    if problems:
        raise _refusal(operation)("; ".join(problems))
    return {name: _read(shape.members[name], value) for name, value in parameters.items()}


def _to_wire(value: Any) -> Any:
    """Return a value with its datetimes as epoch seconds, as botocore sends them."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, Mapping):
        return {name: _to_wire(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_wire(item) for item in value]
    return value


def _refusal(operation: Any) -> type[InvalidRequestException | InvalidParameterException]:
    known = {shape.name for shape in operation.error_shapes}
    return InvalidRequestException if "InvalidRequestException" in known else InvalidParameterException


def _read(shape: Any, value: Any) -> Any:
    """Return a checked value with its timestamps as datetimes."""
    if shape.type_name == "timestamp":
        return datetime.fromtimestamp(value, UTC)
    if shape.type_name == "structure":
        return {name: _read(shape.members[name], item) for name, item in value.items()}
    if shape.type_name == "list":
        return [_read(shape.member, item) for item in value]
    return value


_TYPES: dict[str, tuple[Any, str]] = {
    "structure": (dict, "an object"),
    "map": (dict, "an object"),
    "list": (list, "a list"),
    "string": (str, "a string"),
    "boolean": (bool, "a boolean"),
    "integer": (int, "an integer"),
    "timestamp": ((int, float), "a timestamp in epoch seconds"),
}


def find_problems(shape: Any, value: Any, path: str = "") -> Iterator[str]:
    """Yield what a shape has against a value, one sentence each."""
    kind, name = _TYPES[shape.type_name]
    if not isinstance(value, kind) or (isinstance(value, bool) and shape.type_name != "boolean"):
        yield f"Value at '{path}' must be {name}, got {json.dumps(value, default=str)}"
        return
    if shape.type_name == "timestamp":
        if not 0 <= value < 253402300800:
            yield f"Value at '{path}' is not a time"
        return
    yield from _outside_bounds(shape, value, path)
    if shape.type_name == "structure":
        for missing in sorted(set(shape.required_members) - set(value)):
            yield f"Missing required parameter '{_join(path, missing)}'"
        for key, item in value.items():
            if key not in shape.members:
                yield f"Unknown parameter '{_join(path, key)}'"
            else:
                yield from find_problems(shape.members[key], item, _join(path, key))
    elif shape.type_name == "list":
        for place, item in enumerate(value):
            yield from find_problems(shape.member, item, f"{path}[{place}]")
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from find_problems(shape.key, key, f"{path} key")
            yield from find_problems(shape.value, item, _join(path, key))
    elif shape.type_name == "string":
        if shape.enum and value not in shape.enum:
            yield f"Value '{value}' at '{path}' must be one of {', '.join(sorted(shape.enum))}"
        pattern = shape.metadata.get("pattern")
        if pattern and not _compiled(pattern).search(value):
            yield f"Value '{value}' at '{path}' must satisfy the pattern {pattern}"


def _outside_bounds(shape: Any, value: Any, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    size, what = (value, "be") if shape.type_name == "integer" else (_length(value), "have a length of")
    if low is not None and size < low:
        yield f"Value at '{path}' must {what} at least {low}, got {size}"
    if high is not None and size > high:
        yield f"Value at '{path}' must {what} at most {high}, got {size}"


def _length(value: Any) -> int:
    return len(value) if hasattr(value, "__len__") else 0


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
