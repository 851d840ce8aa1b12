"""Errors are in the form of each service's protocol."""

from __future__ import annotations

import json

import pytest
from imagebuilder_emulator.faults import SERVICES
from imagebuilder_emulator.wire_errors import error_answer, plain_text_answer, unknown_operation


@pytest.mark.parametrize(
    ("service", "form"),
    [
        ("ec2", "<Response><Errors><Error>{}</Error></Errors><RequestID>{}</RequestID></Response>"),
        ("s3", "<Error>{}<RequestId>{}</RequestId></Error>"),
        ("autoscaling", "<ErrorResponse><Error>{}</Error><RequestId>{}</RequestId></ErrorResponse>"),
        ("iam", "<ErrorResponse><Error>{}</Error><RequestId>{}</RequestId></ErrorResponse>"),
    ],
)
def test_xml_forms(service: str, form: str) -> None:
    """With code, message and request id, whatever is in the message."""
    answer = error_answer(service, 403, "AccessDenied", "a < b")
    identity = answer.header("x-amzn-requestid")
    assert answer.status == "403 AccessDenied"
    assert answer.body.decode() == form.format("<Code>AccessDenied</Code><Message>a &lt; b</Message>", identity)


@pytest.mark.parametrize(
    ("service", "body"),
    [("imagebuilder", {"message": "no"}), ("ssm", {"__type": "Oops", "message": "no"})],
)
def test_json_forms(service: str, body: dict[str, str]) -> None:
    """The code is in a header where it is not in the body."""
    answer = error_answer(service, 400, "Oops", "no")
    assert json.loads(answer.body) == body
    assert answer.header("x-amzn-errortype") == "Oops"


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_a_form(service: str) -> None:
    """Of errors, and of an operation that it does not have."""
    assert error_answer(service, 500, "InternalError", "no").body
    assert unknown_operation(service, "GetPicture").status.startswith("40")


def test_plain_text_has_neither_code_nor_request_id() -> None:
    """As a front end answers."""
    answer = plain_text_answer(502)
    assert (answer.status, answer.header("content-type")) == ("502 Service Unavailable", "text/plain")
    assert answer.header("x-amzn-requestid") is None
