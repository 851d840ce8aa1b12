"""The rules between arguments that the service's model does not say.

Each rule looks at a walked declaration, where what is not known, or is wrong in itself, is :data:`UNKNOWN`: a rule
that needs such a value is left for later. Where two rules would tell of one mistake, the first one does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from . import times
from .findings import Findings
from .kinds import ON_DESTROY, Kind
from .values import UNKNOWN

_UNDER_AN_IMAGE = ("amis", "snapshots", "containers")
_ONLY_WITH_DELETED = ("snapshots", "containers")


@dataclass(frozen=True)
class Relations:
    """The rules of one declaration.

    Args:
        kind: what is declared.
        declared: the arguments, walked.
        given: the arguments as they were written, for messages.
        findings: where failures go.
        now: the time that a schedule has to be after; None where the service took the schedule before.
    """

    kind: Kind
    declared: Mapping[str, Any]
    given: Mapping[str, Any]
    findings: Findings
    now: datetime | None

    def check(self) -> None:
        """Note every breach."""
        sound = self._inclusion()
        if sound or self._state == "DELETED":
            # A deletion needs a role, whatever else is wrong with what is included.
            sound = self._role() and sound
        if sound:
            self._exclusion()
        self._only_with_deleted()
        self._schedule()
        self._on_destroy()

    @property
    def _state(self) -> Any:
        return "DELETED" if self.kind is Kind.CLEANUP else self.declared.get("state")

    def _shown(self, name: str) -> str:
        return self.findings.shown(name, self.given.get(name))

    def _includes(self, *names: str) -> bool | None:
        """Whether any of these is included; None while that is not known."""
        include = self.declared.get("include_resources")
        if include is None:
            return False
        if include == UNKNOWN:
            return None
        flags = [include.get(name) for name in names]
        return True if True in flags else None if UNKNOWN in flags else False

    def _inclusion(self) -> bool:
        """Something is included where anything has to be; returns whether that is so, as far as is known."""
        include = self.declared.get("include_resources")
        if include is None:
            if self._state != "DELETED" or self.kind is Kind.CLEANUP:
                return True
            problem = "missing"
        elif self._includes(*_UNDER_AN_IMAGE) is False:
            problem = f"{self._shown('include_resources')} includes nothing"
        else:
            return True
        if self.kind is Kind.CLEANUP:
            way_out = (
                "set amis (with snapshots) or containers to True, or leave include_resources out to delete them all"
            )
        elif self._state == "DELETED":
            way_out = (
                f"state {self._shown('state')} deletes what is under the image too: "
                "set amis (with snapshots) or containers to True"
            )
        else:
            way_out = "set amis to True, or leave include_resources out to change the image record alone"
        self.findings.add("include_resources", f"{problem}; {way_out}")
        return False

    def _role(self) -> bool:
        """A role comes with included resources, and never alone; returns whether it does, as far as is known."""
        if self.kind is Kind.CLEANUP:
            return True
        role, includes = self.declared.get("execution_role"), self._includes(*_UNDER_AN_IMAGE)
        if role is None and (includes or self._state == "DELETED"):
            asker = "include_resources" if includes else f"state {self._shown('state')}"
            self.findings.add(
                "execution_role", f"missing; {asker} needs the role that Image Builder assumes, by its name or ARN"
            )
        elif (
            role not in (None, UNKNOWN) and self.declared.get("include_resources") is None and self._state != "DELETED"
        ):
            self.findings.add(
                "execution_role",
                f"{self._shown('execution_role')} is valid only together with include_resources; "
                "set amis to True there, or leave execution_role out",
            )
            return False
        return True

    def _only_with_deleted(self) -> None:
        if self._state in (None, UNKNOWN, "DELETED"):
            return
        for name in _ONLY_WITH_DELETED:
            path = f"include_resources.{name}"
            if self._includes(name):
                self.findings.add(
                    path,
                    f'{self.findings.shown(path, True)} is valid only with state "DELETED", '
                    f"not {self._shown('state')}; leave it out",
                )

    def _exclusion(self) -> None:
        rules = self.declared.get("exclusion_rules")
        if rules in (None, UNKNOWN):
            return
        told = self._shown("exclusion_rules")
        if not rules or rules.get("amis") == {}:
            self.findings.add(
                "exclusion_rules", f"{told} excludes nothing; give amis a rule, or leave exclusion_rules out"
            )
        left_to_the_image = self.kind is Kind.CLEANUP and self.declared.get("include_resources") is None
        if self._includes("amis") is False and not left_to_the_image:
            self.findings.add(
                "exclusion_rules",
                f"{told} would exclude nothing, for no AMIs are included; "
                "set amis to True in include_resources, or leave exclusion_rules out",
            )

    def _schedule(self) -> None:
        update_at = self.declared.get("update_at")
        if update_at in (None, UNKNOWN):
            return
        told = self._shown("update_at")
        if self._state not in (None, UNKNOWN, "DEPRECATED"):
            self.findings.add(
                "update_at", f'{told} is valid only with state "DEPRECATED", not {self._shown("state")}; leave it out'
            )
        elif self.now is not None and times.parse(update_at) <= self.now:
            self.findings.add(
                "update_at",
                f"{told} is not in the future (it is now {times.text(self.now)}); "
                "choose a later time, or leave update_at out to deprecate at once",
            )

    def _on_destroy(self) -> None:
        if self._state == "DELETED" and self.declared.get("on_destroy") == "restore":
            possible = ", ".join(value for value in ON_DESTROY if value != "restore")
            self.findings.add(
                "on_destroy",
                f"{self._shown('on_destroy')} is not possible with state {self._shown('state')}, "
                f"which cannot be undone; expected one of {possible}",
            )
