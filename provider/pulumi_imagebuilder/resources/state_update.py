"""The declared state of one image build version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi.dynamic

from ..dynamic import ResourceStateUpdateProvider
from .args import ExclusionRulesArgs, ExclusionRulesDict, IncludeResourcesArgs, IncludeResourcesDict, OnDestroy, State
from .given import given, refused_by_the_check
from .provided import for_the_provider


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

    All are listed by ``aws imagebuilder list-lifecycle-execution-resources``, and the resource's row says so when there
    are more.

    Keys: ``account_id``, ``region``, ``resource_id``, ``action``, ``status``, ``reason``, ``snapshots`` and
    ``image_uris``.
    Plain dicts: Pulumi's SDK would not read them into a TypedDict.
    """

    @refused_by_the_check
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
        arguments = given(
            self,
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
            },
        )
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
            {**outputs, **arguments, **for_the_provider(type(self), resource_name, arguments, opts)},
            opts,
        )
