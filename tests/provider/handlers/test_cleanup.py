"""The life of a clean-up, which acts when it leaves the program."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi_imagebuilder.errors import ExecutionFailed
from pulumi_imagebuilder.host import Call
from pulumi_imagebuilder.validation import UNKNOWN, Kind

from tests.provider.simulated import (
    ARN,
    Simulation,
    Stack,
    arns,
    cleanup,
    failure,
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


def test_the_preview_of_a_replacement_shows_what_that_would_delete(sim: Simulation, stack: Stack) -> None:
    stack.up(clean=cleanup(in_use="refuse"))
    handler = sim.handler(Kind.CLEANUP)
    olds, inputs = stack.kept["clean"].state, stack.kept["clean"].inputs
    previewed = call("check", dry_run=True)

    def preview(news: dict[str, Any]) -> list[str]:
        sim.run(handler.check(previewed, inputs, news))
        sim.run(handler.diff(previewed, olds, news))
        logged = [each.partition(":")[2].strip() for each in sim.row.logged]
        sim.row.logged.clear()
        return logged

    assert preview(inputs) == []
    assert preview({**inputs, "execution_role": "Another"}) == []
    assert preview({**inputs, "resource_arn": UNKNOWN}) == []
    (line,) = preview({**inputs, "resource_arn": arns(2)[1]})
    assert line.startswith("would delete 1 image: 2 AMIs in ")
    assert sim.run(sim.handler(Kind.CLEANUP).check(previewed, {}, inputs)).failures == []
    assert sim.row.logged == []


def test_the_preview_of_a_replacement_warns_of_no_build_that_is_waited_for(sim: Simulation, stack: Stack) -> None:
    stack.up(clean=cleanup(in_use="refuse", max_amis=5))
    handler = sim.handler(Kind.CLEANUP)
    olds, inputs = stack.kept["clean"].state, stack.kept["clean"].inputs
    sim.move("BUILDING")
    sim.run(handler.diff(call("diff"), olds, {**inputs, "resource_arn": arns(2)[1]}))
    sim.run(handler.preview(call(), {}, {**inputs, "resource_arn": arns(2)[1]}))
    (line,) = sim.row.logged
    assert line.startswith("web: would delete 1 image: ")


def test_a_clean_up_that_fails_is_an_error_and_stays(sim: Simulation, stack: Stack) -> None:
    stack.up(clean=cleanup())
    sim.fault(f"execution fail image={ARN} region=us-east-1 reason=Denied")
    text = failure(sim, stack.destroy, ExecutionFailed)
    assert text.startswith(
        f"deleting image {ARN}: lifecycle execution lce-1 ended as FAILED: 1 of 2 resources failed; failed: ami-"
    )
    assert text.endswith("fix the cause and run the same command again to start a new execution")
    assert "clean" in stack.kept


def test_a_preview_that_is_asked_for_by_itself_shows_what_a_replacement_would_delete(
    sim: Simulation, stack: Stack
) -> None:
    """The engine asks for the preview of the new resource alone; what it replaces is known from the diff."""
    stack.up(clean=cleanup(in_use="refuse"))
    handler = sim.handler(Kind.CLEANUP)
    olds, inputs = stack.kept["clean"].state, stack.kept["clean"].inputs
    news = {**inputs, "resource_arn": arns(2)[1]}
    assert sim.run(handler.preview(call(), {}, news)).id == arns(2)[1]
    sim.run(handler.diff(call("diff"), olds, {**inputs, "execution_role": "Another"}))
    sim.run(handler.preview(call(), {}, news))
    assert sim.row.logged == []
    sim.run(handler.diff(call("diff"), olds, news))
    sim.run(handler.preview(call(), {}, news))
    (line,) = sim.row.logged
    assert line.startswith("web: would delete 1 image: 2 AMIs in ")
