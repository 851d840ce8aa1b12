"""What uses an AMI, in one account and region: instances, launch templates, groups, parameters and recipes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .moto_backends import autoscaling_backend, ec2_backend, list_parameters
from .recipes import Recipe

DEFAULT_DEPTH = 10
"""How many versions of a launch template are looked at, newest first, where a request does not say."""


@dataclass(frozen=True)
class Place:
    """Where references are looked for.

    Attributes:
        region: a region.
        account: an account.
        partition: the partition of both, as ``aws``.
        recipes: all recipes of Image Builder; those of other places are left out.
    """

    region: str
    account: str
    partition: str = "aws"
    recipes: tuple[Recipe, ...] = ()

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource here."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


@dataclass(frozen=True)
class Scope:
    """Which instances and launch template versions are looked at.

    Attributes:
        states: names of instance states; None for all, terminated ones too.
        depth: how many of a launch template's newest versions.
    """

    states: frozenset[str] | None = None
    depth: int = DEFAULT_DEPTH


@dataclass(frozen=True)
class Reference:
    """One resource that uses an AMI; as ``DescribeImageReferences`` answers it."""

    image_id: str
    resource_type: str
    arn: str


@dataclass(frozen=True)
class GroupUse:
    """What an Auto Scaling group launches.

    Attributes:
        image_id: the AMI, as template or configuration have it.
        group: the group as moto has it.
        by: the launch configuration, or the launch template with its version.
    """

    image_id: str
    group: Any
    by: str


def list_instances(place: Place) -> Iterator[Any]:
    """Yield the instances as moto has them, terminated ones too."""
    for reservation in ec2_backend(place.region, place.account).reservations.values():
        yield from reservation.instances


def list_templates(place: Place) -> Iterable[Any]:
    """Return the launch templates as moto has them."""
    templates: Iterable[Any] = ec2_backend(place.region, place.account).launch_templates.values()
    return templates


def list_group_uses(place: Place) -> Iterator[GroupUse]:
    """Yield what each Auto Scaling group launches: by configuration, template, and overrides of mixed instances."""
    ec2 = ec2_backend(place.region, place.account)
    for group in autoscaling_backend(place.region, place.account).autoscaling_groups.values():
        if group.launch_config is not None:
            yield GroupUse(group.launch_config.image_id, group, f"launch configuration {group.launch_config.name}")
        for specification in _specifications(group):
            template = ec2.launch_templates.get(
                specification.get("LaunchTemplateId")
                or ec2.launch_template_name_to_ids.get(specification.get("LaunchTemplateName"))
            )
            if template is not None:
                version = specification.get("Version") or "$Default"
                image_id = template.get_version(version).image_id
                yield GroupUse(image_id, group, f"launch template {template.name}, version {version}")


def _specifications(group: Any) -> Iterator[Mapping[str, Any]]:
    if group.mixed_instances_policy:
        launch = group.mixed_instances_policy["LaunchTemplate"]
        yield launch["LaunchTemplateSpecification"]
        for override in launch.get("Overrides") or []:
            if "LaunchTemplateSpecification" in override:
                yield override["LaunchTemplateSpecification"]
    elif group.launch_template:
        yield group.launch_template


def _instances(place: Place, scope: Scope) -> Iterator[tuple[str, str]]:
    for instance in list_instances(place):
        if scope.states is None or instance.state in scope.states:
            yield instance.image_id, place.arn("ec2", f"instance/{instance.id}")


def _launch_templates(place: Place, scope: Scope) -> Iterator[tuple[str, str]]:
    for template in list_templates(place):
        for image_id in {version.image_id for version in template.versions[-scope.depth :]}:
            yield image_id, place.arn("ec2", f"launch-template/{template.id}")


def _parameters(place: Place, scope: Scope) -> Iterator[tuple[str, str]]:
    for parameter in list_parameters(place.region, place.account):
        # A SecureString is not read: that would need the right to its key.
        if parameter.parameter_type != "SecureString":
            for value in parameter.value.split(","):
                yield value.strip(), place.arn("ssm", f"parameter/{parameter.name.removeprefix('/')}")


def _recipes(kind: str, place: Place, scope: Scope) -> Iterator[tuple[str, str]]:
    for recipe in place.recipes:
        if (recipe.kind, recipe.region, recipe.account) == (kind, place.region, place.account):
            for image in recipe.images:
                yield image, recipe.arn


FINDERS: Mapping[str, Callable[[Place, Scope], Iterator[tuple[str, str]]]] = {
    "ec2:Instance": _instances,
    "ec2:LaunchTemplate": _launch_templates,
    "ssm:Parameter": _parameters,
    "imagebuilder:ImageRecipe": functools.partial(_recipes, "image-recipe"),
    "imagebuilder:ContainerRecipe": functools.partial(_recipes, "container-recipe"),
}
"""How each resource type of the model is looked for: AMI and ARN of every reference."""


def find_references(image_ids: Iterable[str], scopes: Mapping[str, Scope], place: Place) -> list[Reference]:
    """Return what refers to AMIs, by AMI, resource type and ARN.

    Args:
        image_ids: the AMIs.
        scopes: the resource types to look at.
        place: where.
    """
    wanted = {image_id: number for number, image_id in enumerate(image_ids)}
    found = {
        Reference(image_id, resource_type, arn)
        for resource_type, scope in scopes.items()
        for image_id, arn in FINDERS[resource_type](place, scope)
        if image_id in wanted
    }
    types = list(FINDERS)
    return sorted(found, key=lambda each: (wanted[each.image_id], types.index(each.resource_type), each.arn))
