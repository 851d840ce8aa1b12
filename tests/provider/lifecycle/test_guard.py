"""What the guard lets pass, refuses, waits for and mentions; and what the preview says."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from pulumi_imagebuilder.errors import CredentialsError, ImageBuilderError, InUse, PermanentError, ServiceError
from pulumi_imagebuilder.lifecycle.guard import Guard, PreviewText
from pulumi_imagebuilder.lifecycle.progress import Progress
from pulumi_imagebuilder.lifecycle.references import ReferenceSurvey
from pulumi_imagebuilder.lifecycle.removal import with_resources

from tests.provider.lifecycle.fake_ec2 import (
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
OTHER = "ami-other"
REGIONS = ("eu-west-1", "us-east-1", "us-west-2")
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ROLE = "arn:aws:iam::123456789012:role/ImageLifecycle"

CLEANUP = with_resources({"executionRole": ROLE}, "AMI")


def request(state: str = "DELETED", *, snapshots: bool = True, **rules: Any) -> dict[str, Any]:
    """A state update that includes AMIs, with exclusion rules."""
    included = {"amis": True, "snapshots": True} if state == "DELETED" and snapshots else {"amis": True}
    excluded = {"exclusionRules": {"amis": rules}} if rules else {}
    return {"state": {"status": state}, "executionRole": ROLE, "includeResources": included, **excluded}


class Row(Progress):
    """A progress that keeps all its notes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.notes: list[str | None] = []

    @property
    def note(self) -> str | None:
        return self.notes[-1] if self.notes else None

    @note.setter
    def note(self, text: str | None) -> None:
        self.notes.append(text)


class Checks:
    """A guard with a service behind it, and what it said."""

    def __init__(self, service: FakeService, mode: Any = "refuse", **options: Any) -> None:
        self.survey = ReferenceSurvey(service, clock=lambda: asyncio.get_running_loop().time())
        arns = options.pop("arns", [arn_of()])
        self.guard = Guard(self.survey, mode, arns, now=lambda: NOW, **options)
        self.row = Row("changing an image")
        self.warnings: list[str] = []

    async def check(self, arn: str | None = None, change: dict[str, Any] | None = None) -> None:
        await self.guard.check(arn or arn_of(), change or request(), self.row, self.warnings.append)

    def refusal(self, arn: str | None = None, change: dict[str, Any] | None = None) -> ImageBuilderError:
        with pytest.raises(ImageBuilderError) as caught:
            run(self.check(arn, change))
        return caught.value


def passes(service: FakeService, change: dict[str, Any] | None = None, mode: str = "refuse", **options: Any) -> bool:
    try:
        run(Checks(service, mode, **options).check(change=change))
    except InUse:
        return False
    return True


@pytest.fixture
def service() -> FakeService:
    """A service with one image of one AMI, which an SSM parameter names."""
    service = FakeService()
    service.add_image()
    service.world().parameters = {"/golden/web": AMI}
    return service


# What counts, for which change


def use_template(service: FakeService, *images: str, default: int = 1, pinned: str | None = None) -> None:
    id_ = service.world().add_template("web", *images, default=default)
    if pinned:
        service.world().add_group("other", LaunchTemplate={"LaunchTemplateId": id_, "Version": pinned})


def use_group(service: FakeService, version: str, *images: str) -> None:
    id_ = service.world().add_template("web", *images)
    service.world().add_group("web", LaunchTemplate={"LaunchTemplateId": id_, "Version": version})


def use_configuration(service: FakeService, *, attached: bool) -> None:
    service.world().configurations["web-1"] = AMI
    service.world().add_group("web", **({"LaunchConfigurationName": "web-1"} if attached else {}))


def use_override(service: FakeService) -> None:
    overrides = {"Overrides": [{"InstanceType": "m7g.large", "ImageId": AMI}]}
    service.world().add_group("web", MixedInstancesPolicy={"LaunchTemplate": overrides})


def use_instance(service: FakeService, state: str) -> None:
    service.world().instances["i-1"] = (AMI, state)


ALWAYS, DELETION, NEVER = {"DISABLED", "DELETED"}, {"DELETED"}, set[str]()
USES: dict[str, tuple[Any, set[str]]] = {
    "nothing": (lambda service: None, NEVER),
    "template, default version": (lambda service: use_template(service, AMI, OTHER), ALWAYS),
    "template, latest version": (lambda service: use_template(service, OTHER, AMI), ALWAYS),
    "template, pinned version": (lambda service: use_template(service, OTHER, AMI, OTHER, pinned="2"), ALWAYS),
    "template, older version": (lambda service: use_template(service, OTHER, AMI, OTHER), NEVER),
    "template, older version, another pinned": (
        lambda service: use_template(service, OTHER, AMI, OTHER, OTHER, pinned="3"),
        NEVER,
    ),
    "group, default version": (lambda service: use_group(service, "$Default", AMI, OTHER), ALWAYS),
    "group, latest version": (lambda service: use_group(service, "$Latest", OTHER, AMI), ALWAYS),
    "group, pinned version": (lambda service: use_group(service, "2", OTHER, AMI, OTHER), ALWAYS),
    "group, override": (use_override, ALWAYS),
    "group, launch configuration": (lambda service: use_configuration(service, attached=True), ALWAYS),
    "launch configuration of no group": (lambda service: use_configuration(service, attached=False), NEVER),
    "parameter": (lambda service: service.world().parameters.update({"/golden/web": AMI}), ALWAYS),
    "image recipe": (lambda service: service.world().image_recipes.update({"child/1.0.0": AMI}), ALWAYS),
    "image recipe, by this build's ARN": (
        lambda service: service.world().image_recipes.update({"child/1.0.0": arn_of()}),
        ALWAYS,
    ),
    "image recipe, by another build's ARN": (
        lambda service: service.world().image_recipes.update({"child/1.0.0": arn_of(2)}),
        NEVER,
    ),
    "container recipe": (lambda service: service.world().container_recipes.update({"child/1.0.0": AMI}), ALWAYS),
    "container recipe, by this build's ARN": (
        lambda service: service.world().container_recipes.update({"child/1.0.0": arn_of()}),
        ALWAYS,
    ),
    "pending instance": (lambda service: use_instance(service, "pending"), DELETION),
    "running instance": (lambda service: use_instance(service, "running"), DELETION),
    "stopping instance": (lambda service: use_instance(service, "stopping"), DELETION),
    "stopped instance": (lambda service: use_instance(service, "stopped"), DELETION),
    "shutting down instance": (lambda service: use_instance(service, "shutting-down"), NEVER),
    "terminated instance": (lambda service: use_instance(service, "terminated"), NEVER),
}


@pytest.mark.parametrize("state", ["AVAILABLE", "DEPRECATED", "DISABLED", "DELETED"])
@pytest.mark.parametrize("use", USES)
def test_which_use_counts_for_which_change(use: str, state: str) -> None:
    """Each cell of the table in docs/retiring.md."""
    service = FakeService()
    service.add_image()
    add, states = USES[use]
    add(service)
    assert passes(service, request(state)) is (state not in states)


TAKES_NOTHING = [
    request("DEPRECATED"),
    request("AVAILABLE"),
    {"state": {"status": "DISABLED"}},
    {"state": {"status": "DISABLED"}, "includeResources": {"amis": False}},
    {"state": {"status": "DELETED"}, "includeResources": {"containers": True}},
    {**CLEANUP, "includeResources": {"containers": True}},
]


@pytest.mark.parametrize("change", TAKES_NOTHING)
def test_a_change_that_takes_no_amis_away_makes_no_call(service: FakeService, change: dict[str, Any]) -> None:
    run(Checks(service, max_amis=1).check(change=change))
    assert preview(service, change) == PreviewText()
    assert service.count() == 0


def test_a_clean_up_deletes_what_the_image_has(service: FakeService) -> None:
    assert not passes(service, CLEANUP)
    service.images[arn_of()] = {"type": "DOCKER", "outputResources": {"containers": [{"region": REGION}]}}
    assert passes(service, CLEANUP)


def test_an_image_that_is_gone_passes(service: FakeService) -> None:
    service.images.clear()
    assert passes(service)


@pytest.mark.parametrize(("state", "passed"), [("DISABLED", True), ("DELETED", False)])
def test_an_ami_that_is_disabled_already(service: FakeService, state: str, passed: bool) -> None:
    service.world().amis[AMI]["State"] = "disabled"
    assert passes(service, request(state)) is passed


LAUNCHED = {"LastLaunchedTime": "2026-11-20T12:00:00.000Z"}
RULES: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    # the AMI, the rules, whether it is left out
    "public": ({"Public": True}, {"isPublic": True}, True),
    "private": ({"Public": False}, {"isPublic": True}, False),
    "public, no such rule": ({"Public": True}, {"isPublic": False}, False),
    "its region": ({}, {"regions": ["eu-west-1", REGION]}, True),
    "another region": ({}, {"regions": ["eu-west-1"]}, False),
    "its tag": ({"Tags": [{"Key": "keep", "Value": "yes"}]}, {"tagMap": {"a": "b", "keep": "yes"}}, True),
    "its tag's key alone": ({"Tags": [{"Key": "keep", "Value": "no"}]}, {"tagMap": {"keep": "yes"}}, False),
    "launched within days": (LAUNCHED, {"lastLaunched": {"value": 6, "unit": "DAYS"}}, True),
    "launched before": (LAUNCHED, {"lastLaunched": {"value": 5, "unit": "DAYS"}}, False),
    "launched within weeks": (LAUNCHED, {"lastLaunched": {"value": 1, "unit": "WEEKS"}}, True),
    "launched within months": (LAUNCHED, {"lastLaunched": {"value": 1, "unit": "MONTHS"}}, True),
    "launched within years": (LAUNCHED, {"lastLaunched": {"value": 1, "unit": "YEARS"}}, True),
    "launched 29 days ago, within a month by the calendar": (
        {"LastLaunchedTime": "2026-10-27T12:00:00.000Z"},
        {"lastLaunched": {"value": 1, "unit": "MONTHS"}},
        False,
    ),
    "never launched": ({}, {"lastLaunched": {"value": 1, "unit": "YEARS"}}, False),
    "its account": ({}, {"sharedAccounts": ["333333333333", OTHER_ACCOUNT]}, True),
    "another account": ({}, {"sharedAccounts": ["333333333333"]}, False),
}


@pytest.mark.parametrize("state", ["DISABLED", "DELETED"])
@pytest.mark.parametrize("rule", RULES)
def test_amis_that_exclusion_rules_leave_out_never_count(rule: str, state: str) -> None:
    described, rules, left_out = RULES[rule]
    service = FakeService()
    service.add_image(**described)
    service.world().shares = {OTHER_ACCOUNT: {AMI}}
    service.world().parameters = {"/golden/web": AMI}
    assert passes(service, request(state, **rules)) is left_out


def test_a_region_that_is_left_out_is_not_asked() -> None:
    """It may be one that the caller has no right to look at."""
    service = FakeService()
    service.add_image(1, *REGIONS)
    assert passes(service, request(regions=["eu-west-1"]))
    assert not service.count(region="eu-west-1")


def test_a_recipe_by_arn_takes_the_ami_of_its_own_region() -> None:
    """Where that one is left out, the recipe loses nothing."""
    service = FakeService()
    service.add_image(1, *REGIONS)
    service.world().image_recipes = {"child/1.0.0": arn_of()}
    assert passes(service, request(regions=[REGION]))
    assert not passes(service, request(regions=["eu-west-1"]))


def test_a_recipe_by_arn_loses_the_image_with_its_record() -> None:
    service = FakeService()
    service.add_image(1, "eu-west-1")
    service.world().image_recipes = {"child/1.0.0": arn_of()}
    assert passes(service, request("DISABLED"))
    assert not passes(service, request("DELETED"))


# Texts


def test_what_a_refusal_says(service: FakeService) -> None:
    world = service.world()
    id_ = world.add_template("web", OTHER, AMI)
    world.add_group("web", LaunchTemplate={"LaunchTemplateId": id_, "Version": "$Latest"})
    error = Checks(service).refusal()
    assert isinstance(error, InUse)
    assert str(error) == (
        "ami-1-us-east-1 (us-east-1) is used by launch template web (version 2, $Latest), Auto Scaling group web "
        "(launch template web, version 2) and SSM parameter /golden/web; move these to another image and run the same "
        'command again, or set in_use="warn" to delete AMIs in use'
    )


def test_a_refusal_names_at_most_ten_amis_and_three_uses_each() -> None:
    service = FakeService()
    service.add_image()
    amis = [f"ami-{number:02}" for number in range(12)]
    service.images[arn_of()]["outputResources"]["amis"] = [{"region": REGION, "image": ami} for ami in amis]
    for ami in amis:
        service.world().amis[ami] = {**service.world().amis[AMI], "ImageId": ami}
        for number in range(5):
            service.world().parameters[f"{ami}-{number}"] = ami
    uses = "SSM parameter {0}-0, SSM parameter {0}-1, SSM parameter {0}-2 and 2 more"
    named = "; ".join(f"{ami} (us-east-1) is used by {uses.format(ami)}" for ami in amis[:10])
    assert Checks(service).refusal().reason == f"{named}; and 2 more AMIs"


@pytest.mark.parametrize("mode", ["refuse", "wait"])
def test_a_protected_ami_is_refused_before_deletion_alone(mode: str) -> None:
    service = FakeService()
    service.add_image(DeregistrationProtection="enabled-with-cooldown")
    error = Checks(service, mode).refusal()
    assert isinstance(error, PermanentError)
    assert str(error) == (
        "ami-1-us-east-1 (us-east-1) is protected from deregistration; turn the protection off, which can take a day "
        "to have an effect, and run the same command again"
    )
    assert passes(service, request("DISABLED"), mode)
    assert passes(service, request(), "ignore")


# Fail closed


FAULTS: dict[str, tuple[str, Any, type[ImageBuilderError], str]] = {
    "no right to the call": (
        "describe_auto_scaling_groups",
        ServiceError("AccessDenied: no", "AccessDenied"),
        PermanentError,
        "what uses ami-1-eu-west-1 in eu-west-1 is not known, as the caller lacks autoscaling:DescribeAutoScalingGroups"
        ': AccessDenied: no; grant autoscaling:DescribeAutoScalingGroups, or set in_use="ignore" to delete AMIs '
        "without looking",
    ),
    "no right to what is called by it": (
        "describe_image_references",
        denied("ssm:GetParameters"),
        PermanentError,
        "what uses ami-1-eu-west-1 in eu-west-1 is not known, as the caller lacks ssm:GetParameters: "
        "UnauthorizedOperation: You are not authorized to perform this operation. User: "
        "arn:aws:sts::123456789012:assumed-role/ci/1 is not authorized to perform: ssm:GetParameters because no "
        'identity-based policy allows it; grant ssm:GetParameters, or set in_use="ignore" to delete AMIs without '
        "looking",
    ),
    "not in this region": (
        "describe_image_references",
        ServiceError("InvalidAction: not valid for this web service", "InvalidAction"),
        PermanentError,
        "what uses ami-1-eu-west-1 in eu-west-1 is not known: InvalidAction: not valid for this web service; run the "
        'same command again, or set in_use="ignore" to delete AMIs without looking',
    ),
    "no answer": (
        "describe_images",
        STALL,
        InUse,
        "what uses ami-1-eu-west-1 in eu-west-1 is not known: no answer within 2m00s: retrying after "
        'ServiceUnavailable: it is busy; run the same command again, or set in_use="ignore" to delete AMIs without '
        "looking",
    ),
    "credentials that ended": (
        "describe_images",
        CredentialsError("RequestExpired: expired", "RequestExpired", next_step="check the AWS credentials"),
        InUse,
        "what uses ami-1-eu-west-1 in eu-west-1 is not known: RequestExpired: expired; check the AWS credentials",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_looked_up_in_one_region_of_three_is_refused(fault: str) -> None:
    service = FakeService()
    service.add_image(1, *REGIONS)
    operation, how, kind, said = FAULTS[fault]
    service.fail("eu-west-1", operation, how)
    error = Checks(service).refusal()
    assert (type(error), str(error)) == (kind, said)


@pytest.mark.parametrize("fault", ["no right to the call", "not in this region", "credentials that ended"])
def test_what_does_not_pass_is_not_waited_for(fault: str) -> None:
    service = FakeService()
    service.add_image(1, *REGIONS)
    operation, how, kind, said = FAULTS[fault]
    service.fail("eu-west-1", operation, how)
    error = Checks(service, "wait").refusal()
    assert (type(error), str(error)) == (kind, said)


def test_a_missing_page_is_refused() -> None:
    service = FakeService(page_size=1)
    service.add_image(1, *REGIONS)
    for region in REGIONS:
        service.world(region).add_template("a", OTHER)
        service.world(region).add_template("b", OTHER)
    service.fail("us-west-2", "describe_launch_template_versions", STALL, from_call=2)
    assert Checks(service).refusal().reason.startswith("what uses ami-1-us-west-2 in us-west-2 is not known: no answer")


def test_at_most_three_amis_whose_uses_are_not_known_are_named() -> None:
    service = FakeService()
    regions = [f"eu-west-{number}" for number in range(1, 6)]
    service.add_image(1, *regions)
    for region in regions:
        service.fail(region, "describe_images", denied("ec2:DescribeImages"))
    named = "ami-1-eu-west-1, ami-1-eu-west-2, ami-1-eu-west-3 and 2 more"
    assert Checks(service).refusal().reason.startswith(f"what uses {named} in eu-west-1, eu-west-2, ")


def test_uses_and_what_is_not_known_are_both_named() -> None:
    service = FakeService()
    service.add_image(1, *REGIONS)
    service.world().parameters = {"/golden/web": AMI}
    for region in ("eu-west-1", "us-west-2"):
        service.fail(region, "describe_images", denied("ec2:DescribeImages"))
    reason = Checks(service).refusal().reason
    assert reason.startswith(
        "ami-1-us-east-1 (us-east-1) is used by SSM parameter /golden/web; what uses ami-1-eu-west-1 and "
        "ami-1-us-west-2 in eu-west-1 and us-west-2 is not known, as the caller lacks ec2:DescribeImages: "
    )


def test_amis_of_other_accounts_do_not_block() -> None:
    service = FakeService()
    service.add_image(1, *REGIONS)
    for ami in service.images[arn_of()]["outputResources"]["amis"][1:]:
        ami["accountId"] = OTHER_ACCOUNT
    assert passes(service)


# Modes


def test_warn_mentions_and_passes(service: FakeService) -> None:
    checks = Checks(service, "warn")
    run(checks.check())
    assert checks.warnings == [
        'ami-1-us-east-1 (us-east-1) is used by SSM parameter /golden/web; continuing, as in_use is "warn"'
    ]


def test_warn_passes_what_cannot_be_looked_up(service: FakeService) -> None:
    service.fail(REGION, "describe_images", denied("ec2:DescribeImages"))
    checks = Checks(service, "warn")
    run(checks.check())
    assert [warning.partition(":")[0] for warning in checks.warnings] == [
        "what uses ami-1-us-east-1 in us-east-1 is not known, as the caller lacks ec2"
    ]


def test_ignore_makes_no_call(service: FakeService) -> None:
    checks = Checks(service, "ignore")
    run(checks.check())
    assert (service.calls, checks.warnings) == ([], [])


@in_event_loop
async def test_wait_passes_once_the_use_has_gone(service: FakeService) -> None:
    checks = Checks(service, "wait")
    waiting = asyncio.create_task(checks.check())
    await asyncio.sleep(1000)
    assert not waiting.done()
    assert checks.row.in_use == "ami-1-us-east-1 (us-east-1) is used by SSM parameter /golden/web"
    service.world().parameters.clear()
    began = asyncio.get_running_loop().time()
    await waiting
    assert asyncio.get_running_loop().time() - began <= 61
    assert (checks.row.note, checks.row.in_use, checks.warnings) == (None, None, [])
    assert service.count("describe_image_references") <= 5 + 1000 / 60


@in_event_loop
async def test_wait_notices_soon_at_first(service: FakeService) -> None:
    """What launches from an image is often destroyed beside it, within seconds."""
    checks = Checks(service, "wait")
    waiting = asyncio.create_task(checks.check())
    await asyncio.sleep(1)
    service.world().parameters.clear()
    await waiting
    assert asyncio.get_running_loop().time() < 6


@in_event_loop
async def test_wait_outlasts_a_region_that_does_not_answer(service: FakeService) -> None:
    service.world().parameters.clear()
    service.fail(REGION, "describe_images", STALL)
    checks = Checks(service, "wait")
    waiting = asyncio.create_task(checks.check())
    await asyncio.sleep(300)
    assert "retrying after ServiceUnavailable: it is busy" in checks.row.notes
    service.heal()
    await waiting


@in_event_loop
async def test_those_who_wait_share_their_calls() -> None:
    service = FakeService()
    arns = [service.add_image(build) for build in range(1, 11)]
    for build in range(1, 11):
        service.world().parameters[f"/golden/{build}"] = f"ami-{build}-{REGION}"
    checks = Checks(service, "wait", arns=arns)
    waiting = [asyncio.create_task(checks.check(arn)) for arn in arns]
    await asyncio.sleep(600)
    rounds = service.count("describe_image_references")
    assert rounds <= 5 + 600 / 60
    service.world().parameters.clear()
    await asyncio.gather(*waiting)


# Fleets and the cap


@in_event_loop
async def test_a_fleet_carries_out_the_others() -> None:
    service = FakeService()
    arns = [service.add_image(build, *REGIONS) for build in range(1, 101)]
    service.world().parameters = {"/golden/web": AMI}
    checks = Checks(service, arns=arns)
    results = await asyncio.gather(*(checks.check(arn) for arn in arns), return_exceptions=True)
    assert [type(result) for result in results] == [InUse, *[type(None)] * 99]
    assert service.count("describe_image_references") == 30
    assert service.count("describe_auto_scaling_groups") == 3


@in_event_loop
async def test_members_that_start_one_after_the_other_are_looked_up_together() -> None:
    service = FakeService()
    arns = [service.add_image(build) for build in range(1, 101)]
    checks = Checks(service, arns=arns)
    for arn in arns:
        await checks.check(arn)
        await asyncio.sleep(0.1)
    assert service.count("describe_image_references") == 10
    assert service.count() == 100 + 1 + 10 + 3 + 2


@in_event_loop
async def test_it_is_looked_at_again_when_a_minute_has_passed() -> None:
    """And only those that were not let pass before."""
    service = FakeService()
    arns = [service.add_image(build) for build in range(1, 41)]
    checks = Checks(service, arns=arns)
    for arn in arns[:20]:
        await checks.check(arn)
    service.world().parameters = {"/golden/web": f"ami-30-{REGION}"}
    await checks.check(arns[20])
    await asyncio.sleep(61)
    await checks.check(arns[21])
    with pytest.raises(InUse):
        await checks.check(arns[29])
    assert service.count("describe_image_references") == 4 + 2


@pytest.mark.parametrize("mode", ["refuse", "ignore"])
def test_a_cap_cannot_be_held_against_an_image_that_is_being_built(mode: str) -> None:
    """It may be built, and have AMIs, when the start arrives."""
    service = FakeService()
    service.images[service.add_image()] = {"arn": arn_of(), "state": {"status": "BUILDING"}}
    error = Checks(service, mode, max_amis=5).refusal()
    assert str(error) == (
        "the image is BUILDING, and max_amis cannot be held against the AMIs that it will have; run the same command "
        "again once it is built"
    )
    run(Checks(service, mode).check())


@pytest.mark.parametrize(("max_amis", "passed"), [(None, True), (4, True), (3, False)])
def test_a_cap_holds_for_all_images_of_a_fleet(max_amis: int | None, passed: bool) -> None:
    service = FakeService()
    arns = [service.add_image(build, "eu-west-1", REGION) for build in (1, 2)]
    checks = Checks(service, max_amis=max_amis, arns=arns)

    async def check() -> list[BaseException | None]:
        return await asyncio.gather(*(checks.check(arn) for arn in arns), return_exceptions=True)

    errors = run(check())
    if passed:
        assert errors == [None, None]
        return
    assert all(isinstance(error, PermanentError) for error in errors)
    assert {str(error) for error in errors} == {
        "4 AMIs would be deleted, and max_amis is 3: nothing is started; check which images these are, then raise "
        "max_amis"
    }


@in_event_loop
async def test_the_cap_is_for_a_run_and_not_for_a_moment() -> None:
    """What has been deleted meanwhile still counts: else a large fleet would pass bit by bit."""
    service = FakeService()
    arns = [service.add_image(build) for build in (1, 2, 3)]
    checks = Checks(service, max_amis=2, arns=arns)
    with pytest.raises(PermanentError):
        await checks.check(arns[0])
    service.world().amis.clear()
    await asyncio.sleep(120)
    with pytest.raises(PermanentError):
        await checks.check(arns[1])


def test_the_cap_counts_what_the_change_takes_away() -> None:
    service = FakeService()
    service.add_image(1, *REGIONS)
    service.world("eu-west-1").amis.clear()
    service.world("us-west-2").amis["ami-1-us-west-2"]["State"] = "disabled"
    assert passes(service, request("DISABLED"), max_amis=1)
    with pytest.raises(PermanentError):
        passes(service, request("DELETED"), max_amis=1)
    assert passes(service, request("DELETED", regions=[REGION]), max_amis=1)


def test_the_cap_counts_what_is_not_known(service: FakeService) -> None:
    amis = service.images[arn_of()]["outputResources"]["amis"]
    amis += [{"region": REGION, "image": "ami-9", "accountId": OTHER_ACCOUNT}]
    amis += [{"region": "eu-west-1", "image": "ami-8"}]
    service.fail("eu-west-1", "describe_images", denied("ec2:DescribeImages"))
    assert Checks(service, "warn", max_amis=2).refusal().reason == (
        "3 AMIs would be deleted, and max_amis is 2: nothing is started"
    )
    run(Checks(service, "warn", max_amis=3).check())


def test_the_cap_without_looking_counts_all_that_the_images_name(service: FakeService) -> None:
    """To ignore makes no call to EC2: what is gone already counts too."""
    service.add_image(1, *REGIONS)
    service.world().amis.clear()
    assert "3 AMIs would be disabled" in str(Checks(service, "ignore", max_amis=2).refusal(change=request("DISABLED")))
    run(Checks(service, "ignore", max_amis=2).check(change=request(regions=[REGION])))
    assert service.count() == service.count("get_image") == 2


def test_the_cap_without_looking_needs_the_images(service: FakeService) -> None:
    service.fail(REGION, "get_image", denied("imagebuilder:GetImage"))
    assert isinstance(Checks(service, "ignore", max_amis=2).refusal(), ServiceError)


# Preview


def preview(
    service: FakeService, change: dict[str, Any] | None = None, mode: str = "refuse", **options: Any
) -> PreviewText:
    arns = list(service.images) or [arn_of()]
    return run(Checks(service, mode, **options).guard.preview(arns, change or request()))


def test_the_preview_of_a_deletion() -> None:
    service = FakeService()
    service.add_image(1, "eu-west-1", "us-east-1", LastLaunchedTime="2026-11-24T08:00:00.000Z")
    service.images[arn_of()]["outputResources"]["amis"].append({"region": REGION, "image": "ami-2"})
    service.world().amis["ami-2"] = {**service.world().amis[AMI], "ImageId": "ami-2", "LastLaunchedTime": None}
    assert preview(service) == PreviewText(
        "would delete 1 image: 3 AMIs in eu-west-1 and us-east-1, 3 snapshots, up to 45 GiB; last launched 2026-11-24"
    )


def test_the_preview_of_disabling_a_fleet() -> None:
    service = FakeService()
    for build in (1, 2):
        service.add_image(build)
    assert preview(service, request("DISABLED")) == PreviewText(
        "would disable 2 images: 2 AMIs in us-east-1; no recorded launch"
    )


def test_the_preview_without_snapshots_has_no_size(service: FakeService) -> None:
    service.world().parameters.clear()
    assert preview(service, request(snapshots=False)) == PreviewText(
        "would delete 1 image: 1 AMI in us-east-1; no recorded launch"
    )


def test_the_preview_of_an_image_whose_amis_are_gone(service: FakeService) -> None:
    service.world().amis.clear()
    assert preview(service) == PreviewText("would delete 1 image: no AMIs")


def test_the_preview_names_what_only_older_versions_have(service: FakeService) -> None:
    service.world().parameters.clear()
    service.world().add_template("web", AMI, OTHER, default=2)
    assert preview(service).size_line == (
        "would delete 1 image: 1 AMI in us-east-1, 1 snapshot, up to 15 GiB; no recorded launch; "
        "also named by launch template web (an older version)"
    )


def test_the_preview_names_what_is_not_looked_at() -> None:
    service = FakeService()
    service.add_image(1, *REGIONS)
    for ami in service.images[arn_of()]["outputResources"]["amis"][1:]:
        ami["accountId"] = OTHER_ACCOUNT
    assert preview(service) == PreviewText(
        "would delete 1 image: 1 AMI in eu-west-1, 1 snapshot, up to 15 GiB; no recorded launch; "
        "not looked at: 2 AMIs in us-east-1 and us-west-2 of account 210987654321"
    )


USED = "ami-1-us-east-1 (us-east-1) is used by SSM parameter /golden/web"
MOVE = 'move these to another image and run the same command again, or set in_use="warn" to delete AMIs in use'


@pytest.mark.parametrize(
    ("mode", "warning"),
    [
        ("refuse", f"`pulumi up` would refuse this: {USED}; {MOVE}"),
        ("wait", f"`pulumi up` would wait with this: {USED}; {MOVE}"),
        ("warn", f'{USED}; `pulumi up` would continue, as in_use is "warn"'),
    ],
)
def test_the_preview_warns_of_what_up_would_do(service: FakeService, mode: str, warning: str) -> None:
    found = preview(service, mode=mode)
    assert found.size_line is not None
    assert found.warnings == [warning]


def test_the_preview_without_looking_says_what_the_image_names(service: FakeService) -> None:
    assert preview(service, mode="ignore") == PreviewText("would delete 1 image: up to 1 AMI in us-east-1")
    assert service.count() == service.count("get_image")


@pytest.mark.parametrize("mode", ["refuse", "wait", "warn", "ignore"])
def test_the_preview_warns_of_too_many_amis(mode: str) -> None:
    service = FakeService()
    service.add_image(1, *REGIONS)
    assert preview(service, mode=mode, max_amis=2).warnings == [
        "`pulumi up` would refuse this: 3 AMIs would be deleted, and max_amis is 2: nothing is started; "
        "check which images these are, then raise max_amis"
    ]


UNBUILT = "the image is BUILDING, and max_amis cannot be held against the AMIs that it will have"


@pytest.mark.parametrize("mode", ["refuse", "wait", "warn", "ignore"])
def test_the_preview_warns_of_an_image_that_is_being_built(mode: str) -> None:
    """As `pulumi up` does: only where there is a limit, unless it waits until the image is built."""
    service = FakeService()
    service.images[service.add_image()] = {"arn": arn_of(), "state": {"status": "BUILDING"}}
    assert preview(service, mode=mode, max_amis=5) == PreviewText(
        "would delete 1 image: no AMIs",
        [f"`pulumi up` would refuse this: {UNBUILT}; run the same command again once it is built"],
    )
    assert preview(service, mode=mode).warnings == []
    assert preview(service, mode=mode, max_amis=5, awaits_build=True).warnings == []


def test_the_preview_names_the_images_of_a_fleet_that_are_being_built() -> None:
    service = FakeService()
    for build in (1, 2, 3):
        service.add_image(build)
    for build in (2, 3):
        service.images[arn_of(build)] = {"arn": arn_of(build), "state": {"status": "BUILDING"}}
    assert preview(service, max_amis=5).warnings == [
        f"`pulumi up` would refuse this: 2 images: {UNBUILT}: web/1.0.0/2, web/1.0.0/3 "
        "(arn:aws:imagebuilder:us-east-1:123456789012:image/…); run the same command again once it is built"
    ]
    service.add_image(3)
    assert preview(service, max_amis=5).warnings == [
        f"`pulumi up` would refuse this: image {arn_of(2)}: {UNBUILT}; run the same command again once it is built"
    ]


def test_the_preview_of_an_image_that_is_gone_is_empty(service: FakeService) -> None:
    service.images.clear()
    assert preview(service) == PreviewText()
    assert preview(service, mode="ignore") == PreviewText()


@pytest.mark.parametrize("operation", ["get_image", "describe_images", "list_image_recipes"])
@pytest.mark.parametrize(
    "fault", [STALL, denied("ec2:DescribeImages"), ValueError("a fault of ours"), ServiceError("Gone: gone", "Gone")]
)
def test_the_preview_never_fails_and_ends_within_a_minute(service: FakeService, operation: str, fault: Any) -> None:
    service.fail(REGION, operation, fault)

    async def look() -> tuple[PreviewText, float]:
        found = await Checks(service).guard.preview([arn_of()], request())
        return found, asyncio.get_running_loop().time()

    found, time = run(look())
    assert time <= 60.2
    assert len(found.warnings) == 1
    assert "not known" in found.warnings[0]


def test_the_preview_says_that_there_was_no_answer(service: FakeService) -> None:
    service.fail(REGION, "describe_images", STALL)
    assert preview(service).warnings == ["what would be deleted is not known: there was no answer within 1m00s"]


def test_the_preview_reads_only(service: FakeService) -> None:
    preview(service, request(sharedAccounts=[OTHER_ACCOUNT]), max_amis=1)
    assert all(operation.startswith(("describe_", "get_", "list_")) for _, operation, _ in service.calls)


@in_event_loop
async def test_a_cancelled_check_leaves_nothing_running(service: FakeService) -> None:
    """The time limit of the resource ends a wait; the loop has nothing left to do."""
    service.fail(REGION, "describe_images", STALL)
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(Checks(service, "wait").check())
    await asyncio.sleep(100)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(1)
    assert asyncio.all_tasks() == before
