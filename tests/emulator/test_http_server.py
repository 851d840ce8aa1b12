"""The HTTP server below the services: connections that stay, bodies of all kinds, and an end that ends them."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from imagebuilder_emulator.http_server import Server


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with the method and the body; some paths are special."""
    if environ["PATH_INFO"] == "/broken":
        raise RuntimeError("a mistake in the emulator")
    if environ["PATH_INFO"] == "/unread":
        start_response("403 Forbidden", [])
        return [b"no"]
    start_response("204 No Content" if environ["PATH_INFO"] == "/nothing" else "200 OK", [("X-Path", "ok")])
    return [environ["REQUEST_METHOD"].encode(), b" ", environ["wsgi.input"].read()]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(app, 0, lambda: datetime(2031, 1, 2, tzinfo=UTC)) as running:
        yield running


@pytest.fixture
def connection(server: Server) -> Iterator[http.client.HTTPConnection]:
    made = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), timeout=20)
    yield made
    made.close()


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, **more: Any) -> Any:
    connection.request(method, path, body, **more)
    answer = connection.getresponse()
    return answer.status, answer.read(), answer


def test_one_connection_serves_many_requests(connection: http.client.HTTPConnection) -> None:
    """With and without bodies, read by the application or not: the next request begins where it should."""
    assert ask(connection, "POST", "/", b"x" * 100_000)[1] == b"POST " + b"x" * 100_000
    used = connection.sock
    assert ask(connection, "PUT", "/unread", b"not read by the application")[:2] == (403, b"no")
    assert ask(connection, "POST", "/", iter([b"in ", b"chunks"]), encode_chunked=True)[1] == b"POST in chunks"
    assert ask(connection, "HEAD", "/")[:2] == (200, b"")
    status, body, answer = ask(connection, "DELETE", "/nothing")
    assert (status, body, answer.headers["Content-Length"]) == (204, b"", None)
    assert ask(connection, "POST", "/", b"more", headers={"Expect": "100-continue"})[1] == b"POST more"
    assert connection.sock is used


def test_an_answer_is_dated_by_the_emulators_clock(connection: http.client.HTTPConnection) -> None:
    """Clients take the service's time from it."""
    assert ask(connection, "GET", "/")[2].headers["Date"] == "Thu, 02 Jan 2031 00:00:00 GMT"


def test_a_mistake_in_the_emulator_is_told(
    connection: http.client.HTTPConnection, capfd: pytest.CaptureFixture[str]
) -> None:
    """The client gets a 500, whoever runs the emulator the traceback."""
    assert ask(connection, "GET", "/broken")[:2] == (500, b"The emulator failed; its output says how\n")
    assert "RuntimeError: a mistake in the emulator" in capfd.readouterr().err


def test_a_length_that_is_none_ends_the_connection(connection: http.client.HTTPConnection) -> None:
    """There is no telling where the next request would begin."""
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        ask(connection, "POST", "/", b"x", headers={"Content-Length": "some"})


def test_the_end_ends_connections_that_clients_keep() -> None:
    """A client that kept one must not be answered by an emulator that has ended."""
    with Server(app, 0, lambda: datetime.now(UTC)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), timeout=20)
        ask(connection, "GET", "/")
        kept: socket.socket = connection.sock
    assert kept.recv(1) == b""
    connection.close()
