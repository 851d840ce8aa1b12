"""The provider's process: one event loop and one session for all resources of a run, time limits, claims, progress."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .aws import Service
from .claims import Claims
from .engine import Engine
from .errors import (
    Cancelled,
    CredentialsError,
    ExecutionFailed,
    FleetFailed,
    FleetRefused,
    ImageBuilderError,
    InUse,
    NotVerified,
    PermanentError,
    ServiceError,
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


@dataclass(frozen=True)
class Call:
    """What the engine says of one call beside the resource's properties.

    Args:
        operation: ``create``, ``update``, ``read``, ``delete``, ``check`` or ``diff``.
        urn: the resource's URN; empty where it is not known.
        time_limit: seconds, from ``custom_timeouts``. Default: 60 minutes.
        dry_run: whether the program runs in a preview.
    """

    operation: str
    urn: str = ""
    time_limit: float | None = None
    dry_run: bool = False

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.rpartition("::")[2]


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
        claims: the images that the program declares. Default: shared with the engine's other provider processes.

    Attributes:
        claims: as given.
        engine: as given.
    """

    def __init__(
        self,
        connect: Callable[[], Service],
        engine: Engine,
        *,
        now: Callable[[], float] = time.monotonic,
        claims: Claims | None = None,
    ) -> None:
        self._connect = connect
        self._now = now
        self.engine = engine
        self.claims = claims or Claims(engine.address)
        self._deadlines: set[asyncio.Timeout] = set()
        self._cancelled = False

    @functools.cached_property
    def session(self) -> Session:
        """What all resources share; made at the first call, so that a bad configuration does not stop what needs none.

        Raises:
            ConfigurationError: the configuration cannot be used.
        """
        return Session(self._connect(), self._now)

    def cancel(self) -> None:
        """End all that runs, and whatever is still to come, at once; executions continue at the service.

        To be called on the loop that runs it.
        """
        self._cancelled = True
        for deadline in self._deadlines:
            deadline.reschedule(0)

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
            async with self._deadline(limit):
                work = run_all(self.session, tasks, results, kind=f"{verb}{to}", fleet=whole)
                await self._show_while(work, progress, call.urn)
        except TimeoutError:
            if self._cancelled:
                reason, next_step = progress.describe_cancellation()
                return Run(results, Cancelled(reason, action=progress.action, next_step=next_step))
            reason, next_step = progress.describe_time_out(limit)
            return Run(results, TimedOut(reason, action=progress.action, next_step=next_step))
        except ImageBuilderError as error:
            return Run(results, error.with_action(progress.action))
        for arn, failure in results.failed.items():
            results.failed[arn] = _add_context(failure, results.progress[arn])
        if not results.failed:
            return Run(results, None)
        return Run(results, _describe_fleet(whole, results.failed) if whole else next(iter(results.failed.values())))

    @contextlib.asynccontextmanager
    async def _deadline(self, limit: float) -> AsyncIterator[None]:
        async with asyncio.timeout(0 if self._cancelled else limit) as deadline:
            self._deadlines.add(deadline)
            try:
                yield
            finally:
                self._deadlines.discard(deadline)

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
    # What the service refused says too little of what to do; what was refused before a call says all of it.
    refused = [each for each in failed.values() if isinstance(each, InUse | PermanentError)]
    steps = {each.next_step for each in refused if each.next_step and not isinstance(each, ServiceError)}
    only = "touches only what is not done"
    return kind(
        f"{progress.counts}; {group_failures(failed)}",
        action=progress.action,
        next_step=f"{steps.pop()}; the next run {only}"
        if len(steps) == 1
        else f"fix the cause and run {progress.command} again, which {only}",
    )


class LoopThread:
    """One event loop in a thread of its own, for callers that are not asynchronous."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="event-loop", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work on the loop and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
