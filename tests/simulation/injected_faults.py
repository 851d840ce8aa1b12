"""Faults put into the core one at a time, and after how many histories the simulation finds each.

    python -m tests.simulation.injected_faults [--most N] [--seed S] [NAME…]

The exit code is 1 if one of them was not found.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import inspect
import itertools
import math
import random
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from pulumi_imagebuilder import errors, host
from pulumi_imagebuilder.aws.service import Service
from pulumi_imagebuilder.claims import Claims
from pulumi_imagebuilder.lifecycle import adoption, apply, client, polling, removal, state
from pulumi_imagebuilder.lifecycle.change import Change

from .histories import generate
from .simulator import Report, Simulator

Fault = Callable[[], contextlib.AbstractContextManager[Any]]


def _random_tokens() -> contextlib.AbstractContextManager[Any]:
    chance = random.Random(1)

    def token_candidates(self: Change) -> Iterator[str]:
        while True:
            yield f"pulumi-{chance.getrandbits(100)}"[:36]

    return patch.object(Change, "token_candidates", token_candidates)


def _first_page_only() -> contextlib.AbstractContextManager[Any]:
    whole = Service.pages

    async def pages(self: Service, *arguments: Any, **named: Any) -> Any:
        async for page in whole(self, *arguments, **named):
            yield page
            return

    return patch.object(Service, "pages", pages)


def _cancel_without_waiting() -> contextlib.AbstractContextManager[Any]:
    async def cancel_and_wait(image: client.ImageClient, execution_id: str) -> Any:
        snapshot = await image.snapshot(execution_id)
        if snapshot.status in ("PENDING", "IN_PROGRESS"):
            await image.cancel(execution_id)
        return snapshot

    return patch.object(removal, "cancel_and_wait", cancel_and_wait)


@contextlib.contextmanager
def _guard_after_start() -> Iterator[None]:
    check, start = apply._ChangeRun._check_before_start, client.ImageClient.start

    async def check_later(self: Any) -> float:
        self._client.check_after_start = lambda: check(self)
        return math.inf

    async def start_and_check(self: Any, *arguments: Any, **named: Any) -> Any:
        answer = await start(self, *arguments, **named)
        await self.check_after_start()
        return answer

    with (
        patch.object(apply._ChangeRun, "_check_before_start", check_later),
        patch.object(client.ImageClient, "start", start_and_check),
    ):
        yield


def _longer_time_limits() -> contextlib.AbstractContextManager[Any]:
    slow = SimpleNamespace(**{name: getattr(asyncio, name) for name in dir(asyncio) if not name.startswith("_")})
    slow.timeout = lambda seconds: asyncio.timeout(seconds and 2 * seconds)
    return patch.object(host, "asyncio", slow)


def _go_on_after_the_end() -> contextlib.AbstractContextManager[Any]:
    whole = host.run_tasks
    kept = []

    async def run_tasks(*arguments: Any, **named: Any) -> None:
        task = asyncio.create_task(whole(*arguments, **named))
        kept.append(task)
        await asyncio.shield(task)

    return patch.object(host, "run_tasks", run_tasks)


def _restore_leaves_schedules() -> contextlib.AbstractContextManager[Any]:
    async def cancel(*_: Any) -> None:
        return None

    return patch.object(removal, "cancel", cancel)


def _declare_with(**other: Any) -> Fault:
    """Return a fault that makes all changes with other arguments."""

    def fault() -> contextlib.AbstractContextManager[Any]:
        made = Change.__init__

        def init(self: Change, *arguments: Any, **named: Any) -> None:
            made(self, *arguments, **{**named, **other})

        return patch.object(Change, "__init__", init)

    return fault


def _keep_nothing_left() -> contextlib.AbstractContextManager[Any]:
    original = inspect.getattr_static(state.UpdateState, "from_outcome").__func__

    def from_outcome(cls: Any, outcome: Any, target: str | None = None) -> Any:
        return original(cls, outcome, "DELETED")

    return patch.object(state.UpdateState, "from_outcome", classmethod(from_outcome))


def _repeat_tokens_in_messages() -> contextlib.AbstractContextManager[Any]:
    async def start(self: client.ImageClient, request: Any, token: str, **_: Any) -> Any:
        answer = await self._call("start_resource_state_update", resourceArn=self.arn, clientToken=token, **request)
        return answer.get("lifecycleExecutionId")

    return patch.object(client.ImageClient, "start", start)


def _returning(owner: Any, name: str, value: Any, *, awaited: bool = False) -> Fault:
    """Return a fault that makes a function return always the same."""

    async def wait(*_: Any, **__: Any) -> Any:
        return value

    return lambda: patch.object(owner, name, wait if awaited else lambda *_, **__: value)


async def _all_unclaimed(_: Any, arns: Any) -> list[str]:
    return list(arns)


async def _believe(self: Any, execution_id: Any, **_: Any) -> Any:
    return await self._client.find_image()


FAULTS: dict[str, Fault] = {
    "a random token": _random_tokens,
    "the next token is never tried": lambda: patch.object(apply, "MAX_CANDIDATES", 1),
    "an answer is believed without evidence": _returning(Change, "is_confirmed_by", True),
    "an image is read once, lag or not": lambda: patch.object(apply._ChangeRun, "_confirmed_image", _believe),
    "adoption ignores exclusion rules": lambda: patch.object(
        adoption, "_EVIDENT", adoption._EVIDENT | {"exclusionRules"}
    ),
    "adoption ignores later moves": lambda: patch.object(apply, "was_changed_since", _returning_false),
    "claims are ignored": lambda: patch.object(Claims, "unclaimed", _all_unclaimed),
    "pages after the first are dropped": _first_page_only,
    "a cancellation is not awaited": _cancel_without_waiting,
    "the guard comes after the start": _guard_after_start,
    "time limits are twice as long": _longer_time_limits,
    "work continues after the time limit": _go_on_after_the_end,
    "restoring leaves schedules": _restore_leaves_schedules,
    "an own schedule is not cancelled": _declare_with(own_schedule=None),
    "a change does not follow another": _declare_with(follows=None),
    "nothing is superseded": _declare_with(superseded=None),
    "any execution gives way": _returning(apply._ChangeRun, "_gives_way", True, awaited=True),
    "drift is not noticed": _returning(state, "_describe_drift", None),
    "what is incomplete is forgotten": _returning(state.FleetState, "incomplete", set()),
    "what an update left is forgotten": _keep_nothing_left,
    "immediate changes pass executions": _returning(apply._ChangeRun, "_wait_for_others", None, awaited=True),
    "a new execution is taken for an old one": _returning(
        client.ImageClient, "began_before_this_run", True, awaited=True
    ),
    "an execution that cannot be read yet is unknown": lambda: patch.object(polling, "CONSISTENCY_WINDOW", -1.0),
    "messages repeat the client token": _repeat_tokens_in_messages,
    "messages have several lines": lambda: patch.object(
        errors.ImageBuilderError, "__str__", lambda self: f"{self.reason}\n{self.next_step}"
    ),
}


async def _returning_false(*_: Any) -> bool:
    return False


def find(name: str, simulator: Simulator, seed: int, most: int) -> tuple[int, Report] | None:
    """Return after how many histories a fault was found, and how; None if it was not.

    Args:
        name: the fault.
        simulator: carries out histories.
        seed: of the first history.
        most: how many histories are tried.
    """
    with FAULTS[name]():
        for number in itertools.count(1):
            report = simulator.run(generate(seed + number - 1))
            if report.broken:
                return number, report
            if number == most:
                return None
    raise AssertionError


def main() -> int:
    """Try all faults; return the exit code."""
    parser = argparse.ArgumentParser(description="After how many histories each of the faults is found.")
    parser.add_argument("--most", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("names", nargs="*", default=list(FAULTS))
    options = parser.parse_args()
    simulator, missed = Simulator(), 0
    for name in options.names:
        found = find(name, simulator, options.seed, options.most)
        if found is None:
            missed += 1
            print(f"| {name} | not in {options.most} | |", flush=True)
        else:
            number, report = found
            assert report.broken
            print(f"| {name} | {number} | {report.broken.invariant} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
