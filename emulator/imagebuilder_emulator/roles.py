"""Execution roles, in moto's IAM."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

from .moto_backends import create_role, find_role, role_created

CROSS_ACCOUNT_ROLE = "Ec2ImageBuilderCrossAccountLifecycleAccess"
"""The one name of the role that the service assumes in other accounts than the image's."""
PROPAGATION_TIME = timedelta(seconds=3)
"""How long a start is refused for a role that was just made, under the variant ``missing-role``."""
_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
_SERVICE = "imagebuilder.amazonaws.com"
_ASSUME = {"sts:assumerole", "sts:*", "*"}
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": _SERVICE}, "Action": "sts:AssumeRole"}],
}


def create(
    role: str, account: str, *, path: str = "/", trust: str | None = None, created: datetime = _LONG_AGO
) -> None:
    """Create a role, unless it is there.

    Args:
        role: its name.
        account: the account it is in.
        path: IAM's path.
        trust: its trust policy as JSON; by default Image Builder can assume it.
        created: its ``CreateDate``; by default long ago.
    """
    create_role(role, account, path=path, trust=trust or json.dumps(_TRUST), created=created)


def assume_role_error(role: str | None, account: str, image_arn: str) -> str | None:
    """Return why Image Builder cannot act for an image in an account; None when it can, or needs no role.

    Args:
        role: name or ARN of the execution role.
        account: where it is to act. In another account than the image's, it takes `CROSS_ACCOUNT_ROLE`.
        image_arn: the image build version.
    """
    if role is None:
        return None
    owner = image_arn.split(":")[4]
    # An ARN holds its path, a name may; IAM finds a role by its name alone.
    name = role.rpartition("/")[2] if account == owner else CROSS_ACCOUNT_ROLE
    what = f"execution role {role}" if account == owner else f"role {CROSS_ACCOUNT_ROLE}"
    where = "" if account == owner else f" in the account {account}"
    found = find_role(name, account)
    if found is None:
        return f"The {what} does not exist{where}"
    context = {"aws:sourceaccount": owner, "aws:sourcearn": image_arn}
    effects = {
        each.get("Effect")
        for each in _statements(found.assume_role_policy_document)
        if _is_for_image_builder(each) and _holds(each.get("Condition"), context)
    }
    if effects == {"Allow"}:
        return None
    return f"The {what} does not trust {_SERVICE}{where}"


def is_new(role: str, account: str, now: datetime) -> bool:
    """Return whether a role was made so short a time ago that not all of AWS knows it yet."""
    found = find_role(role.rpartition("/")[2], account)
    return found is not None and now - role_created(found) < PROPAGATION_TIME


def _statements(trust: Any) -> Iterable[dict[str, Any]]:
    try:
        policy = json.loads(unquote(trust)) if isinstance(trust, str) else trust
    except ValueError:
        policy = None  # moto takes any text for a trust policy.
    found = _listed(policy.get("Statement")) if isinstance(policy, dict) else []
    return [each for each in found if isinstance(each, dict)]


def _is_for_image_builder(statement: dict[str, Any]) -> bool:
    principal = statement.get("Principal")
    services = principal.get("Service") if isinstance(principal, dict) else None
    actions = {str(action).lower() for action in _listed(statement.get("Action"))}
    return _SERVICE in _listed(services) and bool(actions & _ASSUME)


def _holds(condition: Any, context: Mapping[str, str]) -> bool:
    """Return whether the conditions on the source of a request hold; other conditions are taken to hold."""
    return all(
        any(fnmatchcase(context[key.lower()], str(pattern)) for pattern in _listed(patterns))
        for keys in (condition.values() if isinstance(condition, dict) else ())
        if isinstance(keys, dict)
        for key, patterns in keys.items()
        if key.lower() in context
    )


def _listed(value: Any) -> Iterable[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
