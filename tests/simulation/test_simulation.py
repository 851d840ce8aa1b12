"""As many random histories as a minute allows, of new seeds each time; `make simulate` tries more."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SECONDS = 60


def test_histories_keep_all_invariants(record_property: Callable[[str, object], None]) -> None:
    """What is declared is done once and not undone, whatever goes wrong meanwhile."""
    command = [sys.executable, "-m", "tests.simulation", "--seconds", str(SECONDS), "--processes", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    seed, *_, figures = done.stdout.splitlines()
    record_property("simulation", f"{seed}: {figures}")
    assert done.returncode == 0, done.stdout + done.stderr
