"""The record of a fleet, as Pulumi keeps it between runs: small, for a thousand images are in one resource.

``executions`` has the outputs of each image by its ARN, ``lifecycle_execution_ids`` the ids alone. Two keys are the
provider's own: ``__left`` and ``__drift`` hold what those of a single image do, by ARN, and only where there is
something to hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .reasons import named
from .record import Record, kept

MOST_RESOURCES_KEPT_OF_EACH = 10
"""How many resources are listed of each image of a fleet, failed ones first."""

FLEET_KEYS = ("executions", "lifecycle_execution_ids", "__left", "__drift")
"""All keys of a fleet's record; the outputs are those without underscores."""


def pack(records: Mapping[str, Record], arns: Iterable[str]) -> Record:
    """The record of a fleet.

    Args:
        records: the records of its images by ARN.
        arns: the images, in the order to keep them in.
    """
    present = {arn: records[arn] for arn in arns if arn in records}
    executions = {
        arn: {
            **{key: value for key, value in record.items() if not key.startswith("__")},
            "resources": record["resources"][:MOST_RESOURCES_KEPT_OF_EACH],
        }
        for arn, record in present.items()
    }
    left = {arn: record["__left"] for arn, record in present.items() if record["__left"] != record["image_state"]}
    drift = {arn: record["__drift"] for arn, record in present.items() if record.get("__drift")}
    return {
        "executions": executions,
        "lifecycle_execution_ids": {arn: each["lifecycle_execution_id"] for arn, each in executions.items()},
        **({"__left": left} if left else {}),
        **({"__drift": drift} if drift else {}),
    }


def unpack(fleet: Mapping[str, Any]) -> dict[str, Record]:
    """The records of a fleet's images by ARN."""
    left, drift = fleet.get("__left") or {}, fleet.get("__drift") or {}
    return {
        arn: {
            **kept(outputs),
            "__left": left.get(arn, outputs["image_state"]),
            **({"__drift": drift[arn]} if arn in drift else {}),
        }
        for arn, outputs in (fleet.get("executions") or {}).items()
    }


def drifted(fleet: Mapping[str, Any]) -> str | None:
    """What is otherwise than declared, in words, equal words together; None where nothing is."""
    groups: dict[str, list[str]] = {}
    for arn, words in (fleet.get("__drift") or {}).items():
        groups.setdefault(words, []).append(arn)
    told = [
        f"image {arns[0]}: {words}" if len(arns) == 1 else f"{len(arns)} images: {words}: {named(arns)}"
        for words, arns in groups.items()
    ]
    return "; ".join(told) or None
