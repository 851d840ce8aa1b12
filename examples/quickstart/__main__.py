"""Deprecates one image with its AMIs."""

import pulumi
from pulumi_imagebuilder import ResourceStateUpdate

config = pulumi.Config()

update = ResourceStateUpdate(
    "web",
    resource_arn=config.require("imageArn"),
    state="DEPRECATED",
    execution_role=config.require("executionRole"),
    include_resources={"amis": True},
)

pulumi.export("lifecycle_execution_id", update.lifecycle_execution_id)
pulumi.export("status", update.status)
pulumi.export(
    "amis",
    update.resources.apply(lambda found: [f"{each['resource_id']} in {each['region']}" for each in found]),
)
