"""Functions that ask AWS while the program runs, in a preview too: which builds exist, and what uses them.

boto3 is loaded when it is needed, which it is not under Pulumi's mocks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import get_monitor

from ..errors import ImageBuilderError
from ..names import to_camel_case, with_snake_case
from ..validation.values import whole_numbers

if TYPE_CHECKING:
    from ..aws.service import Service

Listing = list[dict[str, Any]]


@pulumi.output_type
class ImageBuildVersion(dict[str, Any]):
    """One build of one version of an image."""

    arn: str = pulumi.property("arn")
    """Its ARN, ``…:image/name/1.2.3/4``."""

    name: str = pulumi.property("name")
    """The image's name as it was given; in the ARN it is in lower case and with hyphens."""

    version: str = pulumi.property("version")
    """The version without the build, ``1.2.3``."""

    build: int = pulumi.property("build")
    """The number of the build, from 1."""

    state: str = pulumi.property("state")
    """The state of the image record, as ``AVAILABLE`` or ``BUILDING``."""

    type: str | None = pulumi.property("type")
    """``AMI`` or ``DOCKER``."""

    date_created: str = pulumi.property("date_created")
    """When it was created, as the service writes it: RFC 3339."""

    deprecation_time: str | None = pulumi.property("deprecation_time")
    """When it is, or was, deprecated, RFC 3339 in UTC; None if no such time is known."""

    amis: list[dict[str, Any]] = pulumi.property("amis")
    """Its AMIs in all regions and accounts: ``region``, ``image`` (the id), ``account_id``, ``name``."""

    containers: list[dict[str, Any]] = pulumi.property("containers")
    """Its container images by region: ``region``, ``image_uris``."""


@pulumi.output_type
class ImageReferences(dict[str, Any]):
    """The AMIs of one image build version, and what still uses them."""

    arn: str = pulumi.property("arn")
    """ARN of the image build version."""

    amis: list[dict[str, Any]] = pulumi.property("amis")
    """Its AMIs in its own account, those that are gone included.

    Keys: ``region``, ``image`` (the id), ``account_id``, ``state``, ``snapshots`` (ids), ``size_gib``, ``public``,
    ``last_launched`` and ``deregistration_protection``.
    """

    used_by: list[dict[str, Any]] = pulumi.property("used_by")
    """What uses them, what counts first.

    Keys: ``kind``, ``arn``, ``name``, ``detail``, ``image`` (the AMI's id) and ``region``.
    """

    not_looked_up: list[dict[str, Any]] = pulumi.property("not_looked_up")
    """What is not known: ``region``, ``account_id``, ``reason``. AMIs of other accounts are never looked up."""

    in_use: bool = pulumi.property("in_use")
    """Whether one of its AMIs is in use."""


def get_image_build_versions(
    image: str,
    *,
    states: Sequence[str] | None = None,
    older_than: str | timedelta | None = None,
    skip_newest: int = 0,
    deprecated_for: str | timedelta | None = None,
    unused: bool = False,
    region: str | None = None,
) -> list[ImageBuildVersion]:
    """Return the builds of an image: what a program acts on, for example with a :class:`FleetStateUpdate`.

    Calls are made with the stack's whole ``aws:*`` configuration, as the resources make theirs, and transient errors
    are retried for five minutes at most.

    Args:
        image: the name of an image, letter for letter and without wildcards, for the builds of all its versions; or
            the ARN of one version, ``…:image/name/1.2.3``.
        states: only builds in one of these states, as ``["AVAILABLE", "FAILED"]``. Default: ``AVAILABLE``,
            ``DEPRECATED`` and ``DISABLED``.
        older_than: only builds that were created longer ago: ``"90d"``, ``"12h"``, ``"2w"`` or a timedelta, counted
            back from the service's time. Default: of any age.
        skip_newest: how many of the newest builds to leave out before all other filters. Only builds that are
            ``AVAILABLE``, ``DEPRECATED`` or ``DISABLED`` are counted. Default: 0.
        deprecated_for: only builds whose deprecation took effect longer ago, in the forms of ``older_than``; builds
            that were disabled after it are among them, restored ones are not. Default: deprecated or not.
        unused: whether to leave out builds whose AMIs :func:`get_image_references` finds in use; what cannot be looked
            up in the image's own account is an error. Default: False.
        region: where an image given by its name is; an ARN has its own. Default: ``aws:region``, else boto3's.

    Returns:
        The builds, newest first by date created; those of the same instant by version and number of the build.
        Empty where there are none, and where there is no such image.

    Raises:
        pulumi.RunError: an argument is not valid, the service refused, or it did not answer in time. One line.
    """
    arguments: dict[str, Any] = {
        "image": image,
        "states": states,
        "older_than": older_than,
        "skip_newest": skip_newest,
        "deprecated_for": deprecated_for,
        "unused": unused,
        "region": region,
    }
    if _is_mocked():
        found = invoke_listing("getImageBuildVersions", arguments, "imageBuildVersions")
    else:
        from ..lifecycle import listing

        found = _ask(lambda service: listing.find_build_versions(service, **arguments))
    return [ImageBuildVersion(**attributes_of(ImageBuildVersion, build)) for build in found]


def get_image_build_versions_output(
    image: pulumi.Input[str],
    *,
    states: pulumi.Input[Sequence[pulumi.Input[str]] | None] = None,
    older_than: pulumi.Input[str | timedelta | None] = None,
    skip_newest: pulumi.Input[int] = 0,
    deprecated_for: pulumi.Input[str | timedelta | None] = None,
    unused: pulumi.Input[bool] = False,
    region: pulumi.Input[str | None] = None,
) -> pulumi.Output[list[ImageBuildVersion]]:
    """:func:`get_image_build_versions` for inputs: asks once they are known."""
    arguments = {
        "image": image,
        "states": states,
        # Pulumi takes an object that is no value of its own apart.
        "older_than": to_age(older_than),
        "skip_newest": skip_newest,
        "deprecated_for": to_age(deprecated_for),
        "unused": unused,
        "region": region,
    }
    return pulumi.Output.from_input(arguments).apply(lambda known: get_image_build_versions(**known))


def get_image_references(resource_arns: Sequence[str]) -> list[ImageReferences]:
    """Return what still uses the AMIs of images: launch templates, Auto Scaling groups, parameters, recipes, instances.

    Calls only read. They are made with the stack's whole ``aws:*`` configuration, in each AMI's region, and transient
    errors are retried for five minutes at most.

    Args:
        resource_arns: ARNs of image build versions, ``…:image/name/1.2.3/4``, of any regions. May be empty.

    Returns:
        One entry an image, in the order of the ARNs. What a missing permission or a region without an answer hides is
        in ``not_looked_up``.

    Raises:
        pulumi.RunError: an ARN is not valid, the configuration forbids an account, or it took too long. One line.
    """
    arguments = {"resource_arns": resource_arns}
    if _is_mocked():
        found = invoke_listing("getImageReferences", arguments, "imageReferences")
    else:
        from ..lifecycle import listing

        found = _ask(lambda service: listing.find_image_references(service, **arguments))
    return [ImageReferences(**attributes_of(ImageReferences, references)) for references in found]


def get_image_references_output(
    resource_arns: pulumi.Input[Sequence[pulumi.Input[str]]],
) -> pulumi.Output[list[ImageReferences]]:
    """:func:`get_image_references` for inputs: asks once they are known."""
    arguments: pulumi.Input[dict[str, Any]] = {"resource_arns": resource_arns}
    return pulumi.Output.from_input(arguments).apply(lambda known: get_image_references(**known))


def invoke_listing(
    function: str, arguments: Mapping[str, Any], result: str, opts: pulumi.InvokeOptions | None = None
) -> Listing:
    """Ask through Pulumi, as generated SDKs do: the native provider, or the mocks of a test.

    Args:
        function: the name in the schema, as ``getImageBuildVersions``.
        arguments: by their Python names.
        result: the property of the answer that holds the list.
        opts: options of any Pulumi function.
    """
    named = {to_camel_case(name): to_age(value) for name, value in arguments.items()}
    answer: Mapping[str, Any] = pulumi.runtime.invoke(f"imagebuilder:index:{function}", named, opts).value or {}
    # Pulumi carries every number as a double.
    return [whole_numbers(with_snake_case(entry)) for entry in answer.get(result) or []]


def _is_mocked() -> bool:
    """Return whether ``pulumi.runtime.set_mocks`` is in effect."""
    return isinstance(get_monitor(), MockMonitor)


def _ask(work: Callable[[Service], Coroutine[Any, Any, Listing]]) -> Listing:
    """Run the work to its end with the stack's configuration; in a thread, as Pulumi's event loop is around it."""
    from ..aws import connect
    from ..aws.configuration import Configuration

    # Read here, since the configuration belongs to the program's thread.
    config = pulumi.Config("aws")
    known = {f"aws:{key}": config.get(key) for key in Configuration.KEYS}
    try:
        service = connect(known.get)
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(lambda: asyncio.run(work(service))).result()
    except ImageBuilderError as error:
        raise pulumi.RunError(str(error)) from None


def attributes_of(output_type: type, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value for each attribute: a test's mock may leave some out, and tell more."""
    names = [name for name, value in vars(output_type).items() if isinstance(value, property)]
    return {name: entry.get(name) for name in names}


def to_age(value: Any) -> Any:
    """Return a timedelta as text such as ``90d`` or ``5400s``, and any other value as it is."""
    if not isinstance(value, timedelta):
        return value
    return f"{value.days}d" if value == timedelta(days=value.days) else f"{int(value.total_seconds())}s"
