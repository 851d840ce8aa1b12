"""Tell how many of the branches in provider/ the measured tests ran; `make coverage` ends with it.

With Python 3.11 some that were run are counted as if they were not: tracers are not told of a coroutine that goes on
after an error was caught in another one that it waits for.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

WANTED = 95.0
"""Per cent."""


def main(report: Path) -> int:
    """Read coverage's JSON report; 1 if too few branches were run."""
    totals = json.loads(report.read_text(encoding="utf-8"))["totals"]
    run, there = totals["covered_branches"], totals["num_branches"]
    percent = 100 * run / there
    sys.stdout.write(f"{run} of {there} branches of provider/ were run: {percent:.1f} % (wanted: {WANTED:.0f} %)\n")
    return 0 if percent >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
