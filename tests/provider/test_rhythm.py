"""When executions of a fleet are looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from pulumi_imagebuilder.lifecycle.rhythm import SharedRhythm, poll_delay


def took(seconds: float) -> Callable[[], Awaitable[float]]:
    async def answer() -> float:
        return seconds

    return answer


async def scouting(rhythm: SharedRhythm, *executions: str) -> list[asyncio.Task[None]]:
    """All of them wait for their first look."""
    waiting = [asyncio.create_task(rhythm.pause(execution, 0)) for execution in executions]
    await asyncio.sleep(0)
    return waiting


@pytest.mark.parametrize(("members", "scouts"), [(1, 1), (10, 1), (60, 2), (1000, 3)])
def test_a_few_are_looked_at_by_the_rule(members: int, scouts: int) -> None:
    """The others wait for these."""

    async def run() -> list[float]:
        rhythm = SharedRhythm(members)
        await scouting(rhythm, *"abcde")
        return [rhythm.due(execution, 0) for execution in "abcde"]

    due = asyncio.run(run())
    assert due == pytest.approx([poll_delay(0)] * scouts + [15.0] * (5 - scouts), abs=0.1)


def test_they_take_turns() -> None:
    """Whoever was looked at and has not ended passes the turn on: one that hangs does not hold up the others."""

    async def run() -> list[str]:
        rhythm, turns = SharedRhythm(3), []
        waiting = {asyncio.create_task(rhythm.pause(execution, 20), name=execution): execution for execution in "abc"}
        while len(turns) < 4:
            await asyncio.sleep(0)
            (scout,) = rhythm._scouts
            turns.append(scout)
            (task,) = [task for task, execution in waiting.items() if execution == scout]
            task.cancel()
            waiting.pop(task)
            waiting[asyncio.create_task(rhythm.pause(scout, 20), name=scout)] = scout
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(run()) == ["a", "b", "c", "a"]


def test_where_none_ends_all_are_looked_at_now_and_then() -> None:
    """A scout may hang: the others are looked at in longer and longer intervals."""
    rhythm = SharedRhythm(10)
    assert [rhythm.due("b", elapsed) for elapsed in (0, 15, 30, 60)] == [15, 30, 60, 120]


def test_the_first_end_tells_when_to_look_at_the_others() -> None:
    """Not before it is expected, and by the rule from then on. The service's own account of the time counts."""

    async def run() -> SharedRhythm:
        rhythm = SharedRhythm(10)
        waiting = await scouting(rhythm, "a", "b")
        await rhythm.ended("a", "SUCCESS", 0.01, took(0.005))
        await asyncio.wait_for(waiting[1], 5)
        return rhythm

    rhythm = asyncio.run(run())
    assert rhythm.due("b", 0) == pytest.approx(0.055)
    assert rhythm.due("b", 30) == 30 + poll_delay(30)


def test_the_shortest_counts() -> None:
    """One that took longer changes nothing, and is not asked about; a shorter one does."""

    async def run() -> list[float]:
        rhythm, due = SharedRhythm(10), []
        for elapsed, exact in ((10.9, 10.0), (30.0, None), (4.9, 4.0)):
            await rhythm.ended("a", "SUCCESS", elapsed, took(exact) if exact else pytest.fail)
            due.append(rhythm.due("b", 0))
        return due

    assert asyncio.run(run()) == pytest.approx([10.05, 10.05, 4.05])


def test_failures_come_sooner_and_count_where_they_are_the_rule() -> None:
    """As long as at least as many failed as ended well, their time is one to look at too."""

    async def run() -> list[float]:
        rhythm, due = SharedRhythm(10), []
        for status, exact in (("FAILED", 1.0), ("SUCCESS", 10.0), ("SUCCESS", 10.0)):
            await rhythm.ended("a", status, exact + 0.5, took(exact))
            due.append(rhythm.due("b", 0))
        return due

    assert asyncio.run(run()) == pytest.approx([1.05, 1.05, 10.05])


def test_one_failure_does_not_make_all_be_looked_at_by_the_rule() -> None:
    """Once at the time that it took; then the others wait on for one that ends well."""

    async def run() -> list[float]:
        rhythm = SharedRhythm(10)
        await rhythm.ended("a", "FAILED", 1.5, took(1.0))
        return [rhythm.due("b", elapsed) for elapsed in (0, 1.05)]

    assert asyncio.run(run()) == pytest.approx([1.05, 15])


def test_one_that_runs_out_of_time_at_the_moment_of_the_news() -> None:
    """It is told nothing any more; all others are."""

    async def run() -> list[bool]:
        rhythm = SharedRhythm(10)
        waiting = await scouting(rhythm, "a", "b", "c")
        waiting[1].cancel()
        await rhythm.ended("a", "SUCCESS", 0.01, took(0.005))
        waiting[0].cancel()
        await asyncio.wait(waiting, timeout=5)
        return [task.cancelled() for task in waiting]

    assert asyncio.run(run()) == [True, True, False]
