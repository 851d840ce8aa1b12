"""EC2's errors that moto lacks; moto's own are in ``moto.ec2.exceptions``."""

from __future__ import annotations

from moto.core.exceptions import ServiceException
from moto.ec2.exceptions import (
    EC2ClientError,
    FilterNotImplementedError,
    InvalidAMIIdError,
    InvalidParameterCombination,
    InvalidParameterValue,
    MalformedAMIIdError,
    MissingParameter,
    UnvailableAMIIdError,
)

__all__ = [
    "EC2ClientError",
    "FilterNotImplementedError",
    "InvalidAMIIdError",
    "InvalidParameterCombination",
    "InvalidParameterValue",
    "MalformedAMIIdError",
    "MissingParameter",
    "UnvailableAMIIdError",
]


class LaunchValidationError(ServiceException):
    """What Auto Scaling makes of an AMI that EC2 does not launch.

    Args:
        message: EC2's message.
    """

    def __init__(self, message: str) -> None:
        super().__init__("ValidationError", message)


class OperationNotPermittedError(EC2ClientError):
    """An AMI that is protected from deregistration.

    Args:
        ami_id: the AMI.
    """

    def __init__(self, ami_id: str) -> None:
        super().__init__(
            "OperationNotPermitted",
            f"The image '{ami_id}' cannot be deregistered: it has deregistration protection",
        )


class InvalidNextTokenError(EC2ClientError):
    """A ``NextToken`` that was not handed out for this request."""

    def __init__(self) -> None:
        super().__init__("InvalidNextToken", "The specified nextToken is not valid")


class FilterLimitExceededError(EC2ClientError):
    """More filter values than EC2 takes in one call.

    Args:
        limit: the most that it takes.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(
            "FilterLimitExceeded", f"The maximum number of filter values specified on a single call is {limit}"
        )
