"""The program that an engine runs: it prints the port that it listens on, and serves until the engine has ended."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal

import grpc.aio
from pulumi.runtime.proto import provider_pb2_grpc

from .servicer import Servicer

_MAX_MESSAGE = 400 * 1024 * 1024
"""Bytes, as Pulumi's own: the state of a fleet of thousands is one message."""

_GRACE = 2.0
"""Seconds in which answers to what was cancelled by a signal are still sent. An engine ends its plugins by SIGINT."""


async def _serve(address: str | None) -> None:
    limits = [(f"grpc.max_{way}_message_length", _MAX_MESSAGE) for way in ("receive", "send")]
    server = grpc.aio.server(options=limits)
    servicer = Servicer(address)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stopped = asyncio.Event()
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        # Not on Windows, where the process ends at once: the next run finds what was started.
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal_, stopped.set)
    print(port, flush=True)
    await stopped.wait()
    servicer.cancel()
    await server.stop(_GRACE)


def main() -> None:
    """Serve the engine whose address is the first argument."""
    parser = argparse.ArgumentParser(
        prog="pulumi-resource-imagebuilder", description="The Pulumi provider of EC2 Image Builder lifecycle states."
    )
    parser.add_argument("engine", nargs="?", help="the engine's address, host:port; an engine gives it")
    address = parser.parse_known_args()[0].engine
    asyncio.run(_serve(address))


if __name__ == "__main__":
    main()
