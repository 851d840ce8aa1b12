"""``DescribeImageReferences``, and that what it looks at is what botocore's model names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pytest
from conftest import Emulated
from imagebuilder_emulator.ec2_references import FINDERS
from imagebuilder_emulator.emulator import Emulator

HERE = "arn:aws:imagebuilder:us-east-1:123456789012"
TYPES = botocore.session.get_session().get_service_model("ec2").shape_for("ImageReferenceResourceType").enum
SEED = {
    "images": [
        {
            "arn": f"{HERE}:image/web/1.0.0/1",
            "amis": [
                {
                    "used_by": {
                        "instances": {"running": 1, "stopped": 1, "terminated": 1},
                        "launch_templates": ["web"],
                        "parameters": ["/golden/web", {"name": "secret", "type": "SecureString", "data_type": "text"}],
                        "recipes": [
                            "child",
                            {"name": "box", "kind": "container"},
                            {"name": "grandchild", "parent": "image"},
                        ],
                    }
                },
                {"region": "eu-west-1", "used_by": {"instances": 1}},
                {"account": "111122223333", "used_by": {"instances": 1}},
            ],
        },
        {"arn": f"{HERE}:image/unused/1.0.0/1", "amis": [{}]},
    ]
}


@pytest.fixture(scope="module")
def running(running_of: Callable[[Emulator], Emulated]) -> Iterator[Emulated]:
    with Emulator(SEED) as emulator:
        yield running_of(emulator)


def ami_of(emulated: Emulated, name: str = "web", region: str = "us-east-1") -> str:
    """The AMI of an image in a region, that of account 123456789012."""
    return next(
        ami["ImageId"]
        for ami in emulated.client("ec2", region).describe_images(Owners=["self"])["Images"]
        if ami["Name"] == f"{name}-1.0.0-1"
    )


def references(emulated: Emulated, *image_ids: str, region: str = "us-east-1", **options: Any) -> list[tuple[str, str]]:
    """Type and name of each reference."""
    options = options or {"IncludeAllResourceTypes": True}
    answer = emulated.client("ec2", region).describe_image_references(ImageIds=list(image_ids), **options)
    assert {each["ImageId"] for each in answer["ImageReferences"]} <= set(image_ids)
    assert all(f":{region}:123456789012:" in each["Arn"] for each in answer["ImageReferences"])
    return [(each["ResourceType"], each["Arn"].split(":", 5)[5]) for each in answer["ImageReferences"]]


def kinds(found: list[tuple[str, str]]) -> list[str]:
    return [kind for kind, _ in found]


def test_every_resource_type_of_the_model_is_looked_for() -> None:
    """A new type in botocore's model is noticed here: both the emulator and the provider must know it."""
    assert (
        list(FINDERS)
        == TYPES
        == [
            "ec2:Instance",
            "ec2:LaunchTemplate",
            "ssm:Parameter",
            "imagebuilder:ImageRecipe",
            "imagebuilder:ContainerRecipe",
        ]
    )


def test_all_types_are_found_in_the_account_and_region_of_the_request(emulated: Emulated) -> None:
    """Instances in any state, terminated ones too; no other place, and no recipe by an image's ARN."""
    found = references(emulated, ami_of(emulated))
    assert kinds(found) == [*["ec2:Instance"] * 3, *TYPES[1:]]
    assert [name for kind, name in found if kind != "ec2:Instance" and kind != "ec2:LaunchTemplate"] == [
        "parameter/golden/web",
        "image-recipe/child/1.0.0",
        "container-recipe/box/1.0.0",
    ]
    assert kinds(references(emulated, ami_of(emulated, region="eu-west-1"), region="eu-west-1")) == ["ec2:Instance"]


def test_images_without_references_and_unknown_ones_have_none(emulated: Emulated) -> None:
    """They are no error: an AMI may be anyone's."""
    assert references(emulated, ami_of(emulated, "unused"), "ami-0123456789abcdef0") == []


@pytest.mark.parametrize(
    ("states", "count"),
    [(["running"], 1), (["terminated"], 1), (["pending", "running", "stopping", "stopped"], 2), (["pending"], 0)],
)
def test_instance_states_choose(emulated: Emulated, states: list[str], count: int) -> None:
    """Only instances in these states, and only of the type that was asked for."""
    option = [{"OptionName": "state-name", "OptionValues": states}]
    types = [{"ResourceType": "ec2:Instance", "ResourceTypeOptions": option}]
    assert kinds(references(emulated, ami_of(emulated), ResourceTypes=types)) == ["ec2:Instance"] * count


def test_options_go_before_the_defaults_of_all_types(emulated: Emulated) -> None:
    """With both, every type is looked at, and those with options as they say."""
    option = [{"OptionName": "state-name", "OptionValues": ["running"]}]
    types = [{"ResourceType": "ec2:Instance", "ResourceTypeOptions": option}]
    found = references(emulated, ami_of(emulated), IncludeAllResourceTypes=True, ResourceTypes=types)
    assert kinds(found) == TYPES


@pytest.mark.parametrize(
    ("newer", "depth", "found"), [(9, None, True), (10, None, False), (10, "11", True), (1, "1", False)]
)
def test_the_newest_versions_of_a_launch_template_count(
    emulated: Emulated, newer: int, depth: str | None, found: bool
) -> None:
    """Ten by default; the default version is not looked at for being the default."""
    ec2, image_id = emulated.client("ec2"), ami_of(emulated)
    for _ in range(newer):
        ec2.create_launch_template_version(LaunchTemplateName="web", LaunchTemplateData={"InstanceType": "t3.micro"})
    options = [{"OptionName": "version-depth", "OptionValues": [depth]}] if depth else []
    types = [{"ResourceType": "ec2:LaunchTemplate", "ResourceTypeOptions": options}]
    assert kinds(references(emulated, image_id, ResourceTypes=types)) == ["ec2:LaunchTemplate"] * found


def test_a_template_is_one_reference_however_many_versions_have_the_image(emulated: Emulated) -> None:
    """The answer names no version."""
    ec2, image_id = emulated.client("ec2"), ami_of(emulated)
    ec2.create_launch_template_version(LaunchTemplateName="web", LaunchTemplateData={"ImageId": image_id})
    assert kinds(references(emulated, image_id)).count("ec2:LaunchTemplate") == 1


def test_a_parameter_counts_by_its_newest_value(emulated: Emulated) -> None:
    """Plain text and lists too; a version of before does not."""
    ssm, image_id = emulated.client("ssm"), ami_of(emulated, "unused")
    ssm.put_parameter(Name="plain", Type="String", Value=image_id)
    ssm.put_parameter(Name="many", Type="StringList", Value=f"ami-1, {image_id}")
    assert references(emulated, image_id) == [("ssm:Parameter", "parameter/many"), ("ssm:Parameter", "parameter/plain")]
    ssm.put_parameter(Name="plain", Value="ami-1", Overwrite=True)
    ssm.delete_parameter(Name="many")
    assert references(emulated, image_id) == []


def test_references_come_in_pages(emulated: Emulated) -> None:
    """As long as asked for, with a token that is good for this request alone."""
    ec2, image_id = emulated.client("ec2"), ami_of(emulated)
    pages = list(
        ec2.get_paginator("describe_image_references").paginate(
            ImageIds=[image_id], IncludeAllResourceTypes=True, PaginationConfig={"PageSize": 5}
        )
    )
    assert [len(page["ImageReferences"]) for page in pages] == [5, 2]
    token = pages[0]["NextToken"]
    for wrong in (
        {"NextToken": token, "ImageIds": [ami_of(emulated, "unused")]},
        {"NextToken": "nonsense", "ImageIds": [image_id]},
    ):
        refused = emulated.refused(
            lambda wrong=wrong: ec2.describe_image_references(IncludeAllResourceTypes=True, **wrong)
        )
        assert refused == ("InvalidNextToken", 400, "The specified nextToken is not valid")


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (
            {"ImageIds": ["ami-1"] * 11, "IncludeAllResourceTypes": True},
            "InvalidParameterValue",
            "Value (11 ids) for parameter ImageId is invalid: at most 10 images in a request",
        ),
        (
            {"ImageIds": ["ami-1", "i-1"], "IncludeAllResourceTypes": True},
            "InvalidAMIID.Malformed",
            'Invalid id: "i-1" (expecting "ami-...")',
        ),
        (
            {"ImageIds": ["ami-1"]},
            "MissingParameter",
            "Either IncludeAllResourceTypes or ResourceTypes must be specified",
        ),
        (
            {"ImageIds": ["ami-1"], "ResourceTypes": [{"ResourceType": "ec2:Volume"}]},
            "InvalidParameterValue",
            f"Value (ec2:Volume) for parameter ResourceType is invalid. Expected one of {', '.join(TYPES)}.",
        ),
        (
            {
                "ImageIds": ["ami-1"],
                "ResourceTypes": [
                    {
                        "ResourceType": "ssm:Parameter",
                        "ResourceTypeOptions": [{"OptionName": "state-name", "OptionValues": ["running"]}],
                    }
                ],
            },
            "InvalidParameterCombination",
            "The option state-name is not valid for the resource type ssm:Parameter",
        ),
        (
            {
                "ImageIds": ["ami-1"],
                "ResourceTypes": [
                    {
                        "ResourceType": "ec2:Instance",
                        "ResourceTypeOptions": [{"OptionName": "state-name", "OptionValues": ["asleep"]}],
                    }
                ],
            },
            "InvalidParameterValue",
            "Value (asleep) for parameter OptionValue is invalid. "
            "Expected one of pending, running, shutting-down, stopped, stopping, terminated.",
        ),
        (
            {
                "ImageIds": ["ami-1"],
                "ResourceTypes": [
                    {
                        "ResourceType": "ec2:LaunchTemplate",
                        "ResourceTypeOptions": [{"OptionName": "version-depth", "OptionValues": ["10001"]}],
                    }
                ],
            },
            "InvalidParameterValue",
            "Value (10001) for parameter OptionValue is invalid. Expected a number from 1 to 10000.",
        ),
        (
            {"ImageIds": ["ami-1"], "IncludeAllResourceTypes": True, "DryRun": True},
            "DryRunOperation",
            "Request would have succeeded, but DryRun flag is set.",
        ),
    ],
)
def test_refused_requests(emulated: Emulated, request_: dict[str, Any], code: str, message: str) -> None:
    """In EC2's own form: code, status and message."""
    ec2 = emulated.client("ec2")
    status = 412 if code == "DryRunOperation" else 400
    assert emulated.refused(lambda: ec2.describe_image_references(**request_)) == (code, status, message)
