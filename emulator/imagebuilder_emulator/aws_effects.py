"""Effects of executions on EC2 and ECR."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from .ec2_exceptions import EC2ClientError
from .entities import Ami
from .moto_backends import ami_tags, deregister_ami, find_ami, format_time, parse_time, remove_snapshot, tag_ami

_UNIT_DAYS = {"DAYS": 1, "WEEKS": 7, "MONTHS": 30, "YEARS": 365}


class ResourceFailure(Exception):
    """A resource could not be changed; the text is the reason that the execution lists."""


def exclusion_reason(ami: Ami, rules: dict[str, Any], now: datetime) -> str | None:
    """Return why an AMI is left out by the exclusion rules; None when it takes part."""
    found = find_ami(ami)
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
        if now - parse_time(launched) <= limit:
            return f"The AMI was launched within the last {within['value']} {within['unit'].lower()}"
    tags = ami_tags(found)
    for key, value in rules.get("tagMap", {}).items():
        if tags.get(key) == value:
            return f"The AMI carries the excluded tag {key}={value}"
    return None


def set_deprecation(ami: Ami, at: datetime) -> None:
    """Set the time at which EC2 deprecates an AMI, and tag it as the service does; one that is gone is left alone."""
    found = find_ami(ami)
    if found is not None:
        found.deprecation_time = format_time(at)
        tag_ami(ami, "DeprecatedBy", "EC2 Image Builder")


def change_ami(ami: Ami, target: str, now: datetime) -> None:
    """Deprecate, disable, restore or deregister an AMI; one that is gone, or in that state, is left as it is.

    Raises:
        ResourceFailure: it is to be deregistered, and is protected from that.
    """
    found = find_ami(ami)
    if found is None:
        return
    if target == "DELETED":
        try:
            deregister_ami(ami)
        except EC2ClientError as error:
            raise ResourceFailure(error.message) from None
    elif target == "DEPRECATED":
        if not found.deprecation_time or parse_time(found.deprecation_time) > now:
            set_deprecation(ami, now)
    elif target == "DISABLED":
        found.state = "disabled"
        # A disabled AMI is private: accounts it was shared with lose it, and restoring does not share it again.
        found.launch_permissions = []
    else:
        found.state, found.deprecation_time = "available", None


def delete_snapshot(ami: Ami, snapshot_id: str) -> None:
    """Delete a snapshot; one that is gone is no failure.

    Raises:
        ResourceFailure: its AMI is still registered.
    """
    if find_ami(ami) is not None:
        raise ResourceFailure(f"The snapshot {snapshot_id} is in use by the AMI {ami.id}")
    remove_snapshot(ami, snapshot_id)
