"""The life of a clean-up, which acts when it leaves the program."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi_imagebuilder.host import Call

from tests.provider.simulated import (
    ARN,
    Simulation,
    Stack,
    arns,
    cleanup,
    images,
)


@pytest.fixture
def sim() -> Simulation:
    return Simulation(images(4))


@pytest.fixture
def stack(sim: Simulation) -> Stack:
    return Stack(sim)


def call(operation: str = "create", **more: Any) -> Call:
    return Call(operation, "urn:pulumi:dev::project::type::web", **more)


def test_a_clean_up_acts_when_it_goes_and_not_before() -> None:
    sim = Simulation(images(2), roles=["ImageLifecycle", "Another"])
    stack = Stack(sim)
    stack.up(clean=cleanup())
    declared = stack.kept["clean"].state["__declared"]
    assert stack.kept["clean"].id == ARN
    stack.up(clean=cleanup(execution_role="Another"))
    assert (stack.kept["clean"].state["execution_role"], stack.kept["clean"].state["__declared"]) == (
        "Another",
        declared,
    )
    assert sim.counts == {}
    stack.up()
    assert sim.state() == "DELETED"
    assert sim.starts[0]["executionRole"] == "Another"


def test_a_clean_up_that_moves_on_deletes_the_image_before() -> None:
    sim = Simulation(images(2))
    stack = Stack(sim)
    stack.up(clean=cleanup())
    stack.up(clean=cleanup(arns(2)[1]))
    assert (sim.state(), sim.state(arns(2)[1])) == ("DELETED", "AVAILABLE")


def test_only_ten_of_many_that_a_clean_up_leaves_out_are_named() -> None:
    sim = Simulation([{"arn": ARN, "amis": [{"tags": {"keep": "yes"}}] * 12}])
    stack = Stack(sim)
    stack.up(clean=cleanup(exclusion_rules={"amis": {"tag_map": {"keep": "yes"}}}))
    stack.destroy()
    kept = [ami.id for ami in sim.backend.images[ARN].amis]
    named_ones = ", ".join(f"{id_} (us-east-1)" for id_ in kept[:10])
    assert sim.row.logged == [
        f"clean: the record of image {ARN} is kept, because the exclusion rules left out {named_ones} and 2 more"
    ]


def test_a_clean_up_of_an_image_whose_record_alone_was_deleted_warns(sim: Simulation, stack: Stack) -> None:
    stack.up(clean=cleanup())
    del sim.backend.images[ARN]
    stack.destroy()
    assert sim.row.logged == [
        f"clean: warning: image {ARN} is gone already, and no lifecycle execution deleted it: AMIs, snapshots or "
        "containers of it that still exist are to be deleted by hand"
    ]
