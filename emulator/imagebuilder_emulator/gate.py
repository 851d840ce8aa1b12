"""What every AWS request passes on its way to the service: the request log, and the faults that are set."""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from .clock import Clock
from .faults import AWAY, BROKEN, THROTTLED, Fault, Faults, error_statuses
from .requestlog import Request, RequestLog
from .shapes import operations

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_SCOPE = re.compile(r"Credential=[^/]+/[^/]+/[^/]+/([\w-]+)/aws4_request")
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
    """The client gets no answer: werkzeug ends a request quietly on this and its like."""


@dataclass
class Answer:
    """What the application inside answered, or an error in its place."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """A header's value."""
        return next((value for key, value in self.headers if key.lower() == name), None)


class Gate:
    """WSGI middleware around the AWS services.

    Args:
        app: the services.
    """

    def __init__(self, app: WSGIApplication, faults: Faults, log: RequestLog, clock: Clock) -> None:
        self._app, self._faults, self._log, self._clock = app, faults, log, clock

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Note the request, let it pass or disturb it, and note how it ended.

        Raises:
            ConnectionDropped: a fault wants the client to get no answer.
        """
        body = _body(environ)
        service, operation, query = identify(environ, body)
        ours = service == "imagebuilder"
        # A presigned request carries its credentials in the query, and IAM and STS know of secrets in the body.
        shown = {name: value for name, value in query.items() if ours and not name.lower().startswith("x-amz-")}
        client = f"{environ.get('REMOTE_ADDR', '')}:{environ.get('REMOTE_PORT', '')}"
        request = self._log.begin(self._clock.now(), service, operation, shown, body if ours else b"", client)
        begun = time.monotonic()
        try:
            answer = self._answer(request, environ)
            request.answered = True
        finally:
            request.seconds = round(time.monotonic() - begun, 6)
        start_response(answer.status, answer.headers)
        return [answer.body]

    def _answer(self, request: Request, environ: WSGIEnvironment) -> Answer:
        hits = self._faults.strike(request.service, request.operation)
        request.faults = tuple(fault.text for fault in hits)
        for fault in hits:
            if fault.kind == "delay":
                fault.lifted.wait(fault.seconds)
        ending = next((fault for fault in hits if fault.kind in {"error", "drop-request", "stall"}), None)
        if ending is not None and ending.kind != "error":
            if ending.kind == "stall":
                ending.lifted.wait(ending.seconds)
            _drop(environ)
        answer = _error(request.service, ending) if ending else _call(self._app, environ)
        request.status = int(answer.status.split()[0])
        request.request_id = answer.header("x-amzn-requestid")
        request.error = (answer.header("x-amzn-errortype") or "").partition(":")[0] or None
        if any(fault.kind == "drop-answer" for fault in hits):
            _drop(environ)
        return answer


def identify(environ: WSGIEnvironment, body: bytes) -> tuple[str, str, dict[str, str]]:
    """A request's service, operation and query; the operation is the method and path where it is unknown."""
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION") or f"Credential={query.get('X-Amz-Credential', '')}")
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "/")
    # Unsigned requests are those to STS with an identity of the web, and those written by hand.
    service = scope[1] if scope else "sts" if path == "/" else "imagebuilder"
    if service == "imagebuilder":
        return service, _operation(method, path), query
    if service == "s3":
        return service, method, query
    target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    action = dict(parse_qsl(body.decode(errors="replace"))).get("Action") or query.get("Action")
    return service, target or action or f"{method} {path}", query


def _operation(method: str, path: str) -> str:
    """The operation of Image Builder that has this path, such as ``/GetImage`` or ``/tags/{resourceArn}``."""
    known = operations().get((method, path))
    if known is None:
        start = path[: path.find("/", 1) + 1]
        templates = ((verb, uri, found) for (verb, uri), found in operations().items() if "{" in uri)
        known = next(
            (found for verb, uri, found in templates if verb == method and uri.partition("{")[0] == start), None
        )
    return known.name if known is not None else f"{method} {path}"


def _body(environ: WSGIEnvironment) -> bytes:
    """Read the request's body, and put it back for the application inside."""
    length = environ.get("CONTENT_LENGTH")
    stream: Any = environ["wsgi.input"]
    body: bytes = stream.read() if environ.get("wsgi.input_terminated") else stream.read(int(length or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    return body


def _call(app: WSGIApplication, environ: WSGIEnvironment) -> Answer:
    """Call a WSGI application to its end, so that its answer can still be withheld."""
    written: list[bytes] = []
    begun: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
        begun[:] = [status, headers]
        return written.append

    chunks = app(environ, start_response)
    try:
        body = b"".join([*chunks])
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    return Answer(begun[0], begun[1], b"".join(written) + body)


def _drop(environ: WSGIEnvironment) -> NoReturn:
    """End the connection without an answer."""
    connection: socket.socket | None = environ.get("werkzeug.socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionDropped


def _error(service: str, fault: Fault) -> Answer:
    """An error as the service would answer it."""
    message = f"{_MESSAGES.get(fault.error, fault.error)} (fault set in the emulator: {fault.text})"
    identity = str(uuid.uuid4())
    status, code = _ELSEWHERE.get(service, _QUERY_ERRORS).get(fault.error, (0, ""))
    if service == "imagebuilder":
        status, code = error_statuses()[fault.error], fault.error
    headers = {"x-amzn-RequestId": identity, "x-amzn-errortype": code, "Content-Type": "text/xml"}
    inner = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
    if service in {"imagebuilder", "ecr"}:
        headers["Content-Type"] = "application/json"
        text = json.dumps({"message": message} if service == "imagebuilder" else {"__type": code, "message": message})
    elif service == "ec2":
        text = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>{identity}</RequestID></Response>"
    elif service == "s3":
        text = f"<Error>{inner}<RequestId>{identity}</RequestId></Error>"
    else:
        text = f"<ErrorResponse><Error>{inner}</Error><RequestId>{identity}</RequestId></ErrorResponse>"
    body = text.encode()
    return Answer(f"{status} {code}", [*headers.items(), ("Content-Length", str(len(body)))], body)
