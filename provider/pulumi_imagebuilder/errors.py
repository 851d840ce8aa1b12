"""What a person reads when it fails: one line each, saying what was asked, what came back and what to do next.

Whether running ``pulumi up`` again helps is a property of the type: a :class:`TemporaryError` goes on where it
stopped, a :class:`PermanentError` comes back until something is changed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_MOST_RESOURCES_NAMED = 10

_USER_OF_A_URL = re.compile(r"//[^/\s\"']*@")


class ImageBuilderError(Exception):
    """Base of all errors of this package. Its text is always a single line.

    Args:
        message: what happened; line breaks in it (services send them) become spaces.
        reason: the part of it that tells why, without what was asked and what to do next. Default: all of it.

    Attributes:
        reason: as given, on one line too.
    """

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(one_line(message))
        self.reason = one_line(reason or message)


def one_line(text: str) -> str:
    r"""A text on one line, and without the user and password that a URL in it may have.

    >>> one_line("no answer from\nhttp://me:secret@127.0.0.1:9/")
    'no answer from http://127.0.0.1:9/'
    """
    return _USER_OF_A_URL.sub("//", " ".join(text.split()))


class TemporaryError(ImageBuilderError):
    """Nothing is lost: the same `pulumi up` goes on from here."""


class PermanentError(ImageBuilderError):
    """The same request would be refused again: something has to be changed first."""


class TimedOut(TemporaryError):
    """The time limit of ``custom_timeouts`` ran out."""


class ServiceRefused(PermanentError):
    """The service answered with an error that a retry cannot mend (HTTP 400, 403, 404).

    Attributes:
        code: the service's error code, as ``InvalidRequestException``.
    """

    def __init__(self, message: str, code: str, reason: str | None = None) -> None:
        super().__init__(message, reason)
        self.code = code


class ImageNotFound(ServiceRefused):
    """The image build version does not exist: the service said ``ResourceNotFoundException``."""


class ExecutionFailed(TemporaryError):
    """A lifecycle execution ended as ``FAILED`` or ``CANCELLED``; running again starts a new one."""


class FleetFailed(TemporaryError):
    """Some images of a fleet failed; all others have been carried out, and running again touches only what is left."""


class NotCarriedOut(TemporaryError):
    """The service answers that an immediate change was made, and the image does not show it."""


class ConfigurationError(PermanentError):
    """A value of the stack's ``aws:*`` configuration cannot be used."""


def describe_failed_resources(resources: Sequence[dict[str, Any]]) -> str:
    """Name the resources of an execution that failed, at most ten: ``ami-1 (us-east-1): reason; and 3 more``."""
    failed = [resource for resource in resources if resource["status"] == "FAILED"]
    named = [
        f"{resource['resource_id']} ({resource['region']}): {resource['reason'] or 'no reason given'}"
        for resource in failed[:_MOST_RESOURCES_NAMED]
    ]
    if len(failed) > _MOST_RESOURCES_NAMED:
        named.append(f"and {len(failed) - _MOST_RESOURCES_NAMED} more")
    return "; ".join(named)
