"""What the native provider can do and the dynamic one cannot: be cancelled, import, explicit providers, languages."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Any, cast

import pytest
import yaml
from imagebuilder_emulator import seed

STEM = "arn:aws:imagebuilder:us-east-1:123456789012:image/many/1.0.0"
WEB = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
ARGUMENTS = 'state="DISABLED", execution_role="ImageLifecycle", include_resources={"amis": True}'
START = "StartResourceStateUpdate"
UP = ("up", "--yes", "--skip-preview", "--non-interactive", "--color", "never", "--parallel", "64")
IMPORTED = ("--protect=false", "--generate-code=false")


@pytest.fixture
def side() -> str:
    return "native"


def load(bench: Any, count: int) -> list[str]:
    """Put images into the emulator; returns their ARNs."""
    arns = [f"{STEM}/{number}" for number in range(1, count + 1)]
    with bench.emulator.lock:
        images = [{"arn": arn, "amis": [{"region": "us-east-1"}]} for arn in arns]
        seed.load_seed({"images": images}, bench.emulator.backend)
    return arns


def declare_single(bench: Any, arns: Sequence[str]) -> None:
    bench.write(f"""
        from pulumi_imagebuilder import ResourceStateUpdate
        for number, arn in enumerate({list(arns)!r}):
            ResourceStateUpdate(f"image-{{number}}", resource_arn=arn, {ARGUMENTS})
    """)


def declare_fleet(bench: Any, arns: Sequence[str]) -> None:
    bench.write(f"""
        from pulumi_imagebuilder import FleetStateUpdate
        FleetStateUpdate("fleet", resource_arns={list(arns)!r}, {ARGUMENTS})
    """)


def interrupt(
    bench: Any, started: int, signals: Sequence[tuple[float, int]] = ((0, signal.SIGINT),)
) -> tuple[float, str]:
    """Run `up` until so many images were started, then send signals; returns seconds until its end, and its output.

    Args:
        bench: the stack.
        started: how many starts to wait for.
        signals: what to send after how many seconds without an end.
    """
    with bench.workspace.start(*UP) as run:
        bench.until(lambda: bench.asked(START) >= started and bench.asked("ListLifecycleExecutionResources"))
        began = time.monotonic()
        for delay, number in signals:
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.wait(delay)
            if run.poll() is None:
                os.kill(run.pid, number)
        out, err = run.communicate(timeout=120)
    assert run.returncode != 0
    return time.monotonic() - began, out + err


def statuses(bench: Any, arns: Sequence[str]) -> list[list[str]]:
    """How the executions of images stand."""
    return [[each["state"]["status"] for each in bench.executions(arn)] for arn in arns]


@pytest.mark.parametrize("count", [1, 6, 40])
def test_ctrl_c(bench: Any, count: int) -> None:
    """Ends the run, every execution recorded, without lock or pending create; the next `up` waits for the same ones."""
    arns = load(bench, count)
    bench.emulator.faults.add("execution hang image=*")
    declare_single(bench, arns)
    seconds, printed = interrupt(bench, count)
    print(f"Ctrl-C with {count} waiting: {seconds:.2f}s")
    assert "the run was cancelled while lifecycle execution" in printed
    assert "Traceback" not in printed

    deployment = bench.workspace.state()["deployment"]
    assert not deployment.get("pending_operations")
    recorded = {each["id"]: each for each in bench.resources()}
    for arn in arns:
        (execution,) = bench.executions(arn)
        assert recorded[arn]["outputs"]["lifecycle_execution_id"] == execution["lifecycleExecutionId"]
        assert len(recorded[arn]["initErrors"]) == 1

    bench.emulator.faults.clear()
    bench.check("up")
    assert statuses(bench, arns) == [["SUCCESS"]] * count
    assert "initErrors" not in json.dumps(bench.resources())
    bench.check("preview", "--expect-no-changes")


def test_ctrl_c_in_a_fleet(bench: Any) -> None:
    """Records what is done and what is under way; the next `up` continues with the rest."""
    arns = load(bench, 200)
    bench.emulator.faults.add(f"execution hang image={STEM}/7")
    declare_fleet(bench, arns)
    seconds, printed = interrupt(bench, 200)
    print(f"Ctrl-C in a fleet of 200: {seconds:.2f}s")
    assert "the run was cancelled with" in printed
    recorded = bench.resource()
    assert recorded["outputs"]["lifecycle_execution_ids"] == {
        arn: bench.executions(arn)[0]["lifecycleExecutionId"] for arn in arns
    }
    assert not bench.workspace.state()["deployment"].get("pending_operations")
    bench.emulator.faults.clear()
    bench.check("up")
    assert statuses(bench, arns) == [["SUCCESS"]] * 200
    bench.check("preview", "--expect-no-changes")


def test_a_cancelled_job(bench: Any) -> None:
    """SIGINT, SIGTERM after 7.5 s, SIGKILL after 2.5 s more, as in GitHub Actions: the first one is enough."""
    arns = load(bench, 3)
    bench.emulator.faults.add("execution hang image=*")
    declare_single(bench, arns)
    signals = ((0, signal.SIGINT), (7.5, signal.SIGTERM), (2.5, signal.SIGKILL))
    seconds, _ = interrupt(bench, 3, signals)
    assert seconds < 7.5
    # Neither `pulumi cancel` nor a refresh is needed.
    bench.emulator.faults.clear()
    bench.check("up")
    assert statuses(bench, arns) == [["SUCCESS"]] * 3


def test_a_cancelled_destroy(bench: Any) -> None:
    """Keeps the resource; the next destroy waits for the same execution."""
    bench.write(f"""
        from pulumi_imagebuilder import ImageCleanup
        ImageCleanup("web", resource_arn="{WEB}", execution_role="ImageLifecycle")
    """)
    bench.check("up")
    bench.emulator.faults.add("execution hang image=*")
    with bench.workspace.start("destroy", *UP[1:]) as run:
        bench.until(lambda: bench.asked("ListLifecycleExecutionResources"))
        os.kill(run.pid, signal.SIGINT)
        out, err = run.communicate(timeout=60)
    assert "it continues, and the same command continues to wait for it" in out + err
    assert bench.resource()["id"] == WEB
    bench.emulator.faults.clear()
    bench.check("destroy")
    assert statuses(bench, [WEB]) == [["SUCCESS"]]


def test_a_fleet_that_failed_in_part(bench: Any) -> None:
    """Its state holds what is done; `up` again starts the failed one alone."""
    arns = load(bench, 3)
    bench.emulator.faults.add(f"execution fail image={STEM}/2")
    declare_fleet(bench, arns)
    failed = bench.run("up")
    assert failed.returncode != 0
    assert "2 of 3 done, 1 failed" in failed.stdout
    outputs = bench.resource()["outputs"]
    assert {arn: each["status"] for arn, each in outputs["executions"].items()} == {
        arns[0]: "SUCCESS",
        arns[1]: "FAILED",
        arns[2]: "SUCCESS",
    }
    bench.emulator.faults.clear()
    bench.check("up")
    assert statuses(bench, arns) == [["SUCCESS"], ["SUCCESS", "FAILED"], ["SUCCESS"]]
    bench.check("preview", "--expect-no-changes")


def test_a_create_that_started_nothing(bench: Any) -> None:
    """Is not recorded: there is nothing to continue, and nothing to destroy."""
    bench.emulator.faults.add(f"{START} error=InvalidRequestException")
    declare_single(bench, [WEB])
    assert bench.run("up").returncode != 0
    assert bench.resources() == []


def import_image(bench: Any, number: int) -> subprocess.CompletedProcess[str]:
    arn = f"{STEM}/{number}"
    done = bench.run("import", "imagebuilder:index:ResourceStateUpdate", f"image-{number}", arn, *IMPORTED)
    return cast("subprocess.CompletedProcess[str]", done)


def test_import(bench: Any) -> None:
    """An image is imported as what it is; the program that declares the same changes nothing."""
    states = ("AVAILABLE", "DEPRECATED", "DISABLED")
    images = [{"arn": f"{STEM}/{number}", "state": state} for number, state in enumerate(states, 1)]
    with bench.emulator.lock:
        seed.load_seed({"images": images}, bench.emulator.backend)
    bench.write("")
    for number, _ in enumerate(states, 1):
        imported = import_image(bench, number)
        assert imported.returncode == 0, imported.stdout + imported.stderr
    recorded = [(each["inputs"]["resource_arn"], each["inputs"]["state"]) for each in bench.resources()]
    assert recorded == [(each["arn"], each["state"]) for each in images]
    bench.write(f"""
        from pulumi_imagebuilder import ResourceStateUpdate
        for number, state in enumerate({states!r}, 1):
            ResourceStateUpdate(f"image-{{number}}", resource_arn=f"{STEM}/{{number}}", state=state)
    """)
    bench.check("up", "--expect-no-changes")
    assert bench.asked(START) == 0


def test_import_refused(bench: Any) -> None:
    """An image that cannot be declared as it is, and one that is gone, are not imported: one line says why."""
    reasons = {
        "BUILDING": "import it once it is AVAILABLE, DEPRECATED or DISABLED",
        "CANCELLED": "declare it with the state DELETED, the only one that it can be moved to",
    }
    images = [{"arn": f"{STEM}/{number}", "state": state} for number, state in enumerate([*reasons, "DELETED"], 1)]
    with bench.emulator.lock:
        seed.load_seed({"images": images}, bench.emulator.backend)
    bench.write("")

    def refusal(number: int) -> str:
        refused = import_image(bench, number)
        assert refused.returncode != 0
        (line,) = re.findall(rf"\(image-{number}\):\n    error: (.*)\n\n", refused.stdout)
        return str(line)

    for number, (state, next_step) in enumerate(reasons.items(), 1):
        image = f"{STEM}/{number}"
        assert refusal(number) == (
            f"importing image {image}: it is {state}, which is no state that can be declared; {next_step}"
        )
    gone = len(images)
    for reading in ("not-found", "state"):
        bench.emulator.variants.set({"deleted-image": reading})
        assert refusal(gone) == f"resource '{STEM}/{gone}' does not exist"
    assert bench.resources() == []


def test_two_providers(bench: Any) -> None:
    """Each resource's calls are made with the credentials of its own provider: here, one of them may not be called."""
    arns = load(bench, 2)
    bench.write(f"""
        import pulumi
        from pulumi_imagebuilder import Provider, ResourceStateUpdate
        role = "arn:aws:iam::123456789012:role/ImageLifecycle"
        own = Provider("own", access_key="AKIAOFTHESTACK000000", secret_key="hidden", assume_role={{"role_arn": role}})
        other = Provider("other", forbidden_account_ids=["123456789012"])
        ResourceStateUpdate("own", resource_arn="{arns[0]}", {ARGUMENTS}, opts=pulumi.ResourceOptions(provider=own))
        ResourceStateUpdate("other", resource_arn="{arns[1]}", {ARGUMENTS}, opts=pulumi.ResourceOptions(provider=other))
    """)
    refused = bench.run("up", "--continue-on-error")
    assert refused.returncode != 0
    assert "account 123456789012 is one of imagebuilder:forbiddenAccountIds" in refused.stdout
    assert statuses(bench, arns) == [["SUCCESS"], []]
    assert bench.emulator.requests.counts()["sts:AssumeRole"] == 1
    text = json.dumps(bench.workspace.state())
    assert "AKIAOFTHESTACK" not in text
    assert "hidden" not in text


def test_configuration_of_aws_alone(bench: Any) -> None:
    """Is not read, and one warning of the run says so, unless the provider is configured or given."""
    bench.workspace.configure({"aws:allowedAccountIds": '["111122223333"]', "aws:region": "eu-west-1"})
    declare = """
        import pulumi
        from pulumi_imagebuilder import Provider, ResourceStateUpdate, get_image_build_versions
        provider = Provider("own", region="us-east-1") if {given} else None
        for number, build in enumerate(get_image_build_versions("web", opts=pulumi.InvokeOptions(provider=provider))):
            ResourceStateUpdate(
                str(number), resource_arn=build.arn, state="DEPRECATED", opts=pulumi.ResourceOptions(provider=provider)
            )
    """
    bench.write(declare.format(given=False))
    printed = bench.check("up").partition("Diagnostics:")[2]
    assert re.findall("warning: the native .*", printed) == [
        "warning: the native provider does not read aws:allowedAccountIds, aws:region, and calls with boto3's own "
        "credentials and region; `pulumi config set imagebuilder:allowedAccountIds …`, as for every key of aws:* that "
        "is to hold here too, or give a Provider"
    ]
    bench.workspace.configure({"aws:profile": "images", "imagebuilder:region": "us-east-1"})
    assert "the native provider does not read" not in bench.check("preview")
    bench.workspace.configure({"aws:profile": "images"})
    bench.write(declare.format(given=True))
    assert "the native provider does not read" not in bench.check("preview")


def test_a_resource_that_moves_to_another_provider(bench: Any) -> None:
    """The process of the provider it leaves does not undo what the other one declares."""
    program = f"""
        import pulumi
        from pulumi_imagebuilder import Provider, ResourceStateUpdate
        provider = Provider("NAME", region="us-east-1")
        ResourceStateUpdate(
            "NAME", resource_arn="{WEB}", {ARGUMENTS}, on_destroy="restore",
            opts=pulumi.ResourceOptions(provider=provider),
        )
    """
    bench.write(program.replace("NAME", "one"))
    bench.check("up")
    bench.write(program.replace("NAME", "two"))
    assert "left unchanged, because the program still declares it" in bench.check("up")
    assert bench.image_state(WEB) == "DISABLED"


def test_a_stack_that_moves_from_the_dynamic_provider(bench: Any) -> None:
    """Touches no image: the native resource adopts, and the dynamic one leaves what is still declared."""
    program = f"""
        from pulumi_imagebuilder import ResourceStateUpdate
        ResourceStateUpdate("web", resource_arn="{WEB}", {ARGUMENTS}, on_destroy="restore")
    """
    bench.side = "dynamic"
    bench.write(program)
    bench.check("up")
    bench.side = "native"
    bench.write(program)
    printed = bench.check("up")
    assert "left unchanged, because the program still declares it" in printed
    assert bench.image_state(WEB) == "DISABLED"
    assert statuses(bench, [WEB]) == [["SUCCESS"]]
    assert bench.resource()["outputs"]["status"] == "SUCCESS"
    bench.side = "dynamic"
    bench.write(program)
    bench.check("up")
    assert statuses(bench, [WEB]) == [["SUCCESS"]]


def test_secrets(bench: Any) -> None:
    """What is declared as a secret is one in inputs and outputs, and no message shows it."""
    bench.write(f"""
        import pulumi
        from pulumi_imagebuilder import ResourceStateUpdate
        ResourceStateUpdate(
            "web", resource_arn="{WEB}", {ARGUMENTS}, client_token=pulumi.Output.secret("token-of-mine"),
            exclusion_rules={{"amis": {{"tag_map": {{"team": pulumi.Output.secret("hidden-team")}}}}}},
        )
    """)
    bench.check("up")
    text = json.dumps(bench.workspace.state())
    assert "token-of-mine" not in text
    assert "hidden-team" not in text
    assert bench.emulator.requests.all(START)[0].parameters["clientToken"] == "token-of-mine"
    bench.check("preview", "--expect-no-changes")


def test_a_diff_by_path(bench: Any) -> None:
    """Names what differs inside of an argument, and nothing else."""
    program = f"""
        from pulumi_imagebuilder import ResourceStateUpdate
        ResourceStateUpdate(
            "web", resource_arn="{WEB}", {ARGUMENTS},
            exclusion_rules={{"amis": {{"regions": ["eu-west-1"], "tag_map": {{"team": "web"}}}}}},
        )
    """
    bench.write(program)
    bench.check("up")
    bench.write(program.replace('"eu-west-1"', '"eu-west-1", "us-west-2"'))
    preview = json.loads(bench.workspace.run("preview", "--json").stdout)
    (step,) = [step for step in preview["steps"] if step["op"] == "update"]
    assert step["detailedDiff"] == {"exclusionRules.amis.regions[1]": {"kind": "add", "inputDiff": False}}


def test_a_yaml_program(bench: Any) -> None:
    """Declares, reads outputs and asks a function; a mistake is named as the program writes it."""
    project = {
        "name": "test",
        "runtime": "yaml",
        "variables": {
            "builds": {
                "fn::invoke": {
                    "function": "imagebuilder:getImageBuildVersions",
                    "arguments": {"image": "web"},
                    "return": "imageBuildVersions",
                }
            }
        },
        "resources": {
            "web": {
                "type": "imagebuilder:ResourceStateUpdate",
                "properties": {
                    "resourceArn": "${builds[0].arn}",
                    "state": "DISABLED",
                    "executionRole": "ImageLifecycle",
                    "includeResources": {"amis": True},
                },
            }
        },
        "outputs": {"status": "${web.status}", "regions": "${web.resources[0].region}"},
    }
    path = bench.workspace.folder / "Pulumi.yaml"
    path.write_text(yaml.safe_dump(project), encoding="utf-8")
    bench.check("up")
    assert bench.workspace.outputs()["status"] == "SUCCESS"
    assert bench.image_state(WEB) == "DISABLED"
    bench.check("preview", "--expect-no-changes")

    project["resources"]["web"]["properties"]["includeResources"] = {"snapshots": True}
    path.write_text(yaml.safe_dump(project), encoding="utf-8")
    refused = bench.run("preview")
    assert refused.returncode != 0
    assert "includeResources.snapshots" in refused.stdout
