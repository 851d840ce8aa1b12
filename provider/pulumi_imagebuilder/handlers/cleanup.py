"""Carry out the engine's calls for an ``ImageCleanup``, which acts when it leaves the program."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import Any

from .. import validation
from ..errors import ImageBuilderError
from ..host import Call
from ..lifecycle.apply import BeforeStart
from ..lifecycle.client import ImageClient
from ..lifecycle.entities import IMAGE_GONE, Outcome
from ..lifecycle.removal import clean_up, with_resources
from ..lifecycle.state import DECLARED_AT
from ..text import enumerate_words
from ..validation import Kind
from ..validation.values import has_unknown
from .base import MAX_NAMED, Handler, Properties, ResourceDiff, Result


class CleanupHandler(Handler):
    """Carries out the engine's calls for an ``ImageCleanup``."""

    kind = Kind.CLEANUP

    def _request(self, inputs: Properties) -> dict[str, Any]:
        return with_resources(validation.request(inputs), None)

    async def create(self, call: Call, inputs: Properties) -> Result:
        """Record what to delete; makes no call."""
        # Tells this clean-up apart from earlier ones of the image, whose deletion it must not adopt.
        return Result(self.id_of(call, inputs), {**inputs, DECLARED_AT: str(time.time_ns())})

    async def update(self, call: Call, olds: Properties, news: Properties) -> Result:
        """Record what to delete; makes no call."""
        return Result(self.id_of(call, news), {**news, DECLARED_AT: olds.get(DECLARED_AT)})

    async def read(self, call: Call, state: Properties) -> tuple[Properties | None, ImageBuilderError | None]:
        """Return the state as it is; None if the image is gone, which leaves nothing to clean up."""
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
        task = functools.partial(self._clean_up, state, self._before_start(call, state, [arn]))
        run = await self.host.run(call, {arn: task}, verb="deleting", fleet=False, schedule_key=IMAGE_GONE)
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
            named = enumerate_words((f"{each['resource_id']} ({each['region']})" for each in skipped), MAX_NAMED)
            await self.host.engine.info(
                call.urn, f"the record of image {arn} is kept, because the exclusion rules left out {named}"
            )
        return None

    async def _clean_up(
        self, state: Properties, before_start: BeforeStart | None, client: ImageClient
    ) -> Outcome | None:
        request, declared_at = validation.request(state), state.get(DECLARED_AT)
        return await clean_up(request, client, declared_at=declared_at, before_start=before_start)

    def planned_update(
        self, olds: Properties, news: Properties, changed: ResourceDiff | None
    ) -> tuple[Properties, Sequence[str]]:
        """Return the clean-up of the previous image, which a replacement carries out."""
        if changed is None or not changed.inputs.replace or has_unknown(news.get("resource_arn")):
            return {}, []
        return olds, self.images(olds)
