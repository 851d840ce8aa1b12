"""Carries out many histories, in one process or several."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator

from .histories import generate
from .simulator import Simulator

_CHUNK = 25
"""How many histories a process takes at a time."""


def chunks(seed: int, histories: int | None, end: float | None) -> Iterator[range]:
    """Yield seeds, some at a time, until there are enough or time is over."""
    done = 0
    while (histories is None or done < histories) and (end is None or time.monotonic() < end):
        count = _CHUNK if histories is None else min(_CHUNK, histories - done)
        yield range(seed + done, seed + done + count)
        done += count


def run_all(parts: Iterator[range], processes: int) -> Iterator[tuple[Counter[str], list[int]]]:
    """Carry out the histories of seeds; yield figures and the seeds of those that failed."""
    if processes == 1:
        yield from map(run_chunk, parts)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        # A pool would draw all chunks at once, whatever the time.
        waiting = [pool.apply_async(run_chunk, (part,)) for _, part in zip(range(2 * processes), parts, strict=False)]
        while waiting:
            yield waiting.pop(0).get()
            waiting += [pool.apply_async(run_chunk, (part,)) for _, part in zip(range(1), parts, strict=False)]


_simulators: list[Simulator] = []


def simulator() -> Simulator:
    """Return the simulator of this process."""
    if not _simulators:
        _simulators.append(Simulator())
    return _simulators[0]


def run_chunk(seeds: range) -> tuple[Counter[str], list[int]]:
    """Carry out histories; return the figures and the seeds of those that failed."""
    figures: Counter[str] = Counter()
    failed = []
    for seed in seeds:
        report = simulator().run(generate(seed))
        figures.update(report.figures, histories=1)
        if report.broken:
            figures[report.broken.invariant] += 1
            failed.append(seed)
    return figures, failed
