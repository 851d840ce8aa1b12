"""As many random histories as a minute allows, other ones each time; a failure prints the seed that repeats it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_random_histories_keep_all_invariants() -> None:
    """What is declared is done once and not undone, whatever goes wrong meanwhile."""
    command = [sys.executable, "-m", "tests.simulation", "--seconds", "60", "--processes", "1"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=900)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
