"""Shapes and mistakes in words."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.model import ShapeResolver
from pulumi_imagebuilder.validation.descriptions import PATTERN_DESCRIPTIONS, describe, describe_limits


def test_pattern_descriptions_fit_the_installed_model(description: dict[str, Any]) -> None:
    """Each description belongs to a shape of the model, and its example matches that pattern."""
    shapes = description["shapes"]
    assert all(re.search(shapes[name]["pattern"], each.example) for name, each in PATTERN_DESCRIPTIONS.items())


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({}, ""),
        ({"min": 1}, "at least 1"),
        ({"max": 64}, "at most 64"),
        ({"min": 1, "max": 64}, "1 to 64"),
        ({"min": 3, "max": 3}, "3"),
    ],
)
def test_describe_limits(limits: dict[str, int], text: str) -> None:
    """Bounds read as a person would say them."""
    shape = ShapeResolver({"Number": {"type": "integer", **limits}}).get_shape_by_name("Number")

    assert describe_limits(shape) == text


def test_outdated_description_is_not_used() -> None:
    """Where the model's pattern has changed, the pattern itself is shown."""
    shape = ShapeResolver({"AccountId": {"type": "string", "pattern": "^[a-z]+$"}}).get_shape_by_name("AccountId")

    assert describe(shape) == "text that matches ^[a-z]+$"
