"""Declare the state of image build versions: of one, or of many in one resource.

Pulumi reads the types of outputs from a class's own annotations, so each class has all of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi

from ..dynamic import FleetStateUpdateProvider, ResourceStateUpdateProvider
from .args import (
    ExclusionRulesArgs,
    ExclusionRulesDict,
    IncludeResourcesArgs,
    IncludeResourcesDict,
    InUse,
    OnDestroy,
    State,
)
from .inputs import ImageBuilderResource


class ResourceStateUpdate(ImageBuilderResource, module="imagebuilder", name="ResourceStateUpdate"):
    """The declared lifecycle state of one image build version (``StartResourceStateUpdate``).

    Creating it, and changing any argument that is sent to the service, or ``triggers``, starts a state update and
    waits for its lifecycle execution. Changing ``execution_role``, ``wait``, ``on_destroy``, ``in_use``, ``max_amis``
    or time limits only updates the state of the stack. Changing ``resource_arn`` replaces it. Its id is the image's
    ARN. Its time limits are those of ``custom_timeouts``, 60 minutes by default.
    """

    resource_arn: pulumi.Output[str]
    state: pulumi.Output[str]
    execution_role: pulumi.Output[str | None]
    include_resources: pulumi.Output[dict[str, bool] | None]
    exclusion_rules: pulumi.Output[dict[str, Any] | None]
    update_at: pulumi.Output[str | None]
    triggers: pulumi.Output[list[Any] | None]
    wait: pulumi.Output[bool]
    on_destroy: pulumi.Output[str]
    in_use: pulumi.Output[str]
    max_amis: pulumi.Output[int | None]

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

    All are listed by ``aws imagebuilder list-lifecycle-execution-resources``, and the resource's row says so when there
    are more.

    Keys: ``account_id``, ``region``, ``resource_id``, ``action``, ``status``, ``reason``, ``snapshots`` and
    ``image_uris``.
    Plain dicts: Pulumi's SDK would not read them into a TypedDict.
    """

    def __init__(
        self,
        resource_name: str,
        *,
        resource_arn: pulumi.Input[str],
        state: pulumi.Input[State | str],
        execution_role: pulumi.Input[str] | None = None,
        include_resources: pulumi.Input[IncludeResourcesArgs | IncludeResourcesDict] | None = None,
        exclusion_rules: pulumi.Input[ExclusionRulesArgs | ExclusionRulesDict] | None = None,
        update_at: pulumi.Input[str] | None = None,
        client_token: pulumi.Input[str] | None = None,
        triggers: pulumi.Input[Sequence[Any]] | None = None,
        wait: pulumi.Input[bool] = True,
        on_destroy: pulumi.Input[OnDestroy | str] = "retain",
        in_use: pulumi.Input[InUse | str] = "refuse",
        max_amis: pulumi.Input[int] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the state of an image build version.

        Args:
            resource_name: The Pulumi name of this resource.
            resource_arn: ARN of the image build version, ``…:image/name/1.2.3/4``. Changing it replaces.
            state: The state the image is to be in: ``"AVAILABLE"``, which restores a deprecated or disabled image,
                ``"DEPRECATED"``, ``"DISABLED"`` or ``"DELETED"``.
            execution_role: Name or ARN of the role that Image Builder assumes; with ``include_resources``, and only
                then. Default: none.
            include_resources: Which resources under the image take part. Default: the image record alone.
            exclusion_rules: Which AMIs stay as they are. Default: none.
            update_at: When a deprecation takes effect, RFC 3339 with an offset, in the future. Default: now.
            client_token: Idempotency token, 1 to 64 characters. Default: derived from what is declared.
            triggers: Any values; a change in them runs the update again. Default: none.
            wait: Whether the resource is done only when the execution has ended well. Default: True. A scheduled
                change is done once the service has accepted it.
            on_destroy: ``"retain"`` makes no call, ``"cancel"`` cancels an unfinished execution, ``"restore"`` brings
                the image back to ``AVAILABLE``. Default: ``"retain"``.
            in_use: What happens where AMIs that the change disables or deletes are still used: ``"refuse"`` starts
                nothing and fails, ``"wait"`` does so when the time limit is over, ``"warn"`` mentions it and continues,
                ``"ignore"`` does not look. Default: ``"refuse"``.
            max_amis: The most AMIs that one run disables or deletes through this resource, from 1; with more, nothing
                is started. Default: no limit.
            opts: Options of any Pulumi resource, but no explicit provider.

        Raises:
            pulumi.RunError: There is an explicit provider, which a dynamic resource cannot use.
        """
        super().__init__(
            ResourceStateUpdateProvider(),
            resource_name,
            {
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
                "in_use": in_use,
                "max_amis": max_amis,
            },
            (
                "lifecycle_execution_id",
                "status",
                "status_reason",
                "start_time",
                "end_time",
                "image_state",
                "deprecation_time",
                "resources",
            ),
            opts,
        )


class FleetStateUpdate(ImageBuilderResource, module="imagebuilder", name="FleetStateUpdate"):
    """The declared lifecycle state of any number of image build versions, changed side by side in one step.

    Runs again for all images where a :class:`ResourceStateUpdate` would for its one. Adding an ARN acts on that image
    alone, and so does removing one, as ``on_destroy`` says; their order means nothing. If some images fail, all others
    still run to their end, the error names each that failed, and the next `pulumi up` does only what is left. Its time
    limits, for all images together, are those of ``custom_timeouts``, 60 minutes by default.
    """

    resource_arns: pulumi.Output[list[str]]
    state: pulumi.Output[str]
    execution_role: pulumi.Output[str | None]
    include_resources: pulumi.Output[dict[str, bool] | None]
    exclusion_rules: pulumi.Output[dict[str, Any] | None]
    update_at: pulumi.Output[str | None]
    client_token: pulumi.Output[str | None]
    triggers: pulumi.Output[list[Any] | None]
    wait: pulumi.Output[bool]
    on_destroy: pulumi.Output[str]
    in_use: pulumi.Output[str]
    max_amis: pulumi.Output[int | None]

    executions: pulumi.Output[dict[str, dict[str, Any]]]
    """By image ARN, the outputs that a :class:`ResourceStateUpdate` of it would have.

    These are ``lifecycle_execution_id``, ``status``, ``status_reason``, ``start_time`` and ``end_time`` (of the first
    and the last change to a resource under the image), ``image_state``, ``deprecation_time``, ``resources`` (at most 10
    of each image, failed ones first) and ``client_token``.
    """

    lifecycle_execution_ids: pulumi.Output[dict[str, str | None]]
    """By image ARN, the id of its lifecycle execution (``lce-…``); None after an immediate change."""

    def __init__(
        self,
        resource_name: str,
        *,
        resource_arns: pulumi.Input[Sequence[pulumi.Input[str]]],
        state: pulumi.Input[State | str],
        execution_role: pulumi.Input[str] | None = None,
        include_resources: pulumi.Input[IncludeResourcesArgs | IncludeResourcesDict] | None = None,
        exclusion_rules: pulumi.Input[ExclusionRulesArgs | ExclusionRulesDict] | None = None,
        update_at: pulumi.Input[str] | None = None,
        client_token: pulumi.Input[str] | None = None,
        triggers: pulumi.Input[Sequence[Any]] | None = None,
        wait: pulumi.Input[bool] = True,
        on_destroy: pulumi.Input[OnDestroy | str] = "retain",
        in_use: pulumi.Input[InUse | str] = "refuse",
        max_amis: pulumi.Input[int] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the state of image build versions; arguments that are not here are :class:`ResourceStateUpdate`'s.

        Args:
            resource_name: The Pulumi name of this resource.
            resource_arns: ARNs of the image build versions, ``…:image/name/1.2.3/4``, each of them once, of any regions
                and accounts that the credentials reach. May be empty.
            state: The state that all images are to be in.
            execution_role: As there.
            include_resources: As there, under each image.
            exclusion_rules: As there.
            update_at: As there.
            client_token: What the idempotency tokens, one for each image, are derived from beside what is declared,
                1 to 64 characters. Default: what is declared alone.
            triggers: As there; a change in them runs the update of all images again.
            wait: As there, for all executions.
            on_destroy: As there, for each image that leaves.
            in_use: As there, for each image: all that are not used are changed.
            max_amis: As there, for all images together.
            opts: As there.

        Raises:
            pulumi.RunError: There is an explicit provider, which a dynamic resource cannot use.
        """
        super().__init__(
            FleetStateUpdateProvider(),
            resource_name,
            {
                "resource_arns": resource_arns,
                "state": state,
                "execution_role": execution_role,
                "include_resources": include_resources,
                "exclusion_rules": exclusion_rules,
                "update_at": update_at,
                "client_token": client_token,
                "triggers": triggers,
                "wait": wait,
                "on_destroy": on_destroy,
                "in_use": in_use,
                "max_amis": max_amis,
            },
            ("executions", "lifecycle_execution_ids"),
            opts,
        )
