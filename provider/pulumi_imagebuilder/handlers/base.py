"""Do what all kinds of resources have in common: check, diff, the guard, and the preview's size line."""

from __future__ import annotations

import abc
import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import validation
from ..errors import ImageBuilderError, PermanentError
from ..host import Call, Host
from ..lifecycle.apply import BeforeStart
from ..lifecycle.change import Change
from ..lifecycle.client import ImageClient
from ..lifecycle.guard import Guard
from ..lifecycle.progress import name_images
from ..lifecycle.state import CLIENT_TOKEN
from ..lifecycle.verdict import AmiChange
from ..validation import UNKNOWN, Kind
from ..validation.schema import DEFAULTS, installed, members
from ..validation.values import has_unknown

Properties = Mapping[str, Any]

MAX_NAMED = 10
"""How many images or AMIs a message names."""


@dataclass(frozen=True)
class ResourceDiff:
    """The difference between a resource's declaration, its state and the service.

    Args:
        inputs: the inputs that differ.
        drift: how a refresh found the image to differ, in words.
        incomplete: whether an update is not complete.
    """

    inputs: validation.InputDiff
    drift: str | None = None
    incomplete: bool = False

    def __bool__(self) -> bool:
        return bool(self.inputs or self.drift or self.incomplete)


@dataclass(frozen=True)
class Result:
    """The result of a create or an update.

    Args:
        id: the resource's id.
        state: the new state.
        error: why it failed, in whole or in part; None if it did not.
        started: whether anything was started or done at the service; if not, the previous state is still valid.
    """

    id: str
    state: dict[str, Any]
    error: ImageBuilderError | None = None
    started: bool = True


@dataclass
class _Seen:
    """What the calls for one URN leave for those after them. The engine's order is check, diff, preview or the change.

    Attributes:
        in_preview: from ``check``, whether the dynamic provider runs in a preview; the native one calls ``preview``.
        replaced: from ``diff``, the state of a resource that is to be replaced.
        shown: the lines of the preview that are shown already: the engine checks what it replaces twice.
    """

    in_preview: bool = False
    replaced: Properties | None = None
    shown: tuple[str | None, ...] = ()


class Handler(abc.ABC):
    """Carries out the engine's calls for one kind of resource."""

    kind: ClassVar[Kind]

    def __init__(self, host: Host) -> None:
        self.host = host
        self._seen: defaultdict[str, _Seen] = defaultdict(_Seen)

    @property
    def arguments(self) -> Collection[str]:
        """The names of the resource's arguments."""
        return members(installed().declaration(self.kind))

    async def check(self, call: Call, olds: Properties, news: Properties) -> validation.Validated:
        """Validate and normalise the inputs, and claim the images that they declare.

        In the preview of a resource that is to be created, show what that would disable or delete.
        """
        state = news.get("state")
        conflicting = self.host.claims.declare(call.urn, self.images(news), state if state != UNKNOWN else None)
        for arn, (other, its_state) in list(conflicting.items())[:MAX_NAMED]:
            name = other.rpartition("::")[2]
            await self.host.engine.warn(
                call.urn,
                f"image {arn} is declared {state} here and {its_state} by {name}: the two take it from each other, so "
                "declare it once",
            )
        self._seen[call.urn].in_preview = call.dry_run
        checked = validation.validate(self.kind, news, previous=olds or None)
        if call.dry_run and not olds and not checked.failures:
            await self._show_size(call, *self.planned_update({}, checked.inputs, None))
        return checked

    async def diff(self, call: Call, olds: Properties, news: Properties) -> ResourceDiff:
        """Return the difference and show drift; in a preview show too what the change would disable or delete."""
        changed = self.compare(olds, news)
        if changed.drift:
            # Pulumi displays differences between inputs, and with drift there may be none.
            await self.host.engine.info(call.urn, f"{changed.drift}: `pulumi up` applies the declaration again")
        if changed.inputs.replace:
            self._seen[call.urn].replaced = olds
        if changed and self._seen[call.urn].in_preview:
            await self._show_size(call, *self.planned_update(olds, news, changed))
        return changed

    @abc.abstractmethod
    def planned_update(
        self, olds: Properties, news: Properties, changed: ResourceDiff | None
    ) -> tuple[Properties, Sequence[str]]:
        """Return the inputs that would be applied, and the images they would be applied to.

        Args:
            olds: the state; empty for a resource that is to be created.
            news: the inputs.
            changed: the difference; None for a resource that is to be created.
        """

    async def _show_size(self, call: Call, inputs: Properties, arns: Sequence[str]) -> None:
        """Show what an update would disable or delete, and why it would be refused."""
        if has_unknown(inputs) or not arns:
            return
        request = self._request(inputs)
        if AmiChange.parse(request) is None:
            return
        try:
            guard = self._guard(inputs, arns)
            text = await self.host.look_up("previewing", guard.preview(arns, request))
        except ImageBuilderError:
            # A configuration that cannot be used, which `pulumi up` reports; or the run was cancelled.
            return
        shown = (text.size_line, *text.warnings)
        if self._seen[call.urn].shown == shown:
            return
        self._seen[call.urn].shown = shown
        if text.size_line:
            await self.host.engine.info(call.urn, text.size_line)
        for warning in text.warnings:
            await self.host.engine.warn(call.urn, warning)

    def _guard(self, inputs: Properties, arns: Sequence[str]) -> Guard:
        mode = inputs.get("in_use") or DEFAULTS[self.kind]["in_use"]
        max_amis = inputs.get("max_amis")
        # Pulumi's state has every number as a double.
        limit = None if max_amis is None else int(max_amis)
        awaits_build = self.kind is Kind.CLEANUP
        return Guard(self.host.context.references, mode, arns, max_amis=limit, awaits_build=awaits_build)

    def _before_start(self, call: Call, inputs: Properties, arns: Sequence[str]) -> BeforeStart | None:
        """Return the hook that refuses to start while AMIs are in use; None if nothing is checked."""
        ignored = inputs.get("in_use") == "ignore" and inputs.get("max_amis") is None
        if ignored or AmiChange.parse(self._request(inputs)) is None:
            return None
        guard: Guard | None = None

        async def before_start(change: Change, client: ImageClient) -> None:
            nonlocal guard
            guard = guard or self._guard(inputs, arns)
            warnings: list[str] = []
            try:
                await guard.check(client.arn, change.request, client.progress, warnings.append)
            except ImageBuilderError as error:
                raise error.with_action(client.progress.action) from error
            for warning in warnings:
                await self.host.engine.warn(call.urn, f"image {client.arn}: {warning}")

        return before_start

    def compare(self, olds: Properties, news: Properties) -> ResourceDiff:
        """Return the difference in meaning between the state and the declaration."""
        declared = {**olds, "client_token": olds.get(CLIENT_TOKEN)}
        return ResourceDiff(
            validation.diff(self.kind, declared, {**news, "client_token": digest(news.get("client_token"))})
        )

    def images(self, properties: Properties) -> list[str]:
        """Return the known ARNs of the images that inputs or a state name."""
        arn = properties.get("resource_arn")
        return [arn] if isinstance(arn, str) and arn != UNKNOWN else []

    def id_of(self, call: Call, inputs: Properties) -> str:
        """Return the resource's id: the image's ARN."""
        arn: str = inputs["resource_arn"]
        return arn

    def _request(self, inputs: Properties) -> dict[str, Any]:
        """Return the parameters of the call that inputs or a state declare."""
        return validation.request(inputs)

    @abc.abstractmethod
    async def create(self, call: Call, inputs: Properties) -> Result:
        """Create the resource."""

    @abc.abstractmethod
    async def update(self, call: Call, olds: Properties, news: Properties) -> Result:
        """Carry out what has changed."""

    async def preview(self, call: Call, olds: Properties, inputs: Properties) -> Result:
        """Return the expected result of a create, or with a state of an update, and show the size line.

        Only the native provider calls this. The dynamic provider shows the size line in ``check`` and ``diff``.
        """
        before = olds or self._seen[call.urn].replaced
        if before:
            await self._show_size(call, *self.planned_update(before, inputs, self.compare(before, inputs)))
        if not olds:
            await self._show_size(call, *self.planned_update({}, inputs, None))
        return Result(self.id_of(call, inputs), self.planned_state(olds, inputs))

    def planned_state(self, olds: Properties, inputs: Properties) -> dict[str, Any]:
        """Return the state after a create or an update, as far as a preview knows it."""
        return dict(inputs)

    async def import_state(self, call: Call, id_: str) -> tuple[Properties | None, ImageBuilderError | None]:
        """Return the state to import for an id; None if there is no such image."""
        kind = self.kind.value
        error = PermanentError(f"{kind} cannot be imported", next_step="declare it, which starts nothing that is done")
        return None, error.with_action(f"importing {id_}")

    @abc.abstractmethod
    async def read(self, call: Call, state: Properties) -> tuple[Properties | None, ImageBuilderError | None]:
        """Return the state as it is now; None if the resource is gone."""

    @abc.abstractmethod
    async def delete(self, call: Call, state: Properties) -> ImageBuilderError | None:
        """Delete the resource; return why it failed."""

    async def _unclaimed(self, call: Call, arns: Iterable[str]) -> list[str]:
        """Return the images that the program no longer declares; log that the others are left as they are."""
        arns = list(arns)
        unclaimed = await self.host.claims.unclaimed(arns)
        claimed = [arn for arn in arns if arn not in unclaimed]
        if claimed:
            which = claimed[0] if len(claimed) == 1 else name_images(claimed)
            await self.host.engine.info(
                call.urn, f"left unchanged, because the program still declares it: image {which}"
            )
        return unclaimed


def digest(token: str | None) -> str | None:
    """Return a digest of a declared token: it may be a secret, so the state holds only this."""
    if token is None or token == UNKNOWN:
        return token
    return hashlib.sha256(token.encode()).hexdigest()
