"""What the lives of all kinds of resources have in common."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi_imagebuilder.errors import (
    ImageBuilderError,
    PermanentError,
)
from pulumi_imagebuilder.handlers import CleanupHandler, FleetHandler, StateUpdateHandler
from pulumi_imagebuilder.handlers.base import digest
from pulumi_imagebuilder.host import Call
from pulumi_imagebuilder.validation import UNKNOWN, Kind

from tests.provider.simulated import (
    ARN,
    Simulation,
    Stack,
    arns,
    cleanup,
    fleet,
    images,
    single,
)


@pytest.fixture
def sim() -> Simulation:
    return Simulation(images(4))


@pytest.fixture
def stack(sim: Simulation) -> Stack:
    return Stack(sim)


def call(operation: str = "create", **more: Any) -> Call:
    return Call(operation, "urn:pulumi:dev::project::type::web", **more)


def test_a_check_reports_failures_and_claims_what_is_known(sim: Simulation) -> None:
    handler = sim.handler(Kind.SINGLE)
    checked = sim.run(handler.check(call("check"), {}, {"resource_arn": ARN, "state": "GONE"}))
    assert [each.property for each in checked.failures] == ["state"]
    assert sim.run(sim.host.claims.unclaimed("another", [ARN])) == []
    assert sim.counts == {}


def test_an_unchanged_program_makes_no_call(sim: Simulation, stack: Stack) -> None:
    declared = {"web": single(), "all": fleet(arns(4)[1:3]), "clean": cleanup(arns(4)[3])}
    stack.up(**declared)
    before = {name: kept.state for name, kept in stack.kept.items()}
    stack.up(**declared)
    assert sim.counts == {}
    assert stack.preview(**declared) == dict.fromkeys(declared, False)
    assert {name: kept.state for name, kept in stack.kept.items()} == before


def test_of_a_declared_token_the_state_has_a_digest(sim: Simulation, stack: Stack) -> None:
    """It may be a secret; the output of the same name is the token that was sent."""
    stack.up(web=single(client_token="mine"))
    state = stack.kept["web"].state
    assert state["client_token"] == "mine"
    assert state["__client_token"] == digest("mine") != "mine"
    assert stack.preview(web=single(client_token="mine")) == {"web": False}
    assert stack.preview(web=single(client_token="other")) == {"web": True}
    assert stack.preview(web=single()) == {"web": True}
    assert (digest(None), digest(UNKNOWN)) == (None, UNKNOWN)


def test_what_the_program_still_declares_is_left_and_named(sim: Simulation, stack: Stack) -> None:
    stack.up(web=single(on_destroy="restore"), all=fleet(arns(4)[1:], on_destroy="restore"), clean=cleanup())
    stack.up(new=fleet(arns(4), on_destroy="restore"))
    assert {sim.state(arn) for arn in arns(4)} == {"DISABLED"}
    left = "left unchanged, because the program still declares it: image"
    assert sorted(sim.row.logged) == sorted(
        [
            f"web: {left} {ARN}",
            f"clean: {left} {ARN}",
            f"all: {left} web/1.0.0/2, web/1.0.0/3, web/1.0.0/4 (arn:aws:imagebuilder:us-east-1:123456789012:image/…)",
        ]
    )


def test_amis_in_use_are_refused_before_anything_is_started() -> None:
    sim = Simulation([{"arn": ARN, "amis": [{"used_by": {"parameters": ["/golden/web"]}}]}])
    stack = Stack(sim)
    with pytest.raises(ImageBuilderError, match=f"changing image {ARN} to DISABLED: .*/golden/web"):
        stack.up(web=single(in_use="refuse"))
    assert sim.starts == []
    stack.up(web=single(in_use="warn"))
    assert sim.state() == "DISABLED"
    assert any("/golden/web" in each and "warning" in each for each in sim.row.logged)


def test_more_amis_than_allowed_are_refused(sim: Simulation, stack: Stack) -> None:
    with pytest.raises(PermanentError, match="2 AMIs would be disabled, and max_amis is 1: nothing is started"):
        stack.up(web=single(max_amis=1))
    assert sim.starts == []
    stack.up(web=single(max_amis=2))
    assert sim.state() == "DISABLED"


def test_the_preview_shows_the_size_once(sim: Simulation) -> None:
    handler = sim.handler(Kind.SINGLE)
    for _ in range(2):
        sim.run(handler.check(call("check", dry_run=True), {}, single("DELETED", in_use="refuse")[1]))
    assert len(sim.row.logged) == 1
    assert sim.row.logged[0].startswith("web: would delete 1 image: 2 AMIs in ")
    assert sim.starts == []


def test_arguments_are_those_of_the_declaration(sim: Simulation) -> None:
    assert "resource_arns" in sim.handler(Kind.FLEET).arguments
    assert "resource_arn" in sim.handler(Kind.SINGLE).arguments
    assert "state" not in sim.handler(Kind.CLEANUP).arguments
    assert {type(sim.handler(kind)) for kind in Kind} == {StateUpdateHandler, FleetHandler, CleanupHandler}
