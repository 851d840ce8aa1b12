"""What can be declared follows from the model of botocore."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pulumi_imagebuilder.validation import Kind, validate
from pulumi_imagebuilder.validation.schema import DEFAULTS, IMAGES, Model, installed, members
from pulumi_imagebuilder.validation.schema import IMAGE as IMAGE_ARGUMENT

IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"
ROLE = "arn:aws:iam::123456789012:role/ImageLifecycle"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def reasons(inputs: dict[str, Any], kind: Kind = Kind.SINGLE, **options: Any) -> dict[str, str]:
    failures = validate(kind, inputs, **{"now": NOW, **options}).failures
    return {failure.property: failure.reason for failure in failures}


def test_new_enumeration_values_are_accepted(description: dict[str, Any], partitions: dict[str, Any]) -> None:
    """A state that AWS adds is accepted, and suggested, as soon as botocore has it."""
    description["shapes"]["ResourceStatus"]["enum"].append("ARCHIVED")
    model = Model(description, partitions)

    assert reasons({"resource_arn": IMAGE, "state": "ARCHIVED"}, model=model) == {}
    assert reasons({"resource_arn": IMAGE, "state": "ARCHIVE"}, model=model) == {
        "state": (
            '"ARCHIVE" is not valid; expected one of AVAILABLE, DELETED, DEPRECATED, DISABLED, ARCHIVED '
            '(did you mean "ARCHIVED"?)'
        )
    }
    assert reasons({"resource_arn": IMAGE, "state": "ARCHIVED"}).keys() == {"state"}


def test_limits_are_the_models(description: dict[str, Any], partitions: dict[str, Any]) -> None:
    """Lengths, bounds, patterns, required members and new members all come from the model."""
    shapes = description["shapes"]
    shapes["ClientToken"].update(max=2)
    shapes["AccountId"].update(pattern="^[0-9]{3}$")
    shapes["LifecyclePolicyDetailExclusionRulesAmisLastLaunchedValue"].update(max=2)
    shapes["LifecyclePolicyDetailExclusionRulesAmisLastLaunched"]["required"] = ["value"]
    shapes["LifecyclePolicyDetailExclusionRulesAmis"]["members"]["minimumAge"] = {"shape": "Age"}
    shapes["Age"] = {"type": "long", "min": 7}
    rules = {
        "shared_accounts": ["123", "123456789012"],
        "last_launched": {"value": 3.0},
        "minimum_age": 6.0,
    }
    inputs = {
        "resource_arn": IMAGE,
        "state": "DEPRECATED",
        "include_resources": {"amis": True},
        "execution_role": ROLE,
        "exclusion_rules": {"amis": rules},
        "client_token": "abc",
    }

    assert reasons(inputs, model=Model(description, partitions)) == {
        "exclusion_rules.amis.shared_accounts[1]": '"123456789012" is not valid; expected text that matches ^[0-9]{3}$',
        "exclusion_rules.amis.last_launched.value": "3 is not valid; expected a whole number, 1 to 2",
        "exclusion_rules.amis.minimum_age": "6 is not valid; expected a whole number, at least 7",
        "client_token": '"abc" has 3 characters; expected 1 to 2',
    }


def test_patterns_in_another_dialect_are_left_to_the_service(
    description: dict[str, Any], partitions: dict[str, Any]
) -> None:
    """A newer botocore may bring a pattern in another dialect: that is no reason to fail."""
    description["shapes"]["TagKey"]["pattern"] = r"^\p{L}+$"
    inputs = {
        "resource_arn": IMAGE,
        "state": "DEPRECATED",
        "include_resources": {"amis": True},
        "execution_role": ROLE,
        "exclusion_rules": {"amis": {"tag_map": {"größe": "xl"}}},
    }

    assert reasons(inputs, model=Model(description, partitions)) == {}


def test_arns_of_a_later_form_are_accepted(description: dict[str, Any], partitions: dict[str, Any]) -> None:
    """An ARN that a newer model accepts is accepted, and no rule about ARNs of today's form applies to it."""
    shape = description["shapes"]["ImageBuildVersionArn"]
    shape["pattern"] = "^arn2?:"
    model = Model(description, partitions)

    assert reasons({"resource_arn": "arn2:image-web", "state": "DISABLED"}, model=model) == {}
    assert reasons({"resource_arn": "image-web", "state": "DISABLED"}, model=model).keys() == {"resource_arn"}


def test_new_partitions_are_accepted(description: dict[str, Any], partitions: dict[str, Any]) -> None:
    """A partition that AWS adds is known as soon as botocore knows it."""
    partitions["partitions"].append({"id": "aws-moon", "regionRegex": r"^moon\-\w+\-\d+$"})
    image = IMAGE.replace("arn:aws:", "arn:aws-moon:").replace("us-east-1", "moon-dark-1")
    inputs = {"resource_arn": image, "state": "DEPRECATED"}

    assert reasons(inputs, model=Model(description, partitions)) == {}
    assert reasons(inputs).keys() == {"resource_arn"}


@pytest.mark.parametrize("kind", list(Kind))
def test_new_members_are_arguments(
    kind: Kind, description: dict[str, Any], partitions: dict[str, Any], new_members: None
) -> None:
    """An argument that AWS adds is one of every kind, without a line of ours."""
    added = members(Model(description, partitions).declaration(kind)).keys() - members(installed().declaration(kind))

    assert added == {"dry_run", "notify"}


def test_update_fields_are_the_request_and_triggers(
    description: dict[str, Any], partitions: dict[str, Any], new_members: None
) -> None:
    """A change of what the service is sent runs again, but for the role; of our own arguments only triggers do."""
    today = {"state", "include_resources", "exclusion_rules", "update_at", "client_token", "triggers"}

    assert installed().update_fields == today
    assert Model(description, partitions).update_fields == {*today, "dry_run", "notify"}


def test_arguments_of_each_kind() -> None:
    """A clean-up has neither a state nor a time, and no token; a fleet has images for the image."""
    single = set(members(installed().declaration(Kind.SINGLE)))

    assert set(members(installed().declaration(Kind.FLEET))) == single - {IMAGE_ARGUMENT} | {IMAGES}
    assert set(members(installed().declaration(Kind.CLEANUP))) == {
        "resource_arn",
        "execution_role",
        "include_resources",
        "exclusion_rules",
        "in_use",
        "max_amis",
    }
    for kind in Kind:
        assert DEFAULTS[kind].keys() <= members(installed().declaration(kind)).keys()


def test_regions_are_those_with_images() -> None:
    """Botocore lists global services among the regions; they are none, and every other one matches its partition."""
    regions = {partition.id: partition.regions for partition in installed().partitions}

    assert "us-east-1" in regions["aws"]
    assert "cn-north-1" in regions["aws-cn"]
    assert not [region for listed in regions.values() for region in listed if region.endswith("-global")]
