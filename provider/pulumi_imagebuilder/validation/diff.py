"""Compare two declarations by what they mean, and decide what has to happen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import times
from .schema import DEFAULTS, IMAGE, IMAGES, Kind, Model, installed, members
from .values import UNKNOWN, has_unknown, whole_numbers

if TYPE_CHECKING:
    from botocore.model import Shape


@dataclass(frozen=True)
class InputDiff:
    """The arguments that differ. True if any does.

    Args:
        replace: arguments whose change replaces the resource.
        rerun: arguments whose change calls the API again. ``resource_arns`` is among them only while it has values
            that are not known yet.
        state_only: arguments whose change only updates the state.
        added: ARNs that a fleet has gained.
        removed: ARNs that a fleet has lost; none as long as some of the new ones are unknown.
    """

    replace: set[str] = field(default_factory=set)
    rerun: set[str] = field(default_factory=set)
    state_only: set[str] = field(default_factory=set)
    added: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.replace or self.rerun or self.state_only or self.added or self.removed)


def diff(kind: Kind, old: Mapping[str, Any], new: Mapping[str, Any], *, model: Model | None = None) -> InputDiff:
    """Compare two declarations by what they mean; an unknown value counts as changed.

    A reordered list of regions or accounts, the same instant with another offset, a False or an empty list for an
    absent one, and a default written out are no differences. Which arguments there are, and how the values of each
    compare, follows from the service's model. A clean-up makes no call while it stands, so only its image matters.

    Args:
        kind: what is declared.
        old: the inputs in the state, written by this or an earlier release; other keys are ignored.
        new: the inputs as declared.
        model: the service's model. Default: that of the installed botocore.
    """
    model = model or installed()
    shapes = {name: shape for name, (_, shape) in members(model.declaration(kind)).items() if name != IMAGES}
    defaults = DEFAULTS[kind]
    differing = {
        name
        for name, shape in shapes.items()
        if has_unknown(new.get(name))
        or _comparable(old.get(name), shape, defaults.get(name))
        != _comparable(new.get(name), shape, defaults.get(name))
    }
    rerun = set() if kind is Kind.CLEANUP else differing & model.update_fields
    replace = differing & {IMAGE}
    found = InputDiff(replace=replace, rerun=rerun, state_only=differing - rerun - replace)
    if kind is Kind.FLEET:
        _compare_images(old.get(IMAGES) or [], new.get(IMAGES) or [], found)
    return found


def runs_again(kind: Kind, old: Mapping[str, Any], new: Mapping[str, Any], *, model: Model | None = None) -> bool:
    """Return whether what is known of a declaration already makes a call that the one in the state did not make."""
    known = {name: value for name, value in new.items() if not has_unknown(value)}
    if isinstance(new.get(IMAGES), list):
        known[IMAGES] = [arn for arn in new[IMAGES] if arn != UNKNOWN]
    comparable = {name: value for name, value in old.items() if name in known or name not in new}
    found = diff(kind, comparable, known, model=model)
    return bool(found.replace or found.rerun or found.added)


def _compare_images(old: Any, new: Any, found: InputDiff) -> None:
    if has_unknown(new):
        found.rerun.add(IMAGES)
        found.added.update(set() if new == UNKNOWN else {arn for arn in new if arn != UNKNOWN} - set(old))
    else:
        found.added.update(set(new) - set(old))
        found.removed.update(set(old) - set(new))


def _comparable(value: Any, shape: Shape, default: Any) -> str:
    """Return a text that is equal for equal meaning: as JSON, for in Python True and 1 are equal."""
    return json.dumps(_canonical(default if value is None else value, shape), sort_keys=True)


def _canonical(value: Any, shape: Shape) -> Any:
    """Return the value as its shape means it; None for what means the same as nothing at all.

    A value that does not fit the shape (a newer or an older model's) is compared as it is.
    """
    if shape.type_name == "structure" and isinstance(value, Mapping):
        known = members(shape)
        items = {
            name: _canonical(item, known[name][1]) if name in known else whole_numbers(item)
            for name, item in value.items()
        }
        return {name: item for name, item in items.items() if item is not None} or None
    if shape.type_name == "map" and isinstance(value, Mapping):
        # An entry with an empty value is not the same as no entry: a tag without a value is a tag.
        return {key: _canonical(item, shape.value) for key, item in value.items()} or None
    if shape.type_name == "list" and isinstance(value, list | tuple):
        if shape.member.type_name == "string":
            # All lists of texts are sets to the service.
            return sorted({json.dumps(item) for item in value}) or None
        return [_canonical(item, shape.member) for item in value] or None
    if shape.type_name == "timestamp" and isinstance(value, str):
        return _instant(value)
    if shape.type_name == "boolean" and value is False:
        return None
    return whole_numbers(value)


def _instant(text: str) -> str:
    try:
        return times.text(times.parse(text))
    except ValueError:
        return text
