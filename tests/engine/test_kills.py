"""Runs that are killed: the next `pulumi up` goes on with the execution that was started, and starts no second one.

The rows of the table in docs/life-of-a-state-update.md name these tests.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
PROGRAM = """
    from pulumi_imagebuilder import ResourceStateUpdate
    ResourceStateUpdate("web", resource_arn="{arn}", {arguments})
"""
AMIS = 'execution_role="ImageLifecycle", include_resources={"amis": True}'
DISABLED, AVAILABLE = f'state="DISABLED", {AMIS}', f'state="AVAILABLE", {AMIS}'
SCHEDULED = f'state="DEPRECATED", update_at="2099-01-31T00:00:00Z", {AMIS}'
START = "StartResourceStateUpdate"
ANSWER_HELD_BACK = (f"{START} drop-answer nth=1", f"{START} stall=60s nth=2")
"""The first call did its work and was not answered; what asks again is not answered either."""

POINTS = {
    "before the first call": ("GetImage", 1, ("GetImage stall=60s",)),
    "before the start": (START, 1, (f"{START} stall=60s",)),
    "between the start and its answer": (START, 2, ANSWER_HELD_BACK),
    "while waiting": ("ListLifecycleExecutionResources", 1, ()),
    "between the end and the writing of state": ("GetLifecycleExecution", 1, ("GetLifecycleExecution stall=60s",)),
}
"""When to kill: at a point, after so many calls of an operation, with these faults set."""


def declare(bench: Any, arguments: str) -> None:
    bench.write(PROGRAM.format(arn=ARN, arguments=arguments))


def tokens(bench: Any) -> set[str]:
    """The client tokens that state updates were asked with."""
    return {request.parameters["clientToken"] for request in bench.emulator.requests.all(START)}


def statuses(bench: Any) -> list[str]:
    """How the image's executions stand, newest first."""
    return [each["state"]["status"] for each in bench.executions()]


def asked(bench: Any, operation: str, times: int) -> Callable[[], bool]:
    """Whether an operation has been called so many times since now."""
    before = bench.asked(operation)
    return lambda: bench.asked(operation) >= before + times


def kill(bench: Any, point: str, *, only: str | None = None, command: str = "up") -> None:
    """Kill a run at a point, and wait until nothing of it is left that might still call."""
    operation, times, faults = POINTS[point]
    # Without the resources' times the execution itself is read in the end.
    bench.emulator.variants.set({"resource-times": "absent"})
    bench.emulator.faults.add(*faults)
    bench.killed(asked(bench, operation, times), only=only, command=command)
    bench.emulator.faults.clear()
    bench.until(lambda: not [pid for pid in bench.processes() if bench.provider in bench.command_line(pid)])


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_run(bench: Any, point: str) -> None:
    """SIGKILL of the engine in a create, and of the provider in an update: one execution and one token for each."""
    declare(bench, DISABLED)
    kill(bench, point)
    bench.check("up")
    (first,) = bench.executions()
    outputs = bench.resource()["outputs"]
    assert (outputs["lifecycle_execution_id"], outputs["status"]) == (first["lifecycleExecutionId"], "SUCCESS")
    assert outputs["image_state"] == bench.image_state() == "DISABLED"
    assert len(tokens(bench)) == 1

    declare(bench, AVAILABLE)
    kill(bench, point, only=bench.provider)
    bench.check("up")
    second, before = bench.executions()
    assert before["lifecycleExecutionId"] == first["lifecycleExecutionId"]
    assert bench.resource()["outputs"]["lifecycle_execution_id"] == second["lifecycleExecutionId"]
    assert bench.image_state() == "AVAILABLE"
    assert len(tokens(bench)) == 2


def test_other_victims(bench: Any) -> None:
    """SIGKILL of the provider in a create, and of the engine in an update."""
    declare(bench, DISABLED)
    kill(bench, "between the start and its answer", only=bench.provider)
    bench.check("up")
    declare(bench, AVAILABLE)
    kill(bench, "between the start and its answer")
    bench.check("up")
    assert statuses(bench) == ["SUCCESS", "SUCCESS"]
    assert bench.image_state() == "AVAILABLE"
    assert len(tokens(bench)) == 2


def test_a_provider_that_outlives_its_engine(bench: Any) -> None:
    """It ends by itself within seconds, and what it has started goes on."""
    bench.emulator.faults.add("execution hang image=*")
    declare(bench, DISABLED)
    with bench.workspace.start("up", "--yes", "--skip-preview", "--non-interactive") as run:
        bench.until(lambda: bench.asked("ListLifecycleExecutionResources"))
        os.kill(run.pid, signal.SIGKILL)
        bench.until(lambda: not [pid for pid in bench.processes() if bench.provider in bench.command_line(pid)])
        for pid in bench.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    bench.workspace.run("cancel", "--yes", "--non-interactive")
    bench.emulator.faults.clear()
    bench.check("up")
    assert statuses(bench) == ["SUCCESS"]


def test_a_killed_immediate_change(bench: Any) -> None:
    """It has no execution to be found by: the token alone tells that it was carried out."""
    declare(bench, 'state="DEPRECATED"')
    kill(bench, "between the start and its answer")
    bench.check("up")
    assert bench.resource()["outputs"]["image_state"] == bench.image_state() == "DEPRECATED"
    assert len(tokens(bench)) == 1


def test_another_role_after_a_kill(bench: Any) -> None:
    """A change of role is no other change: what was started with the first role is taken over."""
    declare(bench, DISABLED)
    kill(bench, "between the start and its answer")
    declare(bench, DISABLED.replace('"ImageLifecycle"', '"arn:aws:iam::123456789012:role/ImageLifecycle"'))
    bench.check("up")
    assert statuses(bench) == ["SUCCESS"]
    assert bench.resource()["outputs"]["lifecycle_execution_id"] == bench.executions()[0]["lifecycleExecutionId"]


def test_another_declaration_after_a_kill(bench: Any) -> None:
    """What was started for the first one is waited out, then the other one is carried out."""
    declare(bench, DISABLED)
    kill(bench, "between the start and its answer")
    declare(bench, AVAILABLE)
    bench.check("up")
    assert statuses(bench) == ["SUCCESS", "SUCCESS"]
    assert bench.image_state() == "AVAILABLE"


def test_a_declaration_taken_back_after_a_kill(bench: Any) -> None:
    """The record holds the change before, which is declared again: `up` sees no change, a refresh sees drift."""
    declare(bench, DISABLED)
    bench.check("up")
    declare(bench, AVAILABLE)
    kill(bench, "while waiting")
    bench.until(lambda: bench.image_state() == "AVAILABLE")
    declare(bench, DISABLED)
    bench.check("up", "--refresh")
    assert bench.image_state() == "DISABLED"
    assert statuses(bench) == ["SUCCESS", "SUCCESS", "SUCCESS"]


def test_a_killed_schedule(bench: Any) -> None:
    """The scheduled execution is found again, and is not waited for."""
    declare(bench, SCHEDULED)
    kill(bench, "between the start and its answer")
    bench.check("up")
    (execution,) = bench.executions()
    outputs = bench.resource()["outputs"]
    assert (outputs["lifecycle_execution_id"], outputs["status"]) == (execution["lifecycleExecutionId"], "IN_PROGRESS")


def test_a_killed_schedule_that_came_true(bench: Any) -> None:
    """Its time is in the past then, which the check refuses without a call; without it nothing is started again."""
    declare(bench, SCHEDULED)
    kill(bench, "between the start and its answer")
    bench.emulator.clock.set(datetime.datetime(2099, 2, 1, tzinfo=datetime.UTC))
    bench.until(lambda: statuses(bench) == ["SUCCESS"])
    calls = bench.emulator.requests.counts()
    # The check has a clock of its own, which no test moves.
    declare(bench, SCHEDULED.replace("2099", "2019"))
    told = bench.run("up")
    assert told.returncode != 0
    assert "is not in the future (it is now " in told.stdout
    assert "out to deprecate at once" in told.stdout
    assert bench.emulator.requests.counts() == calls
    declare(bench, f'state="DEPRECATED", {AMIS}')
    bench.check("up")
    assert statuses(bench) == ["SUCCESS"]


@pytest.mark.parametrize(
    ("on_destroy", "operation", "executions"),
    [
        pytest.param("cancel", "CancelLifecycleExecution", ["CANCELLED"], id="cancel"),
        pytest.param("restore", START, ["SUCCESS", "CANCELLED"], id="restore"),
    ],
)
def test_a_killed_destroy(bench: Any, on_destroy: str, operation: str, executions: list[str]) -> None:
    """Killed once the call was made: the next `destroy` goes on, and does nothing twice."""
    declare(bench, f'{SCHEDULED}, on_destroy="{on_destroy}"')
    bench.check("up")
    bench.emulator.faults.add(f"{operation} drop-answer nth=1", f"{operation} stall=60s nth=2")
    bench.killed(asked(bench, operation, 2), command="destroy")
    bench.emulator.faults.clear()
    bench.check("destroy")
    assert bench.image_state() == "AVAILABLE"
    assert statuses(bench) == executions


def test_two_stacks_at_the_same_moment(make_bench: Callable[..., Any]) -> None:
    """Both declare the same change: one execution, and both have it in their state."""
    benches = [make_bench(name) for name in ("one", "other")]
    with contextlib.ExitStack() as runs:
        started = []
        for bench in benches:
            declare(bench, DISABLED)
            run = bench.workspace.start("up", "--yes", "--skip-preview", "--non-interactive", "--color", "never")
            started.append(runs.enter_context(run))
        for run in started:
            out, err = run.communicate(timeout=240)
            assert run.returncode == 0, out + err
    (execution,) = benches[0].executions()
    for bench in benches:
        assert bench.resource()["outputs"]["lifecycle_execution_id"] == execution["lifecycleExecutionId"]
    assert len(tokens(benches[0])) == 1


def test_back_and_forth_and_a_new_life(bench: Any) -> None:
    """Coming back to an earlier declaration happens again; after `destroy`, the same one adopts what stands."""
    for arguments in (DISABLED, AVAILABLE, DISABLED):
        declare(bench, arguments)
        bench.check("up")
    assert statuses(bench) == ["SUCCESS"] * 3
    last = bench.resource()["outputs"]["lifecycle_execution_id"]
    bench.check("destroy")
    bench.check("up")
    assert bench.resource()["outputs"]["lifecycle_execution_id"] == last
    assert statuses(bench) == ["SUCCESS"] * 3
