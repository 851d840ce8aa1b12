"""The HTTP server: threads of this process, one for each connection, which stays open from request to request."""

from __future__ import annotations

import contextlib
import io
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from werkzeug.serving import BaseWSGIServer, make_server

from .moto_backends import MotoRequestHandler

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

_STOPS_WITHIN = 0.02
"""Seconds."""


class _Handler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65_536

    def run_wsgi(self) -> None:
        """Answer a request. Werkzeug's own way closes the connection after each, which a fleet of clients feels."""
        if self.headers.get("Expect", "").lower().strip() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        environ = self.make_environ()
        begun: list[tuple[str, list[tuple[str, str]]]] = []
        written: list[bytes] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
            begun[:] = [(status, headers)]
            return written.append

        try:
            self._read_body(environ)
            written += self.server.app(environ, start_response)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
            return
        except Exception:
            # A mistake in the emulator itself: its output says what happened, and the client gets an answer.
            traceback.print_exc(file=sys.stderr)
            self.close_connection = True
            begun[:], written[:] = [("500 Internal Server Error", [])], [b"The emulator failed; its output says how\n"]
        self._answer(*begun[0], b"".join(written))

    def _read_body(self, environ: WSGIEnvironment) -> None:
        """Take all of the body off the connection, so that the next request begins where it should."""
        length, stream = environ.get("CONTENT_LENGTH") or "0", environ["wsgi.input"]
        if "wsgi.input_terminated" in environ:
            body = stream.read()
        elif length.isdecimal():
            body = stream.read(int(length))
        else:
            raise ConnectionAbortedError(f"Content-Length: {length}")
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))

    def _answer(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        bare = self.command == "HEAD" or code in {"204", "304"}
        if not bare and not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if not bare:
            self.wfile.write(body)
        self.wfile.flush()

    def setup(self) -> None:
        """Begin a connection."""
        super().setup()
        self.server.connections.add(self.connection)  # type: ignore[attr-defined]

    def finish(self) -> None:
        """End a connection."""
        self.server.connections.discard(self.connection)  # type: ignore[attr-defined]
        with contextlib.suppress(ConnectionError):
            super().finish()

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the ``Date`` of an answer: clients take the service's time from it, and a test may have moved that."""
        now: Callable[[], datetime] = self.server.now  # type: ignore[attr-defined]
        return super().date_time_string(now().timestamp() if timestamp is None else timestamp)

    def log_request(self, *_: Any) -> None:
        """Print nothing: requests are in the request log."""


class Server:
    """The emulator's HTTP server on 127.0.0.1.

    Args:
        app: what to serve.
        port: the port; 0 takes a free one.
        now: the time that answers are dated with.
    """

    def __init__(self, app: WSGIApplication, port: int, now: Callable[[], datetime]) -> None:
        self._server: BaseWSGIServer = make_server("127.0.0.1", port, app, threaded=True, request_handler=_Handler)
        self._connections: set[socket.socket] = set()
        self._server.now, self._server.connections = now, self._connections  # type: ignore[attr-defined]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_STOPS_WITHIN,), name="emulator", daemon=True
        )

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Server:
        """Begin to serve."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving, free the port, and end the connections that clients keep open."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
