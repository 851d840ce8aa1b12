"""Runs that are killed: the next `pulumi up` goes on with the execution that was started, and starts no second one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
PROGRAM = f"""
    from pulumi_imagebuilder import ResourceStateUpdate
    ResourceStateUpdate(
        "web",
        resource_arn="{ARN}",
        state="DISABLED",
        execution_role="ImageLifecycle",
        include_resources={{"amis": True}},
    )
"""


def until(what: Callable[[], Any], limit: float = 30) -> Any:
    """Wait until something is so; what it is."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it never came to be")


@pytest.mark.parametrize("ended", [False, True], ids=["while it runs", "after its end"])
def test_a_killed_run_is_taken_over(bench: Any, ended: bool) -> None:
    """SIGKILL of the engine and all it started while it waits; `pulumi cancel` frees the lock, `up` takes over."""
    bench.write(PROGRAM)
    run = bench.workspace.start("up", "--yes", "--skip-preview", "--non-interactive")
    with run:
        until(bench.executions)
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
    if ended:
        until(lambda: bench.executions()[0]["state"]["status"] == "SUCCESS")
    assert bench.workspace.run("cancel", "--yes", "--non-interactive").returncode == 0
    bench.well("up")
    (execution,) = bench.executions()
    assert bench.resource()["outputs"]["lifecycle_execution_id"] == execution["lifecycleExecutionId"]
    assert bench.resource()["outputs"]["status"] == "SUCCESS"


def test_destroy_and_up_again(bench: Any) -> None:
    """After `destroy` with `retain`, the same declaration adopts what still stands."""
    bench.write(PROGRAM)
    bench.well("up")
    first = bench.resource()["outputs"]["lifecycle_execution_id"]
    bench.well("destroy")
    bench.well("up")
    assert bench.resource()["outputs"]["lifecycle_execution_id"] == first
    assert len(bench.executions()) == 1


def test_drift_is_shown_and_put_right(bench: Any) -> None:
    """An image that somebody restores shows as changed on refresh, and the next `up` disables it again."""
    bench.write(PROGRAM)
    bench.well("up")
    bench.client("imagebuilder").start_resource_state_update(
        resourceArn=ARN,
        state={"status": "AVAILABLE"},
        executionRole="ImageLifecycle",
        includeResources={"amis": True},
    )
    until(lambda: bench.image_state() == "AVAILABLE")
    until(lambda: bench.executions()[0]["state"]["status"] == "SUCCESS")
    bench.well("refresh")
    bench.well("up")
    assert bench.image_state() == "DISABLED"
    assert len(bench.executions()) == 3
