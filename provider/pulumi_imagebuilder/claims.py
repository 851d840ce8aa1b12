"""Record which images the program declares in this run (claims): a claimed image is never undone.

An engine may run several provider processes at once, as for a resource that moves from the dynamic to the native
provider, or from one explicit provider to another: each writes what it has checked into a file of its own, which it
holds a lock on as long as it lives, and reads those of the others.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: each process knows its own declarations alone.
    fcntl = None  # type: ignore[assignment]

_QUIET, _MAX_QUIET_WAIT = 0.5, 5.0
"""Seconds without a new declaration after which no other one is expected, and the most seconds to wait for that."""


class Claims:
    """Records the images that the program declares in this run, in all of the engine's provider processes.

    Args:
        run: equal in all processes of a run, as the engine's address. Default: this process is the only one.
        folder: where the processes' files are. Default: a private folder in the system's one for temporary files.
        now: the time, in seconds; that of the processes' files.
    """

    def __init__(
        self, run: str | None = None, folder: Path | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self._now = now
        self._images: dict[str, dict[str, str | None]] = {}
        """By image, the URNs that declare it, each with the state that it declares."""
        self._last = -math.inf
        self._lock = threading.Lock()
        self._shared = _SharedFiles(run, folder) if run and fcntl else None

    def declare(self, urn: str, arns: Iterable[str], state: str | None = None) -> dict[str, tuple[str, str]]:
        """Record what a resource declares; the engine calls `check` for every resource first.

        Args:
            urn: the resource.
            arns: the images that it declares.
            state: the state that it declares them in. Default: none.

        Returns:
            By image that another resource declares in another state, that resource's URN and state.
        """
        arns, others = list(arns), {}
        with self._lock:
            for arn in arns:
                declared = self._images.setdefault(arn, {})
                declared[urn] = state
                for other, its_state in declared.items():
                    if state and its_state and its_state != state:
                        others[arn] = (other, its_state)
            self._last = self._now()
            if self._shared:
                self._shared.add(arns)
        return others

    async def unclaimed(self, arns: Iterable[str]) -> list[str]:
        """Return those images that no resource of the program declares.

        A resource that is replaced may be deleted while the program is still running: wait a moment for what other
        resources may still declare. Where none declares anything, as in a destroy, this returns at once.
        """
        end = self._now() + _MAX_QUIET_WAIT
        while self._now() < min(end, self._last_declared() + _QUIET):
            await asyncio.sleep(_QUIET / 5)
        claimed = self._images.keys() | (self._shared.images() if self._shared else set())
        return [arn for arn in arns if arn not in claimed]

    def _last_declared(self) -> float:
        return max(self._last, self._shared.last_declared() if self._shared else -math.inf)


class _SharedFiles:
    """Shares claims between the processes of a run, one file each; without files each process has its own alone."""

    def __init__(self, run: str, folder: Path | None) -> None:
        self._run = "".join(c if c.isalnum() else "-" for c in run)
        self._folder = folder or Path(tempfile.gettempdir()) / f"pulumi-imagebuilder-{os.getuid()}"
        self._own = self._folder / f"{self._run}.{os.getpid()}"
        self._file: int | None = None

    def add(self, arns: Iterable[str]) -> None:
        """Add images to this process's file."""
        try:
            if self._file is None:
                self._file = self._create()
            os.write(self._file, "".join(f"{json.dumps(arn)}\n" for arn in arns).encode())
        except OSError:
            return

    def images(self) -> set[str]:
        """Return the images that the run's other processes declare."""
        found: set[str] = set()
        for path in self._others():
            try:
                lines = path.read_text(encoding="utf-8").splitlines()
                found.update(json.loads(line) for line in lines)
            except (OSError, ValueError):
                # It has ended since, and its file with it; or it is about to write the rest of a line.
                continue
        return found

    def last_declared(self) -> float:
        """Return when another process of the run declared something last, in seconds since the epoch."""
        times = [-math.inf]
        for path in self._others():
            try:
                times.append(path.stat().st_mtime)
            except OSError:
                continue
        return max(times)

    def _create(self) -> int:
        """Return a new file that is locked before others can see it; remove those of processes that have ended."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        about = self._folder.lstat()
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o077:
            raise PermissionError(f"{self._folder} is not private")
        for path in self._folder.iterdir():
            if not path.name.startswith("new.") and not _is_alive(path):
                path.unlink(missing_ok=True)
        new = self._folder / f"new.{self._own.name}"
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        new.rename(self._own)
        return file

    def _others(self) -> Iterator[Path]:
        for path in self._folder.glob(f"{self._run}.*"):
            if path != self._own and _is_alive(path):
                yield path


def _is_alive(path: Path) -> bool:
    """Return whether the process that wrote a file still runs: only then is it locked."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False
