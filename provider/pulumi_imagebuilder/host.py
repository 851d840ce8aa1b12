"""Run tasks for one image or many: time limit, cancellation, progress on the row, errors."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

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
from .lifecycle.fleet import ImageTask, Results, RunContext, run_tasks
from .lifecycle.progress import STARTING, FleetProgress, Progress, group_failures
from .text import count

if TYPE_CHECKING:
    from .aws.service import Service

T = TypeVar("T")

DEFAULT_TIME_LIMIT = 3600.0
"""Seconds that each operation may take without ``custom_timeouts``."""

_SAME_COMMAND = {"delete", "read"}
"""Operations after which only the same command continues, not any `pulumi up`."""

_TICK = 1.0
"""The minimum of seconds between two lines of progress."""


@dataclass(frozen=True)
class Call:
    """The engine's request without the properties: operation, URN, time limit, preview.

    Args:
        operation: ``create``, ``update``, ``read``, ``delete``, ``check`` or ``diff``.
        urn: the resource's URN; empty if it is not known.
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
    """The results of tasks, and the error to report.

    Args:
        results: the result of each task.
        error: the error to report; None if there is none.
    """

    results: Results[T]
    error: ImageBuilderError | None


class Host:
    """Runs the tasks of a resource within its time limit, and shows their progress on its row.

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
    def context(self) -> RunContext:
        """What all resources of the run share; made at the first call, so that only calls need a valid configuration.

        Raises:
            ConfigurationError: the configuration cannot be used.
        """
        return RunContext(self._connect(), self._now)

    def cancel(self) -> None:
        """End every :meth:`run` and :meth:`look_up`, now and later, at once; executions continue at the service.

        To be called on the event loop of these calls.
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
        target: str = "",
        fleet: bool,
        schedule_key: str = "",
    ) -> Run[T]:
        """Run a task for each image, side by side.

        Args:
            call: the engine's call.
            tasks: the tasks by the image's ARN; without tasks no call is made.
            verb: what the tasks do, as messages say it: ``changing``.
            target: the rest of that, as `` to DISABLED``.
            fleet: whether the resource is a fleet.
            schedule_key: executions with the same key take about equally long and share a poll schedule.

        Returns:
            The results, also of tasks that were done when another one failed or the time limit passed.
        """
        results: Results[T] = Results()
        if not tasks:
            return Run(results, None)
        same_command = call.operation in _SAME_COMMAND
        action = f"{verb} {count(len(tasks), 'image')}{target}"
        whole = FleetProgress(action, same_command=same_command, now=self._now) if fleet else None
        for arn in tasks:
            results.progress[arn] = Progress(
                f"{verb} image {arn}{target}", same_command=same_command, now=self._now, fleet=whole
            )
        progress = whole or next(iter(results.progress.values()))
        limit = call.time_limit or DEFAULT_TIME_LIMIT
        try:
            async with self._deadline(limit):
                work = run_tasks(self.context, tasks, results, schedule_key=schedule_key, fleet=whole)
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
        return Run(results, _fleet_error(whole, results.failed) if whole else next(iter(results.failed.values())))

    async def look_up(self, action: str, work: Coroutine[Any, Any, T]) -> T:
        """Await work that reads and starts nothing; :meth:`cancel` ends it.

        Args:
            action: what the work does, for the error.
            work: the work, with a time limit of its own.

        Raises:
            Cancelled: the run was cancelled.
        """
        try:
            async with self._deadline(None):
                return await work
        except TimeoutError:
            if not self._cancelled:
                raise
            raise Cancelled("the run was cancelled", action=action, next_step="run the same command again") from None

    @contextlib.asynccontextmanager
    async def _deadline(self, limit: float | None) -> AsyncIterator[None]:
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
                if text := progress.changed_line():
                    await self.engine.show(urn, text)

        showing = asyncio.create_task(show())
        try:
            await work
        finally:
            showing.cancel()
        if progress.status != STARTING or isinstance(progress, FleetProgress):
            # The last line stays on the row, and must not read as if the resource were still under way.
            await self.engine.show(urn, progress.text())


def _add_context(error: ImageBuilderError, progress: Progress) -> ImageBuilderError:
    """Add to an error the execution that continues at the service."""
    if isinstance(error, ExecutionFailed | NotVerified | TimedOut) or not progress.execution_continues:
        return error
    error.reason = f"{error.reason}; lifecycle execution {progress.execution_id} was {progress.status} and continues"
    if isinstance(error, CredentialsError):
        error.next_step = (
            f"renew the credentials that the stack uses and run {progress.command} again, which continues to wait"
        )
    return error


def _fleet_error(progress: FleetProgress, failed: Mapping[str, ImageBuilderError]) -> ImageBuilderError:
    """Return the one error of a fleet: the counts, each reason with its images, and the next step."""
    permanent = all(isinstance(error, PermanentError) for error in failed.values())
    kind = FleetRefused if permanent else FleetFailed
    # The next step of a `ServiceError` is generic: use one only from errors raised before the call.
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
