"""Deletes an image with its AMIs and snapshots when another takes its place, and on destroy."""

import pulumi
from pulumi_imagebuilder import ImageCleanup

config = pulumi.Config()

ImageCleanup(
    "web",
    resource_arn=config.require("imageArn"),
    execution_role=config.require("executionRole"),
    exclusion_rules={"amis": {"tag_map": {"keep": "yes"}}},
    opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(delete="30m")),
)
