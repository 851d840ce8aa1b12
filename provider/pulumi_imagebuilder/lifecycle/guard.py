"""Keep AMIs from being disabled or deleted while something uses them, or more of them than allowed.

:meth:`Guard.check` is called immediately before the first start of an image's execution, never before adopting one.
References that cannot be read count as in use: the guard fails closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from ..aws.answers import OnRetry
from ..durations import format_elapsed
from ..errors import ImageBuilderError, PermanentError
from .entities import GONE, IMAGE_GONE, IMAGE_UNSTABLE, Image
from .progress import Progress, group_images
from .references import MAX_AGE, ReferenceSurvey
from .verdict import AmiChange, Verdict, describe_unread

Mode = Literal["refuse", "wait", "warn", "ignore"]
"""The values of the argument ``in_use``."""

PREVIEW_TIME_LIMIT = 60.0
"""The most seconds that a preview takes."""

_FIRST_WAIT = 5.0
_LONGEST_WAIT = 60.0


@dataclass(frozen=True)
class PreviewText:
    """The messages of a preview.

    Attributes:
        size_line: what would be disabled or deleted; None if that is nothing, or not known.
        warnings: what `pulumi up` would refuse, wait for or mention.
    """

    size_line: str | None = None
    warnings: list[str] = field(default_factory=list)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Guard:
    """Decides whether the AMIs of one resource's images may be disabled or deleted in this run.

    Args:
        survey: finds what uses AMIs; shared by all resources of a run.
        mode: the argument ``in_use``.
        arns: the images that the run may change through the resource, which are counted and looked up together.
        max_amis: the most AMIs that the run disables or deletes through the resource. Default: no limit.
        awaits_build: whether `pulumi up` waits until images are built, before it calls :meth:`check`.
        now: the time that exclusion rules are compared with.
        sleep: waits, in seconds.
        preview_time_limit: the most seconds that a preview takes.
    """

    def __init__(
        self,
        survey: ReferenceSurvey,
        mode: Mode,
        arns: Iterable[str],
        *,
        max_amis: int | None = None,
        awaits_build: bool = False,
        now: Callable[[], datetime] = _utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        preview_time_limit: float = PREVIEW_TIME_LIMIT,
    ) -> None:
        self._survey = survey
        self._mode = mode
        self._max_amis = max_amis
        self._awaits_build = awaits_build
        self._arns = list(arns)
        self._undecided = set(self._arns)
        self._now = now
        self._sleep = sleep
        self._preview_time_limit = preview_time_limit
        self._most_amis: int | None = None

    async def check(
        self, arn: str, request: Mapping[str, Any], progress: Progress, warn: Callable[[str], None]
    ) -> None:
        """Return if the image's execution may be started; with ``wait``, as soon as it may.

        Args:
            arn: an image build version.
            request: parameters of ``StartResourceStateUpdate``.
            progress: receives what the guard waits for.
            warn: called with what is in use, if the mode is ``warn``.

        Raises:
            InUse: the AMIs are in use, or a region did not answer.
            PermanentError: there are more AMIs than ``max_amis``, or the image is being built, so that their number is
                not known; one is protected from deregistration; the caller lacks a permission to look them up.
        """
        change = AmiChange.parse(request)
        if change is None:
            return
        try:
            await self._check_max_amis(arn, change, progress.retrying)
            if self._mode != "ignore":
                await self._check_uses(arn, change, progress, warn)
        finally:
            self._undecided.discard(arn)
        progress.note = progress.in_use = None

    async def _check_uses(self, arn: str, change: AmiChange, progress: Progress, warn: Callable[[str], None]) -> None:
        verdict = await self._judge([arn], change, progress.retrying, along_with=self._undecided)
        wait = _FIRST_WAIT
        while error := verdict.error():
            if self._mode == "warn":
                warn(f'{error.reason}; continuing, as in_use is "warn"')
                return
            if self._mode == "refuse" or not verdict.may_pass:
                raise error
            progress.in_use = error.reason
            await self._sleep(wait)
            # What other waiting images have read meanwhile is new enough.
            verdict = await self._judge([arn], change, progress.retrying, max_age=wait / 2)
            wait = min(2 * wait, _LONGEST_WAIT)

    async def _check_max_amis(self, arn: str, change: AmiChange, on_retry: OnRetry) -> None:
        if self._max_amis is None:
            return
        if self._most_amis is None:
            # Once a run, before anything is started: later there would be fewer.
            self._most_amis = await self._count_amis(self._arns, change, on_retry)
        error = await self._refusal_by_max_amis([arn], self._most_amis, change)
        if error:
            raise error

    async def _refusal_by_max_amis(self, arns: Sequence[str], amis: int, change: AmiChange) -> ImageBuilderError | None:
        """Return why ``max_amis`` refuses to start the change of images; None if it does not.

        Args:
            arns: those of the images whose change is refused while they are being built.
            amis: how many AMIs the run would disable or delete.
            change: the change.
        """
        if self._max_amis is None:
            return None
        if amis > self._max_amis:
            return PermanentError(
                f"{amis} AMIs would be {change.state.lower()}, and max_amis is {self._max_amis}: nothing is started",
                next_step="check which images these are, then raise max_amis",
            )
        unbuilt = {
            arn: f"the image is {image.state}, and max_amis cannot be held against the AMIs that it will have"
            for arn, image in (await self._survey.read_images(arns)).items()
            if isinstance(image, Image) and image.state in IMAGE_UNSTABLE
        }
        if not unbuilt:
            return None
        reason = group_images(unbuilt) if len(arns) > 1 else unbuilt[arns[0]]
        return PermanentError(reason, next_step="run the same command again once it is built")

    async def _count_amis(self, arns: Sequence[str], change: AmiChange, on_retry: OnRetry) -> int:
        if self._mode == "ignore":
            return sum(map(len, (await self._read_regions(arns, change)).values()))
        return (await self._judge(arns, change, on_retry)).most_amis

    async def _read_regions(self, arns: Sequence[str], change: AmiChange) -> dict[str, list[str]]:
        """Return the regions of the AMIs of each image that exists, without calls to EC2."""
        found: dict[str, list[str]] = {}
        for arn, image in (await self._survey.read_images(arns)).items():
            if isinstance(image, ImageBuilderError):
                raise image
            if image.state != IMAGE_GONE:
                found[arn] = [ami["region"] for ami in image.amis if ami["region"] not in change.regions]
        return found

    async def _judge(
        self,
        arns: Sequence[str],
        change: AmiChange,
        on_retry: OnRetry | None,
        *,
        max_age: float = MAX_AGE,
        along_with: Collection[str] = (),
    ) -> Verdict:
        found = await self._survey.find(
            arns,
            max_age=max_age,
            along_with=along_with,
            shared_with=change.shared_accounts,
            skip_regions=change.regions,
            on_retry=on_retry,
        )
        return Verdict.judge(change, found.values(), self._now())

    async def preview(self, arns: Iterable[str], request: Mapping[str, Any]) -> PreviewText:
        """Return what `pulumi up` would disable or delete, and what it would refuse. Never raises.

        Args:
            arns: image build versions.
            request: as in :meth:`check`.
        """
        change = AmiChange.parse(request)
        if change is None:
            return PreviewText()
        try:
            async with asyncio.timeout(self._preview_time_limit):
                return await self._preview(list(arns), change)
        except TimeoutError:
            reason = f"there was no answer within {format_elapsed(self._preview_time_limit)}"
        except Exception as error:
            # A preview never fails: `pulumi up` reports the error.
            reason = str(error)
        return PreviewText(warnings=[f"what would be {change.state.lower()} is not known: {reason}"])

    async def _preview(self, arns: Sequence[str], change: AmiChange) -> PreviewText:
        refused_unbuilt = [] if self._awaits_build else arns
        if self._mode == "ignore":
            regions = await self._read_regions(arns, change)
            size_line = describe_unread(change, regions) if regions else None
            amis = sum(map(len, regions.values()))
            refusal = await self._refusal_by_max_amis(refused_unbuilt, amis, change)
            return PreviewText(size_line, [_would("refuse this", refusal)] if refusal else [])
        verdict = await self._judge(arns, change, None)
        images = [image for image in (await self._survey.read_images(arns)).values() if image != GONE]
        warnings = []
        refusal = await self._refusal_by_max_amis(refused_unbuilt, verdict.most_amis, change)
        error = verdict.error()
        if refusal:
            warnings.append(_would("refuse this", refusal))
        if error and self._mode == "warn":
            warnings.append(f'{error.reason}; `pulumi up` would continue, as in_use is "warn"')
        elif error:
            waits = self._mode == "wait" and verdict.may_pass
            warnings.append(_would("wait with this" if waits else "refuse this", error))
        return PreviewText(verdict.size_line(len(images)) if images else None, warnings)


def _would(verb: str, error: ImageBuilderError) -> str:
    return f"`pulumi up` would {verb}: {error}"
