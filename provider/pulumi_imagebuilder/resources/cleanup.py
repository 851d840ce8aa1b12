"""Declare that an image is deleted when it leaves the program."""

from __future__ import annotations

from typing import Any

import pulumi

from ..dynamic import ImageCleanupProvider
from .args import ExclusionRulesArgs, ExclusionRulesDict, IncludeResourcesArgs, IncludeResourcesDict, InUse
from .inputs import ImageBuilderResource


class ImageCleanup(ImageBuilderResource, module="imagebuilder", name="ImageCleanup"):
    """Deletes an image build version with its AMIs and snapshots, or containers, when it leaves the program.

    Nothing happens while it stands. On destroy, and when ``resource_arn`` changes, a state update to ``DELETED`` is
    started and awaited, so that Pulumi deletes the execution role only after it has ended. An image that is gone
    already is success; one that is being built, or is in use, is waited for, and a scheduled deprecation of it is
    cancelled. Nothing is deleted as long as the program declares the same image in another resource of this package.

    Its id is the image's ARN; ``custom_timeouts.delete`` is its time limit, 60 minutes by default. Give ``depends_on``
    whatever else the execution role needs to do its work, such as the attachment of its policy.
    """

    resource_arn: pulumi.Output[str]
    execution_role: pulumi.Output[str]
    include_resources: pulumi.Output[dict[str, bool] | None]
    exclusion_rules: pulumi.Output[dict[str, Any] | None]
    in_use: pulumi.Output[str]
    max_amis: pulumi.Output[int | None]

    def __init__(
        self,
        resource_name: str,
        *,
        resource_arn: pulumi.Input[str],
        execution_role: pulumi.Input[str],
        include_resources: pulumi.Input[IncludeResourcesArgs | IncludeResourcesDict] | None = None,
        exclusion_rules: pulumi.Input[ExclusionRulesArgs | ExclusionRulesDict] | None = None,
        in_use: pulumi.Input[InUse | str] = "wait",
        max_amis: pulumi.Input[int] | None = None,
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
            in_use: What happens where AMIs to delete are still used: ``"refuse"`` deletes nothing and fails, ``"wait"``
                does so when the time limit is over, ``"warn"`` mentions it and continues, ``"ignore"`` does not look.
                Default: ``"wait"``, as what launches from the image is often destroyed beside it.
            max_amis: The most AMIs that are deleted, from 1; with more, nothing is. Default: no limit.
            opts: Options of any Pulumi resource, but no explicit provider.

        Raises:
            pulumi.RunError: There is an explicit provider, which a dynamic resource cannot use.
        """
        super().__init__(
            ImageCleanupProvider(),
            resource_name,
            {
                "resource_arn": resource_arn,
                "execution_role": execution_role,
                "include_resources": include_resources,
                "exclusion_rules": exclusion_rules,
                "in_use": in_use,
                "max_amis": max_amis,
            },
            (),
            opts,
        )
