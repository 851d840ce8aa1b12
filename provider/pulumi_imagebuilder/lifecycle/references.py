"""Find what uses the AMIs of images: from images to their AMIs by region, to templates, groups, parameters, instances.

Deleting or disabling an AMI breaks everything that launches from it. So each kind of reference is read from AWS to the
last page, and what cannot be read is named and not left out.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..aws.answers import OnRetry
from ..errors import ConfigurationError, ImageBuilderError
from ..validation import ImageArn
from .amis import AccountRegion, Ami, Reference
from .entities import GONE, Image
from .images import get_image
from .region_survey import RegionSurvey, Use
from .shared_reads import SharedReads, gather_both, gather_or_cancel

if TYPE_CHECKING:
    from ..aws.service import Service

MAX_AGE = 60.0
"""Seconds that a read is reused."""

REGION_TIME_LIMIT = 120.0
"""Seconds without an answer after which a region times out: a change must not hang on a region that is down."""


@dataclass(frozen=True)
class NotLookedUp:
    """AMIs whose references are not known.

    Attributes:
        region: where they are.
        account_id: whose they are.
        reason: why they were not looked up.
        ami_ids: their ids; empty if the image's recipes or the image itself could not be read.
        error: why they could not be looked up; None for AMIs of another account, which are never looked up.
    """

    region: str
    account_id: str
    reason: str
    ami_ids: tuple[str, ...] = ()
    error: ImageBuilderError | None = field(default=None, repr=False, compare=False)


def failures(not_looked_up: Iterable[NotLookedUp]) -> list[NotLookedUp]:
    """Return the AMIs whose references should have been read and could not be."""
    return [missing for missing in not_looked_up if missing.error is not None]


@dataclass
class ImageReferences:
    """What uses the AMIs of one image.

    Attributes:
        arn: the image.
        amis: its AMIs that exist in its own account.
        used_by: what uses them; references that count first.
        not_looked_up: its AMIs whose references are not known.
    """

    arn: str
    amis: list[Ami]
    used_by: list[Reference]
    not_looked_up: list[NotLookedUp]

    @property
    def in_use(self) -> bool:
        """Whether deleting the AMIs would break something."""
        return any(reference.counts for reference in self.used_by)

    @property
    def failures(self) -> list[NotLookedUp]:
        """The AMIs whose references should have been read and could not be."""
        return failures(self.not_looked_up)


ImageReader = Callable[[Sequence[str], OnRetry], Awaitable[Mapping[str, Image]]]
"""Reads images, given ARNs and what to call when a call is retried. Images that it leaves out are read one by one."""


async def find_references(
    service: Service,
    arns: Iterable[str],
    *,
    images: Mapping[str, Mapping[str, Any]] | None = None,
    on_retry: OnRetry | None = None,
) -> dict[str, ImageReferences]:
    """Return what uses the AMIs of images, by ARN in the order given.

    Args:
        service: where calls go.
        arns: image build versions.
        images: those of them that were read already, as ``GetImage`` or ``ListImageBuildVersions`` returns them.
        on_retry: called with the reason when a call is retried.

    Raises:
        ConfigurationError: the configuration forbids an account. Any other error is in ``not_looked_up``.
    """
    survey = ReferenceSurvey(service)
    survey.keep_images(images or {})
    return await survey.find(arns, on_retry=on_retry)


class ReferenceSurvey:
    """Finds what uses the AMIs of images, and keeps it for a minute; shared by all resources of a run.

    Images, AMIs and uses that are asked for at about the same time are read with the same calls: 200 AMIs are described
    at once, references of ten are asked for, and templates, groups and recipes are read once a region.

    Args:
        service: where calls go.
        read_images: reads many images with few calls. Default: each by ``GetImage``.
        clock: a monotonic clock, in seconds.
        sleep: waits, in seconds.
        region_time_limit: seconds without an answer after which a region times out.
    """

    def __init__(
        self,
        service: Service,
        *,
        read_images: ImageReader | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        region_time_limit: float = REGION_TIME_LIMIT,
    ) -> None:
        self._service = service
        self._read_many = read_images
        self._clock = clock
        self._sleep = sleep
        self._region_time_limit = region_time_limit
        self._images = SharedReads(self._read_images, clock=clock, sleep=sleep)
        self._regions: dict[AccountRegion, RegionSurvey] = {}

    def keep_images(self, images: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep images that were read just now, by ARN."""
        for arn, image in images.items():
            self._images.keep(arn, Image.parse(image))

    async def read_images(
        self,
        arns: Iterable[str],
        *,
        max_age: float = MAX_AGE,
        along_with: Iterable[str] = (),
        on_retry: OnRetry | None = None,
    ) -> dict[str, Image | ImageBuilderError]:
        """Return images; :data:`~.entities.GONE` for one that is gone, an error for one that cannot be read.

        Args:
            arns: image build versions.
            max_age: seconds that an earlier read is reused.
            along_with: images that will be looked up soon.
            on_retry: called with the reason when a call is retried.
        """
        return await self._images.get(arns, self._clock() - max_age, along_with=along_with, on_retry=on_retry)

    async def find(
        self,
        arns: Iterable[str],
        *,
        max_age: float = MAX_AGE,
        along_with: Collection[str] = (),
        shared_with: Iterable[str] = (),
        skip_regions: Collection[str] = (),
        on_retry: OnRetry | None = None,
    ) -> dict[str, ImageReferences]:
        """Return what uses the AMIs of images, by ARN in the order given.

        Args:
            arns: image build versions.
            max_age: seconds that an earlier read is reused.
            along_with: images that will be looked up soon.
            shared_with: accounts to check for sharing.
            skip_regions: regions whose AMIs are left out.
            on_retry: called with the reason when a call is retried.

        Raises:
            ConfigurationError: the configuration forbids an account.
        """
        since = self._clock() - max_age
        wanted = list(dict.fromkeys(arns))
        images = await self.read_images(wanted, max_age=max_age, along_with=along_with, on_retry=on_retry)
        for image in images.values():
            if isinstance(image, ConfigurationError):
                raise image
        amis = {arn: _own_amis(arn, image, skip_regions) for arn, image in images.items()}
        places = _join_places(amis.values())
        homes = list(dict.fromkeys(_home_region(arn) for arn, own in amis.items() if own))

        def expected(place: AccountRegion) -> Iterator[str]:
            # A generator, so that this is computed only if a batch is opened: a thousand images call this in turn.
            for arn in along_with:
                yield from _own_amis(arn, self._images.peek(arn) or GONE, skip_regions).get(place, [])

        found, recipes = await gather_both(
            gather_or_cancel(
                self._region(place).find_uses(
                    ids, since, along_with=expected(place), shared_with=list(shared_with), on_retry=on_retry
                )
                for place, ids in places.items()
            ),
            gather_or_cancel(self._region(home).find_recipes(since, on_retry) for home in homes),
        )
        uses = dict(zip(places, found, strict=True))
        recipes_by_home = dict(zip(homes, recipes, strict=True))
        return {arn: _merge(arn, images[arn], amis[arn], uses, recipes_by_home, skip_regions) for arn in wanted}

    def _region(self, place: AccountRegion) -> RegionSurvey:
        if place not in self._regions:
            self._regions[place] = RegionSurvey(self._service, place, self._clock, self._sleep, self._region_time_limit)
        return self._regions[place]

    async def _read_images(
        self, arns: list[str], since: float, on_retry: OnRetry
    ) -> dict[str, Image | ImageBuilderError]:
        found: dict[str, Image | ImageBuilderError] = {}
        if self._read_many:
            found.update(await self._read_many(arns, on_retry))
        rest = [arn for arn in arns if arn not in found]
        return found | dict(
            zip(rest, await gather_or_cancel(self._read_image(arn, on_retry) for arn in rest), strict=True)
        )

    async def _read_image(self, arn: str, on_retry: OnRetry) -> Image | ImageBuilderError:
        try:
            reading = await get_image(self._service, arn, on_retry)
        except ImageBuilderError as error:
            return error
        return reading.image or GONE


def _home_region(arn: str) -> AccountRegion:
    """Return the account and region of an image's record and its recipes."""
    parsed = ImageArn.parse(arn)
    return AccountRegion(parsed.partition, parsed.account, parsed.region)


def _own_amis(
    arn: str, image: Image | ImageBuilderError, skip_regions: Collection[str]
) -> dict[AccountRegion, list[str]]:
    """Return the AMIs of an image in its own account, by account and region."""
    found: defaultdict[AccountRegion, list[str]] = defaultdict(list)
    if not isinstance(image, ImageBuilderError):
        home = _home_region(arn)
        for ami in image.amis:
            if ami.get("accountId", home.account) == home.account and ami["region"] not in skip_regions:
                found[replace(home, region=ami["region"])].append(ami["image"])
    return dict(found)


def _join_places(amis: Iterable[Mapping[AccountRegion, list[str]]]) -> dict[AccountRegion, list[str]]:
    found: defaultdict[AccountRegion, list[str]] = defaultdict(list)
    for own in amis:
        for place, ids in own.items():
            found[place] += ids
    return dict(found)


def _merge(
    arn: str,
    image: Image | ImageBuilderError,
    amis: Mapping[AccountRegion, list[str]],
    uses: Mapping[AccountRegion, Mapping[str, Use | ImageBuilderError]],
    recipes: Mapping[AccountRegion, Mapping[str, Sequence[Reference]] | ImageBuilderError],
    skip_regions: Collection[str],
) -> ImageReferences:
    """Return the references of one image from what was read of all."""
    home = _home_region(arn)
    if isinstance(image, ImageBuilderError):
        return ImageReferences(arn, [], [], [_failed(home, (), image)])
    found = ImageReferences(arn, [], [], _foreign(home.account, image, skip_regions))
    for place, ids in amis.items():
        failed: defaultdict[ImageBuilderError, list[str]] = defaultdict(list)
        for ami_id in ids:
            use = uses[place][ami_id]
            if isinstance(use, ImageBuilderError):
                failed[use].append(ami_id)
            elif use.ami:
                found.amis.append(use.ami)
                found.used_by.extend(use.used_by)
        found.not_looked_up.extend(_failed(place, ids, error) for error, ids in failed.items())
    by_arn = recipes[home] if amis else {}
    if isinstance(by_arn, ImageBuilderError):
        found.not_looked_up.append(_failed(home, (), by_arn))
    else:
        # A recipe that names the image's ARN uses the AMI of its own region, even if that region is skipped.
        target = next(iter(_own_amis(arn, image, ()).get(home, [])), arn)
        known = {(reference.arn, reference.ami_id) for reference in found.used_by}
        found.used_by.extend(
            replace(reference, ami_id=target)
            for reference in by_arn.get(arn, ())
            if (reference.arn, target) not in known
        )
    found.used_by.sort(key=lambda reference: reference.sort_key)
    return found


def _failed(place: AccountRegion, ami_ids: Iterable[str], error: ImageBuilderError) -> NotLookedUp:
    return NotLookedUp(place.region, place.account, error.reason, tuple(ami_ids), error)


def _foreign(account: str, image: Image, skip_regions: Collection[str]) -> list[NotLookedUp]:
    """Return the AMIs that belong to other accounts, whose templates and groups the caller cannot see."""
    ami_ids: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for ami in image.amis:
        if ami.get("accountId", account) != account and ami["region"] not in skip_regions:
            ami_ids[ami["region"], ami["accountId"]].append(ami["image"])
    reason = "it belongs to another account"
    return [NotLookedUp(region, owner, reason, tuple(ids)) for (region, owner), ids in ami_ids.items()]
