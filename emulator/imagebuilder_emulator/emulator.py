"""The emulator put together: services, faults, request log and control side on one port."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3

from . import effects, saving, seed
from .clock import Clock, duration
from .control import Control
from .faults import Faults
from .gate import Gate
from .models import ImageBuilderBackend
from .requestlog import RequestLog
from .server import Application, Entrance
from .serving import Server


class Emulator:
    """EC2 Image Builder on this machine, in threads of this process; a context manager.

    moto keeps its state by process: there can be one at a time in each.

    Args:
        seed: what is there to begin with: a file, or what would be in it; nothing by default.
        execution_time: how long a lifecycle execution takes, and the build of an image: ``"5s"``, or a timedelta.
        faults: faults that are set from the start.
        state: a file that is loaded, if it is there, in place of the seed, and written at the end.
        port: the port on 127.0.0.1; 0, the default, takes a free one.

    Attributes:
        backend: Image Builder's images and executions.
        clock: the emulator's time; a test moves it.
        faults: what goes wrong.
        requests: what clients asked.

    Raises:
        ValueError: the seed, the state, a fault or the time cannot be used; the text says why.
        OSError: the port is taken, or a file cannot be read.
    """

    def __init__(
        self,
        seed: Path | str | Mapping[str, Any] | None = None,
        *,
        execution_time: timedelta | str = "5s",
        faults: Iterable[str] = (),
        state: Path | str | None = None,
        port: int = 0,
    ) -> None:
        self._seed = seed
        self._execution_time = execution_time if isinstance(execution_time, timedelta) else duration(execution_time)
        self._state = Path(state) if state else None
        self.clock, self.faults, self.requests = Clock(), Faults(), RequestLog()
        self.faults.add(*faults)
        self._application = Application(self._empty())
        if self._state and self._state.exists():
            self.load(_read(self._state))
        else:
            self._plant()
        gate = Gate(self._application, self.faults, self.requests, self.clock)
        self._server = Server(Entrance(gate, Control(self)), port, self.clock.now)

    @property
    def backend(self) -> ImageBuilderBackend:
        """Image Builder's state. While the emulator serves, hold `lock` to touch it."""
        return self._application.backend

    @property
    def lock(self) -> contextlib.AbstractContextManager[Any]:
        """Held while a request is being answered."""
        return self._application.lock

    @property
    def url(self) -> str:
        """Where it listens: the endpoint of all services."""
        return self._server.url

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """A boto3 client of one of its services."""
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id="emulator",
            aws_secret_access_key="emulator",  # noqa: S106 - any secret will do
        )

    def save(self) -> dict[str, Any]:
        """The state as a JSON document, as of now."""
        with self.lock:
            self.backend.advance()
            return saving.save(self.backend)

    def load(self, document: Mapping[str, Any]) -> None:
        """Replace the state by a saved one; faults and the request log stay.

        Raises:
            ValueError: it is no saved state; the state is empty then.
        """
        with self.lock:
            self._application.backend = self._empty()
            saving.load(document, self.backend)

    def reset(self) -> None:
        """Go back to the seed and to real time, without faults and with an empty request log."""
        with self.lock:
            self.faults.clear()
            self.requests.clear()
            self.clock.restore(timedelta(0))
            self._application.backend = self._empty()
            self._plant()

    def __enter__(self) -> Emulator:
        """Begin to serve."""
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving, let go what faults hold back, and write the state file if there is one."""
        self.faults.clear()
        self._server.__exit__(kind, error, trace)
        if self._state:
            beside = self._state.with_name(f"{self._state.name}.new")
            beside.write_text(json.dumps(self.save(), indent=2) + "\n", encoding="utf-8")
            # Whoever reads the file finds the old one or the new one, never a part.
            os.replace(beside, self._state)

    def _empty(self) -> ImageBuilderBackend:
        effects.reset()
        return ImageBuilderBackend(self.clock, self._execution_time, self.faults)

    def _plant(self) -> None:
        if self._seed is not None:
            given = self._seed if isinstance(self._seed, Mapping) else seed.load(Path(self._seed))
            seed.plant(given, self.backend)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise saving.StateError(f"{path} is not valid JSON") from None
