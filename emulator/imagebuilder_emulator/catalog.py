"""All images, found by ARN, by version and by region without looking through the others."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterator, MutableMapping, Sequence
from operator import attrgetter

from .entities import Image, parse_version

_sort_key, _version_numbers = attrgetter("sort_key"), attrgetter("version_numbers")


class Catalog(MutableMapping[str, Image]):
    """The images by ARN, in the order they were put there."""

    def __init__(self) -> None:
        self._images: dict[str, Image] = {}
        self._regions: defaultdict[str, list[Image]] = defaultdict(list)
        self._names: defaultdict[str, list[Image]] = defaultdict(list)

    def __getitem__(self, arn: str) -> Image:
        return self._images[arn]

    def __setitem__(self, arn: str, image: Image) -> None:
        if arn in self._images:
            del self[arn]
        self._images[arn] = image
        for ordered in self._lists(image):
            bisect.insort(ordered, image, key=_sort_key)

    def __delitem__(self, arn: str) -> None:
        image = self._images.pop(arn)
        for ordered in self._lists(image):
            del ordered[bisect.bisect_left(ordered, image.sort_key, key=_sort_key)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._images)

    def __len__(self) -> int:
        return len(self._images)

    def in_region(self, region: str) -> Sequence[Image]:
        """Return the images of a region, by name, version and build."""
        return self._regions.get(region, ())

    def builds(self, version_arn: str) -> Sequence[Image]:
        """Return the builds of a version, oldest first; ``x`` in place of a number means any, as in ``1.x.x``."""
        stem, _, version = version_arn.rpartition("/")
        numbers = parse_version(version)
        known = self._names.get(stem)
        if known is None or numbers is None:
            return ()
        if len(numbers) < 3:
            return [image for image in known if image.version_numbers[: len(numbers)] == numbers]
        first = bisect.bisect_left(known, numbers, key=_version_numbers)
        last = bisect.bisect_right(known, numbers, key=_version_numbers)
        return [image for image in known[first:last] if image.version == version]

    def _lists(self, image: Image) -> tuple[list[Image], list[Image]]:
        return self._regions[image.region], self._names[image.name_arn]
