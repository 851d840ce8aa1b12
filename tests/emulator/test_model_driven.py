"""Requests made up from the service model are accepted or refused rightly, whatever they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from imagebuilder_emulator.emulator import Emulator
from model_driven import OPERATIONS, SEED, World, run


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Emulator(SEED, execution_time="0s") as emulator, contextlib.closing(World(emulator)) as world:
        yield world


@pytest.mark.parametrize("operation", OPERATIONS)
def test_requests_made_up_from_the_model(world: World, operation: str) -> None:
    """A hundred that are valid, of which some are accepted and some refused by a rule, and a hundred broken ones."""
    figures = run(world, operation, 200)
    assert (figures.valid, figures.broken.total()) == (100, 100)
    assert figures.accepted > 0
    assert figures.refused.total() > 0
