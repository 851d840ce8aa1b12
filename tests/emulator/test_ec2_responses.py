"""EC2 as a whole: what it does not have, its limits and its pages."""

from __future__ import annotations

from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from botocore.exceptions import ClientError
from conftest import Emulated

SIGNED = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"


def ask(emulated: Emulated, service: str, body: bytes, **headers: str) -> tuple[int, str | None, str]:
    """Status, content type and text of the answer to a request as it is."""
    headers = {"Authorization": SIGNED.format(service), **headers}
    try:
        with urlopen(Request(emulated.emulator.url, body, headers)) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def query(**parameters: Any) -> bytes:
    return urlencode(parameters).encode()


@pytest.mark.parametrize("action", ["DescribeIpamPolicies", "ResetImageAttribute", "DescribePictures"])
def test_an_operation_that_is_not_there(emulated: Emulated, action: str) -> None:
    """Of the model but not moto's, begun by moto, of no model: EC2's own form, and the name in the log."""
    status, kind, text = ask(emulated, "ec2", query(Action=action, Version="2016-11-15", ImageId="ami-1"))
    assert (status, kind) == (400, "text/xml")
    assert text.startswith(
        "<Response><Errors><Error><Code>InvalidAction</Code>"
        f"<Message>The action {action} is not valid for this web service.</Message></Error></Errors><RequestID>"
    )
    noted = emulated.emulator.requests.newest(1)[0]
    assert (noted.service, noted.operation, noted.region, noted.error) == ("ec2", action, "us-east-1", "InvalidAction")


def test_operations_that_other_services_do_not_have(emulated: Emulated) -> None:
    """Each in the form of its own protocol."""
    scaling, ssm = emulated.client("autoscaling"), emulated.client("ssm")
    assert emulated.refused(lambda: scaling.describe_instance_refreshes(AutoScalingGroupName="web")) == (
        "InvalidAction",
        400,
        "The action DescribeInstanceRefreshes is not valid for this web service.",
    )
    assert emulated.refused(ssm.list_nodes) == (
        "UnknownOperationException",
        400,
        "The action ListNodes is not valid for this web service.",
    )
    status, _, text = ask(emulated, "ssm", b"{}", **{"X-Amz-Target": "AmazonSSM.GetPicture"})
    assert (status, "UnknownOperationException" in text) == (400, True)


def test_a_call_takes_two_hundred_filter_values(emulated: Emulated) -> None:
    """As EC2 does, over all filters together and for every operation with filters."""
    ec2 = emulated.client("ec2")
    values = [f"ami-{number}" for number in range(200)]
    filters = [{"Name": "image-id", "Values": values}]
    assert ec2.describe_images(Filters=filters)["Images"] == []
    filters.append({"Name": "name", "Values": ["one-more"]})
    for call in (
        lambda: ec2.describe_images(Filters=filters),
        lambda: ec2.describe_instances(Filters=filters),
        lambda: ec2.describe_launch_template_versions(Versions=["$Latest"], Filters=filters),
    ):
        assert emulated.refused(call) == (
            "FilterLimitExceeded",
            400,
            "The maximum number of filter values specified on a single call is 200",
        )


def test_a_filter_that_moto_lacks_is_an_invalid_value(emulated: Emulated) -> None:
    """The operation is there; moto's words say which filter it is."""
    ec2 = emulated.client("ec2")
    filters = [{"Name": "affinity", "Values": ["host"]}]
    emulated.client("ec2").run_instances(ImageId=emulated.amis()[0]["ImageId"], MinCount=1, MaxCount=1)
    for call in (ec2.describe_images, ec2.describe_instances):
        code, status, message = emulated.refused(lambda call=call: call(Filters=filters))
        assert (code, status) == ("InvalidParameterValue", 400)
        assert "'affinity'" in message


def test_every_answer_has_a_request_id_of_its_own(emulated: Emulated) -> None:
    """The same in header and body, of errors too."""
    ec2 = emulated.client("ec2")
    answers = [ec2.describe_images() for _ in range(2)]
    with pytest.raises(ClientError) as refused:
        ec2.describe_images(ImageIds=["ami-1"])
    metadata = [answer["ResponseMetadata"] for answer in (*answers, refused.value.response)]
    assert len({each["RequestId"] for each in metadata}) == 3
    assert all(each["RequestId"] == each["HTTPHeaders"]["x-amzn-requestid"] for each in metadata)


def test_images_come_in_pages(emulated: Emulated) -> None:
    """As long as asked for; all at once without a length."""
    ec2 = emulated.client("ec2")
    for name in ("one", "two"):
        ec2.register_image(Name=name)
    pages = list(ec2.get_paginator("describe_images").paginate(Owners=["self"], PaginationConfig={"PageSize": 2}))
    assert [len(page["Images"]) for page in pages] == [2, 1]
    assert len(ec2.describe_images(Owners=["self"])["Images"]) == 3


def test_a_page_has_the_length_that_the_model_allows(emulated: Emulated) -> None:
    """Checked by EC2 itself, for clients that do not."""
    status, _, text = ask(
        emulated,
        "ec2",
        query(
            Action="DescribeImageReferences",
            Version="2016-11-15",
            MaxResults=4,
            IncludeAllResourceTypes="true",
            **{"ImageId.1": "ami-1"},
        ),
    )
    assert status == 400
    assert "<Message>Value (4) for parameter MaxResults is invalid. Expected 5 or more.</Message>" in text


@pytest.mark.parametrize("action", ["DescribeImageReferences", "EnableImageDeprecation"])
def test_what_is_missing_is_named(emulated: Emulated, action: str) -> None:
    """As EC2 names it."""
    status, _, text = ask(emulated, "ec2", query(Action=action, Version="2016-11-15"))
    assert status == 400
    assert "<Code>MissingParameter</Code>" in text
    assert "<Message>The request must contain the parameter ImageId</Message>" in text


def test_systems_manager_and_auto_scaling_are_on_the_same_port(emulated: Emulated) -> None:
    """Parameters, launch configurations, and groups with mixed instances, in their region."""
    image_id = emulated.amis()[0]["ImageId"]
    ssm, scaling, ec2 = (emulated.client(service) for service in ("ssm", "autoscaling", "ec2"))
    ssm.put_parameter(Name="/golden/web", Type="String", DataType="aws:ec2:image", Value=image_id)
    assert ssm.get_parameter(Name="/golden/web")["Parameter"]["Value"] == image_id
    assert [each["Name"] for each in ssm.describe_parameters()["Parameters"]] == ["/golden/web"]
    assert emulated.client("ssm", "eu-west-1").describe_parameters()["Parameters"] == []
    scaling.create_launch_configuration(LaunchConfigurationName="old", ImageId=image_id, InstanceType="t3.micro")
    ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": image_id})
    template = {"LaunchTemplateName": "web", "Version": "$Latest"}
    common = {"MinSize": 0, "MaxSize": 1, "AvailabilityZones": ["us-east-1a"]}
    scaling.create_auto_scaling_group(AutoScalingGroupName="a", LaunchConfigurationName="old", **common)
    overrides = [{"InstanceType": "t3.micro", "LaunchTemplateSpecification": template}]
    policy = {"LaunchTemplate": {"LaunchTemplateSpecification": template, "Overrides": overrides}}
    scaling.create_auto_scaling_group(AutoScalingGroupName="b", MixedInstancesPolicy=policy, **common)
    first, second = scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    assert first["LaunchConfigurationName"] == "old"
    launch = second["MixedInstancesPolicy"]["LaunchTemplate"]
    assert launch["LaunchTemplateSpecification"]["LaunchTemplateName"] == "web"
    assert launch["Overrides"] == overrides
    pages = scaling.get_paginator("describe_auto_scaling_groups").paginate(PaginationConfig={"PageSize": 1})
    assert [len(page["AutoScalingGroups"]) for page in pages] == [1, 1]
