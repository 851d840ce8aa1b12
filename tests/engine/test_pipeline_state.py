"""State in S3, as pipelines keep it: one run at a time, and what a cancelled job leaves is taken over by the next."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.workspace import ROOT, STACK, Workspace

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
BUCKET = "pulumi-state"
PROGRAM = f"""
import pulumi
from pulumi_imagebuilder import ResourceStateUpdate

update = ResourceStateUpdate(
    "web",
    resource_arn="{ARN}",
    state="DISABLED",
    execution_role="ImageLifecycle",
    include_resources={{"amis": True}},
)
pulumi.export("lifecycle_execution_id", update.lifecycle_execution_id)
"""


class Jobs:
    """Two jobs of a pipeline that share nothing but the bucket: each has a home of its own, as on two machines."""

    def __init__(self, emulator: Any, folder: Path) -> None:
        self.emulator = emulator
        emulator.client("s3").create_bucket(Bucket=BUCKET)
        program = folder / "program"
        program.mkdir()
        (program / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "test", "runtime": "python"}), encoding="utf-8")
        (program / "__main__.py").write_text(PROGRAM, encoding="utf-8")
        host = emulator.url.removeprefix("http://")
        backend = f"s3://{BUCKET}?endpoint={host}&disableSSL=true&s3ForcePathStyle=true&region=us-east-1"
        self.first = Workspace(program, folder, emulator.url, {}, backend=backend)
        self.second = copy.copy(self.first)
        self.second.environment = {**self.first.environment, "PULUMI_HOME": str(folder / "another home")}

    def up(self, job: Workspace) -> subprocess.Popen[str]:
        return job.start("up", "--yes", "--skip-preview", "--non-interactive", "--color", "never", "--stack", STACK)

    def objects(self, below: str) -> list[str]:
        """Names of the objects in the bucket below `.pulumi/`."""
        found = self.emulator.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f".pulumi/{below}/")
        return [each["Key"] for each in found.get("Contents", [])]

    def executions(self) -> list[str]:
        found = self.emulator.client("imagebuilder").list_lifecycle_executions(resourceArn=ARN)
        return [each["lifecycleExecutionId"] for each in found["lifecycleExecutions"]]


@pytest.fixture
def jobs(emulator: Any, tmp_path: Path) -> Jobs:
    return Jobs(emulator, tmp_path)


def ended(run: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = run.communicate(timeout=120)
    return run.returncode, out + err


def test_two_runs_at_once(jobs: Jobs, until: Callable[..., Any]) -> None:
    """The lock holds: the second run is turned away before it changes anything, and the first one's work is kept."""
    jobs.emulator.faults.add(f"execution hang image={ARN}")
    with jobs.up(jobs.first) as first:
        until(lambda: jobs.objects("locks") and jobs.executions())
        with jobs.up(jobs.second) as second:
            code, told = ended(second)
        jobs.emulator.faults.clear()
        assert code != 0
        assert "the stack is currently locked by 1 lock(s)" in told
        code, told = ended(first)
    assert code == 0, told
    assert jobs.objects("locks") == []

    again = jobs.second.run(
        "up", "--yes", "--skip-preview", "--non-interactive", "--expect-no-changes", "--stack", STACK
    )
    assert again.returncode == 0, again.stdout + again.stderr
    (execution,) = jobs.executions()
    assert jobs.first.outputs() == {"lifecycle_execution_id": execution}


def test_two_runs_at_the_same_moment(jobs: Jobs) -> None:
    """Whichever of them gets the lock, if any does: there is one execution in the end, and the state knows it."""
    with jobs.up(jobs.first) as first, jobs.up(jobs.second) as second:
        for code, told in (ended(first), ended(second)):
            assert code == 0 or "the stack is currently locked by" in told
    assert len(jobs.executions()) <= 1
    code, told = ended(jobs.up(jobs.second))
    assert code == 0, told
    (execution,) = jobs.executions()
    assert jobs.first.outputs() == {"lifecycle_execution_id": execution}


def test_a_cancelled_job(jobs: Jobs, until: Callable[..., Any]) -> None:
    """It leaves its lock and an execution; the steps of the example pipeline free the one and take over the other."""
    jobs.emulator.faults.add(f"execution hang image={ARN}")
    with jobs.up(jobs.first) as killed:
        (execution,) = until(jobs.executions)
        os.killpg(killed.pid, signal.SIGKILL)
        assert ended(killed)[0] != 0
    assert len(jobs.objects("locks")) == 1
    jobs.emulator.faults.clear()

    workflow = yaml.safe_load((ROOT / "docs" / "pipelines" / "github-actions.yml").read_text(encoding="utf-8"))
    steps = [
        step["run"].split() for step in workflow["jobs"]["up"]["steps"] if step.get("run", "").startswith("pulumi")
    ]
    assert [step[1] for step in steps] == ["cancel", "refresh", "up"]
    for _, *step in steps:
        done = jobs.second.run(*(STACK if word == "production" else word for word in step))
        assert done.returncode == 0, done.stdout + done.stderr
    assert jobs.objects("locks") == []
    assert jobs.executions() == [execution]
    assert jobs.first.outputs() == {"lifecycle_execution_id": execution}
    assert "pending" not in done.stdout + done.stderr
