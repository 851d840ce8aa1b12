"""Which differences are changes, and what happens for them."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pulumi_imagebuilder.validation import UNKNOWN, InputDiff, Kind, diff, validate
from pulumi_imagebuilder.validation.schema import Model, installed, members

IMAGE_ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"
OTHER = "arn:aws:imagebuilder:us-east-1:123456789012:image/db/1.0.0/1"
ROLE = "arn:aws:iam::123456789012:role/ImageLifecycle"
THIRD = "arn:aws:imagebuilder:us-east-1:123456789012:image/app/1.0.0/1"

INPUTS: dict[str, Any] = {
    "resource_arn": IMAGE_ARN,
    "state": "DEPRECATED",
    "execution_role": "ImageLifecycle",
    "include_resources": {"amis": True},
    "exclusion_rules": {
        "amis": {
            "is_public": True,
            "regions": ["eu-west-1", "us-east-1"],
            "shared_accounts": ["000000000001", "000000000002"],
            "last_launched": {"value": 3, "unit": "DAYS"},
            "tag_map": {"team": "web", "stage": "prod"},
        }
    },
    "update_at": "2026-12-01T00:00:00Z",
    "client_token": "token",
    "triggers": ["2026", 6],
    "wait": True,
    "on_destroy": "retain",
    "in_use": "refuse",
    "max_amis": 10,
}


def rules(**edit: Any) -> dict[str, Any]:
    return {"exclusion_rules": {"amis": {**INPUTS["exclusion_rules"]["amis"], **edit}}}


def found(old: dict[str, Any], new: dict[str, Any], kind: Kind = Kind.SINGLE) -> dict[str, set[str]]:
    return {name: names for name, names in asdict(diff(kind, old, new)).items() if names}


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param({}, id="nothing"),
        pytest.param(rules(regions=["us-east-1", "eu-west-1"]), id="regions in another order"),
        pytest.param(rules(regions=["us-east-1", "eu-west-1", "us-east-1"]), id="a region twice"),
        pytest.param(rules(shared_accounts=["000000000002", "000000000001"]), id="accounts in another order"),
        pytest.param(rules(tag_map={"stage": "prod", "team": "web"}), id="tags in another order"),
        pytest.param(rules(last_launched={"unit": "DAYS", "value": 3.0}), id="a whole number as a double"),
        pytest.param({"update_at": "2026-12-01T02:00:00+02:00"}, id="the same instant elsewhere"),
        pytest.param({"update_at": "2026-11-30T16:00:00.250-08:00"}, id="the same second elsewhere"),
        pytest.param({"include_resources": {"amis": True, "snapshots": False}}, id="False where nothing was"),
        pytest.param({"include_resources": {"amis": True, "containers": None}}, id="None where nothing was"),
        pytest.param({"triggers": ["2026", 6.0]}, id="a trigger as a double"),
        pytest.param({"wait": None, "on_destroy": None, "in_use": None}, id="defaults left out"),
        pytest.param({"update_at": "2026-12-01t00:00:00z"}, id="the same time in small letters"),
        pytest.param({"max_amis": 10.0}, id="a number of our own as a double"),
        pytest.param({"__timeouts": {"create": "30m"}, "__urn": "urn", "__dry_run": True}, id="keys of the provider"),
        pytest.param({"image_state": "AVAILABLE", "__other": "x", "__secrets": ["state"]}, id="other keys"),
    ],
)
def test_equal_meaning_is_no_change(edit: dict[str, Any]) -> None:
    """The same declaration written otherwise changes nothing, in either direction."""
    assert found(INPUTS, {**INPUTS, **edit}) == {}
    assert found({**INPUTS, **edit}, INPUTS) == {}
    assert not diff(Kind.SINGLE, INPUTS, {**INPUTS, **edit})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param({}, {"triggers": []}, id="no triggers"),
        pytest.param({}, {"include_resources": None, "exclusion_rules": None, "update_at": None}, id="None"),
        pytest.param({}, {"max_amis": None}, id="no limit"),
        pytest.param(
            {"exclusion_rules": {"amis": {"is_public": True}}},
            {"exclusion_rules": {"amis": {"is_public": True, "regions": []}}},
            id="no regions",
        ),
        pytest.param({}, {"wait": True, "on_destroy": "retain", "in_use": "refuse"}, id="defaults"),
    ],
)
def test_absent_empty_and_default_are_equal(old: dict[str, Any], new: dict[str, Any]) -> None:
    """An empty list, a False or a default written out means what leaving it out means."""
    base = {"resource_arn": IMAGE_ARN, "state": "DEPRECATED"}

    assert found({**base, **old}, {**base, **new}) == {}
    assert found({**base, **new}, {**base, **old}) == {}


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ({"resource_arn": OTHER}, {"replace": {"resource_arn"}}),
        ({"state": "DISABLED"}, {"rerun": {"state"}}),
        ({"include_resources": {"amis": True, "snapshots": True}}, {"rerun": {"include_resources"}}),
        ({"include_resources": None}, {"rerun": {"include_resources"}}),
        (rules(is_public=False), {"rerun": {"exclusion_rules"}}),
        (rules(regions=["us-east-1"]), {"rerun": {"exclusion_rules"}}),
        (rules(shared_accounts=["000000000001"]), {"rerun": {"exclusion_rules"}}),
        (rules(last_launched={"value": 3, "unit": "WEEKS"}), {"rerun": {"exclusion_rules"}}),
        (rules(tag_map={"team": "web", "stage": ""}), {"rerun": {"exclusion_rules"}}),
        ({"exclusion_rules": None}, {"rerun": {"exclusion_rules"}}),
        ({"update_at": "2026-12-01T00:00:01Z"}, {"rerun": {"update_at"}}),
        ({"update_at": None}, {"rerun": {"update_at"}}),
        ({"client_token": "other"}, {"rerun": {"client_token"}}),
        ({"client_token": None}, {"rerun": {"client_token"}}),
        ({"triggers": ["2026", 7]}, {"rerun": {"triggers"}}),
        ({"triggers": [6, "2026"]}, {"rerun": {"triggers"}}),
        ({"triggers": ["2026", "6"]}, {"rerun": {"triggers"}}),
        ({"triggers": None}, {"rerun": {"triggers"}}),
        ({"execution_role": "Other"}, {"state_only": {"execution_role"}}),
        ({"wait": False}, {"state_only": {"wait"}}),
        ({"on_destroy": "restore"}, {"state_only": {"on_destroy"}}),
        ({"in_use": "ignore"}, {"state_only": {"in_use"}}),
        ({"max_amis": 11}, {"state_only": {"max_amis"}}),
        ({"max_amis": None}, {"state_only": {"max_amis"}}),
        (
            {"resource_arn": OTHER, "state": "DISABLED", "triggers": [], "wait": False},
            {"replace": {"resource_arn"}, "rerun": {"state", "triggers"}, "state_only": {"wait"}},
        ),
    ],
)
def test_what_happens_for_a_change(edit: dict[str, Any], expected: dict[str, set[str]]) -> None:
    """Another image replaces; what the service is sent runs again; the rest only updates the state."""
    assert found(INPUTS, {**INPUTS, **edit}) == expected
    assert found({**INPUTS, **edit}, INPUTS) == expected


def test_time_that_cannot_be_read_is_compared_as_text() -> None:
    """State may hold a time of a form that this release refuses: the same text is no change."""
    assert found({"update_at": "tomorrow"}, {"update_at": "tomorrow"}) == {}
    assert found({"update_at": "tomorrow"}, {"update_at": "2026-12-01T00:00:00Z"}) == {"rerun": {"update_at"}}


def test_true_and_one_differ() -> None:
    """Python holds True and 1 to be equal; as triggers they are two values."""
    assert found({"triggers": [True]}, {"triggers": [1]}) == {"rerun": {"triggers"}}


@pytest.mark.parametrize("name", list(members(installed().declaration(Kind.SINGLE))))
def test_unknown_counts_as_changed(name: str) -> None:
    """A value that is not known yet may become any value, also one deep inside another."""
    rerun = name in installed().update_fields
    expected = "replace" if name == "resource_arn" else "rerun" if rerun else "state_only"

    assert found(INPUTS, {**INPUTS, name: UNKNOWN}) == {expected: {name}}
    assert found(INPUTS, {**INPUTS, name: {"deep": [{"inside": UNKNOWN}]}}) == {expected: {name}}


def test_fleet_gains_and_loses_images() -> None:
    """Images are added and removed one by one; their order means nothing."""
    old = {"resource_arns": [IMAGE_ARN, OTHER], "state": "DEPRECATED"}

    assert found(old, {**old, "resource_arns": [OTHER, IMAGE_ARN]}, Kind.FLEET) == {}
    assert found(old, {**old, "resource_arns": [OTHER, THIRD]}, Kind.FLEET) == {
        "added": {THIRD},
        "removed": {IMAGE_ARN},
    }
    assert found(old, {**old, "resource_arns": []}, Kind.FLEET) == {"removed": {IMAGE_ARN, OTHER}}
    assert found({**old, "resource_arns": []}, old, Kind.FLEET) == {"added": {IMAGE_ARN, OTHER}}
    assert found(old, {**old, "state": "DISABLED", "wait": False}, Kind.FLEET) == {
        "rerun": {"state"},
        "state_only": {"wait"},
    }


def test_fleet_with_unknown_images_runs_again() -> None:
    """With images that are not known yet, those that are known to be new are added, and none is removed."""
    old = {"resource_arns": [IMAGE_ARN, OTHER], "state": "DEPRECATED"}

    assert found(old, {**old, "resource_arns": UNKNOWN}, Kind.FLEET) == {"rerun": {"resource_arns"}}
    assert found(old, {**old, "resource_arns": [UNKNOWN, OTHER]}, Kind.FLEET) == {"rerun": {"resource_arns"}}
    assert found(old, {**old, "resource_arns": [UNKNOWN, THIRD]}, Kind.FLEET) == {
        "rerun": {"resource_arns"},
        "added": {THIRD},
    }


@pytest.mark.parametrize(
    "edit",
    [
        {"execution_role": "Other"},
        {"include_resources": {"amis": True}},
        {"exclusion_rules": {"amis": {"is_public": True}}},
        {"in_use": "refuse"},
        {"max_amis": 3},
        {"execution_role": UNKNOWN},
    ],
)
def test_clean_up_only_updates_the_state(edit: dict[str, Any]) -> None:
    """A clean-up makes no call while it stands: what it will do one day is only kept in the state."""
    old = {"resource_arn": IMAGE_ARN, "execution_role": "ImageLifecycle"}

    assert found(old, {**old, **edit}, Kind.CLEANUP) == {"state_only": set(edit)}


def test_clean_up_of_another_image_replaces() -> None:
    """The image that is left behind is deleted then."""
    old = {"resource_arn": IMAGE_ARN, "execution_role": "ImageLifecycle"}

    assert found(old, {**old, "resource_arn": OTHER}, Kind.CLEANUP) == {"replace": {"resource_arn"}}


def test_diff_is_true_if_anything_differs() -> None:
    """A diff has a truth value as a whole."""
    assert not InputDiff()
    assert all(InputDiff(**{name: {"x"}}) for name in ("replace", "rerun", "state_only", "added", "removed"))


@pytest.mark.parametrize("kind", list(Kind))
def test_no_argument_changes_unnoticed(kind: Kind) -> None:
    """A change of any argument of any kind is found."""
    for name in members(installed().declaration(kind)):
        assert diff(kind, {}, {name: UNKNOWN})


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        pytest.param({}, {"dry_run": True}, True, id="flag set"),
        pytest.param({}, {"dry_run": False}, False, id="flag written out"),
        pytest.param({"dry_run": True}, {}, True, id="flag left out"),
        pytest.param({}, {"notify": {}}, False, id="empty structure"),
        pytest.param({}, {"notify": {"topic_arns": [], "urgent": False}}, False, id="structure of nothing"),
        pytest.param(
            {"notify": {"topic_arns": ["a", "b"]}},
            {"notify": {"topic_arns": ["b", "a", "b"]}},
            False,
            id="set reordered",
        ),
        pytest.param({"notify": {"topic_arns": ["a"]}}, {"notify": {"topic_arns": ["b"]}}, True, id="set changed"),
        pytest.param(
            {"notify": {"not_before": "2030-01-31T00:00:00Z"}},
            {"notify": {"not_before": "2030-01-31T02:00:00.5+02:00"}},
            False,
            id="same instant",
        ),
        pytest.param(
            {"notify": {"not_before": "2030-01-31T00:00:00Z"}},
            {"notify": {"not_before": "2030-01-31T00:00:00+02:00"}},
            True,
            id="another instant",
        ),
        pytest.param({"notify": {"attempts": 2}}, {"notify": {"attempts": 2.0}}, False, id="number as a double"),
        pytest.param({"notify": {"attempts": 0}}, {}, True, id="zero is not nothing"),
        pytest.param({"notify": {"tags": {"a": ""}}}, {}, True, id="an entry without a value is an entry"),
        pytest.param(
            {"notify": {"tags": {"a": "", "b": "c"}}}, {"notify": {"tags": {"b": "c", "a": ""}}}, False, id="map"
        ),
        pytest.param({"notify": {"later": 1}}, {"notify": {"later": 2}}, True, id="member of a still newer model"),
        pytest.param({"notify": "text"}, {"notify": ["text"]}, True, id="values that do not fit the shape"),
    ],
)
def test_new_arguments_are_compared_by_their_shape(
    old: dict[str, Any],
    new: dict[str, Any],
    changed: bool,
    description: dict[str, Any],
    partitions: dict[str, Any],
    new_members: None,
) -> None:
    """An argument that a newer botocore has runs the update again where its meaning changes, and only there."""
    model = Model(description, partitions)
    base = {"resource_arn": IMAGE_ARN, "state": "DISABLED"}
    expected = InputDiff(rerun={*old, *new}) if changed else InputDiff()

    assert diff(Kind.SINGLE, {**base, **old}, {**base, **new}, model=model) == expected
    assert diff(Kind.SINGLE, {**base, **new}, {**base, **old}, model=model) == expected


def is_encrypted(value: Any) -> bool:
    return isinstance(value, dict) and "ciphertext" in value


def state_of_release(version: str) -> list[tuple[Kind, dict[str, Any]]]:
    """Return kind and inputs of each resource in the state that a release wrote, secrets decrypted as Pulumi does."""
    path = Path(__file__).parents[2] / "package" / "releases" / version / "stack.json"
    resources = json.loads(path.read_text(encoding="utf-8"))["deployment"]["resources"]
    ours = [each for each in resources if ":dynamic/imagebuilder:" in each["type"]]
    return [
        (
            Kind(each["type"].rsplit(":", 1)[1]),
            {name: ROLE if is_encrypted(value) else value for name, value in each["inputs"].items()},
        )
        for each in ours
    ]


def test_state_of_the_first_release_is_unchanged() -> None:
    """The same declaration, with the arguments and defaults of today, differs from no resource of release 0.1.0."""
    now = datetime(2026, 11, 24, tzinfo=UTC)
    states = state_of_release("0.1.0")
    assert {kind for kind, _ in states} == set(Kind)
    for kind, old in states:
        written = {name: value for name, value in old.items() if not name.startswith("__")}
        validated = validate(kind, written, previous=old, now=now)

        assert validated.failures == []
        assert validated.inputs["in_use"] == ("wait" if kind is Kind.CLEANUP else "refuse")
        assert diff(kind, old, validated.inputs) == InputDiff()
