"""The example pipelines' steps, with state in S3: one run at a time, the gate, and what a cancelled job leaves."""

from __future__ import annotations

import contextlib
import copy
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.workspace import ROOT, STACK, Workspace

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
BUCKET = "pulumi-state"
SIDES = {"dynamic": "pulumi_imagebuilder", "native": "pulumi_imagebuilder.native"}
PROGRAM = f"""
import pulumi
from MODULE import ResourceStateUpdate

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

    def __init__(self, emulator: Any, folder: Path, side: str) -> None:
        self.emulator = emulator
        emulator.client("s3").create_bucket(Bucket=BUCKET)
        program = folder / "program"
        program.mkdir()
        (program / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "test", "runtime": "python"}), encoding="utf-8")
        (program / "__main__.py").write_text(PROGRAM.replace("MODULE", SIDES[side]), encoding="utf-8")
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
def jobs(emulator: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Jobs:
    return Jobs(emulator, tmp_path, getattr(request, "param", "dynamic"))


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


def steps(job: str) -> list[str]:
    """The commands of the example workflow's job that run `pulumi`, for the stack of these tests."""
    workflow = yaml.safe_load((ROOT / "docs" / "pipelines" / "github-actions.yml").read_text(encoding="utf-8"))
    commands = [step.get("run", "") for step in workflow["jobs"][job]["steps"]]
    return [command.replace("production", STACK) for command in commands if "pulumi " in command]


def shell(job: Workspace, command: str) -> subprocess.Popen[str]:
    """Start a step as the runners do: a shell of its own that runs the command from a file."""
    script = job.folder / "step.sh"
    script.write_text(command + "\n", encoding="utf-8")
    return subprocess.Popen(
        ["bash", "-e", script],
        cwd=job.folder,
        env=job.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run_the_next_job(jobs: Jobs, execution: str) -> None:
    """Run all steps of the next job on another machine: it takes over the execution, and leaves nothing behind."""
    jobs.emulator.faults.clear()
    assert [step.split("pulumi ")[1].split()[0] for step in steps("up")] == ["cancel", "refresh", "up"]
    for step in steps("up"):
        code, told = ended(shell(jobs.second, step))
        assert code == 0, told
    assert jobs.objects("locks") == []
    assert jobs.executions() == [execution]
    assert jobs.first.outputs() == {"lifecycle_execution_id": execution}
    assert "pending" not in told


@pytest.mark.parametrize("jobs", SIDES, indirect=True)
def test_a_killed_job(jobs: Jobs, until: Callable[..., Any]) -> None:
    """It leaves a lock, a pending create and an execution: the next job removes the two and takes over the third."""
    jobs.emulator.faults.add(f"execution hang image={ARN}")
    with jobs.up(jobs.first) as killed:
        (execution,) = until(jobs.executions)
        os.killpg(killed.pid, signal.SIGKILL)
        assert ended(killed)[0] != 0
    assert len(jobs.objects("locks")) == 1
    (pending,) = jobs.first.state()["deployment"]["pending_operations"]
    assert pending["type"] == "creating"
    run_the_next_job(jobs, execution)


def cancel_on_github(jobs: Jobs, until: Callable[..., Any]) -> tuple[str, float, str]:
    """Start the last step and cancel the job as GitHub does; returns the execution, seconds until the end, and the log.

    Only the step's shell gets the first two signals; then all its processes are killed.
    """
    jobs.emulator.faults.add(f"execution hang image={ARN}")
    with shell(jobs.first, steps("up")[-1]) as step:
        (execution,) = until(jobs.executions)
        until(lambda: jobs.emulator.requests.all("ListLifecycleExecutionResources"))
        began = time.monotonic()
        for seconds, number in ((7.5, signal.SIGINT), (2.5, signal.SIGTERM)):
            step.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                step.wait(seconds)
                break
        else:
            os.killpg(step.pid, signal.SIGKILL)
        code, told = ended(step)
        assert code != 0
    return execution, time.monotonic() - began, told


@pytest.mark.parametrize("jobs", ["native"], indirect=True)
def test_a_job_cancelled_on_github(jobs: Jobs, until: Callable[..., Any]) -> None:
    """The first signal is enough for the native provider: no lock, no pending create, and the execution is recorded."""
    execution, seconds, told = cancel_on_github(jobs, until)
    assert f"the run was cancelled while lifecycle execution {execution}" in told
    assert seconds < 7.5
    assert jobs.objects("locks") == []
    assert not jobs.first.state()["deployment"].get("pending_operations")
    # Its first two steps have nothing to do, and do no harm.
    run_the_next_job(jobs, execution)


@pytest.mark.parametrize("jobs", ["dynamic"], indirect=True)
def test_a_job_cancelled_on_github_with_the_dynamic_provider(jobs: Jobs, until: Callable[..., Any]) -> None:
    """It does not end by the first signal; what it leaves behind, the next job's first two steps remove."""
    execution, seconds, _ = cancel_on_github(jobs, until)
    assert seconds > 7
    assert jobs.objects("locks") or jobs.first.state()["deployment"].get("pending_operations")
    run_the_next_job(jobs, execution)


@pytest.mark.parametrize("jobs", SIDES, indirect=True)
def test_a_job_cancelled_on_gitlab(jobs: Jobs, until: Callable[..., Any]) -> None:
    """SIGTERM to every process of the job ends it at once, without lock or pending create, with either provider."""
    jobs.emulator.faults.add(f"execution hang image={ARN}")
    with shell(jobs.first, steps("up")[-1]) as step:
        (execution,) = until(jobs.executions)
        for pid in jobs.first.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        step.wait(10)
        assert ended(step)[0] != 0
    assert jobs.objects("locks") == []
    assert not jobs.first.state()["deployment"].get("pending_operations")
    run_the_next_job(jobs, execution)


@pytest.mark.parametrize("jobs", SIDES, indirect=True)
def test_the_gate(jobs: Jobs) -> None:
    """The step of the pull request fails for an AMI in use, and passes when it is used no more."""
    shutil.copy(ROOT / "docs" / "pipelines" / "gate.py", jobs.first.folder)
    (_, gate) = steps("preview")
    ec2 = jobs.emulator.client("ec2")
    image = ec2.describe_images(Owners=["self"])["Images"][0]
    ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": image["ImageId"]})
    code, told = ended(shell(jobs.first, gate))
    assert code == 1, told
    assert "would disable 1 image" in told
    assert f"`pulumi up` would refuse this: {image['ImageId']}" in told
    assert "Traceback" not in told
    ec2.delete_launch_template(LaunchTemplateName="web")
    code, told = ended(shell(jobs.first, gate))
    assert code == 0, told
    assert "would disable 1 image" in told
    assert jobs.executions() == []
