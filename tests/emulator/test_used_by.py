"""``used_by`` in a seed: what it creates, as AWS's own operations and the console show it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from imagebuilder_emulator.console import overview
from imagebuilder_emulator.emulator import Emulator
from imagebuilder_emulator.seed import SeedError

WEB = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
LAUNCHED = "2026-05-01T00:00:00Z"


def seed(*used_by: Any, **ami: Any) -> dict[str, Any]:
    """A build for each ``used_by``, with one AMI."""
    images = [
        {"arn": f"{WEB[:-1]}{build}", "amis": [{"used_by": each, **ami}]} for build, each in enumerate(used_by, 1)
    ]
    return {"images": images}


def amis(emulator: Emulator) -> list[str]:
    """The AMIs, by build."""
    found = emulator.client("ec2").describe_images(Owners=["self"])["Images"]
    return [image["ImageId"] for image in sorted(found, key=lambda image: image["Name"])]


def versions(emulator: Emulator, name: str) -> list[tuple[int, str | None, bool]]:
    """Number, AMI and whether it is the default, of all versions of a template."""
    answer = emulator.client("ec2").describe_launch_template_versions(LaunchTemplateName=name)
    return [
        (each["VersionNumber"], each["LaunchTemplateData"].get("ImageId"), each["DefaultVersion"])
        for each in answer["LaunchTemplateVersions"]
    ]


def groups(emulator: Emulator) -> dict[str, dict[str, Any]]:
    found = emulator.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    return {group["AutoScalingGroupName"]: group for group in found}


def test_the_short_form() -> None:
    """A number of instances, and names."""
    used_by = {
        "instances": 2,
        "launch_templates": ["web"],
        "auto_scaling_groups": ["web"],
        "parameters": ["/golden/web"],
        "recipes": ["child"],
    }
    with Emulator(seed(used_by, last_launched=LAUNCHED)) as emulator:
        (image_id,) = amis(emulator)
        ec2 = emulator.client("ec2")
        reservations = ec2.describe_instances(Filters=[{"Name": "image-id", "Values": [image_id]}])["Reservations"]
        assert [each["State"]["Name"] for each in reservations[0]["Instances"]] == ["running", "running"]
        assert versions(emulator, "web") == [(1, image_id, True)]
        assert groups(emulator)["web"]["LaunchTemplate"]["LaunchTemplateName"] == "web"
        assert emulator.client("ssm").get_parameter(Name="/golden/web")["Parameter"]["Value"] == image_id
        (recipe,) = emulator.client("imagebuilder").list_image_recipes()["imageRecipeSummaryList"]
        assert recipe["parentImage"] == image_id
        # The instances that a seed creates are none of the launches that it tells of.
        assert ec2.describe_images(Owners=["self"])["Images"][0]["LastLaunchedTime"] == "2026-05-01T00:00:00.000Z"


@pytest.mark.parametrize("state", ["pending", "running", "shutting-down", "terminated", "stopping", "stopped"])
def test_instances_in_any_state(state: str) -> None:
    """As EC2 shows and filters them."""
    with Emulator(seed({"instances": {state: 2}})) as emulator:
        filters = [{"Name": "instance-state-name", "Values": [state]}]
        reservations = emulator.client("ec2").describe_instances(Filters=filters)["Reservations"]
        assert [each["State"]["Name"] for each in reservations[0]["Instances"]] == [state, state]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("current", [(1, "ami", True)]),
        ("default", [(1, "ami", True), (2, None, False)]),
        ("latest", [(1, None, True), (2, "ami", False)]),
        ("old", [(1, "ami", False), (2, None, True)]),
    ],
)
def test_the_version_that_has_the_ami(version: str, expected: list[tuple[int, str | None, bool]]) -> None:
    """Default, latest, both or neither."""
    with Emulator(seed({"launch_templates": [{"name": "web", "version": version}]})) as emulator:
        (image_id,) = amis(emulator)
        assert versions(emulator, "web") == [
            (number, image_id if has else None, default) for number, has, default in expected
        ]


def test_a_template_that_moves_on() -> None:
    """Builds that name the same template make versions of it, in their order; the last is default and latest."""
    with Emulator(seed(*[{"launch_templates": ["web"]}] * 3)) as emulator:
        assert versions(emulator, "web") == [
            (number, image_id, number == 3) for number, image_id in enumerate(amis(emulator), 1)
        ]


def test_a_group_launches_what_it_names() -> None:
    """A version by number, ``$Latest`` or ``$Default`` of a template; a configuration; overrides of mixed instances."""
    used_by = {
        "launch_templates": [{"name": "web", "version": "old"}],
        "auto_scaling_groups": [
            {"name": "pinned", "template": "web", "version": "pinned"},
            {"name": "latest", "template": "web", "version": "$Latest"},
            {"name": "own"},
            {"name": "configured", "by": "configuration"},
            {"name": "mixed", "by": "overrides", "template": "web", "version": "pinned"},
        ],
    }
    with Emulator(seed(used_by)) as emulator:
        (image_id,) = amis(emulator)
        found = groups(emulator)
        assert {
            name: group["LaunchTemplate"]["Version"] for name, group in found.items() if "LaunchTemplate" in group
        } == {
            "pinned": "1",
            "latest": "$Latest",
            "own": "$Default",
        }
        assert versions(emulator, "web") == [(1, image_id, False), (2, None, True)]
        assert versions(emulator, "own") == [(1, image_id, True)]
        (configuration,) = emulator.client("autoscaling").describe_launch_configurations()["LaunchConfigurations"]
        assert (configuration["LaunchConfigurationName"], configuration["ImageId"]) == ("configured", image_id)
        launch = found["mixed"]["MixedInstancesPolicy"]["LaunchTemplate"]
        assert launch["Overrides"][0]["LaunchTemplateSpecification"] == {"LaunchTemplateName": "web", "Version": "1"}
        assert launch["LaunchTemplateSpecification"]["LaunchTemplateName"] == "mixed-base"


def test_two_groups_of_mixed_instances_share_what_they_name() -> None:
    """A template that is there already is not made anew."""
    mixed = [{"name": name, "by": "overrides", "template": "web"} for name in ("one", "two")]
    with Emulator(seed({"auto_scaling_groups": mixed})) as emulator:
        (image_id,) = amis(emulator)
        assert versions(emulator, "web") == [(1, image_id, True)]
        assert set(groups(emulator)) == {"one", "two"}


def test_parameters_of_any_type() -> None:
    """Their data type is that of an AMI unless another is named."""
    parameters = ["plain", {"name": "list", "type": "StringList", "data_type": "text"}]
    with Emulator(seed({"parameters": parameters})) as emulator:
        found = emulator.client("ssm").describe_parameters()["Parameters"]
        assert [(each["Name"], each["Type"], each["DataType"]) for each in found] == [
            ("plain", "String", "aws:ec2:image"),
            ("list", "StringList", "text"),
        ]


@pytest.mark.parametrize(
    ("value", "protection"),
    [
        (False, "disabled"),
        (True, "enabled-without-cooldown"),
        ("without-cooldown", "enabled-without-cooldown"),
        ("with-cooldown", "enabled-with-cooldown"),
    ],
)
def test_deregistration_protection(value: Any, protection: str) -> None:
    """As ``DescribeImages`` shows it."""
    with Emulator(seed({}, deregistration_protection=value)) as emulator:
        (image,) = emulator.client("ec2").describe_images(Owners=["self"])["Images"]
        assert image["DeregistrationProtection"] == protection
        (row,) = overview(emulator)["images"]["rows"][0]["amis"]
        assert row["protection"] == protection


def test_the_console_shows_what_uses_an_ami() -> None:
    """Kind, name and detail of each use as it stands now, in the AMI's account and region."""
    used_by = {
        "instances": {"stopped": 1},
        "launch_templates": [{"name": "web", "version": "old"}],
        "auto_scaling_groups": [{"name": "web", "version": "pinned"}],
        "parameters": ["/golden/web"],
        "recipes": ["child", {"name": "by-arn", "parent": "image"}],
    }
    with Emulator(seed(used_by, {})) as emulator:
        first, second = overview(emulator)["images"]["rows"]
        (ami,) = first["amis"]
        assert [(use["kind"], use["name"], use["detail"]) for use in ami["used_by"][1:]] == [
            ("launch template", "web", "version 1"),
            ("Auto Scaling group", "web", "launch template web, version 1"),
            ("parameter", "/golden/web", "aws:ec2:image"),
            ("image recipe", "child", "1.0.0"),
            ("image recipe", "by-arn", "1.0.0"),
        ]
        assert (ami["used_by"][0]["kind"], ami["used_by"][0]["detail"]) == ("instance", "stopped")
        assert second["amis"][0]["used_by"] == []
        emulator.client("ssm").delete_parameter(Name="/golden/web")
        after = overview(emulator)["images"]["rows"][0]["amis"][0]["used_by"]
        assert "parameter" not in {use["kind"] for use in after}


def test_nothing_is_left_after_a_reset() -> None:
    """The seed's uses are there again, once."""
    with Emulator(seed({"instances": 1, "auto_scaling_groups": ["web"], "recipes": ["child"]})) as emulator:
        emulator.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName="web", ForceDelete=True)
        emulator.reset()
        assert set(groups(emulator)) == {"web"}
        assert len(emulator.client("ec2").describe_instances()["Reservations"]) == 1


SPOT = "images[0].amis[0].used_by"


@pytest.mark.parametrize(
    ("used_by", "message"),
    [
        (["web"], f"{SPOT} must be an object, got ['web']"),
        (
            {"volumes": 1},
            f"{SPOT} has an unknown key 'volumes'; "
            "known are auto_scaling_groups, instances, launch_templates, parameters, recipes",
        ),
        ({"instances": -1}, f"{SPOT}.instances: -1 is not a number from 0 to 1000"),
        (
            {"instances": {"asleep": 1}},
            f"{SPOT}.instances has an unknown key 'asleep'; "
            "known are pending, running, shutting-down, stopped, stopping, terminated",
        ),
        ({"launch_templates": "web"}, f"{SPOT}.launch_templates must be a list, got 'web'"),
        ({"launch_templates": [{}]}, f"{SPOT}.launch_templates[0]: a name is missing"),
        (
            {"launch_templates": [{"name": "web", "version": "newest"}]},
            f"{SPOT}.launch_templates[0].version: 'newest' is not one of current, default, latest, old",
        ),
        (
            {"auto_scaling_groups": ["web", "web"]},
            f"{SPOT}.auto_scaling_groups[1].name: there is an Auto Scaling group web in us-east-1 already",
        ),
        (
            {"auto_scaling_groups": [{"name": "web", "by": "hand"}]},
            f"{SPOT}.auto_scaling_groups[0].by: 'hand' is not one of template, configuration, overrides",
        ),
        (
            {"parameters": [{"name": "web", "type": "Secret"}]},
            f"{SPOT}.parameters[0].type: 'Secret' is not one of String, StringList, SecureString",
        ),
        (
            {"recipes": ["My recipe"]},
            f"{SPOT}.recipes[0]: 'My recipe' with version '1.0.0' is not a recipe's name and version",
        ),
    ],
)
def test_mistakes(used_by: Any, message: str) -> None:
    """In one line with their place, before anything is served."""
    with pytest.raises(SeedError, match=f"^{re.escape(message)}$"):
        Emulator(seed(used_by))
