"""The values that the signatures name are those that validation accepts."""

from __future__ import annotations

from typing import get_args

import pytest
from pulumi_imagebuilder.resources import args
from pulumi_imagebuilder.validation import schema


@pytest.mark.parametrize(
    ("literal", "shape"),
    [
        (args.State, "ResourceStatus"),
        (args.TimeUnit, "LifecyclePolicyTimeUnit"),
        (args.OnDestroy, "OnDestroy"),
        (args.InUse, "InUse"),
    ],
)
def test_literals_are_the_enumerations(literal: object, shape: str) -> None:
    """Of the service's model, and of our own arguments."""
    assert set(get_args(literal)) == set(schema.installed().service.shape_for(shape).enum)
