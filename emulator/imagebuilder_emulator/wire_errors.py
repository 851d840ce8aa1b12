"""Errors in the form that each service's clients read, by the protocol in its model."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

import botocore.session

from .wsgi import Answer


def _xml(code: str, message: str) -> str:
    return f"<Code>{code}</Code><Message>{escape(message)}</Message>"


_FORMS: Mapping[str, tuple[str, Callable[[str, str, str], str]]] = {
    "rest-json": ("application/json", lambda code, message, identity: json.dumps({"message": message})),
    "json": (
        "application/x-amz-json-1.1",
        lambda code, message, identity: json.dumps({"__type": code, "message": message}),
    ),
    "ec2": (
        "text/xml",
        lambda code, message, identity: (
            f"<Response><Errors><Error>{_xml(code, message)}</Error></Errors>"
            f"<RequestID>{identity}</RequestID></Response>"
        ),
    ),
    "rest-xml": (
        "text/xml",
        lambda code, message, identity: f"<Error>{_xml(code, message)}<RequestId>{identity}</RequestId></Error>",
    ),
    "query": (
        "text/xml",
        lambda code, message, identity: (
            f"<ErrorResponse><Error>{_xml(code, message)}</Error><RequestId>{identity}</RequestId></ErrorResponse>"
        ),
    ),
}
"""Content type and body of an error, by protocol."""

_UNKNOWN_OPERATION = {"json": (400, "UnknownOperationException"), "rest-json": (404, "UnknownOperationException")}
_INVALID_ACTION = (400, "InvalidAction")


@functools.cache
def service_model(service: str) -> Any:
    """Return botocore's model of a service."""
    return botocore.session.get_session().get_service_model(service)


def error_answer(service: str, status: int, code: str, message: str) -> Answer:
    """Return an error as the service would answer it, with a request id."""
    identity = str(uuid.uuid4())
    content_type, form = _FORMS[service_model(service).metadata["protocol"]]
    body = form(code, message, identity).encode()
    headers = {"x-amzn-RequestId": identity, "x-amzn-errortype": code, "Content-Type": content_type}
    return Answer(f"{status} {code}", [*headers.items(), ("Content-Length", str(len(body)))], body)


def unknown_operation(service: str, operation: str) -> Answer:
    """Return what the service answers to an operation that it does not have."""
    status, code = _UNKNOWN_OPERATION.get(service_model(service).metadata["protocol"], _INVALID_ACTION)
    return error_answer(service, status, code, f"The action {operation} is not valid for this web service.")


def plain_text_answer(status: int) -> Answer:
    """Return what a front end answers that is away from its service: a line of text and no request id."""
    body = f"HTTP/1.1 {status} Service Unavailable\n".encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    return Answer(f"{status} Service Unavailable", headers, body)
