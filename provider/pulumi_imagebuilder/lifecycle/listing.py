"""Choose the builds of an image to act on, and list what uses the AMIs of images: the two functions of the package."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Coroutine, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from ..durations import format_elapsed, parse_age
from ..errors import ImageBuilderError, PermanentError, TimedOut
from ..text import count
from ..validation import ImageArn, times
from ..validation.schema import installed
from . import references
from .images import BuildSummary, build_pages

if TYPE_CHECKING:
    from ..aws.service import Service

TIME_LIMIT = 300.0
"""Seconds that a function may take in all."""

SETTLED_STATES = ("AVAILABLE", "DEPRECATED", "DISABLED")
"""States of builds that succeeded and still exist: the default, and the only ones that `skip_newest` counts."""

_VERSION_EXAMPLE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3"

_REFERENCE_KEYS = {
    "amis": (
        "region",
        "image",
        "account_id",
        "state",
        "snapshots",
        "size_gib",
        "public",
        "last_launched",
        "deregistration_protection",
    ),
    "used_by": ("kind", "arn", "name", "detail", "image", "region"),
    "not_looked_up": ("region", "account_id", "reason"),
}
"""The keys of the outputs of :func:`find_image_references`."""

_ATTRIBUTES = {"image": "ami_id"}
"""The attribute of a key, where it is not the same."""

T = TypeVar("T")


async def find_build_versions(
    service: Service,
    image: str,
    *,
    states: Sequence[str] | None = None,
    older_than: str | timedelta | None = None,
    skip_newest: float = 0,
    deprecated_for: str | timedelta | None = None,
    unused: bool = False,
    region: str | None = None,
) -> list[dict[str, Any]]:
    """Return the chosen builds of an image as output dicts, newest first.

    All parameters after the first are the arguments of the public function ``getImageBuildVersions``, by name.

    Args:
        service: where calls go.
        image: the name of an image, or the ARN of an image version.
        states: the states to choose. Default: :data:`SETTLED_STATES`.
        older_than: choose builds that were created longer ago. Default: builds of any age.
        skip_newest: how many of the newest settled builds to leave out before anything else.
        deprecated_for: choose builds whose deprecation took effect longer ago. Default: all, deprecated or not.
        unused: whether to leave out builds with AMIs in use.
        region: the region of an image given by its name. Default: the configuration's.

    Raises:
        PermanentError: an argument is not valid; or the service refused.
        TimedOut: the service did not answer within :data:`TIME_LIMIT`.
    """
    _check_image(image)
    chosen_states = _parse_states(states)
    age, deprecation_age = _parse_age("older_than", older_than), _parse_age("deprecated_for", deprecated_for)
    skipped = _parse_count("skip_newest", skip_newest)
    if image.startswith("arn:"):
        region = _region_of_version(image, region)
    region = region or service.default_region()

    async def find() -> list[BuildSummary]:
        newest_first, as_of = await _list_builds(service, region, image)
        settled = [build for build in newest_first if _state(build) in SETTLED_STATES]
        kept = {build["arn"] for build in settled[:skipped]}
        found = [
            build
            for build in newest_first
            if build["arn"] not in kept
            and _state(build) in chosen_states
            and (age is None or as_of - created(build) > age)
            and (deprecation_age is None or _is_deprecated_for(build, deprecation_age, as_of))
        ]
        if unused and found:
            found = await _leave_out_used(service, found)
        return found

    return [_describe(build) for build in await _within_time_limit(f"listing the builds of image {image}", find())]


async def find_image_references(service: Service, resource_arns: Iterable[str]) -> list[dict[str, Any]]:
    """Return what uses the AMIs of images as output dicts, one an image in the order of the ARNs.

    All parameters after the first are the arguments of the public function ``getImageReferences``, by name.

    Args:
        service: where calls go.
        resource_arns: ARNs of image build versions.

    Raises:
        PermanentError: an ARN is not valid; or the service refused.
        TimedOut: not all was read within :data:`TIME_LIMIT`.
    """
    arns = _parse_arns(resource_arns)
    if not arns:
        return []
    action = f"looking for what uses the AMIs of {count(len(arns), 'image')}"
    found = await _within_time_limit(action, references.find_references(service, arns))
    return [
        {
            "arn": arn,
            **{output: _entries(getattr(found[arn], output), keys) for output, keys in _REFERENCE_KEYS.items()},
            "in_use": found[arn].in_use,
        }
        for arn in arns
    ]


def image_states() -> Sequence[str]:
    """Return all states that an image record can be in, from the service's model."""
    states: Sequence[str] = installed().service.shape_for("ImageStatus").enum
    return states


def created(build: BuildSummary) -> datetime:
    """Return when a build was created; a date that cannot be read is the oldest there is."""
    try:
        at = datetime.fromisoformat(build.get("dateCreated", ""))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


async def _list_builds(service: Service, region: str, image: str) -> tuple[list[BuildSummary], datetime]:
    """Return all builds of an image version, or of all versions of a name, newest first; and the service's time.

    The order does not depend on the service's: by date created, then version, then number of the build, then ARN.
    """
    by_version = image.startswith("arn:")
    account = image.split(":")[4] if by_version else ""
    query: dict[str, Any] = (
        {"imageVersionArn": image} if by_version else {"filters": [{"name": "name", "values": [image]}]}
    )
    found: dict[str, BuildSummary] = {}
    as_of = datetime.now(UTC)
    async for page in build_pages(service, region, account=account if account.isdigit() else None, **query):
        # A build that is created or deleted meanwhile shifts the pages, so that another may be on two of them.
        found.update({build["arn"]: build for build in page.builds if _is_of(build, image)})
        as_of = page.as_of
    return sorted(found.values(), key=_age_key, reverse=True), as_of


async def _leave_out_used(service: Service, builds: Sequence[BuildSummary]) -> list[BuildSummary]:
    """Return the builds that nothing uses.

    Raises:
        ImageBuilderError: what uses a build could not be read: it may be in use.
    """
    arns = [build["arn"] for build in builds]
    found = await references.find_references(service, arns, images={build["arn"]: build for build in builds})
    unused = [build for build in builds if not found[build["arn"]].in_use]
    for build in unused:
        for missing in found[build["arn"]].failures:
            assert missing.error is not None
            raise missing.error
    return unused


def _entries(found: Iterable[Any], keys: Sequence[str]) -> list[dict[str, Any]]:
    entries = [{key: getattr(entry, _ATTRIBUTES.get(key, key)) for key in keys} for entry in found]
    return [
        {key: list(value) if isinstance(value, tuple) else value for key, value in entry.items()} for entry in entries
    ]


def _is_of(build: BuildSummary, image: str) -> bool:
    """Return whether a build is of this image version or name: the service's filters match more."""
    if image.startswith("arn:"):
        return bool(build["arn"].rpartition("/")[0] == image)
    if "name" in build:
        return bool(build["name"] == image)
    # The name in the ARN is in lower case and with hyphens.
    return ImageArn.parse(build["arn"]).name.replace("_", "-") == re.sub("[ _]", "-", image.lower())


def _age_key(build: BuildSummary) -> tuple[Any, ...]:
    arn = ImageArn.parse(build["arn"])
    return created(build), tuple(map(int, arn.version.split("."))), int(arn.build), build["arn"]


def _state(build: BuildSummary) -> str:
    return str(build["state"]["status"])


def _is_deprecated_for(build: BuildSummary, age: timedelta, as_of: datetime) -> bool:
    """Return whether a build was deprecated longer ago and has not been restored.

    A build that was disabled later counts: a fleet that disables what was deprecated for a month has to keep declaring
    it. One without a time of deprecation does not.
    """
    at = build.get("deprecationTime")
    return at is not None and _state(build) != "AVAILABLE" and as_of - at > age


def _describe(build: BuildSummary) -> dict[str, Any]:
    arn, under, at = ImageArn.parse(build["arn"]), build.get("outputResources", {}), build.get("deprecationTime")
    return {
        "arn": build["arn"],
        "name": build.get("name", arn.name),
        "version": arn.version,
        "build": int(arn.build),
        "state": _state(build),
        "type": build.get("type"),
        "date_created": build.get("dateCreated", ""),
        "deprecation_time": times.text(at) if at else None,
        "amis": [
            {
                "region": ami.get("region"),
                "image": ami.get("image"),
                "account_id": ami.get("accountId"),
                "name": ami.get("name"),
            }
            for ami in under.get("amis", [])
        ],
        "containers": [
            {"region": container.get("region"), "image_uris": list(container.get("imageUris", []))}
            for container in under.get("containers", [])
        ],
    }


async def _within_time_limit(action: str, work: Coroutine[Any, Any, T]) -> T:
    """Await the work within the time limit; add to its errors what was attempted."""
    try:
        async with asyncio.timeout(TIME_LIMIT):
            return await work
    except TimeoutError:
        limit = format_elapsed(TIME_LIMIT)
        raise TimedOut(f"the service did not answer within {limit}", action=action) from None
    except ImageBuilderError as error:
        raise error.with_action(action) from None


def _check_image(image: Any) -> None:
    if not isinstance(image, str) or not image:
        raise PermanentError(f"image: {image!r} is not valid; expected the name of an image, or the ARN of a version")
    if any(wildcard in image for wildcard in "*?"):
        raise PermanentError(
            f'image: "{image}" has a wildcard, which would match several images as if they were one; '
            "expected the name of one image, or the ARN of a version"
        )


def _region_of_version(image: str, region: str | None) -> str:
    operation = installed().service.operation_model("ListImageBuildVersions")
    if not re.fullmatch(operation.input_shape.members["imageVersionArn"].metadata["pattern"], image):
        raise PermanentError(
            f'image: "{image}" is not the ARN of an image version; expected an ARN such as "{_VERSION_EXAMPLE}", '
            "without the number of a build, or the name of an image"
        )
    own = image.split(":")[3]
    if region is not None and region != own:
        raise PermanentError(f'region: "{region}" is not the region in "{image}"; leave it out')
    return own


def _parse_states(states: Any) -> Collection[str]:
    if states is None:
        return SETTLED_STATES
    known = image_states()
    if isinstance(states, str) or not isinstance(states, Sequence | set | frozenset):
        raise PermanentError(
            f"states: {states!r} is not valid; expected a list of states, each one of {', '.join(known)}"
        )
    for state in states:
        if state not in known:
            raise PermanentError(f"states: {state!r} is not valid; expected one of {', '.join(known)}")
    return frozenset(states)


def _parse_age(argument: str, age: Any) -> timedelta | None:
    if age is None:
        return None
    try:
        parsed = age if isinstance(age, timedelta) else parse_age(age)
    except ValueError as error:
        raise PermanentError(f"{argument}: {error}") from None
    if parsed < timedelta(0):
        raise PermanentError(f"{argument}: {age} is negative; expected an age such as 90d, 12h or 2w")
    return parsed


def _parse_count(argument: str, count: Any) -> int:
    # A number that has been an output of a resource is a double.
    if isinstance(count, bool) or not isinstance(count, int | float) or not float(count).is_integer():
        raise PermanentError(f"{argument}: {count!r} is not valid; expected a whole number from 0")
    if count < 0:
        raise PermanentError(f"{argument}: {count!r} is negative; expected a whole number from 0")
    return int(count)


def _parse_arns(resource_arns: Any) -> list[str]:
    if isinstance(resource_arns, str) or not isinstance(resource_arns, Sequence | set | frozenset):
        raise PermanentError(f"resource_arns: {resource_arns!r} is not valid; expected a list of ARNs")
    for arn in resource_arns:
        try:
            ImageArn.parse(arn if isinstance(arn, str) else repr(arn))
        except ValueError as error:
            raise PermanentError(f"resource_arns: {error}") from None
    return list(dict.fromkeys(resource_arns if isinstance(resource_arns, Sequence) else sorted(resource_arns)))
