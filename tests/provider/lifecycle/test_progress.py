"""What a person reads while something is under way, and when its time has run out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pulumi_imagebuilder.errors import ImageBuilderError, ServiceError
from pulumi_imagebuilder.lifecycle.entities import Execution, ExecutionSnapshot, Image, Outcome
from pulumi_imagebuilder.lifecycle.progress import FleetProgress, Progress, group_failures, name_images

from tests.provider.simulated import STEM, arns

LONGER = "or give it longer with custom_timeouts"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    return Progress("changing image web", now=clock)


def snapshot(status: str = "IN_PROGRESS", *resources: str, more: bool = False) -> ExecutionSnapshot:
    found = [{"status": resource} for resource in resources]
    return ExecutionSnapshot(status, None, found, "page" if more else None, datetime.now(UTC))


def test_the_line_has_status_time_and_resources(progress: Progress, clock: Clock) -> None:
    assert progress.text() == "STARTING 0s"
    clock.now += 185.9
    assert progress.text() == "STARTING 3m05s"
    progress.update(snapshot())
    assert progress.text() == "IN_PROGRESS 3m05s"
    progress.update(snapshot("IN_PROGRESS", "SUCCESS", "SKIPPED", "FAILED", "IN_PROGRESS"))
    assert progress.text() == "IN_PROGRESS 3m05s, 3 of 4 resources"
    progress.update(snapshot("IN_PROGRESS", "SUCCESS", "IN_PROGRESS", more=True))
    assert progress.text() == "IN_PROGRESS 3m05s, 1 of 2+ resources"


def test_the_line_of_what_is_done_has_its_final_status(progress: Progress) -> None:
    """That of the execution, or of the image where the change was immediate; for a row must not read as under way."""
    resources = [{"status": "SUCCESS"}]
    progress.update(Outcome("token", Image("DISABLED"), Execution("lce-1", "SUCCESS"), resources))
    assert progress.text() == "SUCCESS 0s, 1 of 1 resources"
    progress.update(Outcome("token", Image("DEPRECATED")))
    assert progress.text() == "DEPRECATED 0s"


def test_the_line_says_what_is_waited_for_and_why(progress: Progress) -> None:
    progress.retrying("retrying after 503")
    assert progress.text() == "STARTING 0s (retrying after 503)"
    progress.blocking_execution = "lce-2"
    assert progress.text() == "waiting for lce-2 of the same image to end: STARTING 0s (retrying after 503)"
    progress.build_status = "BUILDING"
    assert progress.text() == "waiting for the image to be built: BUILDING 0s (retrying after 503)"
    progress.update(snapshot())
    assert progress.text() == "waiting for the image to be built: BUILDING 0s"


def test_a_log_gets_a_line_for_news_and_at_growing_intervals_of_a_minute_at_most(
    progress: Progress, clock: Clock
) -> None:
    progress.update(snapshot("IN_PROGRESS", "SUCCESS", "IN_PROGRESS"))
    lines = []
    for second in range(3600):
        clock.now = 100.0 + second
        if second == 1800:
            progress.update(snapshot("IN_PROGRESS", "SUCCESS", "SUCCESS"))
        lines += [line] if (line := progress.changed_line()) else []
    seconds = (0, 1, 2, 3, 5, 8, 12, 18, 27, 41)
    assert lines[:10] == [f"IN_PROGRESS {second}s, 1 of 2 resources" for second in seconds]
    assert lines[10:14] == [f"IN_PROGRESS {at}, 1 of 2 resources" for at in ("1m02s", "1m33s", "2m20s", "3m20s")]
    assert "IN_PROGRESS 30m00s, 2 of 2 resources" in lines
    assert len(lines) == 70


@pytest.mark.parametrize(
    "change",
    [
        lambda progress: progress.retrying("retrying after 503"),
        lambda progress: setattr(progress, "status", "CANCELLING"),
        lambda progress: setattr(progress, "blocking_execution", "lce-2"),
        lambda progress: setattr(progress, "build_status", "BUILDING"),
        lambda progress: progress.update(snapshot("STARTING", "SUCCESS")),
    ],
)
def test_whatever_the_line_has_is_news(progress: Progress, clock: Clock, change: Any) -> None:
    clock.now += 10
    assert progress.changed_line() is not None
    clock.now += 1
    assert progress.changed_line() is None
    change(progress)
    assert progress.changed_line() == progress.text()


@pytest.mark.parametrize(
    ("seen", "reason", "next_step"),
    [
        ({}, "before the service answered", "the next `pulumi up` continues from here"),
        (
            {"note": "retrying after 503"},
            "before the service answered (retrying after 503)",
            "the next `pulumi up` continues from here",
        ),
        (
            {"build_status": "BUILDING"},
            "while the image was still BUILDING",
            f"run `pulumi up` again once it is built, {LONGER}",
        ),
        (
            {"blocking_execution": "lce-2", "execution_id": "lce-1"},
            "while waiting for lifecycle execution lce-2, which has the image in use",
            f"run `pulumi up` again once it has ended, {LONGER}",
        ),
        (
            {"execution_id": "lce-1", "status": "IN_PROGRESS"},
            "while lifecycle execution lce-1 was IN_PROGRESS",
            f"it continues, and the next `pulumi up` continues to wait for it; {LONGER}",
        ),
        (
            {"execution_id": "lce-1"},
            "while lifecycle execution lce-1 was STARTING",
            f"it continues, and the next `pulumi up` continues to wait for it; {LONGER}",
        ),
        (
            {"execution_id": "lce-1", "status": "FAILED"},
            "while reading how lifecycle execution lce-1 ended, which was as FAILED",
            "the next `pulumi up` continues from here",
        ),
        (
            {"same_command": True},
            "before the service answered",
            "the same command continues from here",
        ),
        (
            {"same_command": True, "build_status": "BUILDING"},
            "while the image was still BUILDING",
            f"run the same command again once it is built, {LONGER}",
        ),
    ],
)
def test_a_time_limit_says_what_was_waited_for_and_what_to_do(
    progress: Progress, seen: dict[str, Any], reason: str, next_step: str
) -> None:
    for name, value in seen.items():
        setattr(progress, name, value)
    assert progress.describe_time_out(300) == (f"the time limit of 5m00s ran out {reason}", next_step)


@pytest.mark.parametrize(
    ("seen", "described"),
    [
        ({}, ("the run was cancelled", "the next `pulumi up` continues from here")),
        (
            {"execution_id": "lce-1", "status": "IN_PROGRESS"},
            (
                "the run was cancelled while lifecycle execution lce-1 was IN_PROGRESS",
                "it continues, and the next `pulumi up` continues to wait for it",
            ),
        ),
        (
            {"execution_id": "lce-1", "blocking_execution": "lce-2", "same_command": True},
            ("the run was cancelled", "the same command continues from here"),
        ),
    ],
)
def test_a_cancellation_names_the_execution_that_continues(
    progress: Progress, seen: dict[str, Any], described: tuple[str, str]
) -> None:
    """One that was started, unless the run waits for another to end."""
    for name, value in seen.items():
        setattr(progress, name, value)
    assert progress.describe_cancellation() == described


@pytest.mark.parametrize(
    ("id_", "status", "continues"),
    [
        ("lce-1", "STARTING", True),
        ("lce-1", "PENDING", True),
        ("lce-1", "CANCELLING", True),
        ("lce-1", "SUCCESS", False),
        (None, "IN_PROGRESS", False),
    ],
)
def test_an_execution_continues_as_long_as_it_was_not_seen_to_end(
    progress: Progress, id_: str | None, status: str, continues: bool
) -> None:
    progress.execution_id, progress.status = id_, status
    assert progress.execution_continues is continues


@pytest.fixture
def fleet(clock: Clock) -> FleetProgress:
    whole = FleetProgress("changing 20 images to DISABLED", now=clock)
    whole.total = 20
    return whole


def test_the_line_of_a_fleet_counts(fleet: FleetProgress, clock: Clock) -> None:
    clock.now += 42
    assert fleet.text() == "0 of 20 done, 20 in progress, 42s"
    fleet.done, fleet.ended = 12, 3
    assert fleet.text() == "15 of 20 done, 5 in progress, 42s"
    fleet.failures = dict.fromkeys(arns(2), ImageBuilderError("no access"))
    assert fleet.text() == "15 of 20 done, 2 failed, 3 in progress, 42s"
    fleet.done, fleet.ended = 18, 0
    assert fleet.text() == "18 of 20 done, 2 failed, 42s"


def test_a_fleet_shows_for_five_seconds_why_one_of_its_calls_is_made_again(fleet: FleetProgress, clock: Clock) -> None:
    member = Progress("changing image web", now=clock, fleet=fleet)
    clock.now += 10
    member.retrying("retrying after 503")
    assert fleet.text() == "0 of 20 done, 20 in progress, 10s (retrying after 503)"
    member.note = None
    assert fleet.note == "retrying after 503"
    clock.now += 4.9
    assert fleet.note == "retrying after 503"
    clock.now += 0.1
    assert fleet.text() == "0 of 20 done, 20 in progress, 15s"


def test_what_uses_the_amis_is_shown_while_it_is_waited_for(clock: Clock) -> None:
    progress = Progress("changing image web", now=clock)
    progress.in_use = "ami-1 (us-east-1) is used by SSM parameter /golden/web"
    clock.now += 10
    assert progress.changed_line() == "waiting 10s: ami-1 (us-east-1) is used by SSM parameter /golden/web"
    assert progress.describe_time_out(300) == (
        "the time limit of 5m00s ran out while waiting: ami-1 (us-east-1) is used by SSM parameter /golden/web",
        f"run `pulumi up` again once that has changed, {LONGER}",
    )
    progress.in_use = None
    assert progress.text() == "STARTING 10s"


def test_a_fleet_shows_what_its_images_wait_for_each_use_once(fleet: FleetProgress, clock: Clock) -> None:
    members = [Progress(f"changing image {number}", now=clock, fleet=fleet) for number in range(3)]
    assert fleet.changed_line() == "0 of 20 done, 20 in progress, 0s"
    for member in members:
        member.in_use = "it is used by SSM parameter /golden/web"
    members[0].in_use = "it is used by launch template web"
    assert fleet.in_use == "it is used by SSM parameter /golden/web; it is used by launch template web"
    text = "2 waiting: it is used by SSM parameter /golden/web"
    members[0].in_use = None
    assert fleet.changed_line() == f"0 of 20 done, 20 in progress, 0s; {text}"
    assert (
        fleet.describe_time_out(300)[0] == f"the time limit of 5m00s ran out with 0 of 20 done, 20 in progress; {text}"
    )
    for member in members:
        member.in_use = None
    assert fleet.text() == "0 of 20 done, 20 in progress, 0s"


def test_a_fleet_names_at_most_three_uses(fleet: FleetProgress, clock: Clock) -> None:
    members = [Progress(f"changing image {number}", now=clock, fleet=fleet) for number in range(5)]
    for number, member in enumerate(members):
        member.in_use = f"use {number}"
    assert fleet.text() == "0 of 20 done, 20 in progress, 0s; 5 waiting: use 0; use 1; use 2"


def test_a_fleet_has_news_when_its_counts_change(fleet: FleetProgress, clock: Clock) -> None:
    clock.now += 30
    assert fleet.changed_line() == "0 of 20 done, 20 in progress, 30s"
    fleet.note = "retrying after 503"
    assert fleet.changed_line() is None
    fleet.ended = 1
    assert fleet.changed_line() == "1 of 20 done, 19 in progress, 30s (retrying after 503)"
    fleet.failures = {STEM: ImageBuilderError("no access")}
    assert fleet.changed_line() == "1 of 20 done, 1 failed, 18 in progress, 30s (retrying after 503)"


def test_the_time_limit_of_a_fleet_counts_and_says_why_some_failed(fleet: FleetProgress) -> None:
    fleet.done = 19
    next_step = f"what is in progress continues, and the next `pulumi up` continues from here; {LONGER}"
    assert fleet.describe_time_out(300) == (
        "the time limit of 5m00s ran out with 19 of 20 done, 1 in progress",
        next_step,
    )
    fleet.failures = {f"{STEM}/1": ImageBuilderError("no access")}
    assert fleet.describe_time_out(300) == (
        f"the time limit of 5m00s ran out with 19 of 20 done, 1 failed; image {STEM}/1: no access",
        next_step,
    )


def test_equal_reasons_are_said_once_the_commonest_first() -> None:
    """What differs from image to image in them is left out: the image, executions, AMIs, snapshots, request ids."""
    one, two, three, four = arns(4)
    execution = "lce-00000000-0000-0000-0000-00000000000"
    failures = {
        one: ServiceError(f"{one} is in use by {execution}1", "ResourceInUseException"),
        two: ServiceError(f"denied: ami-0a1 and snap-1 of {execution}2 (request id 1-2-3)", "AccessDenied"),
        three: ServiceError(f"denied: ami-0b2 and snap-2 of {execution}3 (request id 4-5-6)", "AccessDenied"),
    }
    prefix = "arn:aws:imagebuilder:us-east-1:123456789012:image/…"
    assert group_failures(failures) == (
        f"2 images: denied: ami-… and snap-… of lce-…: web/1.0.0/2, web/1.0.0/3 ({prefix}); "
        f"image {one}: {one} is in use by {execution}1"
    )
    failures[four] = ServiceError(f"{four} is in use by {execution}4", "ResourceInUseException")
    assert group_failures(failures).startswith("2 images: the image is in use by lce-…: web/1.0.0/1, web/1.0.0/4 (")


def test_errors_without_a_reason_of_their_own_do_not_name_the_image_twice() -> None:
    """Neither one by one nor together does it read "the image the image"."""
    failures = {arn: ImageBuilderError("", action=f"changing image {arn} to DISABLED") for arn in arns(2)}
    text = group_failures(failures)
    assert "the image the image" not in text
    assert "changing" not in text


def test_images_are_named_in_the_order_of_their_numbers_with_the_common_part_once() -> None:
    assert name_images(
        [f"{STEM}/10", f"{STEM}/9", STEM.replace("1.0.0", "0.10.0") + "/1", STEM.replace("1.0.0", "0.9.0") + "/2"]
    ) == ("web/0.9.0/2, web/0.10.0/1, web/1.0.0/9, web/1.0.0/10 (arn:aws:imagebuilder:us-east-1:123456789012:image/…)")
    elsewhere = STEM.replace("us-east-1", "eu-west-1")
    assert name_images([f"{STEM}/1", f"{elsewhere}/1"]) == (
        "web/1.0.0/1 (arn:aws:imagebuilder:us-east-1:123456789012:image/…), "
        "web/1.0.0/1 (arn:aws:imagebuilder:eu-west-1:123456789012:image/…)"
    )


def test_an_image_whose_state_was_still_to_be_read_is_no_news_once_it_is_done(
    fleet: FleetProgress, clock: Clock
) -> None:
    clock.now += 30
    fleet.ended = 2
    assert fleet.changed_line() is not None
    fleet.done, fleet.ended = 1, 1
    assert fleet.changed_line() is None
