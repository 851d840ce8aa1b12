"""What deletes an image when it leaves the program."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi.dynamic

from ..dynamic import ImageCleanupProvider
from .args import ExclusionRulesArgs, ExclusionRulesDict, IncludeResourcesArgs, IncludeResourcesDict
from .given import given, refused_by_the_check
from .provided import for_the_provider


class ImageCleanup(pulumi.dynamic.Resource, module="imagebuilder", name="ImageCleanup"):
    """Deletes an image build version with its AMIs and snapshots, or containers, when it leaves the program.

    Nothing happens while it stands. On destroy, and when ``resource_arn`` changes, a state update to ``DELETED`` is
    started and awaited, so that Pulumi deletes the execution role only after it has ended. An image that is gone
    already is success; one that is being built, or is in use, is waited for, and a scheduled deprecation of it is
    cancelled. Nothing is deleted as long as the program declares a clean-up of the same image under another name.

    Its id is the image's ARN; ``custom_timeouts.delete`` is its time limit, 60 minutes by default. Give ``depends_on``
    whatever else the execution role needs to do its work, such as the attachment of its policy.
    """

    resource_arn: pulumi.Output[str]
    execution_role: pulumi.Output[str]
    include_resources: pulumi.Output[dict[str, bool] | None]
    exclusion_rules: pulumi.Output[dict[str, Any] | None]

    @refused_by_the_check
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
        arguments = given(
            self,
            {
                "resource_arn": resource_arn,
                "execution_role": execution_role,
                "include_resources": include_resources,
                "exclusion_rules": exclusion_rules,
            },
        )
        super().__init__(
            ImageCleanupProvider(),
            resource_name,
            {**arguments, **for_the_provider(type(self), resource_name, arguments, opts)},
            opts,
        )
