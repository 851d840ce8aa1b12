"""When executions are looked at, and the loops that wait until they end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from pulumi_imagebuilder.errors import ServiceError
from pulumi_imagebuilder.lifecycle.client import ExecutionUnknown
from pulumi_imagebuilder.lifecycle.polling import (
    PollSchedule,
    cancel_and_wait,
    poll_delay,
    retry_while_unknown,
    wait_until_ended,
)

from tests.provider.simulated import ARN, DISABLE, Simulation, named, refusal, to
from tests.simulation.virtual_time import run

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


async def await_forever(
    schedule: PollSchedule, execution: str, polls: list[tuple[float, str]], *, age: float = 0, answer: float = 0
) -> None:
    """Await an execution that does not end, and note each poll, which takes so many seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time() - age
    with schedule.membership() as member:
        while True:
            await schedule.pause(member, loop.time() - began)
            polls.append((round(loop.time(), 2), execution))
            await asyncio.sleep(answer)


class Waits:
    """Executions that are awaited side by side with one schedule."""

    def __init__(self) -> None:
        self.schedule = PollSchedule()
        self.polls: list[tuple[float, str]] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def begin(self, executions: Iterable[str], **options: float) -> Waits:
        for each in executions:
            self.tasks[each] = asyncio.create_task(await_forever(self.schedule, each, self.polls, **options))
        await asyncio.sleep(0)
        return self


def polls_of(executions: Iterable[str], until: float, **options: float) -> list[tuple[float, str]]:
    """Return who is polled when, until so many seconds have passed."""

    async def work() -> list[tuple[float, str]]:
        waits = await Waits().begin(executions, **options)
        await asyncio.sleep(until)
        return waits.polls

    return virtually(work())


def first_poll_after(*ends: tuple[str, float, Callable[[], Awaitable[float]]]) -> float:
    """Return when the others are polled first, after others have ended: status, age at that poll, and its duration."""

    async def work() -> float:
        waits = await Waits().begin("bcdefg")
        for status, elapsed, duration in ends:
            await waits.schedule.ended("a", status, elapsed, duration)
        while not waits.polls:
            await asyncio.sleep(0.01)
        return waits.polls[0][0]

    return virtually(work())


def test_they_take_turns() -> None:
    """Three polls within the delay of one, evenly spaced, each of another execution."""
    assert polls_of("abcde", 2) == [(0.3, "a"), (0.6, "b"), (0.9, "c"), (1.2, "d"), (1.5, "e"), (1.8, "a")]
    assert polls_of("ab", 1.5) == [(0.45, "a"), (0.9, "b"), (1.35, "a")]
    assert polls_of("a", 3) == [(0.9, "a"), (1.8, "a"), (2.7, "a")]


def test_two_resources_can_await_the_same_execution() -> None:
    """As where both declare the image in the same state."""
    assert polls_of("aab", 1) == [(0.3, "a"), (0.6, "a"), (0.9, "b")]


@pytest.mark.parametrize(("executions", "probes"), [(40, 3), (90, 3), (120, 4), (200, 6), (300, 10), (1000, 10)])
def test_the_more_wait_for_the_first_end_the_sooner_it_is_noticed(executions: int, probes: int) -> None:
    assert len(polls_of(map(str, range(executions)), 0.91)) == probes


def test_no_more_are_polled_at_a_time_than_there_are_probes() -> None:
    """Where answers take long, as under throttling; the next turn comes with the first answer."""
    polls = polls_of("abcdef", 6, answer=5)
    assert polls == [(0.3, "a"), (0.6, "b"), (0.9, "c"), (5.3, "d"), (5.6, "e"), (5.9, "f")]


def test_the_delay_counts_from_the_answer() -> None:
    assert polls_of("a", 8, answer=5) == [(0.9, "a"), (6.8, "a")]


def test_where_none_ends_all_are_polled_now_and_then() -> None:
    """All probes may hang: the others are polled in longer and longer intervals."""

    async def work() -> list[float]:
        waits = await Waits().begin("abc", answer=1000)
        await waits.begin("d")
        await asyncio.sleep(130)
        return [at for at, execution in waits.polls if execution == "d"]

    assert virtually(work()) == [15, 30, 60, 120]


@pytest.mark.parametrize(("ages", "polls"), [((100, 100), [4.5, 9.2]), ((100, 0), [0.45, 0.9])])
def test_the_youngest_decides_how_far_apart_polls_are(ages: tuple[float, float], polls: list[float]) -> None:
    """A tenth of the time that it has taken."""

    async def work() -> list[tuple[float, str]]:
        waits = await Waits().begin("a", age=ages[0])
        await waits.begin("b", age=ages[1])
        await asyncio.sleep(polls[-1] + 0.01)
        return waits.polls

    assert virtually(work()) == [(polls[0], "a"), (polls[1], "b")]


def test_one_that_leaves_gives_its_turn_to_the_next() -> None:
    async def work() -> list[tuple[float, str]]:
        waits = await Waits().begin("abcdef")
        await asyncio.sleep(0.2)
        waits.tasks["a"].cancel()
        await asyncio.sleep(0.5)
        return waits.polls

    assert virtually(work()) == [(0.3, "b"), (0.6, "c")]


def test_one_that_leaves_while_it_is_polled_makes_room_for_another() -> None:
    """As where the service refuses the poll, or does not know the execution."""

    async def work() -> list[tuple[float, str]]:
        waits = await Waits().begin("abcd", answer=100)
        await asyncio.sleep(4)
        waits.tasks["b"].cancel()
        await asyncio.sleep(1)
        return waits.polls[3:]

    assert virtually(work()) == [(4, "d")]


def test_the_first_end_decides_when_the_others_are_polled() -> None:
    """Not before it is expected, and by the rule from then on. The service's own account of the time counts."""

    async def work() -> list[tuple[float, str]]:
        waits = await Waits().begin("bcde")
        await waits.schedule.ended("a", "SUCCESS", 10.9, took(10))
        await asyncio.sleep(11)
        return waits.polls

    assert sorted(virtually(work())) == [(at, each) for at in (10.05, 10.95) for each in "bcde"]


def test_only_a_shorter_end_changes_what_is_expected() -> None:
    """One that took as long or longer is not asked about."""
    ends = [("SUCCESS", 10.9, took(10)), ("SUCCESS", 30, never), ("SUCCESS", 9.1, never)]
    assert first_poll_after(*ends) == 10.05
    ends.append(("SUCCESS", 4.9, took(4)))
    assert first_poll_after(*ends) == 4.05
    ends.append(("SUCCESS", 3.5, took(5)))
    assert first_poll_after(*ends) == 4.05


def test_nothing_is_asked_where_no_others_wait() -> None:
    virtually(PollSchedule().ended("a", "SUCCESS", 10.9, never))


def test_one_of_several_that_end_at_once_is_asked_about() -> None:
    async def work() -> list[float]:
        waits = await Waits().begin("cdefg")
        asked: list[float] = []

        async def answer() -> float:
            asked.append(10)
            await asyncio.sleep(1)
            return 10

        await asyncio.gather(*(waits.schedule.ended(each, "SUCCESS", 10.9, answer) for each in "ab"))
        return asked

    assert virtually(work()) == [10]


def test_an_answer_that_fails_is_asked_for_again_at_the_next_end() -> None:
    async def work() -> list[tuple[float, str]]:
        waits = await Waits().begin("c")

        async def fail() -> float:
            raise ServiceError("no", "ForbiddenException")

        with pytest.raises(ServiceError):
            await waits.schedule.ended("a", "SUCCESS", 10.9, fail)
        await waits.schedule.ended("b", "SUCCESS", 10.9, took(10))
        await asyncio.sleep(10.1)
        return waits.polls

    assert virtually(work()) == [(10.05, "c")]


def test_failures_count_where_they_are_the_rule() -> None:
    """They come sooner: as long as at least as many failed as ended well, their time is one to poll at too."""
    ends = [("FAILED", 1.5, took(1)), ("SUCCESS", 10.5, took(10)), ("SUCCESS", 10.5, took(10))]
    assert [first_poll_after(*ends[:number]) for number in (1, 2, 3)] == [1.05, 1.05, 10.05]


def test_one_failure_does_not_make_all_be_polled_by_the_rule() -> None:
    """Once at the time that it took; then the others take turns until one ends well."""

    async def work() -> list[float]:
        waits = await Waits().begin("bcdefg")
        await waits.schedule.ended("a", "FAILED", 1.5, took(1))
        await asyncio.sleep(1.9)
        return [at for at, _ in waits.polls]

    assert virtually(work()) == [1.05] * 6 + [1.35, 1.65]


def test_one_that_runs_out_of_time_at_the_moment_of_an_end_leaves_the_others() -> None:
    async def work() -> list[bool]:
        waits = await Waits().begin("abcd")
        waits.tasks["b"].cancel()
        await waits.schedule.ended("a", "SUCCESS", 0.01, took(0.005))
        waits.tasks["a"].cancel()
        await asyncio.sleep(0.1)
        return [task.cancelled() for task in waits.tasks.values()]

    assert virtually(work()) == [True, True, False, False]


def test_what_was_learned_is_forgotten_when_nothing_is_waited_for_any_more() -> None:
    """The next resources of the run may take longer."""

    async def work() -> list[tuple[float, str]]:
        waits = await Waits().begin("bc")
        await waits.schedule.ended("a", "SUCCESS", 1.5, took(1))
        for task in waits.tasks.values():
            task.cancel()
        await asyncio.sleep(0)
        await waits.begin("d")
        await asyncio.sleep(1)
        return waits.polls

    assert virtually(work()) == [(0.9, "d")]


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


def test_the_half_minute_does_not_count_the_retries_of_the_first_read() -> None:
    sim = Simulation()
    client = sim.client()
    reads: list[float] = []

    async def read() -> str:
        if not reads:
            await asyncio.sleep(40)
        reads.append(sim.loop.time())
        if len(reads) < 4:
            raise ExecutionUnknown("ResourceNotFoundException: not yet")
        return "read"

    assert sim.run(retry_while_unknown(client, "lce-1", read)) == "read"
    assert client.progress.note == "lifecycle execution lce-1 cannot be read yet: ResourceNotFoundException: not yet"
    assert reads == pytest.approx([40, 40.9, 41.8, 42.7])


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


def test_an_execution_that_is_forgotten_as_it_is_cancelled_is_not_named_any_more() -> None:
    sim = Simulation()
    id_ = sim.person(DISABLE) or ""
    client = sim.client()

    def forget(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        sim.forget(id_)
        return ask()

    sim.overrides["cancel_lifecycle_execution"] = forget
    with pytest.raises(ExecutionUnknown):
        sim.run(cancel_and_wait(client, id_))
    assert client.progress.execution_id is None


@pytest.mark.parametrize("shared", [True, False])
def test_only_a_wait_that_is_shared_follows_the_clients_schedule(shared: bool) -> None:
    """What is waited for as it is in the way has begun at another time, and takes as long as it takes."""
    sim = Simulation()
    id_ = sim.person(DISABLE) or ""
    client = sim.client()
    paused: list[float] = []
    pause = client.schedule.pause

    async def spy(member: object, elapsed: float) -> None:
        paused.append(elapsed)
        await pause(member, elapsed)

    client.schedule.pause = spy  # type: ignore[method-assign]
    sim.run(wait_until_ended(client, id_, **({"shared": True} if shared else {})))
    assert bool(paused) is shared
    assert client.schedule._waiting == {}
