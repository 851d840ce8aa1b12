"""Errors that users read: one line each, with what was attempted, what happened and what to do next.

The type says whether it helps to run ``pulumi up`` again: a :class:`TemporaryError` continues where it stopped, a
:class:`PermanentError` comes back until something is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Self

_MAX_NAMED_RESOURCES = 10

_REDACTED = "[redacted]"
_URL_USER = re.compile(r"//[^/\s\"']*@")
_CREDENTIALS = (
    # Refused signatures are answered with the request that the service has seen, its headers included.
    re.compile(r"(?<=x-amz-security-token:)\s*[^\s'\"]+", re.IGNORECASE),
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"),
)


def one_line(text: str) -> str:
    r"""Return a text on one line, without credentials: users of URLs, session tokens and access keys are left out.

    >>> one_line("no answer from\nhttp://me:secret@127.0.0.1:9/")
    'no answer from http://127.0.0.1:9/'
    """
    line = _URL_USER.sub("//", " ".join(text.split()))
    for pattern in _CREDENTIALS:
        line = pattern.sub(_REDACTED, line)
    return line


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return a text without these secrets; one of less than eight characters is no credential, but part of words.

    >>> redact("the token of-the-stack is part of the stack", ["of-the-stack", "the"])
    'the token [redacted] is part of the stack'
    """
    for secret in secrets:
        text = text.replace(secret, _REDACTED) if len(secret) >= 8 else text
    return text


class ImageBuilderError(Exception):
    """Base of all errors of this package. Its text is one line: ``action: reason; next_step``.

    Args:
        reason: what happened; line breaks in it (services send them) become spaces.
        action: what was attempted, as ``starting state update of arn:… to DISABLED``. Default: not known here, and
            filled in by :meth:`with_action`.
        next_step: what the user can do. Default: nothing to say.

    Attributes:
        reason: as given, on one line.
        action: as given, on one line, or ``None``.
        next_step: as given, on one line, or ``None``.
    """

    def __init__(self, reason: str, *, action: str | None = None, next_step: str | None = None) -> None:
        self.reason = one_line(reason)
        super().__init__(self.reason)
        self.action = one_line(action) if action else None
        self.next_step = one_line(next_step) if next_step else None

    def __str__(self) -> str:
        action = f"{self.action}: " if self.action else ""
        next_step = f"; {self.next_step}" if self.next_step else ""
        return f"{action}{self.reason}{next_step}"

    def with_action(self, action: str) -> Self:
        """Return the error with the attempted action filled in, or itself if it has one.

        The error is copied, as several images can fail with the same one.

        Args:
            action: what was attempted.
        """
        if self.action:
            return self
        error = type(self).__new__(type(self), *self.args)
        error.__dict__.update(self.__dict__)
        error.action = one_line(action)
        error.__cause__ = self.__cause__
        return error.with_traceback(self.__traceback__)


class TemporaryError(ImageBuilderError):
    """Nothing is lost: the next `pulumi up` continues from here."""


class PermanentError(ImageBuilderError):
    """The same request would be refused again: something has to be changed first."""


class TimedOut(TemporaryError):
    """The time limit of ``custom_timeouts`` has passed."""


class Cancelled(TemporaryError):
    """The run was cancelled; what was started at the service continues."""


class ServiceError(PermanentError):
    """The service answered with a client error, which a retry does not change (HTTP 400, 403, 404).

    Args:
        reason: what happened.
        code: the service's error code.
        action: as in :class:`ImageBuilderError`.
        next_step: as in :class:`ImageBuilderError`.

    Attributes:
        code: the service's error code, as ``InvalidRequestException``.
    """

    def __init__(self, reason: str, code: str, *, action: str | None = None, next_step: str | None = None) -> None:
        super().__init__(reason, action=action, next_step=next_step)
        self.code = code


class ResourceNotFound(ServiceError):
    """What was asked for does not exist: the service answered ``ResourceNotFoundException``."""


class CredentialsError(TemporaryError):
    """Credentials are missing, invalid or expired: with valid ones the next `pulumi up` continues from here.

    Args:
        reason: what happened.
        code: the service's error code.
        action: as in :class:`ImageBuilderError`.
        next_step: as in :class:`ImageBuilderError`.

    Attributes:
        code: the error code of Image Builder, EC2 or STS, as ``ExpiredTokenException``; the name of botocore's
            exception where no service was asked, as ``NoCredentialsError``.
    """

    def __init__(self, reason: str, code: str, *, action: str | None = None, next_step: str | None = None) -> None:
        super().__init__(reason, action=action, next_step=next_step)
        self.code = code


class ExecutionFailed(TemporaryError):
    """A lifecycle execution ended as ``FAILED`` or ``CANCELLED``; running again starts a new one."""


class FleetFailed(TemporaryError):
    """Some images of a fleet failed; all others are done, and running again touches only what is left."""


class FleetRefused(PermanentError):
    """All images of a fleet that failed did so with a :class:`PermanentError`."""


class NotVerified(TemporaryError):
    """The service answered that an immediate change was made, and the image does not show it."""


class ConfigurationError(PermanentError):
    """A value of the provider's configuration cannot be used, or forbids the call."""


class InUse(TemporaryError):
    """AMIs that the change takes away are still used."""


def describe_failed_resources(resources: Sequence[dict[str, Any]]) -> str:
    """Name the resources of an execution that failed, at most ten: ``ami-1 (us-east-1): reason; and 3 more``.

    Args:
        resources: the output ``resources`` of a state update.
    """
    failed = [resource for resource in resources if resource["status"] == "FAILED"]
    named = [
        f"{resource['resource_id']} ({resource['region']}): {resource['reason'] or 'no reason given'}"
        for resource in failed[:_MAX_NAMED_RESOURCES]
    ]
    if len(failed) > _MAX_NAMED_RESOURCES:
        named.append(f"and {len(failed) - _MAX_NAMED_RESOURCES} more")
    return "; ".join(named)
