"""Uses that people describe in public issues of Pulumi, Terraform, CDK and Image Builder, tried with our resources.

Each test names the issue or pull request that it is taken from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator

STEM = "arn:aws:imagebuilder:us-east-1:123456789012:image"
HEAD = f"""
import pulumi
from pulumi import ResourceOptions
from pulumi_imagebuilder import *

def image(name, version="1.0.0", build=1):
    return f"{STEM}/{{name}}/{{version}}/{{build}}"

amis = {{"execution_role": "ImageLifecycle", "include_resources": {{"amis": True}}}}
"""


def arn(name: str, version: str = "1.0.0", build: int = 1) -> str:
    return f"{STEM}/{name}/{version}/{build}"


def build(name: str, number: int, date: str, version: str = "1.0.0", **more: Any) -> dict[str, Any]:
    return {"arn": arn(name, version, number), "date_created": f"{date}T00:00:00Z", "amis": [{}], **more}


SEED = {
    "roles": ["ImageLifecycle"],
    "images": [
        build("runner", 1, "2026-01-01"),
        build("runner", 2, "2026-02-01", amis=[{"used_by": {"launch_templates": ["runner"]}}]),
        *(build("serial", number, f"2026-0{number}-01") for number in range(1, 7)),
        build("serial", 7, "2026-07-01", state="FAILED"),
        *(build("versions", 1, f"2026-0{number}-01", version=f"{number}.0.0") for number in range(1, 5)),
        build("ladder", 1, "2020-01-01"),
        build("ladder", 2, "2020-02-01"),
        build("single", 1, "2026-01-01"),
        build("other", 1, "2026-01-01"),
        build("kept", 1, "2026-01-01"),
    ],
}


@pytest.fixture
def emulator() -> Any:
    with Emulator(SEED, execution_time="1s") as running:
        yield running


def states(bench: Any, name: str, builds: int, version: str = "1.0.0") -> list[str]:
    """The states of the builds of an image version, oldest first."""
    return [bench.image_state(arn(name, version, number)) for number in range(1, builds + 1)]


def test_a_rollback_does_not_delete_what_a_template_launches(bench: Any) -> None:
    """CloudSnorkel/cdk-github-runners#992: a rollback made the clean-up of the new build delete its AMI in use.

    The clean-up follows the newest build; rolled back, it is to delete the newer one, which the launch template's
    default version names already. It waits, and fails within its time limit, with one line; nothing is deleted.
    """
    program = """
ImageCleanup("runner", resource_arn=image("runner", build={build}), execution_role="ImageLifecycle",
             opts=ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(delete="6s")))
"""
    bench.write(HEAD + program.format(build=2))
    bench.check("up")
    bench.write(HEAD + program.format(build=1))
    done = bench.run("up")
    assert done.returncode != 0
    assert "is used by launch template runner (version 1, $Default, $Latest)" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert bench.asked("StartResourceStateUpdate") == 0
    assert states(bench, "runner", 2) == ["AVAILABLE", "AVAILABLE"]


def test_the_last_serials_are_kept(bench: Any) -> None:
    """canonical/ubuntu-cloud-docs#253: a new build deprecates all earlier serials but the last three.

    A failed build takes no place among the three, and does not make the run fail.
    """
    program = """
old = get_image_build_versions("serial", skip_newest=3)
FleetStateUpdate("old", resource_arns=[build.arn for build in old], state="DEPRECATED", **amis)
pulumi.export("old", [build.build for build in old])
"""
    bench.write(HEAD + program)
    bench.check("up")
    assert states(bench, "serial", 7) == [*["DEPRECATED"] * 3, *["AVAILABLE"] * 3, "FAILED"]
    bench.check("preview", "--expect-no-changes")


def test_two_builds_of_any_version_are_kept(bench: Any) -> None:
    """CloudSnorkel/cdk-github-runners#991: policies count per recipe version; two builds of any version are kept."""
    program = """
old = get_image_build_versions("versions", skip_newest=2)
FleetStateUpdate("old", resource_arns=[build.arn for build in old], state="DELETED", execution_role="ImageLifecycle",
                 include_resources={"amis": True, "snapshots": True})
"""
    bench.write(HEAD + program)
    bench.check("up")
    images = bench.emulator.backend.images
    assert [arn("versions", f"{number}.0.0") in images for number in range(1, 5)] == [False, False, True, True]
    # The next night finds nothing more to delete, and says nothing of what is gone.
    bench.check("up")


def test_a_graduated_policy(bench: Any) -> None:
    """aws/aws-cdk#36152: deprecate, then disable, then delete as builds age; each image moves from fleet to fleet."""
    program = """
def aged(state, ages, **more):
    builds = [build.arn for build in get_image_build_versions("ladder") if build.build in ages]
    FleetStateUpdate(state.lower(), resource_arns=builds, state=state, **{{**amis, **more}})

aged("DEPRECATED", {deprecated})
aged("DISABLED", {disabled})
aged("DELETED", {deleted}, include_resources={{"amis": True, "snapshots": True}})
"""
    for deprecated, disabled, deleted in (((2,), (1,), ()), ((), (2,), (1,)), ((), (), (2,))):
        bench.write(HEAD + program.format(deprecated=deprecated, disabled=disabled, deleted=deleted))
        bench.check("up", "--refresh")
        for number, state in [*((n, "DEPRECATED") for n in deprecated), *((n, "DISABLED") for n in disabled)]:
            assert bench.image_state(arn("ladder", build=number)) == state
        for number in deleted:
            assert arn("ladder", build=number) not in bench.emulator.backend.images


def test_one_image_declared_in_two_states_is_warned_of(bench: Any) -> None:
    """aws/aws-cdk#36152 with ages that overlap: two rules hold for an old build, and each refresh finds the other."""
    bench.write(
        HEAD
        + """
ResourceStateUpdate("one", resource_arn=image("single"), state="DEPRECATED")
FleetStateUpdate("two", resource_arns=[image("single")], state="DISABLED")
"""
    )
    output = bench.check("preview")
    assert f"warning: image {arn('single')} is declared " in output


def test_resources_inside_an_apply(bench: Any) -> None:
    """pulumi/pulumi#16140: resources made in `apply` seem deleted in a preview; their images are left alone."""
    program = """
first = ResourceStateUpdate("first", resource_arn=image("single"), state="{state}", **amis)
def declare(_):
    ResourceStateUpdate("inner", resource_arn=image("other"), state="DISABLED", on_destroy="restore", **amis)
first.lifecycle_execution_id.apply(declare)
"""
    bench.write(HEAD + program.format(state="DISABLED"))
    bench.check("up")
    bench.write(HEAD + program.format(state="AVAILABLE"))
    starts = bench.asked("StartResourceStateUpdate")
    bench.check("preview")
    bench.check("up")
    assert (bench.image_state(arn("single")), bench.image_state(arn("other"))) == ("AVAILABLE", "DISABLED")
    assert bench.asked("StartResourceStateUpdate") == starts + 1


def test_resource_options_that_hold_back_a_change(bench: Any) -> None:
    """pulumi/pulumi#2277, #8746, #13428: ignore_changes, retain_on_delete and protect mean what they always mean."""
    program = """
ResourceStateUpdate("ignored", resource_arn=image("single"), state="{state}", **amis,
                    opts=ResourceOptions(ignore_changes=["state"]))
{rest}
"""
    rest = """
ImageCleanup("retained", resource_arn=image("kept"), execution_role="ImageLifecycle",
             opts=ResourceOptions(retain_on_delete=True))
ResourceStateUpdate("protected", resource_arn=image("other"), state="DISABLED", on_destroy="restore", **amis,
                    opts=ResourceOptions(protect=True))
"""
    bench.write(HEAD + program.format(state="DISABLED", rest=rest))
    bench.check("up")
    starts = bench.asked("StartResourceStateUpdate")
    without_retained = rest.partition("ResourceStateUpdate")[1] + rest.partition("ResourceStateUpdate")[2]
    bench.write(HEAD + program.format(state="AVAILABLE", rest=without_retained))
    bench.check("up")
    assert bench.image_state(arn("single")) == "DISABLED"
    assert bench.image_state(arn("kept")) == "AVAILABLE"
    assert bench.run("destroy").returncode != 0
    assert bench.image_state(arn("other")) == "DISABLED"
    assert bench.asked("StartResourceStateUpdate") == starts


def test_secret_inputs_stay_secret(bench: Any) -> None:
    """pulumi/pulumi#3012, #8265: secret inputs do not come out in plain text, nor break updates."""
    program = """
role = pulumi.Output.secret("ImageLifecycle")
token = pulumi.Output.secret("a-token-of-ours-{number}")
web = ResourceStateUpdate("web", resource_arn=image("single"), state="DISABLED", execution_role=role,
                          client_token=token, include_resources={{"amis": True}})
pulumi.export("status", web.status)
"""
    for number in (1, 2):
        bench.write(HEAD + program.format(number=number))
        bench.check("up")
    state = bench.workspace.environment["PULUMI_BACKEND_URL"].removeprefix("file://")
    written = "".join(path.read_text(encoding="utf-8") for path in Path(state).rglob("*.json") if path.is_file())
    assert "a-token-of-ours" not in written
    assert bench.workspace.outputs() == {"status": "SUCCESS"}


def test_stack_destroy_leaves_no_ami_behind(bench: Any) -> None:
    """aws/ec2-image-builder-roadmap#110, aws/aws-cdk#21431: AMIs go with the stack, also those of a failed build."""
    bench.write(
        HEAD
        + """
for number in (1, 2, 7):
    ImageCleanup(f"serial-{number}", resource_arn=image("serial", build=number), execution_role="ImageLifecycle")
"""
    )
    bench.check("up")
    assert bench.asked("StartResourceStateUpdate") == 0
    bench.check("destroy")
    images = bench.emulator.backend.images
    assert [number for number in range(1, 8) if arn("serial", build=number) in images] == [3, 4, 5, 6]
    left = {ami["ImageId"] for ami in bench.client("ec2").describe_images(Owners=["self"])["Images"]}
    assert len(left) == len([ami for image in images.values() for ami in image.amis])


def test_a_re_parented_resource_with_and_without_alias(bench: Any) -> None:
    """pulumi/pulumi#458, #837, #8589: moved under a parent and back; the change is never started again."""
    flat = 'ResourceStateUpdate("web", resource_arn=image("single"), state="DISABLED", on_destroy="restore", **amis)'
    nested = """
class Component(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("test:index:Component", name)
        ResourceStateUpdate("web", resource_arn=image("single"), state="DISABLED", on_destroy="restore", **amis,
                            opts=ResourceOptions(parent=self{alias}))
        self.register_outputs({{}})

Component("c")
"""
    aliased = ", aliases=[pulumi.Alias(parent=pulumi.ROOT_STACK_RESOURCE)]"
    for program in (flat, nested.format(alias=aliased), flat, nested.format(alias="")):
        bench.write(HEAD + program)
        bench.check("up")
        assert bench.image_state(arn("single")) == "DISABLED"
    assert bench.asked("StartResourceStateUpdate") == 1
