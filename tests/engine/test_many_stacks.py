"""The example that runs four stacks side by side."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imagebuilder_emulator.emulator import Emulator

from tools.workspace import ROOT, environment

EXAMPLE = ROOT / "examples" / "many-stacks"
REGIONS = {
    "staging-us": "us-east-1",
    "staging-eu": "eu-west-1",
    "production-us": "us-west-2",
    "production-eu": "eu-central-1",
}


def test_four_stacks_side_by_side(tmp_path: Path, until: Callable[..., Any]) -> None:
    """All four are at work before any has ended; the one that fails is named, and the others are done."""
    with Emulator(EXAMPLE / "seed.yaml", execution_time="1s") as emulator:
        emulator.faults.add("execution fail region=eu-west-1 reason=broken")
        (hanging,) = emulator.faults.add("execution hang image=*")
        command = [sys.executable, EXAMPLE / "everywhere.py"]
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment(tmp_path, emulator.url), stdout=subprocess.PIPE, text=True
        ) as run:
            until(lambda: emulator.requests.counts().get("imagebuilder:StartResourceStateUpdate") == len(REGIONS))
            assert emulator.faults.remove(hanging)
            told, _ = run.communicate(timeout=120)
        lines = dict(line.split(": ", 1) for line in told.splitlines())
        assert run.returncode == 1
        assert lines.keys() == REGIONS.keys()
        for stack, region in REGIONS.items():
            (execution,) = emulator.client("imagebuilder", region).list_lifecycle_executions(
                resourceArn=f"arn:aws:imagebuilder:{region}:123456789012:image/web/1.0.0/1"
            )["lifecycleExecutions"]
            if stack == "staging-eu":
                assert f"lifecycle execution {execution['lifecycleExecutionId']} ended as FAILED" in lines[stack]
                assert execution["state"]["status"] == "FAILED"
            else:
                assert lines[stack] == execution["lifecycleExecutionId"]
                assert execution["state"]["status"] == "SUCCESS"
