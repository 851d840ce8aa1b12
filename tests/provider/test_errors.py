"""What a person reads when it fails."""

from __future__ import annotations

from pulumi_imagebuilder.errors import ImageBuilderError, describe_failed_resources


def resource(number: int, status: str = "FAILED", reason: str | None = "no access") -> dict[str, str | None]:
    return {"resource_id": f"ami-{number}", "region": "us-east-1", "status": status, "reason": reason}


def test_line_breaks_become_spaces() -> None:
    """A message is one line, whatever the service sends."""
    assert str(ImageBuilderError("It failed:\n  because\r\n of this")) == "It failed: because of this"


def test_failed_resources_are_named() -> None:
    """Those that failed, with region and reason; the others are not mentioned."""
    told = describe_failed_resources([resource(1), resource(2, "SUCCESS"), resource(3, reason=None)])
    assert told == "ami-1 (us-east-1): no access; ami-3 (us-east-1): no reason given"


def test_ten_failed_resources_are_named_at_most() -> None:
    """The rest is counted."""
    told = describe_failed_resources([resource(number) for number in range(1, 41)])
    assert told.startswith("ami-1 (us-east-1): no access; ")
    assert told.endswith("; ami-10 (us-east-1): no access; and 30 more")


def test_nothing_failed() -> None:
    """Says nothing."""
    assert describe_failed_resources([resource(1, "SUCCESS")]) == ""
