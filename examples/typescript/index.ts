import * as pulumi from "@pulumi/pulumi";
import * as imagebuilder from "@pulumi-imagebuilder/imagebuilder";

const config = new pulumi.Config();

const old = imagebuilder.getImageBuildVersionsOutput({ image: config.require("image"), skipNewest: 1 });

const retired = new imagebuilder.FleetStateUpdate("retired", {
    resourceArns: old.imageBuildVersions.apply((builds) => builds.map((build) => build.arn!)),
    state: imagebuilder.State.Disabled,
    executionRole: config.require("executionRole"),
    includeResources: { amis: true },
}, { customTimeouts: { create: "30m" } });

export const executions = retired.lifecycleExecutionIds;
