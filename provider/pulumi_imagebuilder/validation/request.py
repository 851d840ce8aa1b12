"""Make the parameters of the call from a declaration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import times
from .schema import Model, installed, members

if TYPE_CHECKING:
    from botocore.model import Shape

_SET_FOR_EACH_IMAGE = ("resourceArn", "clientToken")


def request(inputs: Mapping[str, Any], *, model: Model | None = None) -> dict[str, Any]:
    """Return the parameters of ``StartResourceStateUpdate`` other than ``resourceArn`` and ``clientToken``.

    Every argument reaches the service as it was declared, and nothing else is sent.

    Args:
        inputs: inputs that :func:`validate` returned; keys that are no parameters are ignored. Those of a clean-up have
            no state, and then neither has the request.
        model: the service's model. Default: that of the installed botocore.

    >>> request({"resource_arn": "arn:…", "state": "DEPRECATED", "update_at": "2030-01-31T00:00:00Z"})
    {'state': {'status': 'DEPRECATED'}, 'updateAt': datetime.datetime(2030, 1, 31, 0, 0, tzinfo=datetime.timezone.utc)}
    """
    parameters = {}
    for name, (api_name, shape) in members((model or installed()).request).items():
        value = inputs.get(name)
        if value is not None and api_name not in _SET_FOR_EACH_IMAGE:
            parameters[api_name] = _to_wire_value({"status": value} if name == "state" else value, shape)
    return parameters


def _to_wire_value(value: Any, shape: Shape) -> Any:
    if shape.type_name == "structure":
        known = members(shape)
        return {
            known[name][0]: _to_wire_value(item, known[name][1]) for name, item in value.items() if item is not None
        }
    if shape.type_name == "list":
        return [_to_wire_value(item, shape.member) for item in value]
    if shape.type_name == "map":
        return {key: _to_wire_value(item, shape.value) for key, item in value.items()}
    if shape.type_name in ("integer", "long"):
        return int(value)
    if shape.type_name == "timestamp":
        return times.parse(value)
    return value
