"""A declared change is carried out exactly once, whatever was lost on the way."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pulumi_imagebuilder.errors import ExecutionFailed, InUse, NotVerified, ResourceNotFound, ServiceError
from pulumi_imagebuilder.lifecycle.apply import MAX_CANDIDATES, MAX_UNVERIFIED, apply, wait_until_built
from pulumi_imagebuilder.lifecycle.change import Change
from pulumi_imagebuilder.lifecycle.entities import GONE

from tests.provider.simulated import (
    ARN,
    DISABLE,
    STEM,
    Simulation,
    failure,
    images,
    kill_at,
    named,
    refusal,
    to,
)

AT = datetime(2099, 1, 31, tzinfo=UTC)
PAST = datetime(2020, 1, 31, tzinfo=UTC)
SCHEDULE = to("DEPRECATED", updateAt=AT)
DELETE = {**to("DELETED"), "includeResources": {"amis": True, "snapshots": True}}
IMMEDIATE = {"state": {"status": "DEPRECATED"}}
POLICY = "arn:aws:imagebuilder:us-east-1:123456789012:lifecycle-policy/retire"
TRIGGERED = {"triggers": ["x"], "follows": "the token before"}
"""Options of a change that adopts nothing by what it did: its own tokens alone find its execution."""

Parameters = Mapping[str, Any]
Ask = Callable[..., dict[str, Any]]


def refuse(code: str, message: str = "refused", *, times: int = 10**9) -> Callable[..., Any]:
    """Refuse some calls, then let them pass."""
    left = times

    def override(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        nonlocal left
        left -= 1
        if left >= 0:
            raise refusal(code, message)
        return ask()

    return override


@pytest.fixture
def sim() -> Simulation:
    return Simulation()


# --- start, await, verify ---


@pytest.mark.parametrize("state", ["AVAILABLE", "DEPRECATED", "DISABLED", "DELETED"])
def test_a_change_is_started_once_and_awaited(sim: Simulation, state: str) -> None:
    outcome = sim.apply(to(state))
    assert outcome.execution is not None
    assert (outcome.execution.id, outcome.execution.status) == (sim.ids()[0], "SUCCESS")
    assert outcome.image.state == state == sim.state()
    assert sim.executions() == [(state, "SUCCESS")]
    assert outcome.client_token == sim.starts[0]["clientToken"]
    assert len(outcome.resources) == 2


def test_a_change_takes_few_calls_beside_its_looks(sim: Simulation) -> None:
    sim.apply()
    looks = sim.counts.pop("list_lifecycle_execution_resources")
    assert sim.counts == {"get_image": 2, "start_resource_state_update": 1}
    assert looks <= 12


def test_an_immediate_change_has_no_execution(sim: Simulation) -> None:
    """No resources are included: the image changes at once, and that is no error."""
    outcome = sim.apply(IMMEDIATE)
    assert (outcome.execution, outcome.image.state, outcome.resources) == (None, "DEPRECATED", [])
    assert sim.counts == {"get_image": 2, "start_resource_state_update": 1}


def test_the_end_is_on_the_row(sim: Simulation) -> None:
    client = sim.client()
    sim.run(apply(Change(ARN, DISABLE), client))
    assert client.progress.text() == "SUCCESS 10s, 2 of 2 resources"
    client = sim.client()
    sim.run(apply(Change(ARN, IMMEDIATE), client))
    assert client.progress.text() == "DEPRECATED 0s"


def test_without_waiting_it_is_done_once_the_execution_can_be_read() -> None:
    sim = Simulation(variants={"consistency": "lag"})
    outcome = sim.apply(wait=False)
    assert outcome.execution is not None
    assert (outcome.execution.status, outcome.image.state) == ("IN_PROGRESS", "AVAILABLE")
    assert outcome.client_token == sim.starts[0]["clientToken"]
    assert 1.5 < sim.loop.time() < 3


@pytest.mark.parametrize("wait", [True, False])
def test_an_execution_that_cannot_be_read_for_half_a_minute_is_known_by_the_image_alone(
    sim: Simulation, wait: bool
) -> None:
    sim.overrides["list_lifecycle_execution_resources"] = refuse("ResourceNotFoundException", "no such execution")
    client = sim.client()
    notes: set[str] = set()

    def spy(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        notes.add(named(sim, client.progress.note or ""))
        return ask()

    sim.overrides["get_image"] = spy
    outcome = sim.run(apply(Change(ARN, DISABLE, wait=wait), client))
    assert (outcome.execution, outcome.image.state) == (None, "DISABLED")
    assert notes == {
        "",
        "lifecycle execution lce-1 cannot be read yet: ResourceNotFoundException: no such execution",
    }
    assert len(sim.starts) == 1
    assert 30 < sim.loop.time() < 35


def test_a_schedule_is_done_once_it_is_accepted(sim: Simulation) -> None:
    outcome = sim.apply(SCHEDULE)
    assert (outcome.image.state, outcome.image.deprecation_time) == ("AVAILABLE", AT)
    assert sim.executions() == [("DEPRECATED", "PENDING")]
    assert sim.loop.time() < 1


def test_a_schedule_of_the_next_minutes_is_set_on_the_image_at_once(sim: Simulation) -> None:
    near = sim.world.environment.clock.now().replace(microsecond=0) + timedelta(minutes=2)
    outcome = sim.apply({"state": {"status": "DEPRECATED"}, "updateAt": near})
    assert outcome.execution is None
    assert sim.executions() == []


# --- what was lost ---


@pytest.mark.parametrize("point", range(1, 20))
@pytest.mark.parametrize("state", ["DISABLED", "DELETED"])
def test_a_run_that_was_killed_at_any_call_is_continued(sim: Simulation, point: int, state: str) -> None:
    sim.begin_run(kill_at(point))
    change = Change(ARN, to(state), **TRIGGERED)
    with pytest.raises(asyncio.CancelledError):
        sim.run(apply(change, sim.client()))
    outcome = sim.apply(to(state), **TRIGGERED)
    assert sim.executions() == [(state, "SUCCESS")]
    assert outcome.image.state == state
    assert outcome.execution is not None
    assert outcome.execution.id == sim.ids()[0]


def test_the_same_declaration_without_its_state_adopts_what_stands(sim: Simulation) -> None:
    """After a destroy that retained: also where it was reached by a change of an earlier declaration."""
    first = sim.apply(to("DEPRECATED"))
    second = sim.apply(follows=first.client_token, superseded=sim.ids()[0])
    assert sim.apply().execution == second.execution
    assert len(sim.ids()) == 2


def test_another_declaration_adopts_nothing(sim: Simulation) -> None:
    sim.apply()
    sim.apply({**DISABLE, "exclusionRules": {"amis": {"regions": ["eu-west-1"]}}})
    assert len(sim.ids()) == 2


def test_coming_back_to_an_earlier_declaration_is_carried_out_again(sim: Simulation) -> None:
    token, superseded = None, None
    for state in ("DEPRECATED", "AVAILABLE", "DEPRECATED"):
        token = sim.apply(to(state), follows=token, superseded=superseded).client_token
        superseded = sim.ids()[-1]
    assert [target for target, _ in sim.executions()] == ["DEPRECATED", "AVAILABLE", "DEPRECATED"]


@pytest.mark.parametrize("traced", [True, False])
def test_an_image_moved_elsewhere_is_changed_again(sim: Simulation, traced: bool) -> None:
    """A replayed success that the image no longer shows is not believed: the next token starts a new execution."""
    sim.apply(**TRIGGERED)
    sim.advance(minutes=5)
    sim.move("AVAILABLE")
    if not traced:
        sim.backend.images[ARN].lifecycle_execution_id = None
    sim.apply(**TRIGGERED)
    assert sim.executions() == [("DISABLED", "SUCCESS")] * 2
    assert sim.state() == "DISABLED"


def test_an_image_moved_elsewhere_and_back_is_changed_again(sim: Simulation) -> None:
    """It shows the declared state, but its AMIs were restored by an execution since, and not changed again."""
    sim.apply(**TRIGGERED)
    sim.advance(seconds=5)
    sim.person(to("AVAILABLE"))
    sim.advance(seconds=30)
    sim.person({"state": {"status": "DISABLED"}}, token="another")
    sim.apply(**TRIGGERED)
    assert [target for target, _ in sim.executions()] == ["DISABLED", "AVAILABLE", "DISABLED"]
    assert sim.ami_states() == ["disabled"] * 2


def test_what_another_did_once_more_has_undone_nothing(sim: Simulation) -> None:
    first = sim.apply(client_token="mine").execution
    sim.advance(seconds=5)
    sim.person(DISABLE)
    sim.advance(seconds=30)
    assert sim.apply(client_token="mine").execution == first
    assert len(sim.ids()) == 2


def test_a_write_that_does_not_show_yet_is_waited_for() -> None:
    """An execution that ended a moment ago: the image is read again before it is taken for moved elsewhere."""
    sim = Simulation(variants={"consistency": "lag"})
    outcome = sim.apply()
    assert outcome.image.state == "DISABLED"
    sim = Simulation(variants={"consistency": "lag"})
    assert sim.apply(IMMEDIATE).image.state == "DEPRECATED"
    assert len(sim.starts) == 1


def test_a_deletion_is_done_once_the_image_is_seen_to_be_gone(sim: Simulation) -> None:
    """Not when it only names the execution: nothing was left out that would keep the record."""
    stale = 0

    def lag(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        nonlocal stale
        if sim.executions() == [("DELETED", "SUCCESS")] and stale < 2:
            stale += 1
            named = {"lifecycleExecutionId": sim.ids()[0], "state": {"status": "AVAILABLE"}}
            return sim.answer(image={"arn": ARN, **named})
        return ask()

    sim.overrides["get_image"] = lag
    assert sim.apply(DELETE).image == GONE
    assert stale == 2


def test_what_is_waited_for_is_on_the_row() -> None:
    sim = Simulation(variants={"consistency": "lag"})
    client = sim.client()
    notes: set[str | None] = set()

    def spy(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        notes.add(client.progress.note)
        return ask()

    sim.overrides["get_image"] = spy
    sim.run(apply(Change(ARN, IMMEDIATE), client))
    assert "the image is still AVAILABLE" in notes


def test_an_execution_that_ended_long_ago_is_not_waited_for(sim: Simulation) -> None:
    """One read is enough to see that the image was moved since."""
    sim.apply(**TRIGGERED)
    sim.advance(minutes=5)
    sim.move("AVAILABLE")
    before = sim.loop.time()
    sim.apply(**TRIGGERED)
    assert sim.loop.time() - before < 11


def test_an_execution_that_ended_moments_ago_is_waited_for(sim: Simulation) -> None:
    """Its write may not show yet: nothing is started for that."""
    sim.apply(**TRIGGERED)
    sim.move("AVAILABLE")
    reads = 0

    def lag(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        nonlocal reads
        reads += 1
        if reads > 2:
            sim.move("DISABLED")
        return ask()

    sim.overrides["get_image"] = lag
    assert sim.apply(**TRIGGERED).image.state == "DISABLED"
    assert len(sim.ids()) == 1


def test_an_image_is_read_four_times_before_it_is_taken_for_moved(sim: Simulation) -> None:
    sim.apply(**TRIGGERED)
    sim.move("AVAILABLE")
    started: list[float] = []
    began = sim.loop.time()

    def start(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        started.append(sim.counts["get_image"])
        assert sim.loop.time() - began < 4.5
        return ask()

    sim.overrides["start_resource_state_update"] = start
    sim.apply(**TRIGGERED)
    # Once to begin with, once after its execution was found, and three times more in 3.5 s.
    assert started == [1, 5]


def test_an_immediate_change_that_never_shows_is_given_up(sim: Simulation) -> None:
    """Not asked for again and again until the time limit: whatever keeps the image as it is, is another's."""
    sim.overrides["start_resource_state_update"] = lambda parameters, ask: sim.answer(resourceArn=ARN)
    assert failure(sim, lambda: sim.apply(IMMEDIATE), NotVerified) == (
        "changing the image: the service answers that it was done, but the image does not show it; "
        "look for what else changes this image, then run `pulumi up` again"
    )
    assert sim.counts["start_resource_state_update"] == MAX_UNVERIFIED == 25


def test_a_service_that_answers_with_the_change_before_alone_is_given_up(sim: Simulation) -> None:
    """The execution of the change before never answers for this one."""
    before = sim.apply(to("DEPRECATED"))
    tokens: list[str] = []

    def start(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        tokens.append(parameters["clientToken"])
        return sim.answer(resourceArn=ARN, lifecycleExecutionId=sim.ids()[0])

    sim.overrides["start_resource_state_update"] = start
    assert failure(
        sim, lambda: sim.apply(follows=before.client_token, superseded=sim.ids()[0]), NotVerified
    ).startswith("changing the image: the service answers that it was done, but the image does not show it; ")
    assert len(set(tokens)) == len(tokens) == MAX_CANDIDATES == 500


def test_an_execution_from_before_the_change_before_answers_for_nothing(sim: Simulation) -> None:
    """Coming back to a token of one's own is carried out again, though its execution left the image as it is now."""
    sim.apply(client_token="mine")
    sim.advance(seconds=5)
    sim.apply(client_token="other", follows="mine", superseded=sim.ids()[0])
    sim.advance(seconds=5)
    outcome = sim.apply(client_token="mine", follows="other", superseded=sim.ids()[1])
    assert outcome.execution is not None
    assert outcome.execution.id == sim.ids()[2]


def test_an_execution_that_failed_is_followed_by_a_new_one(sim: Simulation) -> None:
    """A failure is one line with id, reason and resources; running again starts one more, and only one."""
    sim.fault(f"execution fail image={ARN} reason=Denied")
    amis = {ami.region: ami.id for ami in sim.backend.images[ARN].amis}
    text = failure(sim, lambda: sim.apply(**TRIGGERED), ExecutionFailed)
    assert text == (
        "changing the image: lifecycle execution lce-1 ended as FAILED: 2 of 2 resources failed; "
        f"failed: {amis['us-east-1']} (us-east-1): Denied; {amis['eu-west-1']} (eu-west-1): Denied; "
        "fix the cause and run `pulumi up` again to start a new execution"
    )
    assert len(sim.ids()) == 1
    sim.heal()
    sim.advance(seconds=5)
    sim.apply(**TRIGGERED)
    assert sim.executions() == [("DISABLED", "FAILED"), ("DISABLED", "SUCCESS")]


@pytest.mark.parametrize("where", ["execution", "image-record"])
def test_an_execution_that_failed_before_it_came_to_any_resource_has_its_own_reason(where: str) -> None:
    sim = Simulation(roles=[], variants={"failure-reason": where})
    assert failure(sim, sim.apply, ExecutionFailed) == (
        "changing the image: lifecycle execution lce-1 ended as FAILED: The execution role ImageLifecycle does not "
        "exist; fix the cause and run `pulumi up` again to start a new execution"
    )


def test_a_failure_without_a_reason_says_so(sim: Simulation) -> None:
    sim.fault(f"execution fail image={ARN} region=us-east-1")

    def without_reasons(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        answer = ask()
        state = {"status": answer["lifecycleExecutionState"]["status"]}
        resources = [{**each, "state": {"status": each["state"]["status"]}} for each in answer["resources"]]
        return {**answer, "lifecycleExecutionState": state, "resources": resources}

    sim.overrides["list_lifecycle_execution_resources"] = without_reasons
    ami = sim.backend.images[ARN].amis[0].id
    assert failure(sim, sim.apply, ExecutionFailed) == (
        "changing the image: lifecycle execution lce-1 ended as FAILED: the service gave no reason; failed: "
        f"{ami} (us-east-1): no reason given; fix the cause and run `pulumi up` again to start a new execution"
    )


def test_an_execution_that_was_cancelled_while_it_was_waited_for_has_failed(sim: Simulation) -> None:
    sim.loop.call_later(
        5,
        lambda: sim._inner(
            "imagebuilder", "us-east-1", "cancel_lifecycle_execution", {"lifecycleExecutionId": sim.ids()[0]}
        ),
    )
    assert failure(sim, lambda: sim.apply(**TRIGGERED), ExecutionFailed) == (
        "changing the image: lifecycle execution lce-1 ended as CANCELLED: The lifecycle execution was cancelled; fix "
        "the cause and run `pulumi up` again to start a new execution"
    )
    sim.apply(**TRIGGERED)
    assert sim.executions() == [("DISABLED", "CANCELLED"), ("DISABLED", "SUCCESS")]


def test_an_execution_that_is_being_cancelled_is_followed_by_a_new_one_once_it_is_cancelled(sim: Simulation) -> None:
    sim.apply(wait=False, **TRIGGERED)
    (id_,) = sim.ids()
    sim.run(sim.client().cancel(id_))
    sim.apply(**TRIGGERED)
    assert sim.executions() == [("DISABLED", "CANCELLED"), ("DISABLED", "SUCCESS")]


def test_an_execution_that_its_image_does_not_name_answers_for_its_own_run(sim: Simulation) -> None:
    """A failure of before that is not listed: a new one is started all the same."""
    sim.fault(f"execution fail image={ARN}")
    failure(sim, lambda: sim.apply(**TRIGGERED), ExecutionFailed)
    sim.heal()
    sim.advance(seconds=5)
    sim.backend.images[ARN].lifecycle_execution_id = None
    sim.apply(**TRIGGERED)
    assert sim.executions() == [("DISABLED", "FAILED"), ("DISABLED", "SUCCESS")]


@pytest.mark.parametrize(("role", "started"), [("ImageLifecycle", 1), ("Another", 2)])
def test_an_image_moved_elsewhere_as_its_execution_ended(role: str, started: int) -> None:
    """One's own is done, and a refresh will find the drift; one that is only taken for it is not believed."""
    sim = Simulation(roles=["ImageLifecycle", "Another"])
    sim.apply(wait=False, **TRIGGERED)

    def moved(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        if sim.executions() == [("DISABLED", "SUCCESS")]:
            sim.move("AVAILABLE")
        return ask()

    sim.overrides["get_image"] = moved
    outcome = sim.apply({**DISABLE, "executionRole": role}, **TRIGGERED)
    assert len(sim.ids()) == started
    assert outcome.execution is not None
    assert outcome.execution.id == sim.ids()[-1]
    assert outcome.image.state == {1: "AVAILABLE", 2: "DISABLED"}[started]


def test_a_forgotten_execution_is_believed_if_the_image_shows_what_it_did(sim: Simulation) -> None:
    sim.apply(**TRIGGERED)
    sim.forget(sim.ids()[0])
    sim.advance(days=400)
    outcome = sim.apply(**TRIGGERED)
    assert (outcome.execution, outcome.image.state) == (None, "DISABLED")
    assert sim.executions() == []


def test_a_forgotten_execution_is_not_believed_if_the_image_shows_something_else(sim: Simulation) -> None:
    sim.apply(**TRIGGERED)
    sim.forget(sim.ids()[0])
    sim.advance(days=400)
    sim.move("AVAILABLE")
    sim.apply(**TRIGGERED)
    assert sim.executions() == [("DISABLED", "SUCCESS")]
    assert len(sim.starts) == 3


def test_a_deletion_whose_token_is_forgotten_is_done(sim: Simulation) -> None:
    """The image is gone, and an execution shows that it was deleted."""
    deleted = sim.apply(DELETE, **TRIGGERED)
    sim.backend.tokens.clear()
    again = sim.apply(DELETE, **TRIGGERED)
    assert (again.image, again.client_token) == (GONE, deleted.client_token)
    assert again.execution is not None
    assert again.execution.id == sim.ids()[0]
    assert len(sim.ids()) == 1


@pytest.mark.parametrize("reading", ["not-found", "state"])
def test_a_deletion_of_an_image_that_is_gone_is_done_under_either_reading(reading: str) -> None:
    sim = Simulation([{"arn": ARN, "state": "FAILED"}], variants={"deleted-image": reading})
    deleted = sim.apply(DELETE, **TRIGGERED)
    sim.backend.tokens.clear()
    assert sim.apply(DELETE, **TRIGGERED).client_token == deleted.client_token
    assert len(sim.ids()) == 1


def test_an_image_that_is_gone_otherwise_is_an_error(sim: Simulation) -> None:
    """Somebody deleted the record alone."""
    disabled = sim.apply()
    del sim.backend.images[ARN]
    assert (
        failure(
            sim, lambda: sim.apply(DELETE, follows=disabled.client_token, superseded=sim.ids()[0]), ResourceNotFound
        )
        == f"changing the image: ResourceNotFoundException: The resource {ARN} was not found"
    )


def test_an_image_that_is_missing_is_an_error(sim: Simulation) -> None:
    del sim.backend.images[ARN]
    assert failure(sim, sim.apply, ResourceNotFound) == (
        f"changing the image: ResourceNotFoundException: The resource {ARN} was not found"
    )


def test_a_refused_request_is_an_error(sim: Simulation) -> None:
    sim = Simulation([{"arn": ARN, "type": "DOCKER"}])
    assert failure(sim, sim.apply, ServiceError) == (
        "changing the image: InvalidRequestException: Container images can only be moved to DELETED, not to DISABLED"
    )
    assert sim.counts["start_resource_state_update"] == 1


def test_a_users_own_token_that_was_used_with_other_parameters_is_an_error(sim: Simulation) -> None:
    """It says what to do; with a token of ours another role is no other change."""
    sim.apply(client_token="my-secret")
    text = failure(sim, lambda: sim.apply(to("AVAILABLE"), client_token="my-secret"), ServiceError)
    assert text == (
        "changing the image: IdempotentParameterMismatchException: The client token [redacted] was used before with "
        "other parameters; this client_token was used before with other parameters: choose another, or leave it out"
    )


# --- another role ---


def test_another_role_adopts_what_was_started_with_the_first(sim: Simulation) -> None:
    """A change of role is no other change: after a kill the execution that was started before is adopted."""
    sim.apply(wait=False, **TRIGGERED)
    outcome = sim.apply({**DISABLE, "executionRole": "Another"}, **TRIGGERED)
    assert outcome.execution is not None
    assert (outcome.execution.status, len(sim.ids())) == ("SUCCESS", 1)


def test_another_role_adopts_the_last_of_several_starts_with_the_first() -> None:
    """As many executions do the same as tokens are known: all of them are this change's."""
    sim = Simulation(roles=["ImageLifecycle", "Another"])
    sim.fault(f"execution fail image={ARN}")
    failure(sim, lambda: sim.apply(**TRIGGERED), ExecutionFailed)
    sim.heal()
    sim.apply(**TRIGGERED)
    outcome = sim.apply({**DISABLE, "executionRole": "Another"}, **TRIGGERED)
    assert outcome.execution is not None
    assert [outcome.execution.id] == sim.ids()[1:]


@pytest.mark.parametrize("state", ["AVAILABLE", "DEPRECATED"])
def test_another_role_adopts_no_execution_of_others_that_did_something_else(state: str) -> None:
    sim = Simulation(roles=["ImageLifecycle", "Another"])
    sim.apply(**TRIGGERED)
    sim.advance(seconds=5)
    sim.person(to(state))
    sim.advance(seconds=30)
    outcome = sim.apply({**DISABLE, "executionRole": "Another"}, **TRIGGERED)
    assert [target for target, _ in sim.executions()] == ["DISABLED", state, "DISABLED"]
    assert outcome.image.state == "DISABLED"


@pytest.mark.parametrize("forgotten", [False, True])
def test_another_role_where_no_execution_can_be_this_changes_is_carried_out_again(forgotten: bool) -> None:
    """Its token is known with another role, but what is listed is of the change before, or there is nothing."""
    sim = Simulation(roles=["ImageLifecycle", "Another"])
    first = sim.apply(**TRIGGERED)
    sim.advance(seconds=5)
    second = sim.apply(to("AVAILABLE"), follows=first.client_token, superseded=sim.ids()[0])
    options = {"follows": second.client_token, "superseded": sim.ids()[1]}
    sim.advance(seconds=5)
    sim.apply(**options)
    for id_ in [sim.ids()[2], *(sim.ids()[:2] if forgotten else [])]:
        sim.forget(id_)
    sim.advance(days=400)
    sim.apply({**DISABLE, "executionRole": "Another"}, **options)
    assert sim.executions()[-1] == ("DISABLED", "SUCCESS")
    assert len(sim.ids()) == (1 if forgotten else 3)


# --- conflicts ---


def test_an_image_in_use_is_waited_for(sim: Simulation) -> None:
    sim.person(to("DEPRECATED"))
    sim.apply()
    assert sim.executions() == [("DEPRECATED", "SUCCESS"), ("DISABLED", "SUCCESS")]


def test_another_execution_that_did_the_same_meanwhile_is_adopted(sim: Simulation) -> None:
    """It had the image in use, and once it has ended there is nothing left to do."""
    sim.person(DISABLE)
    outcome = sim.apply()
    assert outcome.execution is not None
    assert (outcome.execution.id, outcome.execution.status) == (sim.ids()[0], "SUCCESS")
    assert len(sim.ids()) == 1


@pytest.mark.parametrize("reading", ["unlisted", "listed"])
def test_the_execution_of_a_policy_is_named_and_waited_out(reading: str) -> None:
    """It need not be listed for the image: the refusal names it."""
    sim = Simulation(variants={"policy-executions": reading})
    blocking = sim.backend.start_policy_execution(POLICY, ARN, "DEPRECATED", takes=timedelta(seconds=30))
    client = sim.client()
    seen: set[str | None] = set()

    def spy(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        seen.add(client.progress.blocking_execution)
        return ask()

    sim.overrides["list_lifecycle_execution_resources"] = spy
    sim.run(apply(Change(ARN, DISABLE), client))
    assert seen == {blocking.id, None}
    assert client.progress.blocking_execution is None
    assert sim.executions() == [("DEPRECATED", "SUCCESS"), ("DISABLED", "SUCCESS")]
    assert len(sim.starts) <= 3


def test_an_image_in_use_by_nothing_that_is_listed_is_asked_for_again(sim: Simulation) -> None:
    """A list may lag behind; at intervals that grow as those of polls do, with a note."""
    client = sim.client()
    times: list[float] = []
    notes: set[str | None] = set()

    def start(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        times.append(sim.loop.time())
        notes.add(client.progress.note)
        if len(times) <= 25:
            raise refusal("ResourceInUseException", "in use")
        return ask()

    sim.overrides["start_resource_state_update"] = start
    sim.run(apply(Change(ARN, DISABLE), client))
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert waits[0] == pytest.approx(0.98, abs=0.05)
    assert all(after >= before - 1e-9 for before, after in itertools.pairwise(waits))
    assert waits[-1] > 1.5
    assert notes == {None, "the image is in use, and none of its executions is under way"}


@pytest.mark.parametrize("known", [False, True])
def test_an_execution_that_a_refusal_names_is_waited_for_unless_it_ended_before(known: bool) -> None:
    sim = Simulation()
    if known:
        sim.apply(to("DEPRECATED"))
        sim.advance(minutes=5)
        execution = sim.ids()[0]
    else:
        execution = "lce-00000000-0000-0000-0000-000000000000"
    sim.overrides["start_resource_state_update"] = refuse("ResourceInUseException", f"in use by {execution}", times=1)
    client = sim.client()
    seen: set[str | None] = set()

    def spy(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        seen.add(client.progress.blocking_execution)
        return ask()

    sim.overrides["list_lifecycle_execution_resources"] = spy
    before = sim.loop.time()
    outcome = sim.run(apply(Change(ARN, DISABLE, **TRIGGERED), client))
    assert outcome.image.state == "DISABLED"
    assert (execution in seen) is not known
    assert (sim.loop.time() - before > 30) is not known
    assert client.progress.blocking_execution is None


def test_an_execution_that_cannot_be_read_any_more_is_not_in_the_way() -> None:
    """Neither the row nor the message of a time limit may name it once the wait is over."""
    sim = Simulation(variants={"policy-executions": "listed"})
    blocking = sim.backend.start_policy_execution(POLICY, ARN, "DEPRECATED", takes=timedelta(seconds=20))
    client = sim.client()
    seen: list[str | None] = []

    def forgotten(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        if parameters["lifecycleExecutionId"] == blocking.id:
            seen.append(client.progress.blocking_execution)
            raise refusal("ResourceNotFoundException")
        return ask()

    async def guard(change: Change, client: Any) -> None:
        seen.append(client.progress.blocking_execution)

    sim.overrides["list_lifecycle_execution_resources"] = forgotten
    sim.run(apply(Change(ARN, DISABLE, **TRIGGERED), client, guard))
    assert set(seen[:-1]) == {blocking.id}
    assert (seen[-1], client.progress.blocking_execution) == (None, None)


def test_an_immediate_change_names_nothing_that_is_forgotten_while_it_waits(sim: Simulation) -> None:
    client = sim.client()
    other = sim.person(DISABLE)
    seen: list[str | None] = []

    def forget(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        seen.append(client.progress.blocking_execution)
        if len(seen) > 2:
            raise refusal("ResourceNotFoundException")
        return ask()

    sim.overrides["list_lifecycle_execution_resources"] = forget
    sim.run(apply(Change(ARN, IMMEDIATE), client))
    assert (seen[:2], set(seen[2:])) == ([None, None], {other})
    assert client.progress.blocking_execution is None


@pytest.mark.parametrize("reading", ["unlisted", "listed"])
def test_an_immediate_change_waits_for_executions_that_would_move_the_image_after_it(reading: str) -> None:
    """The service would not refuse it, and what ends later would undo it; one that is not listed cannot be seen."""
    sim = Simulation(variants={"policy-executions": reading})
    sim.person(DISABLE)
    sim.apply(IMMEDIATE)
    assert sim.executions() == [("DISABLED", "SUCCESS")]
    assert sim.state() == "DEPRECATED"
    assert 9 < sim.loop.time() < 12


def test_an_immediate_change_does_not_look_at_executions_that_have_ended(sim: Simulation) -> None:
    sim.person(DISABLE)
    sim.advance(minutes=5)
    sim.apply(IMMEDIATE)
    assert "list_lifecycle_execution_resources" not in sim.counts


def test_the_hook_is_called_after_what_was_waited_for(sim: Simulation) -> None:
    asked: list[float] = []

    async def guard(change: Change, client: Any) -> None:
        asked.append(sim.loop.time())

    sim.person(DISABLE)
    sim.apply(IMMEDIATE, before_start=guard)
    assert len(asked) == 1
    assert asked[0] > 9


def test_an_immediate_change_does_not_wait_for_a_schedule_of_another(sim: Simulation) -> None:
    sim.person(SCHEDULE)
    sim.apply({"state": {"status": "DISABLED"}})
    assert sim.executions() == [("DEPRECATED", "PENDING")]
    assert sim.loop.time() < 1


def test_an_immediate_change_does_not_wait_for_what_is_forgotten(sim: Simulation) -> None:
    sim.person(DISABLE)
    sim.overrides["list_lifecycle_execution_resources"] = refuse("ResourceNotFoundException")
    sim.apply({"state": {"status": "DEPRECATED"}})
    assert sim.loop.time() < 1


def test_the_same_schedule_that_appears_as_it_is_started_is_adopted(sim: Simulation) -> None:
    """Another stack, or a person, was quicker by a moment."""

    def start(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        if not sim.ids():
            sim.person(SCHEDULE)
        return ask()

    sim.overrides["start_resource_state_update"] = start
    outcome = sim.apply(SCHEDULE)
    assert outcome.execution is not None
    assert outcome.execution.id == sim.ids()[0]
    assert (len(sim.ids()), sim.loop.time() < 2) == (1, True)


# --- schedules ---


@pytest.mark.parametrize("status", ["IN_PROGRESS", "PENDING"])
@pytest.mark.parametrize("request_", [DISABLE, IMMEDIATE, {**SCHEDULE, "updateAt": AT + timedelta(days=1)}])
def test_its_own_schedule_is_cancelled_before_anything_is_started(status: str, request_: dict[str, Any]) -> None:
    """An immediate change passes a schedule, which would still come true one day."""
    sim = Simulation(variants={"schedule-status": status})
    scheduled = sim.apply(SCHEDULE)
    options = {"follows": scheduled.client_token, "superseded": sim.ids()[0], "own_schedule": sim.ids()[0]}

    def start(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        assert sim.executions()[0] == ("DEPRECATED", "CANCELLED")
        return ask()

    sim.overrides["start_resource_state_update"] = start
    sim.apply(request_, **options)
    count = len(sim.ids())
    sim.apply(request_, **options)
    assert len(sim.ids()) == count
    assert [each for each in sim.executions() if each[1] in {"PENDING", "IN_PROGRESS"}] == (
        [("DEPRECATED", sim.executions()[-1][1])] if "updateAt" in request_ else []
    )


def test_its_own_schedule_that_has_begun_is_waited_for_and_not_cancelled(sim: Simulation) -> None:
    scheduled = sim.apply(SCHEDULE)
    sim.world.environment.clock.set(AT + timedelta(seconds=3))
    sim.apply(follows=scheduled.client_token, superseded=sim.ids()[0], own_schedule=sim.ids()[0])
    assert sim.executions() == [("DEPRECATED", "SUCCESS"), ("DISABLED", "SUCCESS")]


@pytest.mark.parametrize("status", ["IN_PROGRESS", "PENDING"])
def test_the_schedule_of_another_is_not_cancelled(status: str) -> None:
    """It has the image in use until its time, which the message of the time limit says."""
    sim = Simulation(variants={"schedule-status": status})
    sim.person({**SCHEDULE, "updateAt": sim.world.environment.clock.now() + timedelta(minutes=10)})
    sim.apply()
    assert sim.executions() == [("DEPRECATED", "SUCCESS"), ("DISABLED", "SUCCESS")]
    assert 600 < sim.loop.time() < 700


@pytest.mark.parametrize("status", ["IN_PROGRESS", "PENDING"])
def test_the_same_schedule_is_adopted_without_its_state(status: str) -> None:
    """Renamed, or destroyed with retain: exactly one is pending."""
    sim = Simulation(variants={"schedule-status": status})
    scheduled = sim.apply(SCHEDULE)
    again = sim.apply(SCHEDULE, triggers=["another token"])
    assert again.execution is not None
    assert scheduled.execution is not None
    assert again.execution.id == scheduled.execution.id
    assert len(sim.ids()) == 1


def test_a_schedule_whose_time_has_passed_is_carried_out_now(sim: Simulation) -> None:
    """The service takes no time in the past; one that it took before is adopted all the same."""
    outcome = sim.apply({**SCHEDULE, "updateAt": PAST})
    assert outcome.image.state == "DEPRECATED"
    assert sim.apply({**SCHEDULE, "updateAt": PAST}).execution == outcome.execution
    assert sim.executions() == [("DEPRECATED", "SUCCESS")]
    assert "updateAt" not in sim.starts[1]


def test_a_schedule_that_has_come_true_is_not_scheduled_again(sim: Simulation) -> None:
    """Whatever the clocks say: the state knows that it has come true."""

    def start(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        if "updateAt" in parameters:
            raise refusal("InvalidRequestException", "updateAt must be in the future")
        return ask()

    sim.overrides["start_resource_state_update"] = start
    assert sim.apply(SCHEDULE, schedule_elapsed=True).image.state == "DEPRECATED"
    with pytest.raises(ServiceError, match="updateAt must be in the future"):
        sim.apply({**SCHEDULE, "updateAt": AT + timedelta(days=1)})
    sim.overrides["start_resource_state_update"] = refuse("ForbiddenException")
    with pytest.raises(ServiceError, match="ForbiddenException"):
        sim.apply(SCHEDULE, schedule_elapsed=True)


def test_a_schedule_without_times_is_followed_by_one_execution(sim: Simulation) -> None:
    """One that was cancelled before its time has no start: what a killed run started after it is found all the same."""
    scheduled = sim.apply(SCHEDULE)
    options = {"follows": scheduled.client_token, "superseded": sim.ids()[0], "own_schedule": sim.ids()[0]}

    def without_times(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        answer = ask()
        for each in answer["lifecycleExecutions"]:
            if each["lifecycleExecutionId"] == sim.ids()[0]:
                each.pop("startTime", None)
                each.pop("endTime", None)
        return answer

    sim.overrides["list_lifecycle_executions"] = without_times
    for _ in range(2):
        outcome = sim.apply(**options)
        assert outcome.execution is not None
        assert outcome.execution.id == sim.ids()[1]
    assert len(sim.ids()) == 2


# --- roles ---


@pytest.mark.parametrize("code", ["InvalidParameterValueException", "InvalidRequestException"])
def test_a_role_made_moments_ago_is_waited_for_with_a_note(code: str) -> None:
    sim = Simulation(variants={"missing-role": code})
    sim.overrides["start_resource_state_update"] = refuse(code, "The execution role cannot be assumed", times=20)
    client = sim.client()
    notes: set[str | None] = set()
    forward = sim.overrides["start_resource_state_update"]

    def spy(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        notes.add(client.progress.note)
        return forward(parameters, ask)

    sim.overrides["start_resource_state_update"] = spy
    sim.run(apply(Change(ARN, DISABLE), client))
    assert sim.loop.time() > 20 * 0.9 + 10
    assert notes == {None, f"the execution role cannot be used yet: {code}: The execution role cannot be assumed"}
    assert sim.executions() == [("DISABLED", "SUCCESS")]


@pytest.mark.parametrize("code", ["InvalidParameterValueException", "InvalidRequestException"])
def test_a_role_that_does_not_exist_is_an_error_after_two_minutes(code: str) -> None:
    sim = Simulation(variants={"missing-role": code}, roles=[])
    assert failure(sim, sim.apply, ServiceError) == (
        f"changing the image: {code}: The execution role ImageLifecycle does not exist"
    )
    assert 120 < sim.loop.time() < 140


def test_the_two_minutes_begin_with_the_first_refusal_for_the_role() -> None:
    """And not while the image was in use."""
    sim = Simulation()
    sim.person(to("DEPRECATED"))
    sim.backend.execution_time = timedelta(seconds=10)

    def start(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        if sim.loop.time() < 300:
            raise refusal("ResourceInUseException")
        if sim.loop.time() < 390:
            raise refusal("InvalidParameterValueException", "role")
        return ask()

    sim.overrides["start_resource_state_update"] = start
    assert sim.apply().image.state == "DISABLED"


@pytest.mark.parametrize(
    ("code", "message", "request_"),
    [
        ("InvalidRequestException", "the parameter is invalid", DISABLE),
        ("InvalidRequestException", "the role", IMMEDIATE),
        ("ForbiddenException", "the role", DISABLE),
    ],
)
def test_a_refusal_that_does_not_concern_a_role_is_not_waited_out(
    sim: Simulation, code: str, message: str, request_: dict[str, Any]
) -> None:
    sim.overrides["start_resource_state_update"] = refuse(code, message)
    with pytest.raises(ServiceError, match=message):
        sim.apply(request_)
    assert sim.loop.time() < 1


# --- builds ---


def test_a_build_is_looked_at_in_time_whenever_it_is_waited_for() -> None:
    sim = Simulation(images(1, state="BUILDING"))
    sim.run(asyncio.sleep(1000))
    sim.loop.call_later(20, lambda: sim.move("AVAILABLE"))
    assert sim.run(wait_until_built(sim.client())).state == "AVAILABLE"
    assert 1020 <= sim.loop.time() < 1022


def test_only_a_change_that_awaits_builds_waits_for_one(sim: Simulation) -> None:
    sim = Simulation(images(1, state="BUILDING"))
    sim.loop.call_later(20, lambda: sim.move("AVAILABLE"))
    with pytest.raises(ServiceError, match="The image is BUILDING"):
        sim.apply()
    assert sim.apply(awaits_build=True).image.state == "DISABLED"
    assert 20 < sim.loop.time() < 35


def test_a_refusal_of_an_image_that_is_not_being_built_is_an_error(sim: Simulation) -> None:
    sim = Simulation(images(1, state="FAILED"))
    with pytest.raises(ServiceError, match="can only be moved to DELETED"):
        sim.apply(awaits_build=True)


# --- the hook before the first start ---


def test_the_hook_is_called_before_a_start_and_its_error_starts_nothing(sim: Simulation) -> None:
    asked: list[tuple[str, str]] = []

    async def guard(change: Change, client: Any) -> None:
        asked.append((change.target, client.arn))
        raise InUse("it is in use")

    with pytest.raises(InUse, match="it is in use"):
        sim.apply(before_start=guard)
    assert asked == [("DISABLED", ARN)]
    assert sim.starts == []
    assert 3 < sim.loop.time() < 5


def test_the_hook_is_never_called_where_an_execution_is_adopted(sim: Simulation) -> None:
    async def guard(change: Change, client: Any) -> None:
        raise InUse("it is in use")

    sim.apply(wait=False, **TRIGGERED)
    assert sim.apply(before_start=guard, **TRIGGERED).image.state == "DISABLED"
    assert sim.apply(before_start=guard).image.state == "DISABLED"
    assert len(sim.ids()) == 1


def test_a_start_of_a_killed_run_that_is_not_listed_yet_is_adopted_though_the_hook_refuses() -> None:
    sim = Simulation(variants={"consistency": "lag"})

    async def guard(change: Change, client: Any) -> None:
        raise InUse("it is in use")

    sim.begin_run(kill_at(4))
    with pytest.raises(asyncio.CancelledError):
        sim.run(apply(Change(ARN, DISABLE, **TRIGGERED), sim.client()))
    assert len(sim.ids()) == 1
    assert sim.apply(before_start=guard, **TRIGGERED).image.state == "DISABLED"
    assert len(sim.ids()) == 1


def test_the_hook_is_called_again_before_another_start(sim: Simulation) -> None:
    """What was in use by nothing may be in use after a wait."""
    asked: list[float] = []

    async def guard(change: Change, client: Any) -> None:
        asked.append(sim.loop.time())

    sim.overrides["start_resource_state_update"] = refuse("ResourceInUseException", times=2)
    sim.apply(before_start=guard)
    assert len(asked) == 3


def test_the_executions_that_were_just_listed_are_not_listed_again_for_the_hook(sim: Simulation) -> None:
    async def guard(change: Change, client: Any) -> None: ...

    sim.person(to("DEPRECATED"))
    sim.advance(minutes=5)
    sim.apply(before_start=guard, **TRIGGERED)
    assert sim.counts["list_lifecycle_executions"] == 1


def test_names_of_other_images_are_not_touched(sim: Simulation) -> None:
    sim = Simulation(images(2))
    sim.apply()
    assert (sim.state(), sim.state(f"{STEM}/2")) == ("DISABLED", "AVAILABLE")
    assert named(sim, sim.ids()[0]) == "lce-1"


def test_the_age_of_an_adopted_execution_counts_for_how_often_it_is_looked_at() -> None:
    """One that has run for 100 s is not looked at every second."""
    sim = Simulation(execution_time="200s")
    sim.apply(wait=False, **TRIGGERED)
    sim.advance(seconds=100)
    sim.apply(**TRIGGERED)
    assert sim.counts["list_lifecycle_execution_resources"] <= 12
    assert len(sim.ids()) == 1


def test_an_execution_that_has_failed_when_it_is_first_read_is_an_error_without_waiting_too(sim: Simulation) -> None:
    sim.fault(f"execution fail image={ARN} reason=Denied")

    def late(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        sim.advance(seconds=20)
        return ask()

    sim.overrides["list_lifecycle_execution_resources"] = late
    text = failure(sim, lambda: sim.apply(wait=False, **TRIGGERED), ExecutionFailed)
    assert text.startswith("changing the image: lifecycle execution lce-1 ended as FAILED: 2 of 2 resources failed; ")
    sim.heal()
    outcome = sim.apply(wait=False, **TRIGGERED)
    assert outcome.execution is not None
    assert outcome.execution.status == "SUCCESS"


def test_an_accepted_execution_that_cannot_be_read_yet_is_looked_for_at_the_rhythm_of_polls() -> None:
    sim = Simulation(variants={"consistency": "lag"})
    sim.apply(wait=False)
    assert sim.counts["list_lifecycle_execution_resources"] <= 4


def test_an_execution_that_does_not_hold_any_more_is_not_the_one_that_is_under_way(sim: Simulation) -> None:
    """A time limit that runs out then must not name it."""
    sim.apply(**TRIGGERED)
    sim.advance(minutes=5)
    sim.move("AVAILABLE")
    client = sim.client()
    seen: list[str | None] = []

    def spy(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        seen.append(client.progress.execution_id)
        return ask()

    sim.overrides["start_resource_state_update"] = spy
    sim.run(apply(Change(ARN, DISABLE, **TRIGGERED), client))
    assert seen == [None, None]
    assert client.progress.execution_id == sim.ids()[1]


@pytest.mark.parametrize("pages", ["full", "short"])
def test_an_immediate_change_waits_for_an_old_execution_that_has_come_to_resources(pages: str) -> None:
    sim = Simulation(variants={"pages": pages}, execution_time="1000s")
    sim.person(DISABLE)
    sim.advance(seconds=900)
    sim.apply(IMMEDIATE)
    assert sim.executions() == [("DISABLED", "SUCCESS")]
    assert (sim.state(), sim.loop.time() > 95) == ("DEPRECATED", True)


def test_a_deletion_that_kept_the_record_is_recognised_though_that_does_not_show_yet(sim: Simulation) -> None:
    request = {**DELETE, "exclusionRules": {"amis": {"regions": ["eu-west-1"]}}}
    sim.apply(request, **TRIGGERED)
    reads = 0

    def lag(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        nonlocal reads
        reads += 1
        answer = ask()
        if reads == 2:
            answer["image"].pop("lifecycleExecutionId")
        return answer

    sim.overrides["get_image"] = lag
    assert sim.apply(request, **TRIGGERED).image.state == "AVAILABLE"
    assert len(sim.ids()) == 1
