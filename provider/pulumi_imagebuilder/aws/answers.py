"""What callers need to know about answers; importing it loads no botocore."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

_ACCESS_CODES = ("AccessDenied", "Forbidden", "Unauthorized")
"""What the error codes for a missing permission begin with."""

OnRetry = Callable[[str], None]
"""Called with the reason, in a few words, before a call is retried."""


def is_access_denied(code: str) -> bool:
    """Return whether an error code says that the caller lacks a permission."""
    return code.startswith(_ACCESS_CODES)


def required_permission(service: str, operation: str) -> str:
    """Return the permission that a call needs, as a policy names it.

    >>> required_permission("ec2", "describe_images")
    'ec2:DescribeImages'
    """
    return f"{service}:{operation.title().replace('_', '')}"


def answered_at(answer: Mapping[str, Any]) -> datetime:
    """Return when an answer was sent, by the service's clock; the present time if the answer has no date.

    Args:
        answer: what :meth:`Service.call` returned.
    """
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return parsedate_to_datetime(date) if date else datetime.now(UTC)
