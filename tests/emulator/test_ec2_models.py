"""What moto's EC2 lacks of AMIs, launches and launch templates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from conftest import WEB, Emulated

OTHER = "111122223333"


def own(emulated: Emulated, region: str = "us-east-1") -> str:
    (ami,) = emulated.amis(region)
    image_id: str = ami["ImageId"]
    return image_id


def ids(answer: dict[str, Any]) -> list[str]:
    return [image["ImageId"] for image in answer["Images"]]


def of_another_account(emulated: Emulated, region: str) -> Any:
    """A client of EC2 in another account, by a role there."""
    role = f"arn:aws:iam::{OTHER}:role/reader"
    found = emulated.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return boto3.client(
        "ec2",
        region,
        endpoint_url=emulated.emulator.url,
        aws_access_key_id=found["AccessKeyId"],
        aws_secret_access_key=found["SecretAccessKey"],
        aws_session_token=found["SessionToken"],
    )


def launch(emulated: Emulated, **request: Any) -> Callable[[], Any]:
    return lambda: emulated.client("ec2").run_instances(MinCount=1, MaxCount=1, **request)


# --- which AMIs are shown --------------------------------------------------------------------------------------------


def test_disabled_amis_are_hidden_unless_asked_for(emulated: Emulated) -> None:
    """By owner, filter and id; disabling makes private, and enabling does not share again."""
    ec2, image_id = emulated.client("ec2", "eu-west-1"), own(emulated, "eu-west-1")
    ec2.disable_image(ImageId=image_id)
    by_filter = [{"Name": "image-id", "Values": [image_id]}]
    for request in ({"Owners": ["self"]}, {"Filters": by_filter}, {"ImageIds": [image_id]}):
        assert ids(ec2.describe_images(**request)) == []
        (image,) = ec2.describe_images(**request, IncludeDisabled=True)["Images"]
        assert (image["State"], image["Public"]) == ("disabled", False)
    ec2.enable_image(ImageId=image_id)
    (image,) = ec2.describe_images(Filters=by_filter)["Images"]
    assert (image["State"], image["Public"]) == ("available", False)


def test_a_disabled_ami_cannot_be_shared(emulated: Emulated) -> None:
    """Nor made public; taking a permission back is allowed."""
    ec2, image_id = emulated.client("ec2"), own(emulated)
    ec2.disable_image(ImageId=image_id)
    permission = [{"Group": "all"}]
    refused = emulated.refused(
        lambda: ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": permission})
    )
    assert refused == ("InvalidAMIID.Unavailable", 400, f"The image id '[{image_id}]' is no longer available")
    ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Remove": permission})


def test_amis_of_other_accounts_are_seen_where_they_are_public_or_shared(emulated: Emulated) -> None:
    """In their region alone, and never as one's own."""
    shared, public, private = own(emulated, "us-west-2"), own(emulated, "eu-west-1"), own(emulated)
    for region, image_id in (("us-west-2", shared), ("eu-west-1", public)):
        ec2 = of_another_account(emulated, region)
        assert ids(ec2.describe_images()) == [image_id]
        assert ids(ec2.describe_images(Owners=["self"])) == []
        assert ids(ec2.describe_images(Owners=["123456789012"])) == [image_id]
    ec2 = of_another_account(emulated, "us-east-1")
    assert ids(ec2.describe_images(Filters=[{"Name": "image-id", "Values": [private]}])) == []
    assert ids(of_another_account(emulated, "us-west-2").describe_images(ExecutableUsers=["self"])) == [shared]


def test_deprecated_amis_are_hidden_from_all_but_their_owner(emulated: Emulated) -> None:
    """From the time on that was set, unless they are asked for."""
    image_id = own(emulated, "eu-west-1")
    mine, theirs = emulated.client("ec2", "eu-west-1"), of_another_account(emulated, "eu-west-1")
    at = (emulated.emulator.clock.now() + timedelta(days=3)).replace(second=40, microsecond=0)
    assert mine.enable_image_deprecation(ImageId=image_id, DeprecateAt=at)["Return"]
    assert ids(theirs.describe_images()) == [image_id]
    emulated.emulator.clock.advance(timedelta(days=4))
    assert ids(theirs.describe_images()) == []
    assert ids(theirs.describe_images(IncludeDeprecated=True)) == [image_id]
    (image,) = mine.describe_images(Owners=["self"])["Images"]
    rounded = (at + timedelta(minutes=1)).replace(second=0).astimezone(UTC)
    assert image["DeprecationTime"] == rounded.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert mine.disable_image_deprecation(ImageId=image_id)["Return"]
    assert ids(theirs.describe_images()) == [image_id]


@pytest.mark.parametrize("days", [-1, 4000])
def test_a_deprecation_is_from_now_to_ten_years_ahead(emulated: Emulated, days: int) -> None:
    """Other times are refused."""
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    image_id = own(emulated)
    refused = emulated.refused(
        lambda: emulated.client("ec2").enable_image_deprecation(ImageId=image_id, DeprecateAt=at)
    )
    text = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    expected = f"Value ({text}) for parameter DeprecateAt is invalid. Expected a time within ten years."
    assert refused == ("InvalidParameterValue", 400, expected)


def test_an_id_that_is_gone_fails_a_call_by_ids_and_not_one_by_filter(emulated: Emulated) -> None:
    """Even where the others are there."""
    ec2, there = emulated.client("ec2"), own(emulated)
    refused = emulated.refused(lambda: ec2.describe_images(ImageIds=[there, "ami-0123456789abcdef0"]))
    assert refused == ("InvalidAMIID.NotFound", 400, "The image id '[ami-0123456789abcdef0]' does not exist")
    values = ["ami-0123456789abcdef0", there]
    assert ids(ec2.describe_images(Filters=[{"Name": "image-id", "Values": values}])) == [there]
    assert ids(ec2.describe_images(Filters=[{"Name": "image-id", "Values": [f"{there[:-3]}*"]}])) == [there]
    assert (
        ids(ec2.describe_images(Filters=[{"Name": "image-id", "Values": [there]}, {"Name": "name", "Values": ["x"]}]))
        == []
    )
    assert emulated.refused(lambda: ec2.describe_images(ImageIds=["web"]))[0] == "InvalidAMIID.Malformed"


# --- deregistration --------------------------------------------------------------------------------------------------


def test_a_protected_ami_is_not_deregistered(emulated: Emulated) -> None:
    """By nobody, until the protection is taken away."""
    ec2, image_id = emulated.client("ec2"), own(emulated)
    assert ec2.describe_images(Owners=["self"])["Images"][0]["DeregistrationProtection"] == "disabled"
    answer = ec2.enable_image_deregistration_protection(ImageId=image_id)
    assert answer["Return"] == "enabled-without-cooldown"
    assert ec2.describe_images(Owners=["self"])["Images"][0]["DeregistrationProtection"] == answer["Return"]
    refused = emulated.refused(lambda: ec2.deregister_image(ImageId=image_id))
    assert refused == (
        "OperationNotPermitted",
        400,
        f"The image '{image_id}' cannot be deregistered: it has deregistration protection",
    )
    assert ec2.disable_image_deregistration_protection(ImageId=image_id)["Return"] == "disabled"
    ec2.deregister_image(ImageId=image_id)
    assert emulated.amis() == []


def test_a_cooldown_protects_for_a_day_longer(emulated: Emulated) -> None:
    """Counted from the first time that the protection was taken away; protecting again ends it."""
    ec2, image_id = emulated.client("ec2"), own(emulated)
    ec2.enable_image_deregistration_protection(ImageId=image_id, WithCooldown=True)
    for hours, protection in ((0, "enabled-with-cooldown"), (23, "enabled-with-cooldown"), (2, "disabled")):
        emulated.emulator.clock.advance(timedelta(hours=hours))
        assert ec2.disable_image_deregistration_protection(ImageId=image_id)["Return"] == protection
    ec2.enable_image_deregistration_protection(ImageId=image_id)
    assert emulated.refused(lambda: ec2.deregister_image(ImageId=image_id))[0] == "OperationNotPermitted"


def test_an_execution_fails_at_a_protected_ami(emulated: Emulated) -> None:
    """With EC2's reason; the image record stays."""
    image_id = own(emulated)
    emulated.client("ec2").enable_image_deregistration_protection(ImageId=image_id)
    started = emulated.start(
        WEB, "DELETED", executionRole="ImageLifecycle", includeResources={"amis": True, "snapshots": True}
    )
    emulated.later()
    assert emulated.status(started) == "FAILED"
    status, reason = emulated.resources(started)["us-east-1"]
    assert (status, reason) == (
        "FAILED",
        f"The image '{image_id}' cannot be deregistered: it has deregistration protection",
    )
    assert own(emulated) == image_id


# --- launches --------------------------------------------------------------------------------------------------------


def test_a_launch_is_noted_at_the_ami(emulated: Emulated) -> None:
    """By the emulator's clock."""
    emulated.emulator.clock.advance(timedelta(days=400))
    image_id = own(emulated)
    launch(emulated, ImageId=image_id)()
    launched = datetime.fromisoformat(emulated.amis()[0]["LastLaunchedTime"])
    assert timedelta(0) <= emulated.emulator.clock.now() - launched < timedelta(minutes=1)


def test_an_ami_that_is_not_available_starts_nothing(emulated: Emulated) -> None:
    """Disabled, deregistered, never there: by its id, by a launch template and by an Auto Scaling group."""
    ec2, scaling, image_id = emulated.client("ec2"), emulated.client("autoscaling"), own(emulated)
    ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": image_id})
    template = {"LaunchTemplateName": "web"}
    group = {"MinSize": 0, "MaxSize": 3, "AvailabilityZones": ["us-east-1a"], "LaunchTemplate": template}
    scaling.create_auto_scaling_group(AutoScalingGroupName="web", DesiredCapacity=1, **group)
    unavailable = ("InvalidAMIID.Unavailable", 400, f"The image id '[{image_id}]' is no longer available")
    for take_away in (ec2.disable_image, ec2.deregister_image):
        take_away(ImageId=image_id)
        for start in (
            launch(emulated, ImageId=image_id),
            launch(emulated, LaunchTemplate=template),
        ):
            assert emulated.refused(start) == unavailable
        grow = emulated.refused(lambda: scaling.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=2))
        assert grow == ("ValidationError", *unavailable[1:])
    never = emulated.refused(launch(emulated, ImageId="ami-0123456789abcdef0"))
    assert never == ("InvalidAMIID.NotFound", 400, "The image id '[ami-0123456789abcdef0]' does not exist")
    # What runs is not touched.
    running = [each["Instances"][0]["State"]["Name"] for each in ec2.describe_instances()["Reservations"]]
    assert running == ["running"]


def test_a_launch_needs_an_ami(emulated: Emulated) -> None:
    """A template without one does not do."""
    emulated.client("ec2").create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"KeyName": "a"})
    refused = emulated.refused(launch(emulated, LaunchTemplate={"LaunchTemplateName": "web"}))
    assert refused == ("MissingParameter", 400, "The request must contain the parameter ImageId")


def test_a_shared_ami_can_be_launched_by_those_it_is_shared_with(emulated: Emulated) -> None:
    """And by nobody else."""
    of_another_account(emulated, "us-west-2").run_instances(ImageId=own(emulated, "us-west-2"), MinCount=1, MaxCount=1)
    private = own(emulated)
    refused = emulated.refused(
        lambda: of_another_account(emulated, "us-east-1").run_instances(ImageId=private, MinCount=1, MaxCount=1)
    )
    assert refused[0] == "InvalidAMIID.NotFound"


def test_an_alias_means_the_parameters_value(emulated: Emulated) -> None:
    """At a launch, and where versions are described with ResolveAlias."""
    ec2, image_id = emulated.client("ec2"), own(emulated)
    emulated.client("ssm").put_parameter(Name="/golden/web", Type="String", DataType="aws:ec2:image", Value=image_id)
    alias = "resolve:ssm:/golden/web"
    ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": alias})
    launched = launch(emulated, LaunchTemplate={"LaunchTemplateName": "web"})()
    assert launched["Instances"][0]["ImageId"] == image_id
    for resolve, expected in ((False, alias), (True, image_id)):
        (version,) = ec2.describe_launch_template_versions(Versions=["$Latest"], ResolveAlias=resolve)[
            "LaunchTemplateVersions"
        ]
        assert version["LaunchTemplateData"]["ImageId"] == expected
    refused = emulated.refused(launch(emulated, ImageId="resolve:ssm:/golden/none"))
    assert refused == (
        "InvalidParameterValue",
        400,
        "Value (resolve:ssm:/golden/none) for parameter ImageId is invalid. There is no such SSM parameter.",
    )


# --- launch templates ------------------------------------------------------------------------------------------------


@pytest.fixture
def templates(emulated: Emulated) -> Emulated:
    """Three templates: one whose default has the AMI, one whose latest has it, one where an old version has it."""
    ec2, image_id = emulated.client("ec2"), own(emulated)
    for name, versions, default in (("default", [1, 0], 1), ("latest", [0, 1], 1), ("old", [0, 1, 0], 1)):
        data = [{"ImageId": image_id} if has else {"InstanceType": "t3.micro"} for has in versions]
        ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data[0])
        for each in data[1:]:
            ec2.create_launch_template_version(LaunchTemplateName=name, LaunchTemplateData=each)
        ec2.modify_launch_template(LaunchTemplateName=name, DefaultVersion=str(default))
    return emulated


def versions_of(answer: dict[str, Any]) -> list[tuple[str, int]]:
    return [(each["LaunchTemplateName"], each["VersionNumber"]) for each in answer["LaunchTemplateVersions"]]


def test_default_and_latest_versions_of_all_templates_by_image(templates: Emulated) -> None:
    """One call finds what launches from an AMI; older versions are not among it."""
    filters = [{"Name": "image-id", "Values": [own(templates), "ami-1"]}]
    answer = templates.client("ec2").describe_launch_template_versions(
        Versions=["$Latest", "$Default"], Filters=filters
    )
    assert versions_of(answer) == [("default", 1), ("latest", 2)]
    everything = templates.client("ec2").describe_launch_template_versions(Versions=["$Latest", "$Default"])
    assert sorted(versions_of(everything)) == [
        ("default", 1),
        ("default", 2),
        ("latest", 1),
        ("latest", 2),
        ("old", 1),
        ("old", 3),
    ]


def test_a_version_that_is_default_and_latest_comes_once(emulated: Emulated) -> None:
    """However it was asked for."""
    ec2 = emulated.client("ec2")
    ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": own(emulated)})
    assert versions_of(ec2.describe_launch_template_versions(Versions=["$Latest", "$Default"])) == [("web", 1)]


def test_versions_of_one_template(templates: Emulated) -> None:
    """All of them, by number, and from one number to another, filtered too."""
    ec2 = templates.client("ec2")

    def asked(**request: Any) -> list[int]:
        answer = ec2.describe_launch_template_versions(LaunchTemplateName="old", **request)
        return [number for _, number in versions_of(answer)]

    assert asked() == [1, 2, 3]
    assert asked(Versions=["2", "$Latest"]) == [2, 3]
    assert asked(MinVersion="2") == [2, 3]
    assert asked(MaxVersion="2") == [1, 2]
    assert asked(MinVersion="2", MaxVersion="2") == [2]
    assert asked(Filters=[{"Name": "image-id", "Values": [own(templates)]}]) == [2]
    assert asked(Filters=[{"Name": "is-default-version", "Values": ["true"]}]) == [1]


def test_versions_come_in_pages(templates: Emulated) -> None:
    """To the last; a page is as long as asked for, 200 at most."""
    ec2 = templates.client("ec2")
    pages = list(
        ec2.get_paginator("describe_launch_template_versions").paginate(
            Versions=["$Latest", "$Default"], PaginationConfig={"PageSize": 4}
        )
    )
    assert [len(page["LaunchTemplateVersions"]) for page in pages] == [4, 2]
    refused = templates.refused(lambda: ec2.describe_launch_template_versions(Versions=["$Latest"], MaxResults=201))
    assert refused == (
        "InvalidParameterValue",
        400,
        "Value (201) for parameter MaxResults is invalid. Expected from 1 to 200.",
    )


def test_an_unknown_filter_of_versions_is_refused(templates: Emulated) -> None:
    """By its name."""
    filters = [{"Name": "colour", "Values": ["red"]}]
    refused = templates.refused(
        lambda: templates.client("ec2").describe_launch_template_versions(Versions=["$Latest"], Filters=filters)
    )
    assert refused == ("InvalidParameterValue", 400, "The filter 'colour' is invalid")
