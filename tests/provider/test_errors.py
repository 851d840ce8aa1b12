"""Errors that users read: one line, no credentials, and the attempted action filled in once."""

from __future__ import annotations

import pytest
from pulumi_imagebuilder.errors import (
    CredentialsError,
    FleetFailed,
    FleetRefused,
    ImageBuilderError,
    PermanentError,
    ResourceNotFound,
    ServiceError,
    TemporaryError,
    describe_failed_resources,
    one_line,
)


def resource(number: int, status: str = "FAILED", reason: str | None = "no access") -> dict[str, str | None]:
    return {"resource_id": f"ami-{number}", "region": "us-east-1", "status": status, "reason": reason}


@pytest.mark.parametrize(
    ("action", "next_step", "text"),
    [
        (None, None, "it failed"),
        ("reading the image", None, "reading the image: it failed"),
        (None, "try again", "it failed; try again"),
        ("reading the image", "try again", "reading the image: it failed; try again"),
    ],
)
def test_text_is_action_reason_next_step(action: str | None, next_step: str | None, text: str) -> None:
    """Parts that are not known are left out, with their punctuation."""
    assert str(ImageBuilderError("it failed", action=action, next_step=next_step)) == text


def test_every_part_is_one_line() -> None:
    """Services send line breaks in their messages."""
    error = ImageBuilderError("It failed:\n  because\r\n of this", action="reading\nit", next_step="try\n\nagain")
    assert (error.reason, error.action, error.next_step) == ("It failed: because of this", "reading it", "try again")
    assert str(error) == "reading it: It failed: because of this; try again"


def test_with_action_fills_in_the_action_of_a_copy() -> None:
    """Several images can fail with the same error: each gets its own action, and keeps type, code and cause."""
    cause = ValueError("why")
    error = ResourceNotFound("none", "ResourceNotFoundException", next_step="check the ARN")
    error.__cause__ = cause
    first, second = error.with_action("reading one"), error.with_action("reading two")
    assert type(first) is ResourceNotFound
    assert (first.code, first.__cause__) == ("ResourceNotFoundException", cause)
    assert str(first) == "reading one: none; check the ARN"
    assert str(second) == "reading two: none; check the ARN"
    assert error.action is None


def test_with_action_keeps_an_earlier_action() -> None:
    """What was attempted is known best where the error was raised."""
    error = ImageBuilderError("it failed", action="reading the image")
    assert error.with_action("changing the image") is error
    assert error.action == "reading the image"


def test_with_action_needs_no_positional_arguments() -> None:
    """An error made with keywords alone is copied as well."""
    assert str(CredentialsError(reason="expired", code="ExpiredToken").with_action("waiting")) == "waiting: expired"


def test_types_say_whether_running_again_helps() -> None:
    """Expired credentials and failed images of a fleet do not lose what is done; refused requests need a change."""
    assert issubclass(CredentialsError, TemporaryError)
    assert issubclass(FleetFailed, TemporaryError)
    assert issubclass(ServiceError, PermanentError)
    assert issubclass(FleetRefused, PermanentError)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("no answer from http://me:secret@127.0.0.1:9/", "no answer from http://127.0.0.1:9/"),
        ('proxy "https://me:p@ss@proxy:3128"', 'proxy "https://proxy:3128"'),
        ("x-amz-security-token:IQoJb3J/+= x-amz-date:1", "x-amz-security-token:[redacted] x-amz-date:1"),
        ("Credential=AKIAIOSFODNN7EXAMPLE/20260101", "Credential=[redacted]/20260101"),
        ("ASIAIOSFODNN7EXAMPLE is unknown", "[redacted] is unknown"),
        ("see https://docs.aws.amazon.com/x?a@b", "see https://docs.aws.amazon.com/x?a@b"),
        ("mail me@example.com", "mail me@example.com"),
    ],
)
def test_one_line_leaves_credentials_out(text: str, line: str) -> None:
    """Users of URLs, session tokens and access keys; nothing else is touched."""
    assert one_line(text) == line


def test_failed_resources_are_named_with_region_and_reason() -> None:
    """Resources that did not fail are not mentioned."""
    named = describe_failed_resources([resource(1), resource(2, "SUCCESS"), resource(3, reason=None)])
    assert named == "ami-1 (us-east-1): no access; ami-3 (us-east-1): no reason given"


def test_at_most_ten_failed_resources_are_named() -> None:
    """The rest is counted."""
    named = describe_failed_resources([resource(number) for number in range(1, 41)])
    assert named.startswith("ami-1 (us-east-1): no access; ")
    assert named.endswith("; ami-10 (us-east-1): no access; and 30 more")


def test_no_failed_resources_are_named_by_an_empty_text() -> None:
    """There is nothing to say."""
    assert describe_failed_resources([resource(1, "SUCCESS")]) == ""
