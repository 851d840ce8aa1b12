"""What a program gives, on its way to the check: nothing that the check can refuse in one line ends the program before.

A name that is no argument, an argument that is missing, an object that Pulumi cannot carry: each of these would be a
traceback of its own. Here they become inputs like all others, so that the check tells of them beside all other
mistakes. Types are left as they are: an editor and mypy still find most of them first.
"""

from __future__ import annotations

import enum
import functools
import inspect
from collections.abc import Callable, Mapping, Set
from datetime import date
from typing import Any, TypeVar, cast

import pulumi

from .. import rules

Constructor = TypeVar("Constructor", bound=Callable[..., None])

_STRANGERS = "_strangers"


def refused_by_the_check(constructor: Constructor) -> Constructor:
    """A constructor that takes any name, and goes without its required ones: :func:`given` passes on what it got.

    Args:
        constructor: an ``__init__`` whose arguments are given by name.
    """
    known = inspect.signature(constructor).parameters
    required = [
        name
        for name, parameter in known.items()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
    ]

    @functools.wraps(constructor)
    def taking_anything(self: object, *args: Any, **named: Any) -> None:
        vars(self)[_STRANGERS] = {name: value for name, value in named.items() if name not in known}
        arguments = {name: value for name, value in named.items() if name in known}
        constructor(self, *args, **{**dict.fromkeys(required), **arguments})

    return cast("Constructor", taking_anything)


def given(declared: object, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as Pulumi can carry them, and with them those of a name that is not known.

    Args:
        declared: what is being constructed.
        arguments: its arguments by name.
    """
    return {name: plain(value) for name, value in {**arguments, **strangers(declared)}.items()}


def strangers(declared: object) -> dict[str, Any]:
    """What a constructor was given under names that it does not know."""
    return dict(vars(declared).get(_STRANGERS, {}))


def plain(value: Any) -> Any:
    """A value as Pulumi can carry it: enumerations by their text, times in RFC 3339, sets as lists, Args as dicts.

    Of what remains only the type's name is passed on, for the check to refuse. Outputs stay outputs.

    >>> plain({"regions": ("us-east-1",), "update_at": date(2030, 1, 31)})
    {'regions': ['us-east-1'], 'update_at': '2030-01-31'}
    """
    if isinstance(value, pulumi.Output):
        return value.apply(plain)
    if inspect.isawaitable(value):
        return pulumi.Output.from_input(value).apply(plain)
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if value is None or isinstance(value, str | bool | int | float | pulumi.Asset | pulumi.Archive):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(type(value), "_pulumi_input_type"):
        named = {name: item for name, item in vars(value).items() if name != _STRANGERS}
        return plain({**named, **strangers(value)})
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Set):
        return [plain(item) for item in sorted(value, key=str)]
    return rules.foreign(type(value).__name__)
