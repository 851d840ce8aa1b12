"""Which builds exist: what a program asks of the service before it declares, as input for a fleet.

Nothing of boto3 is loaded before it is asked.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

import pulumi

from ..durations import clock, delta
from ..errors import ImageBuilderError, PermanentError, TemporaryError

T = TypeVar("T")

_LIMIT = 300.0
"""Seconds that a program waits for the service to answer."""

_VERSION = re.compile(r"arn:[^:]+:imagebuilder:([^:]+):[^:]+:image/[^/]+/[0-9]+\.[0-9]+\.[0-9]+")
_EXAMPLE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3"


@pulumi.output_type
class ImageBuildVersion(dict[str, Any]):
    """One build of one version of an image."""

    def __init__(self, **values: Any) -> None:
        super().__init__()
        for name, value in values.items():
            pulumi.set(self, name, value)

    @property
    @pulumi.getter
    def arn(self) -> str:
        """Its ARN, ``…:image/name/1.2.3/4``."""
        return str(pulumi.get(self, "arn"))

    @property
    @pulumi.getter
    def name(self) -> str:
        """The image's name as it was given; in the ARN it is in lower case and with hyphens."""
        return str(pulumi.get(self, "name"))

    @property
    @pulumi.getter
    def version(self) -> str:
        """The version without the build, ``1.2.3``."""
        return str(pulumi.get(self, "version"))

    @property
    @pulumi.getter
    def build(self) -> int:
        """The number of the build, from 1."""
        return int(pulumi.get(self, "build"))

    @property
    @pulumi.getter
    def state(self) -> str:
        """The state of the image record, as ``AVAILABLE`` or ``BUILDING``."""
        return str(pulumi.get(self, "state"))

    @property
    @pulumi.getter
    def type(self) -> str | None:
        """``AMI`` or ``DOCKER``."""
        found: str | None = pulumi.get(self, "type")
        return found

    @property
    @pulumi.getter
    def date_created(self) -> str:
        """When it was created, as the service writes it: RFC 3339."""
        return str(pulumi.get(self, "date_created"))

    @property
    @pulumi.getter
    def amis(self) -> list[dict[str, Any]]:
        """Its AMIs in all regions and accounts: ``region``, ``image`` (the id), ``account_id``, ``name``."""
        return list(pulumi.get(self, "amis"))

    @property
    @pulumi.getter
    def containers(self) -> list[dict[str, Any]]:
        """Its container images by region: ``region``, ``image_uris``."""
        return list(pulumi.get(self, "containers"))


def get_image_build_versions(
    image: str,
    *,
    states: Sequence[str] | None = None,
    older_than: str | timedelta | None = None,
    skip_newest: int = 0,
    region: str | None = None,
) -> list[ImageBuildVersion]:
    """Ask the service which builds of an image exist, in a preview too.

    Calls go out with the stack's ``aws:*`` configuration, as the provider's do. What fails for a while is asked again,
    for five minutes at most.

    Args:
        image: the name of an image, as it was given, for the builds of all its versions; or the ARN of one version,
            ``…:image/name/1.2.3``.
        states: only builds in one of these states, as ``["AVAILABLE", "DEPRECATED"]``. Default: in any.
        older_than: only builds that were created longer ago: ``"90d"``, ``"12h"``, ``"2w"`` or a timedelta, counted
            back from the time that it is for the service. Default: of any age.
        skip_newest: how many of the newest builds, in whatever state, are left out before the other filters apply.
            Default: 0.
        region: where an image given by its name is; an ARN has its own. Default: ``aws:region``, else boto3's.

    Returns:
        The builds, newest first by date created; those of the same instant by version and number of the build.
        Empty where there are none, and where there is no such image.

    Raises:
        pulumi.RunError: an argument is not valid, the service refused, or it did not answer in time. One line.
    """
    try:
        return _in_a_thread(_ask(image, states, older_than, skip_newest, region, _configured()))
    except ImageBuilderError as error:
        raise pulumi.RunError(str(error)) from None


def get_image_build_versions_output(
    image: pulumi.Input[str],
    *,
    states: pulumi.Input[Sequence[pulumi.Input[str]] | None] = None,
    older_than: pulumi.Input[str | timedelta | None] = None,
    skip_newest: pulumi.Input[int] = 0,
    region: pulumi.Input[str | None] = None,
) -> pulumi.Output[list[ImageBuildVersion]]:
    """:func:`get_image_build_versions` for inputs; asks as soon as they are known."""
    # A timedelta is no value that an output can hold by itself.
    inner = older_than if isinstance(older_than, timedelta) else None
    given = {
        "image": image,
        "states": states,
        "older_than": None if inner is not None else older_than,
        "skip_newest": skip_newest,
        "region": region,
    }

    def ask(known: Mapping[str, Any]) -> list[ImageBuildVersion]:
        return get_image_build_versions(**{**known, "older_than": inner or known["older_than"]})

    return pulumi.Output.from_input(given).apply(ask)


async def _ask(
    image: str,
    states: Sequence[str] | None,
    older_than: str | timedelta | None,
    skip_newest: int,
    region: str | None,
    config: Mapping[str, str | None],
) -> list[ImageBuildVersion]:
    from ..aws import Configuration, Service
    from ..lifecycle import builds

    age, wanted, skipped = _age(older_than), _states(states), _count(skip_newest)
    version = _version(image, region)
    service = Service(Configuration.parse(config.get))
    asked = f"listing the builds of image {image}"
    try:
        found, as_of = await asyncio.wait_for(
            builds.builds_of(service, version or region or service.default_region(), image, asked=asked), _LIMIT
        )
    except asyncio.TimeoutError:
        raise TemporaryError(f"{asked}: the service did not answer within {clock(_LIMIT)}") from None
    chosen = builds.chosen(found, as_of, states=wanted, older_than=age, skip_newest=skipped)
    return [ImageBuildVersion(**builds.described(build)) for build in chosen]


def _configured() -> dict[str, str | None]:
    """The stack's ``aws:*`` configuration; read here, for it belongs to the program's thread."""
    config = pulumi.Config("aws")
    names = ("profile", "accessKey", "secretKey", "token", "assumeRoles", "assumeRole", "endpoints", "region")
    return {f"aws:{name}": config.get(name) for name in names}


def _in_a_thread(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end: a program has an event loop of Pulumi's around it already."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()


def _version(image: str, region: str | None) -> str | None:
    """The region in the ARN of an image version; None for a name."""
    if not isinstance(image, str) or not image:
        raise PermanentError(f"image: {image!r} is not valid; expected the name of an image, or the ARN of a version")
    if not image.startswith("arn:"):
        return None
    match = _VERSION.fullmatch(image)
    if not match:
        raise PermanentError(
            f'image: "{image}" is not the ARN of an image version; expected an ARN such as "{_EXAMPLE}", '
            "without the number of a build, or the name of an image"
        )
    if region is not None and region != match[1]:
        raise PermanentError(f'region: "{region}" is not the region in "{image}"; leave it out')
    return match[1]


def _states(states: Sequence[str] | None) -> frozenset[str] | None:
    from ..lifecycle.builds import image_states

    if states is None:
        return None
    known = image_states()
    if isinstance(states, str) or not isinstance(states, Sequence | set | frozenset):
        raise PermanentError(f"states: {states!r} is not valid; expected a list of states, each one of {_list(known)}")
    for state in states:
        if state not in known:
            raise PermanentError(f"states: {state!r} is not valid; expected one of {_list(known)}")
    return frozenset(states)


def _age(older_than: str | timedelta | None) -> timedelta | None:
    if older_than is None:
        return None
    try:
        age = older_than if isinstance(older_than, timedelta) else delta(older_than)
    except ValueError as error:
        raise PermanentError(f"older_than: {error}") from None
    if age < timedelta(0):
        raise PermanentError(f"older_than: {older_than} is negative; expected an age such as 90d, 12h or 2w")
    return age


def _count(skip_newest: Any) -> int:
    # A number that has been an output of a resource is a double.
    if isinstance(skip_newest, bool) or not isinstance(skip_newest, int | float) or skip_newest != int(skip_newest):
        raise PermanentError(f"skip_newest: {skip_newest!r} is not valid; expected a whole number from 0")
    if skip_newest < 0:
        raise PermanentError(f"skip_newest: {skip_newest!r} is negative; expected a whole number from 0")
    return int(skip_newest)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
