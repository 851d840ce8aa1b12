"""Calls of WSGI applications to their end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment


@dataclass
class Answer:
    """What the application inside answered, or an error in its place."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header's value."""
        return next((value for key, value in self.headers if key.lower() == name), None)


def call_wsgi(app: WSGIApplication, environ: WSGIEnvironment) -> Answer:
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
