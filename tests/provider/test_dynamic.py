"""The Pulumi side by itself: what each call asks of the host, and what the engine is told."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from pulumi.output import Unknown
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc
from pulumi_imagebuilder.dynamic import (
    FleetStateUpdateProvider,
    ImageCleanupProvider,
    ResourceStateUpdateProvider,
    digest,
    engine,
)
from pulumi_imagebuilder.rules import UNKNOWN

IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"
OTHER = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/5"
INPUTS: dict[str, Any] = {"resource_arn": IMAGE, "state": "DISABLED", "wait": True, "on_destroy": "retain"}
CLEANUP: dict[str, Any] = {"resource_arn": IMAGE, "execution_role": "ImageLifecycle"}


class Host:
    """Notes what it is asked, and answers as it was told to."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def ask(*arguments: Any) -> Any:
            self.asked.append(name)
            return self.answer

        return ask


def with_host(provider: type[Any], host: Host) -> Any:
    return type(provider.__name__, (provider,), {"_host": host, "_in_the_program": set()})()


def test_a_change_that_is_only_written_down() -> None:
    """Asks nothing, and keeps what was recorded of the update."""
    host = Host()
    olds = {**INPUTS, "image_state": "DISABLED", "status": "SUCCESS", "client_token": "pulumi-1", "left": "over"}
    outs = with_host(ResourceStateUpdateProvider, host).update(IMAGE, olds, {**INPUTS, "on_destroy": "cancel"}).outs
    assert host.asked == []
    assert outs["on_destroy"] == "cancel"
    assert (outs["image_state"], outs["status"], outs["client_token"]) == ("DISABLED", "SUCCESS", "pulumi-1")
    assert "left" not in outs


def test_a_change_that_is_carried_out() -> None:
    """Of the declaration, or of an image found elsewhere; of the token that was declared a digest is kept."""
    host = Host({"image_state": "DISABLED", "client_token": "asked-with"})
    provider = with_host(ResourceStateUpdateProvider, host)
    outs = provider.update(IMAGE, INPUTS, {**INPUTS, "client_token": "mine"}).outs
    assert (outs["client_token"], outs["__client_token"]) == ("asked-with", digest("mine"))
    provider.update(IMAGE, {**INPUTS, "__drift": "moved"}, INPUTS)
    assert host.asked == ["apply", "apply"]
    assert not provider.diff(IMAGE, outs, {**INPUTS, "client_token": "mine"}).changes
    assert provider.diff(IMAGE, outs, {**INPUTS, "client_token": "other"}).changes
    assert provider.diff(IMAGE, outs, {**INPUTS, "client_token": UNKNOWN}).changes
    assert provider.diff(IMAGE, outs, INPUTS).changes


def test_an_image_that_has_vanished() -> None:
    """Is gone from the stack as well."""
    assert with_host(ResourceStateUpdateProvider, Host(None)).read(IMAGE, INPUTS).id == ""
    assert with_host(ResourceStateUpdateProvider, Host({"image_state": "DISABLED"})).read(IMAGE, INPUTS).outs == {
        **INPUTS,
        "image_state": "DISABLED",
    }
    assert with_host(ImageCleanupProvider, Host(False)).read(IMAGE, CLEANUP).id == ""
    assert with_host(ImageCleanupProvider, Host(True)).read(IMAGE, CLEANUP).outs == CLEANUP


@pytest.mark.parametrize("provider", [ResourceStateUpdateProvider, FleetStateUpdateProvider])
def test_retain_asks_nothing(provider: type[Any]) -> None:
    """On destroy, by default."""
    host = Host()
    with_host(provider, host).delete(IMAGE, INPUTS)
    assert host.asked == []


@pytest.mark.parametrize("on_destroy", ["cancel", "restore"])
def test_other_ways_to_go(on_destroy: str) -> None:
    """Are the host's to carry out."""
    host = Host()
    with_host(ResourceStateUpdateProvider, host).delete(IMAGE, {**INPUTS, "on_destroy": on_destroy})
    assert host.asked == ["destroy"]


def test_a_clean_up_acts_when_it_goes_and_not_before() -> None:
    """Written down when it is created or changed; it deletes unless the program declares the same image still."""
    host = Host()
    provider = with_host(ImageCleanupProvider, host)
    created = provider.create(CLEANUP).outs
    changed = provider.update(IMAGE, created, {**CLEANUP, "execution_role": "Other"}).outs
    assert changed == {**created, "execution_role": "Other"}
    assert provider.diff(IMAGE, created, {**CLEANUP, "execution_role": "Other"}).changes
    assert provider.diff(IMAGE, created, {**CLEANUP, "resource_arn": OTHER}).replaces == ["resource_arn"]
    assert not provider.diff(IMAGE, created, CLEANUP).changes
    assert host.asked == []
    provider.delete(IMAGE, created)
    provider.check({}, CLEANUP)
    provider.delete(IMAGE, created)
    assert host.asked == ["clean_up", "leave"]


def test_an_image_that_a_preview_does_not_know_yet() -> None:
    """Is no image that the program declares a clean-up of."""
    host = Host()
    provider = with_host(ImageCleanupProvider, host)
    checked = provider.check({}, {**CLEANUP, "resource_arn": Unknown()})
    assert (checked.inputs["resource_arn"], checked.failures) == (UNKNOWN, [])
    provider.delete(IMAGE, CLEANUP)
    assert host.asked == ["clean_up"]


class Servicer(engine_pb2_grpc.EngineServicer):
    """An engine that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str, str, bool]] = []

    def Log(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        from google.protobuf import empty_pb2

        self.told.append((request.severity, request.urn, request.message, request.ephemeral))
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


def test_what_the_engine_is_told(listening: tuple[Servicer, str]) -> None:
    """Progress gives way to what comes after it; what is told, and warned of, stays."""
    servicer, address = listening
    live = engine.Engine(address)
    live.show("urn", "IN_PROGRESS 1s")
    live.tell("urn", "gone elsewhere")
    live.warn("urn", "left over")
    assert servicer.told == [
        (engine_pb2.INFO, "urn", "IN_PROGRESS 1s", True),
        (engine_pb2.INFO, "urn", "gone elsewhere", False),
        (engine_pb2.WARNING, "urn", "left over", False),
    ]


@pytest.mark.parametrize("address", [None, "127.0.0.1:9"])
def test_an_engine_that_does_not_listen(address: str | None) -> None:
    """Stops no work."""
    engine.Engine(address).show("urn", "IN_PROGRESS 1s")


def test_the_process_ends_soon_after_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that refuses to be spoken to is gone; one that is slow to answer is not."""
    tries: list[Any] = []

    def connect(address: Any, timeout: float) -> Any:
        tries.append(address)
        raise TimeoutError if len(tries) < 3 else ConnectionRefusedError

    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(engine, "_WATCH_INTERVAL", 0.001)
    monkeypatch.setattr(engine.socket, "create_connection", connect)
    monkeypatch.setattr(engine.os, "_exit", leave)
    engine.Engine(None).watch()
    assert tries == []
    with pytest.raises(SystemExit, match="1"):
        engine.Engine("127.0.0.1:9")._watch()
    assert tries == [("127.0.0.1", 9)] * 3
