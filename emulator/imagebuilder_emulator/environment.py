"""The emulator without its server: services, clock, faults and request log, and how all of it is saved and reset."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from . import ec2_models, moto_backends, seed, state_file
from .clock import Clock, parse_duration
from .faults import Faults
from .models import ImageBuilderBackend
from .requestlog import RequestLog
from .variants import Variants


class Environment:
    """The services of one emulator with all that steers them.

    moto keeps its state by process: there can be one at a time in each.

    Args:
        seed: roles and images to begin with: a file, or what would be in it; nothing by default.
        execution_time: how long a lifecycle execution takes, and the build of an image: ``"5s"``, or a timedelta.
        faults: faults that are set from the start.
        variants: readings of what the documentation leaves open, by name; the documented ones by default.
        clock: the emulator's time; real time by default.

    Attributes:
        backend: Image Builder's images and executions. While the emulator serves, hold `lock` to touch it.
        clock: the emulator's time; a test moves it.
        faults: faults that are set.
        variants: the readings that are switched on.
        requests: log of the requests.
        lock: held while a request is answered: neither moto nor the backend is thread-safe.

    Raises:
        ValueError: the seed, a fault, a variant or the time cannot be used; the text says why.
        OSError: a file cannot be read.
    """

    backend: ImageBuilderBackend

    def __init__(
        self,
        seed: Path | str | Mapping[str, Any] | None = None,
        *,
        execution_time: timedelta | str = "5s",
        faults: Iterable[str] = (),
        variants: Mapping[str, str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._seed = seed
        self._execution_time = (
            execution_time if isinstance(execution_time, timedelta) else parse_duration(execution_time)
        )
        self.clock, self.faults, self.requests = clock or Clock(), Faults(), RequestLog()
        self.variants = Variants(variants)
        self.lock = threading.RLock()
        self.faults.add(*faults)
        self._empty()
        self._load_seed()

    def save(self) -> dict[str, Any]:
        """Return the state as a JSON document, as of now."""
        with self.lock:
            self.backend.advance()
            return state_file.save(self.backend)

    def load(self, document: Mapping[str, Any]) -> None:
        """Replace the state by a saved one; faults and the request log stay.

        Raises:
            ValueError: it is no saved state; the state is empty then.
        """
        with self.lock:
            self._empty()
            state_file.load(document, self.backend)

    def reset(self) -> None:
        """Go back to the seed, the time and the variants of the start, without faults and with an empty request log."""
        with self.lock:
            self.faults.clear()
            self.requests.clear()
            self.variants.reset()
            self.clock.restore(timedelta(0))
            self._empty()
            self._load_seed()

    def _empty(self) -> None:
        moto_backends.reset()
        ec2_models.use_clock(self.clock)
        self.backend = ImageBuilderBackend(self.clock, self._execution_time, self.faults, self.variants)

    def _load_seed(self) -> None:
        if self._seed is not None:
            content = self._seed if isinstance(self._seed, Mapping) else seed.read_seed(Path(self._seed))
            seed.load_seed(content, self.backend)
