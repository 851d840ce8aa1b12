"""moto's EC2 with what it lacks of AMIs and launch templates.

Every launch, also one by an Auto Scaling group or a fleet, goes through `Ec2Backend.run_instances`: an AMI that is
disabled or deregistered starts no instance.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.utils import generic_filter

from .clock import Clock
from .ec2_exceptions import (
    EC2ClientError,
    InvalidAMIIdError,
    InvalidParameterValue,
    LaunchValidationError,
    MalformedAMIIdError,
    MissingParameter,
    OperationNotPermittedError,
    UnvailableAMIIdError,
)
from .entities import Ami
from .moto_backends import find_parameter, format_time

UNPROTECTED = "disabled"
_COOLDOWN = timedelta(hours=24)
_LONGEST_DEPRECATION = timedelta(days=3653)
_ALIAS = "resolve:ssm:"
_VERSION_FILTERS: Mapping[str, Any] = {
    "image-id": lambda template, version: version.image_id,
    "instance-type": lambda template, version: version.instance_type,
    "is-default-version": lambda template, version: str(template.is_default(version)).lower(),
}


class Ec2Backend(EC2Backend):
    """EC2 in one account and region.

    Attributes:
        clock: the time that AMIs are deprecated by; the emulator's own, see `use_clock`.
    """

    clock: ClassVar[Clock] = Clock()

    # --- AMIs ------------------------------------------------------------------------------------------------------

    def search_images(
        self,
        *,
        image_ids: Sequence[str] = (),
        owners: Sequence[str] = (),
        executable_by: Sequence[str] = (),
        filters: Mapping[str, Sequence[str]] | None = None,
        include_disabled: bool = False,
        include_deprecated: bool = False,
    ) -> list[Any]:
        """Return the AMIs that ``DescribeImages`` shows.

        Args:
            image_ids: only these.
            owners: only of these accounts, ``self`` for one's own.
            executable_by: only those that these accounts may launch; ``self`` and ``all`` too.
            filters: values by name.
            include_disabled: also those that are disabled.
            include_deprecated: also those of other accounts that are deprecated.

        Raises:
            InvalidAMIIdError: one of ``image_ids`` is not there.
            MalformedAMIIdError: one of them is no id of an AMI.
        """
        found = {image.id: image for image in self._visible_images()}
        if image_ids:
            malformed = [each for each in image_ids if not each.startswith("ami-")]
            if malformed:
                raise MalformedAMIIdError(malformed)
            missing = [each for each in image_ids if each not in found]
            if missing:
                raise InvalidAMIIdError(missing)
            found = {each: found[each] for each in image_ids}
        rest = dict(filters or {})
        wanted = rest.get("image-id")
        if wanted is not None and not any(letter in each for each in wanted for letter in "*?["):
            # Looked up: moto compares each value with each AMI.
            found = {each: found[each] for each in wanted if each in found}
            del rest["image-id"]
        images = [
            image
            for image in found.values()
            if (not owners or self._owned_by(image, owners))
            and (not executable_by or self._executable_by(image, executable_by))
            and (include_disabled or image.state != "disabled")
            and (include_deprecated or image.owner_id == self.account_id or not self._is_deprecated(image))
        ]
        return generic_filter(rest, images)

    def _visible_images(self) -> Iterator[Any]:
        """Yield one's own AMIs, and those of other accounts that are public or shared with this one."""
        yield from self.amis.values()
        for account, regions in list(ec2_backends.items()):
            if account == self.account_id or self.region_name not in regions.keys():  # noqa: SIM118 - `in` creates
                continue
            for image in regions[self.region_name].amis.values():
                if image.is_public or {"UserId": self.account_id} in image.launch_permissions:
                    yield image

    def _owned_by(self, image: Any, owners: Sequence[str]) -> bool:
        accounts = {self.account_id if owner == "self" else owner for owner in owners}
        return image.owner_id in accounts or image.owner_alias in accounts

    def _executable_by(self, image: Any, users: Sequence[str]) -> bool:
        accounts = {self.account_id if user == "self" else user for user in users}
        shared = {permission.get("UserId") for permission in image.launch_permissions}
        return bool(accounts & shared) or image.is_public

    def _is_deprecated(self, image: Any) -> bool:
        at = getattr(image, "deprecation_time", None)
        return at is not None and datetime.fromisoformat(at) <= self.clock.now()

    def own_image(self, image_id: str) -> Any:
        """Return one of this account's AMIs.

        Raises:
            InvalidAMIIdError: it never was there.
            UnvailableAMIIdError: it was deregistered.
        """
        if image_id in self.deleted_amis:
            raise UnvailableAMIIdError(image_id)
        if image_id not in self.amis:
            raise InvalidAMIIdError(image_id)
        return self.amis[image_id]

    def disable_image(self, ami_id: str) -> None:
        """Disable an AMI: whoever it was shared with loses it."""
        image = self.own_image(ami_id)
        image.state, image.launch_permissions = "disabled", []

    def modify_image_attribute(
        self,
        ami_id: str,
        launch_permissions_to_add: list[dict[str, str]],
        launch_permissions_to_remove: list[dict[str, str]],
    ) -> None:
        """Share an AMI, or no longer; a disabled one cannot be shared.

        Raises:
            UnvailableAMIIdError: it is disabled.
        """
        if launch_permissions_to_add and self.own_image(ami_id).state == "disabled":
            raise UnvailableAMIIdError(ami_id)
        super().modify_image_attribute(ami_id, launch_permissions_to_add, launch_permissions_to_remove)

    def enable_image_deprecation(self, image_id: str, at: datetime) -> None:
        """Set the time at which an AMI is deprecated; seconds are rounded to the minute.

        Raises:
            InvalidParameterValue: the time has passed, or is more than ten years ahead.
        """
        image, now = self.own_image(image_id), self.clock.now()
        if not now <= at <= now + _LONGEST_DEPRECATION:
            raise InvalidParameterValue(
                f"Value ({format_time(at)}) for parameter DeprecateAt is invalid. Expected a time within ten years."
            )
        rounded = (at + timedelta(seconds=30)).replace(second=0, microsecond=0)
        image.deprecation_time = format_time(rounded)

    def disable_image_deprecation(self, image_id: str) -> None:
        """Take an AMI's deprecation back."""
        self.own_image(image_id).deprecation_time = None

    def enable_image_deregistration_protection(self, image_id: str, *, with_cooldown: bool) -> str:
        """Protect an AMI from deregistration; returns the protection as ``DescribeImages`` shows it."""
        image = self.own_image(image_id)
        image.deregistration_protection = f"enabled-{'with' if with_cooldown else 'without'}-cooldown"
        image.unprotected_at = None
        return self.deregistration_protection(image)

    def disable_image_deregistration_protection(self, image_id: str) -> str:
        """End an AMI's protection: at once, or where it has a cooldown in 24 hours; returns what holds now."""
        image = self.own_image(image_id)
        if self.deregistration_protection(image) == "enabled-with-cooldown":
            image.unprotected_at = image.unprotected_at or self.clock.now() + _COOLDOWN
        else:
            image.deregistration_protection = UNPROTECTED
        return self.deregistration_protection(image)

    def deregistration_protection(self, image: Any) -> str:
        """Return an AMI's protection as of now: ``disabled`` or ``enabled-…-cooldown``."""
        ends = getattr(image, "unprotected_at", None)
        if ends is not None and ends <= self.clock.now():
            return UNPROTECTED
        protection: str = getattr(image, "deregistration_protection", UNPROTECTED)
        return protection

    def deregister_image(self, ami_id: str) -> None:
        """Deregister an AMI.

        Raises:
            OperationNotPermittedError: it is protected.
        """
        image = self.amis.get(ami_id)
        if image is not None and self.deregistration_protection(image) != UNPROTECTED:
            raise OperationNotPermittedError(ami_id)
        super().deregister_image(ami_id)

    # --- launches --------------------------------------------------------------------------------------------------

    def run_instances(
        self, image_id: str, count: int, user_data: Any, security_group_names: list[str], **kwargs: Any
    ) -> Any:
        """Launch instances, and note when the AMI was last launched.

        Raises:
            InvalidAMIIdError: the AMI never was there, or is not shared with this account.
            UnvailableAMIIdError: it was deregistered, or is disabled.
            MissingParameter: neither request nor launch template names one.
            LaunchValidationError: the same for an Auto Scaling group, as its ``ValidationError``.
        """
        template = kwargs.get("launch_template")
        try:
            image = self._launchable(image_id or (template and self._get_template_from_args(template).image_id))
        except EC2ClientError as error:
            if "launch_config" not in kwargs:
                raise
            # Only Auto Scaling gives one, None too; it has no such code of its own.
            raise LaunchValidationError(error.message) from None
        reservation = super().run_instances(image.id, count, user_data, security_group_names, **kwargs)
        image.last_launched_time = format_time(self.clock.now())
        return reservation

    def _launchable(self, image_id: str | None) -> Any:
        if not image_id:
            raise MissingParameter("The request must contain the parameter ImageId")
        image_id = self.resolve_alias(image_id)
        image = next((image for image in self._visible_images() if image.id == image_id), None)
        if image is not None and image.state == "available":
            return image
        if image is not None or any(
            image_id in regions[self.region_name].deleted_amis
            for regions in ec2_backends.values()
            if self.region_name in regions.keys()  # noqa: SIM118 - `in` would create the backend
        ):
            raise UnvailableAMIIdError(image_id)
        raise InvalidAMIIdError(image_id)

    def resolve_alias(self, image_id: str) -> str:
        """Return the AMI that ``resolve:ssm:NAME`` means; an id as it is.

        Raises:
            InvalidParameterValue: there is no such parameter.
        """
        if not image_id.startswith(_ALIAS):
            return image_id
        value = find_parameter(image_id.removeprefix(_ALIAS), self.region_name, self.account_id)
        if value is None:
            raise InvalidParameterValue(
                f"Value ({image_id}) for parameter ImageId is invalid. There is no such SSM parameter."
            )
        return value

    # --- launch templates ------------------------------------------------------------------------------------------

    def search_template_versions(
        self,
        *,
        template_id: str | None = None,
        template_name: str | None = None,
        versions: Sequence[str] = (),
        first: int | None = None,
        last: int | None = None,
        filters: Mapping[str, Sequence[str]] | None = None,
    ) -> list[tuple[Any, Any]]:
        """Return templates and versions as ``DescribeLaunchTemplateVersions`` shows them, each version once.

        Args:
            template_id: the template; without id and name all templates.
            template_name: the template.
            versions: numbers, ``$Latest`` and ``$Default``.
            first: the lowest number.
            last: the highest number.
            filters: values by name, of `_VERSION_FILTERS`.

        Raises:
            InvalidParameterValue: an unknown filter.
        """
        unknown = next((name for name in filters or {} if name not in _VERSION_FILTERS), None)
        if unknown is not None:
            raise InvalidParameterValue(f"The filter '{unknown}' is invalid")
        found = self.describe_launch_template_versions(
            template_name or "", template_id or "", list(versions), first or 0, last or 0, sys.maxsize
        )
        once = {(template.id, version.number): (template, version) for template, version in found}
        return [
            (template, version)
            for template, version in once.values()
            if all(_VERSION_FILTERS[name](template, version) in values for name, values in (filters or {}).items())
        ]


def protect(ami: Ami, *, with_cooldown: bool) -> None:
    """Protect an AMI from deregistration."""
    backend: Any = ec2_backends[ami.account][ami.region]
    backend.enable_image_deregistration_protection(ami.id, with_cooldown=with_cooldown)


def protection(ami: Ami) -> str:
    """Return an AMI's protection from deregistration as of now; ``disabled`` for one that is gone."""
    backend: Any = ec2_backends[ami.account][ami.region]
    image = backend.amis.get(ami.id)
    found: str = backend.deregistration_protection(image) if image else UNPROTECTED
    return found


def use_clock(clock: Clock) -> None:
    """Have moto make EC2's backends of this class from now on, by this clock."""
    Ec2Backend.clock = clock
    ec2_backends.backend = Ec2Backend
