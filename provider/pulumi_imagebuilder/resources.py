"""What users declare: the resource classes and their Args. Nothing here knows AWS or makes a call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypedDict

import pulumi
import pulumi.dynamic

from .dynamic import ImageCleanupProvider, ResourceStateUpdateProvider

State = Literal["AVAILABLE", "DEPRECATED", "DISABLED", "DELETED"]
"""The states that ``StartResourceStateUpdate`` can move an image build version to."""

OnDestroy = Literal["retain", "cancel", "restore"]
TimeUnit = Literal["DAYS", "WEEKS", "MONTHS", "YEARS"]


@pulumi.input_type
class IncludeResourcesArgs:
    """Which resources under the image take part (``ResourceStateUpdateIncludeResources``).

    Args:
        amis: The AMIs the image was distributed as. Default: not included.
        snapshots: The snapshots of these AMIs; only with ``DELETED``. Default: not included.
        containers: The container images in ECR; only with ``DELETED``. Default: not included.
    """

    amis: pulumi.Input[bool] | None = pulumi.property("amis")
    snapshots: pulumi.Input[bool] | None = pulumi.property("snapshots")
    containers: pulumi.Input[bool] | None = pulumi.property("containers")

    def __init__(
        self,
        *,
        amis: pulumi.Input[bool] | None = None,
        snapshots: pulumi.Input[bool] | None = None,
        containers: pulumi.Input[bool] | None = None,
    ) -> None:
        _set(self, amis=amis, snapshots=snapshots, containers=containers)


class IncludeResourcesDict(TypedDict, total=False):
    """:class:`IncludeResourcesArgs` as a plain dict."""

    amis: pulumi.Input[bool]
    snapshots: pulumi.Input[bool]
    containers: pulumi.Input[bool]


@pulumi.input_type
class LastLaunchedArgs:
    """Leave out AMIs that an instance was launched from within this time.

    Args:
        value: How many units, 1 to 365.
        unit: ``"DAYS"``, ``"WEEKS"``, ``"MONTHS"`` or ``"YEARS"``.
    """

    value: pulumi.Input[int] = pulumi.property("value")
    unit: pulumi.Input[TimeUnit] = pulumi.property("unit")

    def __init__(self, *, value: pulumi.Input[int], unit: pulumi.Input[TimeUnit]) -> None:
        _set(self, value=value, unit=unit)


class LastLaunchedDict(TypedDict):
    """:class:`LastLaunchedArgs` as a plain dict."""

    value: pulumi.Input[int]
    unit: pulumi.Input[TimeUnit]


@pulumi.input_type
class AmiExclusionRulesArgs:
    """Which AMIs stay as they are (``LifecyclePolicyDetailExclusionRulesAmis``). One rule that fits is enough.

    Args:
        is_public: Leave out public AMIs. Default: they take part.
        regions: Leave out AMIs in these regions.
        shared_accounts: Leave out AMIs shared with one of these accounts (12 digits each, 1 to 1,536 of them).
        last_launched: Leave out AMIs that an instance was launched from within this time.
        tag_map: Leave out AMIs that carry one of these tags, key and value (1 to 50 of them).
    """

    is_public: pulumi.Input[bool] | None = pulumi.property("is_public")
    regions: pulumi.Input[Sequence[pulumi.Input[str]]] | None = pulumi.property("regions")
    shared_accounts: pulumi.Input[Sequence[pulumi.Input[str]]] | None = pulumi.property("shared_accounts")
    last_launched: pulumi.Input[LastLaunchedArgs | LastLaunchedDict] | None = pulumi.property("last_launched")
    tag_map: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = pulumi.property("tag_map")

    def __init__(
        self,
        *,
        is_public: pulumi.Input[bool] | None = None,
        regions: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
        shared_accounts: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
        last_launched: pulumi.Input[LastLaunchedArgs | LastLaunchedDict] | None = None,
        tag_map: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
    ) -> None:
        _set(
            self,
            is_public=is_public,
            regions=regions,
            shared_accounts=shared_accounts,
            last_launched=last_launched,
            tag_map=tag_map,
        )


class AmiExclusionRulesDict(TypedDict, total=False):
    """:class:`AmiExclusionRulesArgs` as a plain dict."""

    is_public: pulumi.Input[bool]
    regions: pulumi.Input[Sequence[pulumi.Input[str]]]
    shared_accounts: pulumi.Input[Sequence[pulumi.Input[str]]]
    last_launched: pulumi.Input[LastLaunchedArgs | LastLaunchedDict]
    tag_map: pulumi.Input[Mapping[str, pulumi.Input[str]]]


@pulumi.input_type
class ExclusionRulesArgs:
    """What is left out of a state update (``ResourceStateUpdateExclusionRules``).

    Args:
        amis: Rules for AMIs; they need ``include_resources`` with ``amis``.
    """

    amis: pulumi.Input[AmiExclusionRulesArgs | AmiExclusionRulesDict] | None = pulumi.property("amis")

    def __init__(self, *, amis: pulumi.Input[AmiExclusionRulesArgs | AmiExclusionRulesDict] | None = None) -> None:
        _set(self, amis=amis)


class ExclusionRulesDict(TypedDict, total=False):
    """:class:`ExclusionRulesArgs` as a plain dict."""

    amis: pulumi.Input[AmiExclusionRulesArgs | AmiExclusionRulesDict]


class ResourceStateUpdate(pulumi.dynamic.Resource, module="imagebuilder", name="ResourceStateUpdate"):
    """The declared lifecycle state of one image build version (``StartResourceStateUpdate``).

    Creating it, and changing ``state``, ``include_resources``, ``exclusion_rules``, ``update_at``, ``client_token``
    or ``triggers``, starts a state update and waits for its lifecycle execution. Changing ``resource_arn`` replaces
    it. Its id is the image's ARN. Its time limits are those of ``custom_timeouts``, 60 minutes by default.
    """

    resource_arn: pulumi.Output[str]
    state: pulumi.Output[State]
    execution_role: pulumi.Output[str | None]
    include_resources: pulumi.Output[dict[str, bool] | None]
    exclusion_rules: pulumi.Output[dict[str, Any] | None]
    update_at: pulumi.Output[str | None]
    triggers: pulumi.Output[list[Any] | None]
    wait: pulumi.Output[bool]
    on_destroy: pulumi.Output[OnDestroy]

    client_token: pulumi.Output[str]
    """The token the service knows this change by: the one given, or the one the provider derived."""

    lifecycle_execution_id: pulumi.Output[str | None]
    """Id of the lifecycle execution (``lce-…``); None after an immediate change."""

    status: pulumi.Output[str | None]
    """Status of the execution: PENDING, IN_PROGRESS, CANCELLING, SUCCESS, FAILED or CANCELLED; None without one."""

    status_reason: pulumi.Output[str | None]
    """The service's reason for the status, where it gives one."""

    start_time: pulumi.Output[str | None]
    """When the execution began, RFC 3339 in UTC."""

    end_time: pulumi.Output[str | None]
    """When the execution ended, RFC 3339 in UTC."""

    image_state: pulumi.Output[str]
    """State of the image record as last seen; ``"DELETED"`` once it is gone."""

    deprecation_time: pulumi.Output[str | None]
    """When the image is, or was, deprecated, RFC 3339 in UTC."""

    resources: pulumi.Output[list[dict[str, Any]]]
    """What the execution did to each resource under the image, at most 100 of them, failed ones first.

    Keys: ``account_id``, ``region``, ``resource_id``, ``action``, ``status``, ``reason``, ``snapshots`` and
    ``image_uris``.
    Plain dicts: Pulumi's SDK would not read them into a TypedDict.
    """

    def __init__(
        self,
        resource_name: str,
        *,
        resource_arn: pulumi.Input[str],
        state: pulumi.Input[State],
        execution_role: pulumi.Input[str] | None = None,
        include_resources: pulumi.Input[IncludeResourcesArgs | IncludeResourcesDict] | None = None,
        exclusion_rules: pulumi.Input[ExclusionRulesArgs | ExclusionRulesDict] | None = None,
        update_at: pulumi.Input[str] | None = None,
        client_token: pulumi.Input[str] | None = None,
        triggers: pulumi.Input[Sequence[Any]] | None = None,
        wait: pulumi.Input[bool] = True,
        on_destroy: pulumi.Input[OnDestroy] = "retain",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the state of an image build version.

        Args:
            resource_name: The Pulumi name of this resource.
            resource_arn: ARN of the image build version, ``…:image/name/1.2.3/4``. Changing it replaces.
            state: The state the image is to be in. ``"AVAILABLE"`` restores a deprecated or disabled image.
            execution_role: Name or ARN of the role that Image Builder assumes; with ``include_resources``, and only
                then. Changing it only updates the record.
            include_resources: Which resources under the image take part. Default: the image record alone.
            exclusion_rules: Which AMIs stay as they are. Default: none.
            update_at: When a deprecation takes effect, RFC 3339 with an offset, in the future. Default: now.
            client_token: Idempotency token, 1 to 64 characters. Default: derived from what is declared.
            triggers: Any values; a change in them runs the update again.
            wait: Whether the resource is done only when the execution has ended well. Default: True. A scheduled
                change is done once the service has accepted it.
            on_destroy: ``"retain"`` makes no call, ``"cancel"`` cancels an unfinished execution, ``"restore"`` brings
                the image back to ``AVAILABLE``. Default: ``"retain"``.
            opts: Options of any Pulumi resource.
        """
        arguments = {
            "resource_arn": resource_arn,
            "state": state,
            "execution_role": execution_role,
            "include_resources": include_resources,
            "exclusion_rules": exclusion_rules,
            "update_at": update_at,
            "client_token": client_token,
            "triggers": triggers,
            "wait": wait,
            "on_destroy": on_destroy,
        }
        outputs = {
            "lifecycle_execution_id": None,
            "status": None,
            "status_reason": None,
            "start_time": None,
            "end_time": None,
            "image_state": None,
            "deprecation_time": None,
            "resources": None,
        }
        super().__init__(
            ResourceStateUpdateProvider(),
            resource_name,
            {**arguments, **outputs, **_for_the_provider(type(self), resource_name, arguments, opts)},
            opts,
        )


class ImageCleanup(pulumi.dynamic.Resource, module="imagebuilder", name="ImageCleanup"):
    """Deletes an image build version with its AMIs and snapshots, or containers, when it leaves the program.

    Nothing happens while it stands. On destroy, and when ``resource_arn`` changes, a state update to ``DELETED`` is
    started and awaited, so that Pulumi deletes the execution role only after it has ended. An image that is gone
    already is success. Its id is the image's ARN; ``custom_timeouts.delete`` is its time limit, 60 minutes by default.
    """

    resource_arn: pulumi.Output[str]
    execution_role: pulumi.Output[str]
    include_resources: pulumi.Output[dict[str, bool] | None]
    exclusion_rules: pulumi.Output[dict[str, Any] | None]

    def __init__(
        self,
        resource_name: str,
        *,
        resource_arn: pulumi.Input[str],
        execution_role: pulumi.Input[str],
        include_resources: pulumi.Input[IncludeResourcesArgs | IncludeResourcesDict] | None = None,
        exclusion_rules: pulumi.Input[ExclusionRulesArgs | ExclusionRulesDict] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare what to delete when this leaves the program.

        Args:
            resource_name: The Pulumi name of this resource.
            resource_arn: ARN of the image build version, ``…:image/name/1.2.3/4``. Changing it replaces.
            execution_role: Name or ARN of the role that Image Builder assumes.
            include_resources: Which resources under the image go too. Default: AMIs with their snapshots, or the
                containers, by the image's type.
            exclusion_rules: Which AMIs stay as they are. Default: none.
            opts: Options of any Pulumi resource.
        """
        arguments = {
            "resource_arn": resource_arn,
            "execution_role": execution_role,
            "include_resources": include_resources,
            "exclusion_rules": exclusion_rules,
        }
        super().__init__(
            ImageCleanupProvider(),
            resource_name,
            {**arguments, **_for_the_provider(type(self), resource_name, arguments, opts)},
            opts,
        )


def _set(args: object, **values: Any) -> None:
    for name, value in values.items():
        if value is not None:
            pulumi.set(args, name, value)


def _for_the_provider(
    resource_type: type[pulumi.dynamic.Resource],
    name: str,
    arguments: Mapping[str, Any],
    opts: pulumi.ResourceOptions | None,
) -> dict[str, Any]:
    """What the provider's process is not told otherwise, as inputs that Pulumi does not display."""
    timeouts = opts.custom_timeouts if opts else None
    if isinstance(timeouts, Mapping):
        timeouts = pulumi.CustomTimeouts(**timeouts)
    limits = {key: getattr(timeouts, key, None) for key in ("create", "update", "delete", "read")}
    return {
        "__urn": pulumi.create_urn(
            name, f"pulumi-python:{resource_type._resource_type_name}", opts.parent if opts else None
        ),
        "__timeouts": {key: limit for key, limit in limits.items() if limit} or None,
        "__secrets": pulumi.Output.from_input(_secret_arguments(arguments)) if any(_outputs(arguments)) else None,
    }


async def _secret_arguments(arguments: Mapping[str, Any]) -> list[str] | None:
    """The names of the arguments whose values are secret: the engine hides that from a dynamic provider."""
    return [
        name
        for name, value in arguments.items()
        if any(_outputs(value)) and await pulumi.Output.from_input(value).is_secret()
    ] or None


def _outputs(value: Any) -> Iterator[pulumi.Output[Any]]:
    """All Outputs anywhere inside a value."""
    if isinstance(value, pulumi.Output):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _outputs(item)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from _outputs(item)
    elif hasattr(type(value), "_pulumi_input_type"):
        yield from _outputs(vars(value))
