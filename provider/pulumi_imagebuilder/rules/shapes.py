"""Hold a value against a shape of the service's model: types, names, enumerations, patterns, lengths and bounds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from . import times, words
from .findings import Findings, member, nearest
from .model import members
from .values import UNKNOWN, is_foreign, whole_numbers

if TYPE_CHECKING:
    from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape


class Walker:
    """Normalises values and notes what is wrong with them.

    What is wrong becomes :data:`UNKNOWN` in the result, so that the rules between properties leave it alone.

    Args:
        findings: where failures go.
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._walks: dict[str, Callable[[Any, Any, str], Any]] = {
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

    def walk(self, value: Any, shape: Shape, path: str) -> Any:
        """The value as the request is to have it.

        Args:
            value: as Pulumi handed it over.
            shape: what it is held against; a type that the operation does not have today is left to boto3.
            path: the property; empty for a whole declaration.
        """
        if value == UNKNOWN:
            return UNKNOWN
        if is_foreign(value):
            return self._invalid(path, value, shape)
        walk = self._walks.get(shape.type_name)
        return walk(value, shape, path) if walk else value

    def _invalid(self, path: str, value: Any, shape: Shape, **more: Any) -> str:
        self._findings.invalid(path, value, words.expected(shape), **more)
        return UNKNOWN

    def _wrong_size(self, path: str, value: Any, shape: Shape, size: str) -> str:
        expected = words.expected(shape) if self._findings.is_secret(path) else words.limits(shape)
        self._findings.invalid(path, value, expected, problem=f"has {size}")
        return UNKNOWN

    def _structure(self, value: Any, shape: StructureShape, path: str) -> Any:
        if not isinstance(value, Mapping):
            return self._invalid(path, value, shape)
        known = {name: inner for name, (_, inner) in members(shape).items()}
        walked: dict[str, Any] = {}
        meant: set[str] = set()
        strangers = False
        # Sorted, for Pulumi hands them over in no order.
        for name, item in sorted(value.items()):
            if item is None:
                continue
            if name in known:
                walked[name] = self.walk(item, known[name], member(path, name))
            else:
                strangers = True
                meant.add(self._findings.stranger(path, name, path or shape.name, list(known)) or "")
        for required in shape.required_members:
            name = next(name for name, (api_name, _) in members(shape).items() if api_name == required)
            if name not in walked and name not in meant:
                self._findings.add(member(path, name), f"missing; expected {words.expected(known[name])}")
                walked[name] = UNKNOWN
        if strangers:
            # Anything that is absent may be what a wrong name was meant for; the wrong name alone is the mistake.
            return {**{name: UNKNOWN for name in known if "" in meant or name in meant}, **walked}
        return walked

    def _list(self, value: Any, shape: ListShape, path: str) -> Any:
        if not isinstance(value, list | tuple):
            return self._invalid(path, value, shape, hint=[value] if isinstance(value, str) else None)
        if not words.within(len(value), shape):
            return self._wrong_size(path, value, shape, words.count(len(value), "item"))
        walked = [self.walk(item, shape.member, f"{path}[{index}]") for index, item in enumerate(value)]
        if shape.member.type_name != "string":
            return walked
        # All lists of texts here are sets to the service. Two unknown values may still be different ones.
        return sorted({item for item in walked if item != UNKNOWN}) + [item for item in walked if item == UNKNOWN]

    def _map(self, value: Any, shape: MapShape, path: str) -> Any:
        if not isinstance(value, Mapping):
            return self._invalid(path, value, shape)
        if not words.within(len(value), shape):
            return self._wrong_size(path, value, shape, words.count(len(value), "entry", "entries"))
        walked = {}
        for key, item in sorted(value.items()):
            entry = self._findings.entry(path, key)
            self._string(key, shape.key, entry, problem="is not valid as a key")
            walked[key] = self.walk(item, shape.value, entry)
        return walked

    def _string(self, value: Any, shape: StringShape, path: str, problem: str | None = None) -> Any:
        problems = {"problem": problem} if problem else {}
        if not isinstance(value, str):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return self._invalid(
                path, value, shape, hint=_accepted(shape, str(whole_numbers(value))) if number else None
            )
        if shape.enum:
            if value in shape.enum:
                return value
            return self._invalid(path, value, shape, hint=_nearest_of(value, shape.enum), **problems)
        if not words.within(len(value), shape):
            return self._wrong_size(path, value, shape, words.count(len(value), "character"))
        if not words.matches(value, shape):
            tidied = (value.strip(), value.strip().lower(), value.replace("-", ""))
            hint = next((text for text in tidied if _accepted(shape, text)), None)
            return self._invalid(path, value, shape, hint=hint, problem=problem or words.problem(shape, value))
        return value

    def _boolean(self, value: Any, shape: Shape, path: str) -> Any:
        if isinstance(value, bool):
            return value
        hint = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None
        return self._invalid(path, value, shape, hint=hint)

    def _integer(self, value: Any, shape: Shape, path: str) -> Any:
        number = whole_numbers(value)
        if isinstance(number, int) and not isinstance(number, bool) and words.within(number, shape):
            return number
        digits = isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) and words.within(int(value), shape)
        return self._invalid(path, value, shape, hint=int(value) if digits else None)

    def _timestamp(self, value: Any, shape: Shape, path: str) -> Any:
        if not isinstance(value, str):
            return self._invalid(path, value, shape)
        try:
            return times.text(times.parse(value))
        except ValueError as error:
            return self._invalid(path, value, shape, problem=str(error))

    def _any(self, value: Any, shape: Shape, path: str) -> Any:
        if isinstance(value, Mapping):
            return {key: self.walk(item, shape, self._findings.entry(path, key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.walk(item, shape, f"{path}[{index}]") for index, item in enumerate(value)]
        if value is None or isinstance(value, str | bool | int | float):
            return whole_numbers(value)
        return self._invalid(path, value, shape)


def _accepted(shape: StringShape, text: str) -> str | None:
    """The text, if it would be valid."""
    fits = text in shape.enum if shape.enum else words.within(len(text), shape) and words.matches(text, shape)
    return text if fits else None


def _nearest_of(value: str, allowed: list[str]) -> str | None:
    """The one of an enumeration that was probably meant, in whatever case it was written."""
    by_lower = {text.lower(): text for text in allowed}
    meant = nearest(value.lower(), list(by_lower))
    return by_lower[meant] if meant else None
