"""The life of resources under every reading of what the service leaves open: each alone, and random combinations."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from imagebuilder_emulator.variants import VARIANTS
from pulumi_imagebuilder.errors import ExecutionFailed, FleetFailed, ImageBuilderError

from tests.provider.simulated import (
    AHEAD,
    ARN,
    ROLE,
    STEM,
    Simulation,
    Stack,
    arns,
    cleanup,
    fleet,
    images,
    kill_at,
    single,
    to,
)

COMBINATIONS = int(os.environ.get("VARIANT_COMBINATIONS", "4"))
SEED = os.environ.get("VARIANT_SEED") or str(random.SystemRandom().randrange(10**6))
"""Of the random combinations; printed, so that a failure shows what to repeat."""

EACH_ALONE = [{}, *({each.name: reading} for each in VARIANTS.values() for reading in each.readings[1:])]

Life = Callable[["Service"], None]
LIVES: dict[str, Life] = {}


def life(function: Life) -> Life:
    """Have a life run under all readings."""
    LIVES[function.__name__.removeprefix("live_")] = function
    return function


def _combinations() -> Iterator[tuple[str, Mapping[str, str], float]]:
    for variants in EACH_ALONE:
        yield " ".join(f"{name}={reading}" for name, reading in variants.items()) or "documented", variants, 0.5
    for number in range(COMBINATIONS):
        choose = random.Random(f"{SEED}/{number}")
        chosen = {each.name: choose.choice(each.readings) for each in VARIANTS.values()}
        yield f"random {number}", chosen, choose.random()


class Service:
    """A service of some readings; each simulation of it is as new."""

    def __init__(self, variants: Mapping[str, str], phase: float) -> None:
        self.variants, self.phase = variants, phase

    def __call__(self, count: int = 1, seed: list[dict[str, Any]] | None = None, **more: Any) -> Simulation:
        return Simulation(seed or images(count), variants=self.variants, phase=self.phase, **more)


# --- one resource ---


def assert_settled(stack: Stack, **declared: Any) -> None:
    """An unchanged program makes no call, and a refresh finds no drift."""
    sim = stack.simulation
    assert not any(stack.preview(**declared).values())
    assert sim.counts == {}
    sim.advance(seconds=5)
    stack.refresh()
    assert not any(stack.preview(**declared).values()), sim.row.logged


@life
def live_each_state(service: Service) -> None:
    for state in ("AVAILABLE", "DEPRECATED", "DISABLED", "DELETED"):
        sim = service()
        stack = Stack(sim)
        included = {"amis": True} | ({"snapshots": True} if state == "DELETED" else {})
        declared = {"web": single(state, include_resources=included)}
        stack.up(**declared)
        assert sim.executions() == [(state, "SUCCESS")]
        assert sim.state() == stack.kept["web"].state["image_state"] == state
        assert len(stack.kept["web"].state["resources"]) == 2
        assert_settled(stack, **declared)
        stack.destroy()
        assert sim.state() == state
        stack.up(**declared)
        assert len(sim.ids()) == 1


@life
def live_immediate(service: Service) -> None:
    sim = service()
    stack = Stack(sim)
    for state in ("DEPRECATED", "AVAILABLE", "DEPRECATED"):
        declared = {"web": single(state, execution_role=None, include_resources=None, on_destroy="restore")}
        stack.up(**declared)
        assert sim.state() == stack.kept["web"].state["image_state"] == state
        assert_settled(stack, **declared)
    stack.destroy()
    assert sim.state() == "AVAILABLE"
    assert sim.executions() == []
    assert len(sim.starts) == 4


@life
def live_updated(service: Service) -> None:
    sim = service()
    stack = Stack(sim)
    for state in ("DEPRECATED", "DISABLED", "AVAILABLE", "DEPRECATED"):
        declared = {"web": single(state)}
        stack.up(**declared)
        assert_settled(stack, **declared)
    assert [target for target, _ in sim.executions()] == ["DEPRECATED", "DISABLED", "AVAILABLE", "DEPRECATED"]
    for more in ({"triggers": ["1"]}, {"triggers": ["2"]}, {"execution_role": "Another", "triggers": ["2"]}):
        stack.up(web=single("DEPRECATED", **more))
    assert len(sim.ids()) == 6


@life
def live_schedule(service: Service) -> None:
    sim = service()
    stack = Stack(sim)
    at = sim.world.environment.clock.now().replace(microsecond=0) + timedelta(days=3)
    declared = {"web": single("DEPRECATED", update_at=at.isoformat())}
    stack.up(**declared)
    assert stack.kept["web"].state["image_state"] == "AVAILABLE"
    assert_settled(stack, **declared)
    sim.world.environment.clock.set(at + timedelta(minutes=5))
    assert_settled(stack, **declared)
    assert stack.kept["web"].state["image_state"] == "DEPRECATED"
    assert sim.executions() == [("DEPRECATED", "SUCCESS")]
    sim.move("AVAILABLE")
    stack.refresh()
    assert stack.preview(**declared) == {"web": True}
    assert sim.row.logged[-1] == (
        f"web: image {ARN}: the image is AVAILABLE, declared is DEPRECATED: `pulumi up` applies the declaration again"
    )
    stack.up(**declared)
    assert sim.state() == "DEPRECATED"


@life
def live_changed_schedule(service: Service) -> None:
    sim = service()
    stack = Stack(sim)
    for day in ("2099-01-31", "2099-02-28", "2099-01-31"):
        declared = {"web": single("DEPRECATED", update_at=f"{day}T00:00:00Z")}
        stack.up(**declared)
        pending = [each for each in sim.executions() if each[1] in {"PENDING", "IN_PROGRESS"}]
        assert len(pending) == 1
        sim.advance(seconds=5)
        assert sim.backend.images[ARN].deprecation_time == datetime.fromisoformat(f"{day}T00:00:00+00:00")
        assert_settled(stack, **declared)
    stack.up(web=single("DISABLED"))
    assert [status for _, status in sim.executions()] == ["CANCELLED"] * 3 + ["SUCCESS"]


@life
def live_cancelled(service: Service) -> None:
    sim = service()
    stack = Stack(sim)
    stack.up(web=single("DEPRECATED", update_at=AHEAD, on_destroy="cancel"))
    stack.destroy()
    sim.advance(seconds=5)
    assert sim.executions() == [("DEPRECATED", "CANCELLED")]
    assert (sim.state(), sim.backend.images[ARN].deprecation_time) == ("AVAILABLE", None)
    assert stack.kept == {}


@life
def live_restored(service: Service) -> None:
    for more in ({}, {"update_at": AHEAD}):
        sim = service()
        stack = Stack(sim)
        stack.up(web=single("DEPRECATED", on_destroy="restore", **more))
        stack.destroy()
        assert (sim.state(), sim.ami_states()) == ("AVAILABLE", ["available"] * 2)
        assert [target for target, _ in sim.executions()] == ["DEPRECATED", "AVAILABLE"]


@life
def live_drift(service: Service) -> None:
    sim = service()
    stack = Stack(sim)
    declared = {"web": single()}
    stack.up(**declared)
    sim.advance(minutes=2)
    sim.person(to("AVAILABLE"))
    sim.advance(minutes=2)
    stack.refresh()
    assert stack.preview(**declared) == {"web": True}
    stack.up(**declared)
    assert (sim.state(), sim.ami_states()) == ("DISABLED", ["disabled"] * 2)
    assert [target for target, _ in sim.executions()] == ["DISABLED", "AVAILABLE", "DISABLED"]
    assert_settled(stack, **declared)


@life
def live_vanished(service: Service) -> None:
    sim = service(2)
    stack = Stack(sim)
    declared = {"web": single(), "all": fleet(arns(2)), "clean": cleanup()}
    stack.up(**declared)
    sim.advance(minutes=2)
    sim.person({**to("DELETED"), "includeResources": {"amis": True, "snapshots": True}})
    sim.advance(minutes=2)
    stack.refresh()
    assert list(stack.kept) == ["all"]
    assert stack.kept["all"].state["__drift"] == {ARN: "the image is gone, take it out of resource_arns"}
    stack.up(all=fleet(arns(2)[1:]))
    assert_settled(stack, all=fleet(arns(2)[1:]))


@life
def live_image_gone(service: Service) -> None:
    sim = service()
    del sim.backend.images[ARN]
    stack = Stack(sim)
    with pytest.raises(ImageBuilderError, match=f"changing image {ARN} to DISABLED: ResourceNotFoundException: "):
        stack.up(web=single())
    stack.up(clean=cleanup())
    stack.destroy()
    assert sim.row.logged == [
        f"clean: warning: image {ARN} is gone already, and no lifecycle execution deleted it: AMIs, snapshots or "
        "containers of it that still exist are to be deleted by hand"
    ]


@life
def live_failed(service: Service) -> None:
    """The reason is in the error wherever the service has it, also where only the image record's own entry does."""
    sim = service()
    stack = Stack(sim)
    sim.fault(f"execution fail image={ARN} region=us-east-1 reason=Denied")
    ami = sim.backend.images[ARN].amis[0].id
    with pytest.raises(ExecutionFailed) as raised:
        stack.up(web=single())
    assert str(raised.value) == (
        f"changing image {ARN} to DISABLED: lifecycle execution {sim.ids()[0]} ended as FAILED: 1 of 2 resources "
        f"failed; failed: {ami} (us-east-1): Denied; fix the cause and run `pulumi up` again to start a new execution"
    )
    sim.heal()
    stack.up(web=single())
    assert sim.executions() == [("DISABLED", "FAILED"), ("DISABLED", "SUCCESS")]
    assert_settled(stack, web=single())


@life
def live_role_that_does_not_exist(service: Service) -> None:
    sim = service(roles=[])
    stack = Stack(sim)
    with pytest.raises(ImageBuilderError, match="The execution role ImageLifecycle does not exist"):
        stack.up(web=single())
    assert sim.loop.time() < 150


@life
def live_role_made_moments_ago(service: Service) -> None:
    from imagebuilder_emulator import roles

    sim = service(roles=[])
    roles.create(ROLE, "123456789012", created=sim.world.environment.clock.now())
    Stack(sim).up(web=single())
    assert sim.executions() == [("DISABLED", "SUCCESS")]
    assert sim.state() == "DISABLED"


@life
def live_forgotten_execution(service: Service) -> None:
    """The service does not keep executions for ever: what it has forgotten is known by state and image."""
    sim = service()
    stack = Stack(sim)
    declared = {"web": single(on_destroy="restore")}
    stack.up(**declared)
    sim.forget(sim.ids()[0])
    sim.advance(days=400)
    assert_settled(stack, **declared)
    stack.up(web=single(on_destroy="restore", triggers=["again"]))
    assert sim.executions() == [("DISABLED", "SUCCESS")]
    sim.forget(sim.ids()[0])
    stack.destroy()
    assert sim.state() == "AVAILABLE"


@life
def live_in_use(service: Service) -> None:
    """By a person's execution, and by that of a policy, which need not be listed."""
    sim = service(2)
    sim.person(to("DEPRECATED"))
    policy = "arn:aws:imagebuilder:us-east-1:123456789012:lifecycle-policy/retire"
    sim.backend.start_policy_execution(policy, arns(2)[1], "DEPRECATED", takes=timedelta(seconds=30))
    Stack(sim).up(all=fleet(arns(2)))
    assert {sim.state(arn) for arn in arns(2)} == {"DISABLED"}
    assert [len(sim.ids(arn)) for arn in arns(2)] == [2, 2]


# --- names that change ---


@life
def live_renamed(service: Service) -> None:
    """Without an alias: the new one adopts, and what the program still declares is not undone."""
    for more, executions in (({}, 1), ({"update_at": AHEAD}, 1)):
        for on_destroy in ("restore", "cancel"):
            sim = service()
            stack = Stack(sim)
            stack.up(old=single("DEPRECATED", on_destroy=on_destroy, **more))
            sim.advance(seconds=5)
            before = sim.ids()
            stack.up(new=single("DEPRECATED", on_destroy=on_destroy, **more))
            assert sim.ids() == before
            assert len(before) == executions
            assert sim.executions()[0][1] in {"SUCCESS", "PENDING", "IN_PROGRESS"}
            assert list(stack.kept) == ["new"]
            assert sim.row.logged == [f"old: left unchanged, because the program still declares it: image {ARN}"]
            stack.destroy()
            undone = more or on_destroy == "restore"
            assert sim.state() == ("AVAILABLE" if undone else "DEPRECATED")


@life
def live_moved_between_kinds(service: Service) -> None:
    """From a single resource to a fleet, to a clean-up, and back."""
    sim = service(2)
    stack = Stack(sim)
    stack.up(web=single(on_destroy="restore"))
    sim.advance(seconds=5)
    stack.up(all=fleet(arns(2), on_destroy="restore"))
    stack.up(all=fleet(arns(2)[1:], on_destroy="restore"), web=single(on_destroy="restore"))
    stack.up(web=single(on_destroy="restore"), clean=cleanup(arns(2)[1]))
    assert (sim.state(), sim.state(arns(2)[1])) == ("DISABLED", "DISABLED")
    assert [target for target, _ in sim.executions()] == ["DISABLED"]
    stack.up(web=single(on_destroy="restore"), two=single(arn=arns(2)[1]))
    assert sim.state(arns(2)[1]) == "DISABLED"
    stack.destroy()
    assert sim.state() == "AVAILABLE"


@life
def live_replaced(service: Service) -> None:
    sim = service(2)
    one, two = arns(2)
    stack = Stack(sim)
    stack.up(web=single(arn=one, on_destroy="restore"), clean=cleanup(one))
    stack.up(web=single(arn=two, on_destroy="restore"), clean=cleanup(one))
    assert (sim.state(one), sim.state(two)) == ("DISABLED", "DISABLED")
    stack.up(web=single(arn=two, on_destroy="restore"), clean=cleanup(two))
    assert (sim.state(one), sim.state(two)) == ("DELETED", "DISABLED")


# --- clean-up ---


@life
def live_clean_up(service: Service) -> None:
    sim = service()
    stack = Stack(sim)
    stack.up(clean=cleanup())
    assert_settled(stack, clean=cleanup())
    assert sim.starts == []
    stack.destroy()
    assert (sim.state(), sim.ami_states()) == ("DELETED", ["gone"] * 2)
    assert sim.row.logged == []


@life
def live_clean_up_with_a_schedule(service: Service) -> None:
    sim = service()
    stack = Stack(sim)
    stack.up(clean=cleanup(), web=single("DEPRECATED", update_at=AHEAD))
    stack.destroy()
    assert sim.executions() == [("DEPRECATED", "CANCELLED"), ("DELETED", "SUCCESS")]
    assert sim.state() == "DELETED"


@life
def live_clean_up_that_leaves_some_out(service: Service) -> None:
    sim = service()
    stack = Stack(sim)
    stack.up(clean=cleanup(exclusion_rules={"amis": {"regions": ["eu-west-1"]}}))
    stack.destroy()
    kept = sim.backend.images[ARN].amis[1].id
    assert sim.row.logged == [
        f"clean: the record of image {ARN} is kept, because the exclusion rules left out {kept} (eu-west-1)"
    ]


@life
def live_clean_up_while_it_is_built(service: Service) -> None:
    sim = service(seed=images(1, state="BUILDING"))
    stack = Stack(sim)
    stack.up(clean=cleanup())
    sim.loop.call_later(20, lambda: sim.move("AVAILABLE"))
    stack.destroy()
    assert sim.state() == "DELETED"


# --- fleets ---


@life
def live_fleet(service: Service) -> None:
    sim = service(5)
    stack = Stack(sim)
    stack.up(all=fleet(arns(3)))
    assert_settled(stack, all=fleet(arns(3)))
    stack.up(all=fleet(arns(5)[::-1]))
    assert {sim.state(arn) for arn in arns(5)} == {"DISABLED"}
    assert [len(sim.ids(arn)) for arn in arns(5)] == [1] * 5
    assert_settled(stack, all=fleet(arns(5)))
    stack.up(all=fleet(arns(5), on_destroy="restore"))
    stack.up(all=fleet(arns(4), on_destroy="restore"))
    assert [sim.state(arn) for arn in arns(5)] == ["DISABLED"] * 4 + ["AVAILABLE"]
    stack.up(all=fleet([], on_destroy="restore"))
    assert {sim.state(arn) for arn in arns(5)} == {"AVAILABLE"}
    assert [len(sim.ids(arn)) for arn in arns(5)] == [2] * 5


@life
def live_fleet_with_a_schedule(service: Service) -> None:
    sim = service(3)
    stack = Stack(sim)
    scheduled = {"update_at": AHEAD, "on_destroy": "restore"}
    stack.up(all=fleet(arns(3), "DEPRECATED", **scheduled))
    assert_settled(stack, all=fleet(arns(3), "DEPRECATED", **scheduled))
    stack.up(all=fleet(arns(3), "DEPRECATED", **scheduled | {"update_at": "2099-02-28T00:00:00Z"}))
    assert {status for arn in arns(3) for _, status in sim.executions(arn)[:1]} == {"CANCELLED"}
    stack.up(all=fleet(arns(1), "DISABLED", on_destroy="restore"))
    assert [sim.state(arn) for arn in arns(3)] == ["DISABLED", "AVAILABLE", "AVAILABLE"]
    left = [each for arn in arns(3) for each in sim.executions(arn) if each[1] in {"PENDING", "IN_PROGRESS"}]
    assert left == []


@life
def live_fleet_that_fails_in_part(service: Service) -> None:
    sim = service(4)
    stack = Stack(sim)
    sim.fault(f"execution fail image={STEM}/2 reason=Denied")
    with pytest.raises(FleetFailed, match=r"changing 4 images to DISABLED: 3 of 4 done, 1 failed; image .*/2: "):
        stack.up(all=fleet(arns(4)))
    sim.heal()
    stack.up(all=fleet(arns(4)))
    assert [len(sim.ids(arn)) for arn in arns(4)] == [1, 2, 1, 1]
    assert_settled(stack, all=fleet(arns(4)))


@life
def live_fleet_that_is_deleted(service: Service) -> None:
    sim = service(4)
    stack = Stack(sim)
    declared = {"all": fleet(arns(4), "DELETED", include_resources={"amis": True, "snapshots": True})}
    stack.up(**declared)
    assert {sim.state(arn) for arn in arns(4)} == {"DELETED"}
    assert_settled(stack, **declared)
    stack.destroy()
    stack.up(**declared)
    assert [len(sim.ids(arn)) for arn in arns(4)] == [1] * 4


# --- kills ---


def _killed_everywhere(service: Service, count: int, run: Callable[[Stack, Any], None], check: Any) -> None:
    """Kill a run at some of its calls, before and after them, and complete it in the next."""
    for point in itertools.chain(range(1, 13), itertools.count(14, 5)):
        sim = service(count)
        stack = Stack(sim)
        try:
            run(stack, kill_at(point))
            killed = False
        except asyncio.CancelledError:
            killed = True
        if not killed:
            break
        run(stack, None)
        check(sim, stack)


@life
def live_killed_create(service: Service) -> None:
    def run(stack: Stack, interrupt: Any) -> None:
        stack.up(interrupt, web=single("DELETED", include_resources={"amis": True, "snapshots": True}))

    def check(sim: Simulation, stack: Stack) -> None:
        assert sim.executions() == [("DELETED", "SUCCESS")]

    _killed_everywhere(service, 1, run, check)


@life
def live_killed_update(service: Service) -> None:
    def run(stack: Stack, interrupt: Any) -> None:
        if not stack.kept:
            stack.up(web=single("DEPRECATED"))
        stack.up(interrupt, web=single("DISABLED"))

    def check(sim: Simulation, stack: Stack) -> None:
        assert sim.executions() == [("DEPRECATED", "SUCCESS"), ("DISABLED", "SUCCESS")]
        assert_settled(stack, web=single("DISABLED"))

    _killed_everywhere(service, 1, run, check)


@life
def live_killed_change_of_a_schedule(service: Service) -> None:
    later = single("DEPRECATED", update_at="2099-02-28T00:00:00Z")

    def run(stack: Stack, interrupt: Any) -> None:
        if not stack.kept:
            stack.up(web=single("DEPRECATED", update_at=AHEAD))
        stack.up(interrupt, web=later)

    def check(sim: Simulation, stack: Stack) -> None:
        assert len(sim.ids()) == 2
        assert sim.executions()[0] == ("DEPRECATED", "CANCELLED")
        assert sim.executions()[1][1] in {"PENDING", "IN_PROGRESS"}

    _killed_everywhere(service, 1, run, check)


@life
def live_killed_destroy(service: Service) -> None:
    def run(stack: Stack, interrupt: Any) -> None:
        if not stack.kept:
            stack.up(web=single("DISABLED", on_destroy="restore"))
        stack.destroy(interrupt)

    def check(sim: Simulation, stack: Stack) -> None:
        assert sim.executions() == [("DISABLED", "SUCCESS"), ("AVAILABLE", "SUCCESS")]

    _killed_everywhere(service, 1, run, check)


@life
def live_killed_clean_up(service: Service) -> None:
    def run(stack: Stack, interrupt: Any) -> None:
        if not stack.kept:
            stack.up(clean=cleanup())
            stack.simulation.person(to("DEPRECATED", updateAt=datetime(2099, 1, 31, tzinfo=UTC)))
        stack.destroy(interrupt)

    def check(sim: Simulation, stack: Stack) -> None:
        assert sim.executions() == [("DEPRECATED", "CANCELLED"), ("DELETED", "SUCCESS")]

    _killed_everywhere(service, 1, run, check)


@life
def live_killed_fleet(service: Service) -> None:
    def run(stack: Stack, interrupt: Any) -> None:
        stack.up(interrupt, all=fleet(arns(3)))

    def check(sim: Simulation, stack: Stack) -> None:
        assert [sim.executions(arn) for arn in arns(3)] == [[("DISABLED", "SUCCESS")]] * 3

    _killed_everywhere(service, 3, run, check)


@pytest.mark.parametrize("name", LIVES)
@pytest.mark.parametrize(("variants", "phase"), [pytest.param(*values, id=label) for label, *values in _combinations()])
def test_the_life_of_resources(name: str, variants: Mapping[str, str], phase: float) -> None:
    """Right under every reading of what the documentation leaves open."""
    print(f"VARIANT_SEED={SEED} {variants} {phase}")
    LIVES[name](Service(variants, phase))
