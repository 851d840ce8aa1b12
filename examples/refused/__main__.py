"""Deletes an image with its AMIs and snapshots; refused as long as something uses them, and says what does."""

import pulumi
from pulumi_imagebuilder import ResourceStateUpdate, get_image_references

config = pulumi.Config()
image = config.require("imageArn")

(references,) = get_image_references([image])
pulumi.export("used_by", [f"{use['kind']} {use['name']} {use['detail']}" for use in references.used_by])

ResourceStateUpdate(
    "web",
    resource_arn=image,
    state="DELETED",
    execution_role=config.require("executionRole"),
    include_resources={"amis": True, "snapshots": True},
)
