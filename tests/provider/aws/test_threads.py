"""Threads for calls that block."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from pulumi_imagebuilder.aws.threads import DaemonThreads


def test_results_and_errors_are_handed_over() -> None:
    """As with the pools of the standard library."""
    threads = DaemonThreads(2)
    assert threads.submit(divmod, 7, 2).result(10) == (3, 1)
    assert threads.submit(int, "ff", base=16).result(10) == 255
    with pytest.raises(ZeroDivisionError):
        threads.submit(divmod, 7, 0).result(10)


def test_no_more_run_at_once_than_the_size() -> None:
    """Three of five run, all five end."""
    gate, running, most = threading.Event(), [], []

    def run() -> None:
        running.append(None)
        most.append(len(running))
        gate.wait(10)
        running.pop()

    threads = DaemonThreads(3)
    futures = [threads.submit(run) for _ in range(5)]
    gate.set()
    for future in futures:
        future.result(10)
    assert max(most) <= 3


def test_as_many_run_at_once_as_the_size() -> None:
    """A barrier that three must reach opens."""
    threads, barrier = DaemonThreads(3), threading.Barrier(3)
    for future in [threads.submit(barrier.wait, 10) for _ in range(3)]:
        future.result(10)
    assert not barrier.broken


def test_cancelled_before_its_turn_never_runs() -> None:
    """What waits for a thread is dropped with its task."""
    threads, gate, ran = DaemonThreads(1), threading.Event(), []
    first = threads.submit(gate.wait, 10)
    second = threads.submit(ran.append, "second")
    assert second.cancel()
    gate.set()
    first.result(10)
    threads.submit(ran.append, "third").result(10)
    assert ran == ["third"]


def test_the_process_ends_while_a_call_is_under_way() -> None:
    """The standard library's pool would be joined, and the process would wait for the call."""
    program = """
import threading
from pulumi_imagebuilder.aws.threads import DaemonThreads
started = threading.Event()
DaemonThreads(1).submit(lambda: (started.set(), threading.Event().wait()))
started.wait()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
