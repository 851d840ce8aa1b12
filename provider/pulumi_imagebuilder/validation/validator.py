"""Validate a declaration: every mistake that can be known before a call, all at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from . import descriptions, times
from .constraints import Constraints
from .diff import runs_again
from .failures import Failure, FailureCollector, member_path, nearest_name
from .schema import DEFAULTS, Kind, Model, installed, members
from .values import UNKNOWN, is_unserializable, whole_numbers

if TYPE_CHECKING:
    from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape


@dataclass(frozen=True)
class Validated:
    """The outcome of a validation.

    Args:
        inputs: the inputs, normalised so that equal meaning is equal value; as they came if there are failures.
        failures: every mistake, one for each property.
    """

    inputs: dict[str, Any]
    failures: list[Failure]


def validate(
    kind: Kind,
    inputs: Mapping[str, Any],
    *,
    previous: Mapping[str, Any] | None = None,
    now: datetime | None = None,
    model: Model | None = None,
) -> Validated:
    """Report every mistake that can be known before a call, and normalise what is right.

    Unknown values are kept as they are, and known ones beside them are still validated. Normalised means: times in UTC,
    lists that are sets sorted and unique, whole numbers as ints, defaults written out, what is None left out.

    Args:
        kind: what is declared.
        inputs: the inputs as Pulumi passes them, by the names of the arguments. Keys that begin with two underscores
            are returned untouched; ``__secrets`` lists the paths of properties whose values no message may show.
        previous: the inputs in the state: a schedule whose time has passed since is no mistake as long as the service
            is not called again. Default: there are none.
        now: the current time, with an offset. Default: the clock's.
        model: the service's model. Default: that of the installed botocore.
    """
    model = model or installed()
    internal = {name: value for name, value in inputs.items() if name.startswith("__")}
    failures = FailureCollector(internal.get("__secrets"))

    written = {name: value for name, value in inputs.items() if name not in internal}
    declaration = model.declaration(kind)
    normalised = {**DEFAULTS[kind], **ShapeValidator(failures).validate(written, declaration, "")}
    calls = not previous or runs_again(kind, previous, normalised, model=model)
    Constraints(
        kind=kind,
        inputs=normalised,
        written=written,
        partitions=model.partitions,
        failures=failures,
        now=(now or datetime.now(UTC)) if calls else None,
    ).check()

    found = failures.failures(order=list(members(declaration)))
    return Validated(dict(inputs) if found else {**normalised, **internal}, found)


class ShapeValidator:
    """Validates values by a shape: types, names, enumerations, patterns, lengths and bounds.

    A wrong value becomes :data:`UNKNOWN` in the result, so that the rules between arguments leave it alone.

    Args:
        failures: where failures are added.
    """

    def __init__(self, failures: FailureCollector) -> None:
        self._failures = failures
        self._validators: dict[str, Callable[[Any, Any, str], Any]] = {
            "structure": self._structure,
            "list": self._list,
            "map": self._map,
            "string": self._string,
            "boolean": self._boolean,
            "integer": self._integer,
            "long": self._integer,
            "timestamp": self._timestamp,
            "any": self._any,
        }

    def validate(self, value: Any, shape: Shape, path: str) -> Any:
        """Return the normalised value, and add a failure for each mistake in it.

        Args:
            value: as Pulumi passes it.
            shape: its shape; a type that the operation does not use today is left to boto3.
            path: the property; empty for a whole declaration.
        """
        if value == UNKNOWN:
            return UNKNOWN
        if is_unserializable(value):
            return self._invalid(path, value, shape)
        validator = self._validators.get(shape.type_name)
        return validator(value, shape, path) if validator else value

    def _invalid(self, path: str, value: Any, shape: Shape, **more: Any) -> str:
        self._failures.add_invalid(path, value, descriptions.describe(shape), **more)
        return UNKNOWN

    def _wrong_size(self, path: str, value: Any, shape: Shape, size: str) -> str:
        secret = self._failures.is_secret(path)
        expected = descriptions.describe(shape) if secret else descriptions.describe_limits(shape)
        self._failures.add_invalid(path, value, expected, problem=f"has {size}")
        return UNKNOWN

    def _structure(self, value: Any, shape: StructureShape, path: str) -> Any:
        if not isinstance(value, Mapping):
            return self._invalid(path, value, shape)
        known = {name: inner for name, (_, inner) in members(shape).items()}
        # Sorted, because Pulumi passes arguments in no order.
        present = sorted((name, item) for name, item in value.items() if item is not None)
        unknown_arguments = [name for name, _ in present if name not in known]
        meant = {
            self._failures.add_unknown_argument(path, name, path or shape.name, list(known))
            for name in unknown_arguments
        }
        result = {
            name: self.validate(item, known[name], member_path(path, name)) for name, item in present if name in known
        }
        required = [name for name, (api_name, _) in members(shape).items() if api_name in shape.required_members]
        for name in required:
            if name not in result and name not in meant:
                self._failures.add(member_path(path, name), f"missing; expected {descriptions.describe(known[name])}")
                result[name] = UNKNOWN
        if unknown_arguments:
            # Any absent argument may be the one that was meant; then the wrong name is the only mistake.
            result = {**{name: UNKNOWN for name in known if None in meant or name in meant}, **result}
        return result

    def _list(self, value: Any, shape: ListShape, path: str) -> Any:
        if not isinstance(value, list | tuple):
            return self._invalid(path, value, shape, hint=[value] if isinstance(value, str) else None)
        if not descriptions.is_within_limits(len(value), shape):
            return self._wrong_size(path, value, shape, descriptions.count(len(value), "item"))
        items = [self.validate(item, shape.member, f"{path}[{index}]") for index, item in enumerate(value)]
        if shape.member.type_name != "string":
            return items
        # All lists of texts are sets to the service. Two unknown values may still be different ones.
        return sorted({item for item in items if item != UNKNOWN}) + [item for item in items if item == UNKNOWN]

    def _map(self, value: Any, shape: MapShape, path: str) -> Any:
        if not isinstance(value, Mapping):
            return self._invalid(path, value, shape)
        if not descriptions.is_within_limits(len(value), shape):
            return self._wrong_size(path, value, shape, descriptions.count(len(value), "entry", "entries"))
        result = {}
        for key, item in sorted(value.items()):
            entry = self._failures.entry_path(path, key)
            self._string(key, shape.key, entry, problem="is not valid as a key")
            result[key] = self.validate(item, shape.value, entry)
        return result

    def _string(self, value: Any, shape: StringShape, path: str, problem: str | None = None) -> Any:
        problems = {"problem": problem} if problem else {}
        if not isinstance(value, str):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            hint = _if_valid(shape, str(whole_numbers(value))) if number else None
            return self._invalid(path, value, shape, hint=hint)
        if shape.enum:
            if value in shape.enum:
                return value
            return self._invalid(path, value, shape, hint=_nearest_choice(value, shape.enum), **problems)
        if not descriptions.is_within_limits(len(value), shape):
            return self._wrong_size(path, value, shape, descriptions.count(len(value), "character"))
        if not descriptions.matches_pattern(value, shape):
            corrected = (value.strip(), value.strip().lower(), value.replace("-", ""))
            hint = next((text for text in corrected if _if_valid(shape, text)), None)
            problem = problem or descriptions.describe_mismatch(shape, value)
            return self._invalid(path, value, shape, hint=hint, problem=problem)
        return value

    def _boolean(self, value: Any, shape: Shape, path: str) -> Any:
        if isinstance(value, bool):
            return value
        hint = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None
        return self._invalid(path, value, shape, hint=hint)

    def _integer(self, value: Any, shape: Shape, path: str) -> Any:
        number = whole_numbers(value)
        if isinstance(number, int) and not isinstance(number, bool) and descriptions.is_within_limits(number, shape):
            return number
        digits = isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value)
        hint = int(value) if digits and descriptions.is_within_limits(int(value), shape) else None
        return self._invalid(path, value, shape, hint=hint)

    def _timestamp(self, value: Any, shape: Shape, path: str) -> Any:
        if not isinstance(value, str):
            return self._invalid(path, value, shape)
        try:
            return times.text(times.parse(value))
        except ValueError as error:
            return self._invalid(path, value, shape, problem=str(error))

    def _any(self, value: Any, shape: Shape, path: str) -> Any:
        if isinstance(value, Mapping):
            return {
                key: self.validate(item, shape, self._failures.entry_path(path, key)) for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.validate(item, shape, f"{path}[{index}]") for index, item in enumerate(value)]
        if value is None or isinstance(value, str | bool | int | float):
            return whole_numbers(value)
        return self._invalid(path, value, shape)


def _if_valid(shape: StringShape, text: str) -> str | None:
    """Return the text, if it would be valid."""
    if shape.enum:
        return text if text in shape.enum else None
    valid = descriptions.is_within_limits(len(text), shape) and descriptions.matches_pattern(text, shape)
    return text if valid else None


def _nearest_choice(value: str, choices: list[str]) -> str | None:
    """Return the choice of an enumeration that was probably meant, in upper or lower case."""
    by_lower = {text.lower(): text for text in choices}
    meant = nearest_name(value.lower(), list(by_lower))
    return by_lower[meant] if meant else None
