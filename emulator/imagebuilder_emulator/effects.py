"""What executions do to moto's EC2 and ECR."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami as MotoAmi
from moto.ec2.utils import random_ami_id
from moto.ecr.models import ecr_backends
from moto.moto_api._internal.models import moto_api_backend

from .records import Ami, Container

_UNIT_DAYS = {"DAYS": 1, "WEEKS": 7, "MONTHS": 30, "YEARS": 365}


class EffectFailed(Exception):
    """A resource could not be changed; the text is the reason that the execution lists."""


class DistributedAmi(MotoAmi):
    """moto's AMI with what Image Builder's lifecycle touches: deprecation, last launch, several snapshots."""

    deprecation_time: str | None = None
    last_launched_time: str | None = None
    more_snapshots: tuple[Any, ...] = ()

    def get_tags(self) -> list[dict[str, str]]:
        """The tags, looked up: moto's own way goes through the tags of all resources for each."""
        tags = self.ec2_backend.tags.get(self.id, {})
        return [
            {"resource_id": self.id, "key": key, "value": value, "resource_type": "image"}
            for key, value in tags.items()
        ]

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        """One mapping for each snapshot."""
        mappings: list[dict[str, Any]] = super().block_device_mappings
        for place, snapshot in enumerate(self.more_snapshots):
            ebs = {**mappings[0]["Ebs"], "SnapshotId": snapshot.id}
            mappings.append({"DeviceName": f"/dev/sd{chr(ord('b') + place)}", "Ebs": ebs})
        return mappings


def reset() -> None:
    """Empty moto: every service, account and region of this process."""
    moto_api_backend.reset()


def register_ami(
    region: str,
    account: str,
    *,
    name: str,
    snapshots: int = 1,
    public: bool = False,
    shared_accounts: list[str] | None = None,
    tags: dict[str, str] | None = None,
    last_launched: datetime | None = None,
    created: datetime | None = None,
    ami_id: str | None = None,
) -> Ami:
    """Register an AMI with its snapshots in moto's EC2."""
    backend = ec2_backends[account][region]
    ami = DistributedAmi(
        backend,
        ami_id or random_ami_id(),
        name=name,
        public=public,
        root_device_type="ebs",
        architecture="x86_64",
        virtualization_type="hvm",
        region_name=f"{region}a",
        creation_date=created,
        tags={"CreatedBy": "EC2 Image Builder", **(tags or {})},
    )
    extra = []
    for _ in range(snapshots - 1):
        volume = backend.create_volume(size=15, zone_name=f"{region}a")
        extra.append(backend.create_snapshot(volume.id, f"Snapshot of {ami.id}", account, from_ami=ami.id))
        backend.delete_volume(volume.id)
    ami.more_snapshots = tuple(extra)
    ami.launch_permissions += [{"UserId": user} for user in shared_accounts or []]
    if last_launched:
        ami.last_launched_time = _iso(last_launched)
    backend.amis[ami.id] = ami
    return Ami(ami.id, region, account)


def knows_region(name: str, account: str) -> bool:
    """Whether EC2 has a region of this name."""
    return name in ec2_backends[account].regions


def push_container(container: Container) -> None:
    """Put a container image into moto's ECR, with its repository where that is missing, unless it is there already."""
    if is_there(container):
        return
    backend = ecr_backends[container.account][container.region]
    if container.repository not in backend.repositories:
        backend.create_repository(container.repository, None, {"encryptionType": "AES256"}, None, "MUTABLE", [])
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"digest": f"sha256:{container.tag}"},
        "layers": [],
    }
    backend.put_image(container.repository, json.dumps(manifest), container.tag)


def find(ami: Ami) -> Any:
    """An AMI as moto's EC2 has it; None for one that is gone."""
    return ec2_backends[ami.account][ami.region].amis.get(ami.id)


def ami_snapshots(ami: Ami) -> list[str]:
    """The ids of an AMI's snapshots; none for an AMI that is gone."""
    found = find(ami)
    return [mapping["Ebs"]["SnapshotId"] for mapping in found.block_device_mappings] if found else []


def ami_tags(found: Any) -> dict[str, str]:
    """The tags of an AMI as `find` gives it."""
    return {tag["key"]: tag["value"] for tag in found.get_tags()}


class Snapshots:
    """The snapshots that EC2 has of AMIs, those of deregistered ones too: each region is looked through once."""

    def __init__(self) -> None:
        self._regions: dict[tuple[str, str], defaultdict[str, list[str]]] = {}

    def of(self, ami: Ami) -> list[str]:
        """The ids of an AMI's snapshots."""
        place = (ami.account, ami.region)
        if place not in self._regions:
            found = self._regions[place] = defaultdict(list)
            for snapshot in ec2_backends[ami.account][ami.region].snapshots.values():
                if snapshot.from_ami:
                    found[snapshot.from_ami].append(snapshot.id)
        return self._regions[place].get(ami.id, [])


def excluded(ami: Ami, rules: dict[str, Any], now: datetime) -> str | None:
    """Why an AMI is left out by the exclusion rules; None when it takes part."""
    found = find(ami)
    if found is None:
        return None
    if rules.get("isPublic") and found.is_public:
        return "The AMI is public"
    if ami.region in rules.get("regions", []):
        return f"The AMI is in the excluded Region {ami.region}"
    users = {permission.get("UserId") for permission in found.launch_permissions}
    for account in rules.get("sharedAccounts", []):
        if account in users:
            return f"The AMI is shared with the excluded account {account}"
    launched, within = getattr(found, "last_launched_time", None), rules.get("lastLaunched")
    if launched and within:
        limit = timedelta(days=within["value"] * _UNIT_DAYS[within["unit"]])
        if now - datetime.fromisoformat(launched.replace("Z", "+00:00")) <= limit:
            return f"The AMI was launched within the last {within['value']} {within['unit'].lower()}"
    tags = ami_tags(found)
    for key, value in rules.get("tagMap", {}).items():
        if tags.get(key) == value:
            return f"The AMI carries the excluded tag {key}={value}"
    return None


def set_deprecation(ami: Ami, at: datetime | None) -> None:
    """Set, or take back, the time at which EC2 deprecates an AMI."""
    _existing(ami).deprecation_time = _iso(at) if at else None


def change_ami(ami: Ami, target: str, now: datetime) -> None:
    """Deprecate, disable, restore or deregister an AMI.

    Raises:
        EffectFailed: the AMI is not there; for a deletion that is no failure.
    """
    backend = ec2_backends[ami.account][ami.region]
    if target == "DELETED":
        if ami.id in backend.amis:
            backend.deregister_image(ami.id)
        return
    found = _existing(ami)
    if target == "DEPRECATED":
        found.deprecation_time = found.deprecation_time or _iso(now)
    elif target == "DISABLED":
        found.state = "disabled"
        # A disabled AMI is private: accounts it was shared with lose it, and restoring does not share it again.
        found.launch_permissions = []
    else:
        found.state, found.deprecation_time = "available", None


def delete_snapshot(ami: Ami, snapshot_id: str) -> None:
    """Delete a snapshot; one that is gone is no failure.

    Raises:
        EffectFailed: its AMI is still registered.
    """
    backend = ec2_backends[ami.account][ami.region]
    if ami.id in backend.amis:
        raise EffectFailed(f"The snapshot {snapshot_id} is in use by the AMI {ami.id}")
    backend.snapshots.pop(snapshot_id, None)


def is_there(container: Container) -> bool:
    """Whether a container image is still in its repository."""
    repositories = ecr_backends[container.account][container.region].repositories
    found = repositories.get(container.repository)
    return found is not None and any(container.tag in image.image_tags for image in found.images)


def delete_container(container: Container) -> None:
    """Remove a container image from its repository; one that is gone is no failure."""
    backend = ecr_backends[container.account][container.region]
    if container.repository in backend.repositories:
        backend.batch_delete_image(container.repository, image_ids=[{"imageTag": container.tag}])


def _existing(ami: Ami) -> Any:
    found = find(ami)
    if found is None:
        raise EffectFailed(f"The AMI {ami.id} does not exist")
    return found


def _iso(at: datetime) -> str:
    return at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
