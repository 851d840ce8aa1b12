"""What all resources have in common: validate, diff, and show what would be taken away."""

from __future__ import annotations

import abc
import hashlib
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
        started: whether anything was started or done at the service; else what Pulumi had before is still right.
    """

    id: str
    state: dict[str, Any]
    error: ImageBuilderError | None = None
    started: bool = True


class Handler(abc.ABC):
    """The life of one kind of resource."""

    kind: ClassVar[Kind]

    def __init__(self, host: Host) -> None:
        self.host = host
        self._in_preview: dict[str, bool] = {}
        """By URN, whether the program that declares it runs in a preview."""
        self._replaced: dict[str, Properties] = {}
        """By URN, the state of a resource that is to be replaced."""
        self._shown: dict[str, tuple[str | None, ...]] = {}
        """By URN, what the preview has shown: Pulumi checks what it replaces twice."""

    @property
    def arguments(self) -> Collection[str]:
        """The names of the resource's arguments."""
        return members(installed().declaration(self.kind))

    async def check(self, call: Call, olds: Properties, news: Properties) -> validation.Validated:
        """Validate and normalise the inputs, and take in which images the program declares.

        In the preview of a resource that is to be created, show what that would take away.
        """
        state = news.get("state")
        others = self.host.claims.declare(call.urn, self.images(news), state if state != UNKNOWN else None)
        for arn, (other, its_state) in list(others.items())[:MAX_NAMED]:
            name = other.rpartition("::")[2]
            await self.host.engine.warn(
                call.urn,
                f"image {arn} is declared {state} here and {its_state} by {name}: the two take it from each other, so "
                "declare it once",
            )
        self._in_preview[call.urn] = call.dry_run
        checked = validation.validate(self.kind, news, previous=olds or None)
        if call.dry_run and not olds and not checked.failures:
            await self._show_size(call, *self.takes_away({}, checked.inputs, None))
        return checked

    async def diff(self, call: Call, olds: Properties, news: Properties) -> Changed:
        """Return what differs, and show what drifted; in a preview, what the change would take away too."""
        changed = self.changed(olds, news)
        if changed.drift:
            # Pulumi displays a difference between inputs, and here there may be none.
            await self.host.engine.info(call.urn, f"{changed.drift}: `pulumi up` applies the declaration again")
        if changed.inputs.replace:
            self._replaced[call.urn] = olds
        if changed and self._in_preview.get(call.urn):
            await self._show_size(call, *self.takes_away(olds, news, changed))
        return changed

    @abc.abstractmethod
    def takes_away(
        self, olds: Properties, news: Properties, changed: Changed | None
    ) -> tuple[Properties, Sequence[str]]:
        """Return what is to be carried out for which images.

        Args:
            olds: the state; empty for a resource that is to be created.
            news: the inputs.
            changed: what differs; None for a resource that is to be created.

        Returns:
            The inputs that are carried out, and the images.
        """

    async def _show_size(self, call: Call, inputs: Properties, arns: Sequence[str]) -> None:
        """Show what an update would take away, and what it would be refused for."""
        request = {} if has_unknown(inputs) or not arns else validation.request(inputs)
        if not request or AmiChange.parse(request) is None:
            return
        try:
            text = await self._guard(inputs, arns).preview(arns, request)
        except ImageBuilderError:
            # `pulumi up` meets the error itself: a preview does not fail for what it would have shown.
            return
        shown = (text.size_line, *text.warnings)
        if self._shown.get(call.urn) == shown:
            return
        self._shown[call.urn] = shown
        if text.size_line:
            await self.host.engine.info(call.urn, text.size_line)
        for warning in text.warnings:
            await self.host.engine.warn(call.urn, warning)

    def _guard(self, inputs: Properties, arns: Sequence[str]) -> Guard:
        mode = inputs.get("in_use") or DEFAULTS[self.kind]["in_use"]
        max_amis = inputs.get("max_amis")
        # Pulumi's state has every number as a double.
        limit = None if max_amis is None else int(max_amis)
        return Guard(self.host.session.references, mode, max_amis=limit, arns=arns)

    def _before_start(self, call: Call, inputs: Properties, arns: Sequence[str]) -> BeforeStart | None:
        """Return what is called before an execution is started: it keeps AMIs that are in use."""
        ignored = inputs.get("in_use") == "ignore" and inputs.get("max_amis") is None
        if ignored or AmiChange.parse(validation.request(inputs)) is None:
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

    async def preview(self, call: Call, olds: Properties, inputs: Properties) -> Result:
        """Return what a create, or with a state an update, would come to, and show what it would take away.

        Of the native provider alone, which a preview asks for it: the dynamic one shows that in its check and diff.
        """
        before = olds or self._replaced.get(call.urn)
        if before:
            await self._show_size(call, *self.takes_away(before, inputs, self.changed(before, inputs)))
        if not olds:
            await self._show_size(call, *self.takes_away({}, inputs, None))
        return Result(self.id_of(call, inputs), self.forecast(olds, inputs))

    def forecast(self, olds: Properties, inputs: Properties) -> dict[str, Any]:
        """Return the state after a create or an update, as far as it is known beforehand."""
        return dict(inputs)

    @abc.abstractmethod
    def id_of(self, call: Call, inputs: Properties) -> str:
        """Return the resource's id."""

    async def find(self, call: Call, id_: str) -> tuple[Properties | None, ImageBuilderError | None]:
        """Return the state of something that no state is known of, to import it; None where there is none."""
        kind = self.kind.value
        error = PermanentError(f"{kind} cannot be imported", next_step="declare it, which starts nothing that is done")
        return None, error.with_action(f"importing {id_}")

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


def digest(token: str | None) -> str | None:
    """Return what distinguishes one declared token from another; it may be a secret, so the state has no more of it."""
    if token is None or token == UNKNOWN:
        return token
    return hashlib.sha256(token.encode()).hexdigest()
