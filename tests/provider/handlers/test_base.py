"""What the lives of all kinds of resources have in common."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pulumi_imagebuilder.errors import ConfigurationError, ImageBuilderError, PermanentError
from pulumi_imagebuilder.handlers import CleanupHandler, FleetHandler, StateUpdateHandler
from pulumi_imagebuilder.handlers.base import digest
from pulumi_imagebuilder.host import Call
from pulumi_imagebuilder.lifecycle.guard import Guard
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
    assert sim.run(sim.host.claims.unclaimed([ARN])) == []
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


def previewed(sim: Simulation, olds: dict[str, Any], news: dict[str, Any], *, create: bool = False) -> list[str]:
    """Return what a preview of an update, or a create, logs."""
    sim.row.logged.clear()
    handler = sim.handler(Kind.SINGLE)
    for _ in range(2):
        dry = call("check", dry_run=True)
        sim.run(handler.check(dry, {} if create else olds, news))
        if not create:
            sim.run(handler.diff(dry, olds, news))
    return [each.partition(":")[2].strip() for each in sim.row.logged]


def test_the_preview_shows_the_size_once() -> None:
    """Of what is created or runs again; with a warning for what would be refused, and none for what is ignored."""
    sim = Simulation([{"arn": ARN, "amis": [{"used_by": {"parameters": ["/golden/web"]}}]}])
    size = "would disable 1 image: 1 AMI in us-east-1"
    guarded = single(in_use="refuse")[1]
    line, warning = previewed(sim, {}, guarded, create=True)
    assert line.startswith(size)
    assert warning.startswith("warning: `pulumi up` would refuse this: ")
    assert "/golden/web" in warning
    assert len(previewed(sim, {}, single()[1], create=True)) == 1
    stack = Stack(sim)
    stack.up(web=single("DEPRECATED"))
    olds = stack.kept["web"].state
    assert previewed(sim, olds, single("DEPRECATED")[1]) == []
    assert previewed(sim, olds, single("DEPRECATED", wait=False)[1]) == []
    assert len(previewed(sim, olds, guarded)) == 2
    assert len(sim.ids()) == 1


def test_a_preview_that_cannot_look_up_what_it_shows_does_not_fail() -> None:
    sim = Simulation()

    def connect() -> Any:
        raise ConfigurationError("aws:profile: no such profile")

    sim.host._connect = connect
    assert previewed(sim, {}, single(in_use="refuse")[1], create=True) == []


def test_a_cancelled_preview_ends_its_look_up_at_once(sim: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows nothing, and later look-ups of the same run end before they make a call."""

    async def preview(*_: Any) -> Any:
        await asyncio.sleep(60)
        pytest.fail("the look-up continued")

    monkeypatch.setattr(Guard, "preview", preview)
    handler, inputs = sim.handler(Kind.SINGLE), single(in_use="refuse")[1]
    began = sim.loop.time()
    sim.loop.call_later(5, sim.host.cancel)
    sim.run(handler.preview(call(), {}, inputs))
    sim.run(handler.preview(call(), {}, inputs))
    assert sim.loop.time() == pytest.approx(began + 5)
    assert sim.row.logged == []


def test_an_up_shows_no_size(sim: Simulation) -> None:
    handler = sim.handler(Kind.SINGLE)
    sim.run(handler.check(call("check"), {}, single(in_use="refuse")[1]))
    sim.run(handler.diff(call("diff"), {**single()[1], "state": "AVAILABLE"}, single(in_use="refuse")[1]))
    assert sim.row.logged == []


def test_an_image_that_two_resources_want_in_two_states_is_warned_of(sim: Simulation) -> None:
    """They would take it from each other at every run."""
    stack = Stack(sim)
    stack.up(first=single("DISABLED"), second=single("DEPRECATED", arn=arns(2)[1]), third=fleet(arns(2), "DISABLED"))
    assert sim.row.logged == [
        f"third: warning: image {arns(2)[1]} is declared DISABLED here and DEPRECATED by second: the two take it from "
        "each other, so declare it once"
    ]


def test_arguments_are_those_of_the_declaration(sim: Simulation) -> None:
    assert "resource_arns" in sim.handler(Kind.FLEET).arguments
    assert "resource_arn" in sim.handler(Kind.SINGLE).arguments
    assert "state" not in sim.handler(Kind.CLEANUP).arguments
    assert {type(sim.handler(kind)) for kind in Kind} == {StateUpdateHandler, FleetHandler, CleanupHandler}


@pytest.mark.parametrize("more", [{"exclusion_rules": UNKNOWN}, {"resource_arn": UNKNOWN}, {"execution_role": UNKNOWN}])
def test_the_preview_of_what_is_not_fully_known_shows_no_size(sim: Simulation, more: dict[str, Any]) -> None:
    assert previewed(sim, {}, {**single(in_use="refuse")[1], **more}, create=True) == []
    assert sim.counts == {}


def test_what_was_declared_before_need_not_be_valid_today(sim: Simulation) -> None:
    """A schedule whose time has passed is refused only where it is new."""
    handler = sim.handler(Kind.SINGLE)
    past = single("DEPRECATED", update_at="2020-01-31T00:00:00Z")[1]
    assert [each.property for each in sim.run(handler.check(call("check"), {}, past)).failures] == ["update_at"]
    assert sim.run(handler.check(call("check"), past, past)).failures == []


def test_a_preview_that_is_asked_for_by_itself_shows_what_a_create_would_take_away(sim: Simulation) -> None:
    handler = sim.handler(Kind.SINGLE)
    inputs = sim.run(handler.check(call("check"), {}, single(in_use="refuse")[1])).inputs
    sim.run(handler.preview(call(), {}, inputs))
    (line,) = sim.row.logged
    assert line.startswith("web: would disable 1 image: 2 AMIs in ")
