"""Run blocking calls in threads: botocore blocks while it waits for answers and for its rate limit."""

from __future__ import annotations

import concurrent.futures
import queue
import threading
from collections.abc import Callable
from typing import Any


class DaemonThreads(concurrent.futures.Executor):
    """Run functions on at most so many threads, none of which keeps the process from ending.

    The standard library joins its pool at the end of the process: a call whose task was cancelled would delay that
    until its answer times out, or until the rate limit lets it start.

    Args:
        size: the most threads; each is started when it is first needed.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._queue: queue.SimpleQueue[tuple[concurrent.futures.Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._started = 0
        self._lock = threading.Lock()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """Run a function as soon as a thread is free; cancelled before that, it never runs."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._queue.put((future, lambda: function(*args, **kwargs)))
        with self._lock:
            if not self._idle.acquire(blocking=False) and self._started < self._size:
                self._started += 1
                threading.Thread(target=self._work, name=f"imagebuilder-{self._started}", daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            future, run = self._queue.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(run())
                except BaseException as error:
                    future.set_exception(error)
            # An idle thread must not keep the last answer alive.
            del future, run
            self._idle.release()
