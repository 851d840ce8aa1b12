"""Read images: one by one, from lists, and many with few calls."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..aws.answers import OnRetry, answered_at
from ..errors import ImageBuilderError, ResourceNotFound, ServiceError
from ..validation import ImageArn
from .entities import GONE, PAGE_SIZE, Image

if TYPE_CHECKING:
    from ..aws.service import Service

BuildSummary = Mapping[str, Any]
"""One build as ``ListImageBuildVersions`` returns it."""

_ListScope = tuple[str, str, str]
"""Region, account and name in the ARN of the images that one list can contain."""


@dataclass(frozen=True)
class Page:
    """One page of builds.

    Args:
        builds: in the service's order; may be empty though more pages follow.
        as_of: the time by the service's clock.
    """

    builds: Sequence[BuildSummary]
    as_of: datetime


async def build_pages(
    service: Service,
    region: str,
    *,
    account: str | None = None,
    on_retry: OnRetry | None = None,
    **query: Any,
) -> AsyncIterator[Page]:
    """Yield the builds that an account has in a region, page by page.

    Args:
        service: where calls go.
        region: the region to call.
        account: the owner of the builds, for the account guard. Default: the caller's own.
        on_retry: called with a few words on why a call is retried.
        query: ``imageVersionArn`` for the builds of one version, or ``filters``.
    """
    pages = service.pages(
        "imagebuilder",
        region,
        "list_image_build_versions",
        account=account,
        on_retry=on_retry,
        maxResults=PAGE_SIZE,
        **query,
    )
    async for answer in pages:
        yield Page(answer.get("imageSummaryList", []), answered_at(answer))


@dataclass(frozen=True)
class Reading:
    """The result of reading an image.

    Args:
        image: the image; :data:`GONE` if it is not found, None if it may not be read.
        as_of: when it was read, by the service's clock; None if the service returned no image.
        error: why it could not be read; None for a refusal that concerns this image alone.
        name: the image's name as its recipe has it, which the ARN does not contain.
    """

    image: Image | None = None
    as_of: datetime | None = None
    error: ImageBuilderError | None = None
    name: str | None = field(default=None, repr=False, compare=False)


async def get_image(service: Service, arn: str, on_retry: OnRetry | None = None) -> Reading:
    """Read one image by ``GetImage``; an image that is not found is :data:`GONE`.

    Args:
        service: where calls go.
        arn: the image.
        on_retry: called with a few words on why a call is retried.

    Raises:
        ImageBuilderError: any other error.
    """
    parsed = ImageArn.parse(arn)
    try:
        answer = await service.call(
            "imagebuilder",
            parsed.region,
            "get_image",
            account=parsed.account,
            on_retry=on_retry,
            imageBuildVersionArn=arn,
        )
    except ResourceNotFound:
        return Reading(GONE)
    return Reading(Image.parse(answer["image"]), answered_at(answer), name=answer["image"].get("name"))


@dataclass
class _Listing:
    """The images of one scope that a list contained.

    Args:
        found: by ARN.
        ended_at: when the list was read to its end; None if it was not, or may not be read.
    """

    found: dict[str, Reading] = field(default_factory=dict)
    ended_at: datetime | None = None


class ImageBatchReader:
    """Reads images from lists; an image that a list lacks is read by ``GetImage``, so that only its 404 means gone.

    Args:
        service: where calls go.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._names: dict[_ListScope, str] = {}
        self._listed: set[str] = set()
        """The images that a list has contained."""

    async def read(
        self, arns: Iterable[str], *, deleted: Collection[str] = (), on_retry: OnRetry | None = None
    ) -> dict[str, Reading]:
        """Read images as they are now.

        Args:
            arns: the images.
            deleted: those that an execution has deleted completely: one that a list contained before and lacks now is
                gone, without another call.
            on_retry: called with a few words on why a call is retried.
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
        self, scope: _ListScope, arns: list[str], deleted: Collection[str], on_retry: OnRetry | None
    ) -> dict[str, Reading]:
        found: dict[str, Reading] = {}
        try:
            if len(arns) > 1:
                listing = await self._list(scope, arns, on_retry)
                found = listing.found
                if listing.ended_at is not None:
                    gone = [arn for arn in arns if arn in deleted and arn in self._listed and arn not in found]
                    found |= {arn: Reading(GONE, listing.ended_at) for arn in gone}
            missing = [arn for arn in arns if arn not in found]
            readings = await asyncio.gather(*(self._read_one(arn, on_retry) for arn in missing))
        except ImageBuilderError as error:
            return {arn: Reading(error=error) for arn in arns} | found
        return found | dict(zip(missing, readings, strict=True))

    async def _list(self, scope: _ListScope, arns: list[str], on_retry: OnRetry | None) -> _Listing:
        """Read a list that contains the images, page by page as long as that saves calls."""
        region, account, _ = scope
        wanted, versions = set(arns), {arn.rpartition("/")[0] for arn in arns}
        listing = _Listing()
        as_of, calls = None, 0
        try:
            query: dict[str, Any] = {"imageVersionArn": versions.pop()}
            if versions:
                name = await self._name(scope, arns[0], on_retry)
                if name is None:
                    return listing
                query = {"filters": [{"name": "name", "values": [name]}]}
            async for page in build_pages(self._service, region, account=account, on_retry=on_retry, **query):
                as_of = page.as_of
                builds = {build["arn"]: build for build in page.builds if build["arn"] in wanted}
                listing.found |= {arn: Reading(Image.parse(build), as_of) for arn, build in builds.items()}
                self._listed |= builds.keys()
                calls += 1
                if len(listing.found) == len(wanted) or calls >= len(wanted):
                    return listing
        except ServiceError:
            # Without permission to list, GetImage may still be allowed.
            return listing
        listing.ended_at = as_of
        return listing

    async def _name(self, scope: _ListScope, arn: str, on_retry: OnRetry | None) -> str | None:
        """Return the image's name as its recipe has it; None if the image is not found."""
        if scope not in self._names:
            name = (await get_image(self._service, arn, on_retry)).name
            if name is None:
                return None
            self._names[scope] = name
        return self._names[scope]

    async def _read_one(self, arn: str, on_retry: OnRetry | None) -> Reading:
        try:
            return await get_image(self._service, arn, on_retry)
        except ServiceError:
            # Skip it here; the member that needs it gets the error from its own GetImage call.
            return Reading()


class ReadBarrier:
    """Joins reads of images that tasks change side by side: a batch read starts when every member waits for one.

    Args:
        reader: reads the images.
        max_delay: the longest that a read waits for others, in seconds. Default: until every member waits.
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
        """Join the barrier: a batch read starts when every member waits for one."""
        self._members += 1
        try:
            yield
        finally:
            self._members -= 1
            self._start_if_all_wait()

    async def read(self, arn: str, *, deleted: bool = False, on_retry: OnRetry) -> Reading:
        """Read an image together with those that other members wait for.

        Args:
            arn: the image.
            deleted: whether an execution has deleted it completely.
            on_retry: called with a few words on why a call is made again.
        """
        loop = asyncio.get_running_loop()
        request = _Request(loop.create_future(), deleted, on_retry)
        self._pending.setdefault(arn, []).append(request)
        self._waiting += 1
        if self._alarm is None and self._max_delay is not None:
            self._alarm = loop.call_later(self._max_delay, self._start)
        # After tasks that have just started, so that all images of a fleet are in the first read.
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
    on_retry: OnRetry
