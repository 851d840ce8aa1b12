"""Check a declaration: every mistake that can be known before a call, all at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .findings import Failure, Findings
from .kinds import DEFAULTS, Kind
from .meaning import asks_anew
from .model import Model, installed, members
from .places import image_arns, place
from .relations import Relations
from .shapes import Walker


@dataclass(frozen=True)
class Checked:
    """The outcome of a check.

    Args:
        inputs: the inputs, normalised so that equal meaning is equal value; as they came if there are failures.
        failures: every mistake, one to a property.
    """

    inputs: dict[str, Any]
    failures: list[Failure]


def check(
    kind: Kind,
    inputs: Mapping[str, Any],
    *,
    previous: Mapping[str, Any] | None = None,
    now: datetime | None = None,
    model: Model | None = None,
) -> Checked:
    """Name every mistake that can be known before a call, and normalise what is right.

    Unknown values are left alone, and what is known beside them is still checked. Normalised means: times in UTC,
    lists that are sets sorted and unique, whole numbers as ints, defaults written out, what is None left out.

    Args:
        kind: what is declared.
        inputs: what the program gave, by the names of the arguments. Keys that begin with two underscores pass
            through untouched; ``__secrets`` lists the paths of properties whose values no message may show.
        previous: the inputs recorded in state: a schedule that has come true meanwhile is no mistake as long as
            nothing is asked of the service anew. Default: there are none.
        now: the time it is, with an offset. Default: the clock's.
        model: the service's model. Default: the installed botocore's.
    """
    model = model or installed()
    internal = {name: value for name, value in inputs.items() if name.startswith("__")}
    findings = Findings(internal.get("__secrets"))

    given = {name: value for name, value in inputs.items() if name not in internal}
    declaration = model.declaration(kind)
    declared = Walker(findings).walk(given, declaration, "")
    if kind is not Kind.CLEANUP:
        declared = {**DEFAULTS, **declared}
    first_time = not previous or asks_anew(kind, previous, declared)
    asked_at = (now or datetime.now(timezone.utc)) if first_time else None
    Relations(kind, declared, given, findings, asked_at).check()
    place(image_arns(given, findings), declared.get("execution_role"), model.partitions, findings)

    failures = findings.failures(order=list(members(declaration)))
    return Checked(dict(inputs) if failures else {**declared, **internal}, failures)
