"""A service with images, AMIs and what uses them, in any region, without a network."""

# Parameters have the service's names.
# ruff: noqa: N803

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import botocore.session
import botocore.validate
from pulumi_imagebuilder.aws.service import Service
from pulumi_imagebuilder.errors import ResourceNotFound, ServiceError

ACCOUNT = "123456789012"
OTHER_ACCOUNT = "210987654321"
REGION = "us-east-1"
_AUTO_SCALING = f"arn:aws:autoscaling:{REGION}:{ACCOUNT}"

STALL = "stall"
"""A fault: no answer, ever."""

Fault = Exception | str

Result = TypeVar("Result")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to what is due next as soon as all tasks wait: an hour passes in no time."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._now = max(self._now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of work, in virtual time; a day is too long."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(asyncio.wait_for(work, 86400))


def in_event_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test that is a coroutine, in virtual time."""

    @functools.wraps(test)
    def run_test(*arguments: Any, **named: Any) -> None:
        run(test(*arguments, **named))

    return run_test


def arn_of(build: int = 1, *, name: str = "web", region: str = REGION) -> str:
    return f"arn:aws:imagebuilder:{region}:{ACCOUNT}:image/{name}/1.0.0/{build}"


def denied(action: str) -> ServiceError:
    """The error of EC2 where the caller lacks a right, as ``Service.call`` raises it."""
    return ServiceError(
        f"UnauthorizedOperation: You are not authorized to perform this operation. User: arn:aws:sts::{ACCOUNT}:"
        f"assumed-role/ci/1 is not authorized to perform: {action} because no identity-based policy allows it",
        "UnauthorizedOperation",
        next_step="check the caller's policy",
    )


@dataclass
class Template:
    name: str
    versions: dict[int, str]
    default: int = 1


@dataclass
class World:
    """What there is in one region."""

    amis: dict[str, dict[str, Any]] = field(default_factory=dict)
    templates: dict[str, Template] = field(default_factory=dict)
    groups: list[dict[str, Any]] = field(default_factory=list)
    configurations: dict[str, str] = field(default_factory=dict)
    instances: dict[str, tuple[str, str]] = field(default_factory=dict)
    """AMI and state by id."""
    parameters: dict[str, str] = field(default_factory=dict)
    image_recipes: dict[str, str] = field(default_factory=dict)
    container_recipes: dict[str, str] = field(default_factory=dict)
    shares: dict[str, set[str]] = field(default_factory=dict)
    """AMIs by account."""

    def add_template(self, name: str, *images: str, default: int = 1) -> str:
        id_ = f"lt-{len(self.templates) + 1:017x}"
        self.templates[id_] = Template(name, dict(enumerate(images, 1)), default)
        return id_

    def add_group(self, name: str, **how: Any) -> None:
        self.groups.append(
            {
                "AutoScalingGroupName": name,
                "AutoScalingGroupARN": f"{_AUTO_SCALING}:autoScalingGroup:1:autoScalingGroupName/{name}",
                **how,
            }
        )


class FakeService(Service):
    """Answers from :class:`World`, one a region, and counts its calls.

    Every request is held against the model of the service. A fault is for a region and an operation, and raised from
    its nth call on.
    """

    def __init__(self, *, page_size: int = 1000) -> None:
        super().__init__()
        self.regions: dict[str, World] = {}
        self.images: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str, Mapping[str, Any]]] = []
        self.page_size = page_size
        self.before: Callable[[str, str], None] = lambda region, operation: None
        self._faults: dict[tuple[str, str], tuple[Fault, int]] = {}
        self._counts: Counter[tuple[str, str]] = Counter()

    def world(self, region: str = REGION) -> World:
        return self.regions.setdefault(region, World())

    def add_image(self, build: int = 1, *regions: str, name: str = "web", **described: Any) -> str:
        """Add an image with one AMI in each region, named ``ami-<build>-<region>``."""
        arn = arn_of(build, name=name)
        amis = [{"region": region, "image": f"ami-{build}-{region}"} for region in regions or (REGION,)]
        self.images[arn] = {"arn": arn, "state": {"status": "AVAILABLE"}, "outputResources": {"amis": amis}}
        for ami in amis:
            self.world(ami["region"]).amis[ami["image"]] = {
                "ImageId": ami["image"],
                "OwnerId": ACCOUNT,
                "State": "available",
                "Public": False,
                "BlockDeviceMappings": [{"Ebs": {"SnapshotId": f"snap-{ami['image']}", "VolumeSize": 15}}],
                **described,
            }
        return arn

    def fail(self, region: str, operation: str, fault: Fault, *, from_call: int = 1) -> None:
        self._faults[region, operation] = fault, from_call

    def heal(self) -> None:
        self._faults.clear()

    def count(self, operation: str | None = None, region: str | None = None) -> int:
        return sum(operation in (None, each) and region in (None, where) for where, each, _ in self.calls)

    async def call(
        self,
        service: str,
        region: str,
        operation: str,
        *,
        account: str | None = None,
        on_retry: Callable[[str], None] | None = None,
        **parameters: Any,
    ) -> dict[str, Any]:
        shape = _model(service).operation_model(_operations(service)[operation]).input_shape
        report = botocore.validate.ParamValidator().validate(parameters, shape)
        assert not report.has_errors(), report.generate_report()
        self.calls.append((region, operation, parameters))
        await asyncio.sleep(0)
        self.before(region, operation)
        self._counts[region, operation] += 1
        fault, from_call = self._faults.get((region, operation), (None, 1))
        if fault is not None and self._counts[region, operation] >= from_call:
            if isinstance(fault, Exception):
                raise fault
            if on_retry:
                on_retry("retrying after ServiceUnavailable: it is busy")
            await asyncio.Event().wait()
        answer: dict[str, Any] = getattr(self, f"_{operation}")(self.world(region), region, **parameters)
        return answer

    def _page(self, member: str, entries: list[Any], token: str | None) -> dict[str, Any]:
        start = int(token or 0)
        end = start + self.page_size
        more = {"NextToken": str(end)} if end < len(entries) else {}
        return {member: entries[start:end], **more}

    def _get_image(self, world: World, region: str, *, imageBuildVersionArn: str) -> dict[str, Any]:
        if imageBuildVersionArn not in self.images:
            raise ResourceNotFound("ResourceNotFoundException: not found", "ResourceNotFoundException")
        return {"image": {"state": {"status": "AVAILABLE"}, **self.images[imageBuildVersionArn]}}

    def _describe_images(
        self,
        world: World,
        region: str,
        *,
        Filters: list[dict[str, Any]],
        ExecutableUsers: list[str] | None = None,
        IncludeDisabled: bool = False,
        IncludeDeprecated: bool = False,
        NextToken: str | None = None,
    ) -> dict[str, Any]:
        (values,) = (each["Values"] for each in Filters if each["Name"] == "image-id")
        assert len(values) <= 200
        found = [world.amis[each] for each in values if each in world.amis]
        found = [each for each in found if IncludeDisabled or each["State"] != "disabled"]
        if ExecutableUsers:
            found = [each for each in found if each["ImageId"] in world.shares.get(ExecutableUsers[0], ())]
        return self._page("Images", found, NextToken)

    def _describe_image_references(
        self,
        world: World,
        region: str,
        *,
        ImageIds: list[str],
        ResourceTypes: list[dict[str, Any]],
        NextToken: str | None = None,
    ) -> dict[str, Any]:
        assert 1 <= len(ImageIds) <= 10
        gone = [each for each in ImageIds if each not in world.amis]
        if gone:
            raise ServiceError(f"InvalidAMIID.NotFound: {gone[0]} does not exist", "InvalidAMIID.NotFound")
        options = {
            each["ResourceType"]: {
                option["OptionName"]: option["OptionValues"] for option in each["ResourceTypeOptions"]
            }
            if "ResourceTypeOptions" in each
            else {}
            for each in ResourceTypes
        }
        found = [
            {"ImageId": image, "ResourceType": kind, "Arn": arn}
            for kind, image, arn in self._references(world, region, options)
            if image in ImageIds
        ]
        return self._page("ImageReferences", found, NextToken)

    def _references(
        self, world: World, region: str, options: Mapping[str, Mapping[str, list[str]]]
    ) -> Iterator[tuple[str, str, str]]:
        def arn(service: str, resource: str) -> str:
            return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"

        if "ec2:Instance" in options:
            states = options["ec2:Instance"].get("state-name")
            for id_, (image, state) in world.instances.items():
                if not states or state in states:
                    yield "ec2:Instance", image, arn("ec2", f"instance/{id_}")
        if "ec2:LaunchTemplate" in options:
            depth = int(options["ec2:LaunchTemplate"].get("version-depth", ["10"])[0])
            for id_, template in world.templates.items():
                for image in {template.versions[number] for number in sorted(template.versions)[-depth:]}:
                    yield "ec2:LaunchTemplate", image, arn("ec2", f"launch-template/{id_}")
        for kind, service, resource, entries in (
            ("ssm:Parameter", "ssm", "parameter", world.parameters),
            ("imagebuilder:ImageRecipe", "imagebuilder", "image-recipe", world.image_recipes),
            ("imagebuilder:ContainerRecipe", "imagebuilder", "container-recipe", world.container_recipes),
        ):
            if kind in options:
                for name, image in entries.items():
                    yield kind, image, arn(service, f"{resource}/{name.removeprefix('/')}")

    def _describe_instances(
        self,
        world: World,
        region: str,
        *,
        Filters: list[dict[str, Any]],
        MaxResults: int,
        NextToken: str | None = None,
    ) -> dict[str, Any]:
        (values,) = (each["Values"] for each in Filters if each["Name"] == "image-id")
        found = [
            {"Instances": [{"InstanceId": id_, "ImageId": image, "State": {"Name": state}}]}
            for id_, (image, state) in world.instances.items()
            if image in values
        ]
        return self._page("Reservations", found, NextToken)

    def _describe_launch_template_versions(
        self,
        world: World,
        region: str,
        *,
        Versions: list[str],
        LaunchTemplateId: str | None = None,
        MaxResults: int | None = None,
        NextToken: str | None = None,
    ) -> dict[str, Any]:
        found = []
        for id_, template in world.templates.items():
            if LaunchTemplateId in (None, id_):
                latest = max(template.versions)
                aliases = {"$Latest": latest, "$Default": template.default}
                numbers = {aliases.get(each) or int(each) for each in Versions}
                if not numbers <= template.versions.keys():
                    code = "InvalidLaunchTemplateId.VersionNotFound"
                    raise ServiceError(f"{code}: Could not find the specified version", code)
                found += [
                    {
                        "LaunchTemplateId": id_,
                        "LaunchTemplateName": template.name,
                        "VersionNumber": number,
                        "DefaultVersion": number == template.default,
                        "LaunchTemplateData": {"ImageId": template.versions[number]},
                    }
                    for number in sorted(numbers)
                ]
        if LaunchTemplateId and not found:
            raise ServiceError(
                "InvalidLaunchTemplateId.NotFound: it does not exist", "InvalidLaunchTemplateId.NotFound"
            )
        return self._page("LaunchTemplateVersions", found, NextToken)

    def _describe_auto_scaling_groups(
        self, world: World, region: str, *, IncludeInstances: bool, MaxRecords: int, NextToken: str | None = None
    ) -> dict[str, Any]:
        return self._page("AutoScalingGroups", world.groups, NextToken)

    def _describe_launch_configurations(
        self, world: World, region: str, *, MaxRecords: int, NextToken: str | None = None
    ) -> dict[str, Any]:
        found = [
            {
                "LaunchConfigurationName": name,
                "LaunchConfigurationARN": f"{_AUTO_SCALING}:launchConfiguration:1:launchConfigurationName/{name}",
                "ImageId": image,
            }
            for name, image in world.configurations.items()
        ]
        return self._page("LaunchConfigurations", found, NextToken)

    def _list_image_recipes(
        self, world: World, region: str, *, maxResults: int, nextToken: str | None = None
    ) -> dict[str, Any]:
        return self._recipes("imageRecipeSummaryList", "image-recipe", world.image_recipes, region, nextToken)

    def _list_container_recipes(
        self, world: World, region: str, *, maxResults: int, nextToken: str | None = None
    ) -> dict[str, Any]:
        return self._recipes(
            "containerRecipeSummaryList", "container-recipe", world.container_recipes, region, nextToken
        )

    def _recipes(
        self, member: str, kind: str, recipes: Mapping[str, str], region: str, token: str | None
    ) -> dict[str, Any]:
        found = [
            {"arn": f"arn:aws:imagebuilder:{region}:{ACCOUNT}:{kind}/{name}", "parentImage": image}
            for name, image in recipes.items()
        ]
        page = self._page(member, found, token)
        return {{"NextToken": "nextToken"}.get(key, key): value for key, value in page.items()}


@functools.cache
def _model(service: str) -> Any:
    return _SESSION.get_service_model(service)


@functools.cache
def _operations(service: str) -> dict[str, str]:
    return {botocore.xform_name(name): name for name in _model(service).operation_names}


_SESSION = botocore.session.get_session()
