"""How large a process becomes."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

_PROVIDER = b"pulumi.dynamic"


class Memory:
    """Looks, while it is entered, how large the provider's process becomes.

    Args:
        home: Pulumi's home in the run that is looked at: what tells its processes from others.
    """

    def __init__(self, home: str) -> None:
        self.most = 0.0
        self._home = f"PULUMI_HOME={home}".encode()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            for process in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    if _PROVIDER in (process / "cmdline").read_bytes() and self._home in (
                        process / "environ"
                    ).read_bytes().split(b"\0"):
                        self.most = max(self.most, _largest((process / "status").read_text(encoding="utf-8")))


def _largest(status: str) -> float:
    """MB of memory that a process has had at most, from its status."""
    return next((int(line.split()[1]) / 1000 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)
