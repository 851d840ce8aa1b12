"""Roles to assume, as pulumi-aws declares them and STS takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .durations import seconds
from .errors import ConfigurationError

_ROLE_PARAMETERS = {
    # pulumi-aws's `aws:assumeRoles` and `aws:assumeRoleWithWebIdentity` → STS.
    "externalId": "ExternalId",
    "sessionName": "RoleSessionName",
    "policy": "Policy",
    "policyArns": "PolicyArns",
    "sourceIdentity": "SourceIdentity",
    "tags": "Tags",
    "transitiveTagKeys": "TransitiveTagKeys",
    "duration": "DurationSeconds",
    "durationSeconds": "DurationSeconds",
}


def role_parameters(role: Any, needed: str) -> tuple[str, dict[str, Any]]:
    """The ARN of a role, and STS's other parameters.

    Args:
        role: an object of the stack's configuration.
        needed: what to say where it is none, or has no ARN.

    Raises:
        ConfigurationError: it cannot be used; a key that is not known would silently do nothing.
    """
    if not isinstance(role, Mapping) or not role.get("roleArn"):
        raise ConfigurationError(needed)
    unknown = sorted(role.keys() - _ROLE_PARAMETERS.keys() - {"roleArn"})
    if unknown:
        raise ConfigurationError(
            f"{unknown[0]} is not known of a role to assume; known are roleArn, {', '.join(sorted(_ROLE_PARAMETERS))}"
        )
    extra = {_ROLE_PARAMETERS[key]: value for key, value in role.items() if key != "roleArn"}
    if "DurationSeconds" in extra:
        extra["DurationSeconds"] = _seconds(extra["DurationSeconds"])
    if "PolicyArns" in extra:
        extra["PolicyArns"] = [{"arn": arn} for arn in extra["PolicyArns"]]
    if "Tags" in extra:
        extra["Tags"] = [{"Key": key, "Value": value} for key, value in extra["Tags"].items()]
    return str(role["roleArn"]), {"RoleSessionName": "pulumi-imagebuilder", **extra}


def _seconds(duration: Any) -> int:
    """Seconds of a number, or of a Go duration as pulumi-aws takes it: ``1h30m``."""
    try:
        return int(duration) if isinstance(duration, int | float) else int(seconds(str(duration)))
    except ValueError:
        raise ConfigurationError(f"duration {duration!r} of a role to assume is none such as 1h30m") from None
