"""Many images read with few calls: from lists where they tell of enough of them, one by one where not."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from ..aws import Service
from ..errors import ImageNotFound, ServiceRefused
from ..rules import ImageArn
from .builds import answered_at, build_pages
from .progress import Progress
from .records import GONE, Image

_Family = tuple[str, str, str]
"""Region, account and name in the ARN: what one list may tell of together."""


class Survey:
    """Reads images; what a list does not tell of is asked for by itself, so that only the service's not-found counts.

    Args:
        service: where calls go.
        progress: what is being done, and where retries are told.

    Attributes:
        began: the service's time at its first answer, by region.
    """

    def __init__(self, service: Service, progress: Progress) -> None:
        self.began: dict[str, datetime] = {}
        self._service = service
        self._progress = progress
        self._names: dict[_Family, str] = {}
        self._seen: set[str] = set()
        """The images that a list has told of."""

    async def read(self, arns: Iterable[str], *, deleted: Collection[str] = ()) -> dict[str, Image]:
        """The images as they stand; :data:`GONE` for those that are not found. Those that may not be read are left out.

        Args:
            arns: the images to read.
            deleted: those of them that an execution has deleted, with nothing left out: if a list told of them before
                and does not any more they are gone, and are not asked for.
        """
        families: defaultdict[_Family, list[str]] = defaultdict(list)
        for arn in dict.fromkeys(arns):
            parsed = ImageArn.parse(arn)
            families[parsed.region, parsed.account, parsed.name].append(arn)
        parts = await asyncio.gather(*(self._family(family, arns, deleted) for family, arns in families.items()))
        return {arn: image for part in parts for arn, image in part.items()}

    async def _family(self, family: _Family, arns: list[str], deleted: Collection[str]) -> dict[str, Image]:
        region = family[0]
        found: dict[str, Image] = {}
        complete = len(arns) > 1 and await self._listed(family, arns, found)
        if complete:
            found.update({arn: GONE for arn in arns if arn in deleted and arn in self._seen and arn not in found})
        asked = [arn for arn in arns if arn not in found]
        images = zip(asked, await asyncio.gather(*(self._one(region, arn) for arn in asked)), strict=True)
        return found | {arn: image for arn, image in images if image is not None}

    async def _listed(self, family: _Family, arns: list[str], found: dict[str, Image]) -> bool:
        """Add those that a list tells of; whether it was read to its end, and not only while it saved calls."""
        region, wanted = family[0], set(arns)
        versions = {arn.rpartition("/")[0] for arn in arns}
        try:
            of: Any = {"imageVersionArn": versions.pop()}
            if versions:
                of = {"filters": [{"name": "name", "values": [await self._name(family, arns[0])]}]}
            pages = build_pages(
                self._service, region, asked=self._progress.asked, on_retry=self._progress.retrying, **of
            )
            calls = 0
            async for page in pages:
                self.began.setdefault(region, page.as_of)
                found.update({build["arn"]: Image.parse(build) for build in page.builds if build["arn"] in wanted})
                self._seen.update(found)
                calls += 1
                if len(found) == len(wanted) or calls >= len(wanted):
                    return False
        except ServiceRefused:
            # Whoever may not list may still be allowed to ask for each.
            return False
        return True

    async def _name(self, family: _Family, arn: str) -> str:
        """The image's name as it was given, which its ARN does not tell."""
        if family not in self._names:
            self._names[family] = (await self._get(family[0], arn))["name"]
        return self._names[family]

    async def _one(self, region: str, arn: str) -> Image | None:
        try:
            return Image.parse(await self._get(region, arn))
        except ImageNotFound:
            return GONE
        except ServiceRefused:
            # Whoever needs this one asks again, and is told; the others are none of its business.
            return None

    async def _get(self, region: str, arn: str) -> dict[str, Any]:
        answer = await self._service.call(
            region,
            "get_image",
            asked=self._progress.asked,
            on_retry=self._progress.retrying,
            imageBuildVersionArn=arn,
        )
        self.began.setdefault(region, answered_at(answer))
        image: dict[str, Any] = answer["image"]
        return image
