"""`make simulate`: random histories in simulated time.

    python -m tests.simulation [--histories N | --seconds N] [--seed S] [--processes N]

History number i of a run has the seed S + i, so a failing one is repeated by ``--histories 1 --seed …``, which the
output names. The last line has the figures; the exit code is 1 if an invariant was broken.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter

from .histories import History, generate
from .invariants import DUPLICATE, LOST, UNDONE
from .runner import chunks, run_all, simulator
from .shrinking import shrink
from .simulator import Report

_MAX_SHOWN = 5
"""How many failing histories are shrunk and shown; of the others the seed is enough."""

_REPORT_EVERY = 60.0
"""Seconds after which a line says how far it is."""


def main() -> int:
    """Run; return the exit code."""
    options = _parse_options()
    print(f"seed {options.seed}", flush=True)
    began = reported = time.monotonic()
    end = began + options.seconds if options.seconds else None
    figures: Counter[str] = Counter()
    failed: list[int] = []
    parts = chunks(options.seed, options.histories, end)
    for counted, seeds in run_all(parts, options.processes):
        figures.update(counted)
        for seed in seeds:
            failed.append(seed)
            if len(failed) <= _MAX_SHOWN:
                _show(seed)
            else:
                print(f"\nseed {seed}: python -m tests.simulation --histories 1 --seed {seed}", flush=True)
        if time.monotonic() - reported >= _REPORT_EVERY:
            reported = time.monotonic()
            print(f"  {round(reported - began)} s: {figures['histories']} histories, {len(failed)} failed", flush=True)
    figures["seconds"] = round(time.monotonic() - began)
    print(
        "{histories} histories, {kills} kills, {faults} faults, {executions} executions, {duplicate} duplicates, "
        "{lost} lost, {undone} undone, {seconds} s".format_map({name: figures[name] for name in _FIGURES})
    )
    return 1 if failed else 0


_FIGURES = ("histories", "kills", "faults", "executions", DUPLICATE, LOST, UNDONE, "seconds")


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description="Random histories in simulated time."
    )
    parser.add_argument("--histories", type=int, help="default: 1000, or as many as --seconds allows")
    parser.add_argument("--seconds", type=float, help="no more histories than this allows")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000_000))
    parser.add_argument(
        "--processes", type=int, default=_free_processors(), help="default: two on a machine that is free"
    )
    options = parser.parse_args()
    if options.histories is None and options.seconds is None:
        options.histories = 1000
    return options


def _free_processors() -> int:
    return 2 if (os.cpu_count() or 1) - os.getloadavg()[0] >= 1.5 else 1


def _show(seed: int) -> None:
    """Print a failing history, as small as it can be."""
    history = generate(seed)
    found = simulator().run(history).broken
    if found is None:
        print(f"seed {seed} failed once and does not fail again", flush=True)
        return

    def fails(candidate: History) -> bool:
        broken = simulator().run(candidate).broken
        return broken is not None and broken.invariant == found.invariant

    small = shrink(history, fails)
    report = simulator().run(small)
    print(f"\nseed {seed}: python -m tests.simulation --histories 1 --seed {seed}")
    print(describe(report), flush=True)


def describe(report: Report) -> str:
    """Return a history, what happened in it, and what was broken."""
    history = report.history
    lines = [
        f"  {'native' if history.native else 'dynamic'} provider, executions take {history.execution_time:g}s"
        f"{', variants ' + str(dict(history.variants)) if history.variants else ''}"
        f"{', denied ' + ', '.join(history.denied) if history.denied else ''}"
    ]
    lines += [f"  image {arn}: {about}" for arn, about in history.images.items()]
    for number, step in enumerate(history.steps, 1):
        lines.append(
            f"  run {number}: {step.command} of {step.stack} after {step.pause:g}s"
            f"{f', {step.kill}' if step.kill else ''}{''.join(f', {each}' for each in (*step.faults, *step.events))}"
        )
        lines += [f"    {each.name}: {dict(each.inputs)}" for each in step.program]
    lines += [f"  {line}" for line in report.log]
    if report.broken:
        lines.append(f"  BROKEN: {report.broken.invariant}: {report.broken.text}")
    return "\n".join(lines)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets of texts is part of what must be repeatable.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    sys.exit(main())
