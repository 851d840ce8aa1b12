"""One run of tasks: its time limit, its row, and what its errors say."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest
from pulumi_imagebuilder.claims import Claims
from pulumi_imagebuilder.dynamic.loop import LoopThread
from pulumi_imagebuilder.errors import (
    Cancelled,
    ConfigurationError,
    CredentialsError,
    ExecutionFailed,
    FleetFailed,
    FleetRefused,
    ImageBuilderError,
    NotVerified,
    PermanentError,
    ServiceError,
    TemporaryError,
    TimedOut,
)
from pulumi_imagebuilder.host import DEFAULT_TIME_LIMIT, Call, Host, Run
from pulumi_imagebuilder.lifecycle.apply import apply
from pulumi_imagebuilder.lifecycle.change import Change
from pulumi_imagebuilder.lifecycle.client import ImageClient

from tests.provider.simulated import ARN, DISABLE, Row, Simulation, arns, images, named, refusal, to

Task = Callable[[ImageClient], Coroutine[Any, Any, Any]]


async def change(client: ImageClient) -> Any:
    return await apply(Change(client.arn, DISABLE), client)


def run(
    sim: Simulation,
    tasks: Mapping[str, Task],
    *,
    fleet: bool = False,
    limit: float | None = None,
    operation: str = "create",
    **more: Any,
) -> Run[Any]:
    call = Call(operation, "urn:pulumi:dev::project::type::web", limit)
    return sim.run(sim.host.run(call, tasks, verb="changing", target=" to DISABLED", fleet=fleet, **more))


def error_of(sim: Simulation, run: Run[Any], kind: type[ImageBuilderError]) -> str:
    assert type(run.error) is kind
    return named(sim, str(run.error))


def failing(error: ImageBuilderError, *, execution_id: str | None = None, status: str = "IN_PROGRESS") -> Task:
    async def task(client: ImageClient) -> None:
        client.progress.execution_id, client.progress.status = execution_id, status
        raise error

    return task


@pytest.fixture
def sim() -> Simulation:
    return Simulation(images(5))


def test_what_came_of_the_tasks(sim: Simulation) -> None:
    found = run(sim, {ARN: change})
    assert found.error is None
    assert found.results.done[ARN].image.state == "DISABLED"
    assert found.results.progress[ARN].action == f"changing image {ARN} to DISABLED"


def test_without_tasks_there_is_no_call(sim: Simulation) -> None:
    found = run(sim, {}, fleet=True)
    assert (found.error, found.results.done, sim.counts, sim.row.shown) == (None, {}, {}, [])


def test_progress_is_on_the_row_and_the_last_line_does_not_read_as_under_way(sim: Simulation) -> None:
    run(sim, {ARN: change})
    assert sim.row.shown == [
        "web: STARTING 1s",
        "web: IN_PROGRESS 2s, 0 of 2 resources",
        "web: IN_PROGRESS 3s, 0 of 2 resources",
        "web: IN_PROGRESS 5s, 1 of 2 resources",
        "web: IN_PROGRESS 8s, 2 of 2 resources",
        "web: SUCCESS 10s, 2 of 2 resources",
    ]


def test_a_fleet_shows_one_line_for_all(sim: Simulation) -> None:
    run(sim, dict.fromkeys(arns(5), change), fleet=True)
    assert sim.row.shown[0] == "web: 0 of 5 done, 5 in progress, 1s"
    assert sim.row.shown[-1] == "web: 5 of 5 done, 10s"


def test_what_is_done_at_once_shows_its_end_alone(sim: Simulation) -> None:
    async def immediate(client: ImageClient) -> Any:
        return await apply(Change(client.arn, {"state": {"status": "DEPRECATED"}}), client)

    run(sim, {ARN: immediate})
    assert sim.row.shown == ["web: DEPRECATED 0s"]
    sim.row.shown.clear()
    run(sim, {ARN: lambda client: client.find_image()})
    assert sim.row.shown == []


def test_the_time_limit_names_the_execution_that_continues(sim: Simulation) -> None:
    sim.fault(f"execution hang image={ARN}")
    found = run(sim, {ARN: change}, limit=30)
    assert error_of(sim, found, TimedOut) == (
        f"changing image {ARN} to DISABLED: the time limit of 30s ran out while lifecycle execution lce-1 was "
        "IN_PROGRESS; it continues, and the next `pulumi up` continues to wait for it; or give it longer with "
        "custom_timeouts"
    )
    assert sim.loop.time() == pytest.approx(30)
    sim.heal()
    sim.begin_run()
    assert run(sim, {ARN: change}).error is None
    assert len(sim.ids()) == 1


def test_the_default_time_limit_is_an_hour(sim: Simulation) -> None:
    sim.fault(f"execution hang image={ARN}")
    assert "the time limit of 1h00m ran out" in error_of(sim, run(sim, {ARN: change}), TimedOut)
    assert sim.loop.time() == pytest.approx(DEFAULT_TIME_LIMIT) == pytest.approx(3600)


def test_the_time_limit_while_another_execution_has_the_image_in_use(sim: Simulation) -> None:
    sim.person(to("DEPRECATED"))
    sim.fault(f"execution hang image={ARN}")
    found = run(sim, {ARN: change}, limit=30, operation="delete")
    assert error_of(sim, found, TimedOut) == (
        f"changing image {ARN} to DISABLED: the time limit of 30s ran out while waiting for lifecycle execution lce-1, "
        "which has the image in use; run the same command again once it has ended, or give it longer with "
        "custom_timeouts"
    )


def test_the_time_limit_of_a_fleet_counts_and_the_next_run_adopts(sim: Simulation) -> None:
    sim.fault(f"execution hang image={arns(2)[1]}", f"execution fail image={arns(3)[2]} reason=Denied")
    found = run(sim, dict.fromkeys(arns(5), change), limit=40, fleet=True)
    text = error_of(sim, found, TimedOut)
    assert text.startswith(
        "changing 5 images to DISABLED: the time limit of 40s ran out with 3 of 5 done, 1 failed, 1 in progress; image "
        f"{arns(3)[2]}: lifecycle execution lce-"
    )
    assert text.endswith(
        "; what is in progress continues, and the next `pulumi up` continues from here; or give it longer with "
        "custom_timeouts"
    )
    sim.heal()
    sim.advance(minutes=2)
    sim.begin_run()
    run(sim, dict.fromkeys(arns(5), change), fleet=True)
    assert [len(sim.ids(arn)) for arn in arns(5)] == [1, 1, 2, 1, 1]


def test_credentials_that_end_while_waiting_name_the_execution_and_the_next_run_continues(sim: Simulation) -> None:
    def expire(parameters: Any, ask: Any) -> Any:
        if sim.loop.time() > 5:
            raise refusal("ExpiredTokenException", "The security token included in the request is expired", 403)
        return ask()

    sim.overrides["list_lifecycle_execution_resources"] = expire
    found = run(sim, {ARN: change})
    assert error_of(sim, found, CredentialsError) == (
        f"changing image {ARN} to DISABLED: ExpiredTokenException: The security token included in the request is "
        "expired; lifecycle execution lce-1 was IN_PROGRESS and continues; renew the credentials that the stack uses "
        "and run `pulumi up` again, which continues to wait"
    )
    sim.overrides.clear()
    sim.begin_run()
    assert run(sim, {ARN: change}).error is None
    assert len(sim.ids()) == 1


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId", "UnrecognizedClientException"])
def test_credentials_that_end_before_anything_was_started_are_just_that(sim: Simulation, code: str) -> None:
    """STS has codes of its own."""

    def expire(parameters: Any, ask: Any) -> Any:
        raise refusal(code, "expired", 403)

    sim.overrides["get_image"] = expire
    text = error_of(sim, run(sim, {ARN: change}), CredentialsError)
    assert text.startswith(
        f"changing image {ARN} to DISABLED: {code}: expired; check the AWS credentials that the stack uses, and run "
        "again with valid ones"
    )
    assert "continues" not in text


def test_another_error_while_an_execution_is_under_way_says_that_it_continues(sim: Simulation) -> None:
    error = ServiceError("ForbiddenException: no", "ForbiddenException", action="changing", next_step="allow it")
    found = run(sim, {ARN: failing(error, execution_id="lce-9")})
    assert error_of(sim, found, ServiceError) == (
        "changing: ForbiddenException: no; lifecycle execution lce-9 was IN_PROGRESS and continues; allow it"
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ExecutionFailed("failed", action="changing"), "IN_PROGRESS"),
        (NotVerified("failed", action="changing"), "IN_PROGRESS"),
        (TimedOut("failed", action="changing"), "IN_PROGRESS"),
        (ServiceError("failed", "Code", action="changing"), "SUCCESS"),
    ],
)
def test_nothing_continues_that_has_ended_or_is_named_anyway(
    sim: Simulation, error: ImageBuilderError, status: str
) -> None:
    found = run(sim, {ARN: failing(error, execution_id="lce-9", status=status)})
    assert str(found.error) == "changing: failed"


def test_a_fleet_that_fails_says_why_equal_reasons_once(sim: Simulation) -> None:
    for arn in arns(3)[1:]:
        sim.fault(f"execution fail image={arn} reason=Denied")
    found = run(sim, dict.fromkeys(arns(5), change), fleet=True)
    assert error_of(sim, found, FleetFailed) == (
        "changing 5 images to DISABLED: 3 of 5 done, 2 failed; 2 images: lifecycle execution lce-… ended as FAILED: 2 "
        "of 2 resources failed; failed: ami-… (us-east-1): Denied; ami-… (eu-west-1): Denied: web/1.0.0/2, web/1.0.0/3 "
        "(arn:aws:imagebuilder:us-east-1:123456789012:image/…); fix the cause and run `pulumi up` again, which touches "
        "only what is not done"
    )
    assert set(found.results.failed) == set(arns(3)[1:])
    assert set(found.results.done) == {arns(1)[0], *arns(5)[3:]}


def test_a_fleet_of_one_is_an_image(sim: Simulation) -> None:
    found = run(sim, {ARN: failing(ServiceError("no", "Code"))}, fleet=True)
    assert str(found.error) == (
        f"changing 1 image to DISABLED: 0 of 1 done, 1 failed; image {ARN}: no; fix the cause and run `pulumi up` "
        "again, which touches only what is not done"
    )


@pytest.mark.parametrize(
    ("other", "kind"), [(ServiceError("b", "Code"), FleetRefused), (TemporaryError("b"), FleetFailed)]
)
def test_only_permanent_errors_of_all_make_a_fleet_refused(
    sim: Simulation, other: ImageBuilderError, kind: type[ImageBuilderError]
) -> None:
    tasks = {arns(2)[0]: failing(ServiceError("a", "Code")), arns(2)[1]: failing(other)}
    assert type(run(sim, tasks, fleet=True).error) is kind


@pytest.mark.parametrize("fleet", [True, False])
def test_errors_without_a_reason_do_not_name_the_image_twice(sim: Simulation, fleet: bool) -> None:
    tasks = dict.fromkeys(arns(2), failing(ImageBuilderError("no reason", action=f"changing image {ARN}")))
    text = str(run(sim, tasks, fleet=fleet).error)
    assert "the image the image" not in text
    assert text.count("changing") == 1


def test_a_configuration_that_cannot_be_used_is_said_once() -> None:
    def connect() -> Any:
        raise ConfigurationError("aws:profile: no such profile")

    sim = Simulation()
    sim.host = Host(connect, Row(), now=sim.loop.time, claims=Claims())  # type: ignore[arg-type]
    for fleet, what in ((False, f"image {ARN}"), (True, "2 images")):
        found = run(sim, dict.fromkeys(arns(2) if fleet else [ARN], change), fleet=fleet)
        assert str(found.error) == f"changing {what} to DISABLED: aws:profile: no such profile"


def test_a_bug_is_raised_as_it_is(sim: Simulation) -> None:
    async def bug(client: ImageClient) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        run(sim, {ARN: bug})


def test_a_cancelled_run_ends_at_once_and_its_execution_continues(sim: Simulation) -> None:
    sim.loop.call_later(5, sim.host.cancel)
    found = run(sim, {ARN: change})
    assert error_of(sim, found, Cancelled) == (
        f"changing image {ARN} to DISABLED: the run was cancelled while lifecycle execution lce-1 was IN_PROGRESS; it "
        "continues, and the next `pulumi up` continues to wait for it"
    )
    assert sim.loop.time() == pytest.approx(5)
    found = run(sim, {arns(2)[1]: change})
    assert error_of(sim, found, Cancelled) == (
        f"changing image {arns(2)[1]} to DISABLED: the run was cancelled; the next `pulumi up` continues from here"
    )
    assert sim.ids(arns(2)[1]) == []
    sim.begin_run()
    assert run(sim, {ARN: change}).error is None
    assert len(sim.ids()) == 1


def test_a_cancelled_look_up_ends_at_once(sim: Simulation) -> None:
    """So does one that begins later; a time-out of the work itself is not a cancellation."""

    async def time_out() -> None:
        raise TimeoutError("of the work")

    assert sim.run(sim.host.look_up("listing", asyncio.sleep(1, "found"))) == "found"
    with pytest.raises(TimeoutError, match="of the work"):
        sim.run(sim.host.look_up("listing", time_out()))
    sim.loop.call_later(5, sim.host.cancel)
    for _ in range(2):
        with pytest.raises(Cancelled) as caught:
            sim.run(sim.host.look_up("listing", asyncio.sleep(300)))
        assert str(caught.value) == "listing: the run was cancelled; run the same command again"
    assert sim.loop.time() == pytest.approx(6)


def test_a_cancelled_fleet_counts(sim: Simulation) -> None:
    sim.loop.call_later(5, sim.host.cancel)
    found = run(sim, dict.fromkeys(arns(5), change), fleet=True)
    assert error_of(sim, found, Cancelled) == (
        "changing 5 images to DISABLED: the run was cancelled with 0 of 5 done, 5 in progress; what is in progress "
        "continues, and the next `pulumi up` continues from here"
    )


def test_a_session_is_made_at_the_first_call() -> None:
    made: list[int] = []

    def connect() -> Any:
        made.append(1)
        return Simulation().service

    host = Host(connect, Row(), claims=Claims())  # type: ignore[arg-type]
    assert made == []
    assert host.context is host.context
    assert made == [1]


def test_a_call_knows_the_resources_name() -> None:
    assert Call("create", "urn:pulumi:dev::project::type::web").name == "web"
    assert Call("create").name == ""


def test_a_loop_in_a_thread_runs_work_of_several_threads() -> None:
    loop = LoopThread()

    async def where() -> str:
        await asyncio.sleep(0)
        return threading.current_thread().name

    async def fail() -> None:
        raise ServiceError("no", "Code")

    assert loop.run(where()) == "event-loop"
    with pytest.raises(ServiceError):
        loop.run(fail())
    (thread,) = (each for each in threading.enumerate() if each.name == "event-loop")
    loop._loop.call_soon_threadsafe(loop._loop.stop)
    thread.join(10)
    loop._loop.close()


def test_cancelling_after_a_run_ended_is_no_error(sim: Simulation) -> None:
    run(sim, {ARN: change})
    sim.host.cancel()


def test_a_host_has_the_claims_of_its_engines_run() -> None:
    row = Row()
    row.address = None  # type: ignore[attr-defined]
    host = Host(lambda: Simulation().service, row)  # type: ignore[arg-type]
    host.claims.declare("urn", [ARN])
    assert asyncio.run(host.claims.unclaimed(arns(2))) == arns(2)[1:]


def test_nothing_is_shown_once_a_run_has_ended(sim: Simulation) -> None:
    async def work() -> None:
        call = Call("create", "urn:pulumi:dev::project::type::web")
        await sim.host.run(call, {ARN: change}, verb="changing", fleet=False)
        sim.row.shown.clear()
        await asyncio.sleep(100)

    sim.run(work())
    assert sim.row.shown == []


def test_a_fleet_that_is_refused_before_any_call_says_what_to_do(sim: Simulation) -> None:
    """Where it is the same for all; else only how to run again."""
    refused = [failing(PermanentError("too many", next_step=f"raise it to {number}")) for number in (1, 2)]
    same = run(sim, dict.fromkeys(arns(2), refused[0]), fleet=True)
    assert str(same.error).endswith("; raise it to 1; the next run touches only what is not done")
    different = run(sim, dict(zip(arns(2), refused, strict=True)), fleet=True)
    again = "; fix the cause and run `pulumi up` again, which touches only what is not done"
    assert str(different.error).endswith(again)
    service = failing(ServiceError("no", "Code", next_step="allow it"))
    assert str(run(sim, dict.fromkeys(arns(2), service), fleet=True).error).endswith(again)
