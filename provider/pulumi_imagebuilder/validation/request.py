"""Make the parameters of the call from a declaration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import times
from .model import Model, installed, members

if TYPE_CHECKING:
    from botocore.model import Shape

_NOT_DECLARED_HERE = ("resourceArn", "clientToken")
"""A fleet asks for many images, and a token is made for each of them."""


def request(inputs: Mapping[str, Any], *, model: Model | None = None) -> dict[str, Any]:
    """The parameters of ``StartResourceStateUpdate`` other than ``resourceArn`` and ``clientToken``.

    Every argument reaches the service as it was given, and nothing is sent that was not given.

    Args:
        inputs: inputs that :func:`check` handed back; keys that are no parameters are ignored. Those of a clean-up have
            no state, and then neither has the request.
        model: the service's model. Default: the installed botocore's.

    >>> request({"resource_arn": "arn:…", "state": "DEPRECATED", "update_at": "2030-01-31T00:00:00Z"})
    {'state': {'status': 'DEPRECATED'}, 'updateAt': datetime.datetime(2030, 1, 31, 0, 0, tzinfo=datetime.timezone.utc)}
    """
    asked = members((model or installed()).request)
    parameters = {}
    for name, (api_name, shape) in asked.items():
        value = inputs.get(name)
        if value is not None and api_name not in _NOT_DECLARED_HERE:
            parameters[api_name] = _parameter({"status": value} if name == "state" else value, shape)
    return parameters


def _parameter(value: Any, shape: Shape) -> Any:
    if shape.type_name == "structure":
        known = members(shape)
        return {known[name][0]: _parameter(item, known[name][1]) for name, item in value.items() if item is not None}
    if shape.type_name == "list":
        return [_parameter(item, shape.member) for item in value]
    if shape.type_name == "map":
        return {key: _parameter(item, shape.value) for key, item in value.items()}
    if shape.type_name in ("integer", "long"):
        return int(value)
    if shape.type_name == "timestamp":
        return times.parse(value)
    return value
