"""What is a change, and what happens for it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from pulumi_imagebuilder.rules import UNKNOWN, Changes, Kind, changes
from pulumi_imagebuilder.rules.meaning import ASKS, IMAGE, IMAGES, NOTES
from pulumi_imagebuilder.rules.model import installed, members

IMAGE_ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"
OTHER = "arn:aws:imagebuilder:us-east-1:123456789012:image/db/1.0.0/1"
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
    "__timeouts": {"create": "30m"},
}


def rules(**edit: Any) -> dict[str, Any]:
    return {"exclusion_rules": {"amis": {**INPUTS["exclusion_rules"]["amis"], **edit}}}


def found(old: dict[str, Any], new: dict[str, Any], kind: Kind = Kind.SINGLE) -> dict[str, set[str]]:
    """What differs, without what does not."""
    return {name: names for name, names in asdict(changes(kind, old, new)).items() if names}


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
        pytest.param({"wait": None, "on_destroy": None}, id="defaults left out"),
        pytest.param({"image_state": "AVAILABLE", "__other": "x", "__secrets": ["state"]}, id="other keys"),
    ],
)
def test_equal_meaning_is_no_change(edit: dict[str, Any]) -> None:
    """The same declaration written otherwise changes nothing, in either direction."""
    assert found(INPUTS, {**INPUTS, **edit}) == {}
    assert found({**INPUTS, **edit}, INPUTS) == {}
    assert not changes(Kind.SINGLE, INPUTS, {**INPUTS, **edit})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param({}, {"triggers": []}, id="no triggers"),
        pytest.param({}, {"include_resources": None, "exclusion_rules": None, "update_at": None}, id="None"),
        pytest.param({}, {"__timeouts": {}}, id="no time limits"),
        pytest.param(
            {"exclusion_rules": {"amis": {"is_public": True}}},
            {"exclusion_rules": {"amis": {"is_public": True, "regions": []}}},
            id="no regions",
        ),
        pytest.param({}, {"wait": True, "on_destroy": "retain"}, id="defaults"),
    ],
)
def test_what_says_nothing_is_no_change(old: dict[str, Any], new: dict[str, Any]) -> None:
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
        ({"execution_role": "Other"}, {"record": {"execution_role"}}),
        ({"wait": False}, {"record": {"wait"}}),
        ({"on_destroy": "restore"}, {"record": {"on_destroy"}}),
        ({"__timeouts": {"create": "31m"}}, {"record": {"__timeouts"}}),
        ({"__timeouts": None}, {"record": {"__timeouts"}}),
        ({"__urn": "urn:of another name"}, {"record": {"__urn"}}),
        (
            {"resource_arn": OTHER, "state": "DISABLED", "triggers": [], "wait": False},
            {"replace": {"resource_arn"}, "rerun": {"state", "triggers"}, "record": {"wait"}},
        ),
    ],
)
def test_what_happens_for_a_change(edit: dict[str, Any], expected: dict[str, set[str]]) -> None:
    """Another image replaces; what the service is asked runs again; the rest is only written down."""
    assert found(INPUTS, {**INPUTS, **edit}) == expected
    assert found({**INPUTS, **edit}, INPUTS) == expected


def test_true_is_not_one() -> None:
    """Python holds True and 1 to be equal; as triggers they are two values."""
    assert found({"triggers": [True]}, {"triggers": [1]}) == {"rerun": {"triggers"}}


@pytest.mark.parametrize("name", [IMAGE, *ASKS, *NOTES])
def test_unknown_counts_as_changed(name: str) -> None:
    """What is not known yet may turn out to be anything, a value deep inside it as well."""
    expected = "replace" if name == IMAGE else "rerun" if name in ASKS else "record"

    assert found(INPUTS, {**INPUTS, name: UNKNOWN}) == {expected: {name}}
    assert found(INPUTS, {**INPUTS, name: {"deep": [{"inside": UNKNOWN}]}}) == {expected: {name}}


def test_a_fleet_names_what_came_and_went() -> None:
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
        "record": {"wait"},
    }


def test_unknown_images_of_a_fleet_run_again_as_far_as_is_known() -> None:
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
        {"__timeouts": {"delete": "2h"}},
        {"execution_role": UNKNOWN},
    ],
)
def test_a_clean_up_only_writes_down(edit: dict[str, Any]) -> None:
    """A clean-up makes no call while it stands: what it will do one day is only written down."""
    old = {"resource_arn": IMAGE_ARN, "execution_role": "ImageLifecycle"}

    assert found(old, {**old, **edit}, Kind.CLEANUP) == {"record": set(edit)}


def test_a_clean_up_of_another_image_replaces() -> None:
    """The image that is left behind is deleted then."""
    old = {"resource_arn": IMAGE_ARN, "execution_role": "ImageLifecycle"}

    assert found(old, {**old, "resource_arn": OTHER}, Kind.CLEANUP) == {"replace": {"resource_arn"}}


def test_changes_are_true_if_there_are_any() -> None:
    """Changes can be asked as a whole."""
    assert not Changes()
    assert all(Changes(**{name: {"x"}}) for name in ("replace", "rerun", "record", "added", "removed"))


def test_every_argument_has_its_place() -> None:
    """No argument of any kind can change unnoticed."""
    for kind in Kind:
        assert set(members(installed().declaration(kind))) <= {IMAGE, IMAGES, *ASKS, *NOTES}
