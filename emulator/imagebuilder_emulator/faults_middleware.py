"""WSGI middleware that logs every AWS request and disturbs it as the faults say."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from .clock import Clock
from .faults import AWAY, BROKEN, THROTTLED, Fault, Faults, error_statuses
from .requestlog import Request, RequestLog
from .urls import SERVICE, identify, service_of
from .wire_errors import error_answer, plain_text_answer
from .wsgi import Answer, call_wsgi

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_MESSAGES = {THROTTLED: "Rate exceeded", BROKEN: "An internal error occurred", AWAY: "The service is unavailable"}
_QUERY_ERRORS = {THROTTLED: (400, "Throttling"), BROKEN: (500, "InternalFailure"), AWAY: (503, "ServiceUnavailable")}
_ELSEWHERE: dict[str, dict[str, tuple[int, str]]] = {
    "ec2": {THROTTLED: (503, "RequestLimitExceeded"), BROKEN: (500, "InternalError"), AWAY: (503, "Unavailable")},
    "ecr": {
        THROTTLED: (400, "ThrottlingException"),
        BROKEN: (500, "ServerException"),
        AWAY: (503, "ServiceUnavailableException"),
    },
    "s3": {THROTTLED: (503, "SlowDown"), BROKEN: (500, "InternalError"), AWAY: (503, "ServiceUnavailable")},
    "ssm": {
        THROTTLED: (400, "ThrottlingException"),
        BROKEN: (500, "InternalServerError"),
        AWAY: (503, "ServiceUnavailableException"),
    },
}
"""The same three errors as other services call them; IAM, STS and Auto Scaling as `_QUERY_ERRORS`."""
ENDINGS = {"error", "plain-text", "drop-request", "stall"}


class ConnectionDropped(ConnectionAbortedError):
    """The client gets no answer; werkzeug ends a request without a traceback on errors of this kind."""


class FaultMiddleware:
    """WSGI middleware around the AWS services.

    Args:
        app: the services.
    """

    def __init__(self, app: WSGIApplication, faults: Faults, log: RequestLog, clock: Clock) -> None:
        self._app, self._faults, self._log, self._clock = app, faults, log, clock

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Log the request, pass it on or disturb it, and log how it ended.

        Raises:
            ConnectionDropped: a fault wants the client to get no answer.
        """
        body = _body(environ)
        service, operation = identify(environ, body)
        # Other services' parameters may be secrets: an identity for STS, a signature in the query for S3.
        query, noted = (environ.get("QUERY_STRING", ""), body) if service == SERVICE else ("", b"")
        client = f"{environ.get('REMOTE_ADDR', '')}:{environ.get('REMOTE_PORT', '')}"
        signed = service_of(environ.get("HTTP_AUTHORIZATION", ""))
        region = signed[1] if signed else ""
        request = self._log.begin(self._clock.now(), service, operation, query, noted, client, region)
        begun = time.monotonic()
        try:
            answer = self._answer(request, environ)
            request.answered = True
        finally:
            request.seconds = round(time.monotonic() - begun, 6)
        start_response(answer.status, answer.headers)
        return [answer.body]

    def _answer(self, request: Request, environ: WSGIEnvironment) -> Answer:
        hits = self._faults.match(request.service, request.operation, request.region)
        request.faults = tuple(fault.text for fault in hits)
        for fault in hits:
            if fault.kind == "delay":
                fault.lifted.wait(fault.seconds)
        ending = next((fault for fault in hits if fault.kind in ENDINGS), None)
        answer = self._end(request, ending, environ) if ending else call_wsgi(self._app, environ)
        if ending is None and is_last_page(answer):
            last = self._faults.match(request.service, request.operation, request.region, last_page=True)
            request.faults += tuple(fault.text for fault in last)
            hits += last
            ending = next((fault for fault in last if fault.kind in ENDINGS), None)
            answer = self._end(request, ending, environ) if ending else answer
        request.status = int(answer.status.split()[0])
        request.request_id = answer.header("x-amzn-requestid")
        request.error = (answer.header("x-amzn-errortype") or "").partition(":")[0] or None
        if any(fault.kind == "drop-answer" for fault in hits):
            _drop(environ)
        return answer

    @staticmethod
    def _end(request: Request, fault: Fault, environ: WSGIEnvironment) -> Answer:
        """Return the error that a fault answers, or end the connection without an answer."""
        if fault.kind in {"drop-request", "stall"}:
            if fault.kind == "stall":
                fault.lifted.wait(fault.seconds)
            _drop(environ)
        return _error(request.service, fault)


def _body(environ: WSGIEnvironment) -> bytes:
    """Read the request's body, and put it back for the application inside."""
    length = environ.get("CONTENT_LENGTH")
    stream: Any = environ["wsgi.input"]
    body: bytes = stream.read() if environ.get("wsgi.input_terminated") else stream.read(int(length or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    return body


def _drop(environ: WSGIEnvironment) -> NoReturn:
    """End the connection without an answer."""
    connection: socket.socket | None = environ.get("werkzeug.socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionDropped


def error_of(service: str, fault: Fault) -> tuple[int, str, str]:
    """Return status, code and message of a fault's error, as the service calls it."""
    message = f"{_MESSAGES.get(fault.error, fault.error)} (fault set in the emulator: {fault.text})"
    own = None if service == SERVICE else _ELSEWHERE.get(service, _QUERY_ERRORS).get(fault.error)
    status, code = own or (error_statuses(service).get(fault.error, 400), fault.error)
    return fault.status or status, code, message


def _error(service: str, fault: Fault) -> Answer:
    """Return an error as the service would answer it."""
    if fault.kind == "plain-text":
        return plain_text_answer(fault.status)
    return error_answer(service, *error_of(service, fault))


def is_last_page(answer: Answer) -> bool:
    """Whether an answer names no page after it, in whatever case the service writes the token's name."""
    found = re.search(rb'<next(?:Token|PageMarker)>[^<]|"nextToken"\s*:\s*"', answer.body, re.IGNORECASE)
    return answer.status.startswith("200") and found is None
