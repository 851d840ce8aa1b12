"""Rules between arguments, and about accounts and regions, beside those in the tables: schedules and what protects."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pulumi_imagebuilder.validation import UNKNOWN, Kind, validate
from pulumi_imagebuilder.validation.schema import Model

IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"
OTHER = "arn:aws:imagebuilder:us-east-1:123456789012:image/db/1.0.0/1"
CHINESE = "arn:aws-cn:imagebuilder:cn-north-1:123456789012:image/web/1.2.3/4"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
PAST, FUTURE = "2026-05-01T00:00:00Z", "2026-07-01T00:00:00Z"
NOT_IN_THE_FUTURE = (
    f'"{PAST}" is not in the future (it is now 2026-06-01T00:00:00Z); '
    "choose a later time, or leave update_at out to deprecate at once"
)


def reasons(inputs: dict[str, Any], kind: Kind = Kind.SINGLE, **options: Any) -> dict[str, str]:
    failures = validate(kind, inputs, **{"now": NOW, **options}).failures
    return {failure.property: failure.reason for failure in failures}


def excluding(*regions: str, image: str = IMAGE) -> dict[str, Any]:
    return {
        "resource_arn": image,
        "state": "DELETED",
        "include_resources": {"amis": True},
        "execution_role": "ImageLifecycle",
        "exclusion_rules": {"amis": {"regions": list(regions)}},
    }


SCHEDULED = {"resource_arn": IMAGE, "state": "DEPRECATED", "update_at": PAST, "wait": True, "on_destroy": "retain"}
FLEET = {"resource_arns": [IMAGE], "state": "DEPRECATED", "update_at": PAST, "wait": True, "on_destroy": "retain"}


@pytest.mark.parametrize(
    ("kind", "previous", "edit"),
    [
        (Kind.SINGLE, SCHEDULED, {}),
        (Kind.SINGLE, SCHEDULED, {"update_at": "2026-05-01T02:00:00+02:00"}),
        (Kind.SINGLE, SCHEDULED, {"wait": False, "on_destroy": "cancel", "in_use": "ignore", "max_amis": 3.0}),
        (Kind.SINGLE, SCHEDULED, {"triggers": [UNKNOWN]}),
        (Kind.SINGLE, SCHEDULED, {"resource_arn": UNKNOWN}),
        (Kind.FLEET, FLEET, {}),
        (Kind.FLEET, FLEET, {"resource_arns": []}),
        (Kind.FLEET, FLEET, {"resource_arns": UNKNOWN}),
        (Kind.FLEET, FLEET, {"resource_arns": [UNKNOWN, IMAGE]}),
    ],
)
def test_elapsed_schedule_is_no_mistake(kind: Kind, previous: dict[str, Any], edit: dict[str, Any]) -> None:
    """While the service is not called again, as far as is known, the time was in the future when it was sent."""
    assert reasons({**previous, **edit}, kind, previous=previous) == {}


@pytest.mark.parametrize(
    ("kind", "previous", "edit"),
    [
        (Kind.SINGLE, None, {}),
        (Kind.SINGLE, {}, {}),
        (Kind.SINGLE, {**SCHEDULED, "update_at": FUTURE}, {"update_at": PAST}),
        (Kind.SINGLE, SCHEDULED, {"triggers": ["again"]}),
        (Kind.SINGLE, SCHEDULED, {"resource_arn": OTHER}),
        (Kind.SINGLE, {**SCHEDULED, "state": "DISABLED"}, {"state": "DEPRECATED"}),
        (Kind.FLEET, FLEET, {"resource_arns": [IMAGE, OTHER]}),
        (Kind.FLEET, FLEET, {"resource_arns": [UNKNOWN, OTHER]}),
    ],
)
def test_schedule_in_the_past_is_refused_before_a_call(
    kind: Kind, previous: dict[str, Any] | None, edit: dict[str, Any]
) -> None:
    """A time in the past is refused when it is first declared, or sent again."""
    base = FLEET if kind is Kind.FLEET else SCHEDULED

    assert reasons({**base, **edit}, kind, previous=previous) == {"update_at": NOT_IN_THE_FUTURE}


def test_schedule_in_the_past_is_refused_where_a_new_argument_changes(
    description: dict[str, Any], partitions: dict[str, Any], new_members: None
) -> None:
    """An argument that a newer botocore has calls the service again like any other."""
    model = Model(description, partitions)

    assert reasons({**SCHEDULED, "dry_run": True}, previous=SCHEDULED, model=model) == {"update_at": NOT_IN_THE_FUTURE}
    assert reasons({**SCHEDULED, "dry_run": False}, previous=SCHEDULED, model=model) == {}


def test_clock_is_the_machines_by_default() -> None:
    """Without a time, the clock's is used."""
    failures = validate(Kind.SINGLE, {**SCHEDULED, "update_at": "2020-01-01T00:00:00Z"}).failures
    assert [failure.property for failure in failures] == ["update_at"]
    assert validate(Kind.SINGLE, {**SCHEDULED, "update_at": "9000-01-01T00:00:00Z"}).failures == []


@pytest.mark.parametrize(
    ("region", "hint"),
    [
        ("us-east1", "us-east-1"),
        ("useast1", "us-east-1"),
        ("us-esat-1", "us-east-1"),
        ("us_east_1", "us-east-1"),
        ("US-EAST-1", "us-east-1"),
        (" eu-west-1", "eu-west-1"),
        ("eu-west-1\n", "eu-west-1"),
        ("us-east-1a", "us-east-1"),
        ("eu-wset-3", "eu-west-3"),
        ("eu-centrale-1", "eu-central-1"),
        ("us-east-\uff11", None),
        ("aws-global", None),
        ("us-gov-1", None),
        ("us-*", None),
        ("*", None),
        ("Ireland", None),
    ],
)
def test_excluded_region_that_does_not_exist_is_refused(region: str, hint: str | None) -> None:
    """What it should keep would be deleted; the region that was probably meant is suggested."""
    found = reasons(excluding("eu-west-1", region))

    assert found.keys() == {"exclusion_rules.amis.regions[1]"}
    [reason] = found.values()
    assert 'is not a region, so it would exclude nothing; expected a region such as "us-east-1"' in reason
    assert hint is None or reason.endswith(f'(did you mean "{hint}"?)')


@pytest.mark.parametrize(
    "region", ["us-east-1", "ap-southeast-7", "eu-north-9", "me-south-12", "ca-northeast-1", "us-northcentral-2"]
)
def test_excluded_region_newer_than_botocore_is_accepted(region: str) -> None:
    """A region that has the form of its partition's may be newer than the botocore that is installed."""
    assert reasons(excluding(region)) == {}


def test_excluded_region_of_an_image_is_accepted() -> None:
    """Where an image is, there is a region, even in an area that no partition of this botocore has."""
    image = IMAGE.replace("us-east-1", "zz-north-7")

    assert reasons(excluding("zz-north-7", image=image)) == {}
    assert reasons(excluding("zz-north-7")).keys() == {"exclusion_rules.amis.regions[0]"}


@pytest.mark.parametrize(
    ("image", "region", "partition", "image_partition"),
    [
        (IMAGE, "cn-north-1", "aws-cn", "aws"),
        (IMAGE, "us-gov-west-1", "aws-us-gov", "aws"),
        (CHINESE, "us-east-1", "aws", "aws-cn"),
    ],
)
def test_excluded_region_of_another_partition_is_refused(
    image: str, region: str, partition: str, image_partition: str
) -> None:
    """AMIs are distributed within a partition, so such a rule protects nothing."""
    assert reasons(excluding(region, image=image)) == {
        "exclusion_rules.amis.regions[0]": (
            f'"{region}" is in partition {partition}, but the image (resource_arn) is in {image_partition}, '
            "so it would exclude nothing; leave it out"
        )
    }


def test_hint_for_an_excluded_region_is_of_the_images_partition() -> None:
    """A region that would be refused in turn is never suggested."""
    assert reasons(excluding("cn-nroth-1", "sa-east1", image=CHINESE)) == {
        "exclusion_rules.amis.regions[0]": (
            '"cn-nroth-1" is not a region, so it would exclude nothing; '
            'expected a region such as "cn-north-1" (did you mean "cn-north-1"?)'
        ),
        "exclusion_rules.amis.regions[1]": (
            '"sa-east1" is not a region, so it would exclude nothing; expected a region such as "cn-north-1"'
        ),
    }


def test_excluded_regions_are_checked_while_the_image_is_unknown() -> None:
    """A region that does not exist is refused at once; which partition it has to be in is not known yet."""
    assert reasons(excluding("us-east1", "cn-north-1", UNKNOWN, image=UNKNOWN)) == {
        "exclusion_rules.amis.regions[0]": (
            '"us-east1" is not a region, so it would exclude nothing; '
            'expected a region such as "us-east-1" (did you mean "us-east-1"?)'
        )
    }


def test_excluded_regions_of_a_new_partition(description: dict[str, Any], partitions: dict[str, Any]) -> None:
    """A partition that AWS adds brings its regions, also those whose names have another form."""
    partitions["partitions"].append(
        {"id": "aws-moon", "regionRegex": r"^moon\-\w+\-\d+$", "regions": {"moon-dark-1": {}}}
    )
    image = IMAGE.replace("arn:aws:", "arn:aws-moon:").replace("us-east-1", "moon-bright-1")
    model = Model(description, partitions)

    assert reasons(excluding("moon-dark-1", "moon-bright-1", "moon-west-1", image=image), model=model) == {}
    assert reasons(excluding("moon-drak-1", image=image), model=model) == {
        "exclusion_rules.amis.regions[0]": (
            '"moon-drak-1" is not a region, so it would exclude nothing; '
            'expected a region such as "moon-bright-1" (did you mean "moon-dark-1"?)'
        )
    }


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("account", ["aws", "aws-marketplace"])
def test_amazons_own_images_are_refused(kind: Kind, account: str) -> None:
    """Only Amazon can change them, to any state; the other images of a fleet are valid."""
    image = IMAGE.replace("123456789012", account)
    inputs: dict[Kind, dict[str, Any]] = {
        Kind.SINGLE: {"resource_arn": image, "state": "DISABLED"},
        Kind.FLEET: {"resource_arns": [image, OTHER], "state": "DISABLED"},
        Kind.CLEANUP: {"resource_arn": image, "execution_role": "arn:aws:iam::123456789012:role/ImageLifecycle"},
    }

    assert reasons(inputs[kind], kind) == {
        "resource_arns[0]" if kind is Kind.FLEET else "resource_arn": (
            f'"{image}" is one of Amazon\'s own images ({account} in the place of an account id), '
            "which only Amazon can change; expected an image of an account of yours"
        )
    }
