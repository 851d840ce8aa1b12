"""One resource of every kind, in every state they can be in; what `record_release.py` runs, and later versions read."""

import pulumi
from pulumi_imagebuilder.native import FleetStateUpdate, ImageCleanup, IncludeResourcesArgs, ResourceStateUpdate

STEM = "arn:aws:imagebuilder:us-east-1:123456789012:image"
ROLE = "arn:aws:iam::123456789012:role/ImageLifecycle"

ResourceStateUpdate("at-once", resource_arn=f"{STEM}/web/1.0.0/1", state="DEPRECATED")
ResourceStateUpdate(
    "with-its-amis",
    resource_arn=f"{STEM}/web/1.0.0/2",
    state="DISABLED",
    execution_role=pulumi.Output.secret(ROLE),
    include_resources=IncludeResourcesArgs(amis=True),
    exclusion_rules={"amis": {"regions": ["us-west-2", "eu-west-1"], "last_launched": {"value": 6, "unit": "MONTHS"}}},
    triggers=["2026", {"reason": ["CVE"], "count": 2}],
    on_destroy="restore",
    opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="30m")),
)
ResourceStateUpdate(
    "scheduled",
    resource_arn=f"{STEM}/web/1.0.0/3",
    state="DEPRECATED",
    execution_role="ImageLifecycle",
    include_resources={"amis": True},
    update_at="2100-01-01T02:00:00+02:00",
    client_token="retire-web-3",
    on_destroy="cancel",
)
FleetStateUpdate(
    "fleet",
    resource_arns=[f"{STEM}/db/1.0.0/{build}" for build in (2, 1, 3)],
    state="DISABLED",
    execution_role="ImageLifecycle",
    include_resources={"amis": True},
)
ImageCleanup("clean-up", resource_arn=f"{STEM}/db/1.0.0/4", execution_role="ImageLifecycle")
