"""What executions touch, tell and leave: other accounts, snapshots alone, cancelled ones, and where they are found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from imagebuilder_emulator.emulator import Emulator

WEB = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
APP = "arn:aws:imagebuilder:us-east-1:123456789012:image/app/1.0.0/1"
EU = WEB.replace("us-east-1", "eu-west-1")
POLICY = "arn:aws:imagebuilder:us-east-1:123456789012:lifecycle-policy/mine"
CROSS_ACCOUNT_ROLE = "Ec2ImageBuilderCrossAccountLifecycleAccess"
TRUSTED, UNTRUSTED = "111122223333", "444455556666"
SEED: dict[str, Any] = {
    "roles": ["ImageLifecycle", f"arn:aws:iam::{TRUSTED}:role/{CROSS_ACCOUNT_ROLE}"],
    "images": [
        {"arn": EU},
        {
            "arn": WEB,
            "amis": [{"region": "us-east-1", "snapshots": 2, "account": account} for account in (TRUSTED, UNTRUSTED)],
        },
        {
            "arn": APP,
            "type": "DOCKER",
            "containers": [{"region": "us-east-1", "tag": "v1"}, {"region": "eu-west-1", "tag": "v1"}],
        },
    ],
}
AMIS = {"executionRole": "ImageLifecycle", "includeResources": {"amis": True}}


@pytest.fixture(scope="module")
def running(running_of: Any) -> Iterator[Any]:
    with Emulator(SEED, execution_time="10s") as emulator:
        yield running_of(emulator)


def by_account(emulated: Any, execution: dict[str, Any]) -> dict[str, Any]:
    return {row["accountId"]: row["state"] for row in emulated.rows(execution)}


def test_amis_of_another_account_need_the_cross_account_role(emulated: Any) -> None:
    """The AMIs there fail with the reason, those elsewhere are changed, and the execution fails with a count."""
    execution = emulated.start(state="DISABLED", **AMIS)
    emulated.later()
    assert by_account(emulated, execution) == {
        TRUSTED: {"status": "SUCCESS"},
        UNTRUSTED: {
            "status": "FAILED",
            "reason": f"The role {CROSS_ACCOUNT_ROLE} does not exist in the account {UNTRUSTED}",
        },
    }
    (answer,) = emulated.image_builder.list_lifecycle_executions(resourceArn=WEB)["lifecycleExecutions"]
    assert answer["state"] == {"status": "FAILED", "reason": "1 of 2 resources failed"}
    assert emulated.image_state() == "AVAILABLE"


def test_snapshots_alone_are_in_use(emulated: Any) -> None:
    """EC2 keeps the snapshots of a registered AMI, and exclusion rules say nothing where AMIs are not included."""
    execution = emulated.start(
        state="DELETED",
        executionRole="ImageLifecycle",
        includeResources={"snapshots": True},
        exclusionRules={"amis": {"regions": ["us-east-1"]}},
    )
    emulated.later()
    row = next(row for row in emulated.rows(execution) if row["accountId"] == TRUSTED)
    reasons = [
        f"The snapshot {each['snapshotId']} is in use by the AMI {row['resourceId']}" for each in row["snapshots"]
    ]
    assert [each["state"] for each in row["snapshots"]] == [{"status": "FAILED", "reason": each} for each in reasons]
    assert (len(reasons), row["state"]) == (2, {"status": "FAILED", "reason": reasons[-1]})


def test_a_cancelled_execution_tells_what_it_left(emulated: Any) -> None:
    """What was done is told as done, the rest and the record as skipped, all with times."""
    execution = emulated.start(state="DISABLED", **AMIS)
    emulated.later(6)
    emulated.image_builder.cancel_lifecycle_execution(lifecycleExecutionId=execution["lifecycleExecutionId"])
    emulated.later(1)
    skipped = {"status": "SKIPPED", "reason": "The lifecycle execution was cancelled"}
    assert by_account(emulated, execution) == {TRUSTED: {"status": "SUCCESS"}, UNTRUSTED: skipped}
    (record,) = emulated.rows(execution, parent=None)
    assert (record["resourceId"], record["state"]) == (WEB, skipped)
    for row in [record, *emulated.rows(execution)]:
        assert row["startTime"] < row["endTime"]


def test_an_execution_tells_its_state_with_its_resources(emulated: Any) -> None:
    """Each list of resources carries the execution's state; another parent has nothing under it."""
    execution = emulated.start(state="DISABLED", **AMIS)
    emulated.later(2)
    ask = emulated.image_builder.list_lifecycle_execution_resources
    asked = {"lifecycleExecutionId": execution["lifecycleExecutionId"]}
    answer = ask(**asked, parentResourceId=WEB)
    assert answer["lifecycleExecutionState"] == {"status": "IN_PROGRESS"}
    assert [(row["action"], row["state"]) for row in answer["resources"]] == [
        (
            {"name": "DISABLE", "reason": "StartResourceStateUpdate moves the image to DISABLED"},
            {"status": "IN_PROGRESS"},
        )
    ] * 2
    assert ask(**asked, parentResourceId=APP)["resources"] == []
    assert len(ask(**asked, parentResourceId=WEB, maxResults=1)["resources"]) == 1


def test_containers_are_told_by_their_uri(emulated: Any) -> None:
    """A row for each image in ECR."""
    execution = emulated.start(APP, "DELETED", executionRole="ImageLifecycle", includeResources={"containers": True})
    emulated.later()
    uris = [f"123456789012.dkr.ecr.{region}.amazonaws.com/app:v1" for region in ("us-east-1", "eu-west-1")]
    assert [(row["resourceId"], row["imageUris"]) for row in emulated.rows(execution, APP)] == [
        (uri, [uri]) for uri in uris
    ]


def test_executions_are_found_in_their_region(emulated: Any) -> None:
    """By the ARN of an image build version or a policy; elsewhere, or for other ARNs, there are none."""
    execution = {"lifecycleExecutionId": emulated.start(**AMIS)["lifecycleExecutionId"]}
    here, there = emulated.image_builder, emulated.client("imagebuilder", "eu-west-1")
    assert len(here.list_lifecycle_executions(resourceArn=WEB)["lifecycleExecutions"]) == 1
    assert there.list_lifecycle_executions(resourceArn=WEB)["lifecycleExecutions"] == []
    assert here.list_lifecycle_executions(resourceArn=POLICY)["lifecycleExecutions"] == []
    for call in (
        there.get_lifecycle_execution,
        there.cancel_lifecycle_execution,
        there.list_lifecycle_execution_resources,
    ):
        assert emulated.refused(lambda call=call: call(**execution)) == (
            "ResourceNotFoundException",
            404,
            f"The lifecycle execution {execution['lifecycleExecutionId']} was not found",
        )
    version = WEB.rpartition("/")[0]
    assert emulated.refused(lambda: here.list_lifecycle_executions(resourceArn=version)) == (
        "InvalidRequestException",
        400,
        f"{version} is the ARN of neither an image build version nor a lifecycle policy",
    )


def test_a_token_belongs_to_its_region(emulated: Any) -> None:
    """The same token elsewhere is another token."""
    emulated.start(clientToken="t")
    elsewhere = emulated.client("imagebuilder", "eu-west-1")
    elsewhere.start_resource_state_update(resourceArn=EU, state={"status": "DISABLED"}, clientToken="t")
    assert elsewhere.get_image(imageBuildVersionArn=EU)["image"]["state"]["status"] == "DISABLED"


def test_an_immediate_change_passes_a_schedule(emulated: Any) -> None:
    """Only a request that starts an execution is rejected while one is under way; the schedule stands."""
    at = emulated.emulator.clock.now() + timedelta(days=1)
    scheduled = emulated.start(updateAt=at)
    assert "lifecycleExecutionId" not in emulated.start(state="DISABLED")
    assert (emulated.image_state(), emulated.status(scheduled)) == ("DISABLED", "IN_PROGRESS")
    emulated.later(2 * 86_400)
    assert (emulated.image_state(), emulated.status(scheduled)) == ("DEPRECATED", "SUCCESS")


SERVICE = {"Service": ["ec2.amazonaws.com", "imagebuilder.amazonaws.com"]}


@pytest.mark.parametrize(
    ("trust", "trusted"),
    [
        (
            {"Statement": {"Effect": "Allow", "Principal": SERVICE, "Action": ["sts:AssumeRole", "sts:TagSession"]}},
            True,
        ),
        ({"Statement": [{"Effect": "Allow", "Principal": SERVICE, "Action": "sts:*"}]}, True),
        ({"Statement": [{"Effect": "Allow", "Principal": SERVICE, "Action": "sts:TagSession"}]}, False),
        (
            {"Statement": [{"Effect": effect, "Principal": SERVICE, "Action": "*"} for effect in ("Allow", "Deny")]},
            False,
        ),
        ({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*"}]}, False),
        ({}, False),
        ("trust me", False),
    ],
)
def test_trust_is_read_from_the_roles_policy(emulated: Any, trust: Any, trusted: bool) -> None:
    """Image Builder must be allowed to assume the role, and by no statement be denied it."""
    document = trust if isinstance(trust, str) else json.dumps(trust)
    emulated.client("iam").create_role(RoleName="Mine", AssumeRolePolicyDocument=document)
    execution = emulated.start(APP, "DELETED", executionRole="Mine", includeResources={"containers": True})
    emulated.later()
    assert emulated.status(execution) == ("SUCCESS" if trusted else "FAILED")


def test_trust_can_be_bound_to_the_image(emulated: Any) -> None:
    """Conditions on aws:SourceAccount and aws:SourceArn are read, as the cross-account role has them."""
    for name, account, arn, expected in (
        ("Right", "123456789012", "arn:aws:imagebuilder:*:123456789012:image/*/*/*", "SUCCESS"),
        ("OtherAccount", TRUSTED, "arn:*", "FAILED"),
        ("OtherImage", "123456789012", "arn:aws:imagebuilder:*:123456789012:image/none/*", "FAILED"),
    ):
        condition = {"StringEquals": {"aws:SourceAccount": account}, "ArnLike": {"aws:SourceArn": [arn]}}
        statement = {"Effect": "Allow", "Principal": SERVICE, "Action": "sts:AssumeRole", "Condition": condition}
        emulated.client("iam").create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [statement]})
        )
        asked = {"executionRole": name, "includeResources": {"containers": True}}
        if expected == "FAILED":
            execution = emulated.start(APP, "DELETED", **asked)
            emulated.later()
            assert emulated.status(execution) == expected
    execution = emulated.start(APP, "DELETED", executionRole="Right", includeResources={"containers": True})
    emulated.later()
    assert emulated.status(execution) == "SUCCESS"


def test_the_role_of_the_same_name_is_of_no_use_elsewhere(emulated: Any) -> None:
    """In other accounts the service assumes Ec2ImageBuilderCrossAccountLifecycleAccess and no other role."""
    sts = emulated.client("sts").assume_role(RoleArn=f"arn:aws:iam::{UNTRUSTED}:role/Any", RoleSessionName="test")[
        "Credentials"
    ]
    iam = boto3.client(
        "iam",
        region_name="us-east-1",
        endpoint_url=emulated.emulator.url,
        aws_access_key_id=sts["AccessKeyId"],
        aws_secret_access_key=sts["SecretAccessKey"],
        aws_session_token=sts["SessionToken"],
    )
    trust = json.dumps({"Statement": [{"Effect": "Allow", "Principal": SERVICE, "Action": "sts:AssumeRole"}]})
    iam.create_role(RoleName="ImageLifecycle", AssumeRolePolicyDocument=trust)
    execution = emulated.start(state="DISABLED", **AMIS)
    emulated.later()
    assert by_account(emulated, execution)[UNTRUSTED]["status"] == "FAILED"
    iam.create_role(RoleName=CROSS_ACCOUNT_ROLE, AssumeRolePolicyDocument=trust)
    execution = emulated.start(state="DISABLED", **AMIS)
    emulated.later()
    assert by_account(emulated, execution)[UNTRUSTED] == {"status": "SUCCESS"}


def test_a_cancelled_schedule_has_no_resources(emulated: Any) -> None:
    """Its time never came."""
    execution = emulated.start(updateAt=emulated.emulator.clock.now() + timedelta(days=1))
    emulated.image_builder.cancel_lifecycle_execution(lifecycleExecutionId=execution["lifecycleExecutionId"])
    emulated.later(1)
    assert emulated.status(execution) == "CANCELLED"
    assert (emulated.rows(execution), emulated.rows(execution, parent=None)) == ([], [])
    emulated.later(2 * 86_400)
    assert (emulated.image_state(), emulated.rows(execution, parent=None)) == ("AVAILABLE", [])


def test_times_have_milliseconds(emulated: Any) -> None:
    """Start and end of executions and of resources."""
    execution = emulated.start(state="DISABLED", **AMIS)
    emulated.later()
    (found,) = emulated.image_builder.list_lifecycle_executions(resourceArn=WEB)["lifecycleExecutions"]
    for row in [found, *emulated.rows(execution, parent=None), *emulated.rows(execution)]:
        assert row["startTime"].microsecond % 1000 == row["endTime"].microsecond % 1000 == 0
        assert row["startTime"] < row["endTime"]
