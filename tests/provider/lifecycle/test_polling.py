"""When executions are looked at, and the loops that wait until they end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from pulumi_imagebuilder.errors import ServiceError
from pulumi_imagebuilder.lifecycle.client import ExecutionUnknown
from pulumi_imagebuilder.lifecycle.polling import PollSchedule, cancel_and_wait, poll_delay, wait_until_ended

from tests.provider.simulated import ARN, DISABLE, Simulation, named, refusal, to
from tests.simulation.virtual_time import VirtualTimeLoop, run

T = TypeVar("T")


def took(seconds: float) -> Callable[[], Awaitable[float]]:
    async def answer() -> float:
        return seconds

    return answer


def never() -> Awaitable[float]:
    raise AssertionError("it was asked for")


def virtually(work: Coroutine[Any, Any, T]) -> T:
    return run(work)


@pytest.mark.parametrize(
    ("elapsed", "delay"), [(0, 0.9), (9, 0.9), (10, 0.9), (20, 1.8), (60, 5.4), (300, 27), (1000, 27)]
)
def test_polls_are_less_than_a_second_or_a_tenth_of_the_time_apart(elapsed: float, delay: float) -> None:
    assert poll_delay(elapsed) == pytest.approx(delay)
    assert 0 < poll_delay(elapsed) < max(1, 0.1 * elapsed)


async def waiting(schedule: PollSchedule, *executions: str, elapsed: float = 0) -> dict[str, asyncio.Task[None]]:
    """All of them wait for their next look."""
    tasks = {each: asyncio.create_task(schedule.pause(each, elapsed)) for each in executions}
    await asyncio.sleep(0)
    return tasks


def test_three_are_looked_at_one_after_the_other_and_the_others_wait_for_these() -> None:
    async def work() -> list[float]:
        schedule = PollSchedule()
        await waiting(schedule, *"abcde")
        return [schedule.due(execution, 0) for execution in "abcde"]

    assert virtually(work()) == pytest.approx([0.9, 0.6, 0.3, 15, 15])


def test_where_none_ends_all_are_looked_at_now_and_then() -> None:
    """All probes may hang: the others are looked at in longer and longer intervals."""
    schedule = PollSchedule()
    assert [schedule.due("b", elapsed) for elapsed in (0, 7, 7.5, 15, 30, 60)] == [15, 15, 15, 30, 60, 120]


def test_probes_take_turns() -> None:
    """One that was looked at and has not ended passes the turn on: one that hangs does not hold up the others."""

    async def work() -> list[set[str]]:
        schedule = PollSchedule()
        with schedule.membership():
            tasks = await waiting(schedule, *"abcdef", elapsed=20)
            turns = [set(schedule._probes)]
            for _ in range(2):
                done, _ = await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
                looked = [each for each, task in tasks.items() if task in done]
                tasks.update(await waiting(schedule, *looked, elapsed=30))
                turns.append(set(schedule._probes))
            for task in tasks.values():
                task.cancel()
        return turns

    assert virtually(work()) == [set("abc"), set("abd"), set("ade")]


def test_a_probe_that_leaves_gives_its_turn_to_the_next() -> None:
    async def work() -> tuple[set[str], set[str]]:
        schedule = PollSchedule()
        tasks = await waiting(schedule, *"abcdef")
        tasks["f"].cancel()
        tasks["b"].cancel()
        await asyncio.wait([tasks["b"], tasks["f"]])
        return set(schedule._probes), set(schedule._queue)

    probes, queue = virtually(work())
    assert (probes, queue) == (set("acd"), {"e"})


def test_a_probe_whose_turn_comes_late_is_looked_at_soon() -> None:
    """Its age when the turn came counts, and not that of its last look."""
    loop = VirtualTimeLoop()

    async def work() -> float:
        schedule = PollSchedule()
        with schedule.membership():
            tasks = await waiting(schedule, *"abcd")
            await asyncio.sleep(0.5)
            tasks["a"].cancel()
            await tasks["d"]
            return loop.time()

    assert run(work(), loop) == pytest.approx(0.5 + 0.3)
    loop.close()


def test_the_first_end_decides_when_the_others_are_looked_at() -> None:
    """Not before it is expected, and by the rule from then on. The service's own account of the time counts."""
    loop = VirtualTimeLoop()

    async def work() -> tuple[float, list[float]]:
        schedule = PollSchedule()
        tasks = await waiting(schedule, *"abcde")
        await schedule.ended("a", "SUCCESS", 10.9, took(10))
        due = [schedule.due("e", elapsed) for elapsed in (0, 10, 10.05, 30)]
        await tasks["e"]
        return loop.time(), due

    at, due = run(work(), loop)
    loop.close()
    assert due == pytest.approx([10.05, 10.05, 10.05 + 0.9045, 32.7])
    assert at == pytest.approx(10.05)


def test_once_one_has_ended_well_no_others_are_polled_by_the_rule_before_it_is_time() -> None:
    async def work() -> tuple[set[str], set[str]]:
        schedule = PollSchedule()
        await waiting(schedule, *"abcde")
        await schedule.ended("a", "SUCCESS", 10.9, took(10))
        return set(schedule._probes), set(schedule._queue)

    assert virtually(work()) == (set("bc"), set("de"))


def test_only_a_shorter_end_changes_what_is_expected() -> None:
    """One that took as long or longer is not asked about."""

    async def work() -> list[float]:
        schedule, due = PollSchedule(), []
        await waiting(schedule, *"bcdefg")
        for elapsed, exact in ((10.9, took(10)), (30, never), (9.1, never), (4.9, took(4)), (3.5, took(5))):
            await schedule.ended("a", "SUCCESS", elapsed, exact)
            due.append(schedule.due("b", 0))
        return due

    assert virtually(work()) == pytest.approx([10.05, 10.05, 10.05, 4.05, 4.05])


def test_nothing_is_asked_where_no_others_wait() -> None:
    async def work() -> float:
        schedule = PollSchedule()
        await schedule.ended("a", "SUCCESS", 10.9, never)
        return schedule.due("b", 0)

    assert virtually(work()) == 15


def test_one_of_several_that_end_at_once_is_asked_about() -> None:
    async def work() -> list[float]:
        schedule = PollSchedule()
        asked: list[float] = []
        await waiting(schedule, *"cdefg")

        async def answer() -> float:
            asked.append(10)
            await asyncio.sleep(1)
            return 10

        await asyncio.gather(*(schedule.ended(each, "SUCCESS", 10.9, answer) for each in "ab"))
        return asked

    assert virtually(work()) == [10]


def test_an_answer_that_fails_is_asked_for_again_at_the_next_end() -> None:
    async def work() -> float:
        schedule = PollSchedule()
        await waiting(schedule, *"cdefg")

        async def fail() -> float:
            raise ServiceError("no", "ForbiddenException")

        with pytest.raises(ServiceError):
            await schedule.ended("a", "SUCCESS", 10.9, fail)
        await schedule.ended("b", "SUCCESS", 10.9, took(10))
        return schedule.due("c", 0)

    assert virtually(work()) == pytest.approx(10.05)


def test_failures_count_where_they_are_the_rule() -> None:
    """They come sooner: as long as at least as many failed as ended well, their time is one to look at too."""

    async def work() -> list[float]:
        schedule, due = PollSchedule(), []
        await waiting(schedule, *"bcdefg")
        for status, exact in (("FAILED", 1.0), ("SUCCESS", 10.0), ("SUCCESS", 10.0)):
            await schedule.ended("a", status, exact + 0.5, took(exact))
            due.append(schedule.due("b", 0))
        return due

    assert virtually(work()) == pytest.approx([1.05, 1.05, 10.05])


def test_one_failure_does_not_make_all_be_looked_at_by_the_rule() -> None:
    """Once at the time that it took; then the others wait on for one that ends well."""

    async def work() -> list[float]:
        schedule = PollSchedule()
        await waiting(schedule, *"bcdefg")
        await schedule.ended("a", "FAILED", 1.5, took(1.0))
        return [schedule.due("g", elapsed) for elapsed in (0, 1.05)]

    assert virtually(work()) == pytest.approx([1.05, 15])


def test_one_that_runs_out_of_time_at_the_moment_of_an_end_leaves_the_others() -> None:
    async def work() -> list[bool]:
        schedule = PollSchedule()
        tasks = await waiting(schedule, *"abcd")
        tasks["b"].cancel()
        await schedule.ended("a", "SUCCESS", 0.01, took(0.005))
        tasks["a"].cancel()
        await asyncio.wait(tasks.values())
        return [task.cancelled() for task in tasks.values()]

    assert virtually(work()) == [True, True, False, False]


def test_what_was_learned_is_forgotten_when_nothing_is_waited_for_any_more() -> None:
    """The next resources of the run may take longer."""

    async def work() -> list[float]:
        schedule = PollSchedule()
        with schedule.membership():
            with schedule.membership():
                tasks = await waiting(schedule, *"bcdef")
                await schedule.ended("a", "SUCCESS", 1.5, took(1))
            due = [schedule.due("f", 0)]
            for task in tasks.values():
                task.cancel()
        return [*due, schedule.due("f", 0)]

    assert virtually(work()) == pytest.approx([1.05, 15])


# --- waiting for the service ---


@pytest.mark.parametrize("seconds", [1, 3, 10, 60, 600, 1800])
def test_the_end_of_a_lone_execution_is_noticed_in_time(seconds: int) -> None:
    """Within max(1 s, 10 % of the time it took)."""
    sim = Simulation(execution_time=f"{seconds}s")
    client = sim.client()

    async def work() -> float:
        id_ = await client.start(DISABLE, "token") or ""
        await wait_until_ended(client, id_, poll_first=False, shared=True)
        return sim.loop.time()

    assert sim.run(work()) - seconds <= max(1, 0.1 * seconds)


@pytest.mark.parametrize("age", [0, 100])
def test_the_age_of_an_adopted_execution_counts(age: int) -> None:
    """One that has run for 100 s is not looked at every second, nor is its end missed by more than a tenth."""
    sim = Simulation(execution_time="200s")
    id_ = sim.person(DISABLE) or ""
    sim.advance(seconds=age)
    client = sim.client()
    snapshot = sim.run(wait_until_ended(client, id_, age=age))
    assert snapshot.status == "SUCCESS"
    assert sim.loop.time() + age - 200 <= 20
    looks = sim.counts["list_lifecycle_execution_resources"]
    assert looks == {0: 46, 100: 10}[age]


def test_a_wait_looks_first_unless_it_is_not_worth_a_call() -> None:
    for poll_first, at in ((True, 0.04), (False, 0.94)):
        sim = Simulation()
        id_ = sim.person(DISABLE) or ""
        sim.advance(seconds=20)
        sim.run(wait_until_ended(sim.client(), id_, poll_first=poll_first))
        assert sim.loop.time() == pytest.approx(at)


def test_an_execution_that_cannot_be_read_yet_is_looked_for_with_a_note() -> None:
    sim = Simulation(variants={"consistency": "lag"})
    id_ = sim.person(DISABLE) or ""
    client = sim.client()
    notes: list[str] = []

    def spy(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        notes.append(client.progress.note or "")
        return ask()

    sim.overrides["list_lifecycle_execution_resources"] = spy
    assert sim.run(wait_until_ended(client, id_)).status == "SUCCESS"
    assert notes[0] == ""
    assert named(sim, notes[1]) == (
        "lifecycle execution lce-1 cannot be read yet: ResourceNotFoundException: The lifecycle execution lce-1 was "
        "not found"
    )
    assert notes[-1] == ""


def test_an_execution_that_cannot_be_read_for_half_a_minute_is_not_there() -> None:
    sim = Simulation()
    with pytest.raises(ExecutionUnknown):
        sim.run(wait_until_ended(sim.client(), "lce-00000000-0000-0000-0000-000000000000"))
    assert 30 < sim.loop.time() < 33


def test_the_half_minute_counts_from_the_last_time_it_was_read() -> None:
    """A service may lose sight of it for a moment more than once."""
    sim = Simulation(execution_time="80s")
    id_ = sim.person(DISABLE) or ""

    def lag(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        if sim.loop.time() % 30 > 5:
            raise refusal("ResourceNotFoundException")
        return ask()

    sim.overrides["list_lifecycle_execution_resources"] = lag
    assert sim.run(wait_until_ended(sim.client(), id_)).status == "SUCCESS"


def test_forty_waits_share_their_schedule() -> None:
    """Three calls each at the most, and every end noticed in time."""
    sim = Simulation([{"arn": f"{ARN[:-1]}{build}"} for build in range(1, 41)])
    schedule = PollSchedule()

    async def one(arn: str) -> None:
        client = sim.client(arn)
        client.schedule = schedule
        id_ = await client.start(DISABLE, f"token-{arn[-2:]}") or ""
        await wait_until_ended(client, id_, poll_first=False, shared=True)

    async def work() -> None:
        await asyncio.gather(*(one(f"{ARN[:-1]}{build}") for build in range(1, 41)))

    sim.run(work())
    assert sim.loop.time() < 11.2
    assert sim.counts["list_lifecycle_execution_resources"] <= 40 + 36
    assert sim.counts["get_lifecycle_execution"] == 1


# --- cancelling ---


@pytest.mark.parametrize("reading", ["accepted", "in-use"])
def test_an_unfinished_execution_is_cancelled_and_waited_for(reading: str) -> None:
    """A cancellation that the service refuses for a moment is asked for again, with the reason on the row."""
    sim = Simulation(variants={"cancel": reading})
    id_ = sim.person(DISABLE) or ""
    client = sim.client()
    seen: list[str] = []

    def spy(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        seen.append(named(sim, client.progress.note or ""))
        assert client.progress.execution_id == id_
        return ask()

    sim.overrides["cancel_lifecycle_execution"] = spy
    snapshot = sim.run(cancel_and_wait(client, id_))
    assert snapshot.status == "CANCELLED"
    assert client.progress.execution_id is None
    note = (
        "cancelling lifecycle execution lce-1 again: ResourceInUseException: The lifecycle execution lce-1 is in use; "
        "try again"
    )
    assert seen[0] == ""
    assert set(seen[1:]) == (set() if reading == "accepted" else {note})
    assert sim.loop.time() < 4


def test_a_refused_cancellation_is_asked_for_again_soon_however_long_the_run_has_been() -> None:
    sim = Simulation(variants={"cancel": "in-use"})
    sim.run(asyncio.sleep(1000))
    id_ = sim.person(to("DEPRECATED", updateAt=datetime(2099, 1, 31, tzinfo=UTC))) or ""
    assert sim.run(cancel_and_wait(sim.client(), id_)).status == "CANCELLED"
    assert sim.loop.time() < 1004


@pytest.mark.parametrize("status", ["SUCCESS", "CANCELLING"])
def test_what_has_ended_or_is_being_cancelled_is_not_cancelled(status: str) -> None:
    sim = Simulation()
    id_ = sim.person(DISABLE) or ""
    if status == "SUCCESS":
        sim.advance(seconds=20)
    else:
        sim.run(sim.client().cancel(id_))
    sim.begin_run()
    snapshot = sim.run(cancel_and_wait(sim.client(), id_))
    assert snapshot.status == {"SUCCESS": "SUCCESS", "CANCELLING": "CANCELLED"}[status]
    assert "cancel_lifecycle_execution" not in sim.counts


def test_an_execution_that_ends_as_it_is_cancelled_may_be_refused() -> None:
    sim = Simulation()
    id_ = sim.person(DISABLE) or ""

    def late(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        sim.advance(seconds=20)
        return ask()

    sim.overrides["cancel_lifecycle_execution"] = late
    assert sim.run(cancel_and_wait(sim.client(), id_)).status == "SUCCESS"


def test_a_refused_cancellation_is_an_error() -> None:
    sim = Simulation()
    id_ = sim.person(to("DISABLED")) or ""

    def refuse(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        raise refusal("InvalidRequestException", "it cannot be")

    sim.overrides["cancel_lifecycle_execution"] = refuse
    with pytest.raises(ServiceError, match=r"^changing the image: InvalidRequestException: it cannot be"):
        sim.run(cancel_and_wait(sim.client(), id_))


@pytest.mark.parametrize("shared", [True, False])
def test_only_a_wait_that_is_shared_follows_the_clients_schedule(shared: bool) -> None:
    """What is waited for as it is in the way has begun at another time, and takes as long as it takes."""
    sim = Simulation()
    id_ = sim.person(DISABLE) or ""
    client = sim.client()
    paused: list[str] = []
    pause = client.schedule.pause

    async def spy(execution_id: str, elapsed: float) -> None:
        paused.append(execution_id)
        await pause(execution_id, elapsed)

    client.schedule.pause = spy  # type: ignore[method-assign]
    sim.run(wait_until_ended(client, id_, **({"shared": True} if shared else {})))
    assert bool(paused) is shared
    assert client.schedule._sleeping == set()


def test_nothing_is_left_of_a_pause_that_has_ended() -> None:
    async def work() -> PollSchedule:
        schedule = PollSchedule()
        await schedule.pause("a", 0)
        return schedule

    assert virtually(work())._sleeping == set()


def test_an_execution_whose_look_is_due_waits_for_no_turn_any_more() -> None:
    async def work() -> dict[str, float]:
        schedule = PollSchedule()
        tasks = await waiting(schedule, *"abcde")
        await schedule.ended("a", "SUCCESS", 10.9, took(10))
        await asyncio.wait([tasks["d"], tasks["e"]])
        return schedule._queue

    assert virtually(work()) == {}
