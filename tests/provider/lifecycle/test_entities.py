"""What the service answers, in the words of our outputs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.session import get_session
from pulumi_imagebuilder.lifecycle import entities
from pulumi_imagebuilder.lifecycle.entities import Execution, ExecutionSnapshot, Image, Outcome, newest

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


def enumeration(shape: str) -> set[str]:
    return set(get_session().get_service_model("imagebuilder").shape_for(shape).enum)


def execution(id_: str = "lce-1", status: str = "SUCCESS", **more: Any) -> Execution:
    return Execution(id_, status, **more)


def test_the_sets_of_statuses_are_the_models_whole_enumerations() -> None:
    """A status that a newer model adds is noticed here, and not by a run that waits for ever."""
    finished = entities.EXECUTION_SUCCEEDED | entities.EXECUTION_UNSUCCESSFUL
    assert enumeration("LifecycleExecutionStatus") == entities.EXECUTION_UNFINISHED | finished
    assert not entities.EXECUTION_UNFINISHED & finished
    assert {"CANCELLING"} == entities.EXECUTION_UNFINISHED - entities.EXECUTION_CANCELLABLE
    assert enumeration("ResourceStatus") == set(entities.ACTION)
    assert enumeration("LifecycleExecutionResourceActionName") == set(entities.ACTION.values())
    unfinished = {"IN_PROGRESS"}
    assert enumeration("LifecycleExecutionResourceStatus") == unfinished | entities.RESOURCE_DONE
    assert entities.RESOURCE_DONE > entities.RESOURCE_SUCCEEDED
    assert not unfinished & entities.RESOURCE_DONE
    stable, unstable = {"AVAILABLE", "DEPRECATED", "DISABLED", "FAILED", "CANCELLED"}, entities.IMAGE_UNSTABLE
    assert enumeration("ImageStatus") == stable | unstable | {entities.IMAGE_GONE}
    assert not stable & unstable
    assert set(entities._ORDER) == enumeration("LifecycleExecutionResourceStatus")


def test_an_image_is_read_with_all_that_may_be_missing() -> None:
    answer = {
        "state": {"status": "AVAILABLE"},
        "type": "AMI",
        "deprecationTime": LATER,
        "lifecycleExecutionId": "lce-1",
        "name": "web",
    }
    assert Image.parse(answer) == Image("AVAILABLE", "AMI", LATER, "lce-1")
    assert Image.parse({"state": {"status": "BUILDING"}}) == Image("BUILDING", None, None, None)


def test_the_amis_of_an_image_are_those_that_it_names() -> None:
    amis = [{"region": "us-east-1", "image": "ami-1"}, {"region": "eu-west-1"}]
    built = {"state": {"status": "AVAILABLE"}, "outputResources": {"amis": amis}}
    assert Image.parse(built) == Image("AVAILABLE")
    assert "ami-1" not in repr(Image.parse(built))
    assert Image.parse(built).amis == ({"region": "us-east-1", "image": "ami-1"},)
    assert Image.parse({"state": {"status": "BUILDING"}}).amis == ()
    assert Image.parse({"state": {"status": "BUILDING"}, "outputResources": {"amis": None}}).amis == ()


@pytest.mark.parametrize(("at", "ahead"), [(None, False), (NOON, False), (LATER, True)])
def test_a_deprecation_is_ahead_only_of_an_earlier_time(at: datetime | None, ahead: bool) -> None:
    assert Image("AVAILABLE", deprecation_time=at).deprecation_is_ahead(NOON) is ahead


def test_an_execution_is_read_with_all_that_may_be_missing() -> None:
    answer = {
        "lifecycleExecutionId": "lce-1",
        "state": {"status": "FAILED", "reason": "no access"},
        "startTime": NOON,
        "endTime": LATER,
        "lifecyclePolicyArn": "arn:policy",
    }
    assert Execution.parse(answer) == Execution("lce-1", "FAILED", "no access", NOON, LATER, "arn:policy")
    least = {"lifecycleExecutionId": "lce-1", "state": {"status": "PENDING"}}
    assert Execution.parse(least) == Execution("lce-1", "PENDING", None, None, None, None)


@pytest.mark.parametrize(
    ("status", "unfinished"),
    [
        ("PENDING", True),
        ("IN_PROGRESS", True),
        ("CANCELLING", True),
        ("SUCCESS", False),
        ("FAILED", False),
        ("CANCELLED", False),
    ],
)
def test_an_execution_is_unfinished_until_its_final_status(status: str, unfinished: bool) -> None:
    assert execution(status=status).unfinished is unfinished


def test_an_execution_began_at_its_start_or_its_end() -> None:
    """One that was cancelled before its time has an end alone."""
    assert execution(started=NOON, ended=LATER).began == NOON
    assert execution(ended=LATER).began == LATER
    assert execution().began is None


def test_the_newest_execution_is_the_one_that_began_last_or_has_no_time_yet() -> None:
    first, second, pending = execution(started=NOON), execution("lce-2", started=LATER), execution("lce-3", "PENDING")
    assert newest([second, first]) is second
    assert newest([first, pending, second]) is pending
    assert newest([]) is None


def test_an_execution_came_after_another_only_where_the_times_show_it() -> None:
    early, late, timeless = execution(started=NOON), execution(started=LATER), execution()
    assert late.came_after(early) is True
    assert early.came_after(late) is False
    assert early.came_after(early) is False
    assert early.came_after(timeless) is None
    assert timeless.came_after(early) is None


def test_a_snapshot_is_no_time_before_what_came_later() -> None:
    """The clocks of two answers may differ."""
    snapshot = ExecutionSnapshot("SUCCESS", None, [], None, NOON)
    assert snapshot.seconds_since(NOON - timedelta(seconds=90)) == 90
    assert snapshot.seconds_since(LATER) == 0


@pytest.mark.parametrize(("count", "truncated"), [(0, False), (100, False), (101, True)])
def test_an_outcome_is_truncated_beyond_what_an_output_lists(count: int, truncated: bool) -> None:
    assert Outcome("token", Image("DISABLED"), None, [{}] * count).truncated is truncated


def test_a_resource_is_read_into_the_words_of_the_output() -> None:
    answer = {
        "accountId": "123456789012",
        "region": "us-east-1",
        "resourceId": "ami-1",
        "action": {"name": "DELETE", "reason": "asked for"},
        "state": {"status": "FAILED", "reason": "no access"},
        "snapshots": [{"snapshotId": "snap-1", "state": {"status": "FAILED", "reason": "in use"}}, {}],
        "imageUris": ["uri"],
    }
    assert entities.parse_resource(answer) == {
        "account_id": "123456789012",
        "region": "us-east-1",
        "resource_id": "ami-1",
        "action": "DELETE",
        "status": "FAILED",
        "reason": "no access",
        "snapshots": [
            {"snapshot_id": "snap-1", "status": "FAILED", "reason": "in use"},
            {"snapshot_id": None, "status": None, "reason": None},
        ],
        "image_uris": ["uri"],
    }
    nothing = dict.fromkeys(("account_id", "region", "resource_id", "action", "status", "reason"))
    assert entities.parse_resource({}) == {**nothing, "snapshots": [], "image_uris": []}


def test_a_kept_resource_gets_the_keys_back_that_pulumi_dropped() -> None:
    kept = {"resource_id": "ami-1", "status": "SUCCESS", "snapshots": [{"snapshot_id": "snap-1"}]}
    complete = entities.complete_resource(kept)
    assert complete == {
        **entities.parse_resource({}),
        "resource_id": "ami-1",
        "status": "SUCCESS",
        "snapshots": [{"snapshot_id": "snap-1", "status": None, "reason": None}],
    }
    assert list(complete) == list(entities.parse_resource({}))
    assert entities.complete_resource({"resource_id": "ami-1"})["snapshots"] == []


def test_resources_are_sorted_failed_ones_first_in_an_order_of_their_own() -> None:
    """Whatever the order of the service: a list that only changes its order would show as a difference."""
    resources = [
        {"status": "SUCCESS", "region": "eu-west-1", "resource_id": "ami-2"},
        {"status": "SUCCESS", "region": "eu-west-1", "resource_id": "ami-1"},
        {"status": "SKIPPED", "region": "us-east-1", "resource_id": "ami-3"},
        {"status": "SUCCESS", "region": "ap-south-1", "resource_id": "ami-9"},
        {"status": "IN_PROGRESS", "region": "us-east-1", "resource_id": "ami-4"},
        {"status": "FAILED", "region": "us-east-1", "resource_id": "ami-5"},
        {"status": "NEW", "region": None, "resource_id": "ami-6"},
    ]
    in_order = ["ami-6", "ami-5", "ami-4", "ami-3", "ami-9", "ami-1", "ami-2"]
    assert [each["resource_id"] for each in entities.sort_resources(resources)] == in_order
    assert [each["resource_id"] for each in entities.sort_resources(resources[::-1])] == in_order


def test_a_time_is_written_in_utc_and_whole_seconds() -> None:
    eastern = datetime(2026, 1, 1, 12, 0, 0, 999_999, timezone(timedelta(hours=-5)))
    assert entities.format_time(eastern) == "2026-01-01T17:00:00Z"
    assert entities.format_time(None) is None
