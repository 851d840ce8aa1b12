"""What uses an AMI: created from a seed's ``used_by``, and listed for the console."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from .ec2_references import Place, list_group_uses, list_instances, list_templates
from .entities import Ami
from .moto_backends import autoscaling_backend, ec2_backend, find_ami, list_parameters, put_parameter
from .recipes import Recipe
from .seed_values import SeedError, read_choice, read_list, read_object

STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
"""Codes of the instance states."""
_MAX_INSTANCES = 1000
_PARAMETER_TYPES = ("String", "StringList", "SecureString")
_DATA_TYPES = ("aws:ec2:image", "text")
_PLACEMENTS = ("current", "default", "latest", "old")
_KEYS = {
    "instances": None,
    "launch_templates": {"name", "version"},
    "auto_scaling_groups": {"name", "by", "template", "version"},
    "parameters": {"name", "type", "data_type"},
    "recipes": {"name", "version", "kind", "parent"},
}


class Uses:
    """Creates what uses the AMIs of one seed; names that several AMIs share mean the same resource.

    Args:
        recipes: Image Builder's recipes by ARN; those of the seed are added.
        now: when they are created.
    """

    def __init__(self, recipes: dict[str, Recipe], now: datetime) -> None:
        self._recipes, self._now = recipes, now

    def create(self, used_by: Any, ami: Ami, image_arn: str, where: str) -> None:
        """Create what uses one AMI.

        Args:
            used_by: the seed's value.
            ami: the AMI; everything is in its account and region.
            image_arn: the image build version that it belongs to.
            where: the value's place in the seed.

        Raises:
            SeedError: a key or a value cannot be used.
        """
        entry = read_object(used_by, where, set(_KEYS))
        self._create_instances(entry.get("instances", 0), ami, f"{where}.instances")
        for key, create in (
            ("launch_templates", self._create_template_version),
            ("auto_scaling_groups", self._create_group),
            ("parameters", self._create_parameter),
            ("recipes", self._create_recipe),
        ):
            for number, item in enumerate(read_list(entry.get(key), f"{where}.{key}")):
                spot = f"{where}.{key}[{number}]"
                fields = {"name": item} if isinstance(item, str) else read_object(item, spot, _KEYS[key] or set())
                if not isinstance(fields.get("name"), str) or not fields["name"]:
                    raise SeedError(f"{spot}: a name is missing")
                create(fields, ami, image_arn, spot)

    def _create_instances(self, value: Any, ami: Ami, where: str) -> None:
        states = {"running": value} if isinstance(value, int) else read_object(value, where, set(STATES))
        backend, found = ec2_backend(ami.region, ami.account), find_ami(ami)
        launched = found.last_launched_time
        for state, count in states.items():
            if type(count) is not int or not 0 <= count <= _MAX_INSTANCES:
                raise SeedError(f"{where}: {count!r} is not a number from 0 to {_MAX_INSTANCES}")
            if not count:
                continue
            reservation = backend.run_instances(
                ami.id, count, None, [], instance_type="t3.micro", is_instance_type_default=True, region_name=ami.region
            )
            for instance in reservation.instances:
                if state == "terminated":
                    instance.terminate()
                instance._state.name, instance._state.code = state, STATES[state]
        # The seed says when the AMI was last launched.
        found.last_launched_time = launched

    def _create_template_version(self, fields: Mapping[str, Any], ami: Ami, image_arn: str, where: str) -> None:
        placement = read_choice(fields.get("version", "current"), f"{where}.version", _PLACEMENTS)
        _add_version(fields["name"], ami, placement)

    def _create_group(self, fields: Mapping[str, Any], ami: Ami, image_arn: str, where: str) -> None:
        by = read_choice(fields.get("by", "template"), f"{where}.by", ("template", "configuration", "overrides"))
        name, template = fields["name"], str(fields.get("template", fields["name"]))
        backend = autoscaling_backend(ami.region, ami.account)
        if name in backend.autoscaling_groups:
            raise SeedError(f"{where}.name: there is an Auto Scaling group {name} in {ami.region} already")
        launch: dict[str, Any] = {"launch_config_name": "", "launch_template": {}, "mixed_instances_policy": None}
        if by == "configuration":
            _create_configuration(backend, name, ami)
            launch["launch_config_name"] = name
        else:
            own = _version_of(template, ami) or _add_version(template, ami, "current")
            version = str(fields.get("version", "$Default"))
            specification = {"LaunchTemplateName": template, "Version": str(own) if version == "pinned" else version}
            if by == "template":
                launch["launch_template"] = specification
            else:
                base = f"{name}-base"
                if base not in ec2_backend(ami.region, ami.account).launch_template_name_to_ids:
                    _add_filler(base, ami)
                launch["mixed_instances_policy"] = {
                    "LaunchTemplate": {
                        "LaunchTemplateSpecification": {"LaunchTemplateName": base, "Version": "$Default"},
                        "Overrides": [{"InstanceType": "t3.micro", "LaunchTemplateSpecification": specification}],
                    }
                }
        backend.create_auto_scaling_group(
            name=name,
            availability_zones=[f"{ami.region}a"],
            desired_capacity=0,
            max_size=1,
            min_size=0,
            vpc_zone_identifier=None,
            default_cooldown=None,
            health_check_period=None,
            health_check_type=None,
            load_balancers=[],
            target_group_arns=[],
            placement_group=None,
            termination_policies=[],
            tags=[],
            **launch,
        )

    def _create_parameter(self, fields: Mapping[str, Any], ami: Ami, image_arn: str, where: str) -> None:
        put_parameter(
            fields["name"],
            ami.id,
            ami.region,
            ami.account,
            kind=read_choice(fields.get("type", "String"), f"{where}.type", _PARAMETER_TYPES),
            data_type=read_choice(fields.get("data_type", "aws:ec2:image"), f"{where}.data_type", _DATA_TYPES),
        )

    def _create_recipe(self, fields: Mapping[str, Any], ami: Ami, image_arn: str, where: str) -> None:
        kind = read_choice(fields.get("kind", "image"), f"{where}.kind", ("image", "container"))
        parent = read_choice(fields.get("parent", "ami"), f"{where}.parent", ("ami", "image"))
        version = str(fields.get("version", "1.0.0"))
        # A recipe is in the region of what it is built from: of the AMI, or of the image.
        region = ami.region if parent == "ami" else image_arn.split(":")[3]
        arn = f"{':'.join(image_arn.split(':')[:3])}:{region}:{ami.account}:{kind}-recipe/{fields['name']}/{version}"
        if not re.fullmatch(r"[a-z0-9-_]+/\d+\.\d+\.\d+", arn.partition("-recipe/")[2]):
            raise SeedError(f"{where}: {fields['name']!r} with version {version!r} is not a recipe's name and version")
        by_ami = parent == "ami"
        container = kind == "container"
        self._recipes[arn] = Recipe(
            arn,
            # A container is built from a container image; the AMI is that of the instance which builds it.
            parent_image="amazonlinux:latest" if container and by_ami else ami.id if by_ami else image_arn,
            date_created=self._now,
            instance_image=ami.id if container and by_ami else None,
        )


def _add_version(name: str, ami: Ami, placement: str) -> int:
    """Add a version with the AMI to a launch template, which is created where it is missing; returns its number.

    Args:
        name: the template.
        ami: the AMI.
        placement: ``current`` (default and latest), ``default``, ``latest`` or ``old`` (neither); versions without an
            AMI take the other places.
    """
    backend = ec2_backend(ami.region, ami.account)
    if placement == "latest" and name not in backend.launch_template_name_to_ids:
        _add_filler(name, ami)
    if name in backend.launch_template_name_to_ids:
        template = backend.get_launch_template_by_name(name)
        version = template.create_version({"ImageId": ami.id}, "")
    else:
        template = backend.create_launch_template(name, "", {"ImageId": ami.id}, {})
        version = template.latest_version()
    if placement in {"current", "default"}:
        template.default_version_number = version.number
    if placement in {"default", "old"}:
        filler = template.create_version({}, "")
        if placement == "old":
            template.default_version_number = filler.number
    number: int = version.number
    return number


def _add_filler(name: str, ami: Ami) -> None:
    ec2_backend(ami.region, ami.account).create_launch_template(name, "", {}, {})


def _version_of(name: str, ami: Ami) -> int | None:
    """Return the newest version of a launch template that has the AMI; None where there is none."""
    backend = ec2_backend(ami.region, ami.account)
    template = backend.launch_templates.get(backend.launch_template_name_to_ids.get(name))
    versions = template.versions if template else []
    return next((version.number for version in reversed(versions) if version.image_id == ami.id), None)


def _create_configuration(backend: Any, name: str, ami: Ami) -> None:
    backend.create_launch_configuration(
        name=name,
        image_id=ami.id,
        key_name=None,
        kernel_id="",
        ramdisk_id="",
        security_groups=[],
        user_data=None,
        instance_type="t3.micro",
        instance_monitoring=False,
        instance_profile_name=None,
        spot_price=None,
        ebs_optimized=False,
        associate_public_ip_address=False,
        block_device_mappings=[],
    )


# --- the console ---------------------------------------------------------------------------------------------------


class UseIndex:
    """What uses AMIs now: each account and region is looked through once.

    Args:
        recipes: Image Builder's recipes.
    """

    def __init__(self, recipes: Mapping[str, Recipe]) -> None:
        self._recipes = recipes
        self._places: dict[Place, defaultdict[str, list[dict[str, str]]]] = {}

    def of(self, ami: Ami, image_arn: str) -> list[dict[str, str]]:
        """Return kind, name and detail of each use of an AMI, those of recipes by the image's ARN too."""
        found = self._at(Place(ami.region, ami.account))
        by_arn = self._at(Place(image_arn.split(":")[3], ami.account))[image_arn]
        return found[ami.id] + by_arn

    def _at(self, place: Place) -> defaultdict[str, list[dict[str, str]]]:
        if place not in self._places:
            uses = self._places[place] = defaultdict(list)
            for image, kind, name, detail in (*_resources(place), *self._recipe_uses(place)):
                uses[image].append({"kind": kind, "name": name, "detail": detail})
        return self._places[place]

    def _recipe_uses(self, place: Place) -> Iterator[tuple[str, str, str, str]]:
        for recipe in self._recipes.values():
            if (recipe.region, recipe.account) == (place.region, place.account):
                for image in recipe.images:
                    yield image, recipe.kind.replace("-", " "), recipe.name, recipe.version


def _resources(place: Place) -> Iterator[tuple[str, str, str, str]]:
    for instance in list_instances(place):
        yield instance.image_id, "instance", instance.id, instance.state
    for template in list_templates(place):
        for version in template.versions:
            marks = [
                mark
                for mark, holds in (
                    ("default", template.is_default(version)),
                    ("latest", version is template.latest_version()),
                )
                if holds
            ]
            detail = ", ".join([f"version {version.number}", *marks])
            yield version.image_id, "launch template", template.name, detail
    for use in list_group_uses(place):
        yield use.image_id, "Auto Scaling group", use.group.name, use.by
    for parameter in list_parameters(place.region, place.account):
        if parameter.parameter_type != "SecureString":
            yield parameter.value, "parameter", parameter.name, parameter.data_type
