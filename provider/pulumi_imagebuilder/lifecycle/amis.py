"""Represent an AMI, and a reference: one use of an AMI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

INSTANCE = "ec2:Instance"
LAUNCH_TEMPLATE = "ec2:LaunchTemplate"
PARAMETER = "ssm:Parameter"
IMAGE_RECIPE = "imagebuilder:ImageRecipe"
CONTAINER_RECIPE = "imagebuilder:ContainerRecipe"
AUTO_SCALING_GROUP = "autoscaling:AutoScalingGroup"
LAUNCH_CONFIGURATION = "autoscaling:LaunchConfiguration"

KINDS: Mapping[str, str] = {
    LAUNCH_TEMPLATE: "launch template",
    AUTO_SCALING_GROUP: "Auto Scaling group",
    LAUNCH_CONFIGURATION: "launch configuration",
    PARAMETER: "SSM parameter",
    IMAGE_RECIPE: "image recipe",
    CONTAINER_RECIPE: "container recipe",
    INSTANCE: "instance",
}
"""The kinds of references, in the order in which messages name them. The keys are EC2's names where it has one."""

LIVE_STATES = ("pending", "running", "stopping", "stopped")
"""States of instances that count."""


@dataclass(frozen=True)
class AccountRegion:
    """An account in a region: where AMIs are, and where they are used.

    Attributes:
        partition: as ``aws``.
        account: 12 digits.
        region: as ``us-east-1``.
    """

    partition: str
    account: str
    region: str

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


@dataclass(frozen=True)
class Ami:
    """An AMI of an image, as EC2 describes it.

    Attributes:
        region: as ``us-east-1``.
        ami_id: its id.
        account_id: the owner.
        state: as EC2 names it.
        snapshots: ids of its snapshots.
        size_gib: sum of the volume sizes of these snapshots, in GiB: the most that they can take.
        public: whether everyone may launch it.
        last_launched: when it was last launched, RFC 3339; EC2 knows it a day later. None without a recorded launch.
        deregistration_protection: whether it is, or for a day was, protected from deregistration.
        tags: its tags.
        shared_accounts: those of the accounts to check for sharing that may launch it.
    """

    region: str
    ami_id: str
    account_id: str
    state: str
    snapshots: tuple[str, ...] = ()
    size_gib: int = 0
    public: bool = False
    last_launched: str | None = None
    deregistration_protection: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    shared_accounts: frozenset[str] = frozenset()

    @property
    def launched_at(self) -> datetime | None:
        """When it was last launched; None without a recorded launch."""
        return datetime.fromisoformat(self.last_launched) if self.last_launched else None

    @classmethod
    def parse(cls, region: str, described: Mapping[str, Any]) -> Ami:
        """Return the AMI of one entry of ``DescribeImages``."""
        volumes = [mapping["Ebs"] for mapping in described.get("BlockDeviceMappings", []) if mapping.get("Ebs")]
        volumes = [volume for volume in volumes if volume.get("SnapshotId")]
        return cls(
            region=region,
            ami_id=described["ImageId"],
            account_id=described.get("OwnerId", ""),
            state=described.get("State", ""),
            snapshots=tuple(volume["SnapshotId"] for volume in volumes),
            size_gib=sum(volume.get("VolumeSize") or 0 for volume in volumes),
            public=bool(described.get("Public")),
            last_launched=described.get("LastLaunchedTime") or None,
            # EC2 deregisters it only if this is "disabled", which it becomes a day after the protection was turned off.
            deregistration_protection=(described.get("DeregistrationProtection") or "disabled") != "disabled",
            tags={tag["Key"]: tag["Value"] for tag in described.get("Tags", [])},
        )


@dataclass(frozen=True)
class Reference:
    """One use of an AMI.

    Attributes:
        kind: one of :data:`KINDS`.
        arn: ARN of the resource that uses the AMI.
        name: its name, or its id if it has no name.
        detail: version or state: ``version 4, $Latest``; may be empty.
        ami_id: id of the AMI; the image's ARN if a recipe names that and the image has no AMI in the recipe's region.
        region: where it is used.
        counts: whether it breaks when the AMI is deleted or disabled: then it blocks the change.
        counts_only_for_deletion: whether it breaks only when the AMI is deleted.
    """

    kind: str
    arn: str
    name: str
    detail: str
    ami_id: str
    region: str
    counts: bool = True
    counts_only_for_deletion: bool = False

    @property
    def sort_key(self) -> tuple[Any, ...]:
        """The key to sort by: those that count first, then by kind, region and name."""
        kinds = [*KINDS]
        kind = kinds.index(self.kind) if self.kind in kinds else len(kinds)
        return not self.counts, kind, self.region, self.name

    def __str__(self) -> str:
        return f"{KINDS.get(self.kind, self.kind)} {self.name}{f' ({self.detail})' if self.detail else ''}"


def name_in(arn: str) -> tuple[str, str]:
    """Return the name and the detail of the resource that an ARN names.

    >>> name_in("arn:aws:ssm:us-east-1:123456789012:parameter/golden/web")
    ('/golden/web', '')
    >>> name_in("arn:aws:imagebuilder:us-east-1:123456789012:image-recipe/child/1.0.0")
    ('child', 'version 1.0.0')
    """
    resource = arn.split(":", 5)[-1]
    kind, _, rest = resource.partition("/")
    if kind.endswith("-recipe") and "/" in rest:
        name, _, version = rest.partition("/")
        return name, f"version {version}"
    # A parameter's ARN has no second slash before a name that begins with one.
    return (f"/{rest}", "") if kind == "parameter" and "/" in rest else (rest or resource, "")
