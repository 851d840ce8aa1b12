"""`make faults`: for ten minutes, random changes of three images under random faults and kills.

In each round the program declares other states for some of the images, is run under faults and killed, a few times, and
then run undisturbed. After that each image must be as declared, each change must have one execution, and the record
must name it. Ends with figures, and with exit code 1 if anything was duplicated or lost.

    python tests/engine/random_faults.py [--minutes 10] [--seed NUMBER]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from imagebuilder_emulator.emulator import Emulator
from workspace import Workspace

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/{}/1.0.0/1"
NAMES = ("web", "api", "batch")
STATES = ("AVAILABLE", "DEPRECATED", "DISABLED")
SEED = {
    "roles": ["ImageLifecycle"],
    "images": [{"arn": ARN.format(name), "amis": [{"region": "us-east-1"}, {"region": "eu-west-1"}]} for name in NAMES],
}
FAULTS = (
    "* throttle rate={few} burst=2",
    "* throttle share={share} seed={seed}",
    "* 500 share={share} seed={seed}",
    "* 503 share={share} seed={seed}",
    "* drop-request share={share} seed={seed}",
    "* drop-answer share={share} seed={seed}",
    "StartResourceStateUpdate drop-answer first={few}",
    "StartResourceStateUpdate stall=60s nth={few}",
    "* delay=300ms share={share} seed={seed}",
    "execution hang image=*",
)
VICTIMS = ("engine", "engine", "provider", "nobody")
PROVIDER = "pulumi.dynamic"


class Run:
    """The stack, what it has declared so far, and the figures.

    Args:
        folder: where the program and the stack are kept.
        emulator: the local Image Builder.
        chance: where all randomness comes from.
    """

    def __init__(self, folder: Path, emulator: Emulator, chance: random.Random) -> None:
        self._emulator, self._chance = emulator, chance
        self._program = folder / "program"
        self._program.mkdir()
        (self._program / "Pulumi.yaml").write_text("{name: faults, runtime: python}")
        self._workspace = Workspace(self._program, folder, emulator.url, {})
        self._declared: dict[str, str] = {}
        self._changes: Counter[str] = Counter()
        self.figures = Counter({"runs": 0, "kills": 0, "faults": 0, "duplicates": 0, "lost": 0})

    def round(self) -> None:
        """Declare something else, disturb a few runs of it, and see that it comes true once."""
        for name in self._chance.sample(NAMES, self._chance.randint(1, len(NAMES))):
            states = [state for state in STATES if state != self._declared.get(name, "AVAILABLE")]
            self._declared[name] = self._chance.choice(states)
            self._changes[name] += 1
        self._write()
        for _ in range(self._chance.randint(1, 3)):
            self._disturbed()
        self._emulator.faults.clear()
        done = self._pulumi()
        if done.returncode != 0:
            raise AssertionError(f"an undisturbed `pulumi up` failed:\n{done.stdout}{done.stderr}")
        self._compare()

    def _write(self) -> None:
        lines = ["from pulumi_imagebuilder import ResourceStateUpdate"]
        for name, state in self._declared.items():
            lines.append(
                f"ResourceStateUpdate({name!r}, resource_arn={ARN.format(name)!r}, state={state!r},"
                " execution_role='ImageLifecycle', include_resources={'amis': True})"
            )
        (self._program / "__main__.py").write_text("\n".join(lines))

    def _pulumi(self) -> subprocess.CompletedProcess[str]:
        self.figures["runs"] += 1
        return self._workspace.run("up", "--yes", "--skip-preview", "--non-interactive")

    def _disturbed(self) -> None:
        """Run once under faults, and kill somebody after a while."""
        faults = [
            text.format(
                few=self._chance.randint(1, 4),
                share=round(self._chance.uniform(0.1, 0.5), 2),
                seed=self._chance.randint(1, 99),
            )
            for text in self._chance.sample(FAULTS, self._chance.randint(0, 2))
        ]
        self._emulator.faults.replace(*faults)
        victim, after = self._chance.choice(VICTIMS), self._chance.uniform(0.8, 4)
        self.figures["runs"] += 1
        with self._workspace.start("up", "--yes", "--skip-preview", "--non-interactive") as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=after)
            if process.returncode is None:
                self._kill(process, victim)
            # What holds back an answer for a minute would hold up the round.
            self.figures["faults"] += sum(fault.hits for fault in self._emulator.faults.all().values())
            self._emulator.faults.clear()
            process.communicate(timeout=120)
        self._workspace.run("cancel", "--yes", "--non-interactive")

    def _kill(self, process: subprocess.Popen[str], victim: str) -> None:
        if victim == "engine":
            os.killpg(process.pid, signal.SIGKILL)
            self.figures["kills"] += 1
        for pid in self.processes() if victim == "provider" else ():
            with contextlib.suppress(OSError):
                if PROVIDER in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode():
                    os.kill(pid, signal.SIGKILL)
                    self.figures["kills"] += 1

    def processes(self) -> list[int]:
        """The processes that work on this stack."""
        home = f"PULUMI_HOME={self._workspace.environment['PULUMI_HOME']}".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if home in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
        return found

    def _compare(self) -> None:
        """Each image is as declared, each change has one execution, and the record names the last."""
        client = self._emulator.client("imagebuilder")
        recorded = {
            each["inputs"]["resource_arn"]: each["outputs"]["lifecycle_execution_id"]
            for each in self._workspace.state()["deployment"]["resources"]
            if "dynamic" in each["type"]
        }
        for name, state in self._declared.items():
            arn = ARN.format(name)
            executions = client.list_lifecycle_executions(resourceArn=arn, maxResults=25)
            pages = [executions]
            while "nextToken" in pages[-1]:
                pages.append(
                    client.list_lifecycle_executions(resourceArn=arn, maxResults=25, nextToken=pages[-1]["nextToken"])
                )
            found: list[Any] = [each for page in pages for each in page["lifecycleExecutions"]]
            self.figures["duplicates"] += max(0, len(found) - self._changes[name])
            self.figures["lost"] += max(0, self._changes[name] - len(found))
            shown = client.get_image(imageBuildVersionArn=arn)["image"]["state"]["status"]
            if (shown, recorded[arn]) != (state, found[0]["lifecycleExecutionId"]):
                print(f"  {name}: declared {state}, is {shown}; recorded {recorded[arn]}", flush=True)
                self.figures["lost"] += 1
        self.figures["executions"] = len(self._emulator.backend.executions)


def main() -> int:
    """Run for the time asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="make faults", description="Random kills and faults, and what came of them.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randint(1, 1_000_000))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)
    end = time.monotonic() + options.minutes * 60
    with tempfile.TemporaryDirectory() as folder, Emulator(SEED, execution_time="1s") as emulator:
        run = Run(Path(folder), emulator, random.Random(options.seed))
        try:
            while time.monotonic() < end:
                run.round()
                print("  ".join(f"{name} {figure}" for name, figure in run.figures.items()), flush=True)
        finally:
            for pid in run.processes():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
    return 1 if run.figures["duplicates"] or run.figures["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
