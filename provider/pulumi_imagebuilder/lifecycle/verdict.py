"""What a change would take away: which AMIs count, what uses them, and how it is said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ..errors import CredentialsError, ImageBuilderError, InUse, PermanentError, TemporaryError
from .amis import Ami, Reference
from .references import ImageReferences, NotLookedUp
from .region_survey import MissingRight

_MAX_NAMED_AMIS = 10
_MAX_NAMED_USES = 3
_AGAIN = "the same command again"
_VERBS = {"DISABLED": "disable", "DELETED": "delete"}
"""The states in which nothing launches from an AMI, and the verb for the change to it."""
_UNITS = {
    "DAYS": timedelta(days=1),
    "WEEKS": timedelta(weeks=1),
    # The service does not say how long these are. By the shortest reading no AMI is taken for left out that the service
    # then deletes.
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
    tags: Mapping[str, str] | None = None

    @classmethod
    def parse(cls, request: Mapping[str, Any]) -> AmiChange | None:
        """Return what a request does to AMIs; None if it takes none away.

        Args:
            request: parameters of ``StartResourceStateUpdate``. Without a state, as for a clean-up, it deletes, and
                then takes AMIs with their snapshots without ``includeResources`` too.
        """
        state = (request.get("state") or {}).get("status", "DELETED")
        default = {} if "state" in request else {"amis": True, "snapshots": True}
        included = request.get("includeResources") or default
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
        """Return ``disable`` or ``delete``."""
        return _VERBS[self.state]

    def leaves_out(self, ami: Ami, now: datetime) -> bool:
        """Return whether exclusion rules keep the AMI."""
        return (
            (self.is_public and ami.public)
            or ami.region in self.regions
            or bool(self.shared_accounts & ami.shared_accounts)
            or (
                self.launched_within is not None
                and ami.launched_at is not None
                and now - ami.launched_at < self.launched_within
            )
            or any(ami.tags.get(key) == value for key, value in (self.tags or {}).items())
        )

    def takes_away(self, ami: Ami, now: datetime) -> bool:
        """Return whether the change does something to the AMI: it is not left out, and not in that state yet."""
        return not self.leaves_out(ami, now) and not (self.state == "DISABLED" and ami.state == "disabled")


@dataclass(frozen=True)
class Verdict:
    """What a change would do to the AMIs of images, and what keeps it from that.

    Attributes:
        change: the change.
        amis: the AMIs that it takes away.
        used: those of them that are in use, with what uses them.
        protected: those of them that EC2 does not deregister.
        mentions: what has one of them and would not miss it, as older versions of launch templates.
        not_looked_up: what is not known.
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
            amis = {ami.image: ami for ami in image.amis if change.takes_away(ami, now)}
            uses: defaultdict[str, list[Reference]] = defaultdict(list)
            for reference in image.used_by:
                # A recipe that names the image loses it with the image's record.
                by_arn = reference.image == image.arn and change.state == "DELETED"
                image_id = next(iter(amis), "") if by_arn else reference.image
                if image_id not in amis:
                    continue
                if not reference.counts:
                    verdict.mentions.append(str(reference))
                elif change.state == "DELETED" or not reference.counts_only_for_deletion:
                    uses[image_id].append(reference)
            verdict.amis.extend(amis.values())
            verdict.used.extend((amis[image_id], references) for image_id, references in uses.items())
            if change.state == "DELETED":
                verdict.protected.extend(ami for ami in amis.values() if ami.deregistration_protection)
            verdict.not_looked_up.extend(image.not_looked_up)
        return verdict

    @property
    def failures(self) -> list[NotLookedUp]:
        """What should have been looked up and could not be."""
        return [missing for missing in self.not_looked_up if missing.error is not None]

    @property
    def most_amis(self) -> int:
        """How many AMIs the change takes away at most: those of which nothing is known count."""
        return len(self.amis) + sum(len(missing.images) for missing in self.not_looked_up)

    @property
    def is_permanent(self) -> bool:
        """Whether something has to be changed first: a right is missing, or an AMI is protected."""
        return bool(self.protected) or any(not isinstance(each.error, TemporaryError) for each in self.failures)

    @property
    def may_pass(self) -> bool:
        """Whether waiting helps: not where something has to be changed first, nor with credentials that have ended."""
        return not self.is_permanent and not any(isinstance(each.error, CredentialsError) for each in self.failures)

    def error(self) -> ImageBuilderError | None:
        """Return why the change may not be made, None if it may.

        It is a :class:`~pulumi_imagebuilder.errors.PermanentError` where something has to be changed first, else
        :class:`~pulumi_imagebuilder.errors.InUse`.
        """
        reasons = [*self._describe_uses(), *self._describe_failures()]
        if not reasons:
            return None
        kind = PermanentError if self.is_permanent else InUse
        return kind("; ".join(reasons), next_step=self._next_step())

    def _describe_uses(self) -> list[str]:
        named = [f"{_named(ami)} is used by {_list(map(str, uses), _MAX_NAMED_USES)}" for ami, uses in self.used]
        named += [f"{_named(ami)} is protected from deregistration" for ami in self.protected]
        more = len(named) - _MAX_NAMED_AMIS
        return [*named[:_MAX_NAMED_AMIS], *([f"and {more} more AMIs"] if more > 0 else [])]

    def _describe_failures(self) -> list[str]:
        """Return one clause for all regions that failed, with the reason of the first: mostly it is the others' too."""
        if not self.failures:
            return []
        first = self.failures[0]
        regions = _list(dict.fromkeys(missing.region for missing in self.failures))
        images = list(dict.fromkeys(image for missing in self.failures for image in missing.images))
        what = _list(images, _MAX_NAMED_USES) if images else "the AMIs"
        lacks = f", as the caller lacks {first.error.right}" if isinstance(first.error, MissingRight) else ""
        return [f"what uses {what} in {regions} is not known{lacks}: {first.reason}"]

    def _next_step(self) -> str:
        if self.failures:
            error = self.failures[0].error
            if isinstance(error, MissingRight):
                return f'grant {error.right}, or set in_use="ignore" to {self.change.verb} AMIs without looking'
            step = error.next_step if error else None
            return step or f'run {_AGAIN}, or set in_use="ignore" to {self.change.verb} AMIs without looking'
        if self.used:
            return (
                f'move these to another image and run {_AGAIN}, or set in_use="warn" to {self.change.verb} AMIs in use'
            )
        return f"turn the protection off, which can take a day to have an effect, and run {_AGAIN}"

    def size_line(self, images: int) -> str:
        """Return what the change takes away, as ``would delete 1 image: 3 AMIs in us-east-1, …``.

        Args:
            images: how many images there are.
        """
        snapshots = [snapshot for ami in self.amis for snapshot in ami.snapshots] if self.change.snapshots else []
        size = sum(ami.size_gib for ami in self.amis)
        parts = [_count_amis(ami.region for ami in self.amis)]
        if snapshots:
            parts.append(f"{_count(len(snapshots), 'snapshot')}, up to {size} GiB")
        launched = max((ami.launched_at for ami in self.amis if ami.launched_at), default=None)
        lines = [f"would {self.change.verb} {_count(images, 'image')}: {', '.join(parts)}"]
        if self.amis:
            lines.append(f"last launched {launched:%Y-%m-%d}" if launched else "no recorded launch")
        if self.mentions:
            lines.append(f"also named by {_list(dict.fromkeys(self.mentions), _MAX_NAMED_USES)}")
        others: defaultdict[str, list[str]] = defaultdict(list)
        for missing in self.not_looked_up:
            if not missing.error:
                others[missing.account_id] += [missing.region] * len(missing.images)
        lines += [f"not looked at: {_count_amis(regions)} of account {account}" for account, regions in others.items()]
        return "; ".join(lines)


def describe_unread(change: AmiChange, amis: Mapping[str, Sequence[str]]) -> str:
    """Return the size line where EC2 is not asked: ``would delete 1 image: up to 3 AMIs in us-east-1``.

    Args:
        change: the change.
        amis: regions of the AMIs of each image.
    """
    regions = [region for each in amis.values() for region in each]
    return f"would {change.verb} {_count(len(amis), 'image')}: {'up to ' if regions else ''}{_count_amis(regions)}"


def _named(ami: Ami) -> str:
    return f"{ami.image} ({ami.region})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _count_amis(regions: Iterable[str]) -> str:
    """Return ``3 AMIs in eu-west-1 and us-east-1``.

    Args:
        regions: that of each AMI.
    """
    each = list(regions)
    return f"{_count(len(each), 'AMI')} in {_list(sorted(set(each)))}" if each else "no AMIs"


def _list(items: Iterable[str], limit: int | None = None) -> str:
    """Return ``a, b and c``, or ``a, b and 4 more`` with a limit.

    >>> _list(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    each = list(items)
    if limit is not None and len(each) > limit:
        each = [*each[:limit], f"{len(each) - limit} more"]
    return " and ".join([", ".join(each[:-1]), each[-1]]) if len(each) > 1 else "".join(each)
