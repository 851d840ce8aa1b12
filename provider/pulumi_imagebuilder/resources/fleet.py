"""The declared state of many image build versions, in one resource."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi.dynamic

from ..dynamic import FleetStateUpdateProvider
from .args import ExclusionRulesArgs, ExclusionRulesDict, IncludeResourcesArgs, IncludeResourcesDict, OnDestroy, State
from .given import given, refused_by_the_check
from .provided import for_the_provider


class FleetStateUpdate(pulumi.dynamic.Resource, module="imagebuilder", name="FleetStateUpdate"):
    """The declared lifecycle state of any number of image build versions, changed side by side in one step.

    Creating it, and changing ``state``, ``include_resources``, ``exclusion_rules``, ``update_at``, ``client_token``
    or ``triggers``, starts a state update of every image and waits for their lifecycle executions. Adding an ARN acts
    on that image alone, and so does removing one, as ``on_destroy`` says; their order means nothing. If some images
    fail, all others still run to their end, the error names each that failed, and the next `pulumi up` does only what
    is left. Its time limits, for all images together, are those of ``custom_timeouts``, 60 minutes by default.
    """

    resource_arns: pulumi.Output[list[str]]
    state: pulumi.Output[State]
    execution_role: pulumi.Output[str | None]
    include_resources: pulumi.Output[dict[str, bool] | None]
    exclusion_rules: pulumi.Output[dict[str, Any] | None]
    update_at: pulumi.Output[str | None]
    client_token: pulumi.Output[str | None]
    triggers: pulumi.Output[list[Any] | None]
    wait: pulumi.Output[bool]
    on_destroy: pulumi.Output[OnDestroy]

    executions: pulumi.Output[dict[str, dict[str, Any]]]
    """By image ARN, the outputs that a ``ResourceStateUpdate`` of it would have.

    These are ``lifecycle_execution_id``, ``status``, ``status_reason``, ``start_time`` and ``end_time`` (of the first
    and the last change to a resource under the image), ``image_state``, ``deprecation_time``, ``resources`` (at most 10
    of each image, failed ones first) and ``client_token``.
    """

    lifecycle_execution_ids: pulumi.Output[dict[str, str | None]]
    """By image ARN, the id of its lifecycle execution (``lce-…``); None after an immediate change."""

    @refused_by_the_check
    def __init__(
        self,
        resource_name: str,
        *,
        resource_arns: pulumi.Input[Sequence[pulumi.Input[str]]],
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
        """Declare the state of image build versions.

        Args:
            resource_name: The Pulumi name of this resource.
            resource_arns: ARNs of the image build versions, ``…:image/name/1.2.3/4``, each of them once, of any regions
                and accounts that the credentials reach. May be empty.
            state: The state the images are to be in. ``"AVAILABLE"`` restores deprecated or disabled images.
            execution_role: Name or ARN of the role that Image Builder assumes; with ``include_resources``, and only
                then. Changing it only updates the record.
            include_resources: Which resources under the images take part. Default: the image records alone.
            exclusion_rules: Which AMIs stay as they are. Default: none.
            update_at: When a deprecation takes effect, RFC 3339 with an offset, in the future. Default: now.
            client_token: What the idempotency tokens, one for each image, are derived from, 1 to 64 characters, beside
                what is declared. Default: what is declared alone.
            triggers: Any values; a change in them runs the update of all images again.
            wait: Whether the resource is done only when the executions have ended well. Default: True. A scheduled
                change is done once the service has accepted it.
            on_destroy: For each image that leaves: ``"retain"`` makes no call, ``"cancel"`` cancels an unfinished
                execution, ``"restore"`` brings the image back to ``AVAILABLE``. Default: ``"retain"``.
            opts: Options of any Pulumi resource.
        """
        arguments = given(
            self,
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
            },
        )
        super().__init__(
            FleetStateUpdateProvider(),
            resource_name,
            {
                "executions": None,
                "lifecycle_execution_ids": None,
                **arguments,
                **for_the_provider(type(self), resource_name, arguments, opts),
            },
            opts,
        )
