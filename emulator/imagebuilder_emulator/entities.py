"""The entities of the service: images with what they were distributed as, and lifecycle executions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

UNFINISHED_STATUSES = frozenset({"PENDING", "IN_PROGRESS", "CANCELLING"})
STABLE_STATES = frozenset({"AVAILABLE", "DEPRECATED", "DISABLED", "FAILED", "CANCELLED"})
MAX_VERSION_NUMBER = 1_073_741_823
"""The largest number in a version."""


def parse_version(version: str) -> list[int] | None:
    """Return the numbers of a semantic version; ``x`` and what comes after it are left out: ``1.x.x`` is ``[1]``.

    Returns:
        None where a number follows an ``x``, or is larger than the service allows.
    """
    numbers, _, wild = version.partition("x")
    parts = [part for part in numbers.split(".") if part]
    if wild.strip(".x") or any(len(part.lstrip("0")) > 10 or int(part) > MAX_VERSION_NUMBER for part in parts):
        return None
    return [int(part) for part in parts]


@dataclass(frozen=True)
class Ami:
    """An AMI that an image was distributed as; its truth is in moto's EC2."""

    id: str
    region: str
    account: str


@dataclass(frozen=True)
class Container:
    """A container image in a repository of moto's ECR."""

    region: str
    account: str
    repository: str
    tag: str

    @property
    def uri(self) -> str:
        """Where it is pulled from."""
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com/{self.repository}:{self.tag}"


@dataclass
class Image:
    """An image build version."""

    arn: str
    state: str
    type: str
    date_created: datetime
    amis: list[Ami] = field(default_factory=list)
    containers: list[Container] = field(default_factory=list)
    reason: str | None = None
    platform: str = "Linux"
    os_version: str | None = None
    deprecation_time: datetime | None = None
    lifecycle_execution_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    available_at: datetime | None = None
    """When an image that is being built becomes available."""
    given_name: str | None = None
    """The name as it was given, where that is not the one in the ARN: ``Web App`` for ``web-app``."""
    failure_context: dict[str, Any] | None = None
    """``ImageFailureContext`` of a build that failed."""

    @property
    def version_arn(self) -> str:
        """The ARN without the build number."""
        return self.arn.rpartition("/")[0]

    @property
    def name_arn(self) -> str:
        """The ARN without version and build number."""
        return self.version_arn.rpartition("/")[0]

    @property
    def region(self) -> str:
        """The region the image is in."""
        return self.arn.split(":")[3]

    @property
    def account(self) -> str:
        """The account that owns the image."""
        return self.arn.split(":")[4]

    @property
    def name(self) -> str:
        """The image's name."""
        return self.arn.rsplit("/", 3)[1]

    @property
    def display_name(self) -> str:
        """The name as it was given."""
        return self.given_name or self.name

    @property
    def version(self) -> str:
        """The semantic version."""
        return self.arn.rsplit("/", 3)[2]

    @property
    def build(self) -> int:
        """The build number."""
        return int(self.arn.rsplit("/", 3)[3])

    @property
    def label(self) -> str:
        """What its AMIs are named."""
        return f"{self.name}-{self.version}-{self.build}"

    @cached_property
    def version_numbers(self) -> list[int]:
        """The semantic version, to be compared."""
        return parse_version(self.version) or []

    @cached_property
    def sort_key(self) -> tuple[str, str, list[int], str, int]:
        """Where it comes in a list: by name, version and build."""
        return self.name, self.account, self.version_numbers, self.version, self.build


@dataclass
class Impact:
    """One resource under an image in the course of an execution."""

    resource: Ami | Container
    status: str = "IN_PROGRESS"
    reason: str | None = None
    snapshots: list[dict[str, Any]] = field(default_factory=list)
    start: datetime | None = None
    end: datetime | None = None


@dataclass
class Execution:
    """A lifecycle execution of one image."""

    id: str
    image_arn: str
    target: str
    role: str | None
    includes: frozenset[str]
    exclusions: dict[str, Any]
    asked_at: datetime
    begins_at: datetime
    ends_at: datetime
    status: str = "PENDING"
    reason: str | None = None
    scheduled: bool = False
    impacts: list[Impact] = field(default_factory=list)
    record_status: str = "IN_PROGRESS"
    record_reason: str | None = None
    end: datetime | None = None
    cancelled_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    policy_arn: str | None = None
    """The lifecycle policy that started it; None where StartResourceStateUpdate did."""

    @property
    def region(self) -> str:
        """The region of its image."""
        return self.image_arn.split(":")[3]

    @property
    def unfinished(self) -> bool:
        """Whether it has not ended yet."""
        return self.status in UNFINISHED_STATUSES

    def due(self) -> datetime | None:
        """Return when its next step is due; None when it has ended."""
        if self.status == "CANCELLING":
            return self.cancelled_at
        if self.status == "PENDING":
            return self.begins_at
        if self.status == "IN_PROGRESS":
            done = sum(impact.end is not None for impact in self.impacts)
            return self.begins_at + (self.ends_at - self.begins_at) * (done + 1) / (len(self.impacts) + 1)
        return None
