"""Find what launches from AMIs: launch templates, Auto Scaling groups and launch configurations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .amis import AUTO_SCALING_GROUP, LAUNCH_CONFIGURATION, LAUNCH_TEMPLATE, AccountRegion, Reference


@dataclass(frozen=True)
class Launchers:
    """What launches from AMIs in one region: templates, groups and launch configurations.

    Attributes:
        used_by: references by AMI.
        template_names: by id, of all templates there are.
    """

    used_by: Mapping[str, Sequence[Reference]]
    template_names: Mapping[str, str]


def find_launchers(
    place: AccountRegion,
    templates: Templates,
    groups: Sequence[Mapping[str, Any]],
    configurations: Iterable[Mapping[str, Any]],
) -> Launchers:
    """Return what launches from AMIs, by AMI.

    Args:
        place: the account and region.
        templates: with all versions that groups name.
        groups: entries of ``DescribeAutoScalingGroups``.
        configurations: entries of ``DescribeLaunchConfigurations``.
    """
    used_by: defaultdict[str, list[Reference]] = defaultdict(list)
    by_name = {each["LaunchConfigurationName"]: each for each in configurations}
    for group in groups:
        name, arn = group["AutoScalingGroupName"], group["AutoScalingGroupARN"]
        details: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for specification in _specifications(group):
            version = templates.resolve(specification)
            if version and version.ami_id:
                version.groups[name] = None
                details[version.ami_id][f"launch template {version.name}, version {version.number}"] = None
        for image_id in _overriding_amis(group):
            details[image_id]["an override"] = None
        configuration = by_name.get(group.get("LaunchConfigurationName", ""))
        if configuration:
            details[configuration["ImageId"]][_describe_configuration(configuration)] = None
        for image_id, how in details.items():
            used_by[image_id].append(Reference(AUTO_SCALING_GROUP, arn, name, "; ".join(how), image_id, place.region))
    for image_id, by_template in templates.by_image().items():
        for template_id, versions in by_template.items():
            arn = place.arn("ec2", f"launch-template/{template_id}")
            detail = "; ".join(version.detail for version in versions)
            used_by[image_id].append(Reference(LAUNCH_TEMPLATE, arn, versions[0].name, detail, image_id, place.region))
    attached = {group.get("LaunchConfigurationName") for group in groups}
    for name, configuration in by_name.items():
        if name not in attached:
            image_id, arn = configuration["ImageId"], configuration["LaunchConfigurationARN"]
            used_by[image_id].append(
                Reference(LAUNCH_CONFIGURATION, arn, name, "of no group", image_id, place.region, counts=False)
            )
    return Launchers(used_by, templates.names)


def _describe_configuration(configuration: Mapping[str, Any]) -> str:
    return f"launch configuration {configuration['LaunchConfigurationName']}"


@dataclass
class TemplateVersion:
    """A version of a launch template.

    Attributes:
        template_id: the template.
        name: the template's name.
        number: of the version.
        ami_id: the AMI it names; None if it names no AMI, or an SSM parameter (reported separately).
        aliases: ``$Default`` and ``$Latest``, if it is that.
        groups: names of the Auto Scaling groups that launch from it, in order.
    """

    template_id: str
    name: str
    number: int
    ami_id: str | None
    aliases: list[str] = field(default_factory=list)
    groups: dict[str, None] = field(default_factory=dict)

    @property
    def detail(self) -> str:
        """The version with its aliases, or if it has none with the groups that name it."""
        known_as = self.aliases or [f"named by Auto Scaling group {name}" for name in self.groups]
        return ", ".join([f"version {self.number}", *known_as])


class Templates:
    """Launch templates of a region with the versions that matter: default, latest, and those that groups name."""

    def __init__(self, versions: Iterable[Mapping[str, Any]]) -> None:
        self.names: dict[str, str] = {}
        self._versions: dict[tuple[str, int], TemplateVersion] = {}
        self._aliases: dict[tuple[str, str], int] = {}
        defaults = {}
        latest: dict[str, int] = {}
        for raw in versions:
            id_, number = raw["LaunchTemplateId"], int(raw["VersionNumber"])
            self.add([raw])
            if raw.get("DefaultVersion"):
                defaults[id_] = number
            latest[id_] = max(number, latest.get(id_, 0))
        for alias, numbers in (("$Default", defaults), ("$Latest", latest)):
            for id_, number in numbers.items():
                self._aliases[id_, alias] = number
                self._versions[id_, number].aliases.append(alias)
        self._ids = {name: id_ for id_, name in self.names.items()}

    def add(self, versions: Iterable[Mapping[str, Any]]) -> None:
        """Add entries of ``DescribeLaunchTemplateVersions``."""
        for raw in versions:
            id_, number = raw["LaunchTemplateId"], int(raw["VersionNumber"])
            name = self.names.setdefault(id_, raw.get("LaunchTemplateName", id_))
            image = (raw.get("LaunchTemplateData") or {}).get("ImageId")
            self._versions.setdefault((id_, number), TemplateVersion(id_, name, number, image))

    def find_unread(self, groups: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
        """Return the versions that groups name by number and that were not read, by the template's id."""
        found: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for group in groups:
            for specification in _specifications(group):
                id_, version = self._id_of(specification), specification.get("Version") or "$Default"
                if id_ and version.isdecimal() and (id_, int(version)) not in self._versions:
                    found[id_][version] = None
        return {id_: list(numbers) for id_, numbers in found.items()}

    def resolve(self, specification: Mapping[str, Any]) -> TemplateVersion | None:
        """Return the version that a group launches from; None if it is gone."""
        id_, version = self._id_of(specification), specification.get("Version") or "$Default"
        number = int(version) if version.isdecimal() else self._aliases.get((id_ or "", version))
        return self._versions.get((id_, number)) if id_ and number is not None else None

    def by_image(self) -> dict[str, dict[str, list[TemplateVersion]]]:
        """Return the versions by AMI, then by the template's id."""
        found: defaultdict[str, defaultdict[str, list[TemplateVersion]]] = defaultdict(lambda: defaultdict(list))
        for version in self._versions.values():
            if version.ami_id and (version.aliases or version.groups):
                found[version.ami_id][version.template_id].append(version)
        return {image: dict(versions) for image, versions in found.items()}

    def _id_of(self, specification: Mapping[str, Any]) -> str | None:
        return specification.get("LaunchTemplateId") or self._ids.get(specification.get("LaunchTemplateName", ""))


def _specifications(group: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the template versions that a group launches from."""
    if group.get("LaunchTemplate"):
        yield group["LaunchTemplate"]
    template = (group.get("MixedInstancesPolicy") or {}).get("LaunchTemplate") or {}
    if template.get("LaunchTemplateSpecification"):
        yield template["LaunchTemplateSpecification"]
    for override in template.get("Overrides") or []:
        if override.get("LaunchTemplateSpecification"):
            yield override["LaunchTemplateSpecification"]


def _overriding_amis(group: Mapping[str, Any]) -> Iterator[str]:
    """Yield the AMIs that overrides of a group name directly."""
    template = (group.get("MixedInstancesPolicy") or {}).get("LaunchTemplate") or {}
    for override in template.get("Overrides") or []:
        if override.get("ImageId"):
            yield override["ImageId"]
