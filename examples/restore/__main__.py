"""One version of an image can be launched, the others are disabled; a bad one is recalled by naming another."""

import pulumi
from pulumi_imagebuilder import ResourceStateUpdate

config = pulumi.Config()

for version in config.require_object("versions"):
    ResourceStateUpdate(
        version,
        resource_arn=f"{config.require('image')}/{version}",
        state="AVAILABLE" if version == config.require("current") else "DISABLED",
        execution_role=config.require("executionRole"),
        include_resources={"amis": True},
        on_destroy="restore",
    )
