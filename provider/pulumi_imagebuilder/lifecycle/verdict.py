"""Decide which AMIs a change would disable or delete and what blocks it, and describe that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ..errors import CredentialsError, ImageBuilderError, InUse, PermanentError, TemporaryError
from ..text import count, enumerate_words
from .amis import Ami, Reference
from .references import ImageReferences, NotLookedUp, failures
from .region_survey import MissingPermission

_MAX_NAMED_AMIS = 10
_MAX_NAMED_USES = 3
_AGAIN = "the same command again"
_VERBS = {"DISABLED": "disable", "DELETED": "delete"}
"""The states in which nothing launches from an AMI, and the verb for a change to them."""
_UNITS = {
    "DAYS": timedelta(days=1),
    "WEEKS": timedelta(weeks=1),
    # The service does not say how long these are. Assume the shortest length, so that we never treat an AMI as
    # excluded that the service deletes.
    "MONTHS": timedelta(days=28),
    "YEARS": timedelta(days=365),
}


@dataclass(frozen=True)
class AmiChange:
    """What a request does to AMIs.

    Attributes:
        state: ``DISABLED`` or ``DELETED``.
        snapshots: whether their snapshots are deleted too.
        is_public: whether public AMIs are left out.
        regions: regions that are left out.
        shared_accounts: AMIs shared with one of these are left out.
        launched_within: AMIs launched within this time are left out; None where there is no such rule.
        tags: AMIs with one of these tags are left out.
    """

    state: str
    snapshots: bool = False
    is_public: bool = False
    regions: frozenset[str] = frozenset()
    shared_accounts: frozenset[str] = frozenset()
    launched_within: timedelta | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, request: Mapping[str, Any]) -> AmiChange | None:
        """Return what a request does to AMIs; None if it disables or deletes none.

        Args:
            request: parameters of ``StartResourceStateUpdate``.
        """
        state = request["state"]["status"]
        included = request.get("includeResources") or {}
        if state not in _VERBS or not included.get("amis"):
            return None
        rules = (request.get("exclusionRules") or {}).get("amis") or {}
        launched = rules.get("lastLaunched")
        return cls(
            state=state,
            snapshots=state == "DELETED" and bool(included.get("snapshots")),
            is_public=bool(rules.get("isPublic")),
            regions=frozenset(rules.get("regions") or ()),
            shared_accounts=frozenset(rules.get("sharedAccounts") or ()),
            launched_within=launched["value"] * _UNITS[launched["unit"]] if launched else None,
            tags=rules.get("tagMap") or {},
        )

    @property
    def verb(self) -> str:
        """``disable`` or ``delete``."""
        return _VERBS[self.state]

    def leaves_out(self, ami: Ami, now: datetime) -> bool:
        """Return whether the exclusion rules keep the AMI."""
        return (
            (self.is_public and ami.public)
            or ami.region in self.regions
            or bool(self.shared_accounts & ami.shared_accounts)
            or (
                self.launched_within is not None
                and ami.launched_at is not None
                and now - ami.launched_at < self.launched_within
            )
            or any(ami.tags.get(key) == value for key, value in self.tags.items())
        )

    def takes_away(self, ami: Ami, now: datetime) -> bool:
        """Return whether the change disables or deletes the AMI: it is not left out, and not in that state yet."""
        return not self.leaves_out(ami, now) and not (self.state == "DISABLED" and ami.state == "disabled")


@dataclass
class Verdict:
    """The AMIs that a change would disable or delete, and what blocks it.

    Attributes:
        change: the change.
        amis: the AMIs that it disables or deletes.
        used: those of them that are in use, with what uses them.
        protected: those of them that EC2 does not deregister.
        mentions: references to them that do not count, as older versions of launch templates.
        not_looked_up: AMIs whose references are not known.
    """

    change: AmiChange
    amis: list[Ami] = field(default_factory=list)
    used: list[tuple[Ami, list[Reference]]] = field(default_factory=list)
    protected: list[Ami] = field(default_factory=list)
    mentions: list[str] = field(default_factory=list)
    not_looked_up: list[NotLookedUp] = field(default_factory=list)

    @classmethod
    def judge(cls, change: AmiChange, found: Iterable[ImageReferences], now: datetime) -> Verdict:
        """Return the verdict on images.

        Args:
            change: the change.
            found: the images with what uses them.
            now: the time by which exclusion rules count.
        """
        verdict = cls(change)
        for image in found:
            amis = {ami.ami_id: ami for ami in image.amis if change.takes_away(ami, now)}
            uses: defaultdict[str, list[Reference]] = defaultdict(list)
            for reference in image.used_by:
                # A recipe that names the image's ARN breaks when the image record is deleted.
                by_arn = reference.ami_id == image.arn and change.state == "DELETED"
                ami_id = next(iter(amis), "") if by_arn else reference.ami_id
                if ami_id not in amis:
                    continue
                if not reference.counts:
                    verdict.mentions.append(str(reference))
                elif change.state == "DELETED" or not reference.counts_only_for_deletion:
                    uses[ami_id].append(reference)
            verdict.amis.extend(amis.values())
            verdict.used.extend((amis[ami_id], references) for ami_id, references in uses.items())
            if change.state == "DELETED":
                verdict.protected.extend(ami for ami in amis.values() if ami.deregistration_protection)
            verdict.not_looked_up.extend(image.not_looked_up)
        return verdict

    @property
    def failures(self) -> list[NotLookedUp]:
        """The AMIs whose references should have been read and could not be."""
        return failures(self.not_looked_up)

    @property
    def most_amis(self) -> int:
        """The most AMIs that the change disables or deletes: those of which nothing is known count too."""
        return len(self.amis) + sum(len(missing.ami_ids) for missing in self.not_looked_up)

    @property
    def is_permanent(self) -> bool:
        """Whether something has to be changed first: a permission is missing, or an AMI is protected."""
        return bool(self.protected) or any(not isinstance(each.error, TemporaryError) for each in self.failures)

    @property
    def may_pass(self) -> bool:
        """Whether waiting helps: not if something has to be changed first, nor with expired credentials."""
        return not self.is_permanent and not any(isinstance(each.error, CredentialsError) for each in self.failures)

    def error(self) -> ImageBuilderError | None:
        """Return why the change may not be made; None if it may.

        It is a :class:`~pulumi_imagebuilder.errors.PermanentError` if something has to be changed first, else
        :class:`~pulumi_imagebuilder.errors.InUse`.
        """
        reasons = [*self._describe_uses(), *self._describe_failures()]
        if not reasons:
            return None
        kind = PermanentError if self.is_permanent else InUse
        return kind("; ".join(reasons), next_step=self._next_step())

    def _describe_uses(self) -> list[str]:
        named = [
            f"{_named(ami)} is used by {enumerate_words(map(str, uses), _MAX_NAMED_USES)}" for ami, uses in self.used
        ]
        named += [f"{_named(ami)} is protected from deregistration" for ami in self.protected]
        more = len(named) - _MAX_NAMED_AMIS
        return [*named[:_MAX_NAMED_AMIS], *([f"and {more} more AMIs"] if more > 0 else [])]

    def _describe_failures(self) -> list[str]:
        """Return one clause for all regions that failed, with the first reason, mostly the same for all."""
        if not self.failures:
            return []
        first = self.failures[0]
        regions = enumerate_words(dict.fromkeys(missing.region for missing in self.failures))
        ami_ids = list(dict.fromkeys(ami_id for missing in self.failures for ami_id in missing.ami_ids))
        what = enumerate_words(ami_ids, _MAX_NAMED_USES) if ami_ids else "the AMIs"
        lacks = f", as the caller lacks {first.error.permission}" if isinstance(first.error, MissingPermission) else ""
        return [f"what uses {what} in {regions} is not known{lacks}: {first.reason}"]

    def _next_step(self) -> str:
        if self.failures:
            error = self.failures[0].error
            if isinstance(error, MissingPermission):
                return f'grant {error.permission}, or set in_use="ignore" to {self.change.verb} AMIs without looking'
            step = error.next_step if error else None
            return step or f'run {_AGAIN}, or set in_use="ignore" to {self.change.verb} AMIs without looking'
        if self.used:
            return (
                f'move these to another image and run {_AGAIN}, or set in_use="warn" to {self.change.verb} AMIs in use'
            )
        return f"turn the protection off, which can take a day to have an effect, and run {_AGAIN}"

    def size_line(self, images: int) -> str:
        """Return the size of the change, as ``would delete 1 image: 3 AMIs in us-east-1, …``.

        Args:
            images: how many images there are.
        """
        snapshots = [snapshot for ami in self.amis for snapshot in ami.snapshots] if self.change.snapshots else []
        size = sum(ami.size_gib for ami in self.amis)
        parts = [_count_amis(ami.region for ami in self.amis)]
        if snapshots:
            parts.append(f"{count(len(snapshots), 'snapshot')}, up to {size} GiB")
        launched = max((ami.launched_at for ami in self.amis if ami.launched_at), default=None)
        lines = [f"would {self.change.verb} {count(images, 'image')}: {', '.join(parts)}"]
        if self.amis:
            lines.append(f"last launched {launched:%Y-%m-%d}" if launched else "no recorded launch")
        if self.mentions:
            lines.append(f"also named by {enumerate_words(dict.fromkeys(self.mentions), _MAX_NAMED_USES)}")
        others: defaultdict[str, list[str]] = defaultdict(list)
        for missing in self.not_looked_up:
            if not missing.error:
                others[missing.account_id] += [missing.region] * len(missing.ami_ids)
        lines += [f"not looked at: {_count_amis(regions)} of account {account}" for account, regions in others.items()]
        return "; ".join(lines)


def describe_unread(change: AmiChange, amis: Mapping[str, Sequence[str]]) -> str:
    """Return the size line without calls to EC2: ``would delete 1 image: up to 3 AMIs in us-east-1``.

    Args:
        change: the change.
        amis: regions of the AMIs of each image.
    """
    regions = [region for each in amis.values() for region in each]
    return f"would {change.verb} {count(len(amis), 'image')}: {'up to ' if regions else ''}{_count_amis(regions)}"


def _named(ami: Ami) -> str:
    return f"{ami.ami_id} ({ami.region})"


def _count_amis(regions: Iterable[str]) -> str:
    """Return ``3 AMIs in eu-west-1 and us-east-1``.

    Args:
        regions: that of each AMI.
    """
    each = list(regions)
    return f"{count(len(each), 'AMI')} in {enumerate_words(sorted(set(each)))}" if each else "no AMIs"
