"""The life of a state update against a service in memory that keeps tokens, executions and images as API.md says."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.session import get_session
from pulumi_imagebuilder import aws, lifecycle
from pulumi_imagebuilder.errors import ExecutionFailed, ImageNotFound, NotCarriedOut, ServiceRefused, TimedOut
from pulumi_imagebuilder.lifecycle import statuses
from pulumi_imagebuilder.lifecycle.rhythm import poll_delay

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
DEPRECATE = {
    "state": {"status": "DEPRECATED"},
    "executionRole": "ImageLifecycle",
    "includeResources": {"amis": True},
}
LONG_AGO, FAR_AHEAD = datetime(2020, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)


class ServiceInMemory(aws.Service):
    """Image Builder for one image; an execution ends after ``polls`` looks at it and touches ``amis`` AMIs."""

    def __init__(self, state: str = "AVAILABLE", polls: int = 3, ends_as: str = "SUCCESS", amis: int = 1) -> None:
        super().__init__()
        self.amis = amis
        self.immediate_changes_show = True
        self.image: dict[str, Any] | None = {"state": {"status": state}, "type": "AMI"}
        self.polls, self.ends_as = polls, ends_as
        self.executions: dict[str, dict[str, Any]] = {}
        self.numbers = itertools.count(1)
        self.tokens: dict[str, tuple[dict[str, Any], str | None]] = {}
        self.calls: list[str] = []
        self.lose_answers_to: set[str] = set()

    async def call(self, region: str, operation: str, *, asked: str, on_retry: Any = None, **parameters: Any) -> Any:
        assert region == "us-east-1"
        self.calls.append(operation)
        answer = getattr(self, operation)(asked, parameters)
        if operation in self.lose_answers_to:
            self.lose_answers_to.remove(operation)
            raise ConnectionAbortedError(operation)
        await asyncio.sleep(0)
        return answer

    def start_resource_state_update(self, asked: str, parameters: dict[str, Any]) -> dict[str, Any]:
        token = parameters.pop("clientToken")
        if token in self.tokens:
            known, answer = self.tokens[token]
            if known != parameters:
                raise ServiceRefused(f"{asked}: mismatch", "IdempotentParameterMismatchException")
            return {"lifecycleExecutionId": answer} if answer else {}
        if self.image is None:
            raise ImageNotFound(f"{asked}: no such image", "ResourceNotFoundException")
        if parameters.get("updateAt", FAR_AHEAD) <= datetime.now(UTC):
            raise ServiceRefused(f"{asked}: updateAt must be in the future", "InvalidRequestException")
        if any(execution["state"]["status"] == "PENDING" for execution in self.executions.values()):
            raise ServiceRefused(f"{asked}: in use", "ResourceInUseException")
        target = parameters["state"]["status"]
        if "includeResources" not in parameters:
            if self.immediate_changes_show:
                self.image["state"]["status"] = target
            self.tokens[token] = (parameters, None)
            return {}
        number = next(self.numbers)
        new = f"lce-{number}"
        self.executions[new] = {
            "lifecycleExecutionId": new,
            "state": {"status": "PENDING"},
            "left": self.polls,
            "target": target,
            "startTime": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number - 1),
        }
        self.tokens[token] = (parameters, new)
        return {"lifecycleExecutionId": new}

    def list_lifecycle_execution_resources(self, asked: str, parameters: dict[str, Any]) -> dict[str, Any]:
        execution = self.executions[parameters["lifecycleExecutionId"]]
        action = {"name": statuses.ACTION[execution["target"]]}
        if "parentResourceId" not in parameters:
            record = {"resourceId": ARN, "action": action, "state": {"status": "IN_PROGRESS"}}
            return {"lifecycleExecutionState": execution["state"], "resources": [record]}
        if execution["state"]["status"] == "PENDING":
            execution["left"] -= 1
            if execution["left"] <= 0:
                self.end(execution, self.ends_as)
        # The last of all resources is the one that fails.
        fails = self.amis if execution["state"]["status"] == "FAILED" else 0
        resources = [
            {
                "accountId": "123456789012",
                "resourceId": f"ami-{number}",
                "region": "us-east-1",
                "action": action,
                "state": {"status": "FAILED" if number == fails else "SUCCESS", "reason": "no access"},
                "snapshots": [{"snapshotId": f"snap-{number:017}", "state": {"status": "SUCCESS"}}],
            }
            for number in range(1, self.amis + 1)
        ]
        start, most = int(parameters.get("nextToken", 0)), parameters["maxResults"]
        answer = {"lifecycleExecutionState": execution["state"], "resources": resources[start : start + most]}
        return {**answer, "nextToken": str(start + most)} if start + most < self.amis else answer

    def end(self, execution: dict[str, Any], status: str) -> None:
        execution["state"] = {"status": status, "reason": "told by the service"}
        if status == "SUCCESS" and self.image:
            self.image["state"]["status"] = execution["target"]
            self.image["lifecycleExecutionId"] = execution["lifecycleExecutionId"]
            if execution["target"] == "DELETED":
                self.image = None

    def list_lifecycle_executions(self, asked: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"lifecycleExecutions": list(self.executions.values())}

    def get_lifecycle_execution(self, asked: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"lifecycleExecution": self.executions[parameters["lifecycleExecutionId"]]}

    def cancel_lifecycle_execution(self, asked: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self.end(self.executions[parameters["lifecycleExecutionId"]], "CANCELLED")
        return {}

    def get_image(self, asked: str, parameters: dict[str, Any]) -> dict[str, Any]:
        if self.image is None:
            raise ImageNotFound(f"{asked}: no such image", "ResourceNotFoundException")
        return {"image": self.image}


@pytest.fixture(autouse=True)
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nothing sleeps for real; what would have been slept is listed."""
    slept: list[float] = []
    real = asyncio.sleep

    async def sleep(delay: float) -> None:
        slept.append(delay)
        await real(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return slept


def run(
    service: ServiceInMemory, work: Callable[[lifecycle.ImageClient], Coroutine[Any, Any, Any]], limit: float = 120
) -> Any:
    progress = lifecycle.Progress("changing the image")
    client = lifecycle.ImageClient(service, ARN, progress)
    return asyncio.run(lifecycle.within(limit, work(client), progress))


def apply(service: ServiceInMemory, request: dict[str, Any] | None = None, **options: Any) -> lifecycle.Outcome:
    change = lifecycle.Change(ARN, DEPRECATE if request is None else request, **options)
    outcome: lifecycle.Outcome = run(service, lambda client: lifecycle.apply(change, client))
    return outcome


def test_a_change_is_started_once_and_awaited() -> None:
    """One start, polls, and three other calls; the outputs tell how it went."""
    service = ServiceInMemory()
    outputs = apply(service).outputs()
    assert (outputs["lifecycle_execution_id"], outputs["status"]) == ("lce-1", "SUCCESS")
    assert outputs["image_state"] == "DEPRECATED"
    assert [resource["resource_id"] for resource in outputs["resources"]] == ["ami-1"]
    others = [call for call in service.calls if call != "list_lifecycle_execution_resources"]
    assert sorted(others) == [
        "get_image",
        "get_lifecycle_execution",
        "list_lifecycle_executions",
        "start_resource_state_update",
    ]


def test_an_immediate_change_has_no_execution() -> None:
    """Without underlying resources the image changes at once, and that is no error."""
    outputs = apply(ServiceInMemory(), {"state": {"status": "DEPRECATED"}}).outputs()
    assert outputs["lifecycle_execution_id"] is None
    assert outputs["status"] is None
    assert outputs["image_state"] == "DEPRECATED"


def test_a_lost_answer_is_found_again() -> None:
    """A run that died between the call and its answer is followed by one that adopts the execution."""
    service = ServiceInMemory()
    service.lose_answers_to = {"start_resource_state_update"}
    with pytest.raises(ConnectionAbortedError):
        apply(service)
    assert apply(service).outputs()["lifecycle_execution_id"] == "lce-1"
    assert len(service.executions) == 1


def test_an_ended_execution_is_taken_over() -> None:
    """The same declaration without a record (destroyed with retain) adopts what still stands."""
    service = ServiceInMemory()
    first = apply(service)
    assert apply(service) == first
    assert len(service.executions) == 1


def test_an_image_moved_elsewhere_is_changed_again() -> None:
    """A replayed success that the image no longer shows is not believed: the next token starts a new execution."""
    service = ServiceInMemory()
    apply(service)
    assert service.image is not None
    service.image["state"]["status"] = "AVAILABLE"
    assert apply(service).outputs()["lifecycle_execution_id"] == "lce-2"


def test_a_failed_execution_is_followed_by_a_new_one() -> None:
    """A failure is one line with id, reason and resources; running again starts one more, and only one."""
    service = ServiceInMemory(ends_as="FAILED")
    with pytest.raises(ExecutionFailed) as failure:
        apply(service)
    assert str(failure.value) == (
        "changing the image: lifecycle execution lce-1 ended as FAILED: told by the service; "
        "failed: ami-1 (us-east-1): no access; "
        "mend the cause and run `pulumi up` again, which starts a new one"
    )
    assert len(service.executions) == 1
    service.ends_as = "SUCCESS"
    assert apply(service).outputs()["lifecycle_execution_id"] == "lce-2"


def test_an_execution_that_failed_before_it_came_to_any_resource() -> None:
    """Its own reason is all there is to tell."""
    service = ServiceInMemory(ends_as="FAILED", amis=0)
    with pytest.raises(ExecutionFailed) as failure:
        apply(service)
    assert str(failure.value) == (
        "changing the image: lifecycle execution lce-1 ended as FAILED: told by the service; "
        "mend the cause and run `pulumi up` again, which starts a new one"
    )


def test_coming_back_to_an_earlier_declaration_happens_again() -> None:
    """DEPRECATED, AVAILABLE and DEPRECATED again are three changes."""
    service = ServiceInMemory()
    token = None
    for state in ("DEPRECATED", "AVAILABLE", "DEPRECATED"):
        token = apply(service, {**DEPRECATE, "state": {"status": state}}, follows=token).client_token
    assert len(service.executions) == 3


def test_the_same_declaration_adopts_what_stands_without_its_record() -> None:
    """Also where it was reached by a change of an earlier declaration, whose token went with the record."""
    service = ServiceInMemory()
    first = apply(service, {**DEPRECATE, "state": {"status": "DISABLED"}}).client_token
    apply(service, follows=first, superseded="lce-1")
    assert apply(service).outputs()["lifecycle_execution_id"] == "lce-2"
    assert len(service.executions) == 2


@pytest.mark.parametrize(
    "otherwise",
    [
        pytest.param({"exclusionRules": {"amis": {"regions": ["us-west-2"]}}}, id="other AMIs"),
        pytest.param({"state": {"status": "DISABLED"}}, id="another state"),
        pytest.param({"updateAt": FAR_AHEAD}, id="another time"),
    ],
)
def test_another_declaration_adopts_nothing(otherwise: dict[str, Any]) -> None:
    """What stands has to be the whole of what is declared, as far as the service tells it."""
    service = ServiceInMemory()
    apply(service)
    apply(service, {**DEPRECATE, **otherwise})
    assert len(service.executions) == 2


def test_an_image_moved_elsewhere_and_back_is_changed_again() -> None:
    """The image shows the declared state, but its AMIs were restored by an execution since, and not changed again."""
    service = ServiceInMemory()
    apply(service)
    restore = {**DEPRECATE, "state": {"status": "AVAILABLE"}}
    apply(service, restore, client_token="a stranger's")
    apply(service, {"state": {"status": "DEPRECATED"}}, client_token="another stranger's")
    assert apply(service).outputs()["lifecycle_execution_id"] == "lce-3"


def test_an_immediate_change_that_never_shows_is_given_up() -> None:
    """Not asked for again and again until the time limit: whatever keeps the image as it is, is another's."""
    service = ServiceInMemory()
    service.immediate_changes_show = False
    with pytest.raises(NotCarriedOut) as failure:
        apply(service, {"state": {"status": "DEPRECATED"}})
    assert str(failure.value) == (
        "changing the image: the service answers that it was done, but the image does not show it; "
        "look at what else changes this image, then run `pulumi up` again"
    )


def test_another_role_adopts_what_was_started_with_the_first() -> None:
    """A change of role is no other change: after a kill, the execution started before is taken over."""
    service = ServiceInMemory()
    apply(service, wait=False)
    outcome = apply(service, {**DEPRECATE, "executionRole": "Another"})
    assert outcome.outputs()["lifecycle_execution_id"] == "lce-1"
    assert len(service.executions) == 1


@pytest.mark.parametrize("state", ["AVAILABLE", "DISABLED"])
def test_another_role_adopts_no_strangers_execution(state: str) -> None:
    """After a kill and a change of role, what somebody else did since is not taken for this change."""
    service = ServiceInMemory(polls=1)
    apply(service)
    apply(service, {**DEPRECATE, "state": {"status": state}}, client_token="a stranger's", wait=False)
    outcome = apply(service, {**DEPRECATE, "executionRole": "Another"})
    assert outcome.outputs()["lifecycle_execution_id"] == "lce-3"
    assert outcome.image.state == "DEPRECATED"
    assert [each["target"] for each in service.executions.values()] == ["DEPRECATED", state, "DEPRECATED"]


def test_an_image_in_use_is_waited_for() -> None:
    """Another's execution is waited out, then the change is started."""
    service = ServiceInMemory()
    apply(service, {**DEPRECATE, "state": {"status": "DISABLED"}}, wait=False)
    assert apply(service).outputs()["lifecycle_execution_id"] == "lce-2"
    assert service.executions["lce-1"]["state"]["status"] == "SUCCESS"


def test_an_image_in_use_by_nothing_that_is_listed(no_sleep: list[float]) -> None:
    """A listing may lag behind: asked again, at intervals that grow as those of polls do."""
    service, start, refusals = ServiceInMemory(), ServiceInMemory.start_resource_state_update, iter(range(20))

    def refuse(asked: str, parameters: dict[str, Any]) -> dict[str, Any]:
        if next(refusals, None) is not None:
            raise ServiceRefused(f"{asked}: in use", "ResourceInUseException")
        return start(service, asked, parameters)

    service.start_resource_state_update = refuse  # type: ignore[method-assign]
    assert apply(service).image.state == "DEPRECATED"
    waits = [delay for delay in no_sleep if delay > 0][:20]
    assert waits[0] < 1 < waits[-1]
    assert waits == sorted(waits)


def test_a_stranger_that_does_not_end_is_named() -> None:
    """When time runs out while another execution has the image in use, the message says which."""
    service = ServiceInMemory(polls=1_000_000_000)
    apply(service, {**DEPRECATE, "state": {"status": "DISABLED"}}, wait=False)
    with pytest.raises(TimedOut) as failure:
        run(service, lambda client: lifecycle.apply(lifecycle.Change(ARN, DEPRECATE), client), limit=0.2)
    assert str(failure.value) == (
        "changing the image: the time limit of 0s ran out while waiting for lifecycle execution lce-1, which has the "
        "image in use: run `pulumi up` again once it has ended, or give it longer with custom_timeouts"
    )


def test_a_schedule_without_times_is_followed_by_one_execution() -> None:
    """One that was cancelled before its time tells no start: what a killed run started after it is still found."""
    service = ServiceInMemory(polls=1)
    scheduled = apply(service, {**DEPRECATE, "updateAt": FAR_AHEAD})
    del service.executions["lce-1"]["startTime"]
    changed = {**DEPRECATE, "state": {"status": "DISABLED"}}
    after = {"follows": scheduled.client_token, "superseded": "lce-1", "own_schedule": "lce-1"}
    assert apply(service, changed, **after).outputs()["lifecycle_execution_id"] == "lce-2"
    assert apply(service, changed, **after).outputs()["lifecycle_execution_id"] == "lce-2"


def test_its_own_schedule_is_cancelled_first() -> None:
    """A changed declaration cancels the resource's own scheduled change."""
    service = ServiceInMemory()
    scheduled = apply(service, {**DEPRECATE, "updateAt": FAR_AHEAD})
    assert scheduled.outputs()["status"] == "PENDING"
    service.polls = 1
    apply(service, follows=scheduled.client_token, superseded="lce-1", own_schedule="lce-1")
    assert service.executions["lce-1"]["state"]["status"] == "CANCELLED"
    assert service.executions["lce-2"]["state"]["status"] == "SUCCESS"


def test_its_own_schedule_is_cancelled_where_it_is_not_in_the_way() -> None:
    """Else a service that lets another change start beside it would still carry out the schedule one day."""
    service = ServiceInMemory()
    apply(service, {**DEPRECATE, "updateAt": FAR_AHEAD})
    apply(service, {"state": {"status": "DISABLED"}}, superseded="lce-1", own_schedule="lce-1")
    start, cancel = (service.calls.index(f"{name}") for name in ("start_resource_state_update", "get_image"))
    assert start < cancel
    assert service.executions["lce-1"]["state"]["status"] == "CANCELLED"
    assert service.calls.count("start_resource_state_update") == 2


def test_a_schedule_that_has_passed_is_carried_out_at_once() -> None:
    """The service takes no time in the past; one that it took before is adopted all the same."""
    service = ServiceInMemory()
    scheduled = {**DEPRECATE, "updateAt": LONG_AGO}
    outcome = apply(service, scheduled)
    assert (outcome.outputs()["lifecycle_execution_id"], outcome.image.state) == ("lce-1", "DEPRECATED")
    assert apply(service, scheduled).execution == outcome.execution
    assert len(service.executions) == 1


def test_a_schedule_that_came_true_is_not_scheduled_again() -> None:
    """Whatever this machine's clock says: the record knows that it came true."""
    service = ServiceInMemory()

    def refuse(asked: str, parameters: dict[str, Any]) -> dict[str, Any]:
        if "updateAt" in parameters:
            raise ServiceRefused(f"{asked}: updateAt must be in the future", "InvalidRequestException")
        return start(asked, parameters)

    start = service.start_resource_state_update
    service.start_resource_state_update = refuse  # type: ignore[method-assign]
    scheduled = {**DEPRECATE, "updateAt": FAR_AHEAD}
    assert apply(service, scheduled, came_true=True).image.state == "DEPRECATED"
    with pytest.raises(ServiceRefused, match="updateAt must be in the future"):
        apply(service, {**scheduled, "updateAt": FAR_AHEAD + timedelta(days=1)})


def test_thousands_of_resources() -> None:
    """One that ended well is read for one page; one that failed, for its failures. The record stays small."""
    service = ServiceInMemory(polls=1, amis=5_000)
    outcome = apply(service)
    assert service.calls.count("list_lifecycle_execution_resources") == 1
    assert outcome.cut
    kept = lifecycle.record(outcome)
    assert len(kept["resources"]) == 100
    assert len(json.dumps(kept)) < 32 * 1024
    assert lifecycle.how_to_read_all(ARN, outcome) == (
        "the output `resources` holds only 100 of the resources; all are listed by: "
        "aws imagebuilder list-lifecycle-execution-resources --region us-east-1 "
        f"--lifecycle-execution-id lce-1 --parent-resource-id {ARN}"
    )

    service = ServiceInMemory(polls=1, amis=5_000, ends_as="FAILED")
    with pytest.raises(ExecutionFailed, match=r"failed: ami-5000 \(us-east-1\): no access; mend the cause"):
        apply(service)
    assert service.calls.count("list_lifecycle_execution_resources") == 50
    failed = lifecycle.records.kept_resources(run(service, lambda client: all_resources(client, "lce-1")))
    assert len(failed) == 100
    assert failed[0]["resource_id"] == "ami-5000"


async def all_resources(client: lifecycle.ImageClient, execution_id: str) -> list[dict[str, Any]]:
    return await client.resources(execution_id, await client.look(execution_id))


def test_a_missing_image_is_an_error() -> None:
    """Only the service's own not-found counts, and it is passed on."""
    service = ServiceInMemory()
    service.image = None
    with pytest.raises(ImageNotFound, match="changing the image: no such image"):
        apply(service)


def test_cleaning_up_an_image_that_is_gone_is_success() -> None:
    """Nothing is started for an image that is gone already; one that is there is deleted with what is under it."""
    service = ServiceInMemory()
    role = {"executionRole": "ImageLifecycle"}
    run(service, lambda client: lifecycle.clean_up(role, client))
    assert service.image is None
    again = run(service, lambda client: lifecycle.clean_up(role, client))
    assert (again.execution.id, again.image) == ("lce-1", lifecycle.records.GONE)
    assert len(service.executions) == 1


def test_the_time_limit_names_the_execution() -> None:
    """When time runs out the message names the execution, says that it goes on, and what the next run does."""
    service = ServiceInMemory(polls=1_000_000_000)
    change = lifecycle.Change(ARN, DEPRECATE)
    with pytest.raises(TimedOut) as failure:
        run(service, lambda client: lifecycle.apply(change, client), limit=0.2)
    assert str(failure.value) == (
        "changing the image: the time limit of 0s ran out while lifecycle execution lce-1 was PENDING: it goes on, "
        "and the next `pulumi up` goes on waiting for it; or give it longer with custom_timeouts"
    )


def test_refresh_tells_drift_from_what_was_declared() -> None:
    """An image moved elsewhere is drift; one that has vanished is gone; one as declared is neither."""
    service = ServiceInMemory()
    kept = lifecycle.record(apply(service))
    refreshed = run(service, lambda client: lifecycle.refresh(kept, "DEPRECATED", client))
    assert refreshed == kept
    assert service.image is not None
    service.image["state"]["status"] = "AVAILABLE"
    moved = run(service, lambda client: lifecycle.refresh(kept, "DEPRECATED", client))
    assert moved["__drift"] == "the image is AVAILABLE, declared is DEPRECATED"
    service.image = None
    assert run(service, lambda client: lifecycle.refresh(kept, "DEPRECATED", client)) is None


def test_a_success_that_was_undone_before_it_was_seen_is_drift() -> None:
    """Without waiting, the record holds the state before; that is no longer left behind once it ended well."""
    service = ServiceInMemory(polls=2)
    kept = lifecycle.record(apply(service, wait=False))
    assert (kept["status"], kept["__left"]) == ("PENDING", "AVAILABLE")
    apply(service, {**DEPRECATE, "state": {"status": "AVAILABLE"}}, client_token="a stranger's")
    refreshed = run(service, lambda client: lifecycle.refresh(kept, "DEPRECATED", client))
    assert refreshed["status"] == "SUCCESS"
    assert refreshed["__drift"] == "the image is AVAILABLE, declared is DEPRECATED"


def test_an_execution_that_the_service_has_forgotten() -> None:
    """Its record stays as it is, and there is nothing left to cancel."""
    service = ServiceInMemory()
    kept = lifecycle.record(apply(service, wait=False))

    def forget(asked: str, parameters: dict[str, Any]) -> dict[str, Any]:
        raise ImageNotFound(f"{asked}: no such execution", "ResourceNotFoundException")

    service.get_lifecycle_execution = forget  # type: ignore[method-assign]
    service.list_lifecycle_execution_resources = forget  # type: ignore[method-assign]
    assert run(service, lambda client: lifecycle.refresh(kept, "DEPRECATED", client)) == kept
    assert run(service, lambda client: lifecycle.cancel(kept, client)) is None


def test_progress_does_not_flood_a_log() -> None:
    """A line where something is new, and at growing intervals of a minute at most."""
    now = 0.0
    progress = lifecycle.Progress("changing the image", now=lambda: now)
    progress.saw("IN_PROGRESS", [{"status": "SUCCESS"}, {"status": "IN_PROGRESS"}], more=False)
    told = []
    for second in range(3600):
        now = float(second)
        if second == 1800:
            progress.saw("IN_PROGRESS", [{"status": "SUCCESS"}] * 2, more=False)
        told += [line] if (line := progress.news()) else []
    assert told[:5] == [f"IN_PROGRESS {second}s, 1 of 2 resources" for second in (0, 1, 2, 3, 5)]
    assert "IN_PROGRESS 30m00s, 2 of 2 resources" in told
    assert len(told) < 80


@pytest.mark.parametrize("elapsed", [0, 1, 9, 10, 60, 299])
def test_an_end_is_noticed_in_time(elapsed: float) -> None:
    """Polls are at most max(1 s, 10 %) apart."""
    assert 0 < poll_delay(elapsed) <= max(1, 0.1 * elapsed)


def test_the_statuses_are_the_models() -> None:
    """Together the sets are the model's whole enumerations."""
    model = get_session().get_service_model("imagebuilder")
    assert set(model.shape_for("LifecycleExecutionStatus").enum) == (
        statuses.EXECUTION_UNFINISHED | statuses.EXECUTION_SUCCEEDED | statuses.EXECUTION_ENDED_BADLY
    )
    assert set(model.shape_for("ResourceStatus").enum) >= set(statuses.ACTION)
    assert set(model.shape_for("LifecycleExecutionResourceActionName").enum) == set(statuses.ACTION.values())
    assert set(model.shape_for("LifecycleExecutionResourceStatus").enum) == (
        statuses.RESOURCE_UNFINISHED | statuses.RESOURCE_DONE
    )
    assert set(model.shape_for("ImageStatus").enum) == (
        statuses.IMAGE_SETTLED | statuses.IMAGE_UNSETTLED | {statuses.IMAGE_GONE}
    )


def test_a_strangers_execution_that_did_the_same_is_adopted() -> None:
    """It had the image in use, and once it has ended there is nothing left to do."""
    service = ServiceInMemory()
    apply(service, client_token="a stranger's", wait=False)
    outcome = apply(service)
    assert (outcome.outputs()["lifecycle_execution_id"], outcome.outputs()["status"]) == ("lce-1", "SUCCESS")
    assert len(service.executions) == 1


def test_what_a_stranger_did_once_more_has_undone_nothing() -> None:
    """The execution of one's own token answers, though another one has done the same since."""
    service = ServiceInMemory()
    apply(service, client_token="mine")
    apply(service, client_token="a stranger's")
    assert apply(service, client_token="mine").outputs()["lifecycle_execution_id"] == "lce-1"
    assert len(service.executions) == 2


@pytest.mark.parametrize("listed", [["lce-1", "lce-2"], []])
def test_another_role_where_the_execution_is_forgotten(listed: list[str]) -> None:
    """The token is known with another role, but no execution that is listed can be of it: it is carried out again."""
    service = ServiceInMemory(polls=1)
    token = None
    for state, superseded in (("DEPRECATED", None), ("DISABLED", "lce-1")):
        token = apply(
            service, {**DEPRECATE, "state": {"status": state}}, follows=token, superseded=superseded
        ).client_token
    apply(service, follows=token, superseded="lce-2")
    # Of the change before, the service tells no times: what is older than that cannot be told by them.
    del service.executions["lce-2"]["startTime"]
    service.executions = {id_: service.executions[id_] for id_ in listed}
    outcome = apply(service, {**DEPRECATE, "executionRole": "Another"}, follows=token, superseded="lce-2")
    assert outcome.outputs()["lifecycle_execution_id"] == "lce-4"
    assert list(service.executions) == [*listed, "lce-4"]


@pytest.mark.parametrize("listed", [[], [{"resourceId": "ami-1", "action": {"name": "DISABLE"}}]])
def test_another_role_adopts_what_does_not_list_its_image_yet(listed: list[dict[str, Any]]) -> None:
    """As long as an execution does not tell what it does to the image, it is taken for the one that was started."""
    service, look = ServiceInMemory(), ServiceInMemory.list_lifecycle_execution_resources

    def resources(asked: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return look(service, asked, parameters) if "parentResourceId" in parameters else {"resources": listed}

    service.list_lifecycle_execution_resources = resources  # type: ignore[method-assign]
    apply(service, follows="the token before", wait=False)
    outcome = apply(service, {**DEPRECATE, "executionRole": "Another"}, follows="the token before")
    assert outcome.outputs()["lifecycle_execution_id"] == "lce-1"
    assert len(service.executions) == 1


@pytest.mark.parametrize(("role", "started"), [("ImageLifecycle", 1), ("Another", 2)])
def test_an_image_moved_elsewhere_as_its_execution_ended(role: str, started: int) -> None:
    """One's own is done, and a refresh will tell of the drift; one that is only taken for it is not believed."""
    service = ServiceInMemory()
    apply(service, wait=False)
    end = service.end

    def end_and_move(execution: dict[str, Any], status: str) -> None:
        end(execution, status)
        if execution["lifecycleExecutionId"] == "lce-1" and service.image:
            service.image["state"]["status"] = "AVAILABLE"

    service.end = end_and_move  # type: ignore[method-assign]
    outcome = apply(service, {**DEPRECATE, "executionRole": role})
    assert len(service.executions) == started
    assert outcome.outputs()["lifecycle_execution_id"] == f"lce-{started}"
    assert outcome.image.state == ("AVAILABLE" if started == 1 else "DEPRECATED")


def test_an_execution_that_is_being_cancelled_is_followed_by_a_new_one() -> None:
    """Once it is cancelled."""
    service, look = ServiceInMemory(), ServiceInMemory.list_lifecycle_execution_resources
    apply(service, wait=False)
    service.executions["lce-1"]["state"] = {"status": "CANCELLING"}
    seen: list[str] = []

    def resources(asked: str, parameters: dict[str, Any]) -> dict[str, Any]:
        if seen == ["CANCELLING"] * 3:
            service.end(service.executions["lce-1"], "CANCELLED")
        answer = look(service, asked, parameters)
        seen.append(answer["lifecycleExecutionState"]["status"])
        return answer

    service.list_lifecycle_execution_resources = resources  # type: ignore[method-assign]
    assert apply(service).outputs()["lifecycle_execution_id"] == "lce-2"
    assert seen[:5] == ["CANCELLING", "CANCELLING", "CANCELLING", "CANCELLED", "PENDING"]


def test_a_service_that_knows_the_change_before_alone_is_given_up() -> None:
    """Whatever it is asked: the execution of the change before never answers for this one."""
    service = ServiceInMemory()
    before = apply(service, {**DEPRECATE, "state": {"status": "DISABLED"}})
    asked: list[str] = []

    def start(told: str, parameters: dict[str, Any]) -> dict[str, Any]:
        asked.append(parameters["clientToken"])
        return {"lifecycleExecutionId": "lce-1"}

    service.start_resource_state_update = start  # type: ignore[method-assign]
    with pytest.raises(NotCarriedOut) as failure:
        apply(service, follows=before.client_token, superseded="lce-1")
    assert str(failure.value) == (
        "changing the image: the service answers that it was done, but the image does not show it; "
        "look at what else changes this image, then run `pulumi up` again"
    )
    assert len(set(asked)) == len(asked) == 500


def test_an_execution_from_before_the_change_before_answers_for_nothing() -> None:
    """Coming back to a token of one's own happens again, though its execution left the image as it is now."""
    service = ServiceInMemory()
    apply(service, client_token="mine")
    apply(service, client_token="other", follows="mine", superseded="lce-1")
    outcome = apply(service, client_token="mine", follows="other", superseded="lce-2")
    assert outcome.outputs()["lifecycle_execution_id"] == "lce-3"


DELETE = {**DEPRECATE, "state": {"status": "DELETED"}}


def test_a_deletion_whose_token_is_forgotten() -> None:
    """The image is gone, and an execution shows that it was deleted: that is success, told as it was then."""
    service = ServiceInMemory()
    after = {"follows": "the token before", "superseded": "lce-0"}
    deleted = apply(service, DELETE, **after)
    service.tokens.clear()
    again = apply(service, DELETE, **after)
    assert again == deleted
    assert (again.image, again.resources[0]["action"]) == (lifecycle.records.GONE, "DELETE")
    assert len(service.executions) == 1


def test_an_image_that_is_gone_otherwise_is_an_error() -> None:
    """Its last execution deleted nothing: somebody deleted the record alone."""
    service = ServiceInMemory()
    disabled = apply(service, {**DEPRECATE, "state": {"status": "DISABLED"}})
    service.image = None
    with pytest.raises(ImageNotFound, match="changing the image: no such image"):
        apply(service, DELETE, follows=disabled.client_token, superseded="lce-1")


def test_executions_on_several_pages() -> None:
    """All are read: the last one, which does the same, is adopted."""
    service = ServiceInMemory()
    for state in ("DISABLED", "AVAILABLE", "DEPRECATED"):
        apply(service, {**DEPRECATE, "state": {"status": state}}, client_token=f"a stranger's, {state}")
    asked: list[Any] = []

    def page(told: str, parameters: dict[str, Any]) -> dict[str, Any]:
        asked.append(parameters.get("nextToken"))
        number = int(parameters.get("nextToken", 0))
        more = {"nextToken": str(number + 1)} if number < 2 else {}
        return {"lifecycleExecutions": list(service.executions.values())[number : number + 1], **more}

    service.list_lifecycle_executions = page  # type: ignore[method-assign]
    assert apply(service).outputs()["lifecycle_execution_id"] == "lce-3"
    assert asked == [None, "1", "2"]
    assert len(service.executions) == 3


ROLE = {"executionRole": "ImageLifecycle"}


def clean_up(service: ServiceInMemory) -> lifecycle.Outcome | None:
    outcome: lifecycle.Outcome | None = run(service, lambda client: lifecycle.clean_up(ROLE, client))
    return outcome


def test_cleaning_up_an_image_that_is_being_built(no_sleep: list[float]) -> None:
    """It is waited for, and asked to be deleted once it is built."""
    service = ServiceInMemory("BUILDING")
    assert service.image is not None
    image, states = service.image, iter(["BUILDING", "TESTING", "AVAILABLE"])
    find = service.get_image

    def get(asked: str, parameters: dict[str, Any]) -> dict[str, Any]:
        image["state"]["status"] = next(states, image["state"]["status"])
        return find(asked, parameters)

    service.get_image = get  # type: ignore[method-assign]
    outcome = clean_up(service)
    assert outcome is not None
    assert (outcome.outputs()["status"], outcome.image) == ("SUCCESS", lifecycle.records.GONE)
    assert service.calls[:4] == ["get_image", "get_image", "get_image", "list_lifecycle_executions"]
    assert service.image is None


@pytest.mark.parametrize(("kind", "included"), [("AMI", {"amis", "snapshots"}), ("DOCKER", {"containers"})])
def test_what_a_clean_up_includes(kind: str, included: set[str]) -> None:
    """What can be under an image of its type."""
    service = ServiceInMemory()
    assert service.image is not None
    service.image["type"] = kind
    clean_up(service)
    ((parameters, _),) = service.tokens.values()
    assert parameters["includeResources"] == dict.fromkeys(included, True)


@pytest.mark.parametrize(("goes", "found"), [(True, "lce-1"), (False, None)])
def test_an_image_that_goes_while_it_is_cleaned_up(goes: bool, found: str | None) -> None:
    """It was there when it was read: what deleted it is told, or that nothing shows that anything under it went."""
    service = ServiceInMemory(polls=1)
    if goes:
        apply(service, DELETE, client_token="a stranger's")
        service.image = {"state": {"status": "AVAILABLE"}, "type": "AMI"}
    else:
        # One that was never carried out, one that did something else: neither is what deleted the image.
        service.ends_as = "FAILED"
        with pytest.raises(ExecutionFailed):
            apply(service, DELETE, client_token="a stranger's")
        service.ends_as = "SUCCESS"
        apply(service, client_token="another stranger's")

    def start(asked: str, parameters: dict[str, Any]) -> dict[str, Any]:
        service.image = None
        raise ImageNotFound(f"{asked}: no such image", "ResourceNotFoundException")

    service.start_resource_state_update = start  # type: ignore[method-assign]
    outcome = run(service, lambda client: lifecycle.clean_up({**ROLE, "exclusionRules": {}}, client))
    assert (outcome and outcome.execution.id) == found


def test_a_clean_up_is_refused_while_the_image_is_there() -> None:
    """A start that finds no image, where reading it does find one, is told as it is."""
    service = ServiceInMemory()

    def start(asked: str, parameters: dict[str, Any]) -> dict[str, Any]:
        raise ImageNotFound(f"{asked}: no such role", "ResourceNotFoundException")

    service.start_resource_state_update = start  # type: ignore[method-assign]
    with pytest.raises(ImageNotFound, match="changing the image: no such role"):
        clean_up(service)
