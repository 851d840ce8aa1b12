"""The builds of images that there are: ``ListImageBuildVersions``, all its pages."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.session import get_session

from ..aws import Service
from ..rules import ImageArn

PAGE = 100
"""The most that the service puts on one page."""

Summary = Mapping[str, Any]
"""One build as ``ListImageBuildVersions`` tells of it."""


@dataclass(frozen=True)
class Page:
    """One page of builds.

    Args:
        builds: in the service's order.
        as_of: the time by the service's clock.
    """

    builds: Sequence[Summary]
    as_of: datetime


async def build_pages(
    service: Service, region: str, *, asked: str, on_retry: Callable[[str], None] | None = None, **of: Any
) -> AsyncIterator[Page]:
    """Page by page, the builds that this account has in a region.

    Args:
        service: where calls go.
        region: the region to call.
        asked: what is being done, for messages.
        on_retry: told in a few words why a call is being retried.
        of: ``imageVersionArn`` for those of one version, or ``filters``.
    """
    more: dict[str, str] = {}
    while True:
        answer = await service.call(
            region, "list_image_build_versions", asked=asked, on_retry=on_retry, maxResults=PAGE, **of, **more
        )
        yield Page(answer.get("imageSummaryList", []), answered_at(answer))
        if not answer.get("nextToken"):
            return
        more = {"nextToken": answer["nextToken"]}


async def builds_of(service: Service, region: str, image: str, *, asked: str) -> tuple[list[Summary], datetime]:
    """All builds of an image version, or of all versions by the name of the image, newest first; and the time it is.

    The order does not depend on the service's: by date created, then version, then number of the build, then ARN.

    Args:
        service: where calls go.
        region: the region to call.
        image: the ARN of an image version, or the name of an image.
        asked: what is being done, for messages.
    """
    of: dict[str, Any]
    of = {"imageVersionArn": image} if image.startswith("arn:") else {"filters": [{"name": "name", "values": [image]}]}
    found: dict[str, Summary] = {}
    as_of = datetime.now(timezone.utc)
    async for page in build_pages(service, region, asked=asked, **of):
        # A build that is created or deleted meanwhile moves the others: one may come on two pages.
        found.update({build["arn"]: build for build in page.builds})
        as_of = page.as_of
    return sorted(found.values(), key=_age, reverse=True), as_of


def chosen(
    newest_first: Sequence[Summary],
    as_of: datetime,
    *,
    states: Collection[str] | None = None,
    older_than: timedelta | None = None,
    skip_newest: int = 0,
) -> list[Summary]:
    """The builds that are asked for.

    Args:
        newest_first: all builds.
        as_of: the time that ages are counted back from.
        states: the states to choose. Default: all.
        older_than: only builds that were created longer ago. Default: all.
        skip_newest: how many of the newest are left out before the other choices apply.
    """
    return [
        build
        for build in newest_first[skip_newest:]
        if (states is None or build["state"]["status"] in states)
        and (older_than is None or created(build) < as_of - older_than)
    ]


def described(build: Summary) -> dict[str, Any]:
    """A build in the words of our own."""
    arn, under = ImageArn.parse(build["arn"]), build.get("outputResources", {})
    return {
        "arn": build["arn"],
        "name": build.get("name", arn.name),
        "version": arn.version,
        "build": int(arn.build),
        "state": build["state"]["status"],
        "type": build.get("type"),
        "date_created": build.get("dateCreated", ""),
        "amis": [
            {"region": ami.get("region"), "image": ami.get("image")}
            | {"account_id": ami.get("accountId"), "name": ami.get("name")}
            for ami in under.get("amis", [])
        ],
        "containers": [
            {"region": container.get("region"), "image_uris": list(container.get("imageUris", []))}
            for container in under.get("containers", [])
        ],
    }


def image_states() -> Sequence[str]:
    """All states that an image record can be in, from the service's model."""
    states: Sequence[str] = get_session().get_service_model("imagebuilder").shape_for("ImageStatus").enum
    return states


def created(build: Summary) -> datetime:
    """When a build was created; a date that cannot be read is the oldest there is."""
    text = re.sub(r"(\.\d{1,6})\d*", lambda fraction: fraction[1].ljust(7, "0"), build.get("dateCreated", ""))
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return datetime.min.replace(tzinfo=timezone.utc)
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)


def answered_at(answer: Mapping[str, Any]) -> datetime:
    """When an answer was sent, by the service's clock; ours stands in for an answer that does not say it."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return parsedate_to_datetime(date) if date else datetime.now(timezone.utc)


def _age(build: Summary) -> tuple[Any, ...]:
    arn = ImageArn.parse(build["arn"])
    return created(build), tuple(map(int, arn.version.split("."))), int(arn.build), build["arn"]
