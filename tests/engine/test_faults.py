"""Faults on the way to the service, executions that fail or do not end, and an image that is in use."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
PROGRAM = """
    import pulumi
    from pulumi_imagebuilder import ResourceStateUpdate
    ResourceStateUpdate("web", resource_arn="{arn}", {arguments})
"""
AMIS = 'execution_role="ImageLifecycle", include_resources={"amis": True}'
DISABLED = f'state="DISABLED", {AMIS}'
START = "StartResourceStateUpdate"
_OF_PULUMI = {"error: update failed", "error: Resource monitor has terminated, shutting down"}


def declare(bench: Any, arguments: str) -> None:
    bench.write(PROGRAM.format(arn=ARN, arguments=arguments))


def tokens(bench: Any) -> set[str]:
    return {request.parameters["clientToken"] for request in bench.emulator.requests.all(START)}


def failure(bench: Any, command: str = "up") -> str:
    """The one line that a failing command tells in its closing diagnostics."""
    done = bench.run(command)
    assert done.returncode != 0
    told = done.stdout + done.stderr
    assert "Traceback" not in told
    assert "local-secret-of-nobody" not in told
    # What the native provider records of a resource that failed is printed as a list.
    lines = [
        re.sub(r"^\* ", "error: ", line.strip())
        for line in told.partition("Diagnostics:")[2].splitlines()
        if line.strip() != "error: 1 error occurred:"
    ]
    (line,) = [line for line in lines if line.startswith("error: ") and line not in _OF_PULUMI]
    return str(line)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([f"{START} throttle first=4", "List* throttle first=3"], id="429"),
        pytest.param([f"{START} 500 nth=1,2", "GetLifecycleExecution 500 nth=1,2,3"], id="500"),
        pytest.param(["* 503 share=0.5 seed=3"], id="503"),
        pytest.param(["* drop-request share=0.5 seed=3"], id="connections dropped before the work"),
        pytest.param(["* drop-answer share=0.5 seed=3"], id="answers lost after the work"),
        pytest.param(["* throttle rate=2 burst=1"], id="a service that lets two calls a second through"),
        pytest.param(
            ["* throttle share=0.2 seed=1", "* 503 share=0.2 seed=2", "* drop-answer share=0.2 seed=3"], id="everything"
        ),
    ],
)
def test_what_passes_is_waited_out(bench: Any, faults: list[str]) -> None:
    """The run ends well, with one execution and one token."""
    bench.emulator.faults.add(*faults)
    declare(bench, DISABLED)
    bench.check("up")
    assert sum(fault.hits for fault in bench.emulator.faults.all().values()) > 0
    bench.emulator.faults.clear()
    (execution,) = bench.executions()
    outputs = bench.resource()["outputs"]
    assert (outputs["lifecycle_execution_id"], outputs["status"]) == (execution["lifecycleExecutionId"], "SUCCESS")
    assert len(tokens(bench)) == 1


@pytest.mark.parametrize(
    ("code", "says"),
    [
        pytest.param("InvalidRequestException", "", id="400"),
        pytest.param(
            "ForbiddenException",
            "; check the caller's policy, which needs imagebuilder:StartResourceStateUpdate and iam:PassRole on the "
            "execution role",
            id="403",
        ),
        pytest.param("ResourceNotFoundException", "", id="404"),
    ],
)
def test_what_does_not_pass_is_asked_once(bench: Any, code: str, says: str) -> None:
    """400, 403 and 404 are told at once: what was asked, the code, the request's id."""
    bench.emulator.faults.add(f"{START} error={code}")
    declare(bench, DISABLED)
    line = failure(bench)
    (request,) = bench.emulator.requests.all(START)
    assert line == (
        f"error: changing image {ARN} to DISABLED: {code}: {code} (fault set in the emulator: {START} error={code}) "
        f"(request id {request.request_id}){says}"
    )


def test_resources_that_fail_are_named(bench: Any) -> None:
    """With their region and reason; the next `up` starts a new execution."""
    bench.emulator.faults.add("execution fail region=eu-west-1 reason='You are not authorized'")
    declare(bench, DISABLED)
    line = failure(bench)
    (failed,) = bench.executions()
    (ami,) = bench.client("ec2", "eu-west-1").describe_images(Owners=["self"], IncludeDisabled=True)["Images"]
    assert line == (
        f"error: changing image {ARN} to DISABLED: lifecycle execution {failed['lifecycleExecutionId']} "
        f"ended as FAILED: 1 of 3 resources failed; failed: {ami['ImageId']} (eu-west-1): You are not authorized; "
        "fix the cause and run `pulumi up` again to start a new execution"
    )
    bench.emulator.faults.clear()
    bench.check("up")
    assert [each["state"]["status"] for each in bench.executions()] == ["SUCCESS", "FAILED"]
    assert len(tokens(bench)) == 2


def test_an_execution_that_somebody_cancels(bench: Any) -> None:
    """Fails the run with its id; the next `up` starts a new one."""
    bench.emulator.faults.add("execution hang image=*")
    declare(bench, DISABLED)
    run = bench.workspace.start("up", "--yes", "--skip-preview", "--non-interactive", "--color", "never")
    with run:
        execution_id = bench.until(bench.executions)[0]["lifecycleExecutionId"]
        bench.client("imagebuilder").cancel_lifecycle_execution(lifecycleExecutionId=execution_id)
        out, err = run.communicate(timeout=240)
    assert run.returncode != 0
    assert f"lifecycle execution {execution_id} ended as CANCELLED: " in out + err
    bench.emulator.faults.clear()
    bench.check("up")
    assert [each["state"]["status"] for each in bench.executions()] == ["SUCCESS", "CANCELLED"]


def test_time_limits_that_run_out(bench: Any) -> None:
    """Name the execution that continues, and the run that continues to wait for it: create, update and destroy."""
    limits = "opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create='6s', update='6s', delete='6s'))"
    asked = f"changing image {ARN} to"
    for arguments, command, said, continues in (
        (DISABLED, "up", f"{asked} DISABLED", "the next `pulumi up`"),
        (f'state="DEPRECATED", on_destroy="restore", {AMIS}', "up", f"{asked} DEPRECATED", "the next `pulumi up`"),
        (None, "destroy", f"restoring image {ARN}", "the same command"),
    ):
        bench.emulator.faults.add("execution hang image=*")
        if arguments:
            declare(bench, f"{arguments}, {limits}")
        line = failure(bench, command)
        unfinished = bench.executions()[0]["lifecycleExecutionId"]
        assert line == (
            f"error: {said}: the time limit of 6s ran out while lifecycle execution {unfinished} was IN_PROGRESS; "
            f"it continues, and {continues} continues to wait for it; or give it longer with custom_timeouts"
        )
        bench.emulator.faults.clear()
        bench.check(command)
        assert bench.executions()[0]["lifecycleExecutionId"] == unfinished
    assert [each["state"]["status"] for each in bench.executions()] == ["SUCCESS"] * 3
    assert bench.image_state() == "AVAILABLE"


def test_an_image_in_use_is_waited_for(bench: Any) -> None:
    """The row names the execution in the way; the change is started once that has ended."""
    bench.emulator.faults.add("execution hang image=*")
    other = bench.client("imagebuilder").start_resource_state_update(
        resourceArn=ARN,
        state={"status": "DEPRECATED"},
        executionRole="ImageLifecycle",
        includeResources={"amis": True},
    )["lifecycleExecutionId"]
    declare(bench, DISABLED)
    run = bench.workspace.start("up", "--yes", "--skip-preview", "--non-interactive", "--color", "never")
    with run:
        bench.until(lambda: bench.asked("ListLifecycleExecutionResources") >= 3)
        bench.emulator.faults.clear()
        out, err = run.communicate(timeout=240)
    assert run.returncode == 0, out + err
    assert other in out
    assert bench.image_state() == "DISABLED"
    assert [each["state"]["status"] for each in bench.executions()] == ["SUCCESS", "SUCCESS"]


def test_its_own_schedule_gives_way(bench: Any) -> None:
    """A changed declaration cancels the scheduled deprecation before it, and does not wait for its time."""
    at = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=30)).isoformat()
    declare(bench, f'state="DEPRECATED", update_at="{at}", {AMIS}')
    bench.check("up")
    declare(bench, DISABLED)
    bench.check("up")
    assert [each["state"]["status"] for each in bench.executions()] == ["SUCCESS", "CANCELLED"]
    assert bench.image_state() == "DISABLED"


def test_the_calls_of_one_change(bench: Any) -> None:
    """One start, polls by the interval, at most three others; an unchanged `preview` and `up` make none."""
    declare(bench, f'{DISABLED}, in_use="ignore"')
    bench.check("up")
    counts = bench.emulator.requests.counts()
    assert counts.pop(f"imagebuilder:{START}") == 1
    assert counts.pop("imagebuilder:ListLifecycleExecutionResources") <= 3
    assert sum(counts.values()) <= 3, counts
    bench.emulator.requests.clear()
    bench.check("preview", "--expect-no-changes")
    bench.check("up", "--expect-no-changes")
    assert bench.emulator.requests.counts() == {}


def test_progress_on_the_row(bench: Any) -> None:
    """Status, elapsed time and resources done, once a second at most; the last word is how it ended."""
    bench.emulator.faults.add("execution hang image=*")
    declare(bench, DISABLED)
    with bench.workspace.start("up", "--yes", "--skip-preview", "--non-interactive", "--color", "never") as run:
        bench.until(lambda: bench.asked("ListLifecycleExecutionResources") >= 4)
        bench.emulator.faults.clear()
        told, _ = run.communicate(timeout=240)
    rows = re.findall(r" creating .*(?:PENDING|IN_PROGRESS) (\d+)s", told)
    assert rows, told
    assert len(rows) == len(set(rows))
    assert re.search(r" created .* SUCCESS \d+s, 3 of 3 resources\n", told), told
