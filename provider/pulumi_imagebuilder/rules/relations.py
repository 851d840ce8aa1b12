"""The rules between arguments that the service's model does not say.

Each rule looks at a walked declaration, where what is not known, or is wrong in itself, is :data:`UNKNOWN`: a rule
that needs such a value is left for later. Where two rules would tell of one mistake, the first one does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from . import times
from .findings import Findings
from .kinds import ON_DESTROY, Kind
from .values import UNKNOWN

_UNDER_AN_IMAGE = ("amis", "snapshots", "containers")
_ONLY_WITH_DELETED = ("snapshots", "containers")


def relate(kind: Kind, declared: Mapping[str, Any], findings: Findings, now: datetime | None) -> None:
    """Note every breach of a rule between arguments.

    Args:
        kind: what is declared.
        declared: a walked declaration.
        findings: where failures go.
        now: the time that a schedule has to be after; None where it was accepted by the service before.
    """
    state = "DELETED" if kind is Kind.CLEANUP else declared.get("state")
    if _inclusion(kind, state, declared, findings):
        _exclusion(kind, declared, findings)
    _schedule(state, declared, findings, now)
    _on_destroy(state, declared, findings)


def _includes(declared: Mapping[str, Any], *names: str) -> bool | None:
    """Whether any of these is included; None while that is not known."""
    include = declared.get("include_resources")
    if include is None:
        return False
    if include == UNKNOWN:
        return None
    flags = [include.get(name) for name in names]
    return True if True in flags else None if UNKNOWN in flags else False


def _inclusion(kind: Kind, state: Any, declared: Mapping[str, Any], findings: Findings) -> bool:
    """What is included, for which state, by which role; returns whether the rules built on that can be judged."""
    include, role = declared.get("include_resources"), declared.get("execution_role")
    includes_any = _includes(declared, *_UNDER_AN_IMAGE)
    sound = True
    if include is not None and includes_any is False:
        findings.add(
            "include_resources",
            f"{findings.shown('include_resources', include)} includes nothing; {_way_out(kind, state, findings)}",
        )
        sound = False
    elif include is None and state == "DELETED" and kind is not Kind.CLEANUP:
        findings.add("include_resources", f"missing; {_way_out(kind, state, findings)}")
        sound = False

    if kind is not Kind.CLEANUP and role is None and (includes_any or state == "DELETED"):
        asker = "include_resources" if includes_any else f"state {findings.shown('state', state)}"
        findings.add(
            "execution_role", f"missing; {asker} needs the role that Image Builder assumes, by its name or ARN"
        )
    elif kind is not Kind.CLEANUP and sound and include is None and role not in (None, UNKNOWN):
        findings.add(
            "execution_role",
            f"{findings.shown('execution_role', role)} is valid only together with include_resources; "
            "set amis to True there, or leave execution_role out",
        )
        sound = False

    if state not in (None, UNKNOWN, "DELETED"):
        for name in _ONLY_WITH_DELETED:
            path = f"include_resources.{name}"
            if _includes(declared, name):
                findings.add(
                    path,
                    f'{findings.shown(path, True)} is valid only with state "DELETED", '
                    f"not {findings.shown('state', state)}; leave it out",
                )
    return sound


def _way_out(kind: Kind, state: Any, findings: Findings) -> str:
    if kind is Kind.CLEANUP:
        return "set amis (with snapshots) or containers to True, or leave include_resources out to delete them all"
    if state == "DELETED":
        told = findings.shown("state", state)
        return f"state {told} deletes what is under the image too: set amis (with snapshots) or containers to True"
    return "set amis to True, or leave include_resources out to change the image record alone"


def _exclusion(kind: Kind, declared: Mapping[str, Any], findings: Findings) -> None:
    rules = declared.get("exclusion_rules")
    if rules in (None, UNKNOWN):
        return
    told = findings.shown("exclusion_rules", rules)
    if not rules or rules.get("amis") == {}:
        findings.add("exclusion_rules", f"{told} excludes nothing; give amis a rule, or leave exclusion_rules out")
    left_to_the_image = kind is Kind.CLEANUP and declared.get("include_resources") is None
    if _includes(declared, "amis") is False and not left_to_the_image:
        findings.add(
            "exclusion_rules",
            f"{told} would exclude nothing, for no AMIs are included; "
            "set amis to True in include_resources, or leave exclusion_rules out",
        )


def _schedule(state: Any, declared: Mapping[str, Any], findings: Findings, now: datetime | None) -> None:
    update_at = declared.get("update_at")
    if update_at in (None, UNKNOWN):
        return
    told = findings.shown("update_at", update_at)
    if state not in (None, UNKNOWN, "DEPRECATED"):
        findings.add(
            "update_at",
            f'{told} is valid only with state "DEPRECATED", not {findings.shown("state", state)}; leave it out',
        )
    elif now is not None and times.parse(update_at) <= now:
        findings.add(
            "update_at",
            f"{told} is not in the future (it is now {times.text(now)}); "
            "choose a later time, or leave update_at out to deprecate at once",
        )


def _on_destroy(state: Any, declared: Mapping[str, Any], findings: Findings) -> None:
    if state == "DELETED" and declared.get("on_destroy") == "restore":
        possible = ", ".join(value for value in ON_DESTROY if value != "restore")
        findings.add(
            "on_destroy",
            f"{findings.shown('on_destroy', 'restore')} is not possible with state {findings.shown('state', state)}, "
            f"which cannot be undone; expected one of {possible}",
        )
