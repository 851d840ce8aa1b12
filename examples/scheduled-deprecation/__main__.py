"""Deprecates an image at a time to come."""

import pulumi
from pulumi_imagebuilder import ResourceStateUpdate

config = pulumi.Config()

update = ResourceStateUpdate(
    "web",
    resource_arn=config.require("imageArn"),
    state="DEPRECATED",
    update_at=config.require("updateAt"),
    execution_role=config.require("executionRole"),
    include_resources={"amis": True},
    on_destroy="cancel",
)

pulumi.export("status", update.status)
pulumi.export("deprecation_time", update.deprecation_time)
