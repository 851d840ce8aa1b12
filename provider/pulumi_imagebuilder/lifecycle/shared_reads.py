"""Read values that many tasks need with few calls: request coalescing, as a DataLoader does it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ..aws.answers import OnRetry
from ..errors import ImageBuilderError

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_First = TypeVar("_First")
_Second = TypeVar("_Second")

_WINDOW = 0.05
"""Seconds that a batch waits for more keys: much shorter than a call, long enough for tasks that start together."""


@dataclass(eq=False)
class _Batch(Generic[_Key]):
    since: float
    keys: dict[_Key, None] = field(default_factory=dict)
    began: float | None = None
    waiting: int = 0
    listeners: list[OnRetry] = field(default_factory=list)
    task: asyncio.Task[None] | None = None

    def notify(self, reason: str) -> None:
        for listener in self.listeners:
            listener(reason)


class SharedReads(Generic[_Key, _Value]):
    """Reads values by key: calls made within 50 ms share a batch, and values are kept.

    An error is a value too: it is kept for all keys of its batch, so that a thousand reads of a key that cannot be read
    make one call and not a thousand.

    Args:
        read: returns a value for each key. Its other arguments are the earliest time from which values that it takes
            from elsewhere may be, and what to call when a call is retried.
        clock: a monotonic clock, in seconds.
        sleep: waits, in seconds.
    """

    def __init__(
        self,
        read: Callable[[list[_Key], float, OnRetry], Awaitable[Mapping[_Key, _Value]]],
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._read = read
        self._clock = clock
        self._sleep = sleep
        self._values: dict[_Key, tuple[_Value | ImageBuilderError, float]] = {}
        self._batches: dict[_Key, _Batch[_Key]] = {}
        self._open: _Batch[_Key] | None = None

    def keep(self, key: _Key, value: _Value) -> None:
        """Keep a value that was read elsewhere, just now."""
        self._values[key] = value, self._clock()

    def peek(self, key: _Key) -> _Value | None:
        """Return the kept value of any age; None if there is none."""
        value, _ = self._values.get(key, (None, 0.0))
        return None if isinstance(value, ImageBuilderError) else value

    async def get(
        self, keys: Iterable[_Key], since: float, *, along_with: Iterable[_Key] = (), on_retry: OnRetry | None = None
    ) -> dict[_Key, _Value | ImageBuilderError]:
        """Return values that were read at ``since`` or later, or the error of reading them.

        Args:
            keys: the keys to read.
            since: a time of the clock.
            along_with: keys that will be read soon: they join a batch that has to be opened.
            on_retry: called with the reason when a call is retried.
        """
        wanted = list(dict.fromkeys(keys))
        while stale := [key for key in wanted if not self._is_fresh(key, since)]:
            for batch in self._assign(stale, along_with, since):
                await self._join(batch, on_retry)
        return {key: self._values[key][0] for key in wanted}

    def _is_fresh(self, key: _Key, since: float) -> bool:
        return key in self._values and self._values[key][1] >= since

    def _assign(self, keys: list[_Key], along_with: Iterable[_Key], since: float) -> list[_Batch[_Key]]:
        """Return the batches that read the keys: those under way that are young enough, and one that is still open."""
        batches: dict[_Batch[_Key], None] = {}
        missing = []
        for key in keys:
            batch = self._batches.get(key)
            if batch is not None and (batch.began is None or batch.began >= since):
                batch.since = max(batch.since, since)
                batches[batch] = None
            else:
                missing.append(key)
        if missing:
            if self._open is None:
                self._open = _Batch(since)
                self._open.task = asyncio.create_task(self._run(self._open))
            batch = self._open
            batch.since = max(batch.since, since)
            expected = (key for key in along_with if key not in self._batches and not self._is_fresh(key, since))
            for key in (*missing, *expected):
                batch.keys[key] = None
                self._batches[key] = batch
            batches[batch] = None
        return list(batches)

    async def _join(self, batch: _Batch[_Key], on_retry: OnRetry | None) -> None:
        assert batch.task is not None
        batch.waiting += 1
        if on_retry:
            batch.listeners.append(on_retry)
        try:
            await asyncio.shield(batch.task)
        finally:
            batch.waiting -= 1
            if on_retry:
                batch.listeners.remove(on_retry)
            if not batch.waiting:
                # Nothing waits for it any more; later calls must not join a batch that is about to be cancelled.
                self._forget(batch)
                batch.task.cancel()

    async def _run(self, batch: _Batch[_Key]) -> None:
        try:
            await self._sleep(_WINDOW)
            self._open = None
            batch.began = self._clock()
            keys = list(batch.keys)
            try:
                values = await self._read(keys, batch.since, batch.notify)
                self._values.update({key: (values[key], batch.began) for key in keys})
            except ImageBuilderError as error:
                self._values.update({key: (error, self._clock()) for key in keys})
        finally:
            self._forget(batch)

    def _forget(self, batch: _Batch[_Key]) -> None:
        if self._open is batch:
            self._open = None
        for key in batch.keys:
            if self._batches.get(key) is batch:
                del self._batches[key]


async def gather_or_cancel(tasks: Iterable[Awaitable[_Value]]) -> list[_Value]:
    """Run tasks side by side and return their results; if one fails, cancel the others and raise its error.

    Args:
        tasks: what to run.
    """
    futures = [asyncio.ensure_future(task) for task in tasks]
    try:
        return await asyncio.gather(*futures)
    finally:
        for future in futures:
            future.cancel()
        await asyncio.gather(*futures, return_exceptions=True)


async def gather_both(first: Awaitable[_First], second: Awaitable[_Second]) -> tuple[_First, _Second]:
    """Run two tasks side by side and return their results, as :func:`gather_or_cancel` does.

    Args:
        first: what to run.
        second: what to run beside it.
    """
    tasks: list[Awaitable[Any]] = [first, second]
    results = await gather_or_cancel(tasks)
    return results[0], results[1]
