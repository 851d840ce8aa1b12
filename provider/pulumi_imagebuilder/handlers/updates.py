"""Carry out the engine's calls for state updates: a single resource is a fleet of one."""

from __future__ import annotations

import abc
import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from .. import validation
from ..errors import ImageBuilderError, PermanentError
from ..host import Call
from ..lifecycle.apply import BeforeStart, apply
from ..lifecycle.change import Change
from ..lifecycle.client import ImageClient
from ..lifecycle.entities import (
    EXECUTION_SUCCEEDED,
    EXECUTION_UNFINISHED,
    IMAGE_GONE,
    IMAGE_UNSTABLE,
    MAX_RESOURCES,
    Outcome,
)
from ..lifecycle.fleet import ImageTask
from ..lifecycle.progress import STARTING, Progress, group_images, name_images
from ..lifecycle.removal import cancel, restore
from ..lifecycle.state import CLIENT_TOKEN, DRIFT, OUTPUTS, RESULT_STATE, FleetState, UpdateState, refresh
from ..validation import UNKNOWN, Kind
from ..validation.values import has_unknown
from .base import Handler, Properties, ResourceDiff, Result, digest


class UpdateHandler(Handler):
    """Carries out the engine's calls for a ``ResourceStateUpdate`` or a ``FleetStateUpdate``."""

    is_fleet: ClassVar[bool]

    @abc.abstractmethod
    def states(self, state: Properties) -> FleetState:
        """Return the states of the images."""

    @abc.abstractmethod
    def outputs(self, states: FleetState, inputs: Properties) -> dict[str, Any]:
        """Return the outputs and the provider's own keys."""

    def compare(self, olds: Properties, news: Properties) -> ResourceDiff:
        """Return the difference in inputs, the drift, and whether an update is incomplete."""
        found = super().compare(olds, news)
        states = self.states(olds)
        known = [arn for arn in self.images(news) if arn not in found.inputs.added]
        return ResourceDiff(found.inputs, _describe_drift(states), bool(states.incomplete(known)))

    async def diff(self, call: Call, olds: Properties, news: Properties) -> ResourceDiff:
        """Return the difference; warn if the declaration restores images that it had deleted before."""
        changed = await super().diff(call, olds, news)
        restored = [] if changed.inputs.replace else self._restored_after_deletion(olds, news)
        if restored:
            which = restored[0] if len(restored) == 1 else name_images(restored)
            await self.host.engine.warn(
                call.urn, f"what was deleted does not come back, only what is left can be restored: image {which}"
            )
        return changed

    def _restored_after_deletion(self, olds: Properties, news: Properties) -> list[str]:
        """Return the images that were to be deleted, and are to be restored, now or when they leave the program."""
        if olds.get("state") != IMAGE_GONE or news.get("state") in (IMAGE_GONE, UNKNOWN):
            return []
        arns, declared = self.states(olds).images, self.images(news)
        if news.get("on_destroy") == "restore":
            return list(arns)
        return [arn for arn in arns if arn in declared] if news.get("state") == "AVAILABLE" else []

    async def create(self, call: Call, inputs: Properties) -> Result:
        """Carry out the declared state update for all images, or adopt executions that were started for them before."""
        return await self._apply(call, inputs, {}, again=self.images(inputs), removed=(), rerun=False)

    def planned_state(self, olds: Properties, inputs: Properties) -> dict[str, Any]:
        """Return the state as a preview knows it: the outputs of images that are updated are unknown."""
        changed, states = self.compare(olds, inputs), self.states(olds)
        arns = self.images(inputs)
        again = set(arns) if changed.inputs.rerun or not olds else states.incomplete(arns)
        kept = FleetState({arn: states.images[arn] for arn in arns if arn not in again})
        outputs = self.planned_outputs(kept, again, inputs)
        return {**inputs, **outputs, CLIENT_TOKEN: digest(inputs.get("client_token"))}

    @abc.abstractmethod
    def planned_outputs(self, kept: FleetState, again: Collection[str], inputs: Properties) -> dict[str, Any]:
        """Return the outputs as a preview knows them.

        Args:
            kept: the states of the images that stay as they are.
            again: the images that an update will be carried out for.
            inputs: what is declared.
        """

    async def update(self, call: Call, olds: Properties, news: Properties) -> Result:
        """Update all images if the declared change differs; else those that were added, removed or are incomplete."""
        found, arns = self.compare(olds, news), self.images(news)
        again = arns if found.inputs.rerun else sorted(self.states(olds).incomplete(arns))
        return await self._apply(
            call, news, olds, again=again, removed=found.inputs.removed, rerun=bool(found.inputs.rerun)
        )

    def planned_update(
        self, olds: Properties, news: Properties, changed: ResourceDiff | None
    ) -> tuple[Properties, Sequence[str]]:
        """Return the declared update, and the images that it is carried out for."""
        arns = self.images(news)
        if changed and changed.inputs.replace:
            # The engine calls `check` for the replacement too, as for a resource that is to be created.
            return {}, []
        if changed and not changed.inputs.rerun:
            again = self.states(olds).incomplete(arns)
            arns = [arn for arn in arns if arn in again]
        return news, arns

    async def read(self, call: Call, state: Properties) -> tuple[Properties | None, ImageBuilderError | None]:
        """Read the images, and the executions that were unfinished."""
        states = self.states(state)
        tasks = {arn: functools.partial(refresh, before, state["state"]) for arn, before in states.images.items()}
        run = await self.host.run(call, tasks, verb="reading", fleet=self.is_fleet)
        if run.error:
            return None, run.error
        found = {
            arn: after if after is not None else self._vanished(states.images[arn])
            for arn, after in run.results.done.items()
        }
        if any(after is None for after in found.values()):
            return None, None
        present = {arn: after for arn, after in found.items() if after is not None}
        kept = {key: value for key, value in state.items() if not key.startswith("__") or key in _KEPT}
        return {**kept, **self.outputs(FleetState(present), state)}, None

    @abc.abstractmethod
    def _vanished(self, before: UpdateState) -> UpdateState | None:
        """Return the state of an image that is gone and was not to be deleted; None if the resource is gone too."""

    async def delete(self, call: Call, state: Properties) -> ImageBuilderError | None:
        """Retain, cancel or restore each image, as ``on_destroy`` declares."""
        if state["on_destroy"] == "retain":
            return None
        states = self.states(state).images
        tasks = {
            arn: functools.partial(_remove, state["on_destroy"], validation.request(state), states[arn])
            for arn in await self._unclaimed(call, states)
        }
        verb = {"cancel": "cancelling the state update of", "restore": "restoring"}[state["on_destroy"]]
        return (await self.host.run(call, tasks, verb=verb, fleet=self.is_fleet, schedule_key="AVAILABLE")).error

    async def _apply(
        self,
        call: Call,
        inputs: Properties,
        olds: Properties,
        *,
        again: Collection[str],
        removed: Collection[str],
        rerun: bool,
    ) -> Result:
        """Carry out the declared update for some images, and for removed ones what ``on_destroy`` declares.

        Args:
            call: the engine's call.
            inputs: the declaration.
            olds: the state; empty for a create.
            again: the images that an update is to be carried out for; the others keep their states.
            removed: the images that are not declared any more.
            rerun: whether the declared change differs from the one in the state.
        """
        before = self.states(olds).images
        tasks = self._tasks(call, inputs, olds, again, rerun)
        if inputs["on_destroy"] != "retain" and removed:
            undone = validation.request(olds)
            for arn in await self._unclaimed(call, [arn for arn in sorted(removed) if arn in before]):
                tasks[arn] = functools.partial(_remove, inputs["on_destroy"], undone, before[arn])
        run = await self.host.run(
            call,
            tasks,
            verb="changing",
            target=f" to {inputs['state']}",
            fleet=self.is_fleet,
            schedule_key=inputs["state"],
        )
        done, progress = run.results.done, run.results.progress
        after = dict(before)
        for arn in tasks:
            state = done.get(arn)
            if state is not None:
                after[arn] = state
            elif arn in again:
                state = before.get(arn, UpdateState())
                after[arn] = _incomplete(_superseded(state, olds) if rerun else state, progress[arn])
        # A removed image that could not be undone stays in the state, as if it were not removed yet.
        kept = self.with_images(inputs, [arn for arn in removed if arn in tasks.keys() - done])
        state_after = {
            **kept,
            **self.outputs(FleetState(after), kept),
            CLIENT_TOKEN: digest(inputs.get("client_token")),
        }
        started = bool(done) or any(each.execution_id for each in progress.values())
        return Result(self.id_of(call, inputs), state_after, run.error, started)

    def _tasks(
        self, call: Call, inputs: Properties, olds: Properties, arns: Collection[str], rerun: bool
    ) -> dict[str, ImageTask[UpdateState | None]]:
        """Return the tasks that carry out the declared update for some images."""
        before, request = self.states(olds).images, validation.request(inputs)
        before_start = self._before_start(call, inputs, list(arns))
        tasks: dict[str, ImageTask[UpdateState | None]] = {}
        for arn in arns:
            change = declare(arn, inputs, request, olds, before.get(arn, UpdateState()), rerun, fleet=self.is_fleet)
            tasks[arn] = functools.partial(self._update_image, call, change, before_start)
        return tasks

    def with_images(self, inputs: Properties, arns: Collection[str]) -> Properties:
        """Return the inputs with more images."""
        return inputs

    async def _update_image(
        self, call: Call, change: Change, before_start: BeforeStart | None, client: ImageClient
    ) -> UpdateState:
        outcome = await apply(change, client, before_start)
        if outcome.truncated and not self.is_fleet:
            await self.host.engine.info(call.urn, _describe_truncation(client.arn, outcome))
        return UpdateState.from_outcome(outcome, change.target)


_KEPT = frozenset({CLIENT_TOKEN, "__secrets", "__provider"})
"""The provider's own keys that a refresh keeps as they are; :meth:`UpdateState.to_state` writes its own anew."""


class StateUpdateHandler(UpdateHandler):
    """Carries out the engine's calls for a ``ResourceStateUpdate``."""

    kind = Kind.SINGLE
    is_fleet = False

    def states(self, state: Properties) -> FleetState:
        """Return the state of the one image."""
        return FleetState({state["resource_arn"]: UpdateState.from_state(state)} if "resource_arn" in state else {})

    def outputs(self, states: FleetState, inputs: Properties) -> dict[str, Any]:
        """Return the outputs of the one image, each at the top."""
        return states.images[inputs["resource_arn"]].to_state()

    def planned_outputs(self, kept: FleetState, again: Collection[str], inputs: Properties) -> dict[str, Any]:
        """Return the outputs of the one image."""
        state = next(iter(kept.images.values()), None)
        if state is not None:
            return state.to_state()
        return dict.fromkeys(OUTPUTS, UNKNOWN) | (
            {"client_token": inputs["client_token"]} if inputs.get("client_token") else {}
        )

    async def import_state(self, call: Call, id_: str) -> tuple[Properties | None, ImageBuilderError | None]:
        """Return the state to import: as if the resource declared the image's current state."""
        action = f"importing image {id_}"
        try:
            validation.ImageArn.parse(id_)
        except ValueError as error:
            return None, PermanentError(str(error), action=action)
        run = await self.host.run(call, {id_: ImageClient.find_image}, verb="importing", fleet=False)
        if run.error:
            return None, run.error
        image = run.results.done[id_]
        if image.state == IMAGE_GONE:
            return None, None
        inputs = {"resource_arn": id_, "state": image.state}
        checked = validation.validate(self.kind, inputs)
        if checked.failures:
            return None, PermanentError(
                f"it is {image.state}, which is no state that can be declared",
                action=action,
                next_step="import it once it is AVAILABLE, DEPRECATED or DISABLED"
                if image.state in IMAGE_UNSTABLE
                else "declare it with the state DELETED, the only one that it can be moved to",
            )
        state = UpdateState.from_outcome(Outcome("", image))
        return {**checked.inputs, **state.to_state(), "client_token": None}, None

    def _vanished(self, before: UpdateState) -> UpdateState | None:
        return None


class FleetHandler(UpdateHandler):
    """Carries out the engine's calls for a ``FleetStateUpdate``."""

    kind = Kind.FLEET
    is_fleet = True

    def images(self, properties: Properties) -> list[str]:
        """Return the ARNs that are known."""
        arns = properties.get("resource_arns")
        return (
            [arn for arn in arns if isinstance(arn, str) and arn != UNKNOWN] if isinstance(arns, list | tuple) else []
        )

    def id_of(self, call: Call, inputs: Properties) -> str:
        """Return the resource's name; without a URN, a digest of the images."""
        return call.name or f"fleet-{digest(' '.join(inputs['resource_arns']))}"[:20]

    def states(self, state: Properties) -> FleetState:
        """Return the states of the images."""
        return FleetState.from_state(state)

    def outputs(self, states: FleetState, inputs: Properties) -> dict[str, Any]:
        """Return the outputs by image."""
        return states.to_state(inputs["resource_arns"])

    def planned_outputs(self, kept: FleetState, again: Collection[str], inputs: Properties) -> dict[str, Any]:
        """Return the outputs by image; unknown if an ARN is unknown."""
        known = kept.to_state(kept.images)
        names = ("executions", "lifecycle_execution_ids")
        if has_unknown(inputs["resource_arns"]):
            return {**known, **dict.fromkeys(names, UNKNOWN)}
        return {**known, **{name: {**known[name], **dict.fromkeys(again, UNKNOWN)} for name in names}}

    def with_images(self, inputs: Properties, arns: Collection[str]) -> Properties:
        """Return the inputs with more images."""
        return {**inputs, "resource_arns": [*inputs["resource_arns"], *arns]}

    def _vanished(self, before: UpdateState) -> UpdateState | None:
        gone = "the image is gone, take it out of resource_arns"
        return UpdateState.from_state(
            {
                **before.to_state(),
                "image_state": IMAGE_GONE,
                RESULT_STATE: before.result_state or before.image_state,
                DRIFT: gone,
            }
        )


def declare(
    arn: str,
    inputs: Properties,
    request: Mapping[str, Any],
    olds: Properties,
    before: UpdateState,
    rerun: bool,
    *,
    fleet: bool,
) -> Change:
    """Return the declared change of one image, given the update in its state.

    Args:
        arn: the image.
        inputs: what is declared.
        request: the parameters of the call.
        olds: the resource's state; empty at first.
        before: the image's state.
        rerun: whether the declared change differs from the one in the state.
        fleet: whether the resource is a fleet.
    """
    # An unfinished or failed update is continued as the same change. With other inputs this is another change, and the
    # execution that the unfinished one started may block it.
    continued = before.previous is not None and not rerun
    last_complete = before.last_complete
    started = last_complete if continued else before
    scheduled = started.deprecation_time or (not continued and olds.get("update_at"))
    token, triggers = inputs.get("client_token"), inputs.get("triggers")
    if fleet and token is not None:
        # The service accepts a token for one image only: derive one for each image from it.
        token, triggers = None, [token, triggers]
    return Change(
        resource_arn=arn,
        request=request,
        triggers=triggers,
        client_token=token,
        follows=last_complete.client_token,
        superseded=started.lifecycle_execution_id,
        own_schedule=started.lifecycle_execution_id if scheduled and started.status in EXECUTION_UNFINISHED else None,
        schedule_elapsed=last_complete.status in EXECUTION_SUCCEEDED
        and olds.get("update_at") == inputs.get("update_at"),
        wait=inputs["wait"],
    )


async def _remove(on_destroy: str, request: Mapping[str, Any], state: UpdateState, client: ImageClient) -> None:
    """Cancel or restore an image that the program does not declare any more."""
    if on_destroy == "cancel":
        await cancel(state, client)
    else:
        await restore(state, request, client)


def _superseded(state: UpdateState, olds: Properties) -> UpdateState:
    """Return the state of an unfinished update that another one replaces, whose execution may still block that one."""
    if state.previous is None:
        return state
    schedule = state.deprecation_time or olds.get("update_at")
    previous = replace(
        state.previous,
        lifecycle_execution_id=state.lifecycle_execution_id,
        status=state.status,
        deprecation_time=schedule,
    )
    return replace(state, previous=previous)


def _incomplete(before: UpdateState, progress: Progress) -> UpdateState:
    """Return the state of an update that did not start or has not ended: the next run continues it."""
    if progress.execution_id is None or progress.blocking_execution:
        return replace(before, previous=before.last_complete)
    status = "IN_PROGRESS" if progress.status == STARTING else progress.status
    return replace(
        UpdateState(),
        lifecycle_execution_id=progress.execution_id,
        status=status,
        image_state=before.image_state,
        result_state=before.result_state,
        previous=before.last_complete,
    )


def _describe_drift(states: FleetState) -> str | None:
    """Return the images that differ from the declaration, with how; None if none does."""
    return group_images({arn: state.drift for arn, state in states.images.items() if state.drift}) or None


def _describe_truncation(arn: str, outcome: Outcome) -> str:
    """Return a hint that the output lists only a part of the resources, with the command that lists all."""
    assert outcome.execution is not None
    return (
        f"the output `resources` holds only {MAX_RESOURCES} of the {len(outcome.resources)} resources; all are listed "
        f"by: aws imagebuilder list-lifecycle-execution-resources --region {validation.ImageArn.parse(arn).region} "
        f"--lifecycle-execution-id {outcome.execution.id} --parent-resource-id {arn}"
    )
