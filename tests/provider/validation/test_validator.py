"""Validation: the tables of bad and good declarations, unknown values, secrets, sizes."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pulumi
import pulumi_imagebuilder.validation
import pytest
import yaml
from pulumi_imagebuilder.validation import UNKNOWN, Kind, request, validate
from pulumi_imagebuilder.validation.schema import DEFAULTS

IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"
OTHER = "arn:aws:imagebuilder:us-east-1:123456789012:image/db/1.0.0/1"
ROLE = "arn:aws:iam::123456789012:role/ImageLifecycle"
FOREIGN_ROLE = "arn:aws:iam::999999999999:role/ImageLifecycle"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
PAST, FUTURE = "2026-05-01T00:00:00Z", "2026-07-01T00:00:00Z"

VALID: dict[Kind, dict[str, Any]] = {
    Kind.SINGLE: {"resource_arn": IMAGE, "state": "DEPRECATED"},
    Kind.FLEET: {"resource_arns": [IMAGE], "state": "DEPRECATED"},
    Kind.CLEANUP: {"resource_arn": IMAGE, "execution_role": ROLE},
}


def reasons(inputs: dict[str, Any], kind: Kind = Kind.SINGLE, **options: Any) -> dict[str, str]:
    failures = validate(kind, inputs, **{"now": NOW, **options}).failures
    return {failure.property: failure.reason for failure in failures}


def table(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))["cases"]
    return cases


BAD = table("bad.yaml")
GOOD = table("good.yaml")


def kind_and_inputs(case: dict[str, Any]) -> tuple[Kind, dict[str, Any]]:
    kind = Kind(case.get("kind", "ResourceStateUpdate"))
    return kind, {**VALID[kind], **case["inputs"]}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case["name"])
def test_mistakes_are_reported(case: dict[str, Any]) -> None:
    """Each mistake is reported once, with the property as it was written, the value, and what is allowed."""
    kind, inputs = kind_and_inputs(case)

    validated = validate(kind, inputs, now=NOW)

    assert [(failure.property, failure.reason) for failure in validated.failures] == list(case["failures"].items())
    assert validated.inputs == inputs


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case["name"])
def test_good_declarations_pass(case: dict[str, Any]) -> None:
    """A valid declaration is kept as it was written, or normalised, and sent to the service exactly so."""
    kind, inputs = kind_and_inputs(case)

    validated = validate(kind, inputs, now=NOW)

    assert validated.failures == []
    written = {name: value for name, value in inputs.items() if value is not None}
    kept = {**DEFAULTS[kind], **written, **case.get("normalised", {})}
    assert same(validated.inputs, kept)
    parameters = request(validated.inputs)
    if "updateAt" in parameters:
        parameters["updateAt"] = parameters["updateAt"].isoformat()
    assert same(parameters, case["request"])


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case["name"])
def test_normalising_twice_changes_nothing(case: dict[str, Any]) -> None:
    """Normalised inputs are valid, and returned as they are: state and program are compared normalised."""
    kind, inputs = kind_and_inputs(case)
    once = validate(kind, inputs, now=NOW).inputs

    assert validate(kind, once, now=NOW).inputs == once


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param(
            {"regions": ["r" * 1025]},
            {"exclusion_rules.amis.regions[0]": f'"{"r" * 200}…" has 1025 characters; expected 1 to 1024'},
            id="region",
        ),
        pytest.param(
            {"shared_accounts": ["123456789012"] * 1537},
            {
                "exclusion_rules.amis.shared_accounts": "["
                + '"123456789012", ' * 12
                + '"123456… has 1537 items; expected 1 to 1536'
            },
            id="accounts",
        ),
        pytest.param(
            {"tag_map": {f"k{number:02}": "v" for number in range(51)}},
            {
                "exclusion_rules.amis.tag_map": "{"
                + "".join(f'"k{number:02}": "v", ' for number in range(16))
                + '"k16": … has 51 entries; expected 1 to 50'
            },
            id="tags",
        ),
        pytest.param(
            {"tag_map": {"k" * 129: "yes"}},
            {f"exclusion_rules.amis.tag_map.{'k' * 129}": f'"{"k" * 129}" has 129 characters; expected 1 to 128'},
            id="tag key",
        ),
        pytest.param(
            {"tag_map": {"team": "v" * 257}},
            {"exclusion_rules.amis.tag_map.team": f'"{"v" * 200}…" has 257 characters; expected at most 256'},
            id="tag value",
        ),
    ],
)
def test_large_values_are_shown_in_part(rules: dict[str, Any], expected: dict[str, str]) -> None:
    """A message shows no more than the first 200 characters of a value."""
    inputs = {
        **VALID[Kind.SINGLE],
        "execution_role": ROLE,
        "include_resources": {"amis": True},
        "exclusion_rules": {"amis": rules},
    }

    assert {failure.property: failure.reason for failure in validate(Kind.SINGLE, inputs).failures} == expected


@pytest.mark.parametrize(
    "rules",
    [
        {"regions": [f"us-east-{'1' * 1016}"]},
        {"shared_accounts": [f"{number:012}" for number in range(1, 1537)]},
        {"tag_map": {f"k{number:02}": "v" for number in range(50)}},
        {"tag_map": {"k" * 128: "v" * 256}},
    ],
    ids=["region", "accounts", "tags", "tag"],
)
def test_values_at_the_limit_pass(rules: dict[str, Any]) -> None:
    """The bounds of the model are inclusive."""
    inputs = {
        **VALID[Kind.SINGLE],
        "execution_role": ROLE,
        "include_resources": {"amis": True},
        "exclusion_rules": {"amis": rules},
    }

    assert validate(Kind.SINGLE, inputs).failures == []


def test_triggers_have_to_be_comparable() -> None:
    """An asset does not show the provider its contents, so as a trigger it would never trigger."""
    inputs = {**VALID[Kind.SINGLE], "triggers": ["2026", {"file": pulumi.FileAsset("image.pkr.hcl")}]}

    validated = validate(Kind.SINGLE, inputs)

    assert [(failure.property, failure.reason) for failure in validated.failures] == [
        (
            "triggers[1].file",
            "FileAsset is not valid; expected text, a number, True, False, None, or lists and dicts of these",
        )
    ]


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
        {"resource_arn": UNKNOWN, "state": "DEPRECATED", "include_resources": UNKNOWN, "execution_role": FOREIGN_ROLE},
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
        {"resource_arn": IMAGE, "state": "DISABLED", "in_use": UNKNOWN, "max_amis": UNKNOWN},
        {"resource_arn": IMAGE, "state": "DEPRECATED", "triggers": UNKNOWN, "client_token": UNKNOWN},
    ],
)
def test_rules_wait_for_unknown_values(inputs: dict[str, Any]) -> None:
    """A preview with values that are not known yet does not fail for them, and keeps them unknown."""
    validated = validate(Kind.SINGLE, inputs, now=NOW)

    assert validated.failures == []
    assert validated.inputs == {**DEFAULTS[Kind.SINGLE], **inputs}


def test_unknown_images_of_a_fleet_stay_apart() -> None:
    """Two values that are not known yet are no duplicates of each other."""
    inputs = {"resource_arns": [UNKNOWN, OTHER, UNKNOWN, IMAGE], "state": "DEPRECATED"}

    validated = validate(Kind.FLEET, inputs, now=NOW)

    assert validated.failures == []
    assert validated.inputs["resource_arns"] == [OTHER, IMAGE, UNKNOWN, UNKNOWN]


def test_known_values_beside_unknown_ones_are_validated() -> None:
    """Unknown values hide none of the mistakes beside them."""
    inputs = {
        "resource_arn": UNKNOWN,
        "state": "DISABLED",
        "include_resources": {"amis": UNKNOWN, "snapshots": True, "container": True},
        "exclusion_rules": {"amis": {"regions": [UNKNOWN, ""], "last_launched": {"value": UNKNOWN, "unit": "DAY"}}},
        "client_token": "",
    }

    assert reasons(inputs) == {
        "include_resources.container": "not an argument of include_resources; did you mean `containers`?",
        "exclusion_rules.amis.regions[1]": '"" has 0 characters; expected 1 to 1024',
        "exclusion_rules.amis.last_launched.unit": (
            '"DAY" is not valid; expected one of DAYS, WEEKS, MONTHS, YEARS (did you mean "DAYS"?)'
        ),
        "client_token": '"" has 0 characters; expected 1 to 64',
        "execution_role": "missing; include_resources needs the role that Image Builder assumes, by its name or ARN",
        "include_resources.snapshots": 'True is valid only with state "DELETED", not "DISABLED"; leave it out',
    }


def test_known_images_of_a_fleet_are_validated_beside_unknown_ones() -> None:
    """One image that is not known yet does not hide a duplicate, nor a role of another account."""
    inputs = {
        "resource_arns": [UNKNOWN, IMAGE, IMAGE],
        "state": "DEPRECATED",
        "include_resources": {"amis": True},
        "execution_role": FOREIGN_ROLE,
    }

    assert reasons(inputs, Kind.FLEET) == {
        "resource_arns[2]": f'"{IMAGE}" is listed twice; resource_arns[1] is the same image',
        "execution_role": (
            f'"{FOREIGN_ROLE}" is of account 999999999999; '
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
            {"execution_role": FOREIGN_ROLE, "include_resources": {"amis": True}},
            {"execution_role": "[secret] is of another account; expected a role of the account of the image (resource"},
        ),
        (
            ["resource_arn"],
            {"execution_role": FOREIGN_ROLE, "include_resources": {"amis": True}},
            {"execution_role": f'"{FOREIGN_ROLE}" is of another account; expected a role of the account of the image '},
        ),
        (
            ["execution_role"],
            {"execution_role": FOREIGN_ROLE.replace("aws:", "aws-cn:"), "include_resources": {"amis": True}},
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
            {"exclusion_rules": "[secret] would exclude nothing, because no AMIs are included; set amis to True in "},
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
            ["exclusion_rules"],
            {
                "exclusion_rules": {"amis": {"regions": ["us-hush1"]}},
                "include_resources": {"amis": True},
                "execution_role": ROLE,
            },
            {"exclusion_rules.amis.regions[0": '[secret] is not valid; expected a region such as "us-east-1"'},
        ),
        (
            ["exclusion_rules"],
            {
                "exclusion_rules": {"amis": {"regions": ["cn-north-1"]}},
                "include_resources": {"amis": True},
                "execution_role": ROLE,
            },
            {
                "exclusion_rules.amis.regions[0": (
                    "[secret] is in another partition than the image (resource_arn), so it would exclude nothing; "
                )
            },
        ),
        (
            ["resource_arn"],
            {"resource_arn": IMAGE.replace("123456789012", "aws-hush")},
            {"resource_arn": "[secret] is one of Amazon's own images (a name in the place of an account id), which "},
        ),
        (
            ["exclusion_rules.amis.tag_map.team"],
            {"exclusion_rules": {"amis": {"tag_map": {"team": "hush"}}}},
            {"exclusion_rules": "[secret] would exclude nothing, because no AMIs are included; set amis to True in "},
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
    """No message shows a secret, hints at what it may have been meant to be, or says what is wrong in it."""
    base = {"resource_arn": IMAGE, "state": "DEPRECATED", "__secrets": secrets}

    found = {name.strip('["]'): reason for name, reason in reasons({**base, **inputs}).items()}

    assert found.keys() == expected.keys()
    for path, start in expected.items():
        assert found[path].startswith(start)
    assert "hush" not in str(found)


def test_internal_keys_pass_through_untouched() -> None:
    """Keys that begin with two underscores are the provider's own: neither validated nor normalised."""
    internal = {
        "__provider": "reference",
        "__urn": UNKNOWN,
        "__timeouts": {"create": "30m", "x": None},
        "__dry_run": True,
        "__secrets": None,
    }

    validated = validate(Kind.CLEANUP, {"resource_arn": IMAGE, "execution_role": ROLE, **internal})

    assert validated.failures == []
    assert validated.inputs == {"resource_arn": IMAGE, "execution_role": ROLE, "in_use": "wait", **internal}


@pytest.mark.parametrize(
    ("name", "meant"),
    [("role", "execution_role"), ("resources", "include_resources"), ("rules", "exclusion_rules"), ("status", "state")],
)
def test_part_of_a_name_is_recognised(name: str, meant: str) -> None:
    """Where only one argument has it in its name."""
    assert reasons({"resource_arn": IMAGE, "state": "DISABLED", name: 1}) == {
        name: f"not an argument of ResourceStateUpdate; did you mean `{meant}`?"
    }


def test_import_loads_no_botocore() -> None:
    """A program that declares something loads no boto3 and no botocore."""
    script = (
        "import sys, pulumi_imagebuilder.validation; "
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'boto3', 'botocore', 's3transfer'}))"
    )

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ended.stdout == "[]\n"


def test_validation_loads_no_boto3() -> None:
    """Only the model is read; no session and no client is made."""
    script = (
        "import sys; from pulumi_imagebuilder.validation import Kind, request, validate; "
        f"print(request(validate(Kind.SINGLE, {{'resource_arn': '{IMAGE}', 'state': 'DISABLED'}}).inputs)); "
        "print(sorted(sys.modules.keys() & {'boto3', 'botocore.session', 'botocore.client'}))"
    )

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ended.stdout == "{'state': {'status': 'DISABLED'}}\n[]\n"


@pytest.mark.parametrize(
    "name", [module.name for module in pkgutil.iter_modules(pulumi_imagebuilder.validation.__path__)]
)
def test_documented_examples_are_true(name: str) -> None:
    """Every example in a docstring gives the result that it shows."""
    assert doctest.testmod(importlib.import_module(f"pulumi_imagebuilder.validation.{name}")).failed == 0
    assert doctest.testmod(pulumi_imagebuilder.validation).failed == 0


def same(one: Any, other: Any) -> bool:
    """Equal in type as well: Python holds 1, 1.0 and True to be equal, the service does not."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)
