"""`make faults`: for ten minutes, random changes of three images under random faults and kills.

In each round the program declares other states for some of the images, or is destroyed, is run under faults and killed
a few times, and is then run undisturbed. After that each image must be as declared, each declared change must have been
started once, the record must name its execution, and the program must make no more calls: the invariants of
tests/simulation, which tries far more, in simulated time. Ends with figures, and with exit code 1 if anything was
duplicated or lost.

    python -m tests.engine.random_faults [--minutes 10] [--seed NUMBER]

The seed decides what is declared, disturbed and killed. When a kill comes is counted in calls, not in seconds, so that
it comes in the midst of the work on a slow machine too.
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

from imagebuilder_emulator.emulator import Emulator

from tools.workspace import Workspace

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/{}/1.0.0/1"
AMIS = "execution_role='ImageLifecycle', include_resources={'amis': True}"
NAMES = {"web": AMIS, "api": AMIS, "batch": ""}
"""The images, and what is declared of each beside its state: the last one is changed without executions."""
STATES = ("AVAILABLE", "DEPRECATED", "DISABLED")
SEED = {
    "roles": ["ImageLifecycle"],
    "images": [{"arn": ARN.format(name), "amis": [{"region": "us-east-1"}, {"region": "eu-west-1"}]} for name in NAMES],
}
START = "StartResourceStateUpdate"
FAULTS = (
    "* throttle rate={few} burst=2",
    "* throttle share={share} seed={seed}",
    "* 500 share={share} seed={seed}",
    "* 503 share={share} seed={seed}",
    "* drop-request share={share} seed={seed}",
    "* drop-answer share={share} seed={seed}",
    f"{START} drop-answer first={{few}}",
    f"{START} stall=60s nth={{few}}",
    "* delay=300ms share={share} seed={seed}",
    "execution hang image=*",
)
VICTIMS = ("engine", "engine", "provider", "nobody")
PROVIDER = "pulumi.dynamic"
PATIENCE = 300
"""Seconds that a run may take once nothing disturbs it any more."""


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
        self.workspace = Workspace(self._program, folder, emulator.url, {})
        self._declared: dict[str, str] = {}
        self._changes: Counter[str] = Counter()
        self._lives = 1
        self._taken: set[tuple[str, str]] = set()
        self.figures = Counter({"runs": 0, "kills": 0, "faults": 0, "executions": 0, "duplicates": 0, "lost": 0})

    def round(self) -> None:
        """Declare something else or begin anew, disturb a few runs, and see that all came true once."""
        if self._declared and self._chance.random() < 0.15:
            self._pulumi("destroy")
            self._lives += 1
        else:
            for name in self._chance.sample(list(NAMES), self._chance.randint(1, len(NAMES))):
                states = [state for state in STATES if state != self._declared.get(name, "AVAILABLE")]
                self._declared[name] = self._chance.choice(states)
                self._changes[name] += 1
        self._write()
        for _ in range(self._chance.randint(1, 3)):
            self._disturbed()
        self._pulumi("up")
        calls = self._calls()
        self._pulumi("up")
        if self._calls() != calls:
            self.figures["lost"] += 1
            print(f"  an unchanged program made {self._calls() - calls} calls")
        self._compare()

    def _write(self) -> None:
        lines = ["from pulumi_imagebuilder import ResourceStateUpdate"]
        for name, state in self._declared.items():
            lines.append(
                f"ResourceStateUpdate({name!r}, resource_arn={ARN.format(name)!r}, state={state!r}, {NAMES[name]})"
            )
        (self._program / "__main__.py").write_text("\n".join(lines))

    def _pulumi(self, command: str) -> None:
        """Run a command that nothing disturbs."""
        self.figures["runs"] += 1
        done = self.workspace.run(command, "--yes", "--skip-preview", "--non-interactive", limit=PATIENCE)
        if done.returncode != 0:
            raise AssertionError(f"an undisturbed `pulumi {command}` failed:\n{done.stdout}{done.stderr}")

    def _disturbed(self) -> None:
        """Run once under faults, and kill somebody after some calls."""
        faults = [
            text.format(
                few=self._chance.randint(1, 4),
                share=round(self._chance.uniform(0.1, 0.5), 2),
                seed=self._chance.randint(1, 99),
            )
            for text in self._chance.sample(FAULTS, self._chance.randint(0, 2))
        ]
        self._emulator.faults.replace(*faults)
        victim, calls = self._chance.choice(VICTIMS), self._calls() + self._chance.randint(0, 7)
        after = self._chance.uniform(0, 0.3)
        self.figures["runs"] += 1
        with self.workspace.start("up", "--yes", "--skip-preview", "--non-interactive") as process:
            until = time.monotonic() + PATIENCE
            while process.returncode is None and self._calls() < calls and time.monotonic() < until:
                _wait(process, 0.05)
            _wait(process, after)
            killed = process.returncode is None and self._kill(process, victim)
            self.figures["faults"] += sum(
                fault.hits or fault.kind == "hang" for fault in self._emulator.faults.all().values()
            )
            # What holds back an answer for a minute would hold up the round.
            self._emulator.faults.clear()
            out, err = process.communicate(timeout=PATIENCE)
        if process.returncode != 0 and not killed:
            raise AssertionError(f"`pulumi up` under the faults {faults} failed:\n{out}{err}")
        if killed and victim == "engine":
            self.workspace.run("cancel", "--yes", "--non-interactive")

    def _kill(self, process: subprocess.Popen[str], victim: str) -> bool:
        """Kill the engine with all that it started, or the provider alone; whether there was anything to kill."""
        if victim == "engine":
            os.killpg(process.pid, signal.SIGKILL)
            self.figures["kills"] += 1
            return True
        killed = False
        for pid in self.workspace.processes() if victim == "provider" else ():
            with contextlib.suppress(OSError):
                if PROVIDER in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode():
                    os.kill(pid, signal.SIGKILL)
                    self.figures["kills"] += 1
                    killed = True
        return killed

    def _calls(self) -> int:
        """How many calls of Image Builder have come in so far."""
        counts = self._emulator.requests.counts()
        return sum(count for name, count in counts.items() if name.startswith("imagebuilder:"))

    def _compare(self) -> None:
        """Each image is as declared, each change was started once, and the record names its execution."""
        recorded = {
            each["inputs"]["resource_arn"]: each["outputs"].get("lifecycle_execution_id")
            for each in self.workspace.state()["deployment"]["resources"]
            if "dynamic" in each["type"]
        }
        # A token that is asked with again starts nothing, so what counts is how many the service took.
        asked = [request for request in self._emulator.requests.all(START) if request.status == 200]
        self._taken |= {(each.parameters["resourceArn"], each.parameters["clientToken"]) for each in asked}
        self._emulator.requests.clear()
        started = Counter(arn for arn, _ in self._taken)
        with self._emulator.lock:
            self._emulator.backend.advance()
            executions = {arn: self._emulator.backend.store.executions_of(arn) for arn in recorded}
            shown = {arn: self._emulator.backend.images[arn].state for arn in recorded}
            self.figures["executions"] = len(self._emulator.backend.executions)
        for name, state in self._declared.items():
            arn, changes = ARN.format(name), self._changes[name]
            # Without an execution nothing tells a later life of the stack that it was asked before: it asks again.
            most = changes if NAMES[name] else changes + self._lives - 1
            self.figures["duplicates"] = max(self.figures["duplicates"], started[arn] - most)
            self.figures["lost"] = max(self.figures["lost"], changes - started[arn])
            last = executions[arn][0].id if executions[arn] else None
            if (shown[arn], recorded[arn]) != (state, last):
                self.figures["lost"] += 1
            if started[arn] not in range(changes, most + 1) or (shown[arn], recorded[arn]) != (state, last):
                told = {each.id: (each.target, each.status) for each in executions[arn]}
                print(f"  {name}: declared {state}, {changes} changes, {started[arn]} starts; is {shown[arn]}, {told}")


def _wait(process: subprocess.Popen[str], seconds: float) -> None:
    """Give a process some time, reading what it prints."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=seconds)


def main() -> int:
    """Run for the time asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="make faults", description="Random kills and faults, and what came of them.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randint(1, 1_000_000))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)
    end = time.monotonic() + options.minutes * 60
    # A process that was killed may still leave a file behind.
    kept = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with kept as folder, Emulator(SEED, execution_time="1s") as emulator:
        run = Run(Path(folder), emulator, random.Random(options.seed))
        try:
            while time.monotonic() < end:
                run.round()
                print("  ".join(f"{name} {figure}" for name, figure in run.figures.items()), flush=True)
        finally:
            for pid in run.workspace.processes():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
    return 1 if run.figures["duplicates"] or run.figures["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
