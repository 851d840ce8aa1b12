"""Describe what a program can declare: the model of the installed botocore, and our own arguments.

Everything about the service's arguments follows from the input of ``StartResourceStateUpdate``, so that an argument
that AWS adds is accepted, sent and compared as soon as botocore has it. Our own arguments are described in its terms.
"""

from __future__ import annotations

import enum
import functools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.loaders import Loader
    from botocore.model import Shape, StructureShape


class Kind(enum.Enum):
    """The kind of a resource; the value is the name of its class."""

    SINGLE = "ResourceStateUpdate"
    FLEET = "FleetStateUpdate"
    CLEANUP = "ImageCleanup"


IMAGE = "resource_arn"
IMAGES = "resource_arns"

ON_DESTROY = ("retain", "cancel", "restore")
IN_USE = ("refuse", "wait", "warn", "ignore")

_UPDATE_DEFAULTS = {"wait": True, "on_destroy": "retain", "in_use": "refuse"}
DEFAULTS: Mapping[Kind, Mapping[str, Any]] = {
    Kind.SINGLE: _UPDATE_DEFAULTS,
    Kind.FLEET: _UPDATE_DEFAULTS,
    # What launches from an image is often destroyed in the same run.
    Kind.CLEANUP: {"in_use": "wait"},
}
"""The defaults of our own arguments; ``max_amis`` has none, which is no limit."""

_OPERATION = "StartResourceStateUpdate"

_OWN_SHAPES: Mapping[str, Any] = {
    "Triggers": {"type": "list", "member": {"shape": "Anything"}},
    # No type of the service: any value that can be compared with another.
    "Anything": {"type": "any"},
    "Wait": {"type": "boolean"},
    "OnDestroy": {"type": "string", "enum": list(ON_DESTROY)},
    "InUse": {"type": "string", "enum": list(IN_USE)},
    "MaxAmis": {"type": "integer", "min": 1},
}
_OWN_TRIGGERS = {"triggers": {"shape": "Triggers"}}
_OWN_GUARDS = {"inUse": {"shape": "InUse"}, "maxAmis": {"shape": "MaxAmis"}}
_OWN_MEMBERS = {**_OWN_TRIGGERS, "wait": {"shape": "Wait"}, "onDestroy": {"shape": "OnDestroy"}, **_OWN_GUARDS}

_SENT_AND_STATE_ONLY = ("executionRole",)
"""Arguments of the service whose change runs nothing again: another role makes the same change."""

_DATA = Path(__file__).with_name("data")
"""Additions to botocore's service models, in botocore's own format (``sdk-extras``)."""

_NOT_OF_A_CLEANUP = ("state", "updateAt")
"""Arguments of the service that a clean-up does not have: it always deletes, when it is destroyed."""


@dataclass(frozen=True)
class Partition:
    """A group of regions with accounts, ARNs and credentials of its own.

    Args:
        id: as ``aws-cn``.
        region_pattern: what the names of its regions look like.
        regions: those that botocore lists, without its entries for global services.
    """

    id: str
    region_pattern: re.Pattern[str]
    regions: tuple[str, ...] = ()


def find_partition(region: str, partitions: Iterable[Partition]) -> Partition | None:
    """Return the partition whose regions are named like this one; None if there is none."""
    return next((each for each in partitions if each.region_pattern.fullmatch(region)), None)


class Model:
    """The model of the service's request and of the declarations.

    Args:
        service: botocore's description of the service, as in its ``service-2.json``.
        partitions: botocore's description of the partitions, as in its ``partitions.json``.

    Attributes:
        service: botocore's model of the service, with a shape for each kind of declaration.
    """

    def __init__(self, service: Mapping[str, Any], partitions: Mapping[str, Any]) -> None:
        from botocore.model import ServiceModel

        shapes = {**service["shapes"], **_declarations(service)}
        self.service = ServiceModel({**service, "shapes": shapes}, "imagebuilder")
        self._declarations = {kind: self.service.shape_for(kind.value) for kind in Kind}
        self.partitions = tuple(map(_partition, partitions["partitions"]))

    @property
    def request(self) -> StructureShape:
        """The input of ``StartResourceStateUpdate``."""
        return self.service.operation_model(_OPERATION).input_shape

    def declaration(self, kind: Kind) -> StructureShape:
        """Return the arguments of a kind as one structure."""
        return self._declarations[kind]

    @functools.cached_property
    def maps(self) -> frozenset[str]:
        """The names of all arguments, at any depth, that are maps: their keys are the user's."""
        return frozenset(name for kind in Kind for name in _maps_in(self.declaration(kind)))

    @functools.cached_property
    def update_fields(self) -> frozenset[str]:
        """The arguments whose change runs a state update again: those of the service's request, and ``triggers``."""
        sent = {name for name, (api_name, _) in members(self.request).items() if api_name not in _SENT_AND_STATE_ONLY}
        return frozenset(sent - {IMAGE} | {*_OWN_TRIGGERS})


@functools.cache
def installed() -> Model:
    """Return the model of the installed botocore; it is read once."""
    return Model(loader().load_service_model("imagebuilder", "service-2"), loader().load_data("partitions"))


@functools.cache
def loader() -> Loader:
    """Return what loads the models of the installed botocore, for validation and for clients; each is read once."""
    from botocore.loaders import create_loader

    found = create_loader(os.environ.get("AWS_DATA_PATH"))
    found.search_paths.append(str(_DATA))
    return found


def members(shape: StructureShape) -> dict[str, tuple[str, Shape]]:
    """Return the members of a structure: from the name in Python to the name in the API and the shape."""
    import botocore

    return {botocore.xform_name(name): (name, inner) for name, inner in shape.members.items()}


def _partition(description: Mapping[str, Any]) -> Partition:
    # Without Unicode's letters and digits, which no region has.
    pattern = re.compile(description["regionRegex"], re.ASCII)
    return Partition(description["id"], pattern, tuple(filter(pattern.fullmatch, description.get("regions", ()))))


def _declarations(service: Mapping[str, Any]) -> dict[str, Any]:
    """Return a shape for each kind, in the model's own terms, so that one validator checks a whole declaration.

    They are made of the operation's input. Tokens that make a request idempotent are required of the provider, not of
    programs; ``state`` is written without the structure around it.
    """
    shapes = service["shapes"]
    sent = shapes[service["operations"][_OPERATION]["input"]["shape"]]
    tokens = {name for name, reference in sent["members"].items() if _makes_idempotent(reference, shapes)}
    required = [name for name in sent["required"] if name not in tokens]
    single = {
        **sent["members"],
        "state": shapes[sent["members"]["state"]["shape"]]["members"]["status"],
        **_OWN_MEMBERS,
    }
    fleet = {("resourceArns" if name == "resourceArn" else name): member for name, member in single.items()}
    cleanup = {name: member for name, member in sent["members"].items() if name not in (*_NOT_OF_A_CLEANUP, *tokens)}
    return {
        Kind.SINGLE.value: _structure(single, required),
        Kind.FLEET.value: _structure(
            {**fleet, "resourceArns": {"shape": "ResourceArns"}},
            ["resourceArns" if name == "resourceArn" else name for name in required],
        ),
        Kind.CLEANUP.value: _structure({**cleanup, **_OWN_GUARDS}, ["resourceArn", "executionRole"]),
        "ResourceArns": {"type": "list", "member": sent["members"]["resourceArn"]},
        **_OWN_SHAPES,
    }


def _maps_in(shape: Shape) -> Iterator[str]:
    """Yield the names of the members that are maps, or lists of maps, in a shape and all shapes under it."""
    if shape.type_name == "list":
        yield from _maps_in(shape.member)
    elif shape.type_name == "map":
        yield from _maps_in(shape.value)
    elif shape.type_name == "structure":
        for name, (_, inner) in members(shape).items():
            leaf = inner
            while leaf.type_name == "list":
                leaf = leaf.member
            if leaf.type_name == "map":
                yield name
            yield from _maps_in(inner)


def _structure(members_: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "structure", "members": dict(members_), "required": required}


def _makes_idempotent(reference: Mapping[str, Any], shapes: Mapping[str, Any]) -> bool:
    return bool(reference.get("idempotencyToken") or shapes[reference["shape"]].get("idempotencyToken"))
