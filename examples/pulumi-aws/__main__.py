"""An image of pulumi-aws, deprecated at a set time; replaced or destroyed, its AMIs and snapshots are deleted first."""

import json

import pulumi
import pulumi_aws as aws
from pulumi_imagebuilder import ImageCleanup, ResourceStateUpdate

get = pulumi.Config().require
principal = {"Service": "imagebuilder.amazonaws.com"}
trust = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}}
policy = "arn:aws:iam::aws:policy/service-role/EC2ImageBuilderLifecycleExecutionPolicy"
role = aws.iam.Role("lifecycle", assume_role_policy=json.dumps(trust))
attached = aws.iam.RolePolicyAttachment("lifecycle", role=role.name, policy_arn=policy)

infra = aws.imagebuilder.InfrastructureConfiguration("web", instance_profile_name=get("instanceProfile"))
parts = [{"component_arn": get("component")}]
recipe = aws.imagebuilder.ImageRecipe(
    "web", name="web", version=get("version"), parent_image=get("parentImage"), components=parts
)
image = aws.imagebuilder.Image("web", image_recipe_arn=recipe.arn, infrastructure_configuration_arn=infra.arn)

# Both need the role's policy, too: without depends_on, destroy may detach it while they work.
of_image = {"resource_arn": image.arn, "execution_role": role.arn, "opts": pulumi.ResourceOptions(depends_on=attached)}
ResourceStateUpdate(
    "web", state="DEPRECATED", update_at=get("deprecateAt"), include_resources={"amis": True}, **of_image
)
ImageCleanup("web", **of_image)
