"""The tables of bad and good declarations, and values too large to be written down in a table."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi_imagebuilder.rules import Kind, check, request

IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"
ROLE = "arn:aws:iam::123456789012:role/ImageLifecycle"
NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)

VALID: dict[Kind, dict[str, Any]] = {
    Kind.SINGLE: {"resource_arn": IMAGE, "state": "DEPRECATED"},
    Kind.FLEET: {"resource_arns": [IMAGE], "state": "DEPRECATED"},
    Kind.CLEANUP: {"resource_arn": IMAGE, "execution_role": ROLE},
}
DEFAULTS = {"wait": True, "on_destroy": "retain"}


def table(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))["cases"]
    return cases


BAD = table("test_rules_bad.yaml")
GOOD = table("test_rules_good.yaml")


def kind_and_inputs(case: dict[str, Any]) -> tuple[Kind, dict[str, Any]]:
    kind = Kind(case.get("kind", "ResourceStateUpdate"))
    return kind, {**VALID[kind], **case["inputs"]}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case["name"])
def test_mistakes_are_told(case: dict[str, Any]) -> None:
    """Each mistake is told once, of the property as it was written, with the value, what is allowed, and a way out."""
    kind, inputs = kind_and_inputs(case)

    checked = check(kind, inputs, now=NOW)

    assert [(failure.property, failure.reason) for failure in checked.failures] == list(case["told"].items())
    assert checked.inputs == inputs


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case["name"])
def test_good_declarations_pass(case: dict[str, Any]) -> None:
    """What is good passes, is kept as it was written or normalised, and is asked of the service exactly so."""
    kind, inputs = kind_and_inputs(case)

    checked = check(kind, inputs, now=NOW)

    assert checked.failures == []
    given = {name: value for name, value in inputs.items() if value is not None}
    defaults = {} if kind is Kind.CLEANUP else DEFAULTS
    kept = {**defaults, **given, **case.get("normalised", {})}
    assert same(checked.inputs, kept)
    asked = request(checked.inputs)
    if "updateAt" in asked:
        asked["updateAt"] = asked["updateAt"].isoformat()
    assert same(asked, case["request"])


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case["name"])
def test_normalising_twice_changes_nothing(case: dict[str, Any]) -> None:
    """What the check handed back passes again, and is handed back as it is: state and program meet normalised."""
    kind, inputs = kind_and_inputs(case)
    once = check(kind, inputs, now=NOW).inputs

    assert check(kind, once, now=NOW).inputs == once


def test_tables_are_large_and_name_every_case_once() -> None:
    """At least 120 bad declarations and 60 good ones."""
    assert len({case["name"] for case in BAD}) == len(BAD) >= 120
    assert len({case["name"] for case in GOOD}) == len(GOOD) >= 60


@pytest.mark.parametrize(
    ("rules", "told"),
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
def test_large_values_are_shown_in_part(rules: dict[str, Any], told: dict[str, str]) -> None:
    """A message shows no more than the first 200 characters of a value."""
    inputs = {
        **VALID[Kind.SINGLE],
        "execution_role": ROLE,
        "include_resources": {"amis": True},
        "exclusion_rules": {"amis": rules},
    }

    assert {failure.property: failure.reason for failure in check(Kind.SINGLE, inputs).failures} == told


@pytest.mark.parametrize(
    "rules",
    [
        {"regions": ["r" * 1024]},
        {"shared_accounts": [f"{number:012}" for number in range(1536)]},
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

    assert check(Kind.SINGLE, inputs).failures == []


def test_triggers_have_to_be_comparable() -> None:
    """An asset tells the provider nothing about its contents, so as a trigger it would never trigger."""
    inputs = {**VALID[Kind.SINGLE], "triggers": ["2026", {"file": pulumi.FileAsset("image.pkr.hcl")}]}

    checked = check(Kind.SINGLE, inputs)

    assert [(failure.property, failure.reason) for failure in checked.failures] == [
        (
            "triggers[1].file",
            "FileAsset is not valid; expected text, a number, True, False, None, or lists and dicts of these",
        )
    ]


def same(one: Any, other: Any) -> bool:
    """Equal in type as well: Python holds 1, 1.0 and True to be equal, the service does not."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)
