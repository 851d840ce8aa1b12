"""An event loop in which no time passes while nothing is due: sleeping costs nothing, and everything is repeatable."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.SelectSelector):
    """Moves the loop's time on in place of waiting for it."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("the loop waits for something that will never happen")
        self.loop.now += timeout
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop with a time of its own, in seconds from 0; it runs no threads and opens no connections."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def run(work: Coroutine[Any, Any, T], loop: VirtualTimeLoop | None = None) -> T:
    """Run work in virtual time and return what it returns.

    Args:
        work: what to run.
        loop: the loop, where several runs are to share its time. Default: a new one.
    """
    used = loop or VirtualTimeLoop()
    try:
        return used.run_until_complete(work)
    finally:
        pending = asyncio.all_tasks(used)
        for task in pending:
            task.cancel()
        if pending:
            used.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        if loop is None:
            used.close()
