"""The life of a state update, of one image or many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session
from imagebuilder_emulator import state_file
from pulumi_imagebuilder.errors import (
    ExecutionFailed,
    FleetFailed,
    ImageBuilderError,
    ServiceError,
    TimedOut,
)
from pulumi_imagebuilder.handlers import FleetHandler
from pulumi_imagebuilder.handlers.base import digest
from pulumi_imagebuilder.handlers.updates import declare
from pulumi_imagebuilder.host import Call
from pulumi_imagebuilder.lifecycle.entities import IMAGE_UNSTABLE
from pulumi_imagebuilder.lifecycle.state import UpdateState
from pulumi_imagebuilder.validation import UNKNOWN, Kind

from tests.provider.simulated import (
    AHEAD,
    ARN,
    DISABLE,
    STEM,
    Declaration,
    Simulation,
    Stack,
    arns,
    cleanup,
    failure,
    fleet,
    images,
    named,
    refusal,
    single,
)

RELEASE = Path(__file__).parents[2] / "package" / "releases" / "0.1.0"


@pytest.fixture
def sim() -> Simulation:
    return Simulation(images(4))


@pytest.fixture
def stack(sim: Simulation) -> Stack:
    return Stack(sim)


def call(operation: str = "create", **more: Any) -> Call:
    return Call(operation, "urn:pulumi:dev::project::type::web", **more)


@pytest.mark.parametrize(
    ("kind", "inputs", "found"),
    [
        (Kind.SINGLE, {"resource_arn": ARN}, [ARN]),
        (Kind.SINGLE, {"resource_arn": UNKNOWN}, []),
        (Kind.SINGLE, {}, []),
        (Kind.CLEANUP, {"resource_arn": ARN}, [ARN]),
        (Kind.CLEANUP, {"resource_arn": UNKNOWN}, []),
        (Kind.CLEANUP, {"resource_arn": 5}, []),
        (Kind.FLEET, {"resource_arns": [ARN, UNKNOWN, 5]}, [ARN]),
        (Kind.FLEET, {"resource_arns": (ARN,)}, [ARN]),
        (Kind.FLEET, {"resource_arns": UNKNOWN}, []),
        (Kind.FLEET, {}, []),
    ],
)
def test_images_are_those_that_are_known(sim: Simulation, kind: Kind, inputs: dict[str, Any], found: list[str]) -> None:
    assert sim.handler(kind).images(inputs) == found


@pytest.mark.parametrize(
    "more", [{"execution_role": "Another"}, {"wait": False}, {"on_destroy": "cancel"}, {"max_amis": 5}]
)
def test_what_is_not_sent_only_changes_the_state(sim: Simulation, stack: Stack, more: dict[str, Any]) -> None:
    stack.up(web=single())
    before = stack.kept["web"].state
    assert stack.preview(web=single(**more)) == {"web": True}
    stack.up(web=single(**more))
    assert sim.counts == {}
    assert stack.kept["web"].state == {**before, **more}


def test_to_wait_from_now_on_does_not_wait_for_what_is_under_way(sim: Simulation, stack: Stack) -> None:
    """It only changes the state; a refresh shows how the execution has ended, and a failed one is started again."""
    stack.up(web=single(wait=False))
    sim.fault(f"execution fail image={ARN} reason=Denied")
    stack.up(web=single(wait=True))
    assert sim.counts == {}
    assert (stack.kept["web"].state["wait"], stack.kept["web"].state["status"]) == (True, "PENDING")
    sim.advance(seconds=20)
    stack.refresh()
    sim.heal()
    stack.up(web=single(wait=True))
    assert sim.executions() == [("DISABLED", "FAILED"), ("DISABLED", "SUCCESS")]


@pytest.mark.parametrize("more", [{"state": "DEPRECATED"}, {"triggers": ["x"]}, {"client_token": "mine"}])
def test_what_is_sent_is_carried_out_again(sim: Simulation, stack: Stack, more: dict[str, Any]) -> None:
    stack.up(web=single())
    stack.up(web=single(**more))
    assert len(sim.ids()) == 2
    assert stack.kept["web"].state["lifecycle_execution_id"] == sim.ids()[1]


def test_drift_is_told_where_the_inputs_have_not_changed(sim: Simulation, stack: Stack) -> None:
    stack.up(all=fleet(arns(4)))
    sim.move("AVAILABLE")
    stack.refresh()
    assert stack.preview(all=fleet(arns(4))) == {"all": True}
    again = "`pulumi up` applies the declaration again"
    assert sim.row.logged == [f"all: image {ARN}: the image is AVAILABLE, declared is DISABLED: {again}"]
    sim.move("AVAILABLE", arns(2)[1])
    sim.move("DEPRECATED", arns(3)[2])
    stack.refresh()
    sim.row.logged.clear()
    stack.preview(all=fleet(arns(4)))
    assert sim.row.logged == [
        "all: 2 images: the image is AVAILABLE, declared is DISABLED: web/1.0.0/1, web/1.0.0/2 "
        "(arn:aws:imagebuilder:us-east-1:123456789012:image/…); image "
        f"{arns(3)[2]}: the image is DEPRECATED, declared is DISABLED: {again}"
    ]
    stack.up(all=fleet(arns(4)))
    assert [len(sim.ids(arn)) for arn in arns(4)] == [2, 2, 2, 1]


def test_a_created_resource_has_its_inputs_and_outputs(sim: Simulation, stack: Stack) -> None:
    stack.up(web=single())
    kept = stack.kept["web"]
    assert kept.id == ARN
    assert kept.inputs.items() <= kept.state.items()
    assert (kept.state["status"], kept.state["image_state"]) == ("SUCCESS", "DISABLED")
    assert not any(key.startswith("__") for key in kept.state)


def test_a_fleet_has_its_name_for_an_id_or_a_digest(sim: Simulation, stack: Stack) -> None:
    stack.up(all=fleet(arns(2)))
    assert stack.kept["all"].id == "all"
    handler = sim.handler(Kind.FLEET)
    assert isinstance(handler, FleetHandler)
    nameless = handler.id_of(Call("create"), {"resource_arns": arns(2)})
    assert nameless == handler.id_of(Call("create"), {"resource_arns": arns(2)})
    assert nameless != handler.id_of(Call("create"), {"resource_arns": arns(1)})
    assert nameless.startswith("fleet-")
    assert len(nameless) == 20


def test_a_fleet_acts_on_what_came_and_what_left_alone(sim: Simulation, stack: Stack) -> None:
    stack.up(all=fleet(arns(2), on_destroy="restore"))
    stack.up(all=fleet(arns(3)[1:], on_destroy="restore"))
    assert [sim.executions(arn) for arn in arns(4)] == [
        [("DISABLED", "SUCCESS"), ("AVAILABLE", "SUCCESS")],
        [("DISABLED", "SUCCESS")],
        [("DISABLED", "SUCCESS")],
        [],
    ]
    assert list(stack.kept["all"].state["executions"]) == arns(3)[1:]
    stack.up(all=fleet([]))
    assert stack.kept["all"].state["executions"] == {}


def test_a_fleets_token_is_not_sent_as_it_is(sim: Simulation, stack: Stack) -> None:
    """The service takes a token for one image only: each gets one of its own that is derived from it."""
    stack.up(all=fleet(arns(2), client_token="mine"))
    sent = {each["clientToken"] for each in sim.starts}
    assert len(sent) == 2
    assert "mine" not in sent
    assert stack.kept["all"].state["__client_token"] == digest("mine")
    stack.up(all=fleet(arns(2), client_token="other"))
    assert len({each["clientToken"] for each in sim.starts}) == 4


def test_many_resources_are_listed_in_part_with_the_command_that_lists_all() -> None:
    sim = Simulation([{"arn": ARN, "amis": [{}]}])
    found = [{"resourceId": f"ami-{number}", "state": {"status": "SUCCESS"}} for number in range(101)]

    def page(parameters: Any, ask: Any) -> Any:
        answer = ask()
        ended = answer["lifecycleExecutionState"]["status"] == "SUCCESS" and "parentResourceId" in parameters
        return {**answer, "resources": found} if ended else answer

    sim.overrides["list_lifecycle_execution_resources"] = page
    stack = Stack(sim)
    stack.up(web=single())
    assert len(stack.kept["web"].state["resources"]) == 100
    assert [named(sim, each) for each in sim.row.logged] == [
        "web: the output `resources` holds only 100 of the 101 resources; all are listed by: aws imagebuilder "
        "list-lifecycle-execution-resources --region us-east-1 --lifecycle-execution-id lce-1 "
        f"--parent-resource-id {ARN}"
    ]
    sim.row.logged.clear()
    stack.up(all=fleet([ARN], triggers=["x"]))
    assert len(stack.kept["all"].state["executions"][ARN]["resources"]) == 10
    assert not any("resources; all are listed" in each for each in sim.row.logged)


def test_a_failure_is_an_error_and_nothing_is_kept(sim: Simulation, stack: Stack) -> None:
    sim.fault(f"execution fail image={ARN} reason=Denied")
    with pytest.raises(ExecutionFailed):
        stack.up(web=single())
    assert stack.kept == {}


def test_a_create_that_ran_out_of_time_is_continued_from_its_state(sim: Simulation) -> None:
    stack = Stack(sim, partial=True, time_limit=5)
    with pytest.raises(TimedOut):
        stack.up(web=single())
    state = stack.kept["web"].state
    assert (state["lifecycle_execution_id"], state["status"]) == (sim.ids()[0], "IN_PROGRESS")
    assert state["__previous"] == {"resources": []}
    stack.time_limit = None
    stack.up(web=single())
    assert sim.executions() == [("DISABLED", "SUCCESS")]
    assert "__previous" not in stack.kept["web"].state
    assert len({each["clientToken"] for each in sim.starts}) == 1


@pytest.mark.parametrize("limit", [0.05, 0.3, 5, 9.97])
def test_an_update_that_ran_out_of_time_follows_on_the_same_token(sim: Simulation, limit: float) -> None:
    """Nothing is started twice, whenever the time ran out, and however often."""
    stack = Stack(sim, partial=True)
    stack.up(web=single("DEPRECATED"))
    first = stack.kept["web"].state
    stack.time_limit = limit
    for _ in range(2 if limit < 5 else 1):
        with pytest.raises(TimedOut):
            stack.up(web=single("DISABLED"))
        kept = stack.kept["web"].state
        assert kept["__previous"]["client_token"] == first["client_token"]
        assert kept["lifecycle_execution_id"] == sim.ids()[-1 if limit >= 0.3 else 0]
    stack.time_limit = None
    stack.up(web=single("DISABLED"))
    assert sim.executions() == [("DEPRECATED", "SUCCESS"), ("DISABLED", "SUCCESS")]
    again = Stack(Simulation(images(4)))
    again.up(web=single("DEPRECATED"))
    again.up(web=single("DISABLED"))
    assert again.kept["web"].state["client_token"] == stack.kept["web"].state["client_token"]


def test_a_partial_state_with_other_inputs_gives_way_to_them(sim: Simulation) -> None:
    stack = Stack(sim, partial=True, time_limit=5)
    with pytest.raises(TimedOut):
        stack.up(web=single("DEPRECATED"))
    stack.time_limit = None
    stack.up(web=single("DISABLED"))
    assert sim.executions() == [("DEPRECATED", "SUCCESS"), ("DISABLED", "SUCCESS")]
    assert sim.state() == "DISABLED"


def test_a_failed_create_is_incomplete_and_a_refresh_keeps_it_so(sim: Simulation) -> None:
    stack = Stack(sim, partial=True)
    sim.fault(f"execution fail image={ARN} reason=Denied")
    with pytest.raises(ExecutionFailed):
        stack.up(web=single())
    sim.heal()
    sim.advance(seconds=5)
    stack.refresh()
    assert stack.preview(web=single()) == {"web": True}
    stack.up(web=single())
    assert sim.executions() == [("DISABLED", "FAILED"), ("DISABLED", "SUCCESS")]
    assert stack.preview(web=single()) == {"web": False}


def test_a_fleet_keeps_what_is_done_when_some_fail(sim: Simulation) -> None:
    stack = Stack(sim, partial=True)
    sim.fault(f"execution fail image={STEM}/2 reason=Denied")
    with pytest.raises(FleetFailed):
        stack.up(all=fleet(arns(4)))
    state = stack.kept["all"].state
    assert [state["executions"][arn]["status"] for arn in arns(4)] == ["SUCCESS", "FAILED", "SUCCESS", "SUCCESS"]
    assert list(state["__previous"]) == [f"{STEM}/2"]
    sim.heal()
    sim.advance(seconds=5)
    stack.up(all=fleet(arns(4)))
    assert [len(sim.ids(arn)) for arn in arns(4)] == [1, 2, 1, 1]
    assert sim.counts["start_resource_state_update"] == 2
    assert "__previous" not in stack.kept["all"].state


def test_an_image_that_left_a_fleet_and_could_not_be_undone_stays_in_its_state(sim: Simulation) -> None:
    """As if it had not left yet, so that the next run undoes it."""
    stack = Stack(sim, partial=True)
    stack.up(all=fleet(arns(2), on_destroy="restore"))
    sim.fault(f"execution fail image={ARN} reason=Denied")
    with pytest.raises(FleetFailed):
        stack.up(all=fleet(arns(2)[1:], on_destroy="restore"))
    assert list(stack.kept["all"].state["executions"]) == [arns(2)[1], ARN]
    assert "__previous" not in stack.kept["all"].state
    sim.heal()
    sim.advance(seconds=5)
    stack.up(all=fleet(arns(2)[1:], on_destroy="restore"))
    assert sim.state() == "AVAILABLE"
    assert list(stack.kept["all"].state["executions"]) == [arns(2)[1]]


def test_what_ran_out_of_time_or_was_immediate_says_that_it_was_started(sim: Simulation) -> None:
    handler = sim.handler(Kind.SINGLE)
    inputs = sim.run(handler.check(call("check"), {}, single()[1])).inputs
    result = sim.run(handler.create(call(time_limit=5), inputs))
    assert (result.started, type(result.error)) == (True, TimedOut)
    sim.advance(minutes=1)
    immediate = single("DEPRECATED", execution_role=None, include_resources=None)[1]
    inputs = sim.run(handler.check(call("check"), {}, immediate)).inputs
    assert sim.run(handler.create(call(), inputs)).started is True


def test_a_refused_start_says_that_nothing_was_started(sim: Simulation) -> None:
    """Then what Pulumi had before is still right."""

    def refuse(parameters: Any, ask: Any) -> Any:
        raise refusal("ForbiddenException")

    sim.overrides["start_resource_state_update"] = refuse
    handler = sim.handler(Kind.SINGLE)
    inputs = sim.run(handler.check(call("check"), {}, single()[1])).inputs
    result = sim.run(handler.create(call(), inputs))
    assert (result.started, type(result.error).__name__) == (False, "ServiceError")
    sim.overrides.clear()
    assert sim.run(handler.create(call(), inputs)).started is True


def test_a_read_keeps_the_inputs_and_drops_what_is_of_old(sim: Simulation, stack: Stack) -> None:
    """State of release 0.1.0 has keys that are not written any more."""
    stack.up(web=single())
    state = {
        **stack.kept["web"].state,
        "__urn": "urn",
        "__timeouts": {},
        "__secrets": ["execution_role"],
        "__provider": "x",
    }
    found, error = sim.run(sim.handler(Kind.SINGLE).read(call("read"), state))
    assert error is None
    assert found is not None
    assert not found.keys() & {"__urn", "__timeouts"}
    assert (found["__secrets"], found["__provider"]) == (["execution_role"], "x")


@pytest.mark.parametrize("kind", [Kind.SINGLE, Kind.FLEET, Kind.CLEANUP])
def test_a_read_that_fails_is_an_error(sim: Simulation, stack: Stack, kind: Kind) -> None:
    declared = {Kind.SINGLE: single(), Kind.FLEET: fleet(arns(2)), Kind.CLEANUP: cleanup()}[kind]
    stack.up(web=declared)

    def refuse(parameters: Any, ask: Any) -> Any:
        raise refusal("ForbiddenException")

    sim.overrides["get_image"] = sim.overrides["list_image_build_versions"] = refuse
    with pytest.raises(ImageBuilderError, match=r"reading .*: ForbiddenException: refused"):
        stack.refresh()
    assert "web" in stack.kept


def test_a_refresh_of_a_fleet_reads_all_at_once(sim: Simulation, stack: Stack) -> None:
    stack.up(all=fleet(arns(4)))
    before = stack.kept["all"].state
    stack.refresh()
    assert stack.kept["all"].state == before
    assert sim.counts == {"list_image_build_versions": 1}


def test_an_image_of_a_fleet_that_has_vanished_is_drift_with_what_to_do(sim: Simulation, stack: Stack) -> None:
    stack.up(all=fleet(arns(2)))
    before = stack.kept["all"].state
    del sim.backend.images[ARN]
    stack.refresh()
    after = stack.kept["all"].state
    assert after["__drift"] == {ARN: "the image is gone, take it out of resource_arns"}
    assert after["__left"] == {ARN: "DISABLED"}
    assert after["executions"][ARN] == {**before["executions"][ARN], "image_state": "DELETED"}
    assert after["executions"][arns(2)[1]] == before["executions"][arns(2)[1]]


def test_retain_makes_no_call(sim: Simulation, stack: Stack) -> None:
    stack.up(web=single(), all=fleet(arns(4)[1:]))
    stack.destroy()
    assert (sim.counts, stack.kept) == ({}, {})


@pytest.mark.parametrize(
    ("on_destroy", "text"),
    [
        ("cancel", f"cancelling the state update of image {ARN}: ForbiddenException: refused"),
        ("restore", f"restoring image {ARN}: ForbiddenException: refused"),
    ],
)
def test_a_delete_that_fails_says_what_it_did(sim: Simulation, stack: Stack, on_destroy: str, text: str) -> None:
    stack.up(web=single(wait=False, on_destroy=on_destroy))

    def refuse(parameters: Any, ask: Any) -> Any:
        raise refusal("ForbiddenException")

    for operation in ("cancel_lifecycle_execution", "get_image"):
        sim.overrides[operation] = refuse
    assert failure(sim, stack.destroy, ServiceError).startswith(text)
    assert "web" in stack.kept


def test_a_fleet_that_goes_is_undone_side_by_side(sim: Simulation, stack: Stack) -> None:
    stack.up(all=fleet(arns(4), on_destroy="restore"))
    before = sim.loop.time()
    stack.destroy()
    assert {sim.state(arn) for arn in arns(4)} == {"AVAILABLE"}
    assert sim.loop.time() - before < 12


def test_what_leaves_a_fleet_but_is_declared_elsewhere_is_left(sim: Simulation, stack: Stack) -> None:
    stack.up(all=fleet(arns(2), on_destroy="restore"))
    stack.up(all=fleet(arns(1), on_destroy="restore"), web=single(arn=arns(2)[1]))
    assert sim.state(arns(2)[1]) == "DISABLED"
    assert sim.row.logged == [f"all: left unchanged, because the program still declares it: image {arns(2)[1]}"]


LOST = "all: warning: what was deleted does not come back, only what is left can be restored: image "


@pytest.mark.parametrize(
    ("news", "which"),
    [
        (fleet(arns(2), "AVAILABLE"), "web/1.0.0/1, web/1.0.0/2 (arn:aws:imagebuilder:us-east-1:123456789012:image/…)"),
        (fleet(arns(1), "AVAILABLE"), ARN),
        (
            fleet(arns(1), "DISABLED", on_destroy="restore"),
            "web/1.0.0/1, web/1.0.0/2 (arn:aws:imagebuilder:us-east-1:123456789012:image/…)",
        ),
        (fleet(arns(1), "DISABLED"), None),
        (fleet(arns(1), "DELETED", triggers=["x"]), None),
        (fleet(arns(3)[2:], "AVAILABLE"), None),
    ],
)
def test_the_restoring_of_what_was_deleted_warns(
    sim: Simulation, stack: Stack, news: Declaration, which: str | None
) -> None:
    """The record is there still where a rule left an AMI out, and the service restores it without a word."""
    rules = {"exclusion_rules": {"amis": {"regions": ["eu-west-1"]}}}
    stack.up(all=fleet(arns(2), "DELETED", **rules))
    stack.preview(all=news)
    warnings = [] if which is None else [LOST + which]
    assert sim.row.logged == warnings
    stack.up(all=news)
    assert sim.row.logged == 2 * warnings
    stack.up(all=news)
    assert sim.row.logged == 2 * warnings
    assert sim.ami_states()[0] == "gone"


def test_a_replacement_restores_nothing_that_was_deleted(sim: Simulation, stack: Stack) -> None:
    stack.up(web=single("DELETED"))
    stack.up(web=single("DISABLED", arns(2)[1], on_destroy="restore"))
    stack.up(web=single("AVAILABLE", arns(2)[1]))
    assert sim.row.logged == []


BEFORE = UpdateState("lce-1", "SUCCESS", image_state="DEPRECATED", client_token="before")


def declared(before: UpdateState, olds: dict[str, Any] | None = None, *, rerun: bool = True, **more: Any) -> Any:
    inputs = {"wait": True, "state": "DISABLED", **more}
    return declare(ARN, inputs, DISABLE, olds or {}, before, rerun, fleet=more.pop("fleet", False))


def test_a_change_follows_on_the_one_before() -> None:
    change = declared(BEFORE, triggers=["x"], wait=False)
    assert (change.follows, change.superseded, change.own_schedule) == ("before", "lce-1", None)
    assert (change.triggers, change.wait, change.client_token) == (["x"], False, None)
    assert declared(UpdateState()).is_first


def test_a_continued_change_is_the_one_that_it_was() -> None:
    started = UpdateState("lce-2", "IN_PROGRESS", deprecation_time="2099", previous=BEFORE)
    continued = declared(started, rerun=False)
    assert (continued.follows, continued.superseded, continued.own_schedule) == ("before", "lce-1", None)
    another = declared(started)
    assert (another.follows, another.superseded, another.own_schedule) == ("before", "lce-2", "lce-2")


@pytest.mark.parametrize(
    ("status", "deprecation_time", "olds", "own"),
    [
        ("PENDING", "2099-01-31T00:00:00Z", {}, "lce-1"),
        ("IN_PROGRESS", None, {"update_at": AHEAD}, "lce-1"),
        ("IN_PROGRESS", None, {}, None),
        ("SUCCESS", "2099-01-31T00:00:00Z", {"update_at": AHEAD}, None),
    ],
)
def test_its_own_schedule_is_an_unfinished_execution_with_a_time(
    status: str, deprecation_time: str | None, olds: dict[str, Any], own: str | None
) -> None:
    before = UpdateState("lce-1", status, deprecation_time=deprecation_time)
    assert declared(before, olds).own_schedule == own


def test_a_schedule_has_elapsed_if_the_same_one_ended_well() -> None:
    assert declared(BEFORE, {"update_at": AHEAD}, update_at=AHEAD).schedule_elapsed is True
    assert declared(BEFORE, {"update_at": AHEAD}, update_at="2099-02-28T00:00:00Z").schedule_elapsed is False
    assert declared(UpdateState("lce-1", "FAILED"), {"update_at": AHEAD}, update_at=AHEAD).schedule_elapsed is False


def test_the_state_of_release_0_1_0_continues_with_its_longer_token() -> None:
    """Nothing is started for it as it is; what is edited follows on it with a token of 36 characters."""
    sim = Simulation([])
    service = json.loads((RELEASE / "service.json").read_text(encoding="utf-8"))
    state_file.load(service, sim.world.environment.backend)
    sim.world.environment.clock.restore(sim.world.environment.clock.offset)
    resources = json.loads((RELEASE / "stack.json").read_text(encoding="utf-8"))["deployment"]["resources"]
    olds = next(each["outputs"] for each in resources if each["urn"].endswith("::at-once"))
    handler = sim.handler(Kind.SINGLE)
    inputs = {key: olds[key] for key in ("resource_arn", "state", "wait", "on_destroy")}
    news = sim.run(handler.check(call("check"), inputs, inputs)).inputs
    assert not handler.compare(olds, news)
    found, error = sim.run(handler.read(call("read"), olds))
    assert error is None
    assert found is not None
    assert "__drift" not in found
    edited = sim.run(handler.check(call("check"), inputs, {**inputs, "state": "DISABLED"})).inputs
    result = sim.run(handler.update(call("update"), olds, edited))
    assert result.error is None
    assert result.state["image_state"] == "DISABLED"
    assert len(olds["client_token"]) > 36
    assert len(result.state["client_token"]) == 36
    change = declare(
        olds["resource_arn"],
        edited,
        {"state": {"status": "DISABLED"}},
        olds,
        UpdateState.from_state(olds),
        True,
        fleet=False,
    )
    assert result.state["client_token"] == next(change.token_candidates())


def test_an_image_is_imported_as_if_its_state_had_been_declared(sim: Simulation) -> None:
    sim.move("DEPRECATED")
    handler = sim.handler(Kind.SINGLE)
    state, error = sim.run(handler.import_state(call("read"), ARN))
    assert error is None
    assert state is not None
    assert (state["resource_arn"], state["state"], state["image_state"], state["client_token"]) == (
        ARN,
        "DEPRECATED",
        "DEPRECATED",
        None,
    )


LATER = "import it once it is AVAILABLE, DEPRECATED or DISABLED"
TO_DELETE = "declare it with the state DELETED, the only one that it can be moved to"
NOT_IMPORTED = dict.fromkeys(IMAGE_UNSTABLE, LATER) | {"CANCELLED": TO_DELETE, "FAILED": TO_DELETE}


def test_every_image_that_cannot_be_declared_as_it_is_is_not_imported() -> None:
    """The error says why and what to do; an image that can be is imported, and one that is deleted is not there."""
    states = sorted(get_session().get_service_model("imagebuilder").shape_for("ImageStatus").enum)
    sim = Simulation([{"arn": f"{STEM}/{number}", "state": state} for number, state in enumerate(states, 1)])
    handler = sim.handler(Kind.SINGLE)
    for number, image_state in enumerate(states, 1):
        arn = f"{STEM}/{number}"
        state, error = sim.run(handler.import_state(call("read"), arn))
        if image_state in NOT_IMPORTED:
            assert (state, str(error)) == (
                None,
                f"importing image {arn}: it is {image_state}, which is no state that can be declared; "
                f"{NOT_IMPORTED[image_state]}",
            )
        elif image_state == "DELETED":
            assert (state, error) == (None, None)
        else:
            assert state is not None
            assert (state["state"], error) == (image_state, None)


def test_what_cannot_be_imported_is_an_error() -> None:
    sim = Simulation(images(3))
    state, error = sim.run(sim.handler(Kind.SINGLE).import_state(call("read"), "web"))
    assert state is None
    assert str(error).startswith("importing image web: ")
    assert sim.run(sim.handler(Kind.SINGLE).import_state(call("read"), f"{STEM}/9")) == (None, None)
    _, refused = sim.run(sim.handler(Kind.FLEET).import_state(call("read"), "all"))
    assert str(refused).startswith("importing all: ")


def test_an_import_that_may_not_read_is_an_error(sim: Simulation) -> None:
    def refuse(parameters: Any, ask: Any) -> Any:
        raise refusal("ForbiddenException")

    sim.overrides["get_image"] = refuse
    state, error = sim.run(sim.handler(Kind.SINGLE).import_state(call("read"), ARN))
    assert state is None
    assert str(error).startswith(f"importing image {ARN}: ForbiddenException: refused")


def test_the_preview_of_a_replacement_is_that_of_its_create(sim: Simulation, stack: Stack) -> None:
    """The engine has it checked by itself: shown once."""
    stack.up(web=single())
    handler = sim.handler(Kind.SINGLE)
    olds, news = stack.kept["web"].state, single(arn=arns(2)[1], in_use="refuse")[1]
    sim.run(handler.check(call("check", dry_run=True), stack.kept["web"].inputs, news))
    assert sim.run(handler.diff(call("diff"), olds, news)).inputs.replace == {"resource_arn"}
    assert sim.row.logged == []
    sim.run(handler.check(call("check", dry_run=True), {}, news))
    assert len(sim.row.logged) == 1


def test_a_preview_knows_what_stays_as_it_is(sim: Simulation, stack: Stack) -> None:
    stack.up(web=single(), all=fleet(arns(2)))
    single_state, fleet_state = stack.kept["web"].state, stack.kept["all"].state
    handler = sim.handler(Kind.SINGLE)
    inputs = stack.kept["web"].inputs
    same = sim.run(handler.preview(call(), single_state, {**inputs, "on_destroy": "cancel"})).state
    assert (same["image_state"], same["on_destroy"]) == ("DISABLED", "cancel")
    news = {**inputs, "triggers": ["x"], "client_token": "mine"}
    ahead = sim.run(handler.preview(call(), single_state, news)).state
    assert (ahead["image_state"], ahead["client_token"]) == (UNKNOWN, "mine")
    assert sim.run(handler.preview(call(), {}, inputs)).state["status"] == UNKNOWN
    fleets = sim.handler(Kind.FLEET)
    more = {**stack.kept["all"].inputs, "resource_arns": arns(3)}
    grown = sim.run(fleets.preview(call(), fleet_state, more)).state
    assert grown["executions"][ARN]["image_state"] == "DISABLED"
    assert grown["executions"][arns(3)[2]] == grown["lifecycle_execution_ids"][arns(3)[2]] == UNKNOWN
    later = {**stack.kept["all"].inputs, "resource_arns": [UNKNOWN]}
    unknown = sim.run(fleets.preview(call(), {}, later)).state
    assert unknown["executions"] == UNKNOWN
    kept = sim.run(sim.handler(Kind.CLEANUP).preview(call(), {}, cleanup()[1]))
    assert (kept.id, kept.state["resource_arn"]) == (ARN, ARN)


def test_what_an_update_with_other_inputs_has_begun_stays_known_where_another_fails(sim: Simulation) -> None:
    """It may still be in the way: a schedule of whose date nothing was read yet."""
    handler = sim.handler(Kind.SINGLE)
    begun = UpdateState("lce-1", "IN_PROGRESS", previous=UpdateState("lce-0", "SUCCESS", client_token="before"))
    olds = {**single("DEPRECATED", update_at=AHEAD, wait=True, on_destroy="retain")[1], **begun.to_state()}
    inputs = sim.run(handler.check(call("check"), {}, single("DISABLED")[1])).inputs

    def refuse(parameters: Any, ask: Any) -> Any:
        raise refusal("ForbiddenException")

    sim.overrides["list_lifecycle_executions"] = refuse
    result = sim.run(handler.update(call("update"), olds, inputs))
    assert type(result.error) is ServiceError
    previous = result.state["__previous"]
    assert (previous["lifecycle_execution_id"], previous["status"], previous["deprecation_time"]) == (
        "lce-1",
        "IN_PROGRESS",
        AHEAD,
    )
    assert previous["client_token"] == "before"
