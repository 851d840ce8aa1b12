"""A declared change, its tokens, and what confirms it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from pulumi_imagebuilder.lifecycle.change import Change, derive_token
from pulumi_imagebuilder.lifecycle.entities import Image

from tests.provider.simulated import ARN, DISABLE, STEM, to

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SCHEDULED = to("DEPRECATED", updateAt=NOON)


def change(request: Mapping[str, Any] = DISABLE, arn: str = ARN, **more: Any) -> Change:
    return Change(arn, request, **more)


def tokens(count: int = 3, **more: Any) -> list[str]:
    return list(islice(change(**more).token_candidates(), count))


def test_tokens_are_always_the_same_for_the_same_change() -> None:
    """A run that was killed sends the token again that it sent before; these are what 0.2.0 has sent."""
    assert tokens() == tokens()
    assert len(set(tokens(20))) == 20
    assert derive_token(["cancel", "lce-1"]) == "pulumi-daeec68f600d562a5c428820e7d69"
    assert tokens(1) == [
        derive_token([ARN, {k: v for k, v in DISABLE.items() if k != "executionRole"}, *[None] * 3, 0])
    ]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"request": SCHEDULED},
        {"triggers": ["x" * 1000]},
        {"follows": "pulumi-cd2be394bf3fdce232ccf28d61fa54184ea2b6e5de755262"},
    ],
)
def test_tokens_have_36_characters_at_most(more: dict[str, Any]) -> None:
    """The limit of older models and other partitions, also after a token of release 0.1.0, which is longer."""
    assert [len(token) for token in tokens(**more)] == [36] * 3
    assert all(token.startswith("pulumi-") for token in tokens(**more))


@pytest.mark.parametrize(
    "more",
    [
        {"arn": f"{STEM}/2"},
        {"request": to("AVAILABLE")},
        {"request": SCHEDULED},
        {"request": {**DISABLE, "exclusionRules": {"amis": {"isPublic": True}}}},
        {"request": {**DISABLE, "anArgumentOfANewerModel": 1}},
        {"triggers": ["x"]},
        {"follows": "the token before"},
    ],
)
def test_another_change_has_other_tokens(more: dict[str, Any]) -> None:
    assert not set(tokens(20)) & set(tokens(20, **more))


@pytest.mark.parametrize(
    "more",
    [
        {"request": {**DISABLE, "executionRole": "Another"}},
        {"request": dict(reversed(DISABLE.items()))},
        {"superseded": "lce-1"},
        {"own_schedule": "lce-1"},
        {"wait": False},
        {"cancels_schedules": True},
        {"awaits_build": True},
        {"schedule_elapsed": True},
    ],
)
def test_the_role_and_how_it_is_carried_out_are_no_part_of_the_tokens(more: dict[str, Any]) -> None:
    assert tokens() == tokens(**more)


def test_a_users_own_token_comes_first_and_distinguishes_what_follows() -> None:
    first, *others = tokens(5, client_token="mine")
    assert first == "mine"
    assert not set(others) & set(tokens(5))
    assert len(set(others)) == 4


def test_a_request_that_is_no_json_gets_no_token() -> None:
    """It would get the token of another change."""
    with pytest.raises(TypeError, match="'object'"):
        tokens(request={"updateAt": object()})


def test_a_change_is_awaited_unless_it_is_scheduled_or_not_waited_for() -> None:
    assert change().is_awaited is True
    assert change(wait=False).is_awaited is False
    assert change(SCHEDULED).is_awaited is False


@pytest.mark.parametrize(
    ("more", "first"),
    [
        ({}, True),
        ({"follows": "token"}, False),
        ({"superseded": "lce-1"}, False),
        ({"client_token": "mine"}, False),
        ({"triggers": ["x"]}, True),
    ],
)
def test_a_change_is_the_first_without_anything_before_it_or_a_token_of_its_own(
    more: dict[str, Any], first: bool
) -> None:
    assert change(**more).is_first is first


def test_a_schedule_is_overdue_from_its_time_on_or_once_it_has_come_true() -> None:
    """Whatever this machine's clock says."""
    second = timedelta(seconds=1)
    assert change(SCHEDULED).is_overdue(NOON) is True
    assert change(SCHEDULED).is_overdue(NOON + second) is True
    assert change(SCHEDULED).is_overdue(NOON - second) is False
    assert change(SCHEDULED, schedule_elapsed=True).is_overdue(NOON - second) is True
    assert change(schedule_elapsed=True).is_overdue(NOON) is False


def test_a_change_without_its_schedule_is_otherwise_the_same() -> None:
    scheduled = change(SCHEDULED, triggers=["x"], follows="token")
    assert scheduled.without_schedule() == change(to("DEPRECATED"), triggers=["x"], follows="token")
    assert scheduled.update_at == NOON
    assert scheduled.without_schedule().update_at is None
    assert scheduled.target == "DEPRECATED"


SET = Image("AVAILABLE", deprecation_time=NOON)
ROUNDED = Image("AVAILABLE", deprecation_time=NOON + timedelta(seconds=59))
LATER = Image("AVAILABLE", deprecation_time=NOON + timedelta(minutes=1))
MARKED = Image("AVAILABLE", lifecycle_execution_id="lce-1")


@pytest.mark.parametrize(
    ("request_", "image", "execution_id", "confirmed"),
    [
        pytest.param(DISABLE, Image("DISABLED"), "lce-1", True, id="the state that was asked for"),
        pytest.param(DISABLE, Image("DISABLED"), None, True, id="that state, at once"),
        pytest.param(DISABLE, MARKED, "lce-1", False, id="another state"),
        pytest.param(to("DELETED"), Image("DELETED"), "lce-1", True, id="gone"),
        pytest.param(to("DELETED"), MARKED, "lce-1", True, id="kept, and last touched by it"),
        pytest.param(to("DELETED"), MARKED, "lce-2", False, id="kept, and last touched by another"),
        pytest.param(to("DELETED"), Image("AVAILABLE"), None, False, id="kept, and touched by none"),
        pytest.param(SCHEDULED, SET, None, True, id="a near schedule that is set"),
        pytest.param(SCHEDULED, Image("AVAILABLE"), None, False, id="a near schedule that is not set"),
        pytest.param(SCHEDULED, ROUNDED, None, True, id="a near schedule, to the minute"),
        pytest.param(SCHEDULED, LATER, None, False, id="the schedule of another"),
        pytest.param(SCHEDULED, SET, "lce-1", False, id="a schedule that has an execution is no end"),
        pytest.param(to("DEPRECATED"), SET, None, False, id="no schedule"),
    ],
)
def test_what_confirms_a_change(
    request_: dict[str, Any], image: Image, execution_id: str | None, confirmed: bool
) -> None:
    assert change(request_).is_confirmed_by(image, execution_id) is confirmed


def test_a_deletion_that_left_nothing_out_is_confirmed_only_by_an_image_that_is_gone() -> None:
    deletion = change(to("DELETED"))
    assert deletion.is_confirmed_by(MARKED, "lce-1", keeps_record=False) is False
    assert deletion.is_confirmed_by(Image("DELETED"), "lce-1", keeps_record=False) is True


@pytest.mark.parametrize(
    ("included", "immediate"), [(None, True), ({}, True), ({"amis": False}, True), ({"amis": True}, False)]
)
def test_a_change_is_immediate_where_nothing_under_the_image_is_included(included: Any, immediate: bool) -> None:
    request = {"state": {"status": "DISABLED"}, **({} if included is None else {"includeResources": included})}
    assert change(request).is_immediate is immediate
