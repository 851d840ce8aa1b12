"""The provider's process: one event loop and one session for all resources of a run, time limits, claims, progress."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .aws import Service
from .engine import Engine
from .errors import (
    CredentialsError,
    ExecutionFailed,
    FleetFailed,
    FleetRefused,
    ImageBuilderError,
    NotVerified,
    PermanentError,
    TimedOut,
)
from .lifecycle.fleet import ImageTask, Results, Session, run_all
from .lifecycle.progress import STARTING, FleetProgress, Progress, group_failures

T = TypeVar("T")

DEFAULT_TIME_LIMIT = 3600.0
"""Seconds that each operation may take without ``custom_timeouts``."""

_SAME_COMMAND = {"delete", "read"}
"""Operations that only the same command continues after an error."""

_TICK = 1.0
"""The least seconds between two lines of progress."""

_QUIET, _MAX_QUIET_WAIT = 0.5, 5.0
"""Seconds without a new declaration after which the program is taken to have none on its way, and the most to wait."""


@dataclass(frozen=True)
class Call:
    """What the engine says of one call beside the resource's properties.

    Args:
        operation: ``create``, ``update``, ``read``, ``delete``, ``check`` or ``diff``.
        urn: the resource's URN; empty where it is not known.
        time_limit: seconds, from ``custom_timeouts``. Default: 60 minutes.
    """

    operation: str
    urn: str = ""
    time_limit: float | None = None

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.rpartition("::")[2]


class Claims:
    """The images that the program declares in this run, by any resource: what it declares is never undone."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._images: set[str] = set()
        self._urns: set[str] = set()
        self._last = 0.0
        self._lock = threading.Lock()

    def declare(self, urn: str, arns: Iterable[str]) -> None:
        """Take in what a resource declares: the engine has every resource of a program checked, before all else."""
        with self._lock:
            self._urns.add(urn)
            self._images.update(arns)
            self._last = self._now()

    async def unclaimed(self, urn: str, arns: Iterable[str]) -> list[str]:
        """Return those of a resource's images that no resource of the program declares.

        A resource that is replaced may be deleted while the program is still running: then what other resources
        declare may be on its way, and is waited for a moment.
        """
        end = self._now() + _MAX_QUIET_WAIT
        while urn and urn in self._urns and self._now() < min(end, self._last + _QUIET):
            await asyncio.sleep(_QUIET / 5)
        return [arn for arn in arns if arn not in self._images]


@dataclass(frozen=True)
class Run(Generic[T]):
    """What came of tasks for one image or many.

    Args:
        results: what came of each.
        error: what to raise; None when all is well.
    """

    results: Results[T]
    error: ImageBuilderError | None


class Host:
    """Runs tasks for one image or many, inside their resource's time limit and shown on its row.

    Args:
        connect: returns the service that is called.
        engine: the engine that this process serves.
        now: a monotonic clock, in seconds.

    Attributes:
        claims: the images that the program declares.
        engine: as given.
    """

    def __init__(
        self, connect: Callable[[], Service], engine: Engine, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._connect = connect
        self._now = now
        self.engine = engine
        self.claims = Claims(now)

    @functools.cached_property
    def session(self) -> Session:
        """What all resources share; made at the first call, so that a bad configuration does not stop what needs none.

        Raises:
            ConfigurationError: the configuration cannot be used.
        """
        return Session(self._connect())

    async def run(
        self,
        call: Call,
        tasks: Mapping[str, ImageTask[T]],
        *,
        verb: str,
        to: str = "",
        fleet: bool,
    ) -> Run[T]:
        """Carry out a task for each of some images, side by side.

        Args:
            call: the engine's call.
            tasks: the tasks by the image's ARN; without any there is no call.
            verb: what they do, as ``changing``: those of one verb and target take about equally long.
            to: what to, as `` to DISABLED``.
            fleet: whether their resource is a fleet.

        Returns:
            What came of the tasks, also of those that were done when another one failed or time ran out.
        """
        results: Results[T] = Results()
        if not tasks:
            return Run(results, None)
        same_command = call.operation in _SAME_COMMAND
        counted = f"{len(tasks)} image{'s' if len(tasks) != 1 else ''}"
        whole = FleetProgress(f"{verb} {counted}{to}", same_command=same_command, now=self._now) if fleet else None
        for arn in tasks:
            results.progress[arn] = Progress(
                f"{verb} image {arn}{to}", same_command=same_command, now=self._now, fleet=whole
            )
        progress = whole or next(iter(results.progress.values()))
        limit = call.time_limit or DEFAULT_TIME_LIMIT
        try:
            async with asyncio.timeout(limit):
                work = run_all(self.session, tasks, results, kind=f"{verb}{to}", fleet=whole)
                await self._show_while(work, progress, call.urn)
        except TimeoutError:
            reason, next_step = progress.describe_time_out(limit)
            return Run(results, TimedOut(reason, action=progress.action, next_step=next_step))
        except ImageBuilderError as error:
            return Run(results, error.with_action(progress.action))
        for arn, failure in results.failed.items():
            results.failed[arn] = _add_context(failure, results.progress[arn])
        if not results.failed:
            return Run(results, None)
        return Run(results, _describe_fleet(whole, results.failed) if whole else next(iter(results.failed.values())))

    async def _show_while(self, work: Coroutine[Any, Any, None], progress: Progress, urn: str) -> None:
        async def show() -> None:
            while True:
                await asyncio.sleep(_TICK)
                if text := progress.news():
                    await self.engine.show(urn, text)

        showing = asyncio.create_task(show())
        try:
            await work
        finally:
            showing.cancel()
        if progress.status != STARTING or isinstance(progress, FleetProgress):
            # What stays on the row of a resource that is done must not read as if it were still under way.
            await self.engine.show(urn, progress.text())


def _add_context(error: ImageBuilderError, progress: Progress) -> ImageBuilderError:
    """Add to an error that ended the waiting what continues at the service."""
    if isinstance(error, ExecutionFailed | NotVerified | TimedOut) or not progress.execution_continues:
        return error
    error.reason = f"{error.reason}; lifecycle execution {progress.execution_id} was {progress.status} and continues"
    if isinstance(error, CredentialsError):
        error.next_step = (
            f"renew the credentials that the stack uses and run {progress.command} again, which continues to wait"
        )
    return error


def _describe_fleet(progress: FleetProgress, failed: Mapping[str, ImageBuilderError]) -> ImageBuilderError:
    permanent = all(isinstance(error, PermanentError) for error in failed.values())
    kind = FleetRefused if permanent else FleetFailed
    return kind(
        f"{progress.counts}; {group_failures(failed)}",
        action=progress.action,
        next_step=f"fix the cause and run {progress.command} again, which touches only what is not done",
    )


class LoopThread:
    """One event loop in a thread of its own, for callers that are not asynchronous."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="event-loop", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work on the loop and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
