"""Show text on a resource's row of the Pulumi engine, and notice when the engine has ended."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

_WATCH_INTERVAL = 1.0
_ANSWER_TIMEOUT = 5.0


class Engine:
    """The engine at an address.

    Args:
        address: ``host:port``, the first argument of a provider's process; None where there is none.

    Attributes:
        address: as given.
    """

    def __init__(self, address: str | None) -> None:
        self.address = address
        self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address)) if address else None

    async def show(self, urn: str, text: str) -> None:
        """Show text on a resource's row until other text replaces it."""
        await asyncio.to_thread(self._log, engine_pb2.INFO, urn, text, ephemeral=True)

    async def info(self, urn: str, text: str) -> None:
        """Log text for a resource that is still there to be read when the run has ended."""
        await asyncio.to_thread(self._log, engine_pb2.INFO, urn, text)

    async def warn(self, urn: str, text: str) -> None:
        """Log a warning for a resource."""
        await asyncio.to_thread(self._log, engine_pb2.WARNING, urn, text)

    def _log(self, severity: engine_pb2.LogSeverity.ValueType, urn: str, text: str, *, ephemeral: bool = False) -> None:
        if self._stub is None:
            return
        request = engine_pb2.LogRequest(severity=severity, message=text, urn=urn, streamId=0, ephemeral=ephemeral)
        try:
            self._stub.Log(request, timeout=_ANSWER_TIMEOUT)
        except grpc.RpcError:
            # Text is a courtesy: an engine that is busy does not stop the work, and `watch` notices one that is gone.
            return

    def watch(self) -> None:
        """End this process soon after the engine has ended: from then on nothing it does could be recorded.

        Ending anywhere is safe: the next run finds what was started at the service.
        """
        if self.address:
            threading.Thread(target=self._watch, name="engine-watch", daemon=True).start()

    def _watch(self) -> None:
        assert self.address is not None
        name, _, port = self.address.rpartition(":")
        while True:
            time.sleep(_WATCH_INTERVAL)
            try:
                socket.create_connection((name, int(port)), timeout=_ANSWER_TIMEOUT).close()
            except ConnectionRefusedError:
                os._exit(1)
            except OSError:
                continue
