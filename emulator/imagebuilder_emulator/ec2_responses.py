"""EC2's operations: moto's, and in place of some and beside them those here."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC
from typing import Any, TypeVar

from moto.core.request import Request
from moto.core.responses import ActionResult
from moto.ec2.responses import EC2Response

from .ec2_exceptions import (
    FilterLimitExceededError,
    FilterNotImplementedError,
    InvalidNextTokenError,
    InvalidParameterCombination,
    InvalidParameterValue,
    MalformedAMIIdError,
    MissingParameter,
)
from .ec2_references import FINDERS, Place, Scope, find_references
from .models import ImageBuilderBackend
from .wire_errors import service_model

_MAX_FILTER_VALUES = 200
_MAX_VERSIONS = 200
_MAX_DEPTH = 10_000
_STATES = frozenset({"pending", "running", "shutting-down", "terminated", "stopping", "stopped"})
_OPTION_OF = {"ec2:Instance": "state-name", "ec2:LaunchTemplate": "version-depth"}
_MOTO_REQUEST_ID = "request-id"
_REPLACED_HEADERS = {"status", "x-amzn-requestid", "x-amzn-RequestId"}
Item = TypeVar("Item")


class Ec2Response(EC2Response):
    """Answers one request to EC2.

    Args:
        image_builder: Image Builder's state, whose recipes refer to AMIs.
    """

    def __init__(self, image_builder: ImageBuilderBackend) -> None:
        super().__init__()
        self._image_builder = image_builder

    def respond(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        """Carry out a request; returns the status, the headers and the body.

        Raises:
            NotImplementedError: neither moto nor the emulator has the operation.
            OperationNotFoundError: EC2 does not have it.
        """
        try:
            status, headers, body = self._dispatch(request)
        except NotImplementedError as error:
            # The operation is there, and moto lacks one of its filters.
            if not isinstance(error, FilterNotImplementedError) and not str(error).startswith("Filter"):
                raise
            status, headers, body = self.serialized(ActionResult(InvalidParameterValue(str(error))))
        identity = str(uuid.uuid4())
        answered = {str(name): str(value) for name, value in headers.items() if name not in _REPLACED_HEADERS}
        # moto writes the same id into the body of every answer.
        content = body.encode() if isinstance(body, str) else body
        content = content.replace(f">{_MOTO_REQUEST_ID}<".encode(), f">{identity}<".encode())
        return int(status), {**answered, "x-amzn-RequestId": identity}, content

    def _filters_from_querystring(self) -> dict[str, Any]:
        filters: dict[str, Any] = super()._filters_from_querystring()
        if sum(len(values) for values in filters.values()) > _MAX_FILTER_VALUES:
            raise FilterLimitExceededError(_MAX_FILTER_VALUES)
        return filters

    # --- AMIs ------------------------------------------------------------------------------------------------------

    def describe_images(self) -> ActionResult:
        """``DescribeImages``."""
        self.error_on_dryrun()
        images = self.ec2_backend.search_images(
            image_ids=self._get_param("ImageIds", []),
            owners=self._get_param("Owners", []),
            executable_by=self._get_param("ExecutableUsers", []),
            filters=self._filters_from_querystring(),
            include_disabled=self._get_param("IncludeDisabled", False),
            include_deprecated=self._get_param("IncludeDeprecated", False),
        )
        answer = self._page("Images", images)
        for image in answer["Images"]:
            image.deregistration_protection = self.ec2_backend.deregistration_protection(image)
        return ActionResult(answer)

    def describe_image_references(self) -> ActionResult:
        """``DescribeImageReferences``."""
        self.error_on_dryrun()
        image_ids = self._image_ids()
        scopes = self._scopes()
        place = Place(self.region, self.current_account, self.partition, tuple(self._image_builder.recipes.values()))
        return ActionResult(
            self._page(
                "ImageReferences",
                find_references(image_ids, scopes, place),
                lambda each: {"ImageId": each.image_id, "ResourceType": each.resource_type, "Arn": each.arn},
            )
        )

    def _image_ids(self) -> list[str]:
        image_ids: list[str] = self._get_param("ImageIds", [])
        most = service_model("ec2").shape_for("DescribeImageReferencesImageIdStringList").metadata["max"]
        if not image_ids:
            raise MissingParameter("The request must contain the parameter ImageId")
        if len(image_ids) > most:
            raise InvalidParameterValue(
                f"Value ({len(image_ids)} ids) for parameter ImageId is invalid: at most {most} images in a request"
            )
        malformed = [each for each in image_ids if not each.startswith("ami-")]
        if malformed:
            raise MalformedAMIIdError(malformed)
        return image_ids

    def _scopes(self) -> dict[str, Scope]:
        requested = self._get_param("ResourceTypes", [])
        everything = self._get_param("IncludeAllResourceTypes", False)
        if not requested and not everything:
            raise MissingParameter("Either IncludeAllResourceTypes or ResourceTypes must be specified")
        scopes = dict.fromkeys(FINDERS, Scope()) if everything else {}
        for each in requested:
            resource_type = each.get("ResourceType", "")
            if resource_type not in FINDERS:
                raise _invalid(resource_type, "ResourceType", f"one of {', '.join(FINDERS)}")
            scopes[resource_type] = _scope(resource_type, each.get("ResourceTypeOptions", []))
        return scopes

    def enable_image_deprecation(self) -> ActionResult:
        """``EnableImageDeprecation``."""
        self.error_on_dryrun()
        image_id, at = self._required("ImageId"), self._required("DeprecateAt")
        # moto reads a time without its offset, which is UTC.
        self.ec2_backend.enable_image_deprecation(image_id, at.replace(tzinfo=UTC))
        return ActionResult({"Return": True})

    def disable_image_deprecation(self) -> ActionResult:
        """``DisableImageDeprecation``."""
        self.error_on_dryrun()
        self.ec2_backend.disable_image_deprecation(self._required("ImageId"))
        return ActionResult({"Return": True})

    def enable_image_deregistration_protection(self) -> ActionResult:
        """``EnableImageDeregistrationProtection``."""
        self.error_on_dryrun()
        protection = self.ec2_backend.enable_image_deregistration_protection(
            self._required("ImageId"), with_cooldown=self._get_param("WithCooldown", False)
        )
        return ActionResult({"Return": protection})

    def disable_image_deregistration_protection(self) -> ActionResult:
        """``DisableImageDeregistrationProtection``."""
        self.error_on_dryrun()
        protection = self.ec2_backend.disable_image_deregistration_protection(self._required("ImageId"))
        return ActionResult({"Return": protection})

    # --- launch templates ------------------------------------------------------------------------------------------

    def describe_launch_template_versions(self) -> ActionResult:
        """``DescribeLaunchTemplateVersions``."""
        self.error_on_dryrun()
        found = self.ec2_backend.search_template_versions(
            template_id=self._get_param("LaunchTemplateId"),
            template_name=self._get_param("LaunchTemplateName"),
            versions=self._get_param("Versions", []),
            first=self._get_int_param("MinVersion"),
            last=self._get_int_param("MaxVersion"),
            filters=self._filters_from_querystring(),
        )
        return ActionResult(self._page("LaunchTemplateVersions", found, self._version, most=_MAX_VERSIONS))

    def _version(self, found: tuple[Any, Any]) -> Mapping[str, Any]:
        template, version = found
        data = version.data
        if self._get_param("ResolveAlias", False) and version.image_id:
            data = {**data, "ImageId": self.ec2_backend.resolve_alias(version.image_id)}
        return {
            "CreateTime": version.create_time,
            "CreatedBy": f"arn:{self.partition}:iam::{self.current_account}:root",
            "DefaultVersion": template.is_default(version),
            "LaunchTemplateData": data,
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "VersionDescription": version.description,
            "VersionNumber": version.number,
        }

    # --- requests --------------------------------------------------------------------------------------------------

    def _required(self, name: str) -> Any:
        value = self._get_param(name)
        if value is None:
            raise MissingParameter(f"The request must contain the parameter {name}")
        return value

    def _page(
        self,
        key: str,
        items: Iterable[Item],
        serialize: Callable[[Item], Any] = lambda item: item,
        *,
        most: int | None = None,
    ) -> dict[str, Any]:
        """Return one page of a list; its token holds where the next begins and what it was handed out for."""
        found, action = list(items), self._get_action()
        asked = {name: value for name, value in self._get_params().items() if name not in {"NextToken", "MaxResults"}}
        digest = [action, json.dumps(asked, sort_keys=True, default=str)]
        start, size = _offset(self._get_param("NextToken"), digest), self._get_param("MaxResults")
        least = service_model("ec2").operation_model(action).input_shape.members["MaxResults"].metadata.get("min", 1)
        if size is not None and not least <= size <= (most or size):
            raise _invalid(size, "MaxResults", f"from {least} to {most}" if most else f"{least} or more")
        end = start + (size or most or len(found))
        answer: dict[str, Any] = {key: [serialize(item) for item in found[start:end]]}
        if end < len(found):
            answer["NextToken"] = base64.urlsafe_b64encode(json.dumps([*digest, end]).encode()).decode()
        return answer


def _scope(resource_type: str, options: Iterable[Mapping[str, Any]]) -> Scope:
    scope = Scope()
    for option in options:
        name, values = option.get("OptionName", ""), option.get("OptionValues", [])
        if name != _OPTION_OF.get(resource_type):
            raise InvalidParameterCombination(f"The option {name} is not valid for the resource type {resource_type}")
        if name == "state-name":
            unknown = next((value for value in values if value not in _STATES), None)
            if unknown is not None or not values:
                raise _invalid(unknown or "", "OptionValue", f"one of {', '.join(sorted(_STATES))}")
            scope = Scope(states=frozenset(values))
        else:
            depth = values[0] if len(values) == 1 else ", ".join(values)
            if not depth.isdecimal() or not 1 <= int(depth) <= _MAX_DEPTH:
                raise _invalid(depth, "OptionValue", f"a number from 1 to {_MAX_DEPTH}")
            scope = Scope(depth=int(depth))
    return scope


def _offset(token: str | None, digest: list[str]) -> int:
    if token is None:
        return 0
    try:
        *handed_to, start = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError):
        raise InvalidNextTokenError from None
    if handed_to != digest or type(start) is not int:
        raise InvalidNextTokenError
    return start


def _invalid(value: object, parameter: str, expected: str) -> InvalidParameterValue:
    return InvalidParameterValue(f"Value ({value}) for parameter {parameter} is invalid. Expected {expected}.")
