"""The service's errors: each carries its code, its HTTP status and what is wrong."""

from __future__ import annotations


class ImageBuilderError(Exception):
    """An error as the service answers it.

    Args:
        message: what is wrong.
    """

    code = "ServiceException"
    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ClientException(ImageBuilderError):
    """A request that cannot be served, for want of a better code."""

    code, status = "ClientException", 400


class InvalidRequestException(ImageBuilderError):
    """A request that the shapes or the rules refuse."""

    code, status = "InvalidRequestException", 400


class InvalidParameterException(ImageBuilderError):
    """What the tagging operations answer where others answer `InvalidRequestException`."""

    code, status = "InvalidParameterException", 400


class InvalidParameterValueException(ImageBuilderError):
    """A value that the service cannot use, such as a role that it cannot assume."""

    code, status = "InvalidParameterValueException", 400


class ForbiddenException(ImageBuilderError):
    """The caller has no right to it."""

    code, status = "ForbiddenException", 403


class InvalidPaginationTokenException(ImageBuilderError):
    """A ``nextToken`` that was not handed out for this request."""

    code, status = "InvalidPaginationTokenException", 400


class ResourceInUseException(ImageBuilderError):
    """The image has an execution under way."""

    code, status = "ResourceInUseException", 400


class ResourceDependencyException(ImageBuilderError):
    """Something depends on the image, so that it cannot be deleted."""

    code, status = "ResourceDependencyException", 400


class IdempotentParameterMismatchException(ImageBuilderError):
    """A client token that is known with other parameters."""

    code, status = "IdempotentParameterMismatchException", 400


class ResourceNotFoundException(ImageBuilderError):
    """No such image."""

    code, status = "ResourceNotFoundException", 404
