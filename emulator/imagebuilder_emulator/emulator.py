"""The emulator put together: services, fault middleware, request log and control side on one port."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3

from .control import Control
from .environment import Environment
from .faults_middleware import FaultMiddleware
from .http_server import Server
from .server import Application, LocalOnlyRouter
from .state_file import StateError


class Emulator(Environment):
    """EC2 Image Builder on this machine, in threads of this process; a context manager.

    Attributes and methods of `Environment` are its own.

    Args:
        seed: roles and images to begin with: a file, or what would be in it; nothing by default.
        execution_time: how long a lifecycle execution takes, and the build of an image: ``"5s"``, or a timedelta.
        faults: faults that are set from the start.
        variants: readings of what the documentation leaves open, by name; the documented ones by default.
        state: a file that is loaded, if it is there, in place of the seed, and written at the end.
        port: the port on 127.0.0.1; 0, the default, takes a free one.

    Raises:
        ValueError: the seed, the state, a fault, a variant or the time cannot be used; the text says why.
        OSError: the port is taken, or a file cannot be read.
    """

    def __init__(
        self,
        seed: Path | str | Mapping[str, Any] | None = None,
        *,
        execution_time: timedelta | str = "5s",
        faults: Iterable[str] = (),
        variants: Mapping[str, str] | None = None,
        state: Path | str | None = None,
        port: int = 0,
    ) -> None:
        self._state = Path(state) if state else None
        saved = _read(self._state) if self._state and self._state.exists() else None
        super().__init__(
            seed if saved is None else None, execution_time=execution_time, faults=faults, variants=variants
        )
        if saved is not None:
            self.load(saved)
            self._seed = seed
        middleware = FaultMiddleware(Application(self), self.faults, self.requests, self.clock)
        self._server = Server(LocalOnlyRouter(middleware, Control(self)), port, self.clock.now)

    @property
    def url(self) -> str:
        """Where it listens: the endpoint of all services."""
        return self._server.url

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """Return a boto3 client of one of its services."""
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id="emulator",
            aws_secret_access_key="emulator",  # noqa: S106 - any secret will do
        )

    def __enter__(self) -> Emulator:
        """Begin to serve."""
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving, release requests that faults hold, and write the state file if there is one."""
        self.faults.clear()
        self._server.__exit__(kind, error, trace)
        if self._state:
            beside = self._state.with_name(f"{self._state.name}.new")
            beside.write_text(json.dumps(self.save(), indent=2) + "\n", encoding="utf-8")
            # A reader of the file finds the old one or the new one, never a part.
            os.replace(beside, self._state)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise StateError(f"{path} is not valid JSON") from None
