"""What uses AMIs: each kind as it counts, what cannot be looked up, and how many calls it takes."""

from __future__ import annotations

import asyncio
from typing import Any

import botocore.session
import pytest
from pulumi_imagebuilder.errors import ConfigurationError, ServiceError, TemporaryError
from pulumi_imagebuilder.lifecycle.amis import (
    AUTO_SCALING_GROUP,
    CONTAINER_RECIPE,
    IMAGE_RECIPE,
    INSTANCE,
    KINDS,
    LAUNCH_CONFIGURATION,
    LAUNCH_TEMPLATE,
    PARAMETER,
)
from pulumi_imagebuilder.lifecycle.entities import GONE, Image
from pulumi_imagebuilder.lifecycle.references import (
    REGION_TIME_LIMIT,
    ImageReferences,
    ReferenceSurvey,
    find_references,
)
from pulumi_imagebuilder.lifecycle.region_survey import MissingPermission

from tests.provider.lifecycle.fake_ec2 import (
    ACCOUNT,
    OTHER_ACCOUNT,
    REGION,
    STALL,
    FakeService,
    arn_of,
    denied,
    in_event_loop,
    run,
)

AMI = f"ami-1-{REGION}"
REGIONS = ("eu-west-1", "us-east-1", "us-west-2")


def survey_of(service: FakeService, **options: Any) -> ReferenceSurvey:
    return ReferenceSurvey(service, **{"clock": lambda: asyncio.get_running_loop().time(), **options})


def find(service: FakeService, arn: str | None = None) -> ImageReferences:
    """What uses the AMIs of one image."""
    arn = arn or arn_of()
    return run(survey_of(service).find([arn]))[arn]


def uses(found: ImageReferences) -> list[tuple[str, str, bool]]:
    """The references in words: kind and name with detail, AMI, and whether it counts."""
    return [(str(each), each.ami_id, each.counts) for each in found.used_by]


@pytest.fixture
def service() -> FakeService:
    """A service with one image of one AMI, which nothing uses."""
    service = FakeService()
    service.add_image()
    return service


def test_every_reference_type_of_the_model_is_asked_for() -> None:
    """A new type in the model of EC2 fails here: does it count, and which right does it need?"""
    model = botocore.session.get_session().get_service_model("ec2")
    known = set(model.shape_for("ImageReferenceResourceType").enum)
    assert known == KINDS.keys() - {AUTO_SCALING_GROUP, LAUNCH_CONFIGURATION}
    service = FakeService()
    service.add_image()
    find(service)
    (asked,) = (parameters for _, operation, parameters in service.calls if operation == "describe_image_references")
    assert {each["ResourceType"] for each in asked["ResourceTypes"]} == known


def test_an_unused_ami_is_described_in_full() -> None:
    service = FakeService()
    service.add_image(
        Public=True,
        State="disabled",
        LastLaunchedTime="2026-11-20T10:00:00.000Z",
        DeregistrationProtection="enabled-with-cooldown",
        Tags=[{"Key": "team", "Value": "web"}],
        BlockDeviceMappings=[
            {"Ebs": {"SnapshotId": "snap-1", "VolumeSize": 8}},
            {"Ebs": {"SnapshotId": "snap-2", "VolumeSize": 20}},
            {"Ebs": {"VolumeSize": 100}},
            {"VirtualName": "ephemeral0"},
        ],
    )
    found = find(service)
    (ami,) = found.amis
    assert (ami.region, ami.ami_id, ami.account_id, ami.state) == (REGION, AMI, ACCOUNT, "disabled")
    assert (ami.snapshots, ami.size_gib, ami.public) == (("snap-1", "snap-2"), 28, True)
    assert (ami.last_launched, ami.deregistration_protection) == ("2026-11-20T10:00:00.000Z", True)
    assert ami.tags == {"team": "web"}
    assert (found.used_by, found.not_looked_up, found.in_use) == ([], [], False)


@pytest.mark.parametrize(
    ("value", "protected"),
    [
        (None, False),
        ("disabled", False),
        ("enabled", True),
        ("enabled-with-cooldown", True),
        ("enabled-without-cooldown", True),
        ("disabled-with-cooldown", True),
    ],
)
def test_only_what_is_plainly_off_is_no_protection(value: str | None, protected: bool) -> None:
    service = FakeService()
    service.add_image(DeregistrationProtection=value)
    assert find(service).amis[0].deregistration_protection is protected


OTHER = "ami-other"
TEMPLATES: dict[str, tuple[list[str], int, str | None, str, bool]] = {
    # versions' AMIs, default, version that a group names, what is said, whether it counts
    "the only one": ([AMI], 1, None, "version 1, $Default, $Latest", True),
    "default": ([AMI, OTHER], 1, None, "version 1, $Default", True),
    "latest": ([OTHER, AMI], 1, None, "version 2, $Latest", True),
    "default and latest apart": ([AMI, OTHER, AMI], 1, None, "version 1, $Default; version 3, $Latest", True),
    "pinned": ([OTHER, AMI, OTHER], 1, "2", "version 2, named by Auto Scaling group web", True),
    "default, pinned too": ([AMI, OTHER], 1, "1", "version 1, $Default", True),
    "older": ([OTHER, AMI, OTHER], 1, None, "an older version", False),
    "older, another pinned": ([OTHER, AMI, OTHER, OTHER], 1, "3", "an older version", False),
}


@pytest.mark.parametrize("case", TEMPLATES)
def test_versions_of_a_launch_template(service: FakeService, case: str) -> None:
    """Default, latest and pinned versions count; older ones are mentioned."""
    images, default, pinned, said, counts = TEMPLATES[case]
    id_ = service.world().add_template("web", *images, default=default)
    if pinned:
        service.world().add_group("web", LaunchTemplate={"LaunchTemplateId": id_, "Version": pinned})
    found = find(service)
    templates = [each for each in found.used_by if each.kind == LAUNCH_TEMPLATE]
    assert [(each.name, each.detail, each.counts) for each in templates] == [("web", said, counts)]
    assert templates[0].arn == f"arn:aws:ec2:{REGION}:{ACCOUNT}:launch-template/{id_}"
    assert found.in_use is counts


@pytest.mark.parametrize("case", TEMPLATES)
@pytest.mark.parametrize("group", ["plain", "mixed instances", "override"])
@pytest.mark.parametrize("version", ["1", "2", "3", "$Default", "$Latest", None])
def test_a_group_counts_by_the_version_it_launches_from(
    service: FakeService, case: str, group: str, version: str | None
) -> None:
    """Whatever else has the AMI: a group uses it if the version that it names has it."""
    images, default, _, _, _ = TEMPLATES[case]
    id_ = service.world().add_template("web", *images, default=default)
    specification = {"LaunchTemplateId": id_, "LaunchTemplateName": "web"}
    if version:
        specification["Version"] = version
    empty = service.world().add_template("empty", OTHER)
    mixed = {
        "mixed instances": {"LaunchTemplateSpecification": specification},
        "override": {
            "LaunchTemplateSpecification": {"LaunchTemplateId": empty, "Version": "$Latest"},
            "Overrides": [{"InstanceType": "m7g.large", "LaunchTemplateSpecification": specification}],
        },
    }
    how = (
        {"LaunchTemplate": specification}
        if group == "plain"
        else {"MixedInstancesPolicy": {"LaunchTemplate": mixed[group]}}
    )
    service.world().add_group("fleet", **how)
    number = {"$Latest": len(images), "$Default": default, None: default}.get(version) or int(version or 0)
    used = number <= len(images) and images[number - 1] == AMI
    groups = [str(each) for each in find(service).used_by if each.kind == AUTO_SCALING_GROUP]
    assert groups == ([f"Auto Scaling group fleet (launch template web, version {number})"] if used else [])


def test_a_group_names_its_template_by_name_alone(service: FakeService) -> None:
    service.world().add_template("web", OTHER, AMI, OTHER)
    service.world().add_group("web", LaunchTemplate={"LaunchTemplateName": "web", "Version": "2"})
    assert ("Auto Scaling group web (launch template web, version 2)", AMI, True) in uses(find(service))


def test_an_override_names_an_ami_by_itself(service: FakeService) -> None:
    override = {"InstanceType": "m7g.large", "ImageId": AMI}
    service.world().add_group("web", MixedInstancesPolicy={"LaunchTemplate": {"Overrides": [override]}})
    assert uses(find(service)) == [("Auto Scaling group web (an override)", AMI, True)]


def test_a_launch_configuration_counts_through_its_group_alone(service: FakeService) -> None:
    service.world().configurations = {"web-2": AMI, "web-1": AMI}
    service.world().add_group("web", LaunchConfigurationName="web-2")
    assert uses(find(service)) == [
        ("Auto Scaling group web (launch configuration web-2)", AMI, True),
        ("launch configuration web-1 (of no group)", AMI, False),
    ]


def test_a_group_whose_template_or_version_is_gone_uses_nothing(service: FakeService) -> None:
    id_ = service.world().add_template("web", OTHER, AMI, OTHER)
    service.world().add_group("a", LaunchTemplate={"LaunchTemplateId": id_, "Version": "9"})
    service.world().add_group("b", LaunchTemplate={"LaunchTemplateId": id_, "Version": "2"})
    service.world().add_group("c", LaunchTemplate={"LaunchTemplateId": "lt-gone", "Version": "1"})
    service.world().add_group("d", LaunchTemplate={"LaunchTemplateName": "gone", "Version": "$Latest"})
    service.world().add_group("e")
    found = find(service)
    assert [each.name for each in found.used_by if each.kind == AUTO_SCALING_GROUP] == ["b"]
    assert found.not_looked_up == []


def test_a_version_that_a_group_names_and_that_cannot_be_read_leaves_the_region_out(service: FakeService) -> None:
    """Only one that is gone launches nothing."""
    id_ = service.world().add_template("web", OTHER, AMI, OTHER)
    service.world().add_group("a", LaunchTemplate={"LaunchTemplateId": id_, "Version": "2"})
    refused = ServiceError("RequestCanceled: no", "RequestCanceled")
    service.fail(REGION, "describe_launch_template_versions", refused, from_call=2)
    assert [failure.reason for failure in find(service).failures] == ["RequestCanceled: no"]


def test_versions_that_are_read_one_by_one_say_why_they_do_not_come(service: FakeService) -> None:
    """Together they are refused, as one of them is gone."""
    id_ = service.world().add_template("web", OTHER, AMI, OTHER)
    for version in ("2", "9"):
        service.world().add_group(version, LaunchTemplate={"LaunchTemplateId": id_, "Version": version})
    service.fail(REGION, "describe_launch_template_versions", STALL, from_call=3)
    assert [failure.reason for failure in find(service).failures] == [
        "no answer within 2m00s: retrying after ServiceUnavailable: it is busy"
    ]


def test_a_template_that_was_made_moments_ago_counts(service: FakeService) -> None:
    """EC2 names it among the references, and the list of templates was read before: it may be its newest version."""

    def add(region: str, operation: str) -> None:
        if operation == "describe_image_references" and not service.world().templates:
            service.world().add_template("web", AMI)

    service.before = add
    assert [each.counts for each in find(service).used_by] == [True]


@pytest.mark.parametrize(
    ("state", "counts"),
    [
        ("pending", True),
        ("running", True),
        ("stopping", True),
        ("stopped", True),
        ("shutting-down", False),
        ("terminated", False),
    ],
)
def test_states_of_an_instance(service: FakeService, state: str, counts: bool) -> None:
    """Instances count while they live, and only where the AMI is deleted."""
    service.world().instances["i-1"] = (AMI, state)
    found = find(service)
    assert uses(found) == ([(f"instance i-1 ({state})", AMI, True)] if counts else [])
    assert all(each.counts_only_for_deletion for each in found.used_by)
    assert found.in_use is counts


def test_an_instance_that_ends_while_it_is_looked_at_does_not_count(service: FakeService) -> None:
    service.world().instances["i-1"] = (AMI, "running")

    def end(region: str, operation: str) -> None:
        if operation == "describe_instances":
            service.world().instances["i-1"] = (AMI, "terminated")

    service.before = end
    assert uses(find(service)) == []


def test_an_instance_that_is_not_described_yet_counts(service: FakeService) -> None:
    service.world().instances["i-1"] = (AMI, "pending")

    def hide(region: str, operation: str) -> None:
        if operation == "describe_instances":
            service.world().instances.clear()

    service.before = hide
    assert uses(find(service)) == [("instance i-1 (pending)", AMI, True)]


def test_parameters_and_recipes(service: FakeService) -> None:
    world = service.world()
    world.parameters = {"/golden/web": AMI, "web": AMI, "other": OTHER}
    world.image_recipes = {"child/1.0.0": AMI}
    world.container_recipes = {"builder/2.0.0": AMI}
    found = find(service)
    assert uses(found) == [
        ("SSM parameter /golden/web", AMI, True),
        ("SSM parameter web", AMI, True),
        ("image recipe child (version 1.0.0)", AMI, True),
        ("container recipe builder (version 2.0.0)", AMI, True),
    ]
    assert {each.kind for each in found.used_by} == {PARAMETER, IMAGE_RECIPE, CONTAINER_RECIPE}


@pytest.mark.parametrize(
    ("parent", "counts"),
    [
        (arn_of(1), True),
        (arn_of(2), False),
        (arn_of(1).rpartition("/")[0], False),
        (arn_of(1).replace("1.0.0/1", "x.x.x"), False),
        (arn_of(1, name="web2"), False),
    ],
)
@pytest.mark.parametrize("kind", ["image_recipes", "container_recipes"])
def test_a_recipe_counts_by_the_arn_of_this_very_build(
    service: FakeService, kind: str, parent: str, counts: bool
) -> None:
    """One that names a version with its newest build moves on by itself."""
    setattr(service.world(), kind, {"child/1.0.0": parent})
    assert [each.ami_id for each in find(service).used_by] == ([AMI] if counts else [])


def test_a_recipe_that_names_an_image_without_ami_in_its_region() -> None:
    service = FakeService()
    arn = service.add_image(1, "eu-west-1")
    service.world(REGION).image_recipes = {"child/1.0.0": arn}
    assert [(each.ami_id, each.region) for each in find(service).used_by] == [(arn, REGION)]


def test_a_kind_that_is_not_known_here_counts() -> None:
    """What a newer EC2 answers unasked is no reason to delete."""
    service = FakeService()
    service.add_image()
    answer = service._describe_image_references

    def more(*arguments: Any, **named: Any) -> dict[str, Any]:
        arn = f"arn:aws:batch:{REGION}:{ACCOUNT}:compute-environment/nightly"
        entry = {"ImageId": AMI, "ResourceType": "batch:ComputeEnvironment", "Arn": arn}
        return {"ImageReferences": [*answer(*arguments, **named)["ImageReferences"], entry]}

    service._describe_image_references = more  # type: ignore[method-assign]
    assert uses(find(service)) == [("batch:ComputeEnvironment nightly", AMI, True)]


def test_amis_that_are_gone_are_left_out(service: FakeService) -> None:
    service.world().amis.clear()
    service.world().parameters = {"/golden/web": AMI}
    found = find(service)
    assert (found.amis, found.used_by, found.in_use) == ([], [], False)
    assert service.count("describe_image_references") == 0


def test_an_ami_that_is_deregistered_meanwhile_is_left_out() -> None:
    service = FakeService()
    arn = service.add_image(1)
    service.images[arn]["outputResources"]["amis"].append({"region": REGION, "image": "ami-2"})
    service.world().amis["ami-2"] = {**service.world().amis[AMI], "ImageId": "ami-2"}

    def deregister(region: str, operation: str) -> None:
        if operation == "describe_image_references":
            service.world().amis.pop("ami-2", None)

    service.before = deregister
    assert [ami.ami_id for ami in find(service).amis] == [AMI]
    assert service.count("describe_image_references") == 2


def test_an_ami_that_ec2_describes_and_does_not_know_is_given_up(service: FakeService) -> None:
    service.fail(
        REGION, "describe_image_references", ServiceError("InvalidAMIID.NotFound: no", "InvalidAMIID.NotFound")
    )
    assert [each.reason for each in find(service).not_looked_up] == ["InvalidAMIID.NotFound: no"]
    assert service.count("describe_image_references") == 3


@pytest.mark.parametrize("image", [None, {}, {"outputResources": {}}, {"outputResources": {"containers": [{}]}}])
def test_an_image_without_amis_makes_no_call_to_ec2(image: dict[str, Any] | None) -> None:
    service = FakeService()
    if image is not None:
        service.images[arn_of()] = image
    found = find(service)
    assert (found.amis, found.used_by, found.not_looked_up) == ([], [], [])
    assert service.count() == service.count("get_image")


def test_amis_of_other_accounts_are_named_and_not_looked_at(service: FakeService) -> None:
    amis = service.images[arn_of()]["outputResources"]["amis"]
    amis[0]["accountId"] = ACCOUNT
    amis += [{"region": region, "image": "ami-9", "accountId": OTHER_ACCOUNT} for region in (REGION, "eu-west-1")]
    found = find(service)
    assert [ami.ami_id for ami in found.amis] == [AMI]
    assert [(each.region, each.account_id, each.reason, each.ami_ids) for each in found.not_looked_up] == [
        (REGION, OTHER_ACCOUNT, "it belongs to another account", ("ami-9",)),
        ("eu-west-1", OTHER_ACCOUNT, "it belongs to another account", ("ami-9",)),
    ]
    assert found.failures == []
    assert not service.count(region="eu-west-1")


def test_all_pages_are_read() -> None:
    service = FakeService(page_size=1)
    service.add_image(1)
    world = service.world()
    for number in range(3):
        world.add_template(f"other-{number}", OTHER)
        world.add_group(f"other-{number}")
        world.configurations[f"other-{number}"] = OTHER
        world.parameters[f"other-{number}"] = OTHER
        world.instances[f"i-other-{number}"] = (AMI, "terminated")
    id_ = world.add_template("web", AMI)
    world.add_group("web", LaunchTemplate={"LaunchTemplateId": id_})
    world.configurations["web"] = AMI
    world.parameters |= {"a": AMI, "b": AMI}
    world.instances["i-1"] = (AMI, "running")
    world.image_recipes = {"other/1.0.0": OTHER, "child/1.0.0": arn_of(1)}
    assert {each.name for each in find(service).used_by} == {"web", "a", "b", "i-1", "child"}


FAULTS = (
    "describe_images",
    "describe_image_references",
    "describe_instances",
    "describe_launch_template_versions",
    "describe_auto_scaling_groups",
    "describe_launch_configurations",
)


def three_regions() -> FakeService:
    service = FakeService(page_size=1)
    service.add_image(1, *REGIONS)
    for region in REGIONS:
        world = service.world(region)
        world.add_template("web", f"ami-1-{region}", OTHER)
        world.add_template("other", OTHER)
        for name in ("web", "other"):
            world.add_group(name)
            world.configurations[name] = OTHER
            world.parameters[name] = f"ami-1-{region}"
            world.instances[f"i-{name}"] = (f"ami-1-{region}", "running")
    return service


@pytest.mark.parametrize("operation", FAULTS)
def test_a_right_that_is_missing_in_one_region(operation: str) -> None:
    """That region is not looked up, and the right is known; the others are."""
    service = three_regions()
    named = "autoscaling" if "auto_scaling" in operation or "configurations" in operation else "ec2"
    action = f"{named}:{operation.title().replace('_', '')}"
    service.fail("eu-west-1", operation, ServiceError("AccessDenied: no", "AccessDenied"))
    found = find(service)
    (failure,) = found.failures
    assert (failure.region, failure.account_id, failure.ami_ids) == ("eu-west-1", ACCOUNT, ("ami-1-eu-west-1",))
    assert isinstance(failure.error, MissingPermission)
    assert failure.error.permission == action
    assert [ami.region for ami in found.amis] == ["us-east-1", "us-west-2"]


def test_the_right_that_ec2_names_is_the_one_that_is_missing() -> None:
    """DescribeImageReferences reads by the caller's own rights: not the call is missing, but what it calls."""
    service = three_regions()
    service.fail("eu-west-1", "describe_image_references", denied("ssm:DescribeParameters"))
    (failure,) = find(service).failures
    assert isinstance(failure.error, MissingPermission)
    assert failure.error.permission == "ssm:DescribeParameters"


@pytest.mark.parametrize("operation", FAULTS)
def test_a_region_that_does_not_answer_is_given_up(operation: str) -> None:
    service = three_regions()
    service.fail("eu-west-1", operation, STALL)
    found = find(service)
    (failure,) = found.failures
    assert isinstance(failure.error, TemporaryError)
    assert failure.reason == "no answer within 2m00s: retrying after ServiceUnavailable: it is busy"
    assert [ami.region for ami in found.amis] == ["us-east-1", "us-west-2"]


@pytest.mark.parametrize("operation", [each for each in FAULTS if each != "describe_images"])
def test_a_page_that_does_not_come_leaves_the_region_out(operation: str) -> None:
    """Half a list is none: what uses the AMI may be on the page that is missing."""
    service = three_regions()
    service.fail("eu-west-1", operation, STALL, from_call=2)
    found = find(service)
    assert service.count(operation, "eu-west-1") == 2
    assert [failure.region for failure in found.failures] == ["eu-west-1"]
    assert [ami.region for ami in found.amis] == ["us-east-1", "us-west-2"]


@pytest.mark.parametrize("operation", ["list_image_recipes", "list_container_recipes"])
def test_recipes_that_cannot_be_listed(operation: str) -> None:
    service = three_regions()
    service.fail(REGION, operation, ServiceError("AccessDeniedException: no", "AccessDeniedException"))
    found = find(service)
    (failure,) = found.failures
    assert (failure.region, failure.ami_ids) == (REGION, ())
    assert isinstance(failure.error, MissingPermission)
    assert failure.error.permission == f"imagebuilder:{operation.title().replace('_', '')}"
    assert len(found.amis) == 3


def test_an_image_that_cannot_be_read_is_not_looked_up(service: FakeService) -> None:
    service.fail(REGION, "get_image", denied("imagebuilder:GetImage"))
    found = find(service)
    assert [(each.region, each.ami_ids) for each in found.failures] == [(REGION, ())]
    assert (found.amis, found.in_use) == ([], False)


@pytest.mark.parametrize("operation", ["get_image", "describe_images"])
def test_a_forbidden_account_is_an_error(service: FakeService, operation: str) -> None:
    service.fail(REGION, operation, ConfigurationError("account 123456789012 is not allowed"))
    with pytest.raises(ConfigurationError):
        find(service)


@in_event_loop
async def test_a_slow_region_is_not_given_up() -> None:
    """The limit is for silence: each answer begins it anew."""
    service = three_regions()
    survey = survey_of(service)
    call = service.call

    async def slow(*arguments: Any, **named: Any) -> dict[str, Any]:
        await asyncio.sleep(REGION_TIME_LIMIT / 2)
        return await call(*arguments, **named)

    service.call = slow  # type: ignore[method-assign]
    found = await survey.find([arn_of()])
    assert found[arn_of()].failures == []
    assert asyncio.get_running_loop().time() > 2 * REGION_TIME_LIMIT


@in_event_loop
async def test_a_thousand_images_in_three_regions_take_few_calls() -> None:
    service = FakeService()
    arns = [service.add_image(build, *REGIONS) for build in range(1, 1001)]
    for region in REGIONS:
        for number in range(20):
            id_ = service.world(region).add_template(f"t-{number}", f"ami-{number + 1}-{region}", OTHER)
            service.world(region).add_group(f"g-{number}", LaunchTemplate={"LaunchTemplateId": id_, "Version": "1"})
    survey = survey_of(service)
    survey.keep_images(service.images)
    found = await survey.find(arns)
    assert sum(each.in_use for each in found.values()) == 20
    assert list(found) == arns
    assert {operation: service.count(operation) for _, operation, _ in service.calls} == {
        "describe_images": 15,
        "describe_image_references": 300,
        "describe_launch_template_versions": 3,
        "describe_auto_scaling_groups": 3,
        "describe_launch_configurations": 3,
        "list_image_recipes": 1,
        "list_container_recipes": 1,
    }


@in_event_loop
async def test_a_region_is_not_flooded() -> None:
    """EC2 allows a hundred calls at once: some are left for others."""
    service = FakeService()
    arns = [service.add_image(build) for build in range(1, 301)]
    call, running, most = service.call, 0, 0

    async def count(*arguments: Any, **named: Any) -> dict[str, Any]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        try:
            return await call(*arguments, **named)
        finally:
            running -= 1

    service.call = count  # type: ignore[method-assign]
    survey = survey_of(service)
    survey.keep_images(service.images)
    await survey.find(arns)
    assert most == 8


@in_event_loop
async def test_resources_that_ask_at_the_same_time_share_calls() -> None:
    """Forty single resources of a run cost as much as a fleet of forty."""
    service = FakeService()
    arns = [service.add_image(build) for build in range(1, 41)]
    survey = survey_of(service)
    await asyncio.gather(*(survey.find([arn]) for arn in arns))
    assert service.count("get_image") == 40
    assert service.count() == 40 + 1 + 4 + 3 + 2
    await survey.find(arns)
    assert service.count() == 40 + 1 + 4 + 3 + 2


@in_event_loop
async def test_what_was_read_is_kept_for_a_minute() -> None:
    service = FakeService()
    arn = service.add_image()
    time = 0.0
    survey = survey_of(service, clock=lambda: time)
    await survey.find([arn])
    service.world().parameters["/golden/web"] = AMI
    time = 59
    assert not (await survey.find([arn]))[arn].in_use
    time = 61
    assert (await survey.find([arn]))[arn].in_use
    assert service.count("describe_auto_scaling_groups") == 2


@in_event_loop
async def test_images_are_read_by_the_reader_and_the_rest_one_by_one() -> None:
    service = FakeService()
    arns = [service.add_image(build) for build in range(1, 5)]
    asked = []

    async def read(wanted: Any, on_retry: Any) -> dict[str, Any]:
        asked.append(list(wanted))
        return {
            arns[0]: Image.parse(service.images[arns[0]]),
            arns[1]: Image.parse(service.images[arns[1]]),
            arns[2]: GONE,
        }

    found = await survey_of(service, read_images=read).find(arns)
    assert asked == [arns]
    assert service.count("get_image") == 1
    assert [len(found[arn].amis) for arn in arns] == [1, 1, 0, 1]


@in_event_loop
async def test_accounts_that_amis_are_shared_with_are_asked_for_only_where_it_matters() -> None:
    service = FakeService()
    arns = [service.add_image(build) for build in (1, 2, 3)]
    service.world().shares = {OTHER_ACCOUNT: {"ami-2-us-east-1"}}
    survey = survey_of(service)
    await survey.find(arns)
    assert service.count("describe_images") == 1
    found = await survey.find(arns, shared_with=[OTHER_ACCOUNT, "333333333333"])
    assert service.count("describe_images") == 3
    assert [each.amis[0].shared_accounts for each in found.values()] == [set(), {OTHER_ACCOUNT}, set()]


def test_that_it_cannot_be_read_whom_amis_are_shared_with_leaves_the_region_out(service: FakeService) -> None:
    service.fail(REGION, "describe_images", denied("ec2:DescribeImages"), from_call=2)

    async def look() -> ImageReferences:
        return (await survey_of(service).find([arn_of()], shared_with=[OTHER_ACCOUNT]))[arn_of()]

    assert [failure.ami_ids for failure in run(look()).failures] == [(AMI,)]


def test_references_of_images_that_were_read_already(service: FakeService) -> None:
    service.world().instances["i-1"] = (AMI, "running")
    found = run(find_references(service, [arn_of()], images={arn_of(): service.images[arn_of()]}))
    assert found[arn_of()].in_use
    assert [each.kind for each in found[arn_of()].used_by] == [INSTANCE]
    assert service.count("get_image") == 0
