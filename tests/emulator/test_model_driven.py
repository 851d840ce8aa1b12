"""Requests made up from the service model are accepted or refused rightly, whatever they are."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import ClassVar

import pytest
from imagebuilder_emulator.emulator import Emulator
from model_driven import MODEL, OPERATIONS, SEED, World, run


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


def test_other_operations_are_not_emulated(world: World) -> None:
    """Each other one of the model says so, as an error of the service; what is none of its operations says that."""
    others = set(MODEL.operation_names) - set(OPERATIONS)
    assert len(others) > 50
    for name in others:
        operation = MODEL.operation_model(name)
        message = json.dumps({"message": f"{name} is not emulated"})
        assert world.ask(operation, {}) == (400, "ClientException", message)
    assert world.ask(Nowhere(), {})[:2] == (400, "ClientException")


class Nowhere:
    """An operation that the model does not have."""

    http: ClassVar = {"method": "GET", "requestUri": "/GetPicture"}
