"""The life of a ``ResourceStateUpdate`` and of a ``FleetStateUpdate``: a single resource is a fleet of one."""

from __future__ import annotations

import abc
import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from .. import validation
from ..errors import ImageBuilderError, PermanentError
from ..host import Call, Run
from ..lifecycle.apply import BeforeStart, apply
from ..lifecycle.change import Change
from ..lifecycle.client import ImageClient
from ..lifecycle.entities import EXECUTION_UNFINISHED, IMAGE_GONE, IMAGE_UNSTABLE, MAX_RESOURCES, Outcome
from ..lifecycle.progress import STARTING, Progress, name_images
from ..lifecycle.removal import cancel, restore
from ..lifecycle.state import CLIENT_TOKEN, DRIFT, LEFT, OUTPUTS, FleetState, UpdateState, refresh
from ..validation import UNKNOWN, Kind
from ..validation.values import has_unknown
from .base import Changed, Handler, Properties, Result, digest


class UpdateHandler(Handler):
    """The life of a ``ResourceStateUpdate`` or a ``FleetStateUpdate``: a single resource is a fleet of one."""

    is_fleet: ClassVar[bool]

    @abc.abstractmethod
    def states(self, state: Properties) -> FleetState:
        """Return the states of the images."""

    @abc.abstractmethod
    def outputs(self, states: FleetState, inputs: Properties) -> dict[str, Any]:
        """Return the outputs, and what Pulumi keeps beside them."""

    def changed(self, olds: Properties, news: Properties) -> Changed:
        """Return what differs from the state, what has drifted, and whether an update is incomplete."""
        found = super().changed(olds, news)
        states = self.states(olds)
        known = [arn for arn in self.images(news) if arn not in found.inputs.added]
        return Changed(found.inputs, _describe_drift(states), bool(states.incomplete(known)))

    async def create(self, call: Call, inputs: Properties) -> Result:
        """Carry out the declared state update for all images, or adopt what was started for them before."""
        return await self._apply(call, inputs, {}, again=self.images(inputs), removed=())

    def forecast(self, olds: Properties, inputs: Properties) -> dict[str, Any]:
        """Return the outputs that stay as they are; those of images that an update is carried out for are unknown."""
        changed, states = self.changed(olds, inputs), self.states(olds)
        arns = self.images(inputs)
        again = set(arns) if changed.inputs.rerun or not olds else states.incomplete(arns)
        kept = FleetState({arn: states.images[arn] for arn in arns if arn not in again})
        outputs = self.outputs_ahead(kept, again, inputs)
        return {**inputs, **outputs, CLIENT_TOKEN: digest(inputs.get("client_token"))}

    @abc.abstractmethod
    def outputs_ahead(self, kept: FleetState, again: Collection[str], inputs: Properties) -> dict[str, Any]:
        """Return the outputs as a preview knows them.

        Args:
            kept: the states of the images that nothing will be done for.
            again: the images that an update will be carried out for.
            inputs: what is declared.
        """

    async def update(self, call: Call, olds: Properties, news: Properties) -> Result:
        """Carry out what has changed: for all images, or for those alone that came, left, or are not as declared."""
        found, arns = self.changed(olds, news), self.images(news)
        again = arns if found.inputs.rerun else sorted(self.states(olds).incomplete(arns))
        return await self._apply(call, news, olds, again=again, removed=found.inputs.removed)

    def takes_away(
        self, olds: Properties, news: Properties, changed: Changed | None
    ) -> tuple[Properties, Sequence[str]]:
        """Return the declared update, and the images that it is carried out for."""
        arns = self.images(news)
        if changed and changed.inputs.replace:
            # The engine has the replacement checked by itself, as a resource that is to be created.
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
        """Return the state of an image that is gone and was not to be deleted; None if the resource is gone with it."""

    async def delete(self, call: Call, state: Properties) -> ImageBuilderError | None:
        """Do what ``on_destroy`` says for each image."""
        if state["on_destroy"] == "retain":
            return None
        states = self.states(state).images
        tasks = {
            arn: functools.partial(_remove, state["on_destroy"], validation.request(state), states[arn])
            for arn in await self._unclaimed(call, states)
        }
        verb = {"cancel": "cancelling the state update of", "restore": "restoring"}[state["on_destroy"]]
        return (await self.host.run(call, tasks, verb=verb, fleet=self.is_fleet)).error

    async def _apply(
        self, call: Call, inputs: Properties, olds: Properties, *, again: Collection[str], removed: Collection[str]
    ) -> Result:
        """Carry out the declared update for some images, and what ``on_destroy`` says for those that left.

        Args:
            call: the engine's call.
            inputs: what is declared.
            olds: the state; empty at first.
            again: the images that an update is to be carried out for; the others keep their states.
            removed: the images that are not declared any more.
        """
        before = self.states(olds).images
        rerun = bool(olds) and bool(self.changed(olds, inputs).inputs.rerun)
        request = validation.request(inputs)
        tasks: dict[str, Any] = {}
        before_start = self._before_start(call, inputs, list(again))
        for arn in again:
            change = declare(arn, inputs, request, olds, before.get(arn, UpdateState()), rerun, fleet=self.is_fleet)
            tasks[arn] = functools.partial(self._update_image, call, change, before_start)
        if inputs["on_destroy"] != "retain" and removed:
            undone = validation.request(olds)
            for arn in await self._unclaimed(call, [arn for arn in sorted(removed) if arn in before]):
                tasks[arn] = functools.partial(_remove, inputs["on_destroy"], undone, before[arn])
        run: Run[UpdateState | None] = await self.host.run(
            call, tasks, verb="changing", to=f" to {inputs['state']}", fleet=self.is_fleet
        )
        after = dict(before)
        for arn in tasks:
            done = run.results.done.get(arn)
            if done is not None:
                after[arn] = done
            elif arn in again and arn in run.results.progress:
                basis = before.get(arn, UpdateState())
                if rerun and basis.previous is not None:
                    # What an update with other inputs has begun may still be in the way of this one.
                    basis = replace(
                        basis,
                        previous=replace(
                            basis.previous,
                            lifecycle_execution_id=basis.lifecycle_execution_id,
                            status=basis.status,
                            deprecation_time=basis.deprecation_time or olds.get("update_at"),
                        ),
                    )
                after[arn] = _incomplete(basis, run.results.progress[arn])
        # What could not be undone for an image that left is still to be: as if it had not left yet.
        kept = {
            **inputs,
            **self.with_images(inputs, [arn for arn in removed if arn in tasks.keys() - run.results.done]),
        }
        state = {**kept, **self.outputs(FleetState(after), kept), CLIENT_TOKEN: digest(inputs.get("client_token"))}
        started = bool(run.results.done) or any(p.execution_id for p in run.results.progress.values())
        return Result(self.id_of(call, inputs), state, run.error, started)

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
"""The provider's own keys that a refresh keeps as they are."""


class StateUpdateHandler(UpdateHandler):
    """The life of a ``ResourceStateUpdate``."""

    kind = Kind.SINGLE
    is_fleet = False

    def images(self, properties: Properties) -> list[str]:
        """Return the image's ARN, if it is known."""
        arn = properties.get("resource_arn")
        return [arn] if isinstance(arn, str) and arn != UNKNOWN else []

    def id_of(self, call: Call, inputs: Properties) -> str:
        """Return the image's ARN."""
        arn: str = inputs["resource_arn"]
        return arn

    def states(self, state: Properties) -> FleetState:
        """Return the state of the one image."""
        return FleetState({state["resource_arn"]: UpdateState.from_state(state)} if "resource_arn" in state else {})

    def outputs(self, states: FleetState, inputs: Properties) -> dict[str, Any]:
        """Return the outputs of the one image, each at the top."""
        return states.images[inputs["resource_arn"]].to_state()

    def outputs_ahead(self, kept: FleetState, again: Collection[str], inputs: Properties) -> dict[str, Any]:
        """Return the outputs of the one image."""
        for state in kept.images.values():
            return state.to_state()
        return dict.fromkeys(OUTPUTS, UNKNOWN) | (
            {"client_token": inputs["client_token"]} if inputs.get("client_token") else {}
        )

    async def find(self, call: Call, id_: str) -> tuple[Properties | None, ImageBuilderError | None]:
        """Return the state of an image that is as if this resource had declared the state that it is in."""
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
    """The life of a ``FleetStateUpdate``."""

    kind = Kind.FLEET
    is_fleet = True

    def images(self, properties: Properties) -> list[str]:
        """Return the ARNs that are known."""
        arns = properties.get("resource_arns")
        return (
            [arn for arn in arns if isinstance(arn, str) and arn != UNKNOWN] if isinstance(arns, list | tuple) else []
        )

    def id_of(self, call: Call, inputs: Properties) -> str:
        """Return the resource's name; where the engine gives no URN, a digest of the images."""
        return call.name or f"fleet-{digest(' '.join(inputs['resource_arns']))}"[:20]

    def states(self, state: Properties) -> FleetState:
        """Return the states of the images."""
        return FleetState.from_state(state)

    def outputs(self, states: FleetState, inputs: Properties) -> dict[str, Any]:
        """Return the outputs by image."""
        return states.to_state(inputs["resource_arns"])

    def outputs_ahead(self, kept: FleetState, again: Collection[str], inputs: Properties) -> dict[str, Any]:
        """Return the outputs by image, as far as it is known which images there are."""
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
            {**before.to_state(), "image_state": IMAGE_GONE, LEFT: before.left or before.image_state, DRIFT: gone}
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
    """Return the declared change of one image, after the update that the state has.

    Args:
        arn: the image.
        inputs: what is declared.
        request: the parameters of the call.
        olds: the resource's state; empty at first.
        before: the image's state.
        rerun: whether other inputs than before are sent.
        fleet: whether the resource is a fleet.
    """
    # An update that has not ended well is continued, as the change that it was; with other inputs it is another one,
    # and what it started may be in the way.
    continued = before.previous is not None and not rerun
    basis, in_the_way = before.basis, before.basis if continued else before
    scheduled = in_the_way.deprecation_time or (not continued and olds.get("update_at"))
    token, triggers = inputs.get("client_token"), inputs.get("triggers")
    if fleet and token is not None:
        # The service takes a token for one image only: each gets one that is derived from it.
        token, triggers = None, [token, triggers]
    return Change(
        resource_arn=arn,
        request=request,
        triggers=triggers,
        client_token=token,
        follows=basis.client_token,
        superseded=in_the_way.lifecycle_execution_id,
        own_schedule=in_the_way.lifecycle_execution_id
        if scheduled and in_the_way.status in EXECUTION_UNFINISHED
        else None,
        schedule_elapsed=basis.status == "SUCCESS" and olds.get("update_at") == inputs.get("update_at"),
        wait=inputs["wait"],
    )


async def _remove(on_destroy: str, request: Mapping[str, Any], state: UpdateState, client: ImageClient) -> None:
    if on_destroy == "cancel":
        await cancel(state, client)
    else:
        await restore(state, request, client)


def _incomplete(before: UpdateState, progress: Progress) -> UpdateState:
    """Return the state of an update that was not carried out, or has not ended: the next run continues it."""
    if progress.execution_id is None or progress.blocking_execution:
        return replace(before, previous=before.basis)
    status = "IN_PROGRESS" if progress.status == STARTING else progress.status
    return replace(
        UpdateState(),
        lifecycle_execution_id=progress.execution_id,
        status=status,
        image_state=before.image_state,
        left=before.left,
        previous=before.basis,
    )


def _describe_drift(states: FleetState) -> str | None:
    """Return what differs from the declaration, equal words together; None where nothing does."""
    groups: dict[str, list[str]] = {}
    for arn, state in states.images.items():
        if state.drift:
            groups.setdefault(state.drift, []).append(arn)
    parts = [
        f"image {arns[0]}: {words}" if len(arns) == 1 else f"{len(arns)} images: {words}: {name_images(arns)}"
        for words, arns in groups.items()
    ]
    return "; ".join(parts) or None


def _describe_truncation(arn: str, outcome: Outcome) -> str:
    """Return that the outputs list only a part of the resources, and the command that lists all of them."""
    assert outcome.execution is not None
    return (
        f"the output `resources` holds only {MAX_RESOURCES} of the {len(outcome.resources)} resources; all are listed "
        f"by: aws imagebuilder list-lifecycle-execution-resources --region {arn.split(':')[3]} "
        f"--lifecycle-execution-id {outcome.execution.id} --parent-resource-id {arn}"
    )
