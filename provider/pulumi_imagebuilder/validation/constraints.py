"""Check the rules between arguments, and about accounts and regions, that the service's model does not express.

Each rule reads normalised inputs, in which a value that is not known yet, or is invalid alone, is :data:`UNKNOWN`: a
rule that needs such a value does not apply yet. Where two rules would report one mistake, the first one does.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from . import times
from .arns import ImageArn, RoleArn
from .failures import FailureCollector
from .schema import IMAGE, IMAGES, ON_DESTROY, Kind, Partition, find_partition
from .values import UNKNOWN

_UNDER_AN_IMAGE = ("amis", "snapshots", "containers")
_ONLY_WITH_DELETED = ("snapshots", "containers")

_ANY_REGION = re.compile(r"[a-z]+(-[a-z]+)+-[0-9]+")
"""The form of a region's name: botocore may be older than a region, and than the area it is in."""
_DIRECTION = re.compile(r"(north|south|east|west|central)+")

_NO_ACCOUNT = "0" * 12

PlacedImage = tuple[str, ImageArn]
"""Path and ARN of an image."""


@dataclass(frozen=True, kw_only=True)
class Constraints:
    """Checks the rules of one declaration.

    Args:
        kind: what is declared.
        inputs: the arguments, normalised.
        written: the arguments as the user wrote them, for messages.
        partitions: the partitions that exist.
        failures: where failures are added.
        now: the time that a schedule has to be after; None where the service has accepted the schedule before.
    """

    kind: Kind
    inputs: Mapping[str, Any]
    written: Mapping[str, Any]
    partitions: Sequence[Partition]
    failures: FailureCollector
    now: datetime | None

    def check(self) -> None:
        """Add a failure for each rule that is broken."""
        valid = self._check_inclusion()
        if valid or self._state == "DELETED":
            # A deletion needs a role even if nothing valid is included.
            valid = self._check_role_presence() and valid
        if valid:
            self._check_exclusion()
        self._check_only_with_deleted()
        self._check_schedule()
        self._check_on_destroy()

        images = list(self._check_images())
        self._check_role(images)
        self._check_excluded_regions(images)
        self._check_shared_accounts()

    # What is included and excluded, when, and by whom.

    @property
    def _state(self) -> Any:
        return "DELETED" if self.kind is Kind.CLEANUP else self.inputs.get("state")

    def _show(self, name: str) -> str:
        return self.failures.show(name, self.written.get(name))

    def _includes(self, *names: str) -> bool | None:
        """Return whether any of these is included; None while that is not known."""
        include = self.inputs.get("include_resources")
        if include is None:
            return False
        if include == UNKNOWN:
            return None
        flags = [include.get(name) for name in names]
        return True if True in flags else None if UNKNOWN in flags else False

    def _check_inclusion(self) -> bool:
        """Check that something is included where it has to be; return whether that is so, as far as is known."""
        include = self.inputs.get("include_resources")
        if include is None:
            if self._state != "DELETED" or self.kind is Kind.CLEANUP:
                return True
            problem = "missing"
        elif self._includes(*_UNDER_AN_IMAGE) is False:
            problem = f"{self._show('include_resources')} includes nothing"
        else:
            return True
        if self.kind is Kind.CLEANUP:
            way_out = (
                "set amis (with snapshots) or containers to True, or leave include_resources out to delete them all"
            )
        elif self._state == "DELETED":
            way_out = (
                f"state {self._show('state')} deletes what is under the image too: "
                "set amis (with snapshots) or containers to True"
            )
        else:
            way_out = "set amis to True, or leave include_resources out to change the image record alone"
        self.failures.add("include_resources", f"{problem}; {way_out}")
        return False

    def _check_role_presence(self) -> bool:
        """Check that a role comes with included resources, and never alone; return whether it does, as far as known."""
        if self.kind is Kind.CLEANUP:
            return True
        role, includes = self.inputs.get("execution_role"), self._includes(*_UNDER_AN_IMAGE)
        if role is None and (includes or self._state == "DELETED"):
            needed_by = "include_resources" if includes else f"state {self._show('state')}"
            self.failures.add(
                "execution_role", f"missing; {needed_by} needs the role that Image Builder assumes, by its name or ARN"
            )
        elif role not in (None, UNKNOWN) and self.inputs.get("include_resources") is None and self._state != "DELETED":
            self.failures.add(
                "execution_role",
                f"{self._show('execution_role')} is valid only together with include_resources; "
                "set amis to True there, or leave execution_role out",
            )
            return False
        return True

    def _check_only_with_deleted(self) -> None:
        if self._state in (None, UNKNOWN, "DELETED"):
            return
        for name in _ONLY_WITH_DELETED:
            path = f"include_resources.{name}"
            if self._includes(name):
                self.failures.add(
                    path,
                    f'{self.failures.show(path, True)} is valid only with state "DELETED", '
                    f"not {self._show('state')}; leave it out",
                )

    def _check_exclusion(self) -> None:
        rules = self.inputs.get("exclusion_rules")
        if rules in (None, UNKNOWN):
            return
        shown = self._show("exclusion_rules")
        if _excludes_nothing(rules):
            self.failures.add(
                "exclusion_rules", f"{shown} excludes nothing; give amis a rule, or leave exclusion_rules out"
            )
        decided_by_image = self.kind is Kind.CLEANUP and self.inputs.get("include_resources") is None
        if self._includes("amis") is False and not decided_by_image:
            self.failures.add(
                "exclusion_rules",
                f"{shown} would exclude nothing, because no AMIs are included; "
                "set amis to True in include_resources, or leave exclusion_rules out",
            )

    def _check_schedule(self) -> None:
        update_at = self.inputs.get("update_at")
        if update_at in (None, UNKNOWN):
            return
        shown = self._show("update_at")
        if self._state not in (None, UNKNOWN, "DEPRECATED"):
            self.failures.add(
                "update_at", f'{shown} is valid only with state "DEPRECATED", not {self._show("state")}; leave it out'
            )
        elif self.now is not None and times.parse(update_at) <= self.now:
            self.failures.add(
                "update_at",
                f"{shown} is not in the future (it is now {times.text(self.now)}); "
                "choose a later time, or leave update_at out to deprecate at once",
            )

    def _check_on_destroy(self) -> None:
        if self._state == "DELETED" and self.inputs.get("on_destroy") == "restore":
            possible = ", ".join(value for value in ON_DESTROY if value != "restore")
            self.failures.add(
                "on_destroy",
                f"{self._show('on_destroy')} is not possible with state {self._show('state')}, "
                f"which cannot be undone; expected one of {possible}",
            )

    # Partitions, regions and accounts.

    def _check_images(self) -> Iterator[PlacedImage]:
        """Check the account, region and partition of each image; return those that can exist."""
        first: PlacedImage | None = None
        for path, arn in self._distinct_images():
            if not (self._check_owner(path, arn) and self._check_image_region(path, arn)):
                continue
            first = first or (path, arn)
            self._check_same_partition(path, arn, *first)
            yield path, arn

    def _distinct_images(self) -> Iterator[PlacedImage]:
        """Return each image whose ARN is known and valid, in the order in which they were written."""
        written = [(IMAGE, self.written.get(IMAGE)), *self._written_items(IMAGES)]
        first_paths: dict[str, str] = {}
        for path, text in written:
            if not isinstance(text, str) or text == UNKNOWN or self.failures.has_failure(path):
                continue
            if text in first_paths:
                shown = self.failures.show(path, text)
                self.failures.add(path, f"{shown} is listed twice; {first_paths[text]} is the same image")
                continue
            first_paths[text] = path
            try:
                arn = ImageArn.parse(text)
            except ValueError:
                # A later model accepts ARNs of another form: then the rules here do not apply to it.
                continue
            yield path, arn

    def _written_items(self, *names: str) -> list[tuple[str, Any]]:
        """Return path and value of the items of a list as it was written; none if there is no such list."""
        value: Any = self.written
        for name in names:
            value = value.get(name) if isinstance(value, Mapping) else None
        items = value if isinstance(value, list | tuple) else []
        return [(f"{'.'.join(names)}[{index}]", item) for index, item in enumerate(items)]

    def _check_owner(self, path: str, arn: ImageArn) -> bool:
        if arn.is_amazons:
            name = "a name" if self.failures.is_secret(path) else arn.account
            self.failures.add(
                path,
                f"{self.failures.show(path, str(arn))} is one of Amazon's own images ({name} in the place of an "
                "account id), which only Amazon can change; expected an image of an account of yours",
            )
        return not arn.is_amazons

    def _check_image_region(self, path: str, arn: ImageArn) -> bool:
        if self._is_unknown_partition(path, str(arn), arn.partition):
            return False
        shown, secret = self.failures.show(path, str(arn)), self.failures.is_secret(path)
        home = find_partition(arn.region, self.partitions)
        if home is None and not _ANY_REGION.fullmatch(arn.region):
            problem = "has no valid region" if secret else f"has {arn.region} for a region"
            self.failures.add(path, f'{shown} {problem}; expected one such as "us-east-1"')
            return False
        if home is not None and home.id != arn.partition:
            problem = (
                "has a region of another partition"
                if secret
                else f"is in partition {arn.partition}, but region {arn.region} is in {home.id}"
            )
            self.failures.add(path, f"{shown} {problem}; expected a region and a partition that belong together")
            return False
        return True

    def _is_unknown_partition(self, path: str, text: str, partition: str) -> bool:
        known = [each.id for each in self.partitions]
        if partition in known:
            return False
        self.failures.add_invalid(
            path,
            text,
            f"an ARN in one of the partitions {', '.join(known)}",
            problem=f"is in partition {partition}, which does not exist",
        )
        return True

    def _check_same_partition(self, path: str, arn: ImageArn, first_path: str, first: ImageArn) -> None:
        if arn.partition == first.partition:
            return
        secret = self.failures.is_secret(path) or self.failures.is_secret(first_path)
        problem = (
            f"is in another partition than {first_path}"
            if secret
            else f"is in partition {arn.partition}, but {first_path} is in {first.partition}"
        )
        shown = self.failures.show(path, str(arn))
        self.failures.add(path, f"{shown} {problem}; no credentials are valid in both, so make it two fleets")

    def _check_role(self, images: Sequence[PlacedImage]) -> None:
        role = self.inputs.get("execution_role")
        if not isinstance(role, str) or role == UNKNOWN:
            return
        arn = RoleArn.find(role)
        if arn is None or self._is_unknown_partition("execution_role", role, arn.partition):
            return
        for path, image in images:
            secret = self.failures.is_secret("execution_role") or self.failures.is_secret(path)
            if arn.partition != image.partition:
                what, actual, expected = "partition", arn.partition, image.partition
            elif arn.account != image.account:
                what, actual, expected = "account", arn.account, image.account
            else:
                continue
            problem = f"is of another {what}" if secret else f"is of {what} {actual}"
            needed = f"the {what}" if secret else f"{expected}, the {what}"
            self.failures.add(
                "execution_role",
                f"{self._show('execution_role')} {problem}; expected a role of {needed} of the image ({path})",
            )

    # What exclusion rules protect. A rule that matches nothing does not fail: it lets everything be deleted.

    def _check_excluded_regions(self, images: Sequence[PlacedImage]) -> None:
        image_path, image = images[0] if images else ("", None)
        for path, region in self._written_items("exclusion_rules", "amis", "regions"):
            if not isinstance(region, str) or region == UNKNOWN or self.failures.has_failure(path):
                continue
            if any(region == each.region for _, each in images):
                continue
            home = find_partition(region, self.partitions)
            secret = self.failures.is_secret(path) or self.failures.is_secret(image_path)
            # The patterns let any word pass, and so a slip in one: "us-esat-1".
            if home is None or not (region in home.regions or _DIRECTION.fullmatch(region.split("-")[-2])):
                example = "us-east-1" if image is None or secret else image.region
                self.failures.add_invalid(
                    path,
                    region,
                    f'a region such as "{example}"',
                    problem="is not a region, so it would exclude nothing",
                    hint=self._nearest_region(region, image),
                )
            elif image is not None and home.id != image.partition:
                problem = (
                    f"is in another partition than the image ({image_path})"
                    if secret
                    else f"is in partition {home.id}, but the image ({image_path}) is in {image.partition}"
                )
                shown = self.failures.show(path, region)
                self.failures.add(path, f"{shown} {problem}, so it would exclude nothing; leave it out")

    def _nearest_region(self, text: str, image: ImageArn | None) -> str | None:
        """Return the region that was probably meant, in the image's partition if that is known."""
        known = [
            region for each in self.partitions if image is None or each.id == image.partition for region in each.regions
        ]
        # An availability zone has the name of its region and a letter.
        lower = re.sub(r"(?<=[0-9])[a-z]$", "", text.strip().lower())
        letters = _sorted_letters(lower)
        # Missing hyphens and swapped letters first: "us-esat-1" is as near to us-west-1 as to us-east-1.
        same = [region for region in known if _sorted_letters(region) == letters]
        return next(iter(same or difflib.get_close_matches(lower, known, 1)), None)

    def _check_shared_accounts(self) -> None:
        for path, account in self._written_items("exclusion_rules", "amis", "shared_accounts"):
            if account == _NO_ACCOUNT:
                self.failures.add_invalid(
                    path,
                    account,
                    "the id of an account that AMIs are shared with",
                    problem="is no account's id, so it would exclude nothing",
                )


def _sorted_letters(text: str) -> list[str]:
    return sorted(re.sub("[^a-z0-9]", "", text))


def _excludes_nothing(rules: Mapping[str, Any]) -> bool:
    """Return whether no rule is set. An empty list is none; a False is one that was switched off on purpose."""
    rules_set = [rule for each in rules.values() for rule in (each.values() if isinstance(each, Mapping) else [each])]
    return all(rule in (None, [], {}) for rule in rules_set)
