"""As many random histories as a minute allows, other ones each time; `make simulate` tries new seeds."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SECONDS = 60

TRIED = range(40_000_000, 40_090_000)
"""Seeds that passed, as did the 10,000 after the last: a failure comes from a recent change."""


def test_histories_keep_all_invariants(record_property: Callable[[str, object], None]) -> None:
    """What is declared is done once and not undone, whatever goes wrong meanwhile."""
    seed = random.SystemRandom().choice(TRIED)
    command = [sys.executable, "-m", "tests.simulation", "--seconds", str(SECONDS), "--processes", "1"]
    done = subprocess.run(
        [*command, "--seed", str(seed)], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS + 600
    )
    record_property("simulation", f"seed {seed}: {(done.stdout.splitlines() or [done.stderr])[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr
