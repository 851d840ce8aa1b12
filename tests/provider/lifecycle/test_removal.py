"""What happens when a state update or a clean-up leaves the program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from pulumi_imagebuilder.errors import ExecutionFailed, ResourceNotFound, ServiceError
from pulumi_imagebuilder.lifecycle import removal
from pulumi_imagebuilder.lifecycle.entities import GONE, Outcome
from pulumi_imagebuilder.lifecycle.state import UpdateState

from tests.provider.simulated import ARN, DISABLE, ROLE, Simulation, arns, failure, images, refusal, to

AT = datetime(2099, 1, 31, tzinfo=UTC)
SCHEDULE = to("DEPRECATED", updateAt=AT)
DELETE = {**to("DELETED"), "includeResources": {"amis": True, "snapshots": True}}


def updated(sim: Simulation, request: Mapping[str, Any] = DISABLE, **options: Any) -> UpdateState:
    return UpdateState.from_outcome(sim.apply(request, **options), request["state"]["status"])


def cancel(sim: Simulation, state: UpdateState) -> None:
    sim.begin_run()
    sim.run(removal.cancel(state, sim.client()))


def restore(sim: Simulation, state: UpdateState, request: Mapping[str, Any] = DISABLE) -> None:
    sim.begin_run()
    sim.run(removal.restore(state, request, sim.client()))


def clean_up(sim: Simulation, request: Mapping[str, Any] | None = None, **options: Any) -> Outcome | None:
    sim.begin_run()
    return sim.run(removal.clean_up({"executionRole": ROLE} if request is None else request, sim.client(), **options))


# --- cancel ---


def test_an_unfinished_execution_is_cancelled() -> None:
    sim = Simulation()
    state = updated(sim, SCHEDULE)
    cancel(sim, state)
    assert sim.executions() == [("DEPRECATED", "CANCELLED")]


def test_nothing_is_cancelled_that_has_ended_or_is_forgotten_or_was_immediate() -> None:
    sim = Simulation()
    cancel(sim, updated(sim))
    assert sim.executions() == [("DISABLED", "SUCCESS")]
    state = updated(sim, to("AVAILABLE"), wait=False, follows="token")
    sim.forget(state.lifecycle_execution_id or "")
    cancel(sim, state)
    cancel(sim, UpdateState())
    assert sim.counts == {}
    assert sim.world.calls("CancelLifecycleExecution") == []


# --- restore ---


@pytest.mark.parametrize("state", ["DEPRECATED", "DISABLED"])
def test_image_and_amis_are_brought_back(state: str) -> None:
    sim = Simulation()
    restore(sim, updated(sim, to(state)), to(state))
    assert (sim.state(), sim.ami_states()) == ("AVAILABLE", ["available", "available"])
    assert sim.executions() == [(state, "SUCCESS"), ("AVAILABLE", "SUCCESS")]


def test_an_immediate_change_is_undone_at_once() -> None:
    sim = Simulation()
    request = {"state": {"status": "DEPRECATED"}}
    restore(sim, updated(sim, request), request)
    assert (sim.state(), sim.executions()) == ("AVAILABLE", [])


def test_what_has_happened_to_the_amis_since_keeps_none_out() -> None:
    """Of the exclusion rules only the regions are sent: an AMI may be public, shared, launched or tagged by now."""
    sim = Simulation()
    rules = {
        "amis": {
            "regions": ["eu-west-1"],
            "isPublic": True,
            "sharedAccounts": ["111122223333"],
            "lastLaunched": {"value": 1, "unit": "WEEKS"},
            "tagMap": {"keep": "yes"},
        }
    }
    request = {**DISABLE, "exclusionRules": rules}
    state = updated(sim, request)
    assert sim.ami_states() == ["disabled", "available"]
    (ami, _) = sim.backend.images[ARN].amis
    tag = {"Resources": [ami.id], "Tags": [{"Key": "keep", "Value": "yes"}]}
    sim._inner("ec2", "us-east-1", "create_tags", tag)
    restore(sim, state, request)
    assert sim.ami_states() == ["available", "available"]
    assert sim.starts[-1]["exclusionRules"] == {"amis": {"regions": ["eu-west-1"]}}
    assert sim.starts[-1]["includeResources"] == {"amis": True}


def test_rules_without_regions_are_not_sent_at_all() -> None:
    sim = Simulation()
    request = {**DISABLE, "exclusionRules": {"amis": {"tagMap": {"keep": "yes"}}}}
    restore(sim, updated(sim, request), request)
    assert "exclusionRules" not in sim.starts[-1]


@pytest.mark.parametrize("status", ["IN_PROGRESS", "PENDING"])
def test_a_pending_schedule_is_cancelled_and_its_date_taken_off_the_amis(status: str) -> None:
    """Cancelling takes the image's date away, and not that of the AMIs."""
    sim = Simulation(variants={"schedule-status": status})
    state = updated(sim, SCHEDULE)
    assert sim.ami_states() == ["available, deprecated"] * 2
    restore(sim, state, SCHEDULE)
    assert (sim.state(), sim.ami_states()) == ("AVAILABLE", ["available"] * 2)
    assert sim.executions() == [("DEPRECATED", "CANCELLED"), ("AVAILABLE", "SUCCESS")]
    assert "updateAt" not in sim.starts[-1]


def test_an_image_that_has_vanished_leaves_nothing_to_restore() -> None:
    sim = Simulation()
    state = updated(sim)
    del sim.backend.images[ARN]
    restore(sim, state)
    assert sim.executions() == [("DISABLED", "SUCCESS")]
    assert sim.counts == {"get_image": 1}


def test_a_restore_that_was_killed_is_not_started_again() -> None:
    sim = Simulation()
    state = updated(sim)
    restore(sim, state)
    restore(sim, state)
    assert sim.executions() == [("DISABLED", "SUCCESS"), ("AVAILABLE", "SUCCESS")]


def test_an_execution_before_the_update_never_answers_for_the_restore() -> None:
    """Something was AVAILABLE before; that did not undo what came after it."""
    sim = Simulation()
    updated(sim, to("AVAILABLE"))
    state = updated(sim, follows="token", superseded=sim.ids()[0])
    restore(sim, state)
    assert [target for target, _ in sim.executions()] == ["AVAILABLE", "DISABLED", "AVAILABLE"]


def test_a_restore_that_fails_is_an_error() -> None:
    sim = Simulation()
    state = updated(sim)
    sim.fault(f"execution fail image={ARN} region=us-east-1 reason=Denied")
    ami = sim.backend.images[ARN].amis[0].id
    assert failure(sim, lambda: restore(sim, state), ExecutionFailed) == (
        "changing the image: lifecycle execution lce-2 ended as FAILED: 1 of 2 resources failed; "
        f"failed: {ami} (us-east-1): Denied; fix the cause and run `pulumi up` again to start a new execution"
    )


# --- clean up ---


def test_an_image_is_deleted_with_what_is_under_it() -> None:
    sim = Simulation()
    outcome = clean_up(sim)
    assert outcome is not None
    assert outcome.image == GONE
    assert outcome.execution is not None
    assert outcome.execution.status == "SUCCESS"
    assert (sim.state(), sim.ami_states()) == ("DELETED", ["gone", "gone"])
    assert sim.starts[-1]["includeResources"] == {"amis": True, "snapshots": True}


def test_a_container_image_is_deleted_with_its_containers() -> None:
    sim = Simulation([{"arn": ARN, "type": "DOCKER", "containers": [{}]}])
    clean_up(sim)
    assert sim.state() == "DELETED"
    assert sim.starts[-1]["includeResources"] == {"containers": True}


@pytest.mark.parametrize(
    ("type_", "given", "included"),
    [
        ("AMI", {}, {"amis": True, "snapshots": True}),
        ("DOCKER", {}, {"containers": True}),
        (None, {}, {"amis": True, "snapshots": True}),
        ("AMI", {"includeResources": {"amis": True}}, {"amis": True}),
    ],
)
def test_what_a_clean_up_includes_follows_from_the_type_where_it_is_left_out(
    type_: str | None, given: dict[str, Any], included: dict[str, Any]
) -> None:
    request = removal.with_resources({"executionRole": ROLE, **given}, type_)
    assert request == {"executionRole": ROLE, "includeResources": included, "state": {"status": "DELETED"}}


@pytest.mark.parametrize("reading", ["not-found", "state"])
def test_a_clean_up_of_an_image_that_is_gone_finds_what_deleted_it(reading: str) -> None:
    sim = Simulation(variants={"deleted-image": reading})
    first = clean_up(sim, declared_at="1")
    again = clean_up(sim, declared_at="1")
    assert first is not None
    assert again is not None
    assert again.execution is not None
    assert (again.image, again.execution.id) == (GONE, sim.ids()[0])
    assert again.resources == first.resources
    assert len(sim.ids()) == 1
    assert "start_resource_state_update" not in sim.counts


def test_a_build_that_failed_is_deleted_once() -> None:
    """It has no AMIs whose deletion would show: the entry of the record does."""
    sim = Simulation([{"arn": ARN, "state": "FAILED"}])
    assert clean_up(sim, declared_at="1") is not None
    again = clean_up(sim, declared_at="1")
    assert again is not None
    assert again.execution is not None
    assert (again.image, again.execution.id) == (GONE, sim.ids()[0])
    assert len(sim.ids()) == 1


@pytest.mark.parametrize("reading", ["not-found", "state"])
def test_an_image_that_goes_as_it_is_restored_leaves_nothing_to_restore(reading: str) -> None:
    """As by a clean-up of the same image in the same destroy."""
    sim = Simulation(variants={"deleted-image": reading})
    state = updated(sim)

    def delete(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        if len(sim.ids()) == 1:
            sim.person(DELETE)
            sim.advance(seconds=30)
        return ask()

    sim.overrides["start_resource_state_update"] = delete
    restore(sim, state)
    assert sim.executions() == [("DISABLED", "SUCCESS"), ("DELETED", "SUCCESS")]


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "InvalidRequestException", "ForbiddenException"])
def test_a_refused_restore_of_an_image_that_is_there_is_an_error(code: str) -> None:
    sim = Simulation()
    state = updated(sim)

    def refuse(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        raise refusal(code)

    sim.overrides["start_resource_state_update"] = refuse
    with pytest.raises(ServiceError, match=f"^changing the image: {code}: refused"):
        restore(sim, state)


@pytest.mark.parametrize("before", ["nothing", "another state", "a failure"])
def test_an_image_that_is_gone_without_a_deletion_has_no_outcome(before: str) -> None:
    """Somebody deleted the record alone: what was under it may be there still."""
    sim = Simulation()
    if before == "a failure":
        sim.fault(f"execution fail image={ARN}")
        sim.person(DELETE)
    elif before == "another state":
        sim.person(DISABLE)
    sim.advance(seconds=30)
    del sim.backend.images[ARN]
    assert clean_up(sim) is None


def test_an_image_that_is_being_built_is_waited_for() -> None:
    sim = Simulation(images(1, state="BUILDING"))
    states = iter(["BUILDING", "TESTING", "DISTRIBUTING"])
    seen: list[str | None] = []

    def build(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        seen.append(client.progress.build_status)
        if not sim.ids():
            sim.move(next(states, "AVAILABLE"))
        return ask()

    sim.overrides["get_image"] = build
    client = sim.client()
    outcome = sim.run(removal.clean_up({"executionRole": ROLE}, client))
    assert outcome is not None
    assert seen[:4] == [None, "BUILDING", "TESTING", "DISTRIBUTING"]
    assert client.progress.build_status is None
    assert sim.ami_states() == ["gone", "gone"]


def test_an_image_that_is_retried_as_it_is_cleaned_up_is_waited_for() -> None:
    """A failed build can be retried under the same ARN at any time: then the start is refused for a while."""
    sim = Simulation(images(1, state="FAILED"))

    def retry(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        if len(sim.world.calls("StartResourceStateUpdate")) == 0:
            sim.move("BUILDING")
        return ask()

    def finish(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        answer: dict[str, Any] = ask()
        if sim.loop.time() > 20:
            sim.move("AVAILABLE")
        return answer

    sim.overrides["start_resource_state_update"] = retry
    sim.overrides["get_image"] = finish
    assert clean_up(sim) is not None
    assert sim.state() == "DELETED"
    assert sim.executions() == [("DELETED", "SUCCESS")]
    assert 20 < sim.loop.time() < 40


@pytest.mark.parametrize("status", ["IN_PROGRESS", "PENDING"])
def test_any_schedule_gives_way_to_a_clean_up(status: str) -> None:
    """Its time may be months away, and it means nothing for an image that goes."""
    sim = Simulation(variants={"schedule-status": status})
    sim.person(SCHEDULE)
    client = sim.client()
    sim.run(removal.clean_up({"executionRole": ROLE}, client))
    assert sim.executions() == [("DEPRECATED", "CANCELLED"), ("DELETED", "SUCCESS")]
    assert sim.state() == "DELETED"
    assert client.progress.blocking_execution is None


def test_a_schedule_that_has_just_been_started_gives_way_too() -> None:
    """Reads lag behind its start: it is not seen to be one at the first look."""
    sim = Simulation(variants={"consistency": "lag"})
    sim.person(SCHEDULE)
    clean_up(sim)
    assert sim.executions() == [("DEPRECATED", "CANCELLED"), ("DELETED", "SUCCESS")]
    assert sim.loop.time() < 30


def test_another_execution_is_waited_out_by_a_clean_up() -> None:
    sim = Simulation()
    sim.person(DISABLE)
    clean_up(sim)
    assert sim.executions() == [("DISABLED", "SUCCESS"), ("DELETED", "SUCCESS")]


def test_what_deletes_the_image_meanwhile_is_the_outcome() -> None:
    sim = Simulation()

    def delete(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        if parameters["clientToken"] != "a-persons-token" and not sim.ids():
            sim.person(DELETE)
            sim.advance(seconds=30)
        return ask()

    sim.overrides["start_resource_state_update"] = delete
    outcome = clean_up(sim)
    assert outcome is not None
    assert outcome.execution is not None
    assert outcome.execution.id == sim.ids()[0]
    assert outcome.image == GONE


def test_an_image_that_vanishes_meanwhile_has_no_outcome() -> None:
    sim = Simulation()

    def vanish(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        sim.backend.images.pop(ARN, None)
        return ask()

    sim.overrides["start_resource_state_update"] = vanish
    assert clean_up(sim) is None


def test_a_not_found_while_the_image_is_there_is_an_error() -> None:
    sim = Simulation()

    def refuse(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        raise refusal("ResourceNotFoundException", "no such role")

    sim.overrides["start_resource_state_update"] = refuse
    assert failure(sim, lambda: clean_up(sim), ResourceNotFound) == (
        "changing the image: ResourceNotFoundException: no such role"
    )


def test_a_clean_up_of_an_image_with_the_same_arn_again_is_another_one() -> None:
    """When it was declared distinguishes the two: the service would answer the first one's token."""
    sim = Simulation(images(1))
    clean_up(sim, declared_at="1")
    image = sim.backend.store.deleted.pop(ARN)
    image.state, image.lifecycle_execution_id = "AVAILABLE", None
    sim.backend.add_image(image)
    sim.advance(minutes=5)
    clean_up(sim, declared_at="2")
    assert sim.state() == "DELETED"
    assert len({each["clientToken"] for each in sim.starts}) == len(sim.starts) == 2


def test_each_image_has_a_token_of_its_own() -> None:
    """The service accepts one for one image only."""
    sim = Simulation(images(2))
    for arn in arns(2):
        sim.run(removal.clean_up({"executionRole": ROLE}, sim.client(arn), declared_at="1"))
    assert len({each["clientToken"] for each in sim.starts}) == len(sim.starts) == 2


def test_what_the_rules_leave_out_keeps_the_record() -> None:
    sim = Simulation()
    rules = {"executionRole": ROLE, "exclusionRules": {"amis": {"regions": ["eu-west-1"]}}}
    for _ in range(2):
        outcome = clean_up(sim, rules, declared_at="1")
        assert outcome is not None
        assert outcome.image.state == "AVAILABLE"
        assert [each["status"] for each in outcome.resources if each["region"] == "eu-west-1"] == ["SKIPPED"]
    assert sim.executions() == [("DELETED", "SUCCESS")]


def test_the_guard_is_asked_before_a_deletion_is_started() -> None:
    sim = Simulation()
    asked: list[str] = []

    async def guard(change: Any, client: Any) -> None:
        assert sim.ids() == []
        asked.append(change.target)

    clean_up(sim, before_start=guard)
    assert asked == ["DELETED"]
