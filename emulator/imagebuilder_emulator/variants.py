"""Variants: where the documentation leaves open how the service behaves, each reading can be switched on.

A variant is data. Code asks ``variants["schedule-status"]`` and compares the reading; nothing else knows the list.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Variant:
    """One ambiguity of the service.

    Attributes:
        name: name of the switch.
        readings: the behaviours that can be switched on; the first is the documented one and the default.
        about: the question that the documentation leaves open.
    """

    name: str
    readings: tuple[str, ...]
    about: str

    @property
    def default(self) -> str:
        """The documented reading."""
        return self.readings[0]


VARIANTS: Mapping[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant(
            "schedule-status",
            ("IN_PROGRESS", "PENDING"),
            "status of an execution whose updateAt has not come; under both it has a start time and no resources",
        ),
        Variant(
            "deleted-image",
            ("not-found", "state"),
            "GetImage of an image that was deleted: ResourceNotFoundException, or an answer with the state DELETED, "
            "which lists of builds show too",
        ),
        Variant(
            "pages",
            ("full", "short"),
            "pages of a list: as long as asked for, or shorter with a nextToken, the first one empty",
        ),
        Variant(
            "consistency",
            ("immediate", "lag"),
            "an execution right after its start, images and lists after a write: readable at once, or 1.5 s later",
        ),
        Variant(
            "missing-role",
            ("execution-fails", "InvalidParameterValueException", "InvalidRequestException"),
            "an execution role that does not exist (yet): the execution fails, or the start is refused with this code, "
            "for 3 s also for a role that was just made",
        ),
        Variant(
            "unknown-execution",
            ("ResourceNotFoundException", "InvalidRequestException"),
            "error code for an execution id that is unknown or forgotten",
        ),
        Variant(
            "cancel",
            ("accepted", "in-use"),
            "CancelLifecycleExecution: accepted, or ResourceInUseException for 1.5 s from the first attempt",
        ),
        Variant(
            "resource-times",
            ("present", "absent"),
            "startTime and endTime of the entries of ListLifecycleExecutionResources",
        ),
        Variant(
            "failure-reason",
            ("execution", "image-record"),
            "where the reason of a failed execution is: in its own state too, or only in the image record's own entry",
        ),
        Variant(
            "policy-executions",
            ("unlisted", "listed"),
            "executions of lifecycle policies in ListLifecycleExecutions by image",
        ),
    )
}


class Variants:
    """The reading that is switched on for each variant; thread-safe.

    Args:
        readings: readings by the name of the variant; the defaults for all others.

    Raises:
        ValueError: there is no such variant or reading; the text names those that there are.
    """

    def __init__(self, readings: Mapping[str, str] | None = None) -> None:
        self._lock = threading.Lock()
        self._initial = {name: variant.default for name, variant in VARIANTS.items()} | _checked(readings or {})
        self._readings = dict(self._initial)

    def __getitem__(self, name: str) -> str:
        """Return the reading that is switched on."""
        return self._readings[name]

    def set(self, readings: Mapping[str, str]) -> None:
        """Switch readings on and leave the other variants as they are. Raises as the constructor does."""
        checked = _checked(readings)
        with self._lock:
            self._readings = self._readings | checked

    def replace(self, readings: Mapping[str, str]) -> None:
        """Switch readings on, and the other variants to their defaults. Raises as the constructor does."""
        checked = _checked(readings)
        with self._lock:
            self._readings = {name: variant.default for name, variant in VARIANTS.items()} | checked

    def reset(self) -> None:
        """Go back to the readings of the constructor."""
        with self._lock:
            self._readings = dict(self._initial)

    def as_json(self) -> list[dict[str, Any]]:
        """Return all variants with the reading that is switched on."""
        return [
            {
                "name": variant.name,
                "reading": self[variant.name],
                "readings": list(variant.readings),
                "about": variant.about,
            }
            for variant in VARIANTS.values()
        ]


def parse_variants(texts: Iterable[str]) -> dict[str, str]:
    """Read ``NAME=VALUE`` texts of a command line.

    Returns:
        Readings by the name of the variant.

    Raises:
        ValueError: a text is no such assignment, one variant is there twice, or `Variants` would refuse it.
    """
    readings: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"variant {text!r}: expected NAME=VALUE, such as schedule-status=PENDING")
        if name in readings:
            raise ValueError(f"variant {name!r} is there twice")
        readings[name] = value
    return _checked(readings)


def _checked(readings: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(readings, Mapping):
        raise ValueError(f'expected an object of variants, as {{"schedule-status": "PENDING"}}, got {readings!r}')
    for name, value in readings.items():
        variant = VARIANTS.get(name)
        if variant is None:
            raise ValueError(f"unknown variant {name!r}; known are {', '.join(VARIANTS)}")
        if value not in variant.readings:
            raise ValueError(f"unknown reading {value!r} of variant {name!r}; known are {', '.join(variant.readings)}")
    return dict(readings)
