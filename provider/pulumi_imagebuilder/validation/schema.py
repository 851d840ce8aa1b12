"""The service's own model, read from the installed botocore, and what programs declare in the terms of that model."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .kinds import ON_DESTROY, Kind

if TYPE_CHECKING:
    from botocore.model import Shape, StructureShape

_OPERATION = "StartResourceStateUpdate"


@dataclass(frozen=True)
class Partition:
    """A group of regions with accounts, ARNs and credentials of its own.

    Args:
        id: as ``aws-cn``.
        region_pattern: what the names of its regions look like.
    """

    id: str
    region_pattern: re.Pattern[str]


class Model:
    """What is asked of the service, and what programs declare.

    Args:
        service: botocore's description of the service, as in its ``service-2.json``.
        partitions: botocore's description of the partitions, as in its ``partitions.json``.
    """

    def __init__(self, service: Mapping[str, Any], partitions: Mapping[str, Any]) -> None:
        from botocore.model import ServiceModel

        shapes = {**service["shapes"], **_declarations(service)}
        self._service = ServiceModel({**service, "shapes": shapes}, "imagebuilder")
        self.partitions = tuple(
            Partition(partition["id"], re.compile(partition["regionRegex"])) for partition in partitions["partitions"]
        )

    @property
    def request(self) -> StructureShape:
        """The input of ``StartResourceStateUpdate``."""
        return self._service.operation_model(_OPERATION).input_shape

    def declaration(self, kind: Kind) -> StructureShape:
        """The arguments of a kind as one structure."""
        return self._service.shape_for(kind.value)


@functools.cache
def installed() -> Model:
    """The model of the installed botocore; read once."""
    from botocore.loaders import create_loader

    loader = create_loader()
    return Model(loader.load_service_model("imagebuilder", "service-2"), loader.load_data("partitions"))


def members(shape: StructureShape) -> dict[str, tuple[str, Shape]]:
    """The members of a structure: from the name in Python to the name in the API and the shape."""
    import botocore

    return {botocore.xform_name(name): (name, inner) for name, inner in shape.members.items()}


def _declarations(service: Mapping[str, Any]) -> dict[str, Any]:
    """A shape for each kind, in the model's own terms: then one walk checks the whole of a declaration.

    They are made of the operation's input. Tokens that make a request idempotent are required of the provider, not of
    programs; ``state`` is written without the structure around it, and never left out.
    """
    shapes = service["shapes"]
    asked = shapes[service["operations"][_OPERATION]["input"]["shape"]]
    image = asked["members"]["resourceArn"]
    given = {**asked["members"], "state": shapes[asked["members"]["state"]["shape"]]["members"]["status"]}
    tokens = {name for name, reference in given.items() if _makes_idempotent(reference, shapes)}
    required = [name for name in asked["required"] if name not in tokens]
    own = {"triggers": {"shape": "Triggers"}, "wait": {"shape": "Wait"}, "onDestroy": {"shape": "OnDestroy"}}

    single = {**given, **own}
    fleet = {("resourceArns" if name == "resourceArn" else name): value for name, value in single.items()}
    cleanup = {name: given[name] for name in ("resourceArn", "executionRole", "includeResources", "exclusionRules")}
    return {
        Kind.SINGLE.value: _structure({**single}, required),
        Kind.FLEET.value: _structure(
            {**fleet, "resourceArns": {"shape": "ResourceArns"}},
            ["resourceArns" if name == "resourceArn" else name for name in required],
        ),
        Kind.CLEANUP.value: _structure(cleanup, ["resourceArn", "executionRole"]),
        "ResourceArns": {"type": "list", "member": image},
        "Triggers": {"type": "list", "member": {"shape": "Anything"}},
        # No type of the service's: any value that can be compared with another.
        "Anything": {"type": "any"},
        "Wait": {"type": "boolean"},
        "OnDestroy": {"type": "string", "enum": list(ON_DESTROY)},
    }


def _structure(of: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "structure", "members": dict(of), "required": required}


def _makes_idempotent(reference: Mapping[str, Any], shapes: Mapping[str, Any]) -> bool:
    return bool(reference.get("idempotencyToken") or shapes[reference["shape"]].get("idempotencyToken"))
