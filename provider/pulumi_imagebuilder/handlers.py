"""What happens in the life of each resource: validate, diff, create, update, read, delete; for both providers."""

from __future__ import annotations

import abc
import functools
import hashlib
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from . import validation
from .errors import ImageBuilderError
from .host import Call, Host, Run
from .lifecycle.apply import apply
from .lifecycle.change import Change
from .lifecycle.client import ImageClient
from .lifecycle.entities import EXECUTION_UNFINISHED, IMAGE_GONE, MAX_RESOURCES, Outcome
from .lifecycle.progress import STARTING, Progress, name_images
from .lifecycle.removal import cancel, clean_up, restore
from .lifecycle.state import CLIENT_TOKEN, DECLARED_AT, DRIFT, LEFT, FleetState, UpdateState, refresh
from .validation import UNKNOWN, Kind

Properties = Mapping[str, Any]

_MAX_NAMED = 10


@dataclass(frozen=True)
class Changed:
    """What has changed in a resource's declaration or at the service.

    Args:
        inputs: the inputs that differ.
        drift: what a refresh found to differ, in words.
        incomplete: whether an update is still to be carried out.
    """

    inputs: validation.InputDiff
    drift: str | None = None
    incomplete: bool = False

    def __bool__(self) -> bool:
        return bool(self.inputs or self.drift or self.incomplete)


@dataclass(frozen=True)
class Result:
    """What came of a create or an update.

    Args:
        id: the resource's id.
        state: what Pulumi is to keep.
        error: why it failed, in whole or in part; None when all is well.
    """

    id: str
    state: dict[str, Any]
    error: ImageBuilderError | None = None


class Handler(abc.ABC):
    """The life of one kind of resource."""

    kind: ClassVar[Kind]

    def __init__(self, host: Host) -> None:
        self.host = host

    def check(self, call: Call, olds: Properties, news: Properties) -> validation.Validated:
        """Validate and normalise the inputs, and take in which images the program declares."""
        self.host.claims.declare(call.urn, self.images(news))
        return validation.validate(self.kind, news, previous=olds or None)

    def changed(self, olds: Properties, news: Properties) -> Changed:
        """Return what differs in meaning between the state and the declaration."""
        declared = {**olds, "client_token": olds.get(CLIENT_TOKEN)}
        return Changed(validation.diff(self.kind, declared, {**news, "client_token": digest(news.get("client_token"))}))

    @abc.abstractmethod
    def images(self, properties: Properties) -> list[str]:
        """Return the ARNs, as far as they are known, of the images that some inputs or a state name."""

    @abc.abstractmethod
    async def create(self, call: Call, inputs: Properties) -> Result:
        """Create the resource."""

    @abc.abstractmethod
    async def update(self, call: Call, olds: Properties, news: Properties) -> Result:
        """Carry out what has changed."""

    @abc.abstractmethod
    async def read(self, call: Call, state: Properties) -> tuple[Properties | None, ImageBuilderError | None]:
        """Return the state as it is now; None where the resource is gone."""

    @abc.abstractmethod
    async def delete(self, call: Call, state: Properties) -> ImageBuilderError | None:
        """Delete the resource; return why it failed."""

    async def _unclaimed(self, call: Call, arns: Iterable[str]) -> list[str]:
        """Return the images that the program no longer declares; log that the others are left as they are."""
        arns = list(arns)
        unclaimed = await self.host.claims.unclaimed(call.urn, arns)
        claimed = [arn for arn in arns if arn not in unclaimed]
        if claimed:
            which = claimed[0] if len(claimed) == 1 else name_images(claimed)
            await self.host.engine.info(
                call.urn, f"left unchanged, because the program still declares it: image {which}"
            )
        return unclaimed


class UpdateHandler(Handler):
    """The life of a ``ResourceStateUpdate`` or a ``FleetStateUpdate``: a single resource is a fleet of one."""

    is_fleet: ClassVar[bool]

    @abc.abstractmethod
    def id_of(self, call: Call, inputs: Properties) -> str:
        """Return the resource's id."""

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

    async def update(self, call: Call, olds: Properties, news: Properties) -> Result:
        """Carry out what has changed: for all images, or for those alone that came, left, or are not as declared."""
        found, arns = self.changed(olds, news), self.images(news)
        again = arns if found.inputs.rerun else sorted(self.states(olds).incomplete(arns))
        return await self._apply(call, news, olds, again=again, removed=found.inputs.removed)

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
        for arn in again:
            change = declare(arn, inputs, request, olds, before.get(arn, UpdateState()), rerun, fleet=self.is_fleet)
            tasks[arn] = functools.partial(self._update_image, call, change)
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
                after[arn] = _incomplete(before.get(arn, UpdateState()), run.results.progress[arn])
        state = {**inputs, **self.outputs(FleetState(after), inputs), CLIENT_TOKEN: digest(inputs.get("client_token"))}
        return Result(self.id_of(call, inputs), state, run.error)

    async def _update_image(self, call: Call, change: Change, client: ImageClient) -> UpdateState:
        outcome = await apply(change, client)
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

    def _vanished(self, before: UpdateState) -> UpdateState | None:
        gone = "the image is gone, take it out of resource_arns"
        return UpdateState.from_state(
            {**before.to_state(), "image_state": IMAGE_GONE, LEFT: before.left or before.image_state, DRIFT: gone}
        )


class CleanupHandler(Handler):
    """The life of an ``ImageCleanup``, which acts when it leaves the program."""

    kind = Kind.CLEANUP

    def images(self, properties: Properties) -> list[str]:
        """Return the image's ARN, if it is known."""
        arn = properties.get("resource_arn")
        return [arn] if isinstance(arn, str) and arn != UNKNOWN else []

    async def create(self, call: Call, inputs: Properties) -> Result:
        """Keep what is to be deleted one day; no call."""
        # There may be a clean-up of the same image again later on, and what the one before it did is not its doing.
        return Result(inputs["resource_arn"], {**inputs, DECLARED_AT: str(time.time_ns())})

    async def update(self, call: Call, olds: Properties, news: Properties) -> Result:
        """Keep what is to be deleted one day; no call."""
        return Result(news["resource_arn"], {**news, DECLARED_AT: olds.get(DECLARED_AT)})

    async def read(self, call: Call, state: Properties) -> tuple[Properties | None, ImageBuilderError | None]:
        """Return the state as it is; None where the image is gone, which leaves nothing to clean up."""
        arn = state["resource_arn"]
        run = await self.host.run(call, {arn: ImageClient.find_image}, verb="reading", fleet=False)
        if run.error:
            return None, run.error
        return (None if run.results.done[arn].state == IMAGE_GONE else state), None

    async def delete(self, call: Call, state: Properties) -> ImageBuilderError | None:
        """Delete the image with what is under it, wait until that has ended, and log what was not deleted."""
        arn = state["resource_arn"]
        if not await self._unclaimed(call, [arn]):
            return None
        task = functools.partial(self._clean_up, state)
        run = await self.host.run(call, {arn: task}, verb="deleting", fleet=False)
        if run.error:
            return run.error
        outcome = run.results.done[arn]
        if outcome is None:
            await self.host.engine.warn(
                call.urn,
                f"image {arn} is gone already, and no lifecycle execution deleted it: AMIs, snapshots or containers of "
                "it that still exist are to be deleted by hand",
            )
        elif outcome.image.state != IMAGE_GONE:
            skipped = [resource for resource in outcome.resources if resource["status"] == "SKIPPED"]
            named = ", ".join(f"{each['resource_id']} ({each['region']})" for each in skipped[:_MAX_NAMED])
            more = f" and {len(skipped) - _MAX_NAMED} more" if len(skipped) > _MAX_NAMED else ""
            await self.host.engine.info(
                call.urn, f"the record of image {arn} is kept, because the exclusion rules left out {named}{more}"
            )
        return None

    async def _clean_up(self, state: Properties, client: ImageClient) -> Outcome | None:
        return await clean_up(validation.request(state), client, declared_at=state.get(DECLARED_AT))


HANDLERS: tuple[type[Handler], ...] = (StateUpdateHandler, FleetHandler, CleanupHandler)


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


def digest(token: str | None) -> str | None:
    """Return what distinguishes one declared token from another; it may be a secret, so the state has no more of it."""
    if token is None or token == UNKNOWN:
        return token
    return hashlib.sha256(token.encode()).hexdigest()
