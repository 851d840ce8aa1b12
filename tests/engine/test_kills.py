"""Runs that are killed: the next `pulumi up` goes on with the execution that was started, and starts no second one.

The rows are those of the table in docs/life-of-a-state-update.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
PROGRAM = """
    from pulumi_imagebuilder import ResourceStateUpdate
    ResourceStateUpdate("web", resource_arn="{arn}", {arguments})
"""
AMIS = 'execution_role="ImageLifecycle", include_resources={"amis": True}'
PROVIDER = "pulumi.dynamic"
START = "StartResourceStateUpdate"
ANSWER_HELD_BACK = (f"{START} drop-answer nth=1", f"{START} stall=60s nth=2")
"""The first call did its work and was not answered; what asks again is not answered either."""

POINTS = {
    "before the first call": ("ListLifecycleExecutions", 1, ("ListLifecycleExecutions stall=60s",)),
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


def asked(bench: Any, operation: str, times: int) -> Callable[[], bool]:
    """Whether an operation has been called so many times since now."""
    before = bench.asked(operation)
    return lambda: bench.asked(operation) >= before + times


@pytest.mark.parametrize("victim", [None, PROVIDER], ids=["engine", "provider"])
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_create(bench: Any, point: str, victim: str | None) -> None:
    """SIGKILL at each point: the next `up` ends well, and there is one execution, with one token."""
    operation, times, faults = POINTS[point]
    declare(bench, f'state="DISABLED", {AMIS}')
    bench.emulator.faults.add(*faults)
    bench.killed(asked(bench, operation, times), only=victim)
    bench.emulator.faults.clear()
    bench.until(lambda: not [pid for pid in bench.processes() if PROVIDER in bench.command_line(pid)])
    bench.well("up")
    (execution,) = bench.executions()
    outputs = bench.resource()["outputs"]
    assert (outputs["lifecycle_execution_id"], outputs["status"]) == (execution["lifecycleExecutionId"], "SUCCESS")
    assert outputs["image_state"] == bench.image_state() == "DISABLED"
    assert len(tokens(bench)) == 1


@pytest.mark.parametrize("point", [point for point in POINTS if point != "before the first call"])
def test_a_killed_update(bench: Any, point: str) -> None:
    """The record still holds the change before; the next `up` ends well with one execution for each declaration."""
    declare(bench, f'state="DISABLED", {AMIS}')
    bench.well("up")
    (first,) = bench.executions()
    operation, times, faults = POINTS[point]
    declare(bench, f'state="AVAILABLE", {AMIS}')
    bench.emulator.faults.add(*faults)
    bench.killed(asked(bench, operation, times))
    bench.emulator.faults.clear()
    bench.well("up")
    second, before = bench.executions()
    assert before["lifecycleExecutionId"] == first["lifecycleExecutionId"]
    assert bench.resource()["outputs"]["lifecycle_execution_id"] == second["lifecycleExecutionId"]
    assert bench.image_state() == "AVAILABLE"
    assert len(tokens(bench)) == 2


def test_a_killed_immediate_change(bench: Any) -> None:
    """It has no execution to be found by: the token alone tells that it was carried out."""
    declare(bench, 'state="DEPRECATED"')
    bench.emulator.faults.add(*ANSWER_HELD_BACK)
    bench.killed(asked(bench, START, 2))
    bench.emulator.faults.clear()
    bench.well("up")
    assert bench.resource()["outputs"]["image_state"] == bench.image_state() == "DEPRECATED"
    assert len(tokens(bench)) == 1


def test_a_killed_schedule(bench: Any) -> None:
    """The scheduled execution is found again, and is not waited for."""
    declare(bench, f'state="DEPRECATED", update_at="2099-01-31T00:00:00Z", {AMIS}')
    bench.emulator.faults.add(*ANSWER_HELD_BACK)
    bench.killed(asked(bench, START, 2))
    bench.emulator.faults.clear()
    bench.well("up")
    (execution,) = bench.executions()
    outputs = bench.resource()["outputs"]
    assert (outputs["lifecycle_execution_id"], outputs["status"]) == (execution["lifecycleExecutionId"], "PENDING")


@pytest.mark.parametrize(
    ("on_destroy", "operation", "left", "executions"),
    [
        pytest.param("cancel", "CancelLifecycleExecution", "AVAILABLE", ["CANCELLED"], id="cancel"),
        pytest.param("restore", START, "AVAILABLE", ["SUCCESS", "CANCELLED"], id="restore"),
    ],
)
def test_a_killed_destroy(bench: Any, on_destroy: str, operation: str, left: str, executions: list[str]) -> None:
    """Killed once the call was made: the next `destroy` goes on, and does nothing twice."""
    declare(bench, f'state="DEPRECATED", update_at="2099-01-31T00:00:00Z", on_destroy="{on_destroy}", {AMIS}')
    bench.well("up")
    bench.emulator.faults.add(f"{operation} drop-answer nth=1", f"{operation} stall=60s nth=2")
    bench.killed(asked(bench, operation, 2), command="destroy")
    bench.emulator.faults.clear()
    bench.well("destroy")
    assert bench.image_state() == left
    assert [each["state"]["status"] for each in bench.executions()] == executions


def test_two_stacks_at_the_same_moment(make_bench: Callable[..., Any]) -> None:
    """Both declare the same change: one execution, and both have it in their state."""
    benches = [make_bench(name) for name in ("one", "other")]
    with contextlib.ExitStack() as runs:
        started = []
        for bench in benches:
            declare(bench, f'state="DISABLED", {AMIS}')
            run = bench.workspace.start("up", "--yes", "--skip-preview", "--non-interactive", "--color", "never")
            started.append(runs.enter_context(run))
        for run in started:
            out, err = run.communicate(timeout=120)
            assert run.returncode == 0, out + err
    (execution,) = benches[0].executions()
    for bench in benches:
        assert bench.resource()["outputs"]["lifecycle_execution_id"] == execution["lifecycleExecutionId"]
    assert len(tokens(benches[0])) == 1


def test_destroy_and_up_again(bench: Any) -> None:
    """After `destroy` with `retain`, the same declaration adopts what still stands."""
    declare(bench, f'state="DISABLED", {AMIS}')
    bench.well("up")
    first = bench.resource()["outputs"]["lifecycle_execution_id"]
    bench.well("destroy")
    bench.well("up")
    assert bench.resource()["outputs"]["lifecycle_execution_id"] == first
    assert len(bench.executions()) == 1


def test_drift_is_shown_and_put_right(bench: Any) -> None:
    """An image that somebody restores shows as changed on refresh, and the next `up` disables it again."""
    declare(bench, f'state="DISABLED", {AMIS}')
    bench.well("up")
    bench.client("imagebuilder").start_resource_state_update(
        resourceArn=ARN,
        state={"status": "AVAILABLE"},
        executionRole="ImageLifecycle",
        includeResources={"amis": True},
    )
    bench.until(lambda: bench.image_state() == "AVAILABLE")
    bench.until(lambda: bench.executions()[0]["state"]["status"] == "SUCCESS")
    bench.well("refresh")
    bench.well("up")
    assert bench.image_state() == "DISABLED"
    assert len(bench.executions()) == 3
