"""A `ResourceStateUpdate` under the real program."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from imagebuilder_emulator import seed

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
PROGRAM = """
    import pulumi
    from pulumi_imagebuilder import ResourceStateUpdate
    ResourceStateUpdate("web", {arguments})
"""
GOOD = (
    f"""resource_arn="{ARN}", state="DISABLED", execution_role="ImageLifecycle", include_resources={{"amis": True}}"""
)


def declare(bench: Any, arguments: str) -> None:
    bench.write(PROGRAM.format(arguments=arguments))


def fails(bench: Any, command: str = "up") -> str:
    """Run a command that must fail without a traceback; returns all it printed."""
    done = bench.run(command)
    assert done.returncode != 0
    told = str(done.stdout + done.stderr)
    assert "Traceback" not in told
    return told


def diagnostics(told: str, word: str) -> list[str]:
    """The lines of the closing diagnostics with this word."""
    return [line for line in told.partition("Diagnostics:")[2].splitlines() if word in line]


def test_the_whole_life(bench: Any) -> None:
    """Created, changed, changed back, refreshed and destroyed: each change is one execution, and its row tells it."""
    declare(bench, GOOD)
    told = bench.check("up")
    assert re.search(r"\b[A-Z_]+ \d+s\b", told)
    assert bench.image_state() == "DISABLED"
    for region in ("us-east-1", "us-west-2", "eu-west-1"):
        (ami,) = bench.client("ec2", region).describe_images(Owners=["self"], IncludeDisabled=True)["Images"]
        assert ami["State"] == "disabled"

    declare(bench, GOOD.replace("DISABLED", "AVAILABLE"))
    bench.check("up")
    assert bench.image_state() == "AVAILABLE"
    declare(bench, GOOD)
    bench.check("up")
    assert bench.image_state() == "DISABLED"
    assert len({each["lifecycleExecutionId"] for each in bench.executions()}) == 3

    bench.check("refresh", "--expect-no-changes")
    bench.check("destroy")
    assert bench.image_state() == "DISABLED"
    assert len(bench.executions()) == 3


def test_the_state_file(bench: Any) -> None:
    """Holds all outputs, the provider as a reference of a few dozen bytes and no secret, and no credential."""
    declare(bench, GOOD)
    bench.check("up")
    outputs = bench.resource()["outputs"]
    assert outputs["status"] == "SUCCESS"
    assert outputs["image_state"] == "DISABLED"
    assert {each["region"] for each in outputs["resources"]} == {"us-east-1", "us-west-2", "eu-west-1"}
    assert outputs["start_time"] <= outputs["end_time"]
    assert isinstance(outputs["__provider"], str)
    assert len(outputs["__provider"]) < 128
    text = json.dumps(bench.workspace.state())
    assert "AKIALOCAL" not in text
    assert "local-secret-of-nobody" not in text


def test_an_immediate_change(bench: Any) -> None:
    """Has no execution, and that is no error."""
    declare(bench, f'resource_arn="{ARN}", state="DEPRECATED"')
    bench.check("up")
    outputs = bench.resource()["outputs"]
    assert outputs["image_state"] == "DEPRECATED"
    assert outputs.get("lifecycle_execution_id") is None
    assert outputs.get("status") is None
    assert bench.executions() == []


def test_args_classes_and_outputs(bench: Any) -> None:
    """Args classes with outputs inside reach the service as dicts do: the excluded regions stay as they are."""
    bench.write(f"""
        import pulumi
        from pulumi_imagebuilder import (
            AmiExclusionRulesArgs, ExclusionRulesArgs, IncludeResourcesArgs, ResourceStateUpdate
        )
        ResourceStateUpdate(
            "web",
            resource_arn=pulumi.Output.from_input("{ARN}"),
            state=pulumi.Output.from_input("DISABLED"),
            execution_role=pulumi.Output.concat("Image", "Lifecycle"),
            include_resources=IncludeResourcesArgs(amis=pulumi.Output.from_input(True)),
            exclusion_rules=ExclusionRulesArgs(
                amis=AmiExclusionRulesArgs(regions=[pulumi.Output.from_input("eu-west-1"), "us-west-2"])
            ),
        )
    """)
    bench.check("up")
    states = {
        region: bench.client("ec2", region).describe_images(Owners=["self"], IncludeDisabled=True)["Images"][0]["State"]
        for region in ("us-east-1", "us-west-2", "eu-west-1")
    }
    assert states == {"us-east-1": "disabled", "us-west-2": "available", "eu-west-1": "available"}


@pytest.mark.parametrize("command", ["preview", "up"])
def test_an_unknown_state(bench: Any, command: str) -> None:
    """One line names the property, the value and what is allowed, in the preview already."""
    declare(bench, GOOD.replace("DISABLED", "RETIRED"))
    told = fails(bench, command)
    (line,) = diagnostics(told, "RETIRED")
    assert "property state value {RETIRED}" in line
    assert "AVAILABLE" in line
    assert bench.image_state() == "AVAILABLE"


def test_a_missing_arn(bench: Any) -> None:
    """One line names the property and shows what an ARN looks like."""
    declare(bench, GOOD.replace(f'"{ARN}"', "None"))
    (line,) = diagnostics(fails(bench), "property resource")
    assert 'such as "arn:aws:imagebuilder:' in line
    assert bench.image_state() == "AVAILABLE"


def test_an_image_that_does_not_exist(bench: Any) -> None:
    """One line names the image and the service's error code; nothing is in the state."""
    declare(bench, GOOD.replace("web/1.0.0/1", "web/9.9.9/1"))
    told = fails(bench)
    (line,) = diagnostics(told, "web/9.9.9/1")
    assert "ResourceNotFoundException" in line
    with pytest.raises(AssertionError):
        bench.resource()


def test_a_service_that_cannot_be_reached(bench: Any) -> None:
    """Tried until the time limit, then one line tells the endpoint and what went wrong."""
    bench.workspace.environment["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"
    limit = 'opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="3s"))'
    declare(bench, f"{GOOD}, {limit}")
    told = fails(bench)
    assert len(diagnostics(told, "http://127.0.0.1:9")) == 1
    assert bench.image_state() == "AVAILABLE"


def test_the_stacks_credentials(bench: Any) -> None:
    """Role after role, secrets among the settings, in the image's region; no secret is told or kept."""
    url = bench.workspace.environment.pop("AWS_ENDPOINT_URL")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        del bench.workspace.environment[name]
    roles = [{"roleArn": f"arn:aws:iam::123456789012:role/{name}", "externalId": "outside"} for name in ("one", "two")]
    settings = {
        "aws:region": "eu-west-1",
        "aws:accessKey": "AKIAOFTHESTACK",
        "aws:endpoints": [{"imagebuilder": url, "sts": url}],
        "aws:assumeRoles": roles,
    }
    bench.workspace.configure(settings)
    declare(bench, f'resource_arn="{ARN}", state="DEPRECATED"')
    (line,) = diagnostics(fails(bench), "aws:accessKey")
    assert line.strip() == (
        f"error: changing image {ARN} to DEPRECATED: aws:accessKey is set without aws:secretKey; set both or neither"
    )

    secret = ("config", "set", "--secret", "aws:secretKey", "the-secret-of-the-stack")
    assert bench.workspace.run(*secret).returncode == 0
    told = bench.check("up")
    assert bench.image_state() == "DEPRECATED"
    assert bench.emulator.requests.counts()["sts:AssumeRole"] == 2
    # Pulumi itself keeps the settings with the provider: plain ones plain, secret ones encrypted.
    texts = (told, json.dumps(bench.workspace.state()), json.dumps(bench.resource()))
    assert not [text for text in texts if "the-secret-of-the-stack" in text]
    assert "AKIAOFTHESTACK" not in texts[0] + texts[2]


def test_more_resources_than_are_kept(bench: Any) -> None:
    """The output holds a hundred, the row says so and how to read all; the state stays small."""
    many = ARN.replace("web", "many")
    with bench.emulator.lock:
        seed.load_seed({"images": [{"arn": many, "amis": [{"region": "us-east-1"}] * 120}]}, bench.emulator.backend)
    declare(bench, GOOD.replace(ARN, many))
    told = bench.check("up")
    (execution,) = bench.executions(many)
    assert (
        "the output `resources` holds only 100 of the 120 resources; all are listed by: "
        "aws imagebuilder list-lifecycle-execution-resources --region us-east-1 "
        f"--lifecycle-execution-id {execution['lifecycleExecutionId']} --parent-resource-id {many}\n"
    ) in told.partition("Diagnostics:")[2]
    outputs = bench.resource()["outputs"]
    assert len(outputs["resources"]) == 100
    assert len(json.dumps(outputs)) < 32 * 1024


def test_what_runs_again_and_what_does_not(bench: Any) -> None:
    """Role, `wait` and `on_destroy` only update the record; triggers run again; another image replaces."""
    other = ARN.replace("1.0.0/1", "1.0.0/2")
    with bench.emulator.lock:
        seed.load_seed({"images": [{"arn": other, "amis": [{"region": "eu-west-1"}]}]}, bench.emulator.backend)
    declare(bench, GOOD)
    bench.check("up")
    outputs = bench.resource()["outputs"]
    bench.check("refresh", "--expect-no-changes")
    assert bench.resource()["outputs"] == outputs
    bench.emulator.requests.clear()
    kept = (
        GOOD.replace('"ImageLifecycle"', '"arn:aws:iam::123456789012:role/ImageLifecycle"') + ', on_destroy="restore"'
    )
    declare(bench, f"{kept}, wait=False")
    assert "1 updated" in bench.check("up")
    assert bench.emulator.requests.counts() == {}

    declare(bench, f"{kept}, triggers=['patched']")
    assert "1 updated" in bench.check("up")
    assert [each["state"]["status"] for each in bench.executions()] == ["SUCCESS", "SUCCESS"]

    declare(bench, f"{kept}, triggers=['patched']".replace(ARN, other))
    assert "1 replaced" in bench.check("up")
    assert (bench.image_state(other), bench.image_state()) == ("DISABLED", "AVAILABLE")
    (ami,) = bench.client("ec2", "us-east-1").describe_images(Owners=["self"], IncludeDisabled=True)["Images"]
    assert ami["State"] == "available"
    assert (len(bench.executions(other)), len(bench.executions())) == (1, 3)
