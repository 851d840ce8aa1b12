"""What Pulumi keeps between runs, and what a refresh makes of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pulumi_imagebuilder.lifecycle.entities import Execution, Image, Outcome
from pulumi_imagebuilder.lifecycle.state import FleetState, UpdateState, refresh

from tests.provider.simulated import ARN, DISABLE, Simulation, arns, as_kept, refusal, to

RELEASE = Path(__file__).parents[2] / "package" / "releases" / "0.1.0" / "stack.json"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 1, 1, 12, 1, tzinfo=UTC)


def resource(status: str, id_: str) -> dict[str, Any]:
    return {"status": status, "region": "us-east-1", "resource_id": id_}


OUTCOME = Outcome(
    "token",
    Image("DISABLED", "AMI", LATER, "lce-1"),
    Execution("lce-1", "FAILED", "no access", NOON, LATER),
    [resource("SUCCESS", "ami-1"), resource("FAILED", "ami-2")],
)


def test_an_outcome_becomes_the_outputs() -> None:
    assert UpdateState.from_outcome(OUTCOME, "DISABLED").outputs() == {
        "lifecycle_execution_id": "lce-1",
        "status": "FAILED",
        "status_reason": "no access",
        "start_time": "2026-01-01T12:00:00Z",
        "end_time": "2026-01-01T12:01:00Z",
        "image_state": "DISABLED",
        "deprecation_time": "2026-01-01T12:01:00Z",
        "resources": [resource("FAILED", "ami-2"), resource("SUCCESS", "ami-1")],
        "client_token": "token",
    }


def test_an_immediate_change_has_outputs_without_an_execution() -> None:
    assert UpdateState.from_outcome(Outcome("token", Image("DEPRECATED")), "DEPRECATED").outputs() == {
        "lifecycle_execution_id": None,
        "status": None,
        "status_reason": None,
        "start_time": None,
        "end_time": None,
        "image_state": "DEPRECATED",
        "deprecation_time": None,
        "resources": [],
        "client_token": "token",
    }


def test_outputs_list_a_hundred_resources_failed_ones_first() -> None:
    """An execution may touch thousands, and Pulumi rewrites its state often."""
    many = [resource("SUCCESS", f"ami-{number:04}") for number in range(5000)] + [resource("FAILED", "ami-x")]
    kept = UpdateState.from_outcome(Outcome("token", Image("DISABLED"), None, many), "DISABLED").to_state()
    assert [each["resource_id"] for each in kept["resources"][:2]] == ["ami-x", "ami-0000"]
    assert len(kept["resources"]) == 100
    assert len(json.dumps(kept)) < 32 * 1024


@pytest.mark.parametrize(
    ("status", "target", "left"),
    [
        ("SUCCESS", "DISABLED", "DISABLED"),
        ("SUCCESS", "DELETED", None),
        ("FAILED", "DISABLED", None),
        ("IN_PROGRESS", "DISABLED", None),
        (None, "DISABLED", None),
    ],
)
def test_an_execution_that_ended_well_left_the_image_as_declared(
    status: str | None, target: str, left: str | None
) -> None:
    """Whoever has moved it since; a deletion may have kept the record."""
    execution = Execution("lce-1", status) if status else None
    assert UpdateState.from_outcome(Outcome("token", Image("AVAILABLE"), execution), target).result_state == left


COMPLETE = UpdateState.from_state({"resources": [{"snapshots": [{}]}]}).resources[0]


@pytest.mark.parametrize(
    "state",
    [
        UpdateState(),
        UpdateState.from_outcome(OUTCOME, "DISABLED"),
        UpdateState(
            "lce-1", "SUCCESS", None, None, None, "AVAILABLE", None, [COMPLETE], "token", result_state="DEPRECATED"
        ),
        UpdateState(image_state="AVAILABLE", drift="the image is AVAILABLE, declared is DISABLED"),
        UpdateState("lce-2", "IN_PROGRESS", previous=UpdateState("lce-1", "SUCCESS", client_token="before")),
        UpdateState("lce-1", previous=UpdateState()),
    ],
)
def test_a_state_is_read_back_as_it_was_written(state: UpdateState) -> None:
    """Also after Pulumi has dropped what is None."""
    state = UpdateState.from_state(state.to_state())
    assert UpdateState.from_state(as_kept(state.to_state())) == state


def test_own_keys_are_written_only_where_they_say_something() -> None:
    own = {"__left", "__drift", "__previous"}
    assert not UpdateState(image_state="DISABLED", result_state="DISABLED").to_state().keys() & own
    full = UpdateState(
        image_state="AVAILABLE", result_state="DISABLED", drift="moved", previous=UpdateState()
    ).to_state()
    assert {key: full[key] for key in own} == {
        "__left": "DISABLED",
        "__drift": "moved",
        "__previous": UpdateState().outputs(),
    }


def test_an_update_is_complete_unless_it_drifted_or_has_not_ended_well() -> None:
    before = UpdateState("lce-1")
    assert UpdateState().is_complete
    assert not UpdateState(drift="moved").is_complete
    assert not UpdateState(previous=before).is_complete
    assert UpdateState("lce-2", previous=before).last_complete is before
    assert before.last_complete is before


def release(name: str) -> dict[str, Any]:
    resources = json.loads(RELEASE.read_text(encoding="utf-8"))["deployment"]["resources"]
    outputs: dict[str, Any] = next(each["outputs"] for each in resources if each["urn"].endswith(f"::{name}"))
    return outputs


def test_the_state_of_release_0_1_0_is_read_with_its_longer_token() -> None:
    state = UpdateState.from_state(release("with-its-amis"))
    assert (state.client_token, state.status) == ("pulumi-2e56d17528b382a9a6ff8dfec75f18cd875490c0f3bcf7de", "SUCCESS")
    assert (state.result_state, state.image_state, state.is_complete) == ("DISABLED", "DISABLED", True)
    assert [each["status"] for each in state.resources] == ["SKIPPED", "SUCCESS"]
    scheduled = UpdateState.from_state(release("scheduled"))
    assert (scheduled.result_state, scheduled.status, scheduled.deprecation_time) == (
        "AVAILABLE",
        "PENDING",
        "2100-01-01T00:00:00Z",
    )


def test_the_fleet_of_release_0_1_0_is_read() -> None:
    kept = release("fleet")
    fleet = FleetState.from_state(kept)
    assert list(fleet.images) == kept["resource_arns"]
    assert {state.image_state for state in fleet.images.values()} == {"DISABLED"}
    assert fleet.incomplete(kept["resource_arns"]) == set()
    assert all(len(state.client_token or "") > 36 for state in fleet.images.values())


def test_a_fleet_keeps_the_states_of_its_images_by_arn() -> None:
    one, two, three = arns(3)
    fleet = FleetState(
        {
            one: UpdateState("lce-1", "SUCCESS", image_state="DISABLED"),
            two: UpdateState("lce-2", image_state="AVAILABLE", result_state="DISABLED", drift="moved"),
            three: UpdateState("lce-3", previous=UpdateState("lce-0")),
        }
    )
    kept = fleet.to_state([three, two, "another that was not updated yet"])
    assert list(kept["executions"]) == [three, two]
    assert kept["lifecycle_execution_ids"] == {three: "lce-3", two: "lce-2"}
    assert (kept["__left"], kept["__drift"]) == ({two: "DISABLED"}, {two: "moved"})
    assert kept["__previous"] == {three: UpdateState("lce-0").outputs()}
    assert FleetState.from_state(as_kept(kept)).images == {arn: fleet.images[arn] for arn in (two, three)}
    assert fleet.incomplete([one, two, three, "new"]) == {two, three, "new"}
    complete = FleetState({one: fleet.images[one]}).to_state([one])
    assert complete.keys() == {"executions", "lifecycle_execution_ids"}
    assert FleetState.from_state({}).images == {}


def test_a_fleet_lists_ten_resources_of_each_image() -> None:
    """It may have a thousand images."""
    many = [resource("SUCCESS", f"ami-{number:02}") for number in range(90)] + [resource("FAILED", "ami-x")]
    kept = FleetState(
        {ARN: UpdateState.from_outcome(Outcome("t", Image("DISABLED"), None, many), "DISABLED")}
    ).to_state([ARN])
    listed = [each["resource_id"] for each in kept["executions"][ARN]["resources"]]
    assert listed == ["ami-x", *[f"ami-{number:02}" for number in range(9)]]


# --- refresh ---


def refreshed(sim: Simulation, state: UpdateState, target: str = "DISABLED") -> UpdateState | None:
    sim.begin_run()
    return sim.run(refresh(state, target, sim.client()))


def updated(sim: Simulation, request: dict[str, Any] = DISABLE, **options: Any) -> UpdateState:
    return UpdateState.from_outcome(sim.apply(request, **options), request["state"]["status"])


def test_a_refresh_finds_what_is_as_declared() -> None:
    """With one call: the execution has ended, and is not read again."""
    sim = Simulation()
    state = updated(sim)
    after = refreshed(sim, state)
    assert after is not None
    assert after.to_state() == state.to_state()
    assert after.is_complete
    assert sim.counts == {"get_image": 1}


@pytest.mark.parametrize("moved_to", ["AVAILABLE", "DEPRECATED"])
def test_an_image_moved_elsewhere_is_drift_in_words(moved_to: str) -> None:
    sim = Simulation()
    state = updated(sim)
    sim.move(moved_to)
    after = refreshed(sim, state)
    assert after is not None
    assert after.drift == f"the image is {moved_to}, declared is DISABLED"
    assert (after.image_state, after.result_state) == (moved_to, "DISABLED")
    again = refreshed(sim, after)
    assert again == after
    sim.move("DISABLED")
    back = refreshed(sim, after)
    assert back is not None
    assert back.to_state() == state.to_state()


def test_an_image_that_has_vanished_is_gone_unless_it_was_to_be_deleted() -> None:
    sim = Simulation()
    state = updated(sim)
    del sim.backend.images[ARN]
    assert refreshed(sim, state) is None
    after = refreshed(sim, state, "DELETED")
    assert after is not None
    assert (after.image_state, after.drift) == ("DELETED", None)


@pytest.mark.parametrize("status", ["IN_PROGRESS", "PENDING"])
def test_a_scheduled_deprecation_that_has_come_true_is_no_drift(status: str) -> None:
    """Before its time the image is as it was; from then on any other state is drift."""
    sim = Simulation(variants={"schedule-status": status})
    at = datetime(2099, 1, 31, tzinfo=UTC)
    state = updated(sim, to("DEPRECATED", updateAt=at))
    assert (state.status, state.image_state, state.deprecation_time) == (status, "AVAILABLE", "2099-01-31T00:00:00Z")
    waiting = refreshed(sim, state, "DEPRECATED")
    assert waiting is not None
    assert (waiting.drift, waiting.status, waiting.result_state) == (None, status, "AVAILABLE")
    sim.world.environment.clock.set(at.replace(hour=1))
    done = refreshed(sim, waiting, "DEPRECATED")
    assert done is not None
    assert (done.drift, done.status, done.image_state, done.result_state) == (
        None,
        "SUCCESS",
        "DEPRECATED",
        "DEPRECATED",
    )
    sim.move("AVAILABLE")
    moved = refreshed(sim, done, "DEPRECATED")
    assert moved is not None
    assert moved.drift == "the image is AVAILABLE, declared is DEPRECATED"


def test_a_success_that_was_undone_before_it_was_seen_is_drift() -> None:
    """Without waiting the state has the image as it was before; that is not left behind any more once it ended well."""
    sim = Simulation()
    state = updated(sim, wait=False)
    assert (state.status, state.image_state) == ("PENDING", "AVAILABLE")
    sim.advance(seconds=20)
    sim.person(to("AVAILABLE"))
    sim.advance(seconds=20)
    after = refreshed(sim, state)
    assert after is not None
    assert (after.status, after.drift) == ("SUCCESS", "the image is AVAILABLE, declared is DISABLED")
    assert len(after.resources) == 2


def test_a_deletion_that_kept_the_record_is_no_drift() -> None:
    sim = Simulation()
    rules = {"amis": {"regions": ["eu-west-1"]}}
    state = updated(sim, to("DELETED", exclusionRules=rules), wait=False)
    sim.advance(seconds=20)
    after = refreshed(sim, state, "DELETED")
    assert after is not None
    assert (after.status, after.image_state, after.drift) == ("SUCCESS", "AVAILABLE", None)


@pytest.mark.parametrize("fault", ["fail", "cancel"])
def test_an_execution_that_ended_badly_is_drift(fault: str) -> None:
    sim = Simulation()
    state = updated(sim, wait=False)
    (id_,) = sim.ids()
    if fault == "fail":
        sim.fault(f"execution fail image={ARN}")
    else:
        sim.run(sim.client().cancel(id_))
    sim.advance(seconds=20)
    after = refreshed(sim, state)
    status = {"fail": "FAILED", "cancel": "CANCELLED"}[fault]
    assert after is not None
    assert after.drift == f"lifecycle execution {id_} ended as {status}"
    assert sim.counts["get_image"] == 1
    assert after.client_token == state.client_token


def test_an_incomplete_update_becomes_complete_when_its_execution_is_seen_to_have_ended_well() -> None:
    sim = Simulation()
    before = UpdateState("lce-0", client_token="before")
    state = UpdateState.from_state({**updated(sim, wait=False).to_state(), "__previous": before.to_state()})
    still = refreshed(sim, state)
    assert still is not None
    assert still.previous == before
    sim.advance(seconds=20)
    after = refreshed(sim, state)
    assert after is not None
    assert (after.previous, after.status) == (None, "SUCCESS")


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "InvalidRequestException"])
def test_an_execution_that_the_service_has_forgotten_stays_in_the_state(code: str) -> None:
    sim = Simulation(variants={"unknown-execution": code})
    state = updated(sim, wait=False)
    sim.forget(sim.ids()[0])
    after = refreshed(sim, state)
    assert after is not None
    assert after.to_state() == state.to_state()


def test_other_errors_of_a_refresh_are_raised() -> None:
    sim = Simulation()
    state = updated(sim, wait=False)

    def refuse(*_: Any) -> Any:
        raise refusal("ForbiddenException")

    sim.overrides["list_lifecycle_execution_resources"] = refuse
    with pytest.raises(Exception, match="changing the image: ForbiddenException: refused"):
        refreshed(sim, state)


def test_an_image_that_was_moved_as_its_execution_ended_is_read_at_intervals() -> None:
    """It may not show yet what the execution did."""
    sim = Simulation()
    state = updated(sim)
    sim.move("AVAILABLE")
    after = refreshed(sim, state)
    assert after is not None
    assert after.drift == "the image is AVAILABLE, declared is DISABLED"
    assert 2 <= sim.counts["get_image"] <= 9


def test_a_deletion_that_left_nothing_out_and_an_image_that_is_still_there_is_drift() -> None:
    sim = Simulation()
    state = updated(sim, to("DELETED"), wait=False)
    sim.advance(minutes=5)
    record = {"arn": ARN, "state": {"status": "AVAILABLE"}}
    sim.overrides["get_image"] = lambda parameters, ask: sim.answer(image=record)
    before = UpdateState.from_state({**state.to_state(), "image_state": "DISABLED"})
    after = refreshed(sim, before, "DELETED")
    assert after is not None
    assert after.drift == "the image is AVAILABLE, declared is DELETED"
