"""What a check does beside the tables: unknown values, secrets, schedules that have come true, other models."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from datetime import datetime, timezone
from typing import Any

import botocore.loaders
import pulumi.runtime.rpc
import pytest
from pulumi_imagebuilder.rules import UNKNOWN, Kind, check
from pulumi_imagebuilder.rules.model import Model
from pulumi_imagebuilder.rules.words import MEANINGS

IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"
OTHER = "arn:aws:imagebuilder:us-east-1:123456789012:image/db/1.0.0/1"
ROLE = "arn:aws:iam::123456789012:role/ImageLifecycle"
STRANGE_ROLE = "arn:aws:iam::999999999999:role/ImageLifecycle"
NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)
PAST, FUTURE = "2026-05-01T00:00:00Z", "2026-07-01T00:00:00Z"
NOT_IN_THE_FUTURE = (
    f'"{PAST}" is not in the future (it is now 2026-06-01T00:00:00Z); '
    "choose a later time, or leave update_at out to deprecate at once"
)


def told(inputs: dict[str, Any], kind: Kind = Kind.SINGLE, **options: Any) -> dict[str, str]:
    failures = check(kind, inputs, **{"now": NOW, **options}).failures
    return {failure.property: failure.reason for failure in failures}


def test_unknown_is_what_pulumi_calls_unknown() -> None:
    """The rules import no Pulumi, but mean the same value."""
    assert pulumi.runtime.rpc.UNKNOWN == UNKNOWN


@pytest.mark.parametrize(
    "inputs",
    [
        {"resource_arn": UNKNOWN, "state": "DEPRECATED"},
        {"resource_arn": IMAGE, "state": UNKNOWN},
        {"resource_arn": IMAGE, "state": UNKNOWN, "update_at": FUTURE},
        {"resource_arn": IMAGE, "state": UNKNOWN, "on_destroy": "restore"},
        {"resource_arn": IMAGE, "state": "DISABLED", "update_at": UNKNOWN},
        {"resource_arn": IMAGE, "state": "DEPRECATED", "execution_role": UNKNOWN},
        {"resource_arn": IMAGE, "state": "DEPRECATED", "include_resources": UNKNOWN},
        {"resource_arn": IMAGE, "state": "DEPRECATED", "include_resources": {"amis": UNKNOWN}},
        {"resource_arn": IMAGE, "state": "DELETED", "include_resources": UNKNOWN, "execution_role": UNKNOWN},
        {"resource_arn": IMAGE, "state": UNKNOWN, "include_resources": {"snapshots": True}, "execution_role": ROLE},
        {"resource_arn": UNKNOWN, "state": "DEPRECATED", "include_resources": UNKNOWN, "execution_role": STRANGE_ROLE},
        {
            "resource_arn": IMAGE,
            "state": "DEPRECATED",
            "include_resources": {"amis": UNKNOWN},
            "execution_role": ROLE,
            "exclusion_rules": {"amis": {"is_public": True}},
        },
        {
            "resource_arn": IMAGE,
            "state": "DEPRECATED",
            "include_resources": UNKNOWN,
            "exclusion_rules": {"amis": {"regions": [UNKNOWN], "last_launched": UNKNOWN, "tag_map": {"team": UNKNOWN}}},
        },
        {"resource_arn": IMAGE, "state": "DEPRECATED", "exclusion_rules": UNKNOWN},
        {"resource_arn": IMAGE, "state": "DEPRECATED", "triggers": [UNKNOWN], "wait": UNKNOWN, "on_destroy": UNKNOWN},
        {"resource_arn": IMAGE, "state": "DEPRECATED", "triggers": UNKNOWN, "client_token": UNKNOWN},
    ],
)
def test_what_needs_an_unknown_value_is_left_for_later(inputs: dict[str, Any]) -> None:
    """A preview with values that are not known yet does not fail for them, and hands them on as unknown."""
    checked = check(Kind.SINGLE, inputs, now=NOW)

    assert checked.failures == []
    assert checked.inputs == {"wait": True, "on_destroy": "retain", **inputs}


def test_unknown_images_of_a_fleet_stay_apart() -> None:
    """Two values that are not known yet are no duplicates of each other."""
    inputs = {"resource_arns": [UNKNOWN, OTHER, UNKNOWN, IMAGE], "state": "DEPRECATED"}

    checked = check(Kind.FLEET, inputs, now=NOW)

    assert checked.failures == []
    assert checked.inputs["resource_arns"] == [OTHER, IMAGE, UNKNOWN, UNKNOWN]


def test_what_is_known_beside_unknown_values_is_checked() -> None:
    """Unknown values hide none of the mistakes beside them."""
    inputs = {
        "resource_arn": UNKNOWN,
        "state": "DISABLED",
        "include_resources": {"amis": UNKNOWN, "snapshots": True, "container": True},
        "exclusion_rules": {"amis": {"regions": [UNKNOWN, ""], "last_launched": {"value": UNKNOWN, "unit": "DAY"}}},
        "client_token": "",
    }

    assert told(inputs) == {
        "include_resources.container": "not an argument of include_resources; did you mean `containers`?",
        "exclusion_rules.amis.regions[1]": '"" has 0 characters; expected 1 to 1024',
        "exclusion_rules.amis.last_launched.unit": (
            '"DAY" is not valid; expected one of DAYS, WEEKS, MONTHS, YEARS (did you mean "DAYS"?)'
        ),
        "client_token": '"" has 0 characters; expected 1 to 64',
        "execution_role": "missing; include_resources needs the role that Image Builder assumes, by its name or ARN",
        "include_resources.snapshots": 'True is valid only with state "DELETED", not "DISABLED"; leave it out',
    }


def test_known_images_of_a_fleet_are_checked_beside_unknown_ones() -> None:
    """One image that is not known yet does not hide a duplicate, nor a role of another account."""
    inputs = {
        "resource_arns": [UNKNOWN, IMAGE, IMAGE],
        "state": "DEPRECATED",
        "include_resources": {"amis": True},
        "execution_role": STRANGE_ROLE,
    }

    assert told(inputs, Kind.FLEET) == {
        "resource_arns[2]": f'"{IMAGE}" is listed twice; resource_arns[1] is the same image',
        "execution_role": (
            f'"{STRANGE_ROLE}" is of account 999999999999; '
            "expected a role of 123456789012, the account of the image (resource_arns[1])"
        ),
    }


@pytest.mark.parametrize(
    ("secrets", "inputs", "expected"),
    [
        (["client_token"], {"client_token": ""}, {"client_token": "[secret] is not valid; expected text of 1 to 64 "}),
        (["state"], {"state": "DEPRECATE"}, {"state": "[secret] is not valid; expected one of AVAILABLE, DELETED, "}),
        (["resource_arn"], {"resource_arn": "arn:hush"}, {"resource_arn": "[secret] is not valid; expected the ARN "}),
        (
            ["resource_arn"],
            {"resource_arn": IMAGE.replace("us-east-1", "hush1")},
            {"resource_arn": '[secret] has no valid region; expected one such as "us-east-1"'},
        ),
        (
            ["resource_arn"],
            {"resource_arn": IMAGE.replace("us-east-1", "us-gov-hush-1")},
            {"resource_arn": "[secret] has a region of another partition; expected a region and a partition that "},
        ),
        (
            ["resource_arn"],
            {"resource_arn": IMAGE.replace("arn:aws:", "arn:awshush:")},
            {"resource_arn": "[secret] is not valid; expected an ARN in one of the partitions aws, aws-cn, aws-eusc, "},
        ),
        (
            ["execution_role"],
            {"execution_role": "hush"},
            {"execution_role": "[secret] is valid only together with include_resources; set amis to True there, or "},
        ),
        (
            ["execution_role"],
            {"execution_role": STRANGE_ROLE, "include_resources": {"amis": True}},
            {"execution_role": "[secret] is of another account; expected a role of the account of the image (resource"},
        ),
        (
            ["resource_arn"],
            {"execution_role": STRANGE_ROLE, "include_resources": {"amis": True}},
            {"execution_role": f'"{STRANGE_ROLE}" is of another account; expected a role of the account of the image '},
        ),
        (
            ["execution_role"],
            {"execution_role": STRANGE_ROLE.replace("aws:", "aws-cn:"), "include_resources": {"amis": True}},
            {"execution_role": "[secret] is of another partition; expected a role of the partition of the image (res"},
        ),
        (
            ["include_resources"],
            {"include_resources": {"amis": "hush"}},
            {"include_resources.amis": "[secret] is not valid; expected True or False"},
        ),
        (
            ["include_resources"],
            {"include_resources": {"hush": True}},
            {"include_resources": "[secret] has a name in it that is not an argument of include_resources; expected "},
        ),
        (
            ["include_resources"],
            {"include_resources": {"snapshots": True}, "execution_role": ROLE},
            {"include_resources.snapshots": '[secret] is valid only with state "DELETED", not "DEPRECATED"; leave it '},
        ),
        (
            ["state"],
            {"include_resources": {"snapshots": True}, "execution_role": ROLE, "state": "DISABLED"},
            {"include_resources.snapshots": 'True is valid only with state "DELETED", not [secret]; leave it out'},
        ),
        (
            ["exclusion_rules"],
            {"exclusion_rules": {"amis": {"tag_map": {"hush": "hush"}}}},
            {"exclusion_rules": "[secret] would exclude nothing, for no AMIs are included; set amis to True in "},
        ),
        (
            ["exclusion_rules"],
            {
                "exclusion_rules": {"amis": {"tag_map": {"aws:hush": "yes"}}},
                "include_resources": {"amis": True},
                "execution_role": ROLE,
            },
            {"exclusion_rules.amis.tag_map": "[secret] is not valid; expected a tag key of letters (A to Z), digits, "},
        ),
        (
            ["exclusion_rules.amis.tag_map.team"],
            {"exclusion_rules": {"amis": {"tag_map": {"team": "hush"}}}},
            {"exclusion_rules": "[secret] would exclude nothing, for no AMIs are included; set amis to True in "},
        ),
        (["update_at"], {"update_at": "hush"}, {"update_at": "[secret] is not valid; expected an RFC 3339 time with "}),
        (["update_at"], {"update_at": PAST}, {"update_at": "[secret] is not in the future (it is now 2026-06-01T00:"}),
        (
            ["triggers"],
            {"triggers": "hush"},
            {"triggers": "[secret] is not valid; expected a list, each item text, a "},
        ),
        (
            UNKNOWN,
            {"client_token": "", "wait": "hush"},
            {
                "client_token": "[secret] is not valid; expected text of 1 to 64 characters",
                "wait": "[secret] is not valid; expected True or False",
            },
        ),
    ],
)
def test_secrets_stay_secret(secrets: Any, inputs: dict[str, Any], expected: dict[str, str]) -> None:
    """No message shows a secret, hints at what it may have been meant to be, or tells what is wrong in it."""
    base = {"resource_arn": IMAGE, "state": "DEPRECATED", "__secrets": secrets}

    reasons = {name.strip('["]'): reason for name, reason in told({**base, **inputs}).items()}

    assert reasons.keys() == expected.keys()
    for path, start in expected.items():
        assert reasons[path].startswith(start)
    assert "hush" not in str(reasons)


def test_internal_keys_pass_through_untouched() -> None:
    """Keys that begin with two underscores are the provider's own: neither checked nor normalised."""
    internal = {
        "__provider": "reference",
        "__urn": UNKNOWN,
        "__timeouts": {"create": "30m", "x": None},
        "__secrets": None,
    }

    checked = check(Kind.CLEANUP, {"resource_arn": IMAGE, "execution_role": ROLE, **internal})

    assert checked.failures == []
    assert checked.inputs == {"resource_arn": IMAGE, "execution_role": ROLE, **internal}


SCHEDULED = {"resource_arn": IMAGE, "state": "DEPRECATED", "update_at": PAST, "wait": True, "on_destroy": "retain"}
FLEET = {"resource_arns": [IMAGE], "state": "DEPRECATED", "update_at": PAST, "wait": True, "on_destroy": "retain"}


@pytest.mark.parametrize(
    ("kind", "previous", "edit"),
    [
        (Kind.SINGLE, SCHEDULED, {}),
        (Kind.SINGLE, SCHEDULED, {"update_at": "2026-05-01T02:00:00+02:00"}),
        (Kind.SINGLE, SCHEDULED, {"wait": False, "on_destroy": "cancel"}),
        (Kind.SINGLE, SCHEDULED, {"triggers": [UNKNOWN]}),
        (Kind.SINGLE, SCHEDULED, {"resource_arn": UNKNOWN}),
        (Kind.FLEET, FLEET, {}),
        (Kind.FLEET, FLEET, {"resource_arns": []}),
        (Kind.FLEET, FLEET, {"resource_arns": UNKNOWN}),
        (Kind.FLEET, FLEET, {"resource_arns": [UNKNOWN, IMAGE]}),
    ],
)
def test_a_schedule_that_has_come_true_is_no_mistake(
    kind: Kind, previous: dict[str, Any], edit: dict[str, Any]
) -> None:
    """As long as nothing is asked anew, as far as is known, a time in the past was in the future when it was asked."""
    assert told({**previous, **edit}, kind, previous=previous) == {}


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
def test_a_schedule_in_the_past_is_a_mistake_when_it_is_asked(
    kind: Kind, previous: dict[str, Any] | None, edit: dict[str, Any]
) -> None:
    """A time in the past is refused when it is first declared, or asked again."""
    base = FLEET if kind is Kind.FLEET else SCHEDULED

    assert told({**base, **edit}, kind, previous=previous) == {"update_at": NOT_IN_THE_FUTURE}


def test_the_clock_is_the_machines_by_default() -> None:
    """Without a time, it is now."""
    failures = check(Kind.SINGLE, {**SCHEDULED, "update_at": "2020-01-01T00:00:00Z"}).failures
    assert [failure.property for failure in failures] == ["update_at"]
    assert check(Kind.SINGLE, {**SCHEDULED, "update_at": "9000-01-01T00:00:00Z"}).failures == []


@pytest.fixture
def description() -> dict[str, Any]:
    """What botocore says about the service, to be changed."""
    loader = botocore.loaders.create_loader()
    return copy.deepcopy(loader.load_service_model("imagebuilder", "service-2"))


@pytest.fixture
def partitions() -> dict[str, Any]:
    """What botocore says about the partitions, to be changed."""
    return copy.deepcopy(botocore.loaders.create_loader().load_data("partitions"))


def test_an_extended_enumeration_is_enough(description: dict[str, Any], partitions: dict[str, Any]) -> None:
    """A state that AWS adds is taken, and offered, as soon as botocore has it."""
    description["shapes"]["ResourceStatus"]["enum"].append("ARCHIVED")
    model = Model(description, partitions)

    assert told({"resource_arn": IMAGE, "state": "ARCHIVED"}, model=model) == {}
    assert told({"resource_arn": IMAGE, "state": "ARCHIVE"}, model=model) == {
        "state": (
            '"ARCHIVE" is not valid; expected one of AVAILABLE, DELETED, DEPRECATED, DISABLED, ARCHIVED '
            '(did you mean "ARCHIVED"?)'
        )
    }
    assert told({"resource_arn": IMAGE, "state": "ARCHIVED"}).keys() == {"state"}


def test_every_limit_is_the_models(description: dict[str, Any], partitions: dict[str, Any]) -> None:
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

    assert told(inputs, model=Model(description, partitions)) == {
        "exclusion_rules.amis.shared_accounts[1]": '"123456789012" is not valid; expected text that matches ^[0-9]{3}$',
        "exclusion_rules.amis.last_launched.value": "3 is not valid; expected a whole number, 1 to 2",
        "exclusion_rules.amis.minimum_age": "6 is not valid; expected a whole number, at least 7",
        "client_token": '"abc" has 3 characters; expected 1 to 2',
    }


def test_patterns_that_python_does_not_speak_are_left_to_the_service(
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

    assert told(inputs, model=Model(description, partitions)) == {}


def test_arns_of_a_later_form(description: dict[str, Any], partitions: dict[str, Any]) -> None:
    """What a newer model takes for an image is taken, and no rule about ARNs of today's form is held against it."""
    shape = description["shapes"]["ImageBuildVersionArn"]
    shape["pattern"] = "^arn2?:"
    model = Model(description, partitions)

    assert told({"resource_arn": "arn2:image-web", "state": "DISABLED"}, model=model) == {}
    assert told({"resource_arn": "image-web", "state": "DISABLED"}, model=model).keys() == {"resource_arn"}


@pytest.mark.parametrize(
    ("name", "meant"),
    [("role", "execution_role"), ("resources", "include_resources"), ("rules", "exclusion_rules"), ("status", "state")],
)
def test_a_part_of_a_name_is_recognised(name: str, meant: str) -> None:
    """Where one argument alone has it in its name."""
    assert told({"resource_arn": IMAGE, "state": "DISABLED", name: 1}) == {
        name: f"not an argument of ResourceStateUpdate; did you mean `{meant}`?"
    }


def test_partitions_are_botocores(description: dict[str, Any], partitions: dict[str, Any]) -> None:
    """A partition that AWS adds is known as soon as botocore knows it."""
    partitions["partitions"].append({"id": "aws-moon", "regionRegex": r"^moon\-\w+\-\d+$"})
    image = IMAGE.replace("arn:aws:", "arn:aws-moon:").replace("us-east-1", "moon-dark-1")
    inputs = {"resource_arn": image, "state": "DEPRECATED"}

    assert told(inputs, model=Model(description, partitions)) == {}
    assert told(inputs).keys() == {"resource_arn"}


def test_words_hold_for_the_installed_model(description: dict[str, Any]) -> None:
    """Words stand for a pattern of the model as it is: none is left over for a shape that is gone or has changed."""
    shapes = description["shapes"]
    assert all(re.search(shapes[name]["pattern"], meaning.example) for name, meaning in MEANINGS.items())


def test_importing_the_rules_is_light() -> None:
    """A program that declares something loads no boto3 and no botocore."""
    script = (
        "import sys, pulumi_imagebuilder.rules; "
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'boto3', 'botocore', 's3transfer'}))"
    )

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ended.stdout == "[]\n"


def test_checking_loads_no_boto3() -> None:
    """The model alone is needed for a check, and neither is a session or a client made."""
    script = (
        "import sys; from pulumi_imagebuilder.rules import Kind, check, request; "
        f"print(request(check(Kind.SINGLE, {{'resource_arn': '{IMAGE}', 'state': 'DISABLED'}}).inputs)); "
        "print(sorted(sys.modules.keys() & {'boto3', 'botocore.session', 'botocore.client'}))"
    )

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ended.stdout == "{'state': {'status': 'DISABLED'}}\n[]\n"
