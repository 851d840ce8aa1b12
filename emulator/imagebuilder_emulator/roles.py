"""Execution roles, in moto's IAM."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from .moto_backends import create_role, find_role

_SERVICE = "imagebuilder.amazonaws.com"
_ASSUME = {"sts:assumerole", "sts:*", "*"}
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": _SERVICE}, "Action": "sts:AssumeRole"}],
}


def create(role: str, account: str, *, path: str = "/", trust: str | None = None) -> None:
    """Create a role, unless it is there.

    Args:
        role: its name.
        account: the account it is in.
        path: IAM's path.
        trust: its trust policy as JSON; by default Image Builder can assume it.
    """
    create_role(role, account, path=path, trust=trust or json.dumps(_TRUST))


def assume_role_error(role: str | None, account: str) -> str | None:
    """Why Image Builder cannot assume an execution role in an account; None when it can, or needs none.

    Args:
        role: name or ARN. In another account than that of the ARN, a role of the same name is needed.
        account: where it is to act.
    """
    if role is None:
        return None
    name = role.rpartition("/")[2]
    found = find_role(name, account)
    # An ARN holds its path, a name may; IAM finds a role by its name alone.
    if found is None:
        return f"The execution role {role} does not exist" + _where(role, account)
    effects = {
        each.get("Effect") for each in _statements(found.assume_role_policy_document) if _is_for_image_builder(each)
    }
    if effects == {"Allow"}:
        return None
    return f"The execution role {role} does not trust {_SERVICE}" + _where(role, account)


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


def _where(role: str, account: str) -> str:
    return "" if role.split(":")[4:5] == [account] else f" in the account {account}"


def _listed(value: Any) -> Iterable[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
