"""What differs in meaning between two declarations, and what has to happen for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import times
from .kinds import DEFAULTS, Kind
from .values import UNKNOWN, has_unknown, whole_numbers

IMAGE = "resource_arn"
IMAGES = "resource_arns"
ASKS = ("state", "include_resources", "exclusion_rules", "update_at", "client_token", "triggers")
"""A change of these is another state update."""

NOTES = ("execution_role", "wait", "on_destroy", "__timeouts", "__urn")
"""A change of these is only written down. The URN changes where a resource is renamed with an alias."""


@dataclass(frozen=True)
class Changes:
    """What differs. True if anything does.

    Args:
        replace: arguments whose change makes another resource of it.
        rerun: arguments whose change calls the API again. ``resource_arns`` is among them only while it has values
            that are not known yet.
        record: arguments whose change is only written down.
        added: ARNs that a fleet has gained.
        removed: ARNs that a fleet has lost; none as long as some of the new ones are unknown.
    """

    replace: set[str] = field(default_factory=set)
    rerun: set[str] = field(default_factory=set)
    record: set[str] = field(default_factory=set)
    added: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.replace or self.rerun or self.record or self.added or self.removed)


def changes(kind: Kind, old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
    """What differs in meaning between two declarations; an unknown value counts as changed.

    A reordered list of regions or accounts, the same instant with another offset, a False or an empty list where
    nothing was, and a default written out are no differences. A clean-up makes no call while it stands, so there only
    the image matters.

    Args:
        kind: what is declared.
        old: the inputs as recorded, by this or an earlier version; other keys are ignored.
        new: the inputs as declared.
    """
    differing = {name for name in (IMAGE, *ASKS, *NOTES) if _differs(name, old.get(name), new.get(name))}
    if kind is Kind.CLEANUP:
        return Changes(replace=differing & {IMAGE}, record=differing - {IMAGE})
    found = Changes(rerun=differing & {*ASKS}, record=differing & {*NOTES})
    if kind is Kind.SINGLE:
        found.replace.update(differing & {IMAGE})
        return found
    before, now = old.get(IMAGES) or [], new.get(IMAGES) or []
    if has_unknown(now):
        found.rerun.add(IMAGES)
        known = set() if now == UNKNOWN else {arn for arn in now if arn != UNKNOWN}
        found.added.update(known - set(before))
    else:
        found.added.update(set(now) - set(before))
        found.removed.update(set(before) - set(now))
    return found


def asks_anew(kind: Kind, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether what is known of a declaration already makes a call that the recorded one did not make."""
    known = {name: value for name, value in new.items() if not has_unknown(value)}
    if isinstance(new.get(IMAGES), list):
        known[IMAGES] = [arn for arn in new[IMAGES] if arn != UNKNOWN]
    found = changes(kind, {name: value for name, value in old.items() if name in known or name not in new}, known)
    return bool(found.replace or found.rerun or found.added)


def _differs(name: str, old: Any, new: Any) -> bool:
    return has_unknown(new) or _comparable(name, old) != _comparable(name, new)


def _comparable(name: str, value: Any) -> str:
    """Text that is equal for equal meaning: as JSON, for Python holds True and 1 to be equal."""
    if name in DEFAULTS and value is None:
        value = DEFAULTS[name]
    if name == "update_at" and isinstance(value, str):
        value = _instant(value)
    if name in ("include_resources", "exclusion_rules", "__timeouts"):
        value = _pruned(value)
    if name == "triggers":
        value = value or None
    return json.dumps(whole_numbers(value), sort_keys=True)


def _instant(text: str) -> str:
    try:
        return times.text(times.parse(text))
    except ValueError:
        return text


def _pruned(value: Any) -> Any:
    """Without what means the same as nothing at all, and with sets in order; None if nothing is left."""
    if isinstance(value, Mapping):
        kept = {key: _pruned(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None and item is not False} or None
    if isinstance(value, list | tuple):
        return sorted({json.dumps(item) for item in value}) or None
    return value
