"""All that is taken from moto: its backends of EC2, ECR and IAM, its WSGI application and its request handler.

moto promises none of these classes; its next version is tried here and nowhere else.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

# moto's own AMIs are of no use here, and cost seconds.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

# moto turns the absence of these two into a warning, and fails later.
import flask  # noqa: F401
import flask_cors  # noqa: F401
from moto.backends import get_backend
from moto.core.request import Request
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami as MotoAmi
from moto.ec2.models.elastic_block_store import Snapshot
from moto.ec2.utils import random_ami_id
from moto.ecr.models import ecr_backends
from moto.iam.models import iam_backends
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app

from .entities import Ami, Container

__all__ = ["MotoRequestHandler", "Request"]


def create_application() -> Any:
    """Return moto's WSGI application: every service that it has."""
    return DomainDispatcherApplication(create_backend_app)


class DistributedAmi(MotoAmi):
    """moto's AMI with what Image Builder's lifecycle touches: deprecation, last launch, several snapshots."""

    deprecation_time: str | None = None
    last_launched_time: str | None = None
    more_snapshots: tuple[Any, ...] = ()
    deregistration_protection: str = "disabled"
    unprotected_at: datetime | None = None

    def get_tags(self) -> list[dict[str, str]]:
        """Return the tags by a lookup: moto's own way goes through the tags of all resources for each."""
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
        ami.last_launched_time = format_time(last_launched)
    backend.amis[ami.id] = ami
    return Ami(ami.id, region, account)


def region_exists(name: str, account: str) -> bool:
    """Return whether EC2 has a region of this name."""
    return name in ec2_backends[account].regions


def push_container(container: Container) -> None:
    """Put a container image into moto's ECR, with its repository where that is missing, unless it is there already."""
    if container_exists(container):
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


def find_ami(ami: Ami) -> Any:
    """Return an AMI as moto's EC2 has it; None for one that is gone."""
    return ec2_backends[ami.account][ami.region].amis.get(ami.id)


def ami_snapshots(ami: Ami) -> list[str]:
    """Return the ids of an AMI's snapshots; none for an AMI that is gone."""
    found = find_ami(ami)
    return [mapping["Ebs"]["SnapshotId"] for mapping in found.block_device_mappings] if found else []


def ami_tags(found: Any) -> dict[str, str]:
    """Return the tags of an AMI as `find_ami` gives it."""
    return {tag["key"]: tag["value"] for tag in found.get_tags()}


class SnapshotIndex:
    """The snapshots that EC2 has of AMIs, those of deregistered ones too: each region is looked through once."""

    def __init__(self) -> None:
        self._regions: dict[tuple[str, str], defaultdict[str, list[str]]] = {}

    def of(self, ami: Ami) -> list[str]:
        """Return the ids of an AMI's snapshots."""
        place = (ami.account, ami.region)
        if place not in self._regions:
            found = self._regions[place] = defaultdict(list)
            for snapshot in ec2_backends[ami.account][ami.region].snapshots.values():
                if snapshot.from_ami:
                    found[snapshot.from_ami].append(snapshot.id)
        return self._regions[place].get(ami.id, [])


def container_exists(container: Container) -> bool:
    """Return whether a container image is still in its repository."""
    repositories = ecr_backends[container.account][container.region].repositories
    found = repositories.get(container.repository)
    return found is not None and any(container.tag in image.image_tags for image in found.images)


def delete_container(container: Container) -> None:
    """Remove a container image from its repository; one that is gone is no failure."""
    backend = ecr_backends[container.account][container.region]
    if container.repository in backend.repositories:
        backend.batch_delete_image(container.repository, image_ids=[{"imageTag": container.tag}])


def deregister_ami(ami: Ami) -> None:
    """Deregister an AMI; one that is gone is left alone."""
    backend = ec2_backends[ami.account][ami.region]
    if ami.id in backend.amis:
        backend.deregister_image(ami.id)


def remove_snapshot(ami: Ami, snapshot_id: str) -> None:
    """Remove a snapshot from the account and region of its AMI; one that is gone is left alone."""
    ec2_backends[ami.account][ami.region].snapshots.pop(snapshot_id, None)


def restore_ami(ami: Ami, *, name: str, created: datetime, snapshots: list[str]) -> DistributedAmi:
    """Register an AMI again, with snapshots that `restore_snapshot` has put there.

    Args:
        ami: id, region and account.
        name: its name.
        created: when it was created.
        snapshots: ids of its snapshots; one that EC2 does not have was deleted, and the AMI still names it.
    """
    backend = ec2_backends[ami.account][ami.region]
    register_ami(ami.region, ami.account, name=name, ami_id=ami.id, created=created)
    found: Any = backend.amis[ami.id]
    backend.snapshots.pop(found.ebs_snapshot.id)
    found.ebs_snapshot, *more = [
        backend.snapshots.get(each) or _snapshot(backend, each, "deleted", None) for each in snapshots
    ]
    found.more_snapshots = tuple(more)
    restored: DistributedAmi = found
    return restored


def tag_ami(ami: Ami, key: str, value: str) -> None:
    """Set one tag of an AMI."""
    ec2_backends[ami.account][ami.region].tags[ami.id][key] = value


def set_ami_tags(ami: Ami, tags: dict[str, str]) -> None:
    """Replace the tags of an AMI."""
    ec2_backends[ami.account][ami.region].tags[ami.id] = dict(tags)


def list_ami_snapshots() -> Iterator[tuple[str, str, Any]]:
    """Yield account, region and snapshot of each snapshot that was made for an AMI."""
    for account in sorted(set(ec2_backends)):
        # EC2 is not asked for regions that nothing was put into.
        for region, backend in ec2_backends[account].items():
            for snapshot in backend.snapshots.values():
                if snapshot.from_ami:
                    yield account, region, snapshot


def restore_snapshot(account: str, region: str, snapshot_id: str, description: str, from_ami: str | None) -> None:
    """Put a snapshot there, unless it is there."""
    backend = ec2_backends[account][region]
    if snapshot_id not in backend.snapshots:
        backend.snapshots[snapshot_id] = _snapshot(backend, snapshot_id, description, from_ami)


def _snapshot(backend: Any, snapshot_id: str, description: str, from_ami: str | None) -> Any:
    volume = backend.create_volume(size=15, zone_name=f"{backend.region_name}a")
    backend.delete_volume(volume.id)
    return Snapshot(backend, snapshot_id, volume, description, owner_id=backend.account_id, from_ami=from_ami)


def find_role(name: str, account: str) -> Any:
    """Return a role as moto's IAM has it; None where there is none of this name."""
    return next((role for role in iam_backends[account]["aws"].roles.values() if role.name == name), None)


def list_roles(account: str) -> Iterable[Any]:
    """Return the roles of an account as moto's IAM has them."""
    roles: Iterable[Any] = iam_backends[account]["aws"].roles.values()
    return roles


def iam_accounts() -> set[str]:
    """Return the accounts that IAM was asked for."""
    return set(iam_backends)


def create_role(name: str, account: str, *, path: str, trust: str, created: datetime) -> None:
    """Create a role, unless one of this name is there.

    Args:
        name: its name.
        account: the account it is in.
        path: IAM's path.
        trust: its trust policy as JSON.
        created: its ``CreateDate``.
    """
    if find_role(name, account) is None:
        iam_backends[account]["aws"].create_role(name, trust, path, None, "", [], "3600")
        _set_role_created(find_role(name, account), created)


def date_new_roles(now: datetime) -> None:
    """Date the roles that clients have made since by the emulator's clock: moto dates them by real time."""
    for account in iam_accounts():
        for role in list_roles(account):
            if not getattr(role, "dated_by_emulator", False):
                _set_role_created(role, now)


def role_created(role: Any) -> datetime:
    """Return the ``CreateDate`` of a role as `find_role` gives it."""
    created: datetime = role.create_date
    return created if created.tzinfo else created.replace(tzinfo=UTC)


def _set_role_created(role: Any, created: datetime) -> None:
    role.create_date = created.astimezone(UTC).replace(tzinfo=None)
    role.dated_by_emulator = True


def list_parameters(region: str, account: str) -> Iterator[Any]:
    """Yield the newest version of each parameter of Systems Manager, as moto has it."""
    # Its own parameters, such as Amazon Linux's AMIs, are loaded by name: a list does not have them.
    for versions in list(dict.values(_backend("ssm", region, account)._parameters)):
        if versions:
            yield versions[-1]


def find_parameter(name: str, region: str, account: str) -> str | None:
    """Return a parameter's value; None where there is no such parameter."""
    found = _backend("ssm", region, account).get_parameter(name)
    value: str | None = found.value if found else None
    return value


def put_parameter(name: str, value: str, region: str, account: str, *, kind: str, data_type: str) -> None:
    """Create or overwrite a parameter of Systems Manager."""
    _backend("ssm", region, account).put_parameter(
        name, "", value, kind, "", "", overwrite=True, tags=[], data_type=data_type, tier=None, policies=None
    )


def autoscaling_backend(region: str, account: str) -> Any:
    """Return Auto Scaling in a region as moto has it."""
    return _backend("autoscaling", region, account)


def ec2_backend(region: str, account: str) -> Any:
    """Return EC2 in a region as moto has it."""
    return ec2_backends[account][region]


def _backend(service: Any, region: str, account: str) -> Any:
    """Return a service's backend; its module is imported only now, for each costs a quarter of a second."""
    return get_backend(service)[account][region]


def format_time(at: datetime) -> str:
    """Return a time as EC2 writes it, with milliseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def parse_time(text: str) -> datetime:
    """Read a time as EC2 writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
