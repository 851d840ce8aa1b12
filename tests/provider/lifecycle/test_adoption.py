"""Which execution answers for a change whose state or answer was lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pulumi_imagebuilder.lifecycle import adoption
from pulumi_imagebuilder.lifecycle.adoption import Answer
from pulumi_imagebuilder.lifecycle.change import Change
from pulumi_imagebuilder.lifecycle.entities import GONE, Execution

from tests.provider.simulated import ARN, DISABLE, Simulation, refusal, to

AT = datetime(2099, 1, 31, tzinfo=UTC)
SCHEDULE = to("DEPRECATED", updateAt=AT)
DELETE = {**to("DELETED"), "includeResources": {"amis": True, "snapshots": True}}
POLICY = "arn:aws:imagebuilder:us-east-1:123456789012:lifecycle-policy/retire"


def started(sim: Simulation, request: Mapping[str, Any] = DISABLE, *, wait: bool = True, token: str = "token") -> str:
    id_ = sim.person(request, token=token)
    assert id_ is not None
    if wait:
        sim.advance(minutes=5)
    sim.begin_run()
    return id_


def adoptable(sim: Simulation, request: Mapping[str, Any] = DISABLE, **options: Any) -> Answer | None:
    client = sim.client()

    async def work() -> Answer | None:
        return await adoption.find_adoptable_execution(
            Change(ARN, request, **options), client, await client.executions()
        )

    return sim.run(work())


@pytest.mark.parametrize("request_", [DISABLE, DELETE, to("AVAILABLE")])
def test_the_last_execution_is_adoptable_if_it_did_just_this(request_: dict[str, Any]) -> None:
    sim = Simulation()
    id_ = started(sim, request_)
    assert adoptable(sim, request_) == Answer(id_, certain=False)


def test_another_role_does_the_same() -> None:
    sim = Simulation()
    id_ = started(sim)
    assert adoptable(sim, {**DISABLE, "executionRole": "Another"}) == Answer(id_, certain=False)


@pytest.mark.parametrize("options", [{"follows": "token"}, {"superseded": "lce-1"}, {"client_token": "mine"}])
def test_only_the_first_change_adopts(options: dict[str, Any]) -> None:
    """Any other one has tokens of its own to find its execution by."""
    sim = Simulation()
    started(sim)
    assert adoptable(sim, **options) is None


@pytest.mark.parametrize(
    ("done", "declared"),
    [
        pytest.param(DISABLE, to("AVAILABLE"), id="another state"),
        pytest.param(DISABLE, {"state": {"status": "DISABLED"}}, id="the record alone"),
        pytest.param(DISABLE, {**DISABLE, "includeResources": {"amis": False}}, id="nothing included"),
        pytest.param(
            DISABLE, {**DISABLE, "exclusionRules": {"amis": {"regions": ["us-west-2"]}}}, id="exclusion rules"
        ),
        pytest.param(to("DEPRECATED"), SCHEDULE, id="a time"),
        pytest.param(DISABLE, {**DISABLE, "anArgumentOfANewerModel": 1}, id="an argument that cannot be seen"),
        pytest.param(DISABLE, {**DISABLE, "includeResources": {"amis": True, "disks": True}}, id="a new kind"),
        pytest.param(to("DELETED"), DELETE, id="snapshots that were kept"),
        pytest.param(
            {**DISABLE, "exclusionRules": {"amis": {"regions": ["eu-west-1"]}}}, DISABLE, id="some were left out"
        ),
    ],
)
def test_an_execution_that_did_anything_else_is_not_adoptable(done: dict[str, Any], declared: dict[str, Any]) -> None:
    sim = Simulation()
    started(sim, done)
    assert adoptable(sim, declared) is None


def test_only_the_last_execution_is_adoptable() -> None:
    sim = Simulation()
    started(sim)
    started(sim, to("AVAILABLE"), token="another")
    assert adoptable(sim) is None


def test_nothing_is_adoptable_of_an_image_without_amis_or_executions() -> None:
    """An execution that touched no resource shows nothing of what it was asked for."""
    assert adoptable(Simulation()) is None
    sim = Simulation([{"arn": ARN}])
    started(sim)
    assert adoptable(sim) is None


def test_an_execution_that_failed_is_not_adoptable() -> None:
    sim = Simulation()
    sim.fault(f"execution fail image={ARN}")
    started(sim)
    assert adoptable(sim) is None


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED"])
def test_an_execution_that_ended_badly_is_not_adoptable_though_it_did_all(status: str) -> None:
    sim = Simulation()
    started(sim)

    def end(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        answer: dict[str, Any] = ask()
        return {
            **answer,
            "lifecycleExecutions": [{**each, "state": {"status": status}} for each in answer["lifecycleExecutions"]],
        }

    sim.overrides["list_lifecycle_executions"] = end
    assert adoptable(sim) is None


def test_an_execution_under_way_is_not_adoptable_unless_it_is_the_same_schedule() -> None:
    """What it does not show yet, only its end can show."""
    sim = Simulation()
    started(sim, wait=False)
    assert adoptable(sim) is None


@pytest.mark.parametrize("status", ["IN_PROGRESS", "PENDING"])
def test_a_schedule_of_the_very_instant_is_adoptable(status: str) -> None:
    sim = Simulation(variants={"schedule-status": status})
    id_ = started(sim, SCHEDULE, wait=False)
    assert adoptable(sim, SCHEDULE) == Answer(id_, certain=False)
    assert adoptable(sim, {**SCHEDULE, "updateAt": AT + timedelta(seconds=1)}) is None
    assert adoptable(sim, to("DEPRECATED")) is None


def test_a_forgotten_execution_is_not_adoptable() -> None:
    sim = Simulation()
    started(sim)

    def refuse(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        raise refusal("ResourceNotFoundException")

    sim.overrides["list_lifecycle_execution_resources"] = refuse
    assert adoptable(sim) is None


# --- schedules ---


def is_schedule(sim: Simulation) -> bool:
    client = sim.client()

    async def work() -> bool:
        return await adoption.is_schedule(client, (await client.executions())[0])

    return sim.run(work())


@pytest.mark.parametrize("status", ["IN_PROGRESS", "PENDING"])
def test_a_schedule_is_told_by_its_evidence(status: str) -> None:
    """And never by its status, which differs from reading to reading."""
    sim = Simulation(variants={"schedule-status": status})
    started(sim, SCHEDULE, wait=False)
    assert is_schedule(sim) is True
    sim.world.environment.clock.set(AT + timedelta(seconds=3))
    assert is_schedule(sim) is False
    sim.advance(seconds=20)
    assert is_schedule(sim) is False


@pytest.mark.parametrize("seconds", [0, 3])
def test_an_execution_that_is_not_scheduled_is_no_schedule(seconds: int) -> None:
    """Neither before nor after it has come to its first resource."""
    sim = Simulation()
    started(sim, wait=False)
    sim.advance(seconds=seconds)
    assert is_schedule(sim) is False


def test_an_execution_with_resources_is_no_schedule_though_a_deprecation_is_ahead() -> None:
    sim = Simulation(variants={"pages": "short"})
    started(sim, wait=False)
    sim.backend.images[ARN].deprecation_time = AT
    sim.advance(seconds=3)
    assert is_schedule(sim) is False


def test_the_execution_of_a_policy_is_no_schedule() -> None:
    sim = Simulation(variants={"policy-executions": "listed"})
    sim.backend.start_policy_execution(POLICY, ARN, "DEPRECATED")
    sim.backend.images[ARN].deprecation_time = AT
    assert is_schedule(sim) is False


# --- another role ---


def with_another_role(
    sim: Simulation, request: Mapping[str, Any] = DISABLE, known: int = 1, **options: Any
) -> Answer | None:
    return sim.run(adoption.find_execution_with_another_role(Change(ARN, request, **options), sim.client(), known))


def test_the_newest_execution_that_does_the_same_answers_for_a_token_with_another_role() -> None:
    sim = Simulation()
    first = started(sim)
    assert with_another_role(sim) == Answer(first, certain=False)
    started(sim, to("AVAILABLE"), token="another")
    assert with_another_role(sim) == Answer(first, certain=False)
    third = started(sim, token="a third")
    assert with_another_role(sim) == Answer(third, certain=False)


def test_which_of_two_executions_answers_for_a_token_with_another_role_is_not_certain() -> None:
    """Their exclusion rules may differ; but one that is under way would have to end before another could start."""
    sim = Simulation()
    started(sim)
    rules = {"exclusionRules": {"amis": {"regions": ["eu-west-1"]}}}
    second = started(sim, {**DISABLE, **rules}, token="another")
    assert with_another_role(sim) is None
    assert with_another_role(sim, known=2) == Answer(second, certain=False)
    running = started(sim, wait=False, token="a third")
    assert with_another_role(sim) == Answer(running, certain=False)


def test_the_order_of_a_list_does_not_matter() -> None:
    sim = Simulation()
    started(sim)
    started(sim, to("AVAILABLE"), token="another")
    newest = started(sim, token="a third")

    def reverse(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        answer: dict[str, Any] = ask()
        return {**answer, "lifecycleExecutions": answer["lifecycleExecutions"][::-1]}

    sim.overrides["list_lifecycle_executions"] = reverse
    assert with_another_role(sim) == Answer(newest, certain=False)


def test_neither_the_execution_before_nor_an_older_one_answers_for_a_token_with_another_role() -> None:
    sim = Simulation()
    started(sim)
    superseded = started(sim, to("AVAILABLE"), token="another")
    assert with_another_role(sim, superseded=superseded) is None
    assert with_another_role(Simulation()) is None


def test_an_execution_that_does_not_list_its_image_yet_may_be_the_one() -> None:
    sim = Simulation()
    id_ = started(sim, wait=False)
    sim.overrides["list_lifecycle_execution_resources"] = lambda parameters, ask: {**ask(), "resources": []}
    assert with_another_role(sim) == Answer(id_, certain=False)


# --- deletions ---


def deletion(sim: Simulation) -> Any:
    client = sim.client()

    async def work() -> Any:
        return await adoption.find_deletion(client, await client.executions())

    return sim.run(work())


def test_a_deletion_is_found_by_its_last_successful_execution() -> None:
    sim = Simulation()
    id_ = started(sim, DELETE)
    found = deletion(sim)
    assert (found.client_token, found.image, found.execution.id) == ("", GONE, id_)
    assert {each["action"] for each in found.resources} == {"DELETE"}
    assert len(found.resources) == 2


def test_an_image_that_is_gone_otherwise_has_no_deletion() -> None:
    sim = Simulation()
    assert deletion(sim) is None
    started(sim)
    assert deletion(sim) is None


# --- moved since ---


def moved_since(sim: Simulation, id_: str, before: list[Execution] | None = None) -> bool:
    client = sim.client()

    async def work() -> bool:
        listed = {each.id: each for each in (before or await client.executions())}
        return await adoption.was_changed_since(Change(ARN, DISABLE), client, id_, listed)

    return sim.run(work())


def test_a_later_execution_that_did_something_else_has_moved_the_image() -> None:
    sim = Simulation()
    id_ = started(sim)
    assert moved_since(sim, id_) is False
    other = started(sim, to("AVAILABLE"), token="another")
    assert moved_since(sim, id_) is True
    assert moved_since(sim, other) is False


def test_neither_the_same_nor_what_is_under_way_nor_what_has_no_times_has_moved_the_image() -> None:
    sim = Simulation()
    id_ = started(sim)
    started(sim, token="another")
    assert moved_since(sim, id_) is False
    other = started(sim, to("AVAILABLE"), token="a third", wait=False)
    assert moved_since(sim, id_) is False
    now = datetime.now(UTC)
    assert moved_since(sim, id_, [Execution(id_, "SUCCESS", started=now), Execution(other, "SUCCESS")]) is False


def test_a_later_execution_that_does_not_say_what_it_did_has_not_moved_the_image() -> None:
    sim = Simulation()
    id_ = started(sim)
    started(sim, to("AVAILABLE"), token="another")
    sim.overrides["list_lifecycle_execution_resources"] = lambda parameters, ask: {**ask(), "resources": []}
    assert moved_since(sim, id_) is False


def test_the_execution_of_a_policy_does_not_answer_for_a_token_with_another_role() -> None:
    sim = Simulation(variants={"policy-executions": "listed"})
    mine = started(sim)
    sim.backend.start_policy_execution(POLICY, ARN, "DISABLED")
    sim.advance(minutes=5)
    assert with_another_role(sim) == Answer(mine, certain=False)


def test_the_schedule_of_another_does_not_answer_for_a_token_with_another_role() -> None:
    sim = Simulation()
    mine = started(sim, to("DEPRECATED"))
    scheduled = started(sim, SCHEDULE, wait=False, token="another")
    assert with_another_role(sim, to("DEPRECATED")) == Answer(mine, certain=False)
    assert with_another_role(sim, SCHEDULE) == Answer(scheduled, certain=False)
