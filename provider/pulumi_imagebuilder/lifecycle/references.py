"""What uses the AMIs of images: from images to their AMIs by region, to templates, groups, parameters and instances.

Who deletes or disables an AMI breaks whatever launches from it. So each kind is looked for where AWS knows it, to the
last page, and what cannot be looked up is named rather than left out.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..aws import Service
from ..errors import ConfigurationError, ImageBuilderError, ResourceNotFound
from ..validation import ImageArn
from .amis import KINDS, Ami, Place, Reference
from .entities import GONE, Image
from .region_survey import RegionSurvey, Use
from .shared_reads import Listener, SharedReads, run_all, run_both

MAX_AGE = 60.0
"""Seconds that what was read is believed."""

REGION_TIME_LIMIT = 120.0
"""Seconds without an answer after which a region is given up: a change must not hang on a region that is down."""


@dataclass(frozen=True)
class NotLookedUp:
    """AMIs of which it is not known what uses them.

    Attributes:
        region: where they are.
        account_id: whose they are.
        reason: why they were not looked up.
        images: their ids; empty where the image's recipes or the image itself could not be read.
        error: what kept them from being looked up; None for AMIs of another account, which are never looked at.
    """

    region: str
    account_id: str
    reason: str
    images: tuple[str, ...] = ()
    error: ImageBuilderError | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class ImageReferences:
    """What uses the AMIs of one image.

    Attributes:
        arn: the image.
        amis: its AMIs that are there, in its own account.
        used_by: what uses them, what counts first.
        not_looked_up: what is not known.
    """

    arn: str
    amis: list[Ami]
    used_by: list[Reference]
    not_looked_up: list[NotLookedUp]

    @property
    def in_use(self) -> bool:
        """Whether deleting the AMIs would take something away."""
        return any(reference.counts for reference in self.used_by)

    @property
    def failures(self) -> list[NotLookedUp]:
        """What should have been looked up and could not be."""
        return [missing for missing in self.not_looked_up if missing.error is not None]


ImageReader = Callable[[Sequence[str], Listener], Awaitable[Mapping[str, Image]]]
"""Reads images, given ARNs and what to call at a retry. Those that it leaves out are read one by one."""


async def find_references(
    service: Service,
    arns: Iterable[str],
    *,
    images: Mapping[str, Mapping[str, Any]] | None = None,
    on_retry: Listener | None = None,
) -> dict[str, ImageReferences]:
    """Return what uses the AMIs of images, by ARN in the order given.

    Args:
        service: where calls go.
        arns: image build versions.
        images: those of them that were read already, as ``GetImage`` or ``ListImageBuildVersions`` answer them.
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
        region_time_limit: seconds without an answer after which a region counts as not looked up.
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
        self._regions: dict[Place, RegionSurvey] = {}

    def keep_images(self, images: Mapping[str, Mapping[str, Any]]) -> None:
        """Take in images that were read moments ago, by ARN."""
        for arn, image in images.items():
            self._images.keep(arn, Image.parse(image))

    async def read_images(
        self,
        arns: Iterable[str],
        *,
        max_age: float = MAX_AGE,
        along_with: Iterable[str] = (),
        on_retry: Listener | None = None,
    ) -> dict[str, Image | ImageBuilderError]:
        """Return images; :data:`~.entities.GONE` for one that is gone, an error for one that cannot be read.

        Args:
            arns: image build versions.
            max_age: seconds that what was read before is believed.
            along_with: images that will be asked for soon.
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
        on_retry: Listener | None = None,
    ) -> dict[str, ImageReferences]:
        """Return what uses the AMIs of images, by ARN in the order given.

        Args:
            arns: image build versions.
            max_age: seconds that what was read before is believed.
            along_with: images that will be asked for soon.
            shared_with: accounts of which it is asked whether AMIs are shared with them.
            skip_regions: regions whose AMIs are of no interest.
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
        homes = list(dict.fromkeys(_home(arn) for arn, own in amis.items() if own))

        def expected(place: Place) -> Iterator[str]:
            # Made only if a batch is opened: a thousand images ask one after the other.
            for arn in along_with:
                yield from _own_amis(arn, self._images.peek(arn) or GONE, skip_regions).get(place, [])

        looks, recipes = await run_both(
            run_all(
                self._region(place).look(
                    ids, since, along_with=expected(place), shared_with=list(shared_with), on_retry=on_retry
                )
                for place, ids in places.items()
            ),
            run_all(self._region(home).find_recipes(since, on_retry) for home in homes),
        )
        uses = dict(zip(places, looks, strict=True))
        recipes_by_home = dict(zip(homes, recipes, strict=True))
        return {arn: _merge(arn, images[arn], amis[arn], uses, recipes_by_home, skip_regions) for arn in wanted}

    def _region(self, place: Place) -> RegionSurvey:
        if place not in self._regions:
            self._regions[place] = RegionSurvey(self._service, place, self._clock, self._sleep, self._region_time_limit)
        return self._regions[place]

    async def _read_images(
        self, arns: list[str], since: float, on_retry: Listener
    ) -> dict[str, Image | ImageBuilderError]:
        found: dict[str, Image | ImageBuilderError] = {}
        if self._read_many:
            found.update(await self._read_many(arns, on_retry))
        rest = [arn for arn in arns if arn not in found]
        return found | dict(zip(rest, await run_all(self._read_image(arn, on_retry) for arn in rest), strict=True))

    async def _read_image(self, arn: str, on_retry: Listener) -> Image | ImageBuilderError:
        parsed = ImageArn.parse(arn)
        try:
            answer = await self._service.call(
                "imagebuilder",
                parsed.region,
                "get_image",
                account=parsed.account,
                on_retry=on_retry,
                imageBuildVersionArn=arn,
            )
        except ResourceNotFound:
            return GONE
        except ImageBuilderError as error:
            return error
        return Image.parse(answer["image"])


def _home(arn: str) -> Place:
    """Return where an image's record and its recipes are."""
    parsed = ImageArn.parse(arn)
    return Place(parsed.partition, parsed.account, parsed.region)


def _own_amis(arn: str, image: Image | ImageBuilderError, skip_regions: Collection[str]) -> dict[Place, list[str]]:
    """Return the AMIs of an image in its own account, by place."""
    found: defaultdict[Place, list[str]] = defaultdict(list)
    if not isinstance(image, ImageBuilderError):
        home = _home(arn)
        for ami in image.amis:
            if ami.get("accountId", home.account) == home.account and ami["region"] not in skip_regions:
                found[replace(home, region=ami["region"])].append(ami["image"])
    return dict(found)


def _join_places(amis: Iterable[Mapping[Place, list[str]]]) -> dict[Place, list[str]]:
    found: defaultdict[Place, list[str]] = defaultdict(list)
    for own in amis:
        for place, ids in own.items():
            found[place] += ids
    return dict(found)


def _merge(
    arn: str,
    image: Image | ImageBuilderError,
    amis: Mapping[Place, list[str]],
    uses: Mapping[Place, Mapping[str, Use | ImageBuilderError]],
    recipes: Mapping[Place, Mapping[str, Sequence[Reference]] | ImageBuilderError],
    skip_regions: Collection[str],
) -> ImageReferences:
    """Return what is known of one image."""
    home = _home(arn)
    if isinstance(image, ImageBuilderError):
        return ImageReferences(arn, [], [], [_failed(home, (), image)])
    found = ImageReferences(arn, [], [], _foreign(home.account, image, skip_regions))
    for place, ids in amis.items():
        failed: defaultdict[ImageBuilderError, list[str]] = defaultdict(list)
        for image_id in ids:
            use = uses[place][image_id]
            if isinstance(use, ImageBuilderError):
                failed[use].append(image_id)
            elif use.ami:
                found.amis.append(use.ami)
                found.used_by.extend(use.used_by)
        found.not_looked_up.extend(_failed(place, ids, error) for error, ids in failed.items())
    by_arn = recipes[home] if amis else {}
    if isinstance(by_arn, ImageBuilderError):
        found.not_looked_up.append(_failed(home, (), by_arn))
    else:
        # By the image's ARN a recipe takes the AMI of its own region, be it one of a region that is skipped.
        target = next(iter(_own_amis(arn, image, ()).get(home, [])), arn)
        known = {(reference.arn, reference.image) for reference in found.used_by}
        found.used_by.extend(
            replace(reference, image=target)
            for reference in by_arn.get(arn, ())
            if (reference.arn, target) not in known
        )
    order = [*KINDS]
    found.used_by.sort(
        key=lambda reference: (
            not reference.counts,
            order.index(reference.kind) if reference.kind in order else len(order),
            reference.region,
            reference.name,
        )
    )
    return found


def _failed(place: Place, images: Iterable[str], error: ImageBuilderError) -> NotLookedUp:
    return NotLookedUp(place.region, place.account, error.reason, tuple(images), error)


def _foreign(account: str, image: Image, skip_regions: Collection[str]) -> list[NotLookedUp]:
    """Return the AMIs that belong to other accounts, whose templates and groups the caller cannot see."""
    images: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for ami in image.amis:
        if ami.get("accountId", account) != account and ami["region"] not in skip_regions:
            images[ami["region"], ami["accountId"]].append(ami["image"])
    reason = "it belongs to another account"
    return [NotLookedUp(region, owner, reason, tuple(ids)) for (region, owner), ids in images.items()]
