"""What an unchanged `pulumi up` of one `ResourceStateUpdate` costs, beside one of a dynamic resource that does nothing.

    python bench/unchanged.py [--times 5]

The two stacks are run by turns, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import textwrap
import time
from pathlib import Path

from imagebuilder_emulator.emulator import Emulator

from bench import programs
from tools.workspace import Workspace

_ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
_SEED = {"roles": ["ImageLifecycle"], "images": [{"arn": _ARN, "amis": [{"region": "us-east-1"}]}]}
_WAYS = {"no-op dynamic resource": programs.NO_OP, "ResourceStateUpdate": programs.SINGLES.format(arns=[_ARN])}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="how often each stack is run")
    times: int = parser.parse_args().times
    kept = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with kept as folder, Emulator(_SEED, execution_time="1s") as emulator:
        stacks = {way: _stack(Path(folder) / str(place), emulator, way) for place, way in enumerate(_WAYS)}
        for stack in stacks.values():
            _up(stack)
        emulator.requests.clear()
        seconds: dict[str, list[float]] = {way: [] for way in _WAYS}
        for _ in range(times):
            for way, stack in stacks.items():
                seconds[way].append(_up(stack, "--expect-no-changes"))
        calls = sum(emulator.requests.counts().values())
    for way, each in seconds.items():
        print(f"unchanged `pulumi up` of a {way}: {statistics.median(each):.2f} s, the median of {times}")
    print(f"calls: {calls}")
    return 1 if calls else 0


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
