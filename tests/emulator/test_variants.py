"""Each reading of what the documentation leaves open, asked by boto3; and how readings are switched on."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator
from imagebuilder_emulator.variants import VARIANTS, Variants, parse_variants

WEB = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
POLICY = "arn:aws:imagebuilder:us-east-1:123456789012:lifecycle-policy/weekly"
UNKNOWN = "lce-00000000-0000-4000-8000-000000000000"
AMIS = {"executionRole": "ImageLifecycle", "includeResources": {"amis": True}}


def switch(emulated: Any, **readings: str) -> None:
    emulated.emulator.variants.set({name.replace("_", "-"): value for name, value in readings.items()})


def schedule(emulated: Any, **options: Any) -> dict[str, Any]:
    started: dict[str, Any] = emulated.start(updateAt=emulated.emulator.clock.now() + timedelta(days=30), **options)
    return started


def get(emulated: Any, execution: dict[str, Any]) -> dict[str, Any]:
    answer = emulated.image_builder.get_lifecycle_execution(lifecycleExecutionId=execution["lifecycleExecutionId"])
    found: dict[str, Any] = answer["lifecycleExecution"]
    return found


def get_builds(emulated: Any) -> list[tuple[str, str]]:
    """Names and states of all builds, by boto3's paginator."""
    pages = emulated.image_builder.get_paginator("list_image_build_versions").paginate()
    return [(each["name"], each["state"]["status"]) for page in pages for each in page["imageSummaryList"]]


@pytest.mark.parametrize("status", VARIANTS["schedule-status"].readings)
def test_a_waiting_schedule_has_a_start_time_and_no_resources(emulated: Any, status: str) -> None:
    """Under each status, until its time comes; then it runs as any execution does."""
    switch(emulated, schedule_status=status)
    execution = schedule(emulated, **AMIS)
    found = get(emulated, execution)
    assert (found["state"]["status"], found["resourcesImpactedSummary"]) == (status, {"hasImpactedResources": False})
    assert isinstance(found["startTime"], datetime)
    assert (emulated.rows(execution), emulated.rows(execution, parent=None)) == ([], [])
    listed = emulated.image_builder.list_lifecycle_executions(resourceArn=WEB)["lifecycleExecutions"]
    assert [each["state"]["status"] for each in listed] == [status]
    emulated.later(31 * 86_400)
    found = get(emulated, execution)
    assert (found["state"]["status"], found["resourcesImpactedSummary"]) == ("SUCCESS", {"hasImpactedResources": True})
    assert len(emulated.rows(execution)) == 3


def test_an_unscheduled_execution_is_pending_before_it_begins(emulated: Any) -> None:
    """The variant is about schedules alone."""
    switch(emulated, schedule_status="IN_PROGRESS")
    assert emulated.status(emulated.start(**AMIS)) == "PENDING"


def test_a_deleted_image_is_not_found_by_default(emulated: Any) -> None:
    """Neither by its ARN nor in lists."""
    emulated.start(state="DELETED", **AMIS)
    emulated.later()
    assert emulated.refused(emulated.image_state)[:2] == ("ResourceNotFoundException", 404)
    assert "web" not in dict(get_builds(emulated))


def test_a_deleted_image_can_be_shown_by_its_state(emulated: Any) -> None:
    """By its ARN and in lists; no further update is accepted, and its ARN can be built again."""
    switch(emulated, deleted_image="state")
    emulated.start(state="DELETED", **AMIS)
    emulated.later()
    assert emulated.image_state() == "DELETED"
    assert dict(get_builds(emulated))["web"] == "DELETED"
    assert emulated.refused(lambda: emulated.start(state="DISABLED")) == (
        "InvalidRequestException",
        400,
        "The image is DELETED; its state can no longer be updated",
    )
    saved = emulated.emulator.save()
    emulated.emulator.load(json.loads(json.dumps(saved)))
    assert emulated.image_state() == "DELETED"


def test_short_pages_hold_fewer_than_asked_for(emulated: Any) -> None:
    """The first page is empty and has a token; the paginator finds everything, once."""
    everything = get_builds(emulated)
    switch(emulated, pages="short")
    first = emulated.image_builder.list_image_build_versions(maxResults=25)
    assert first["imageSummaryList"] == []
    second = emulated.image_builder.list_image_build_versions(maxResults=25, nextToken=first["nextToken"])
    assert len(second["imageSummaryList"]) == 3
    assert get_builds(emulated) == everything
    assert len(everything) == 4
    found = emulated.image_builder.list_image_build_versions(filters=[{"name": "name", "values": ["none"]}])
    assert (found["imageSummaryList"], "nextToken" in found) == ([], False)


def test_short_pages_are_in_every_list(emulated: Any) -> None:
    """Executions, their resources and versions are handed out in short pages too."""
    switch(emulated, pages="short")
    execution = emulated.start(**AMIS)
    emulated.later()
    client, of = emulated.image_builder, {"lifecycleExecutionId": execution["lifecycleExecutionId"]}
    for key, answer in (
        ("lifecycleExecutions", client.list_lifecycle_executions(resourceArn=WEB)),
        ("resources", client.list_lifecycle_execution_resources(**of, parentResourceId=WEB)),
        ("resources", client.list_lifecycle_execution_resources(**of)),
        ("imageVersionList", client.list_images()),
    ):
        assert answer[key] == []
        assert answer["nextToken"]


def test_a_new_execution_cannot_be_read_for_a_moment(emulated: Any) -> None:
    """Under lag it is unknown to reads and lists, and the image does not name it; then it is there."""
    switch(emulated, consistency="lag")
    execution = emulated.start(**AMIS)
    message = f"The lifecycle execution {execution['lifecycleExecutionId']} was not found"
    assert emulated.refused(lambda: get(emulated, execution)) == ("ResourceNotFoundException", 404, message)
    ask = emulated.image_builder
    assert ask.list_lifecycle_executions(resourceArn=WEB)["lifecycleExecutions"] == []
    assert "lifecycleExecutionId" not in ask.get_image(imageBuildVersionArn=WEB)["image"]
    emulated.later(2)
    assert get(emulated, execution)["state"]["status"] == "IN_PROGRESS"
    assert len(ask.list_lifecycle_executions(resourceArn=WEB)["lifecycleExecutions"]) == 1
    assert ask.get_image(imageBuildVersionArn=WEB)["image"]["lifecycleExecutionId"] == execution["lifecycleExecutionId"]


def test_images_lag_behind_writes(emulated: Any) -> None:
    """The old state is shown for a moment, by GetImage and in the list; a write is judged by what is true."""
    switch(emulated, consistency="lag")
    emulated.start(state="DISABLED")
    assert (emulated.image_state(), dict(get_builds(emulated))["web"]) == ("AVAILABLE", "AVAILABLE")
    emulated.later(2)
    assert (emulated.image_state(), dict(get_builds(emulated))["web"]) == ("DISABLED", "DISABLED")


def test_lists_of_executions_lag_behind_writes(emulated: Any) -> None:
    """An execution that has just ended is listed as under way, and so are its resources."""
    switch(emulated, consistency="lag")
    execution = emulated.start(state="DISABLED", **AMIS)
    emulated.later(10)
    assert get(emulated, execution)["state"]["status"] == "SUCCESS"
    (listed,) = emulated.image_builder.list_lifecycle_executions(resourceArn=WEB)["lifecycleExecutions"]
    assert listed["state"]["status"] == "IN_PROGRESS"
    assert [row["state"]["status"] for row in emulated.rows(execution, parent=None)] == ["IN_PROGRESS"]
    emulated.later(2)
    (listed,) = emulated.image_builder.list_lifecycle_executions(resourceArn=WEB)["lifecycleExecutions"]
    assert listed["state"]["status"] == "SUCCESS"


def test_a_deletion_lags(emulated: Any) -> None:
    """The image is still found for a moment."""
    switch(emulated, consistency="lag")
    emulated.start(state="DELETED", **AMIS)
    emulated.later(10)
    assert emulated.image_state() == "AVAILABLE"
    emulated.later(2)
    assert emulated.refused(emulated.image_state)[0] == "ResourceNotFoundException"


def test_a_creation_lags(emulated: Any) -> None:
    """An image that is new is not found for a moment."""
    switch(emulated, consistency="lag")
    here = "arn:aws:imagebuilder:us-east-1:123456789012"
    built = emulated.image_builder.create_image(
        imageRecipeArn=f"{here}:image-recipe/new/1.0.0",
        infrastructureConfigurationArn=f"{here}:infrastructure-configuration/new",
    )["imageBuildVersionArn"]
    assert emulated.refused(lambda: emulated.image_state(built))[0] == "ResourceNotFoundException"
    emulated.later(2)
    assert emulated.image_state(built) == "BUILDING"


@pytest.mark.parametrize("code", VARIANTS["missing-role"].readings[1:])
def test_a_start_can_be_refused_for_its_role(emulated: Any, code: str) -> None:
    """For a role that is missing for good, and for one that was just made until it is known everywhere."""
    switch(emulated, missing_role=code)
    asked = {"executionRole": "New", "includeResources": {"amis": True}}
    assert emulated.refused(lambda: emulated.start(**asked)) == (code, 400, "The execution role New does not exist")
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "imagebuilder.amazonaws.com"}, "Action": "*"}]}
    emulated.later(1000)
    emulated.client("iam").create_role(RoleName="New", AssumeRolePolicyDocument=json.dumps(trust))
    assert emulated.refused(lambda: emulated.start(**asked)) == (code, 400, "The execution role New cannot be assumed")
    emulated.later(2)
    assert emulated.refused(lambda: emulated.start(**asked))[0] == code
    emulated.later(2)
    execution = emulated.start(**asked)
    emulated.later()
    assert emulated.status(execution) == "SUCCESS"
    assert emulated.status(emulated.start(WEB, "AVAILABLE", **AMIS)) == "PENDING"


def test_an_update_without_a_role_is_not_refused_for_it(emulated: Any) -> None:
    """An immediate change needs none."""
    switch(emulated, missing_role="InvalidRequestException")
    emulated.start(state="DISABLED")
    assert emulated.image_state() == "DISABLED"


def test_roles_are_dated_by_the_emulators_clock(emulated: Any) -> None:
    """CreateDate follows the clock that a test has moved."""
    emulated.later(30 * 86_400)
    made = emulated.client("iam").create_role(RoleName="Later", AssumeRolePolicyDocument="{}")["Role"]["RoleName"]
    found = emulated.client("iam").get_role(RoleName=made)["Role"]["CreateDate"]
    assert abs(found - emulated.emulator.clock.now()) < timedelta(minutes=5)


@pytest.mark.parametrize(("code", "status"), [("ResourceNotFoundException", 404), ("InvalidRequestException", 400)])
def test_the_error_of_an_unknown_execution(emulated: Any, code: str, status: int) -> None:
    """All operations on an execution answer with the code that is switched on."""
    switch(emulated, unknown_execution=code)
    client = emulated.image_builder
    for call in (
        client.get_lifecycle_execution,
        client.cancel_lifecycle_execution,
        client.list_lifecycle_execution_resources,
    ):
        assert emulated.refused(lambda call=call: call(lifecycleExecutionId=UNKNOWN)) == (
            code,
            status,
            f"The lifecycle execution {UNKNOWN} was not found",
        )


def test_a_cancellation_can_be_refused_for_a_moment(emulated: Any) -> None:
    """ResourceInUseException from the first attempt on; then it is accepted."""
    switch(emulated, cancel="in-use")
    asked = {"lifecycleExecutionId": schedule(emulated)["lifecycleExecutionId"]}
    cancel = emulated.image_builder.cancel_lifecycle_execution
    emulated.later(60)
    for _ in range(2):
        assert emulated.refused(lambda: cancel(**asked)) == (
            "ResourceInUseException",
            400,
            f"The lifecycle execution {asked['lifecycleExecutionId']} is in use; try again",
        )
    emulated.later(2)
    cancel(**asked)
    emulated.later(2)
    assert emulated.status(asked) == "CANCELLED"


@pytest.mark.parametrize(("reading", "there"), [("present", True), ("absent", False)])
def test_times_of_resource_entries(emulated: Any, reading: str, there: bool) -> None:
    """Entries of the image and of its AMIs alike; the execution itself has its times in any case."""
    switch(emulated, resource_times=reading)
    execution = emulated.start(**AMIS)
    emulated.later()
    for row in [*emulated.rows(execution), *emulated.rows(execution, parent=None)]:
        assert ("startTime" in row, "endTime" in row) == (there, there)
    assert {"startTime", "endTime"} <= set(get(emulated, execution))


@pytest.mark.parametrize("reading", VARIANTS["failure-reason"].readings)
def test_where_the_reason_of_a_failure_is(emulated: Any, reading: str) -> None:
    """In the image record's own entry always, in the execution's state only by default."""
    switch(emulated, failure_reason=reading)
    execution = emulated.start(executionRole="Missing", includeResources={"amis": True})
    emulated.later()
    reason = "The execution role Missing does not exist"
    expected = {"status": "FAILED", "reason": reason} if reading == "execution" else {"status": "FAILED"}
    assert get(emulated, execution)["state"] == expected
    assert [row["state"] for row in emulated.rows(execution, parent=None)] == [{"status": "FAILED", "reason": reason}]


@pytest.mark.parametrize(("reading", "count"), [("unlisted", 0), ("listed", 1)])
def test_executions_of_policies_have_the_image_in_use(emulated: Any, reading: str, count: int) -> None:
    """They are listed by their policy, and by image under one reading only; a start is refused while one runs."""
    switch(emulated, policy_executions=reading)
    url = f"{emulated.emulator.url}/_emulator/policy-executions"
    body = {"policy": POLICY, "image": WEB, "state": "DISABLED", "takes": "1m"}
    asked = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked) as answer:
        started = json.load(answer)
    client = emulated.image_builder
    assert len(client.list_lifecycle_executions(resourceArn=WEB)["lifecycleExecutions"]) == count
    (found,) = client.list_lifecycle_executions(resourceArn=POLICY)["lifecycleExecutions"]
    assert (found["lifecycleExecutionId"], found["lifecyclePolicyArn"]) == (started["lifecycleExecutionId"], POLICY)
    assert emulated.refused(lambda: emulated.start(**AMIS)) == (
        "ResourceInUseException",
        400,
        f"The image {WEB} is in use by the lifecycle execution {started['lifecycleExecutionId']}",
    )
    emulated.later(60)
    assert (emulated.status(started), emulated.image_state()) == ("SUCCESS", "DISABLED")
    (row,) = emulated.rows(started, parent=None)
    assert row["action"] == {
        "name": "DISABLE",
        "reason": f"The lifecycle policy {POLICY} moves the image to DISABLED",
    }


# --- how readings are switched on ----------------------------------------------------------------------------------


def test_the_first_reading_is_the_default() -> None:
    """Without a choice, the documented readings are on."""
    variants = Variants()
    assert {name: variants[name] for name in VARIANTS} == {name: each.readings[0] for name, each in VARIANTS.items()}


def test_set_leaves_the_others_replace_does_not_and_reset_goes_back() -> None:
    """Three ways to change them while the emulator runs."""
    variants = Variants({"cancel": "in-use"})
    variants.set({"pages": "short"})
    assert (variants["cancel"], variants["pages"]) == ("in-use", "short")
    variants.replace({"consistency": "lag"})
    assert (variants["cancel"], variants["pages"], variants["consistency"]) == ("accepted", "full", "lag")
    variants.reset()
    assert (variants["cancel"], variants["consistency"]) == ("in-use", "immediate")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["pages"], "variant 'pages': expected NAME=VALUE, such as schedule-status=PENDING"),
        (["pages=short", "pages=full"], "variant 'pages' is there twice"),
        (["page=short"], f"unknown variant 'page'; known are {', '.join(VARIANTS)}"),
        (["pages=tiny"], "unknown reading 'tiny' of variant 'pages'; known are full, short"),
        (["schedule-status="], "unknown reading '' of variant 'schedule-status'; known are IN_PROGRESS, PENDING"),
    ],
)
def test_mistakes_are_one_line(texts: list[str], message: str) -> None:
    """The line names what is known."""
    with pytest.raises(ValueError, match="variant") as refused:
        parse_variants(texts)
    assert str(refused.value) == message


def test_a_refused_change_changes_nothing() -> None:
    """Also the valid part of it."""
    variants = Variants()
    with pytest.raises(ValueError, match="unknown variant 'page'"):
        variants.set({"cancel": "in-use", "page": "short"})
    assert variants["cancel"] == "accepted"


def test_the_emulator_takes_variants() -> None:
    """By its argument, and a mistake is a ValueError."""
    with Emulator(variants={"unknown-execution": "InvalidRequestException"}) as emulator:
        client = emulator.client("imagebuilder")
        with pytest.raises(client.exceptions.InvalidRequestException):
            client.get_lifecycle_execution(lifecycleExecutionId=UNKNOWN)
    with pytest.raises(ValueError, match="unknown variant 'x'"):
        Emulator(variants={"x": "y"})


def ask(emulated: Any, method: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    url = f"{emulated.emulator.url}/_emulator/variants"
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_variants_over_http(emulated: Any) -> None:
    """GET shows all with their readings, POST sets, PUT replaces, DELETE goes back; a mistake is a 400."""
    status, found = ask(emulated, "GET")
    assert (status, [each["name"] for each in found]) == (200, list(VARIANTS))
    assert found[0] == {
        "name": "schedule-status",
        "reading": "IN_PROGRESS",
        "readings": ["IN_PROGRESS", "PENDING"],
        "about": VARIANTS["schedule-status"].about,
    }

    def readings(answer: tuple[int, Any]) -> dict[str, str]:
        assert answer[0] == 200
        return {each["name"]: each["reading"] for each in answer[1] if each["reading"] != each["readings"][0]}

    assert readings(ask(emulated, "POST", {"pages": "short"})) == {"pages": "short"}
    assert readings(ask(emulated, "POST", {"cancel": "in-use"})) == {"pages": "short", "cancel": "in-use"}
    assert readings(ask(emulated, "PUT", {"consistency": "lag"})) == {"consistency": "lag"}
    assert readings(ask(emulated, "DELETE")) == {}
    assert ask(emulated, "PUT", {"pages": "tiny"}) == (
        400,
        {"error": "unknown reading 'tiny' of variant 'pages'; known are full, short"},
    )
    assert ask(emulated, "POST", ["pages"])[0] == 400


def test_variants_hold_for_what_is_due_later(emulated: Any) -> None:
    """A reading can be changed while an execution runs."""
    execution = schedule(emulated)
    assert emulated.status(execution) == "IN_PROGRESS"
    switch(emulated, schedule_status="PENDING")
    assert emulated.status(execution) == "PENDING"
    assert datetime.now(UTC) < get(emulated, execution)["startTime"] + timedelta(days=1)


def test_the_page_lists_every_variant() -> None:
    """docs/emulator.md has a row for each, with its readings in order and what it is about."""
    page = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")
    table = page.partition("| variant | readings | what it is about |\n| --- | --- | --- |\n")[2].partition("\n\n")[0]
    expected = [
        f"| `{each.name}` | {', '.join(f'`{reading}`' for reading in each.readings)} "
        f"| {each.about[0].upper()}{each.about[1:]} |"
        for each in VARIANTS.values()
    ]
    assert table.splitlines() == expected
