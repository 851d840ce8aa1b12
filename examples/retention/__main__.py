"""The newest builds of an image stay, the next three are deprecated, the others disabled, those of a year deleted."""

import pulumi
from pulumi_imagebuilder import FleetStateUpdate, get_image_build_versions

config = pulumi.Config()
image, keep = config.require("image"), config.require_int("keep")

# Builds under way, failed and deleted ones are not among them, nor those that a launch template or the like still uses.
behind = [build.arn for build in get_image_build_versions(image, skip_newest=keep, unused=True)]
old = [build.arn for build in get_image_build_versions(image, skip_newest=keep, unused=True, older_than="365d")]
young = [arn for arn in behind if arn not in old]

for state, arns in {"DEPRECATED": young[:3], "DISABLED": young[3:], "DELETED": old}.items():
    FleetStateUpdate(
        state.lower(),
        resource_arns=arns,
        state=state,
        execution_role=config.require("executionRole"),
        include_resources={"amis": True, "snapshots": state == "DELETED"},
    )
