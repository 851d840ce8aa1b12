"""The calls for one image: what is read once, what again, and how each absent thing is absent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from pulumi_imagebuilder.errors import CredentialsError, ResourceNotFound, ServiceError
from pulumi_imagebuilder.lifecycle.client import ExecutionUnknown, ImageClient
from pulumi_imagebuilder.lifecycle.entities import GONE, Image
from pulumi_imagebuilder.lifecycle.progress import FleetProgress

from tests.provider.simulated import ARN, DISABLE, STEM, Simulation, images, named, refusal, to


def refuse(code: str, message: str = "refused") -> Callable[..., Any]:
    def override(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        raise refusal(code, message)

    return override


def many(amis: int) -> Simulation:
    return Simulation([{"arn": ARN, "amis": [{}] * amis}])


def ended(sim: Simulation, request: Mapping[str, Any] = DISABLE, **more: Any) -> str:
    """Return an execution that has ended before a new run begins."""
    id_ = sim.person(request, **more)
    assert id_ is not None
    sim.advance(minutes=5)
    sim.begin_run()
    return id_


def test_a_start_sends_the_request_with_the_token() -> None:
    sim = Simulation()
    assert sim.run(sim.client().start(DISABLE, "token")) == sim.ids()[0]
    assert sim.starts == [{"resourceArn": ARN, "clientToken": "token", **DISABLE}]


def test_an_immediate_change_has_no_execution() -> None:
    assert Simulation().run(Simulation().client().start({"state": {"status": "DEPRECATED"}}, "token")) is None


def test_calls_are_made_in_the_images_region_and_for_its_account() -> None:
    """Whatever the stack's region is."""
    arn = STEM.replace("us-east-1", "eu-west-1") + "/1"
    sim = Simulation([{"arn": arn}])
    seen: list[Any] = []
    call = sim.service.call

    async def spy(*arguments: Any, account: Any = None, **more: Any) -> Any:
        seen.append((*arguments, account))
        return await call(*arguments, account=account, **more)

    sim.service.call = spy  # type: ignore[method-assign]
    client = sim.client(arn)
    sim.run(client.find_image())
    sim.run(client.executions())
    sim.run(client.start({"state": {"status": "DEPRECATED"}}, "token"))
    assert [(service, region, account) for service, region, _, account in seen] == [
        ("imagebuilder", "eu-west-1", "123456789012")
    ] * 3


def test_cancelling_twice_is_cancelling_once() -> None:
    """It has always the same token."""
    sim = Simulation()
    client = sim.client()
    id_ = sim.person(DISABLE)
    assert id_ is not None
    sim.run(client.cancel(id_))
    sim.run(client.cancel(id_))
    first, second = (each.parameters for each in sim.world.calls("CancelLifecycleExecution"))
    assert first == second
    assert first["clientToken"].startswith("pulumi-")


def test_a_refused_start_does_not_say_its_token() -> None:
    """A user's own may be a secret, and the service repeats it."""
    sim = Simulation()
    sim.overrides["start_resource_state_update"] = refuse("InvalidRequestException", "the token my-secret is no good")
    with pytest.raises(ServiceError) as raised:
        sim.run(sim.client().start(DISABLE, "my-secret"))
    assert str(raised.value) == "changing the image: InvalidRequestException: the token [redacted] is no good"
    with pytest.raises(ServiceError, match="the token my-secret is no good"):
        sim.run(sim.client().start(DISABLE, "to"))


@pytest.mark.parametrize("reading", ["not-found", "state"])
def test_only_the_image_itself_says_that_a_start_was_refused_because_it_is_gone(reading: str) -> None:
    sim = Simulation(variants={"deleted-image": reading})
    refused = {code: ServiceError("refused", code) for code in ("ResourceNotFoundException", "InvalidRequestException")}
    for error in refused.values():
        assert sim.run(sim.client().is_gone(error)) is False
    ended(sim, to("DELETED"))
    for error in refused.values():
        assert sim.run(sim.client().is_gone(error)) is True
    assert sim.run(sim.client().is_gone(ServiceError("refused", "ForbiddenException"))) is False


def test_an_image_is_read_once_as_long_as_nothing_may_have_changed_it() -> None:
    sim = Simulation()
    id_ = ended(sim)
    client = sim.client()

    async def read() -> list[Image]:
        found = [await client.find_image()]
        await client.executions()
        await client.snapshot(id_)
        # Adopted: what it did was done before the image was read.
        await client.start(DISABLE, "a-persons-token")
        return [*found, await client.find_image()]

    first, second = sim.run(read())
    assert (first, first.state) == (second, "DISABLED")
    assert sim.counts["get_image"] == 1
    assert sim.run(client.find_image(fresh=True)) == first
    assert sim.counts["get_image"] == 2


@pytest.mark.parametrize(
    "event", ["start", "immediate", "cancel", "listed unfinished", "listed just ended", "snapshot"]
)
def test_an_image_is_read_again_after_what_may_have_changed_it(event: str) -> None:
    sim = Simulation()
    id_ = None
    if event in {"cancel", "listed unfinished", "snapshot"}:
        id_ = sim.person(DISABLE)
    elif event == "listed just ended":
        sim.person(to("DEPRECATED"), token="another")
        sim.advance(minutes=10)
        sim.person(DISABLE)
        sim.advance(seconds=30)
    client = sim.client()

    async def work() -> None:
        await client.find_image()
        if event == "start":
            await client.start(DISABLE, "token")
        elif event == "immediate":
            await client.start({"state": {"status": "DEPRECATED"}}, "token")
        elif event == "cancel":
            await client.cancel(id_ or "")
        elif event == "snapshot":
            await client.snapshot(id_ or "")
        else:
            await client.executions()
        await client.find_image()

    sim.run(work())
    assert sim.counts["get_image"] == 2


def test_an_execution_that_ended_a_minute_before_the_image_was_read_shows_in_it() -> None:
    sim = Simulation()
    sim.person(DISABLE)
    sim.advance(seconds=72)
    client = sim.client()

    async def work() -> Image:
        await client.find_image()
        await client.executions()
        return await client.find_image()

    assert sim.run(work()).state == "DISABLED"
    assert sim.counts["get_image"] == 1


def test_only_the_services_not_found_makes_an_image_gone() -> None:
    sim = Simulation()
    del sim.backend.images[ARN]
    assert sim.run(sim.client().find_image()) is GONE
    assert sim.run(sim.client().find_image(fresh=True)) is GONE
    sim.overrides["get_image"] = refuse("ForbiddenException")
    with pytest.raises(ServiceError, match=r"^changing the image: ForbiddenException: refused"):
        sim.run(sim.client().find_image())
    with pytest.raises(ServiceError, match=r"^changing the image: ForbiddenException: refused"):
        sim.run(sim.client().find_image(fresh=True))


def test_the_clients_time_is_the_services() -> None:
    """Whatever this machine's clock says, which counts only until the first answer."""
    sim = Simulation()
    sim.advance(days=365)
    client = sim.client()
    assert abs((client.now - datetime.now(UTC)).total_seconds()) < 60
    sim.run(client.find_image())
    now = sim.world.environment.clock.now()
    assert abs((client.now - now).total_seconds()) < 2
    sim.advance(days=365)
    sim.run(client.executions())
    sim.run(client.start({"state": {"status": "DEPRECATED"}}, "token"))
    assert (client.now - now).total_seconds() > 364 * 86400


@pytest.mark.parametrize("pages", ["full", "short"])
def test_all_pages_of_executions_are_read(pages: str) -> None:
    sim = Simulation(variants={"pages": pages})
    started = [ended(sim, to(state), token=f"token-{state}") for state in ("DISABLED", "AVAILABLE", "DEPRECATED")]
    assert [each.id for each in sim.run(sim.client().executions())] == started[::-1]


def test_no_executions_are_listed_of_an_image_that_names_none() -> None:
    sim = Simulation()
    assert sim.run(sim.client().executions_if_named()) == []
    assert sim.counts == {"get_image": 1}
    id_ = ended(sim)
    assert [each.id for each in sim.run(sim.client().executions_if_named())] == [id_]
    # What deleted an image is found although the record does not name it any more.
    del sim.backend.images[ARN]
    assert [each.id for each in sim.run(sim.client().executions_if_named())] == [id_]


def test_an_execution_began_before_this_run_if_it_started_before_the_image_was_first_read() -> None:
    sim = Simulation()
    old = ended(sim)
    client = sim.client()
    sim.run(client.find_image())
    sim.advance(seconds=2)
    new = sim.person(to("AVAILABLE"), token="another") or ""
    sim.advance(seconds=5)
    assert sim.run(client.began_before_this_run(old)) is True
    assert sim.run(client.began_before_this_run(new)) is False
    # One that has neither started nor ended is the newest.
    sim.overrides["get_lifecycle_execution"] = lambda parameters, ask: sim.answer(
        lifecycleExecution={"lifecycleExecutionId": new, "state": {"status": "PENDING"}}
    )
    assert sim.run(client.began_before_this_run(new)) is False


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "InvalidRequestException"])
def test_an_unknown_execution_is_an_error_of_its_own(code: str) -> None:
    """Whichever of two codes the service answers with."""
    sim = Simulation(variants={"unknown-execution": code})
    id_ = "lce-00000000-0000-0000-0000-000000000000"
    client = sim.client()
    calls: list[Callable[[ImageClient], Any]] = [
        lambda client: client.snapshot(id_),
        lambda client: client.duration(id_),
        lambda client: client.find_record_entry(id_),
        lambda client: client.outcome("token", id_),
    ]
    for call in calls:
        with pytest.raises(ExecutionUnknown) as raised:
            sim.run(call(client))
        assert named(sim, str(raised.value)) == (
            f"changing the image: {code}: The lifecycle execution {id_} was not found"
        )


def test_other_refusals_of_an_execution_are_passed_on() -> None:
    sim = Simulation()
    sim.overrides["get_lifecycle_execution"] = refuse("ForbiddenException")
    with pytest.raises(ServiceError, match=r"^changing the image: ForbiddenException: refused"):
        sim.run(sim.client().duration("lce-1"))
    sim.overrides["list_lifecycle_executions"] = refuse("ForbiddenException")
    with pytest.raises(ServiceError, match=r"^changing the image: ForbiddenException: refused"):
        sim.run(sim.client().executions())


def test_a_missing_image_is_an_error_of_a_start() -> None:
    sim = Simulation()
    with pytest.raises(ResourceNotFound) as raised:
        sim.run(sim.client(f"{STEM}/9").start(DISABLE, "token"))
    assert named(sim, str(raised.value)) == (
        f"changing the image: ResourceNotFoundException: The resource {STEM}/9 was not found"
    )


@pytest.mark.parametrize("operation", ["get_image", "list_lifecycle_executions", "start_resource_state_update"])
def test_why_a_call_is_made_again_is_noted(operation: str) -> None:
    sim = Simulation()
    sim.fault("* 503 first=1")
    client = sim.client()
    work = {
        "get_image": client.find_image,
        "list_lifecycle_executions": client.executions,
        "start_resource_state_update": lambda: client.start(DISABLE, "token"),
    }[operation]
    sim.run(work())
    assert client.progress.note is not None
    assert client.progress.note.startswith("retrying after ServiceUnavailableException: ")


def test_a_snapshot_has_status_resources_and_times() -> None:
    sim = many(3)
    id_ = ended(sim)
    snapshot = sim.run(sim.client().snapshot(id_))
    assert (snapshot.status, snapshot.next_token, len(snapshot.resources)) == ("SUCCESS", None, 3)
    (execution,) = sim.world.executions(ARN)
    assert snapshot.started == execution.impacts[0].start
    assert snapshot.ended == execution.impacts[-1].end
    assert snapshot.at.replace(microsecond=0) == snapshot.at
    assert {each["status"] for each in snapshot.resources} == {"SUCCESS"}


def test_a_snapshot_without_resources_has_no_times() -> None:
    sim = Simulation()
    id_ = sim.person(DISABLE) or ""
    snapshot = sim.run(sim.client().snapshot(id_))
    assert (snapshot.status, snapshot.resources, snapshot.started, snapshot.ended) == ("PENDING", [], None, None)
    sim = Simulation(variants={"resource-times": "absent"})
    snapshot = sim.run(sim.client().snapshot(ended(sim)))
    assert (len(snapshot.resources), snapshot.started, snapshot.ended) == (2, None, None)


@pytest.mark.parametrize(("pages", "calls"), [("full", 1), ("short", 3)])
def test_resources_are_those_of_all_pages(pages: str, calls: int) -> None:
    sim = Simulation([{"arn": ARN, "amis": [{}] * 5}], variants={"pages": pages})
    id_ = ended(sim)
    client = sim.client()

    async def read() -> Any:
        return await client.resources(id_, await client.snapshot(id_))

    resources = sim.run(read())
    assert len({each["resource_id"] for each in resources}) == len(resources) == 5
    assert sim.counts["list_lifecycle_execution_resources"] >= calls


def test_five_thousand_resources_are_read_by_the_hundred() -> None:
    sim = many(1)
    id_ = ended(sim)
    asked: list[Any] = []

    def page(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        asked.append((parameters["maxResults"], parameters.get("nextToken")))
        number = int(parameters.get("nextToken", 0))
        more = {"nextToken": str(number + 1)} if number < 49 else {}
        found = [{"resourceId": f"ami-{number}-{each}", "state": {"status": "SUCCESS"}} for each in range(100)]
        return sim.answer(lifecycleExecutionState={"status": "SUCCESS"}, resources=found, **more)

    sim.overrides["list_lifecycle_execution_resources"] = page
    outcome = sim.run(sim.client().outcome("token", id_))
    assert (len(outcome.resources), outcome.truncated) == (5000, True)
    assert asked == [(100, None), *[(100, str(number)) for number in range(1, 50)]]


def test_the_record_entry_says_what_an_execution_does_to_the_image_itself() -> None:
    sim = Simulation(variants={"pages": "short"})
    id_ = ended(sim)
    entry = sim.run(sim.client().find_record_entry(id_))
    assert entry is not None
    assert (entry["resource_id"], entry["action"], entry["status"]) == (ARN, "DISABLE", "SUCCESS")
    assert sim.run(sim.client().find_action(id_)) == "DISABLE"
    sim.overrides["list_lifecycle_execution_resources"] = lambda parameters, ask: sim.answer(
        lifecycleExecutionState={"status": "SUCCESS"}, resources=[{"resourceId": "ami-1", "action": {"name": "DELETE"}}]
    )
    assert sim.run(sim.client().find_record_entry(id_)) is None
    assert sim.run(sim.client().find_action(id_)) is None


def test_the_duration_is_by_the_services_own_times() -> None:
    sim = Simulation()
    id_ = ended(sim)
    assert sim.run(sim.client().duration(id_)) == pytest.approx(9, abs=1.1)
    running = sim.person(to("AVAILABLE"), token="another") or ""
    sim.advance(seconds=3)
    assert sim.run(sim.client().duration(running)) == 0
    state = {"lifecycleExecutionId": id_, "state": {"status": "CANCELLED"}}
    sim.overrides["get_lifecycle_execution"] = lambda parameters, ask: sim.answer(lifecycleExecution=state)
    assert sim.run(sim.client().duration(id_)) == 0


def test_an_outcome_asks_for_the_execution_only_where_the_snapshot_does_not_say_enough() -> None:
    sim = Simulation()
    id_ = ended(sim)
    client = sim.client()
    outcome = sim.run(client.outcome("token", id_))
    assert "get_lifecycle_execution" not in sim.counts
    assert outcome.execution is not None
    assert (outcome.client_token, outcome.execution.status, outcome.image.state) == ("token", "SUCCESS", "DISABLED")
    assert outcome.execution.started is not None
    assert outcome.execution.ended is not None
    assert client.progress.text().startswith("SUCCESS 0s, 2 of 2 resources")
    given = Image("AVAILABLE")
    assert sim.run(client.outcome("token", id_, given)).image is given


@pytest.mark.parametrize("variants", [{"resource-times": "absent"}, {"pages": "short"}])
def test_an_outcome_has_the_executions_own_times_where_resources_have_none(variants: dict[str, str]) -> None:
    sim = Simulation(variants=variants)
    id_ = ended(sim)
    outcome = sim.run(sim.client().outcome("token", id_))
    assert sim.counts["get_lifecycle_execution"] == 1
    assert outcome.execution is not None
    assert outcome.execution.ended is not None
    assert len(outcome.resources) == 2


def test_the_outcome_of_an_unfinished_execution_has_its_start() -> None:
    sim = Simulation()
    id_ = sim.person(DISABLE) or ""
    sim.advance(seconds=6)
    outcome = sim.run(sim.client().outcome("token", id_))
    assert outcome.execution is not None
    assert (outcome.execution.status, outcome.execution.ended) == ("IN_PROGRESS", None)
    assert outcome.execution.started is not None


@pytest.mark.parametrize(("where", "calls"), [("execution", 1), ("image-record", 2)])
def test_the_reason_of_a_failure_is_found_wherever_the_service_has_it(where: str, calls: int) -> None:
    sim = Simulation(variants={"failure-reason": where})
    sim.fault(f"execution fail image={ARN} reason=Denied")
    id_ = ended(sim)
    outcome = sim.run(sim.client().outcome("token", id_))
    assert outcome.execution is not None
    assert (outcome.execution.status, outcome.execution.reason) == ("FAILED", "2 of 2 resources failed")
    assert sim.counts["list_lifecycle_execution_resources"] == calls
    assert outcome.execution.started is not None
    assert outcome.execution.ended is not None


def test_a_failure_without_any_reason_has_none() -> None:
    sim = Simulation(variants={"failure-reason": "image-record"})
    sim.fault(f"execution fail image={ARN} reason=Denied")
    id_ = ended(sim)

    def without_record(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        return ask() if "parentResourceId" in parameters else {**ask(), "resources": []}

    sim.overrides["list_lifecycle_execution_resources"] = without_record
    outcome = sim.run(sim.client().outcome("token", id_))
    assert outcome.execution is not None
    assert outcome.execution.reason is None


@pytest.mark.parametrize("rules", [None, {"amis": {"regions": ["eu-west-1"]}}])
def test_a_deleted_image_that_lists_do_not_contain_any_more_is_not_asked_for(rules: Any) -> None:
    """Only where nothing was left out, which would keep the record."""
    sim = Simulation(images(2))
    barrier = sim.host.context.barrier(fleet=True)
    client, neighbour = sim.client(barrier=barrier), sim.client(f"{STEM}/2", barrier)

    async def work() -> Image:
        with barrier.membership(), barrier.membership():
            await asyncio.gather(client.find_image(), neighbour.find_image())
            request = to("DELETED", **({"exclusionRules": rules} if rules else {}))
            id_ = await client.start(request, "token")
            await neighbour.start({"state": {"status": "DEPRECATED"}}, "another")
            await asyncio.sleep(15)
            outcome, _ = await asyncio.gather(client.outcome("token", id_ or ""), neighbour.find_image())
            return outcome.image

    assert sim.run(work()).state == ("AVAILABLE" if rules else "DELETED")
    assert "get_image" not in sim.counts
    assert sim.counts["list_image_build_versions"] == 2


def test_an_image_of_a_fleet_has_ended_while_its_state_is_read_and_not_if_that_fails() -> None:
    sim = Simulation()
    fleet = FleetProgress("changing", now=sim.loop.time)
    client = sim.client()
    client.progress.fleet = fleet
    seen: list[int] = []

    def look(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        seen.append(fleet.ended)
        if len(seen) == 3:
            raise refusal("ExpiredTokenException")
        return ask()

    sim.overrides["get_image"] = look
    sim.run(client.find_image())
    sim.run(client.start({"state": {"status": "DEPRECATED"}}, "token"))
    sim.run(client.find_image())
    assert (seen, fleet.ended) == ([0, 1], 0)
    with pytest.raises(CredentialsError):
        sim.run(client.find_image())
    assert (seen, fleet.ended) == ([0, 1, 1], 0)


def test_an_error_of_a_fleets_read_is_that_of_each_image() -> None:
    """One that the barrier raises, as where the configuration cannot be used."""
    sim = Simulation()
    fleet = FleetProgress("changing", now=sim.loop.time)
    client = sim.client()
    client.progress.fleet = fleet
    sim.run(client.find_image())
    sim.run(client.start({"state": {"status": "DEPRECATED"}}, "token"))

    async def read(*_: Any, **__: Any) -> Any:
        raise ServiceError("no", "Code")

    client._barrier.read = read  # type: ignore[method-assign]
    with pytest.raises(ServiceError):
        sim.run(client.find_image())
    assert fleet.ended == 0


@pytest.mark.parametrize("missing", ["startTime", "endTime"])
def test_an_execution_whose_resources_lack_either_time_is_asked_for(missing: str) -> None:
    sim = Simulation()
    id_ = ended(sim)

    def without(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        answer: dict[str, Any] = ask()
        resources = [{key: value for key, value in each.items() if key != missing} for each in answer["resources"]]
        return {**answer, "resources": resources}

    sim.overrides["list_lifecycle_execution_resources"] = without
    outcome = sim.run(sim.client().outcome("token", id_))
    assert sim.counts["get_lifecycle_execution"] == 1
    assert outcome.execution is not None
    assert None not in (outcome.execution.started, outcome.execution.ended)
