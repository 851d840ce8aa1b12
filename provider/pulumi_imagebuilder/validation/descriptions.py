"""What a shape allows, and what is wrong with a value, in words. All limits are read from the shape."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from . import arns, times
from .model import members

if TYPE_CHECKING:
    from botocore.model import Shape, StringShape


class Meaning(NamedTuple):
    """What a pattern stands for, which is easier to read than the pattern.

    Args:
        expected: what is allowed, to follow on "expected".
        example: a text that is allowed; where the model's pattern no longer takes it, these words no longer hold.
        problem: says in a clause what is wrong with a text, to follow on the text.
    """

    expected: str
    example: str
    problem: Callable[[str], str] = lambda text: "is not valid"


MEANINGS = {
    "ImageBuildVersionArn": Meaning(
        f'the ARN of an image build version, such as "{arns.IMAGE_EXAMPLE}"', arns.IMAGE_EXAMPLE, arns.image_problem
    ),
    "RoleNameOrArn": Meaning(
        f'the name or the ARN of an IAM role, such as "{arns.ROLE_EXAMPLE}"', arns.ROLE_EXAMPLE, arns.role_problem
    ),
    "AccountId": Meaning("an account id of 12 digits", "123456789012"),
    "TagKey": Meaning(
        "a tag key of letters (A to Z), digits, spaces and _ . : / = + - @ that does not begin with aws:",
        "Cost center_.:/=+-@1",
    ),
}
"""By the name of the shape; a shape that is not here is told by its pattern."""


def expected(shape: Shape) -> str:
    """What a shape allows, to follow on "expected".

    Args:
        shape: any shape of the model.
    """
    if shape.type_name == "structure":
        return f"a dict with {_listed(list(members(shape)), 'and')}"
    if shape.type_name == "map":
        return f"a dict of {_amount(shape, 'entries')}"
    if shape.type_name == "list":
        items = f"a list of {_amount(shape, 'items')}, each" if limits(shape) else "a list, each item"
        return f"{items} {expected(shape.member)}"
    if shape.type_name == "string":
        return _expected_text(shape)
    number = f"a whole number, {limits(shape)}" if limits(shape) else "a whole number"
    return {
        "boolean": "True or False",
        "integer": number,
        "long": number,
        "timestamp": f'an RFC 3339 time with an offset, such as "{times.EXAMPLE}"',
        "any": "text, a number, True, False, None, or lists and dicts of these",
    }.get(shape.type_name, f"a {shape.type_name}")


def problem(shape: StringShape, text: str) -> str:
    """In a clause, to follow on the text: why it does not match the shape's pattern."""
    meaning = _meaning(shape)
    return meaning.problem(text) if meaning else "is not valid"


def within(number: float, shape: Shape) -> bool:
    """Whether a number, or a length, keeps to the shape's bounds."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    return (low is None or number >= low) and (high is None or number <= high)


def matches(text: str, shape: StringShape) -> bool:
    """Whether a text matches the shape's pattern."""
    pattern = shape.metadata.get("pattern")
    compiled = _compiled(pattern) if pattern else None
    return compiled is None or compiled.search(text) is not None


def limits(shape: Shape) -> str:
    """The bounds of a number or a length: ``1 to 365``; empty where there are none."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is None and high is None:
        return ""
    if high is None:
        return f"at least {low}"
    if low is None:
        return f"at most {high}"
    return f"{low}" if low == high else f"{low} to {high}"


def count(number: int, one: str, many: str | None = None) -> str:
    """A number of things.

    >>> count(0, "entry", "entries")
    '0 entries'
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    # In the model's dialect "$" is the very end of a text; in Python it would let a line break after it pass.
    if pattern.endswith("$") and not pattern.endswith(r"\$"):
        pattern = pattern[:-1] + r"\Z"
    try:
        return re.compile(pattern)
    except re.error:
        # A dialect that Python does not speak: this pattern is the service's to judge.
        return None


def _expected_text(shape: StringShape) -> str:
    if shape.enum:
        return f"one of {', '.join(shape.enum)}"
    meaning = _meaning(shape)
    if meaning:
        return meaning.expected
    length, pattern = limits(shape), shape.metadata.get("pattern")
    told = ["text", length and f"of {_amount(shape, 'characters')}", pattern and f"that matches {pattern}"]
    return " ".join(filter(None, told))


def _meaning(shape: StringShape) -> Meaning | None:
    meaning = MEANINGS.get(shape.name)
    return meaning if meaning and matches(meaning.example, shape) else None


def _amount(shape: Shape, things: str) -> str:
    return f"{limits(shape)} {things}".strip()


def _listed(names: list[str], last: str) -> str:
    return f" {last} ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
