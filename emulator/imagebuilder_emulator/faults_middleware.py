"""WSGI middleware that logs every AWS request and disturbs it as the faults say."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import time
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from .clock import Clock
from .faults import AWAY, BROKEN, THROTTLED, Fault, Faults, error_statuses
from .requestlog import Request, RequestLog
from .urls import SERVICE, route, service_of
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
}
"""The same three errors as other services call them; IAM and STS as `_QUERY_ERRORS`."""


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
        request = self._log.begin(self._clock.now(), service, operation, query, noted, client)
        begun = time.monotonic()
        try:
            answer = self._answer(request, environ)
            request.answered = True
        finally:
            request.seconds = round(time.monotonic() - begun, 6)
        start_response(answer.status, answer.headers)
        return [answer.body]

    def _answer(self, request: Request, environ: WSGIEnvironment) -> Answer:
        hits = self._faults.match(request.service, request.operation)
        request.faults = tuple(fault.text for fault in hits)
        for fault in hits:
            if fault.kind == "delay":
                fault.lifted.wait(fault.seconds)
        ending = next((fault for fault in hits if fault.kind in {"error", "drop-request", "stall"}), None)
        if ending is not None and ending.kind != "error":
            if ending.kind == "stall":
                ending.lifted.wait(ending.seconds)
            _drop(environ)
        answer = _error(request.service, ending) if ending else call_wsgi(self._app, environ)
        request.status = int(answer.status.split()[0])
        request.request_id = answer.header("x-amzn-requestid")
        request.error = (answer.header("x-amzn-errortype") or "").partition(":")[0] or None
        if any(fault.kind == "drop-answer" for fault in hits):
            _drop(environ)
        return answer


def identify(environ: WSGIEnvironment, body: bytes) -> tuple[str, str]:
    """Return a request's service and operation; method and path for an operation that is unknown."""
    method, path, query = environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", "")
    signed = service_of(environ.get("HTTP_AUTHORIZATION", ""))
    action = dict(parse_qsl(body.decode(errors="replace")) or parse_qsl(query)).get("Action")
    # Unsigned are requests to STS with an identity of the web, and to S3 with the signature in the query.
    service = signed[0] if signed else "sts" if action else "s3"
    if service == SERVICE:
        operation, _ = route(method, path)
        return service, operation.name if operation else f"{method} {path}"
    if service == "s3":
        return service, method
    return service, environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2] or action or f"{method} {path}"


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
    return status, code, message


def _error(service: str, fault: Fault) -> Answer:
    """Return an error as the service would answer it."""
    status, code, message = error_of(service, fault)
    identity = str(uuid.uuid4())
    headers = {"x-amzn-RequestId": identity, "x-amzn-errortype": code, "Content-Type": "text/xml"}
    inner = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
    if service in {SERVICE, "ecr"}:
        headers["Content-Type"] = "application/json"
        text = json.dumps({"message": message} if service == SERVICE else {"__type": code, "message": message})
    elif service == "ec2":
        text = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>{identity}</RequestID></Response>"
    elif service == "s3":
        text = f"<Error>{inner}<RequestId>{identity}</RequestId></Error>"
    else:
        text = f"<ErrorResponse><Error>{inner}</Error><RequestId>{identity}</RequestId></ErrorResponse>"
    body = text.encode()
    return Answer(f"{status} {code}", [*headers.items(), ("Content-Length", str(len(body)))], body)
