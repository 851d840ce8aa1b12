"""Text on a resource's row, and the end of the process with its engine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc
from pulumi_imagebuilder import engine


class Servicer(engine_pb2_grpc.EngineServicer):
    """An engine that keeps what is logged."""

    def __init__(self) -> None:
        self.logged: list[tuple[int, str, str, bool]] = []

    def Log(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        self.logged.append((request.severity, request.urn, request.message, request.ephemeral))
        return empty_pb2.Empty()


@pytest.fixture
def listening() -> Iterator[tuple[Servicer, str]]:
    """An engine, and its address."""
    servicer = Servicer()
    server = grpc.server(futures.ThreadPoolExecutor(1))
    engine_pb2_grpc.add_EngineServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_progress_gives_way_and_what_is_logged_stays(listening: tuple[Servicer, str]) -> None:
    servicer, address = listening

    async def log() -> None:
        live = engine.Engine(address)
        await live.show("urn", "IN_PROGRESS 1s")
        await live.info("urn", "moved elsewhere")
        await live.warn("urn", "left over")

    asyncio.run(log())
    assert servicer.logged == [
        (engine_pb2.INFO, "urn", "IN_PROGRESS 1s", True),
        (engine_pb2.INFO, "urn", "moved elsewhere", False),
        (engine_pb2.WARNING, "urn", "left over", False),
    ]


@pytest.mark.parametrize("address", [None, "127.0.0.1:9"])
def test_an_engine_that_does_not_listen_stops_no_work(address: str | None) -> None:
    found = engine.Engine(address)
    assert found.address == address
    asyncio.run(found.show("urn", "IN_PROGRESS 1s"))


def test_the_process_ends_soon_after_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that refuses to be spoken to is gone; one that is slow to answer is not."""
    tries: list[Any] = []
    pauses: list[float] = []

    class Connection:
        closed = False

        def close(self) -> None:
            tries.append("closed")

    def connect(address: Any, timeout: float) -> Any:
        tries.append((address, timeout))
        match len(tries):
            case 1:
                return Connection()
            case 3:
                raise TimeoutError
            case _:
                raise ConnectionRefusedError

    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(engine.time, "sleep", pauses.append)
    monkeypatch.setattr(engine.socket, "create_connection", connect)
    monkeypatch.setattr(engine.os, "_exit", leave)
    with pytest.raises(SystemExit, match="1"):
        engine.Engine("127.0.0.1:9")._watch()
    there = (("127.0.0.1", 9), 5.0)
    assert tries == [there, "closed", there, there]
    assert pauses == [1.0] * 3


def test_a_watch_is_kept_only_on_an_engine_with_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []

    class Thread:
        def __init__(self, *, target: Any, name: str, daemon: bool) -> None:
            started.append((target.__name__, daemon))

        def start(self) -> None:
            started.append("started")

    monkeypatch.setattr(engine.threading, "Thread", Thread)
    engine.Engine(None).watch()
    assert started == []
    engine.Engine("127.0.0.1:9").watch()
    assert started == [("_watch", True), "started"]
