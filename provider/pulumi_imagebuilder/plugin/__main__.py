"""The program that an engine runs: it prints the port that it listens on, and serves until the engine has ended."""

from __future__ import annotations

import argparse
import asyncio
import signal

import grpc.aio
from pulumi.runtime.proto import provider_pb2_grpc

from .servicer import Servicer

_MAX_MESSAGE = 400 * 1024 * 1024
"""Bytes, as Pulumi's own: the state of a fleet of thousands is one message."""


async def _serve(address: str | None) -> None:
    limits = [(f"grpc.max_{way}_message_length", _MAX_MESSAGE) for way in ("receive", "send")]
    server = grpc.aio.server(options=limits)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(address), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


def main() -> None:
    """Serve the engine whose address is the first argument."""
    parser = argparse.ArgumentParser(
        prog="pulumi-resource-imagebuilder", description="The Pulumi provider of EC2 Image Builder lifecycle states."
    )
    parser.add_argument("engine", nargs="?", help="the engine's address, host:port; an engine gives it")
    address = parser.parse_known_args()[0].engine
    # Ctrl-C is for the engine, which then calls Cancel: before that, there is nothing to be recorded.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_serve(address))


if __name__ == "__main__":
    main()
