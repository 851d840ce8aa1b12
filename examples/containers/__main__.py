"""Deletes a retired container image now, and the current one on destroy."""

import pulumi
from pulumi_imagebuilder import ImageCleanup, ResourceStateUpdate

config = pulumi.Config()
role = config.require("executionRole")

retired = ResourceStateUpdate(
    "retired",
    resource_arn=config.require("retired"),
    state="DELETED",
    execution_role=role,
    include_resources={"containers": True},
)
ImageCleanup("current", resource_arn=config.require("current"), execution_role=role)

pulumi.export("deleted", retired.resources.apply(lambda found: [uri for each in found for uri in each["image_uris"]]))
