"""Many images read with few calls: from lists where they answer for enough of them, one by one where not."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..aws import Service, answered_at
from ..errors import ImageBuilderError, ResourceNotFound, ServiceError
from ..validation import ImageArn
from .entities import GONE, Image
from .listing import build_pages

_ListScope = tuple[str, str, str]
"""Region, account and name in the ARN: the images that one list can answer for."""


@dataclass(frozen=True)
class Reading:
    """What reading an image answered.

    Args:
        image: the image; :data:`GONE` where it is not found, None where it may not be read.
        as_of: when it was read, by the service's clock; None where nothing was answered.
        error: why it could not be read; None for a refusal that concerns this image alone.
    """

    image: Image | None = None
    as_of: datetime | None = None
    error: ImageBuilderError | None = None


class ImageBatchReader:
    """Reads images; what a list does not contain is asked for by itself, so that only the service's not-found counts.

    Args:
        service: where calls go.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._names: dict[_ListScope, str] = {}
        self._listed: set[str] = set()
        """The images that a list has contained."""

    async def read(
        self,
        arns: Iterable[str],
        *,
        deleted: Collection[str] = (),
        on_retry: Callable[[str], None] | None = None,
    ) -> dict[str, Reading]:
        """Read images as they are now.

        Args:
            arns: the images.
            deleted: those of them that an execution has deleted, with nothing left out: one that a list contained
                before and does not any more is gone, and is not asked for.
            on_retry: called with a few words on why a call is made again.
        """
        scopes: defaultdict[_ListScope, list[str]] = defaultdict(list)
        for arn in dict.fromkeys(arns):
            parsed = ImageArn.parse(arn)
            scopes[parsed.region, parsed.account, parsed.name].append(arn)
        parts = await asyncio.gather(
            *(self._read_scope(scope, arns, deleted, on_retry) for scope, arns in scopes.items())
        )
        return {arn: reading for part in parts for arn, reading in part.items()}

    async def _read_scope(
        self, scope: _ListScope, arns: list[str], deleted: Collection[str], on_retry: Callable[[str], None] | None
    ) -> dict[str, Reading]:
        found: dict[str, Reading] = {}
        try:
            as_of = await self._list(scope, arns, found, on_retry) if len(arns) > 1 else None
            if as_of is not None:
                gone = [arn for arn in arns if arn in deleted and arn in self._listed and arn not in found]
                found.update({arn: Reading(GONE, as_of) for arn in gone})
            missing = [arn for arn in arns if arn not in found]
            readings = await asyncio.gather(*(self._read_one(scope, arn, on_retry) for arn in missing))
        except ImageBuilderError as error:
            return {arn: Reading(error=error) for arn in arns} | found
        return found | dict(zip(missing, readings, strict=True))

    async def _list(
        self, scope: _ListScope, arns: list[str], found: dict[str, Reading], on_retry: Callable[[str], None] | None
    ) -> datetime | None:
        """Add those that a list contains, as long as it saves calls; its time if it was read to its end, else None."""
        region, account, _ = scope
        wanted, versions = set(arns), {arn.rpartition("/")[0] for arn in arns}
        as_of = None
        try:
            of: Any = {"imageVersionArn": versions.pop()}
            if versions:
                of = {"filters": [{"name": "name", "values": [await self._name(scope, arns[0], on_retry)]}]}
            calls = 0
            async for page in build_pages(self._service, region, account=account, on_retry=on_retry, **of):
                as_of = page.as_of
                found.update(
                    {
                        build["arn"]: Reading(Image.parse(build), as_of)
                        for build in page.builds
                        if build["arn"] in wanted
                    }
                )
                self._listed.update(found)
                calls += 1
                if len(found) == len(wanted) or calls >= len(wanted):
                    return None
        except ServiceError:
            # Whoever may not list may still be allowed to get each.
            return None
        return as_of

    async def _name(self, scope: _ListScope, arn: str, on_retry: Callable[[str], None] | None) -> str:
        """Return the image's name as it was given, which its ARN does not contain."""
        if scope not in self._names:
            self._names[scope] = (await self._get(scope, arn, on_retry))["image"]["name"]
        return self._names[scope]

    async def _read_one(self, scope: _ListScope, arn: str, on_retry: Callable[[str], None] | None) -> Reading:
        try:
            answer = await self._get(scope, arn, on_retry)
        except ResourceNotFound:
            return Reading(GONE)
        except ServiceError:
            # Skip it here; the member that needs it gets the error from its own GetImage call.
            return Reading()
        return Reading(Image.parse(answer["image"]), answered_at(answer))

    async def _get(self, scope: _ListScope, arn: str, on_retry: Callable[[str], None] | None) -> dict[str, Any]:
        region, account, _ = scope
        return await self._service.call(
            "imagebuilder", region, "get_image", account=account, on_retry=on_retry, imageBuildVersionArn=arn
        )


class ReadBarrier:
    """Joins reads of images that are worked on side by side: a read starts when all members at work wait for one.

    Args:
        reader: reads the images.
        max_delay: the longest that a read waits for others, in seconds. Default: until all members at work wait.
    """

    def __init__(self, reader: ImageBatchReader, max_delay: float | None = None) -> None:
        self._reader = reader
        self._max_delay = max_delay
        self._members = self._waiting = 0
        self._pending: dict[str, list[_Request]] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._reading: set[asyncio.Task[None]] = set()

    @contextmanager
    def membership(self) -> Iterator[None]:
        """Be at work on an image: reads of others wait for this member's."""
        self._members += 1
        try:
            yield
        finally:
            self._members -= 1
            self._start_if_all_wait()

    async def read(self, arn: str, *, deleted: bool = False, on_retry: Callable[[str], None]) -> Reading:
        """Read an image together with those that other members wait for.

        Args:
            arn: the image.
            deleted: whether an execution has deleted it, with nothing left out.
            on_retry: called with a few words on why a call is made again.
        """
        loop = asyncio.get_running_loop()
        request = _Request(loop.create_future(), deleted, on_retry)
        self._pending.setdefault(arn, []).append(request)
        self._waiting += 1
        if self._alarm is None and self._max_delay is not None:
            self._alarm = loop.call_later(self._max_delay, self._start)
        # Once others that have just begun had their turn, so that all of a fleet are in the first read.
        loop.call_soon(self._start_if_all_wait)
        try:
            return await request.answer
        finally:
            self._waiting -= 1
            if request in self._pending.get(arn, []):
                self._pending[arn].remove(request)

    def _start_if_all_wait(self) -> None:
        if self._pending and self._waiting >= self._members:
            self._start()

    def _start(self) -> None:
        if self._alarm:
            self._alarm.cancel()
        self._alarm = None
        pending, self._pending = {arn: found for arn, found in self._pending.items() if found}, {}
        if pending:
            task = asyncio.get_running_loop().create_task(self._read(pending))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

    async def _read(self, pending: dict[str, list[_Request]]) -> None:
        requests = [request for found in pending.values() for request in found]
        deleted = {arn for arn, found in pending.items() if any(request.deleted for request in found)}

        def on_retry(why: str) -> None:
            for request in requests:
                if not request.answer.done():
                    request.on_retry(why)

        try:
            readings = await self._reader.read(pending, deleted=deleted, on_retry=on_retry)
        except Exception as error:
            for request in requests:
                if not request.answer.done():
                    request.answer.set_exception(error)
            return
        for arn, found in pending.items():
            for request in found:
                if not request.answer.done():
                    request.answer.set_result(readings[arn])


@dataclass(frozen=True, eq=False)
class _Request:
    answer: asyncio.Future[Reading]
    deleted: bool
    on_retry: Callable[[str], None]
