"""What random histories found: each as the shortest story that shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError
from imagebuilder_emulator import roles
from pulumi_imagebuilder.claims import Claims
from pulumi_imagebuilder.handlers import CleanupHandler, Handler, StateUpdateHandler
from pulumi_imagebuilder.host import Call, Host

from tests.simulation.service import SimulatedService, World
from tests.simulation.virtual_time import VirtualTimeLoop, run

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
AMIS = {"execution_role": "R", "include_resources": {"amis": True}, "in_use": "ignore"}
DELETED = {"state": "DELETED", "execution_role": "R", "include_resources": {"amis": True, "snapshots": True}}


class _Rows:
    address = None

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def show(self, urn: str, text: str) -> None:
        self.texts.append(text)

    info = warn = show


class _Stack:
    """One image, and a provider's process for each run."""

    def __init__(self, *, variants: Mapping[str, str] | None = None, execution_time: str = "10s", **image: Any) -> None:
        self.loop = VirtualTimeLoop()
        seed = {"roles": ["R"], "images": [{"arn": ARN, "amis": [{}], **image}]}
        self.world = World(seed, self.loop, execution_time=execution_time, variants=variants)
        self.rows = _Rows()

    def handler(self, kind: type[Handler], interrupt: Callable[[str, str], None] | None = None) -> Handler:
        service = SimulatedService(self.world, interrupt or (lambda when, operation: None))
        rows: Any = self.rows
        return kind(Host(lambda: service, rows, now=self.loop.time, claims=Claims(now=self.loop.time)))

    def inputs(self, **declared: Any) -> dict[str, Any]:
        check = self.handler(StateUpdateHandler).check(Call("check", "u"), {}, {"resource_arn": ARN, **declared})
        checked = run(check, self.loop)
        assert not checked.failures, checked.failures
        return dict(checked.inputs)

    def up(self, olds: Mapping[str, Any] | None = None, **declared: Any) -> Any:
        """Create, or update; return the result."""
        handler, inputs = self.handler(StateUpdateHandler), self.inputs(**declared)
        if olds is None:
            return run(handler.create(Call("create", "u"), inputs), self.loop)
        return run(handler.update(Call("update", "u"), olds, inputs), self.loop)

    def start(self, status: str, **request: Any) -> Any:
        """Start a state update as another client of the service; ``wait`` is not part of it."""
        number = len(self.world.environment.backend.tokens)
        return self.world.inprocess.call(
            "imagebuilder",
            "us-east-1",
            "start_resource_state_update",
            {"resourceArn": ARN, "state": {"status": status}, "clientToken": f"other-{number}", **request},
        )

    def image_state(self) -> str:
        images = self.world.images
        return str(images[ARN].state) if ARN in images else "DELETED"


class _Pause:
    """An interruption that lets time pass before the first call of an operation."""

    def __init__(self, stack: _Stack, operation: str, seconds: float) -> None:
        self._stack, self._operation, self._seconds = stack, operation, seconds

    def __call__(self, when: str, operation: str) -> None:
        if (when, operation) == ("before", self._operation):
            self._stack.loop.now += self._seconds
            self._seconds = 0.0


MakeStack = Callable[..., _Stack]


@pytest.fixture
def make_stack() -> Iterator[MakeStack]:
    """Makes stacks, and closes their loops."""
    made: list[_Stack] = []

    def make(**about: Any) -> _Stack:
        made.append(_Stack(**about))
        return made[-1]

    yield make
    for stack in made:
        stack.loop.close()


def test_an_image_that_is_deleted_while_it_is_restored_leaves_nothing_to_restore(make_stack: MakeStack) -> None:
    """A clean-up of the same image, destroyed beside it, deletes it first: the delete is success and no error."""
    stack = make_stack()
    created = stack.up(state="DISABLED", on_destroy="restore", **AMIS)
    stack.start("DELETED", executionRole="R", includeResources={"amis": True, "snapshots": True})
    error = run(stack.handler(StateUpdateHandler).delete(Call("delete", "u"), created.state), stack.loop)
    assert error is None
    assert stack.image_state() == "DELETED"


@pytest.mark.parametrize("reading", ["not-found", "state"])
def test_a_deletion_that_a_read_does_not_show_yet_leaves_nothing_to_restore(
    make_stack: MakeStack, reading: str
) -> None:
    """The restoring start is refused before reads show that the image is gone."""
    stack = make_stack(variants={"consistency": "lag", "deleted-image": reading}, execution_time="1s")
    created = stack.up(state="DISABLED", on_destroy="restore", **AMIS)
    deleted = []

    def delete_first(when: str, operation: str) -> None:
        if (when, operation) == ("before", "start_resource_state_update") and not deleted:
            deleted.append(stack.start("DELETED", executionRole="R", includeResources={"amis": True}))
            stack.loop.now += 2

    handler = stack.handler(StateUpdateHandler, delete_first)
    assert run(handler.delete(Call("delete", "u"), created.state), stack.loop) is None
    assert deleted


@pytest.mark.parametrize("reading", ["not-found", "state"])
@pytest.mark.parametrize("amis", [[{}], []], ids=["AMIs", "no AMIs"])
def test_a_deletion_whose_state_is_lost_is_adopted(make_stack: MakeStack, amis: list[Any], reading: str) -> None:
    """Also of an image without AMIs, as one whose build failed, and where a start of it is refused as invalid."""
    stack = make_stack(variants={"deleted-image": reading}, amis=amis)
    first = stack.up(in_use="ignore", **DELETED)
    assert first.error is None
    # Other inputs than before have another token.
    again = stack.up(in_use="ignore", triggers=["again"], **DELETED)
    assert again.error is None
    assert again.state["image_state"] == "DELETED"
    assert again.state["lifecycle_execution_id"] == first.state["lifecycle_execution_id"]
    assert len(stack.world.executions(ARN)) == 1


def test_a_clean_up_knows_that_an_image_without_amis_was_deleted(make_stack: MakeStack) -> None:
    """It does not ask a person to delete by hand what an execution has deleted."""
    stack = make_stack(amis=[], state="FAILED")
    stack.up(in_use="ignore", **DELETED)
    state = {"resource_arn": ARN, "execution_role": "R", "in_use": "ignore"}
    error = run(stack.handler(CleanupHandler).delete(Call("delete", "u"), state), stack.loop)
    assert error is None
    assert not [text for text in stack.rows.texts if "by hand" in text]


def test_a_change_that_replaces_a_schedule_and_fails_is_started_once(make_stack: MakeStack) -> None:
    """Its execution is not taken for one of an earlier run, however late the run reads the image itself."""
    stack = make_stack()
    far = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    created = stack.up(state="DEPRECATED", update_at=far, **AMIS)
    assert created.error is None
    failed = stack.up(created.state, state="DISABLED", **{**AMIS, "execution_role": "Missing"})
    assert "The execution role Missing does not exist" in str(failed.error)
    assert [each.status for each in stack.world.executions(ARN)] == ["CANCELLED", "FAILED"]


def test_an_immediate_change_waits_for_an_execution_that_would_undo_it(make_stack: MakeStack) -> None:
    """A killed run's execution moves the image when it ends, whatever was done at once meanwhile."""
    stack = make_stack()
    stack.start("DISABLED", executionRole="R", includeResources={"amis": True})
    done = stack.up(state="DEPRECATED", in_use="ignore")
    assert done.error is None
    run(asyncio.sleep(60), stack.loop)
    assert stack.image_state() == "DEPRECATED"


def test_what_another_client_moves_right_after_the_end_is_drift(make_stack: MakeStack) -> None:
    """The state of an update that has ended well does not take that for what the update left."""
    stack = make_stack()

    def move(when: str, operation: str) -> None:
        unfinished = [each for each in stack.world.executions(ARN) if each.unfinished]
        if operation == "get_image" and when == "before" and stack.world.executions(ARN) and not unfinished:
            stack.start("AVAILABLE")

    handler = stack.handler(StateUpdateHandler, move)
    created = run(handler.create(Call("create", "u"), stack.inputs(state="DISABLED", **AMIS)), stack.loop)
    assert created.error is None
    assert created.state["image_state"] == "AVAILABLE"
    read, error = run(stack.handler(StateUpdateHandler).read(Call("read", "u"), created.state), stack.loop)
    assert error is None
    changed = stack.handler(StateUpdateHandler).compare(read, stack.inputs(state="DISABLED", **AMIS))
    assert changed.drift == f"image {ARN}: the image is AVAILABLE, declared is DISABLED"


def test_a_refusal_does_not_repeat_the_declared_token(make_stack: MakeStack) -> None:
    """The service names the token that was used before, and a user may have declared it as a secret."""
    stack = make_stack()
    stack.up(state="DISABLED", client_token="my-secret-token", **AMIS)
    refused = stack.up(state="DEPRECATED", client_token="my-secret-token", **AMIS)
    assert "IdempotentParameterMismatchException: The client token [redacted] was used before" in str(refused.error)
    assert "my-secret-token" not in str(refused.error)


def test_a_refresh_right_after_the_end_takes_no_lag_for_drift(make_stack: MakeStack) -> None:
    """The execution has ended and the image does not show it yet: another `up` would start it again."""
    stack = make_stack(variants={"consistency": "lag"})
    created = stack.up(state="DISABLED", wait=False, **AMIS)
    run(asyncio.sleep(10.2), stack.loop)
    read, error = run(stack.handler(StateUpdateHandler).read(Call("read", "u"), created.state), stack.loop)
    assert error is None
    assert (read["status"], read["image_state"]) == ("SUCCESS", "DISABLED")
    assert not stack.handler(StateUpdateHandler).compare(read, stack.inputs(state="DISABLED", wait=False, **AMIS))


def test_an_immediate_change_does_not_wait_for_a_schedule_whose_date_is_gone(make_stack: MakeStack) -> None:
    """Another client's change takes the date off the image: what lists no resources for long is a schedule."""
    stack = make_stack()
    far = datetime.now(UTC) + timedelta(days=30)
    stack.start("DEPRECATED", updateAt=far, executionRole="R", includeResources={"amis": True})
    stack.start("AVAILABLE")
    run(asyncio.sleep(600), stack.loop)
    done = stack.up(state="DISABLED", in_use="ignore")
    assert done.error is None
    assert stack.image_state() == "DISABLED"
    assert stack.loop.time() < 660


def test_an_update_that_is_not_waited_for_reports_a_failure_that_it_has_seen(make_stack: MakeStack) -> None:
    """The execution has failed by the time it can be read: that is no success, waited for or not."""
    stack = make_stack()
    slow = stack.handler(StateUpdateHandler, _Pause(stack, "list_lifecycle_execution_resources", 5.0))
    inputs = stack.inputs(state="DISABLED", wait=False, **{**AMIS, "execution_role": "Missing"})
    failed = run(slow.create(Call("create", "u"), inputs), stack.loop)
    assert "ended as FAILED: The execution role Missing does not exist" in str(failed.error)


def test_a_deletion_that_keeps_the_record_is_no_drift_after_a_cancelled_run(make_stack: MakeStack) -> None:
    """The state of the cancelled run has an execution and no image: what the execution left is seen by the refresh."""
    stack = make_stack(amis=[{}, {"region": "eu-west-1"}])
    deleted = {**DELETED, "in_use": "ignore", "exclusion_rules": {"amis": {"regions": ["eu-west-1"]}}}
    handler = stack.handler(StateUpdateHandler)

    async def create_and_cancel() -> Any:
        creating = asyncio.create_task(handler.create(Call("create", "u"), stack_inputs))
        await asyncio.sleep(3)
        handler.host.cancel()
        return await creating

    stack_inputs = stack.inputs(**deleted)
    cancelled = run(create_and_cancel(), stack.loop)
    assert cancelled.error is not None
    assert cancelled.started
    run(asyncio.sleep(60), stack.loop)
    read, error = run(stack.handler(StateUpdateHandler).read(Call("read", "u"), cancelled.state), stack.loop)
    assert error is None
    assert read["image_state"] == "AVAILABLE"
    assert not stack.handler(StateUpdateHandler).compare(read, stack_inputs)


def test_a_refresh_invents_no_token_for_a_cancelled_update(make_stack: MakeStack) -> None:
    """What follows the update is started by the same token before the refresh and after it, and so once."""
    stack = make_stack()
    handler, inputs = stack.handler(StateUpdateHandler), stack.inputs(state="DISABLED", on_destroy="restore", **AMIS)

    async def create_and_cancel() -> Any:
        creating = asyncio.create_task(handler.create(Call("create", "u"), inputs))
        await asyncio.sleep(3)
        handler.host.cancel()
        return await creating

    cancelled = run(create_and_cancel(), stack.loop)
    run(asyncio.sleep(60), stack.loop)
    read, error = run(stack.handler(StateUpdateHandler).read(Call("read", "u"), cancelled.state), stack.loop)
    assert error is None
    for state in (cancelled.state, read):
        assert run(stack.handler(StateUpdateHandler).delete(Call("delete", "u"), state), stack.loop) is None
    assert [each.target for each in stack.world.executions(ARN)] == ["DISABLED", "AVAILABLE"]


def test_another_clients_schedule_is_not_taken_for_a_change_with_another_role(make_stack: MakeStack) -> None:
    """The token is known with another role, and the newest execution has done nothing yet: it is not the token's."""
    stack = make_stack()
    failed = stack.up(state="DISABLED", **{**AMIS, "execution_role": "Missing"})
    assert failed.error is not None
    far = datetime.now(UTC) + timedelta(days=30)
    schedule = stack.start("DEPRECATED", updateAt=far, executionRole="R", includeResources={"amis": True})

    def cancel(when: str, operation: str) -> None:
        if stack.loop.time() > 100:
            stack.world.environment.backend.executions[schedule["lifecycleExecutionId"]].status = "CANCELLED"

    handler, inputs = stack.handler(StateUpdateHandler, cancel), stack.inputs(state="DISABLED", **AMIS)
    created = run(handler.create(Call("create", "u"), inputs), stack.loop)
    assert created.error is None
    assert created.state["lifecycle_execution_id"] != schedule["lifecycleExecutionId"]
    assert stack.image_state() == "DISABLED"


def test_an_execution_with_other_rules_is_not_taken_for_one_with_another_role(make_stack: MakeStack) -> None:
    """A create that failed leaves no state, but its token and its role are known; since then other rules were used."""
    stack = make_stack(amis=[{"region": "us-east-1"}, {"region": "eu-west-1"}])
    rules = {"exclusion_rules": {"amis": {"regions": ["eu-west-1"]}}}
    assert stack.up(state="DEPRECATED", **rules, **{**AMIS, "execution_role": "Missing"}).error
    assert stack.up(state="DEPRECATED", **AMIS).error is None
    done = stack.up(state="DEPRECATED", **rules, **AMIS)
    assert done.error is None
    assert [each["status"] for each in done.state["resources"]] == ["SKIPPED", "SUCCESS"]


def test_what_was_started_again_with_another_role_is_not_started_once_more(make_stack: MakeStack) -> None:
    """Neither the create that failed nor the one that was killed left a state: both tokens are known with that role."""
    stack = make_stack()
    assert stack.up(state="DEPRECATED", triggers=["x"], **{**AMIS, "execution_role": "Late"}).error
    roles.create("Late", "123456789012")
    assert stack.up(state="DEPRECATED", triggers=["x"], **{**AMIS, "execution_role": "Late"}).error is None
    assert stack.up(state="DEPRECATED", triggers=["x"], **AMIS).error is None
    assert [each.status for each in stack.world.executions(ARN)] == ["FAILED", "SUCCESS"]


def test_a_repeated_answer_is_not_believed_because_of_a_date_that_was_left(make_stack: MakeStack) -> None:
    """A deprecation within minutes needs no execution; once another client has disabled the image it is carried out."""
    stack = make_stack()
    soon = (datetime.now(UTC) + timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    declared = {"state": "DEPRECATED", "update_at": soon, "client_token": "mine", "in_use": "ignore"}
    created = stack.up(**declared)
    assert created.error is None
    stack.start("DISABLED", executionRole="R", includeResources={"amis": True})
    run(asyncio.sleep(60), stack.loop)
    read, error = run(stack.handler(StateUpdateHandler).read(Call("read", "u"), created.state), stack.loop)
    assert error is None
    assert stack.up(read, **declared).error is None
    assert stack.image_state() == "DEPRECATED"


def test_an_execution_whose_answer_was_lost_is_of_this_run(make_stack: MakeStack) -> None:
    """It has failed before the answer came: no other one is started, although the image itself was not read before."""
    stack = make_stack()
    far = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    created = stack.up(state="DEPRECATED", update_at=far, **AMIS)
    assert created.error is None
    stack.world.inprocess.call(
        "imagebuilder",
        "us-east-1",
        "cancel_lifecycle_execution",
        {"lifecycleExecutionId": created.state["lifecycle_execution_id"], "clientToken": "other"},
    )
    run(asyncio.sleep(60), stack.loop)
    lost = []

    def lose_first_answer(when: str, operation: str) -> None:
        if (when, operation) == ("after", "start_resource_state_update") and not lost:
            lost.append(operation)
            stack.loop.now += 5
            raise ConnectionClosedError(endpoint_url="in process")

    inputs = stack.inputs(state="DISABLED", **{**AMIS, "execution_role": "Missing"})
    handler = stack.handler(StateUpdateHandler, lose_first_answer)
    failed = run(handler.update(Call("update", "u"), created.state, inputs), stack.loop)
    assert "The execution role Missing does not exist" in str(failed.error)
    assert lost
    assert [each.status for each in stack.world.executions(ARN)] == ["CANCELLED", "FAILED"]


def test_what_an_execution_under_way_is_about_to_move_is_not_adopted(make_stack: MakeStack) -> None:
    """The same was done before and its state is lost; the image shows it, but not for long."""
    stack = make_stack()
    assert stack.up(state="DISABLED", **AMIS).error is None
    stack.start("DEPRECATED", executionRole="R", includeResources={"amis": True})
    again = stack.up(state="DISABLED", **AMIS)
    assert again.error is None
    run(asyncio.sleep(60), stack.loop)
    assert stack.image_state() == "DISABLED"
    assert [each.target for each in stack.world.executions(ARN)] == ["DISABLED", "DEPRECATED", "DISABLED"]


def test_a_clean_up_does_not_wait_for_a_schedule_whose_date_is_gone(make_stack: MakeStack) -> None:
    """Another client's change takes the date off the image: what lists no resources for long is a schedule."""
    stack = make_stack()
    far = datetime.now(UTC) + timedelta(days=30)
    stack.start("DEPRECATED", updateAt=far, executionRole="R", includeResources={"amis": True})
    stack.start("AVAILABLE")
    state = {"resource_arn": ARN, "execution_role": "R", "in_use": "ignore"}
    error = run(stack.handler(CleanupHandler).delete(Call("delete", "u"), state), stack.loop)
    assert error is None
    assert stack.image_state() == "DELETED"
    assert 120 < stack.loop.time() < 180


def test_a_clean_up_waits_for_an_execution_of_an_image_without_amis(make_stack: MakeStack) -> None:
    """It lists no resources however long it takes; the entry of the image record shows that it is at work."""
    stack = make_stack(amis=[], execution_time="10m")
    stack.start("DISABLED", executionRole="R", includeResources={"amis": True})
    state = {"resource_arn": ARN, "execution_role": "R", "in_use": "ignore"}
    error = run(stack.handler(CleanupHandler).delete(Call("delete", "u"), state), stack.loop)
    assert error is None
    assert [each.status for each in stack.world.executions(ARN)] == ["SUCCESS", "SUCCESS"]


def test_an_earlier_execution_does_not_complete_an_update_that_was_not_started(make_stack: MakeStack) -> None:
    """The state of an update that ran out of time has the execution before it, which a refresh sees end well."""
    stack = make_stack()
    rules = {"exclusion_rules": {"amis": {"is_public": True}}}
    created = stack.up(state="DISABLED", wait=False, **rules, **AMIS)
    assert created.error is None
    inputs = stack.inputs(state="DISABLED", wait=False, **AMIS)
    handler = stack.handler(StateUpdateHandler)
    late = run(handler.update(Call("update", "u", time_limit=0.01), created.state, inputs), stack.loop)
    assert late.error is not None
    run(asyncio.sleep(60), stack.loop)
    read, error = run(stack.handler(StateUpdateHandler).read(Call("read", "u"), late.state), stack.loop)
    assert error is None
    assert read["status"] == "SUCCESS"
    assert stack.handler(StateUpdateHandler).compare(read, inputs)
    assert stack.up(read, state="DISABLED", wait=False, **AMIS).error is None
    assert [each.target for each in stack.world.executions(ARN)] == ["DISABLED", "DISABLED"]


def test_a_start_that_is_sent_again_is_checked_again(make_stack: MakeStack) -> None:
    """Nothing is checked while an execution may be this change's; it may have ended when the start gets through."""
    stack = make_stack(amis=[{"public": True}, {"public": True}])
    rules = {"amis": {"isPublic": True}}
    stack.start("DISABLED", executionRole="R", includeResources={"amis": True}, exclusionRules=rules)
    lost = []

    def lose_first_start(when: str, operation: str) -> None:
        if (when, operation) == ("before", "start_resource_state_update") and not lost:
            lost.append(operation)
            stack.loop.now += 30
            raise ConnectionClosedError(endpoint_url="in process")

    handler = stack.handler(StateUpdateHandler, lose_first_start)
    inputs = stack.inputs(state="DISABLED", max_amis=1, **AMIS)
    refused = run(handler.create(Call("create", "u"), inputs), stack.loop)
    assert "2 AMIs would be disabled, and max_amis is 1: nothing is started" in str(refused.error)
    assert lost
    assert len(stack.world.executions(ARN)) == 1


def test_a_start_is_checked_though_an_execution_of_somebody_else_is_under_way(make_stack: MakeStack) -> None:
    """The other execution may end while the start is on its way, which is then not refused."""
    stack = make_stack(amis=[{}, {}])
    stack.start("DEPRECATED", executionRole="R", includeResources={"amis": True})
    handler = stack.handler(StateUpdateHandler, _Pause(stack, "start_resource_state_update", 30))
    inputs = stack.inputs(state="DISABLED", max_amis=1, **AMIS)
    refused = run(handler.create(Call("create", "u"), inputs), stack.loop)
    assert "2 AMIs would be disabled, and max_amis is 1: nothing is started" in str(refused.error)
    assert [each.target for each in stack.world.executions(ARN)] == ["DEPRECATED"]


@pytest.mark.parametrize("dated", [True, False])
def test_a_start_is_checked_though_the_schedule_of_somebody_else_is_cancelled_meanwhile(
    make_stack: MakeStack, dated: bool
) -> None:
    """A change that disables AMIs is never a schedule, so the schedule cannot be this change."""
    stack = make_stack(amis=[{}, {}])
    far = datetime.now(UTC) + timedelta(days=30)
    scheduled = stack.start("DEPRECATED", executionRole="R", includeResources={"amis": True}, updateAt=far)
    if not dated:
        stack.start("AVAILABLE")
        run(asyncio.sleep(700), stack.loop)
    cancelled = []

    def cancel_first(when: str, operation: str) -> None:
        if (when, operation) == ("before", "start_resource_state_update") and not cancelled:
            cancel()

    def cancel() -> None:
        cancelled.append(scheduled["lifecycleExecutionId"])
        stack.world.inprocess.call(
            "imagebuilder",
            "us-east-1",
            "cancel_lifecycle_execution",
            {"lifecycleExecutionId": cancelled[0], "clientToken": "cancel"},
        )
        stack.loop.now += 30

    stack.loop.call_later(20, lambda: cancelled or cancel())
    handler = stack.handler(StateUpdateHandler, cancel_first)
    refused = run(handler.create(Call("create", "u"), stack.inputs(state="DISABLED", max_amis=1, **AMIS)), stack.loop)
    assert "2 AMIs would be disabled, and max_amis is 1: nothing is started" in str(refused.error)
    assert [each.target for each in stack.world.executions(ARN)] == ["DEPRECATED"]


@pytest.mark.parametrize("wait", [True, False])
def test_what_was_deleted_is_not_restored(make_stack: MakeStack, wait: bool) -> None:
    """An image can leave a fleet in the update that turns to another state and to `on_destroy="restore"`."""
    stack = make_stack(amis=[{}, {"tags": {"keep": "yes"}}])
    rules = {"exclusion_rules": {"amis": {"tag_map": {"keep": "yes"}}}}
    created = stack.up(in_use="ignore", wait=wait, **rules, **DELETED)
    assert created.error is None
    left = {**created.state, "on_destroy": "restore"}
    assert run(stack.handler(StateUpdateHandler).delete(Call("delete", "u"), left), stack.loop) is None
    assert [each.status for each in stack.world.executions(ARN)] == ["SUCCESS" if wait else "CANCELLED"]


def test_an_execution_that_has_just_begun_is_cancelled_once_it_can_be_read(make_stack: MakeStack) -> None:
    """Of a run that was cancelled a moment ago, where reads lag behind the start."""
    stack = make_stack(variants={"consistency": "lag"})
    created = stack.up(state="DEPRECATED", on_destroy="cancel", **AMIS)
    begun = stack.start("DISABLED", executionRole="R", includeResources={"amis": True})
    begun_state = {**created.state, "lifecycle_execution_id": begun["lifecycleExecutionId"], "status": "PENDING"}
    assert run(stack.handler(StateUpdateHandler).delete(Call("delete", "u"), begun_state), stack.loop) is None
    assert [each.status for each in stack.world.executions(ARN)] == ["SUCCESS", "CANCELLED"]


def test_an_execution_that_the_service_has_forgotten_is_not_waited_for_long(make_stack: MakeStack) -> None:
    stack = make_stack()
    created = stack.up(state="DEPRECATED", on_destroy="cancel", **AMIS)
    forgotten = {**created.state, "lifecycle_execution_id": "lce-00000000-0000-4000-8000-000000000000"}
    handler = stack.handler(StateUpdateHandler)
    began = stack.loop.time()
    assert run(handler.delete(Call("delete", "u"), forgotten), stack.loop) is None
    assert stack.loop.time() - began < 1
    assert run(handler.delete(Call("delete", "u"), {**forgotten, "status": "IN_PROGRESS"}), stack.loop) is None
    assert 30 < stack.loop.time() - began < 40


def test_a_refresh_shows_that_an_image_is_gone_whose_deletion_ends_meanwhile(make_stack: MakeStack) -> None:
    stack = make_stack()
    created = stack.up(wait=False, in_use="ignore", **DELETED)
    assert created.state["image_state"] == "AVAILABLE"
    handler = stack.handler(StateUpdateHandler, _Pause(stack, "list_lifecycle_execution_resources", 20))
    read, error = run(handler.read(Call("read", "u"), created.state), stack.loop)
    assert error is None
    assert (read["status"], read["image_state"]) == ("SUCCESS", "DELETED")
