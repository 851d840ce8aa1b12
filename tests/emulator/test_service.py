"""The emulator over HTTP, asked by boto3: what succeeds, what EC2 shows of it, and each refusal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

WEB = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
BUILDING, BROKEN, DOCKER = (WEB.replace("web", name) for name in ("building", "broken", "docker"))
AMIS = {"executionRole": "ImageLifecycle", "includeResources": {"amis": True}}
ALL = {"executionRole": "ImageLifecycle", "includeResources": {"amis": True, "snapshots": True}}


def test_an_execution_runs_in_time(emulated: Any) -> None:
    """PENDING, IN_PROGRESS with resource after resource, SUCCESS; the image record changes last."""
    execution = emulated.start(**AMIS)
    assert emulated.status(execution) == "PENDING"
    emulated.later(4)
    assert emulated.status(execution) == "IN_PROGRESS"
    assert sorted(status for status, _ in emulated.resources(execution).values()) == [
        "IN_PROGRESS",
        "IN_PROGRESS",
        "SUCCESS",
    ]
    assert emulated.image_state() == "AVAILABLE"
    emulated.later(6)
    assert emulated.status(execution) == "SUCCESS"
    assert emulated.image_state() == "DEPRECATED"
    assert emulated.amis()[0]["DeprecationTime"]


def test_disabling_makes_private_and_restoring_does_not_share_again(emulated: Any) -> None:
    """EC2 shows a disabled AMI as disabled and private; restoring leaves it private."""
    emulated.start(state="DISABLED", **AMIS)
    emulated.later()
    assert [(ami["State"], ami["Public"]) for ami in emulated.amis("eu-west-1")] == [("disabled", False)]
    emulated.start(state="AVAILABLE", **AMIS)
    emulated.later()
    assert [(ami["State"], ami["Public"]) for ami in emulated.amis("eu-west-1")] == [("available", False)]
    assert emulated.image_state() == "AVAILABLE"


def test_deleting_takes_amis_snapshots_and_the_record(emulated: Any) -> None:
    """After DELETED, EC2 has neither AMIs nor snapshots, and the image is not found."""
    emulated.start(state="DELETED", **ALL)
    emulated.later()
    for region in ("us-east-1", "eu-west-1", "us-west-2"):
        assert emulated.amis(region) == []
        assert emulated.client("ec2", region).describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
    assert emulated.refused(emulated.image_state) == (
        "ResourceNotFoundException",
        404,
        f"The resource {WEB} was not found",
    )


def test_containers_leave_ecr(emulated: Any) -> None:
    """A container image is taken out of its repository."""
    ecr = emulated.client("ecr")
    assert len(ecr.list_images(repositoryName="app")["imageIds"]) == 1
    emulated.start(DOCKER, "DELETED", executionRole="ImageLifecycle", includeResources={"containers": True})
    emulated.later()
    assert ecr.list_images(repositoryName="app")["imageIds"] == []


@pytest.mark.parametrize(
    ("rules", "region", "reason"),
    [
        ({"isPublic": True}, "eu-west-1", "The AMI is public"),
        ({"regions": ["us-east-1"]}, "us-east-1", "The AMI is in the excluded Region us-east-1"),
        (
            {"sharedAccounts": ["111122223333"]},
            "us-west-2",
            "The AMI is shared with the excluded account 111122223333",
        ),
        (
            {"lastLaunched": {"value": 365, "unit": "YEARS"}},
            "us-west-2",
            "The AMI was launched within the last 365 years",
        ),
        ({"tagMap": {"keep": "yes"}}, "eu-west-1", "The AMI carries the excluded tag keep=yes"),
    ],
)
def test_exclusion_rules(emulated: Any, rules: dict[str, Any], region: str, reason: str) -> None:
    """Each rule is decided on the AMI's real attributes; a deletion that skips something keeps the record."""
    execution = emulated.start(state="DELETED", exclusionRules={"amis": rules}, **ALL)
    emulated.later()
    assert emulated.status(execution) == "SUCCESS"
    told = emulated.resources(execution)
    assert told.pop(region) == ("SKIPPED", reason)
    assert set(told.values()) == {("SUCCESS", None)}
    assert len(emulated.amis(region)) == 1
    assert emulated.image_state() == "AVAILABLE"


@pytest.mark.parametrize("state", ["DEPRECATED", "DISABLED"])
def test_what_is_skipped_keeps_no_other_state_back(emulated: Any, state: str) -> None:
    """The record is deprecated or disabled whatever is left out, and what is left out stays as it was."""
    execution = emulated.start(state=state, exclusionRules={"amis": {"regions": ["us-east-1"]}}, **AMIS)
    emulated.later()
    assert (emulated.status(execution), emulated.image_state()) == ("SUCCESS", state)
    (ami,) = emulated.amis()
    assert (ami["State"], "DeprecationTime" in ami) == ("available", False)


def test_a_failed_image_can_be_deleted(emulated: Any) -> None:
    """That is the one way left for it."""
    execution = emulated.start(BROKEN, "DELETED", **ALL)
    emulated.later()
    assert emulated.status(execution) == "SUCCESS"
    assert emulated.refused(lambda: emulated.image_state(BROKEN))[0] == "ResourceNotFoundException"


@pytest.mark.parametrize(("role", "why"), [("Missing", "does not exist"), ("Stranger", "does not trust")])
def test_a_role_that_cannot_be_assumed_fails_the_execution(emulated: Any, role: str, why: str) -> None:
    """The execution ends as FAILED with the reason, and nothing is touched."""
    trust = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"}}]}'
    emulated.client("iam").create_role(RoleName="Stranger", AssumeRolePolicyDocument=trust)
    execution = emulated.start(executionRole=role, includeResources={"amis": True})
    emulated.later()
    answer = emulated.image_builder.get_lifecycle_execution(lifecycleExecutionId=execution["lifecycleExecutionId"])
    assert answer["lifecycleExecution"]["state"]["status"] == "FAILED"
    assert answer["lifecycleExecution"]["state"]["reason"].startswith(f"The execution role {role} {why}")
    assert emulated.image_state() == "AVAILABLE"


def test_a_schedule_comes_true(emulated: Any) -> None:
    """AMIs get their deprecation time at once, the execution waits as IN_PROGRESS, the record turns at that time."""
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    execution = emulated.start(updateAt=at, **AMIS)
    assert emulated.amis()[0]["DeprecationTime"] == at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    emulated.later(86400)
    assert (emulated.status(execution), emulated.image_state()) == ("IN_PROGRESS", "AVAILABLE")
    emulated.later(30 * 86400)
    assert (emulated.status(execution), emulated.image_state()) == ("SUCCESS", "DEPRECATED")


def test_cancelling_undoes_nothing(emulated: Any) -> None:
    """What is done stays done; cancelling with the same token again is the same answer, an ended one is refused."""
    execution = emulated.start(state="DISABLED", **AMIS)
    emulated.later(4)
    cancel = {"lifecycleExecutionId": execution["lifecycleExecutionId"], "clientToken": "t"}
    emulated.image_builder.cancel_lifecycle_execution(**cancel)
    assert emulated.status(execution) == "CANCELLING"
    emulated.later(2)
    assert (emulated.status(execution), emulated.image_state()) == ("CANCELLED", "AVAILABLE")
    assert emulated.amis()[0]["State"] == "disabled"
    emulated.image_builder.cancel_lifecycle_execution(**cancel)
    code, status, message = emulated.refused(
        lambda: emulated.image_builder.cancel_lifecycle_execution(**{**cancel, "clientToken": "u"})
    )
    assert (code, status) == ("InvalidRequestException", 400)
    assert message.endswith("has ended as CANCELLED and cannot be cancelled")


def test_the_first_answer_again(emulated: Any) -> None:
    """The same token starts nothing new, even when the image is gone; other parameters are a mismatch."""
    first = emulated.start(state="DELETED", clientToken="t", **ALL)
    emulated.later()
    assert (
        emulated.start(state="DELETED", clientToken="t", **ALL)["lifecycleExecutionId"]
        == (first["lifecycleExecutionId"])
    )
    assert emulated.refused(lambda: emulated.start(clientToken="t", **AMIS)) == (
        "IdempotentParameterMismatchException",
        400,
        "The client token t was used before with other parameters",
    )
    assert len(emulated.emulator.backend.executions) == 1


def test_one_at_a_time(emulated: Any) -> None:
    """An image with an execution under way rejects another, naming it."""
    execution = emulated.start(**AMIS)
    assert emulated.refused(lambda: emulated.start(state="DISABLED", **AMIS)) == (
        "ResourceInUseException",
        400,
        f"The image {WEB} is in use by the lifecycle execution {execution['lifecycleExecutionId']}",
    )


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"executionRole": "R"}, "executionRole is only valid together with includeResources"),
        ({"includeResources": {"amis": True}}, "includeResources needs an executionRole"),
        (ALL, "includeResources.snapshots is only valid with the state DELETED"),
        (
            {"executionRole": "R", "includeResources": {"containers": True}},
            "includeResources.containers is only valid with the state DELETED",
        ),
        (
            {"state": "DELETED"},
            "The state DELETED must include underlying resources; use DeleteImage to remove the image record alone",
        ),
        (
            {"state": "DISABLED", "updateAt": datetime(2100, 1, 1)},
            "updateAt is only valid with the state DEPRECATED, not with DISABLED",
        ),
        ({"updateAt": datetime(2020, 1, 1)}, "updateAt must be in the future"),
        ({"arn": BUILDING}, "The image is BUILDING; its state can be updated once that has ended"),
        ({"arn": BROKEN}, "The image is FAILED and can only be moved to DELETED, not to DEPRECATED"),
        ({"arn": DOCKER}, "Container images can only be moved to DELETED, not to DEPRECATED"),
    ],
)
def test_refused_by_a_rule(emulated: Any, request_: dict[str, Any], message: str) -> None:
    """Each rule of the service refuses with InvalidRequestException and says what is wrong."""
    assert emulated.refused(lambda: emulated.start(**request_)) == ("InvalidRequestException", 400, message)


def test_lists_are_paged(emulated: Any) -> None:
    """Pages follow their token; a token that was not handed out, or for something else, is refused."""
    client = emulated.image_builder
    pages = [client.list_image_build_versions(maxResults=3)]
    pages.append(client.list_image_build_versions(maxResults=3, nextToken=pages[0]["nextToken"]))
    names = [image["name"] for page in pages for image in page["imageSummaryList"]]
    assert names == ["broken", "building", "docker", "web"]
    assert "nextToken" not in pages[1]
    for call in (
        lambda: client.list_image_build_versions(nextToken="x"),
        lambda: client.list_images(nextToken=pages[0]["nextToken"]),
    ):
        assert emulated.refused(call)[0] == "InvalidPaginationTokenException"


def test_images_are_created_listed_tagged_and_deleted(emulated: Any) -> None:
    """CreateImage builds for a while and registers an AMI; tags and DeleteImage concern the record alone."""
    client = emulated.image_builder
    arn = client.create_image(
        imageRecipeArn="arn:aws:imagebuilder:us-east-1:123456789012:image-recipe/web/1.0.0",
        infrastructureConfigurationArn="arn:aws:imagebuilder:us-east-1:123456789012:infrastructure-configuration/web",
    )["imageBuildVersionArn"]
    assert arn == WEB.replace("/1.0.0/1", "/1.0.0/2")
    assert emulated.image_state(arn) == "BUILDING"
    emulated.later()
    assert emulated.image_state(arn) == "AVAILABLE"
    assert len(emulated.amis()) == 2
    client.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
    client.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2"}
    client.delete_image(imageBuildVersionArn=arn)
    assert emulated.refused(lambda: emulated.image_state(arn))[0] == "ResourceNotFoundException"
    assert len(emulated.amis()) == 2


def test_other_services_are_motos(emulated: Any) -> None:
    """S3 and STS answer on the same port; an assumed role reaches its own account."""
    emulated.client("s3").create_bucket(Bucket="state-of-a-stack")
    assert emulated.client("sts").get_caller_identity()["Account"] == "123456789012"


def test_an_amazon_image_cannot_be_changed(emulated: Any) -> None:
    """Only Amazon can."""
    arn = WEB.replace("123456789012", "aws")
    assert emulated.refused(lambda: emulated.start(arn)) == (
        "ForbiddenException",
        403,
        f"The image {arn} is owned by Amazon, and only Amazon can change it",
    )


def test_deprecated_amis_are_tagged(emulated: Any) -> None:
    """With the service's own tag, at once where the deprecation is scheduled; other states do not."""

    def tags() -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in emulated.amis()[0]["Tags"]}

    emulated.start(state="DISABLED", **AMIS)
    emulated.later()
    assert tags() == {"CreatedBy": "EC2 Image Builder"}
    emulated.start(updateAt=emulated.emulator.clock.now() + timedelta(days=1), **AMIS)
    assert tags() == {"CreatedBy": "EC2 Image Builder", "DeprecatedBy": "EC2 Image Builder"}


def test_a_schedule_tags_no_excluded_ami(emulated: Any) -> None:
    """What the rules leave out has neither date nor tag."""
    at = emulated.emulator.clock.now() + timedelta(days=1)
    emulated.start(updateAt=at, exclusionRules={"amis": {"regions": ["us-east-1"]}}, **AMIS)
    (kept,), (taken,) = emulated.amis(), emulated.amis("us-west-2")
    assert ("DeprecationTime" in kept, "DeprecationTime" in taken) == (False, True)
    assert [len(ami["Tags"]) for ami in (kept, taken)] == [1, 2]


@pytest.mark.parametrize("state", ["AVAILABLE", "DEPRECATED", "DISABLED", "DELETED"])
def test_amis_that_are_gone_or_in_that_state_are_a_success(emulated: Any, state: str) -> None:
    """One AMI is deregistered behind the service's back, the others are there; a second run finds all done."""
    emulated.client("ec2").deregister_image(ImageId=emulated.amis()[0]["ImageId"])
    for _ in range(2 if state != "DELETED" else 1):
        execution = emulated.start(state=state, **AMIS)
        emulated.later()
        assert emulated.status(execution) == "SUCCESS"
        assert set(emulated.resources(execution).values()) == {("SUCCESS", None)}


def test_a_snapshot_that_is_gone_is_a_success(emulated: Any) -> None:
    """So is the AMI over it."""
    ami = emulated.amis()[0]
    emulated.client("ec2").deregister_image(ImageId=ami["ImageId"])
    for mapping in ami["BlockDeviceMappings"]:
        emulated.client("ec2").delete_snapshot(SnapshotId=mapping["Ebs"]["SnapshotId"])
    execution = emulated.start(state="DELETED", **ALL)
    emulated.later()
    assert emulated.status(execution) == "SUCCESS"


def test_restoring_takes_off_the_date_that_a_cancelled_schedule_left(emulated: Any) -> None:
    """Cancelling leaves the AMIs' date in EC2 and takes the image's; AVAILABLE with AMIs takes it off and enables."""
    at = emulated.emulator.clock.now() + timedelta(days=30)
    execution = emulated.start(updateAt=at, **AMIS)
    emulated.image_builder.cancel_lifecycle_execution(lifecycleExecutionId=execution["lifecycleExecutionId"])
    emulated.later(1)
    assert emulated.status(execution) == "CANCELLED"
    assert "deprecationTime" not in emulated.image_builder.get_image(imageBuildVersionArn=WEB)["image"]
    assert "DeprecationTime" in emulated.amis()[0]
    emulated.start(state="DISABLED", **AMIS)
    emulated.later()
    emulated.start(state="AVAILABLE", **AMIS)
    emulated.later()
    (ami,) = emulated.amis()
    assert ("DeprecationTime" in ami, ami["State"]) == (False, "available")


def test_a_deprecation_brings_a_later_date_forward(emulated: Any) -> None:
    """A cancelled schedule's date in the future gives way to now; a date that has passed stays."""
    at = emulated.emulator.clock.now() + timedelta(days=30)
    execution = emulated.start(updateAt=at, **AMIS)
    emulated.image_builder.cancel_lifecycle_execution(lifecycleExecutionId=execution["lifecycleExecutionId"])
    emulated.later(1)
    emulated.start(**AMIS)
    emulated.later()
    date = emulated.amis()[0]["DeprecationTime"]
    assert datetime.fromisoformat(date.replace("Z", "+00:00")) < at
    emulated.later(86_400)
    emulated.start(**AMIS)
    emulated.later()
    assert emulated.amis()[0]["DeprecationTime"] == date


@pytest.mark.parametrize(
    ("ahead", "options", "asynchronous"),
    [
        (None, {}, False),
        (None, AMIS, True),
        (timedelta(minutes=4), {}, False),
        (timedelta(minutes=4), AMIS, True),
        (timedelta(minutes=6), {}, True),
        (timedelta(days=6), AMIS, True),
    ],
)
def test_immediate_and_asynchronous_changes(
    emulated: Any, ahead: timedelta | None, options: dict[str, Any], asynchronous: bool
) -> None:
    """With resources, or scheduled five minutes ahead, there is an execution; else the image changes at once."""
    at = {"updateAt": emulated.emulator.clock.now() + ahead} if ahead else {}
    answer = emulated.start(**at, **options)
    assert ("lifecycleExecutionId" in answer) == asynchronous
    assert answer["resourceArn"] == WEB
    assert emulated.image_state() == ("AVAILABLE" if asynchronous else "DEPRECATED")
