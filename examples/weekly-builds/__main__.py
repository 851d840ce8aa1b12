"""Builds of more than a month are deprecated, what nothing uses is disabled after 90 days, and deleted after 180."""

import pulumi
from pulumi_imagebuilder import FleetStateUpdate, get_image_build_versions

config = pulumi.Config()
image, keep = config.require("image"), config.get_int("keep") or 4

old = get_image_build_versions(image, states=["AVAILABLE", "DEPRECATED"], skip_newest=keep, older_than="30d")
unused = get_image_build_versions(image, states=["DEPRECATED", "DISABLED"], deprecated_for="90d", unused=True)
ended = get_image_build_versions(image, states=["DISABLED"], deprecated_for="180d", unused=True)
delete = [build.arn for build in ended]
disable = [build.arn for build in unused if build.arn not in delete]
deprecate = [build.arn for build in old if build.arn not in disable]

for state, arns in {"DEPRECATED": deprecate, "DISABLED": disable, "DELETED": delete}.items():
    FleetStateUpdate(
        state.lower(),
        resource_arns=arns,
        state=state,
        execution_role=config.require("executionRole"),
        include_resources={"amis": True, "snapshots": state == "DELETED"},
        max_amis=60,  # More at once is a mistake in this program.
    )
