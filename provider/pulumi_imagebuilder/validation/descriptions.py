"""Describe shapes, and mistakes in values, for messages. All limits are read from the shape."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from . import arns, times
from .schema import members

if TYPE_CHECKING:
    from botocore.model import Shape, StringShape


class PatternDescription(NamedTuple):
    """A description of a pattern that is easier to read than the pattern.

    Args:
        expected: what is allowed, to follow "expected".
        example: a text that is allowed; where the model's pattern does not match it, the description is out of date
            and not used.
        describe_mismatch: returns a clause about what is wrong with a text, to follow the text.
    """

    expected: str
    example: str
    describe_mismatch: Callable[[str], str] = lambda text: "is not valid"


PATTERN_DESCRIPTIONS = {
    "ImageBuildVersionArn": PatternDescription(
        f'the ARN of an image build version, such as "{arns.IMAGE_EXAMPLE}"',
        arns.IMAGE_EXAMPLE,
        arns.describe_image_mismatch,
    ),
    "RoleNameOrArn": PatternDescription(
        f'the name or the ARN of an IAM role, such as "{arns.ROLE_EXAMPLE}"',
        arns.ROLE_EXAMPLE,
        arns.describe_role_mismatch,
    ),
    "AccountId": PatternDescription("an account id of 12 digits", "123456789012"),
    "TagKey": PatternDescription(
        "a tag key of letters (A to Z), digits, spaces and _ . : / = + - @ that does not begin with aws:",
        "Cost center_.:/=+-@1",
    ),
}
"""Descriptions by the name of the shape; a shape that is not here is described by its pattern."""


def describe(shape: Shape) -> str:
    """Return what a shape allows, to follow "expected"."""
    if shape.type_name == "structure":
        return f"a dict with {_join(list(members(shape)), 'and')}"
    if shape.type_name == "map":
        return f"a dict of {_amount(shape, 'entries')}"
    if shape.type_name == "list":
        items = f"a list of {_amount(shape, 'items')}, each" if describe_limits(shape) else "a list, each item"
        return f"{items} {describe(shape.member)}"
    if shape.type_name == "string":
        return _describe_text(shape)
    limits = describe_limits(shape)
    number = f"a whole number, {limits}" if limits else "a whole number"
    return {
        "boolean": "True or False",
        "integer": number,
        "long": number,
        "timestamp": f'an RFC 3339 time with an offset, such as "{times.EXAMPLE}"',
        "any": "text, a number, True, False, None, or lists and dicts of these",
    }.get(shape.type_name, f"a {shape.type_name}")


def describe_mismatch(shape: StringShape, text: str) -> str:
    """Return a clause about why a text does not match the shape's pattern, to follow the text."""
    description = _pattern_description(shape)
    return description.describe_mismatch(text) if description else "is not valid"


def is_within_limits(number: float, shape: Shape) -> bool:
    """Return whether a number, or a length, is within the shape's bounds."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    return (low is None or number >= low) and (high is None or number <= high)


def matches_pattern(text: str, shape: StringShape) -> bool:
    """Return whether a text matches the shape's pattern."""
    pattern = shape.metadata.get("pattern")
    compiled = _compile(pattern) if pattern else None
    return compiled is None or compiled.search(text) is not None


def describe_limits(shape: Shape) -> str:
    """Return the bounds of a number or a length: ``1 to 365``; empty without bounds."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is None and high is None:
        return ""
    if high is None:
        return f"at least {low}"
    if low is None:
        return f"at most {high}"
    return f"{low}" if low == high else f"{low} to {high}"


def count(number: int, one: str, many: str | None = None) -> str:
    """Return a number of things.

    >>> count(0, "entry", "entries")
    '0 entries'
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


@functools.cache
def _compile(pattern: str) -> re.Pattern[str] | None:
    # In the model's dialect "$" is the very end of a text; in Python it would let a line break after it pass.
    if pattern.endswith("$") and not pattern.endswith(r"\$"):
        pattern = pattern[:-1] + r"\Z"
    try:
        return re.compile(pattern)
    except re.error:
        # A dialect that Python does not support: the service checks this pattern itself.
        return None


def _describe_text(shape: StringShape) -> str:
    if shape.enum:
        return f"one of {', '.join(shape.enum)}"
    description = _pattern_description(shape)
    if description:
        return description.expected
    limits, pattern = describe_limits(shape), shape.metadata.get("pattern")
    parts = ["text", limits and f"of {_amount(shape, 'characters')}", pattern and f"that matches {pattern}"]
    return " ".join(filter(None, parts))


def _pattern_description(shape: StringShape) -> PatternDescription | None:
    description = PATTERN_DESCRIPTIONS.get(shape.name)
    return description if description and matches_pattern(description.example, shape) else None


def _amount(shape: Shape, things: str) -> str:
    return f"{describe_limits(shape)} {things}".strip()


def _join(names: list[str], last: str) -> str:
    return f" {last} ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
