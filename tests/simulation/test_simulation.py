"""Random histories of seeds in which none breaks an invariant; `make simulate` tries other ones each time."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

HISTORIES, SEED = 1500, 1


def test_histories_keep_all_invariants() -> None:
    """What is declared is done once and not undone, whatever goes wrong meanwhile."""
    command = [sys.executable, "-m", "tests.simulation", "--histories", str(HISTORIES), "--seed", str(SEED)]
    done = subprocess.run(
        [*command, "--processes", "1"], cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=900
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
