"""Requests are read and refused by the service model."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from imagebuilder_emulator.exceptions import InvalidRequestException
from imagebuilder_emulator.shapes import operations, parse_parameters, parse_request, service_model

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
GOOD: dict[str, Any] = {"resourceArn": ARN, "state": {"status": "DEPRECATED"}, "clientToken": "t"}
START = operations()["PUT", "/StartResourceStateUpdate"]


def test_every_operation_has_its_route() -> None:
    """No two operations of the model share a method and a path."""
    assert len(operations()) == len(service_model().operation_names)


def test_a_request_is_read() -> None:
    """Bodies, query strings and timestamps arrive as the shapes have them."""
    body = json.dumps({**GOOD, "updateAt": 1798761600}).encode()
    assert parse_request(START, "", body, {}) == {**GOOD, "updateAt": datetime(2027, 1, 1, tzinfo=UTC)}
    get = operations()["GET", "/GetImage"]
    assert parse_request(get, f"imageBuildVersionArn={ARN}", b"", {}) == {"imageBuildVersionArn": ARN}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resourceArn": 5}, "Value at 'resourceArn' must be a string, got 5"),
        (
            {"state": {"status": "GONE"}},
            "Value 'GONE' at 'state.status' must be one of AVAILABLE, DELETED, DEPRECATED, DISABLED",
        ),
        ({"clientToken": ""}, "Value at 'clientToken' must have a length of at least 1, got 0"),
        ({"clientToken": "t" * 65}, "Value at 'clientToken' must have a length of at most 64, got 65"),
        ({"other": 1}, "Unknown parameter 'other'"),
        ({"updateAt": True}, "Value at 'updateAt' must be a timestamp in epoch seconds, got true"),
        (
            {"exclusionRules": {"amis": {"lastLaunched": {"value": 366, "unit": "DAYS"}}}},
            "Value at 'exclusionRules.amis.lastLaunched.value' must be at most 365, got 366",
        ),
        (
            {"exclusionRules": {"amis": {"lastLaunched": {"value": 1}}}},
            "Missing required parameter 'exclusionRules.amis.lastLaunched.unit'",
        ),
    ],
)
def test_a_request_is_refused(change: dict[str, Any], message: str) -> None:
    """Each thing that a shape refuses is named with its path, its value and what is allowed."""
    with pytest.raises(InvalidRequestException) as refusal:
        parse_request(START, "", json.dumps({**GOOD, **change}).encode(), {})
    assert str(refusal.value) == message


def test_parameters_of_boto3_are_read_like_requests() -> None:
    """Datetimes are checked as the timestamps that botocore would send, naive ones as UTC."""
    at = datetime(2027, 1, 1, tzinfo=UTC)
    assert parse_parameters(START, {**GOOD, "updateAt": at}) == {**GOOD, "updateAt": at}
    assert parse_parameters(START, {**GOOD, "updateAt": datetime(2027, 1, 1)})["updateAt"] == at
    with pytest.raises(InvalidRequestException, match="Missing required parameter 'state'"):
        parse_parameters(START, {"resourceArn": ARN, "clientToken": "t"})
