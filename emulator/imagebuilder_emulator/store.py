"""The images and executions there are, and how they look to a client that reads them."""

from __future__ import annotations

import copy
import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from .catalog import Catalog
from .entities import Execution, Image
from .variants import Variants

CONSISTENCY_LAG = timedelta(seconds=1.5)
"""How long reads lag behind writes under the variant ``consistency=lag``."""

Entity = TypeVar("Entity")


class RecentWrites(Generic[Entity]):
    """Copies of entities as they were before the writes of the last moments; None before an entity was created."""

    def __init__(self) -> None:
        self._before: defaultdict[str, list[tuple[datetime, Entity | None]]] = defaultdict(list)

    def add(self, key: str, before: Entity | None, at: datetime) -> None:
        """Note how an entity was before a write at a time."""
        recent = [entry for entry in self._before[key] if entry[0] > at - CONSISTENCY_LAG]
        self._before[key] = [*recent, (at, before)]

    def lagging(self, key: str, current: Entity | None, now: datetime) -> Entity | None:
        """Return the entity as it was a moment ago."""
        for at, before in self._before.get(key, ()):
            if at > now - CONSISTENCY_LAG:
                return before
        return current


class Store:
    """All images and executions.

    Args:
        variants: readings that decide what a client sees.

    Attributes:
        images: the images by ARN.
        deleted: images that a state update has deleted, by ARN; a client sees them under some variants only.
        executions: the executions by id.
    """

    def __init__(self, variants: Variants) -> None:
        self.variants = variants
        self.images, self.deleted = Catalog(), Catalog()
        self.executions: dict[str, Execution] = {}
        self._by_image: defaultdict[str, list[str]] = defaultdict(list)
        self._by_policy: defaultdict[str, list[str]] = defaultdict(list)
        self._image_writes: RecentWrites[Image] = RecentWrites()
        self._execution_writes: RecentWrites[Execution] = RecentWrites()

    # --- writes ----------------------------------------------------------------------------------------------------

    def add_image(self, image: Image, at: datetime | None = None) -> None:
        """Put an image there.

        Args:
            image: the image.
            at: when a client created it; None for one that was there before, as in a seed.
        """
        self.deleted.pop(image.arn, None)
        self.images[image.arn] = image
        if at is not None and self._lags:
            self._image_writes.add(image.arn, None, at)

    def before_image_write(self, image: Image, at: datetime) -> None:
        """Keep an image as it is now, for reads that lag behind the write that follows."""
        if self._lags:
            self._image_writes.add(image.arn, copy.copy(image), at)

    def delete_image(self, image: Image, at: datetime) -> None:
        """Move an image to the deleted ones."""
        self.before_image_write(image, at)
        del self.images[image.arn]
        image.state = "DELETED"
        self.deleted[image.arn] = image

    def add_execution(self, execution: Execution, at: datetime | None = None) -> None:
        """Put an execution there, newer than those of its image before it.

        Args:
            execution: the execution.
            at: when a client started it; None for one that was there before.
        """
        self.executions[execution.id] = execution
        self._by_image[execution.image_arn].append(execution.id)
        if execution.policy_arn:
            self._by_policy[execution.policy_arn].append(execution.id)
        if at is not None and self._lags:
            self._execution_writes.add(execution.id, None, at)

    def before_execution_write(self, execution: Execution, at: datetime) -> None:
        """Keep an execution as it is now, for lists that lag behind the write that follows."""
        if self._lags:
            before = copy.copy(execution)
            before.impacts = [copy.copy(impact) for impact in execution.impacts]
            self._execution_writes.add(execution.id, before, at)

    # --- reads -----------------------------------------------------------------------------------------------------

    def visible_image(self, arn: str, now: datetime) -> Image | None:
        """Return an image as a client sees it; None where it sees none."""
        return self._visible(arn, self.images.get(arn) or self.deleted.get(arn), now)

    def visible_in_region(self, region: str, now: datetime) -> Iterable[Image]:
        """Return the images of a region as a client sees them, by name, version and build."""
        return self._all_visible(self.images.in_region(region), self.deleted.in_region(region), now)

    def visible_builds(self, version_arn: str, now: datetime) -> Iterable[Image]:
        """Return the builds of a version as a client sees them, oldest first."""
        return self._all_visible(self.images.builds(version_arn), self.deleted.builds(version_arn), now)

    def readable_execution(self, execution_id: str, now: datetime) -> Execution | None:
        """Return an execution; None where there is none, or none to be read yet."""
        execution = self.executions.get(execution_id)
        seen = self._execution_writes.lagging(execution_id, execution, now) if self._lags else execution
        return None if seen is None else execution

    def listed_execution(self, execution: Execution, now: datetime) -> Execution | None:
        """Return an execution as lists show it; None where they do not have it yet."""
        return self._execution_writes.lagging(execution.id, execution, now) if self._lags else execution

    def executions_of(self, image_arn: str) -> list[Execution]:
        """Return the executions of an image, newest first, those of lifecycle policies too."""
        return [self.executions[each] for each in reversed(self._by_image.get(image_arn, ()))]

    def executions_of_policy(self, policy_arn: str) -> list[Execution]:
        """Return the executions of a lifecycle policy, newest first."""
        return [self.executions[each] for each in reversed(self._by_policy.get(policy_arn, ()))]

    def unfinished_execution(self, image: Image) -> Execution | None:
        """Return the execution of an image that has not ended: one at a time, so it can only be the newest."""
        newest = self._by_image.get(image.arn)
        execution = self.executions[newest[-1]] if newest else None
        return execution if execution and execution.unfinished else None

    @property
    def _lags(self) -> bool:
        return self.variants["consistency"] == "lag"

    def _visible(self, arn: str, image: Image | None, now: datetime) -> Image | None:
        seen = self._image_writes.lagging(arn, image, now) if self._lags else image
        if seen is not None and seen.state == "DELETED" and arn in self.deleted:
            return seen if self.variants["deleted-image"] == "state" else None
        return seen

    def _all_visible(self, images: Iterable[Image], deleted: Iterable[Image], now: datetime) -> Iterable[Image]:
        if self.variants["deleted-image"] == "not-found" and not self._lags:
            return images
        return self._seen(heapq.merge(images, deleted, key=lambda image: image.sort_key), now)

    def _seen(self, images: Iterable[Image], now: datetime) -> Iterator[Image]:
        for image in images:
            seen = self._visible(image.arn, image, now)
            if seen is not None:
                yield seen
