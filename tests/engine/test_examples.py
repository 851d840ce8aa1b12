"""Each example runs: preview, up, up again, refresh, an edit, destroy."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tools.workspace import ROOT

FOLDER = ROOT / "examples"
ACCOUNT = "arn:aws:imagebuilder:us-east-1:123456789012:image"
WEB = f"{ACCOUNT}/web/1.0.0/1"
ROLE = "ImageLifecycle"
ROLE_ARN = f"arn:aws:iam::123456789012:role/{ROLE}"


@dataclass(frozen=True)
class Example:
    """What an example is run with, and what there is to be seen.

    Attributes:
        settings: the stack's configuration, without the project's name.
        edit: the settings that are changed.
        created: what is so once it is up; told of the bench.
        edited: what is so after the edit.
        destroyed: what is so after destroy.
        previewed: what is so after the preview, and is done before it is brought up.
    """

    settings: Mapping[str, Any]
    edit: Mapping[str, Any]
    created: Callable[[Any], None]
    edited: Callable[[Any], None]
    destroyed: Callable[[Any], None]
    previewed: Callable[[Any], None] = lambda bench: None


def image_states(bench: Any) -> dict[str, str]:
    """The images there are, by version and build, and their states."""
    found = bench.client("imagebuilder").list_image_build_versions()["imageSummaryList"]
    return {each["version"]: each["state"]["status"] for each in found}


def amis(bench: Any) -> dict[str, list[str]]:
    """The AMIs of all regions by the version and build of their image: their states."""
    found: dict[str, list[str]] = {}
    for region in ("us-east-1", "us-west-2", "eu-west-1"):
        for ami in bench.client("ec2", region).describe_images(Owners=["self"], IncludeDisabled=True)["Images"]:
            _, version, build = ami["Name"].split("-")
            state = "deprecated" if ami.get("DeprecationTime") else ami["State"]
            found.setdefault(f"{version}/{build}", []).append(state)
    return found


def containers(bench: Any) -> list[str]:
    """The tags in the repositories of both regions."""
    return [
        image["imageTag"]
        for region in ("us-east-1", "eu-west-1")
        for image in bench.client("ecr", region).list_images(repositoryName="app")["imageIds"]
    ]


def execution_states(bench: Any, arn: str = WEB) -> list[str]:
    """The statuses of an image's executions, newest first."""
    return [each["state"]["status"] for each in bench.executions(arn)]


def quickstart_created(bench: Any) -> None:
    outputs = bench.workspace.outputs()
    assert outputs["status"] == "SUCCESS"
    assert [each["lifecycleExecutionId"] for each in bench.executions()] == [outputs["lifecycle_execution_id"]]
    assert [ami.partition(" in ")[2] for ami in outputs["amis"]] == ["eu-west-1", "us-east-1", "us-west-2"]
    quickstart_stays(bench)


def quickstart_stays(bench: Any) -> None:
    assert image_states(bench) == {"1.0.0/1": "DEPRECATED"}
    assert amis(bench) == {"1.0.0/1": ["deprecated"] * 3}
    assert len(bench.executions()) == 1


def schedule_created(bench: Any) -> None:
    assert bench.workspace.outputs() == {"status": "IN_PROGRESS", "deprecation_time": "2099-01-31T00:00:00Z"}
    assert image_states(bench) == {"1.0.0/1": "AVAILABLE"}
    assert amis(bench) == {"1.0.0/1": ["deprecated"] * 2}


def schedule_edited(bench: Any) -> None:
    assert bench.workspace.outputs() == {"status": "IN_PROGRESS", "deprecation_time": "2098-01-31T00:00:00Z"}
    assert execution_states(bench) == ["IN_PROGRESS", "CANCELLED"]


def schedule_destroyed(bench: Any) -> None:
    assert image_states(bench) == {"1.0.0/1": "AVAILABLE"}
    assert execution_states(bench) == ["CANCELLED", "CANCELLED"]


def restore_created(bench: Any) -> None:
    assert image_states(bench) == {"1.0.0/1": "DISABLED", "1.1.0/1": "AVAILABLE"}
    assert amis(bench) == {"1.0.0/1": ["disabled"], "1.1.0/1": ["available"]}


def restore_edited(bench: Any) -> None:
    assert image_states(bench) == {"1.0.0/1": "AVAILABLE", "1.1.0/1": "DISABLED"}
    assert amis(bench) == {"1.0.0/1": ["available"], "1.1.0/1": ["disabled"]}


def restore_destroyed(bench: Any) -> None:
    assert image_states(bench) == {"1.0.0/1": "AVAILABLE", "1.1.0/1": "AVAILABLE"}
    assert amis(bench) == {"1.0.0/1": ["available"], "1.1.0/1": ["available"]}


def cleanup_created(bench: Any) -> None:
    assert image_states(bench) == {"1.0.0/1": "AVAILABLE", "1.0.0/2": "AVAILABLE"}
    assert bench.asked("StartResourceStateUpdate") == 0


def cleanup_edited(bench: Any) -> None:
    assert image_states(bench) == {"1.0.0/2": "AVAILABLE"}
    assert amis(bench) == {"1.0.0/2": ["available"] * 2}


def cleanup_destroyed(bench: Any) -> None:
    # The AMI with the tag is kept, and so is the record.
    assert image_states(bench) == {"1.0.0/2": "AVAILABLE"}
    assert amis(bench) == {"1.0.0/2": ["available"]}


def containers_created(bench: Any) -> None:
    uris = [f"123456789012.dkr.ecr.{region}.amazonaws.com/app:1" for region in ("eu-west-1", "us-east-1")]
    assert bench.workspace.outputs() == {"deleted": uris}
    assert image_states(bench) == {"1.0.0/2": "AVAILABLE", "1.0.0/3": "AVAILABLE"}
    assert containers(bench) == ["2", "3"] * 2


def containers_edited(bench: Any) -> None:
    assert image_states(bench) == {"1.0.0/3": "AVAILABLE"}
    assert containers(bench) == ["3"] * 2


def containers_destroyed(bench: Any) -> None:
    assert image_states(bench) == {}
    assert containers(bench) == []


def aws_created(bench: Any) -> None:
    assert image_states(bench) == {"1.0.0/1": "AVAILABLE"}
    assert execution_states(bench) == ["IN_PROGRESS"]
    bench.emulator.requests.clear()


def aws_edited(bench: Any) -> None:
    """The next image is there before the one before is cleaned up, and that has ended before its record is deleted."""
    assert bench.changes() == bench.documented_changes("replaced")
    assert image_states(bench) == {"1.1.0/1": "AVAILABLE"}
    assert amis(bench) == {"1.1.0/1": ["deprecated"]}
    bench.emulator.requests.clear()


def aws_destroyed(bench: Any) -> None:
    """The clean-up has ended before the policy, the role and the image's record are taken away."""
    changes = bench.changes()
    last = [each.partition(" ")[0] for each in changes[-3:]]
    assert last[2] == "DeleteRole"
    if last[0] == "DetachRolePolicy":  # Neither needs the other: they go side by side.
        changes[-3], changes[-2] = changes[-2], changes[-3]
    assert changes == bench.documented_changes("destroyed")
    assert image_states(bench) == amis(bench) == {}
    assert bench.client("iam").list_roles()["Roles"] == []


BUILDS = ["1.0.0/1", "1.0.0/2", "1.0.0/3", "1.1.0/1", "1.1.0/2", "1.1.0/3", "1.1.0/4", "1.1.0/5"]


def retention_created(bench: Any) -> None:
    states = ["DISABLED"] * 2 + ["DEPRECATED"] * 3 + ["AVAILABLE"] * 3
    assert image_states(bench) == dict(zip(BUILDS, states, strict=True))
    assert bench.asked("StartResourceStateUpdate") == 5


def retention_edited(bench: Any) -> None:
    states = ["DISABLED"] * 3 + ["DEPRECATED"] * 3 + ["AVAILABLE"] * 2
    assert image_states(bench) == dict(zip(BUILDS, states, strict=True))
    assert bench.asked("StartResourceStateUpdate") == 5 + 2


def weekly_states(bench: Any) -> dict[str, list[int]]:
    """The numbers of the builds by state."""
    found: dict[str, list[int]] = {}
    pages = bench.client("imagebuilder").list_image_build_versions(maxResults=100)
    for each in pages["imageSummaryList"]:
        found.setdefault(each["state"]["status"], []).append(int(each["version"].partition("/")[2]))
    return {state: sorted(builds) for state, builds in found.items()}


def weekly_created(bench: Any) -> None:
    assert weekly_states(bench) == {"DEPRECATED": [*range(1, 49)], "AVAILABLE": [*range(49, 53)]}


def weekly_edited(bench: Any) -> None:
    assert weekly_states(bench) == {"DEPRECATED": [*range(1, 51)], "AVAILABLE": [51, 52]}


USES = "launch template web (version 1, $Default, $Latest) and Auto Scaling group web (launch template web, version 1)"


def refused_previewed(bench: Any) -> None:
    """The same `up` is refused, and carries out once the template has moved on."""
    (ami,) = bench.client("ec2", "eu-west-1").describe_images(Owners=["self"])["Images"]
    for command, returncode, says in (("preview", 0, "warning: `pulumi up` would refuse this: "), ("up", 1, "")):
        done = bench.run(command)
        assert done.returncode == returncode, done.stdout + done.stderr
        assert f"{says}{ami['ImageId']} (eu-west-1) is used by {USES}; move these to another image" in done.stdout
    assert bench.asked("StartResourceStateUpdate") == 0
    move_template_on(bench, "eu-west-1")


def move_template_on(bench: Any, region: str, image_id: str = "ami-11111111111111111") -> None:
    """Let the launch template take another AMI."""
    client = bench.client("ec2", region)
    version = client.create_launch_template_version(LaunchTemplateName="web", LaunchTemplateData={"ImageId": image_id})
    number = str(version["LaunchTemplateVersion"]["VersionNumber"])
    client.modify_launch_template(LaunchTemplateName="web", DefaultVersion=number)


def refused_created(bench: Any) -> None:
    assert image_states(bench) == amis(bench) == {}
    assert execution_states(bench) == ["SUCCESS"]


EXAMPLES = {
    "refused": Example(
        settings={"imageArn": WEB, "executionRole": ROLE},
        edit={"executionRole": ROLE_ARN},  # This changes nothing in AWS.
        previewed=refused_previewed,
        created=refused_created,
        edited=refused_created,
        destroyed=refused_created,
    ),
    "weekly-builds": Example(
        settings={"image": "web", "keep": 4, "executionRole": ROLE},
        edit={"keep": 2},
        created=weekly_created,
        edited=weekly_edited,
        destroyed=weekly_edited,
    ),
    "retention": Example(
        settings={"image": "web", "keep": 3, "executionRole": ROLE},
        edit={"keep": 2},
        created=retention_created,
        edited=retention_edited,
        destroyed=retention_edited,
    ),
    "quickstart": Example(
        settings={"imageArn": WEB, "executionRole": ROLE},
        edit={"executionRole": ROLE_ARN},  # This changes nothing in AWS: it only updates the record.
        created=quickstart_created,
        edited=quickstart_stays,
        destroyed=quickstart_stays,
    ),
    "scheduled-deprecation": Example(
        settings={"imageArn": WEB, "executionRole": ROLE, "updateAt": "2099-01-31T00:00:00Z"},
        edit={"updateAt": "2098-01-31T00:00:00Z"},
        created=schedule_created,
        edited=schedule_edited,
        destroyed=schedule_destroyed,
    ),
    "restore": Example(
        settings={
            "image": f"{ACCOUNT}/web",
            "versions": ["1.0.0/1", "1.1.0/1"],
            "current": "1.1.0/1",
            "executionRole": ROLE,
        },
        edit={"current": "1.0.0/1"},
        created=restore_created,
        edited=restore_edited,
        destroyed=restore_destroyed,
    ),
    "cleanup": Example(
        settings={"imageArn": WEB, "executionRole": ROLE},
        edit={"imageArn": f"{ACCOUNT}/web/1.0.0/2"},
        created=cleanup_created,
        edited=cleanup_edited,
        destroyed=cleanup_destroyed,
    ),
    "containers": Example(
        settings={
            "retired": f"{ACCOUNT}/app/1.0.0/1",
            "current": f"{ACCOUNT}/app/1.0.0/3",
            "executionRole": ROLE,
        },
        edit={"retired": f"{ACCOUNT}/app/1.0.0/2"},
        created=containers_created,
        edited=containers_edited,
        destroyed=containers_destroyed,
    ),
    "pulumi-aws": Example(
        settings={"version": "1.0.0", "deprecateAt": "2099-01-31T00:00:00Z", "instanceProfile": "builder"},
        edit={"version": "1.1.0"},
        created=aws_created,
        edited=aws_edited,
        destroyed=aws_destroyed,
    ),
}


@pytest.mark.parametrize("name", sorted(path.parent.name for path in FOLDER.glob("*/__main__.py")))
def test_an_example_runs(name: str, example: Any) -> None:
    """It previews, changes the images, finds nothing to do, refreshes without drift, takes an edit, and goes."""
    about = EXAMPLES[name]
    bench = example(name, about.settings)

    assert re.search(r"\+ \d+ to create", bench.check("preview"))
    assert bench.asked("StartResourceStateUpdate") == 0
    about.previewed(bench)
    bench.check("up")
    about.created(bench)
    bench.check("up", "--expect-no-changes")
    bench.check("refresh", "--expect-no-changes")
    bench.configure({**about.settings, **about.edit})
    bench.check("up")
    about.edited(bench)
    bench.check("destroy")
    about.destroyed(bench)


def build_weekly(bench: Any, weeks: int) -> None:
    """Let weeks pass, each with a build that the launch template moves on to."""
    for _ in range(weeks):
        bench.emulator.clock.advance(datetime.timedelta(days=7))
        made = bench.client("imagebuilder").create_image(
            imageRecipeArn=f"{ACCOUNT.removesuffix(':image')}:image-recipe/web/1.0.0",
            infrastructureConfigurationArn=f"{ACCOUNT.removesuffix(':image')}:infrastructure-configuration/web",
        )
        bench.emulator.clock.advance(datetime.timedelta(hours=1))
        image = bench.client("imagebuilder").get_image(imageBuildVersionArn=made["imageBuildVersionArn"])["image"]
        (ami,) = image["outputResources"]["amis"]
        move_template_on(bench, "us-east-1", ami["image"])


def test_weekly_builds_move_down_the_ladder(example: Any) -> None:
    """Half a year: what nothing uses is disabled and then deleted; what was forgotten stays until it has moved on."""
    bench = example("weekly-builds", EXAMPLES["weekly-builds"].settings)
    forgotten = [3, 10, 20]
    bench.check("up")
    build_weekly(bench, 13)
    bench.check("up")
    disabled = [build for build in range(1, 49) if build not in forgotten]
    assert weekly_states(bench) == {
        "DISABLED": disabled,
        # The newest five builds are younger than 30 days.
        "DEPRECATED": [*forgotten, *range(49, 61)],
        "AVAILABLE": [*range(61, 66)],
    }
    bench.client("ssm").delete_parameter(Name="/golden/report")
    build_weekly(bench, 13)
    bench.check("up")
    assert weekly_states(bench) == {
        "DISABLED": [20, *range(49, 61)],
        "DEPRECATED": [3, 10, *range(61, 74)],
        "AVAILABLE": [*range(74, 79)],
    }
    (group,) = bench.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert group["LaunchConfigurationName"] == "batch"


def test_the_quickstart_without_its_settings(example: Any) -> None:
    """One line names the settings that are missing, before the program is run."""
    bench = example("quickstart", {})
    done = bench.run("up")
    assert done.returncode != 0
    assert done.stdout + done.stderr == (
        "error: validating stack config: Stack 'local' is missing configuration values 'executionRole' and 'imageArn'\n"
    )
    assert bench.image_state() == "AVAILABLE"
