"""What `pulumi up` costs by itself: of a resource that does nothing, the first time and unchanged, on both sides.

    python -m bench.unchanged [--times 5]

The stacks take turns, so that other load on the machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

from imagebuilder_emulator.emulator import Emulator

from bench import programs
from tools.workspace import Workspace

_ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
_SEED = {"roles": ["ImageLifecycle"], "images": [{"arn": _ARN, "amis": [{"region": "us-east-1"}]}]}
_CLEANUP = programs.CLEANUP.format(arns=[_ARN])
_WAYS = {
    "another dynamic resource": programs.NO_OP,
    "dynamic ImageCleanup": _CLEANUP,
    "native ImageCleanup": programs.on_native(_CLEANUP),
}


@dataclass(frozen=True)
class Startup:
    """Seconds that `pulumi up` takes of a resource that does nothing; medians.

    Args:
        way: what the resource is.
        first: when it is created.
        unchanged: when nothing has changed.
    """

    way: str
    first: float
    unchanged: float


def measure(times: int) -> list[Startup]:
    """Run new stacks of each way so many times.

    Raises:
        SystemExit: a run failed, changed what it was not to, or called AWS.
    """
    first: dict[str, list[float]] = {way: [] for way in _WAYS}
    unchanged: dict[str, list[float]] = {way: [] for way in _WAYS}
    kept = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with kept as folder, Emulator(_SEED, execution_time="1s") as emulator:
        for turn in range(times):
            for place, way in enumerate(_WAYS):
                stack = _stack(Path(folder) / f"{turn}-{place}", emulator, way)
                first[way].append(_up(stack))
                unchanged[way].append(_up(stack, "--expect-no-changes"))
        if calls := emulator.requests.counts():
            raise SystemExit(f"calls were made: {calls}")
    return [
        Startup(way, round(statistics.median(first[way]), 2), round(statistics.median(unchanged[way]), 2))
        for way in _WAYS
    ]


def describe(found: list[Startup]) -> str:
    """Return a sentence with all figures."""
    each = "; ".join(f"{way.way} {way.first:.1f} s, unchanged {way.unchanged:.1f} s" for way in found)
    return f"`pulumi up` of one resource that does nothing: {each}."


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="how often each stack is run")
    print(describe(measure(parser.parse_args().times)))
    return 0


def _stack(folder: Path, emulator: Emulator, way: str) -> Workspace:
    program = folder / "program"
    program.mkdir(parents=True)
    (program / "Pulumi.yaml").write_text("{name: unchanged, runtime: python}", encoding="utf-8")
    (program / "__main__.py").write_text(textwrap.dedent(_WAYS[way]), encoding="utf-8")
    return Workspace(program, folder, emulator.url, {})


def _up(stack: Workspace, *options: str) -> float:
    """Run the stack; how many seconds it took.

    Raises:
        SystemExit: it failed, or changed something that it was not to.
    """
    began = time.monotonic()
    done = stack.run("up", "--yes", "--skip-preview", "--non-interactive", *options)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return time.monotonic() - began


if __name__ == "__main__":
    raise SystemExit(main())
