"""Many images side by side: what they share, and how much is called."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from pulumi_imagebuilder.errors import ImageBuilderError, ServiceError
from pulumi_imagebuilder.lifecycle.apply import apply
from pulumi_imagebuilder.lifecycle.change import Change
from pulumi_imagebuilder.lifecycle.client import ImageClient
from pulumi_imagebuilder.lifecycle.fleet import Results, RunContext, run_tasks
from pulumi_imagebuilder.lifecycle.progress import FleetProgress, Progress

from tests.provider.simulated import DISABLE, STEM, Simulation, Stack, arns, fleet, images, refusal, single, to


class Fleet:
    """Runs of tasks of all images, each with a session of its own."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim

    def run(self, tasks: dict[str, Any], *, fleet: bool = True) -> Results[Any]:
        self.sim.begin_run()
        whole = FleetProgress("changing", now=self.sim.loop.time) if fleet else None
        results: Results[Any] = Results()
        for arn in tasks:
            results.progress[arn] = Progress(f"changing image {arn}", now=self.sim.loop.time, fleet=whole)
        self.whole = whole
        self.sim.run(run_tasks(RunContext(self.sim.service), tasks, results, schedule_key="DISABLED", fleet=whole))
        return results

    def change(self, count: int, request: Any = DISABLE, **options: Any) -> Results[Any]:
        tasks = {arn: (lambda client, arn=arn: apply(Change(arn, request, **options), client)) for arn in arns(count)}
        return self.run(tasks)

    def states(self, count: int) -> set[str]:
        return {self.sim.state(arn) for arn in arns(count)}


@pytest.fixture
def many() -> Fleet:
    return Fleet(Simulation(images(20)))


def test_two_calls_an_image(many: Fleet) -> None:
    """One start, one look at the end; all else is asked for all at once."""
    results = many.change(20)
    assert set(results.done) == set(arns(20))
    assert many.states(20) == {"DISABLED"}
    assert {outcome.execution.status for outcome in results.done.values()} == {"SUCCESS"}
    counts = Counter(many.sim.counts)
    assert counts["start_resource_state_update"] == 20
    assert counts["list_image_build_versions"] == 2
    assert counts["get_lifecycle_execution"] == 1
    assert counts["list_lifecycle_execution_resources"] <= 20 + 36
    assert set(counts) == {
        "start_resource_state_update",
        "list_image_build_versions",
        "get_lifecycle_execution",
        "list_lifecycle_execution_resources",
    }
    assert many.whole is not None
    assert many.whole.text() == "20 of 20 done, 10s"
    assert many.whole.ended == 0


def test_why_images_are_read_again_for_what_uses_them_is_passed_on() -> None:
    sim = Simulation([{"arn": arn} for arn in arns(2)])
    sim.fault("* 503 nth=1")
    why: list[str] = []
    sim.run(sim.host.context.references.find(arns(2), on_retry=why.append))
    assert [each.partition(":")[0] for each in why] == ["retrying after ServiceUnavailableException"]


def test_an_end_of_a_fleet_is_noticed_in_time(many: Fleet) -> None:
    many.change(20)
    assert many.sim.loop.time() < 11.2


def test_some_fail_and_the_next_run_does_only_what_is_left(many: Fleet) -> None:
    """Those that are done are recognised, and nothing is started for them."""
    for build in (3, 11, 4):
        many.sim.fault(f"execution fail image={STEM}/{build} reason=Denied")
    results = many.change(20)
    assert set(results.failed) == {f"{STEM}/{build}" for build in (3, 4, 11)}
    assert len(results.done) == 17
    assert many.whole is not None
    assert many.whole.counts == "17 of 20 done, 3 failed"
    many.sim.heal()
    many.sim.advance(minutes=2)
    many.change(20)
    assert [len(many.sim.ids(arn)) for arn in arns(20)] == [2 if build in {3, 4, 11} else 1 for build in range(1, 21)]
    assert sum(many.sim.counts.values()) <= 4 * 20 + 30


def test_an_image_that_does_not_exist_stops_no_other(many: Fleet) -> None:
    del many.sim.backend.images[arns(2)[1]]
    results = many.change(5)
    assert list(results.failed) == [arns(2)[1]]
    assert len(results.done) == 4


def test_deleted_images_are_known_to_be_gone(many: Fleet) -> None:
    """What was deleted with nothing left out, and is listed no more, is not asked for one by one."""
    deletion = {**to("DELETED"), "includeResources": {"amis": True, "snapshots": True}}
    first = many.change(20, deletion)
    assert {outcome.image.state for outcome in first.done.values()} == {"DELETED"}
    assert "get_image" not in many.sim.counts
    again = many.change(20, deletion)
    assert {arn: each.execution.id for arn, each in again.done.items()} == {
        arn: each.execution.id for arn, each in first.done.items()
    }
    assert "start_resource_state_update" not in many.sim.counts


def test_immediate_changes_are_a_start_each(many: Fleet) -> None:
    """Nothing to wait for: the states are read from lists."""
    results = many.change(20, {"state": {"status": "DEPRECATED"}})
    assert {(each.execution, each.image.state) for each in results.done.values()} == {(None, "DEPRECATED")}
    assert many.sim.counts == {"start_resource_state_update": 20, "list_image_build_versions": 2}


def test_an_image_in_use_holds_up_no_other(many: Fleet) -> None:
    many.sim.person(to("DEPRECATED"), arn=arns(3)[2])
    many.change(5)
    assert many.states(5) == {"DISABLED"}
    assert [len(many.sim.ids(arn)) for arn in arns(5)] == [1, 1, 2, 1, 1]


def test_an_execution_that_hangs_holds_up_no_other(many: Fleet) -> None:
    many.sim.fault(f"execution hang image={STEM}/2")
    ends: dict[str, float] = {}

    async def one(client: ImageClient) -> None:
        await apply(Change(client.arn, DISABLE), client)
        ends[client.arn] = many.sim.loop.time()

    many.sim.loop.call_later(300, many.sim.heal)
    many.run(dict.fromkeys(arns(20), one))
    assert ends.pop(arns(2)[1]) > 300
    # The states of those that ended are read together, once all have ended that are read with them.
    assert len(ends) == 19


def test_executions_that_end_as_a_run_begins_are_not_started_again(many: Fleet) -> None:
    """They end after the images were read."""
    many.change(5, wait=False)
    many.sim.overrides["list_lifecycle_executions"] = lambda parameters, ask: (
        many.sim.advance(seconds=3) or ask()  # type: ignore[func-returns-value]
    )
    many.change(5)
    assert [len(many.sim.ids(arn)) for arn in arns(5)] == [1] * 5


def test_whatever_is_no_error_of_ours_is_a_bug_and_raised(many: Fleet) -> None:
    async def fail(client: ImageClient) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        many.run({arns(1)[0]: fail})


def test_nothing_to_do_is_no_call(many: Fleet) -> None:
    assert many.run({}).done == {}
    assert many.sim.counts == {}


def test_the_failures_are_those_of_the_row(many: Fleet) -> None:
    async def fail(client: ImageClient) -> None:
        await asyncio.sleep(1)
        raise ServiceError("no", "ForbiddenException")

    results = many.run({arns(1)[0]: fail})
    assert many.whole is not None
    assert many.whole.failures is results.failed
    assert isinstance(results.failed[arns(1)[0]], ImageBuilderError)
    assert many.whole.counts == "0 of 1 done, 1 failed"


def test_a_single_resource_has_no_row_of_a_fleet(many: Fleet) -> None:
    results = many.run({arns(1)[0]: lambda client: client.find_image()}, fleet=False)
    assert results.done[arns(1)[0]].state == "AVAILABLE"


def test_resources_of_one_kind_in_one_region_share_a_poll_schedule() -> None:
    session = RunContext(Simulation().service)
    here, there = arns(1)[0], arns(1)[0].replace("us-east-1", "eu-west-1")
    assert session.schedule(here, "changing") is session.schedule(f"{STEM}/2", "changing")
    assert session.schedule(here, "changing") is not session.schedule(there, "changing")
    assert session.schedule(here, "changing") is not session.schedule(here, "deleting")
    assert session.barrier(fleet=False) is session.barrier(fleet=False)
    assert session.barrier(fleet=True) is not session.barrier(fleet=True)


@pytest.mark.parametrize(("execution_time", "calls"), [("10s", 4), ("60s", 6)])
def test_forty_single_resources_cost_about_as_many_calls_as_a_fleet(execution_time: str, calls: int) -> None:
    """At most four each where they take ten seconds; and their ends are noticed in time."""
    counts = {}
    for kind in ("single", "fleet"):
        sim = Simulation(images(40), execution_time=execution_time)
        declared = (
            {f"r{number}": single(arn=arn) for number, arn in enumerate(arns(40))}
            if kind == "single"
            else {"all": fleet(arns(40))}
        )
        Stack(sim).up(**declared)
        counts[kind] = sum(sim.counts.values())
        assert {sim.state(arn) for arn in arns(40)} == {"DISABLED"}
        seconds = int(execution_time[:-1])
        assert sim.loop.time() - seconds <= max(1.3, 0.1 * seconds)
    assert counts["fleet"] <= calls * 40
    assert counts["single"] <= calls * 40
    assert counts["single"] <= 1.2 * counts["fleet"]


def test_the_images_that_are_looked_up_for_the_guard_are_read_with_few_calls(many: Fleet) -> None:
    """Without one that may not be read, which is then asked for by itself, with its error."""
    session = RunContext(many.sim.service)
    found = many.sim.run(session._read_images(arns(20), lambda why: None))
    assert set(found) == set(arns(20))
    assert len(found[arns(1)[0]].amis) == 2
    assert many.sim.counts == {"list_image_build_versions": 1}

    def refuse(parameters: Any, ask: Any) -> Any:
        raise refusal("ForbiddenException")

    many.sim.overrides["get_image"] = refuse
    assert many.sim.run(session._read_images(arns(1), lambda why: None)) == {}


def test_a_single_resource_waits_only_a_moment_for_others_that_read_too() -> None:
    sim = Simulation(images(2))
    barrier = sim.host.context.barrier(fleet=False)

    async def work() -> float:
        with barrier.membership(), barrier.membership():
            await sim.client(barrier=barrier).find_image()
            return sim.loop.time()

    assert sim.run(work()) < 0.2


def test_single_resources_that_begin_within_a_moment_are_read_together() -> None:
    sim = Simulation(images(3))
    barrier = sim.host.context.barrier(fleet=False)

    async def one(arn: str, after: float) -> None:
        with barrier.membership():
            await asyncio.sleep(after)
            await sim.client(arn, barrier).find_image()

    async def work() -> None:
        with barrier.membership():
            await asyncio.gather(*(one(arn, 0.04 * number) for number, arn in enumerate(arns(3))))

    sim.run(work())
    assert sim.counts == {"list_image_build_versions": 1}
