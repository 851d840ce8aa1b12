"""One measurement: N images changed in one way, with the time, the calls, the memory and the state that it took."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench import programs
from bench.memory import Memory
from tools.workspace import ROOT, Workspace, emulator, environment

EXECUTION_TIME = 10
"""Seconds that a lifecycle execution takes."""

REGIONS = ("us-east-1", "us-west-2", "eu-west-1")
"""Where images have AMIs; in the first one alone unless it is said otherwise."""

_STEM = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0"
_UP = ("up", "--yes", "--skip-preview", "--non-interactive")


@dataclass(frozen=True)
class Result:
    """What was measured.

    Args:
        way: how the images were changed.
        images: how many.
        rate: how many requests a second the service let through; None for all.
        seconds: from the start of the command to its end.
        calls: requests to AWS.
        refused: how many of them were answered with 429.
        executions: lifecycle executions that were started.
        memory: MB of the provider's process at its largest; None where there is none.
        state: kB of the stack's state; None where there is none.
    """

    way: str
    images: int
    rate: int | None
    seconds: float
    calls: int
    refused: int
    executions: int
    memory: float | None = None
    state: float | None = None


@dataclass(frozen=True)
class Survey:
    """What it took to find out what uses AMIs.

    Args:
        images: how many images.
        amis: how many AMIs they have.
        calls: requests to AWS.
        seconds: how long it took.
    """

    images: int
    amis: int
    calls: int
    seconds: float


@dataclass(frozen=True)
class Interruption:
    """A run that was ended by Ctrl-C while it waited, and run again.

    Args:
        way: how the images were changed.
        images: how many were being waited for.
        seconds: from Ctrl-C to the end of the command.
        pending: operations that the state calls pending afterwards.
        executions: lifecycle executions in the end, after the second run.
    """

    way: str
    images: int
    seconds: float
    pending: int
    executions: int


class Service:
    """A local Image Builder with so many images, in a process of its own; a context manager.

    Args:
        images: how many builds there are.
        folder: where its seed is written.
        regions: where each of them has an AMI.
    """

    def __init__(self, images: int, folder: Path, regions: Sequence[str] = REGIONS[:1]) -> None:
        self.arns = [f"{_STEM}/{build}" for build in range(1, images + 1)]
        self._seed = folder / "seed.json"
        builds = [{"arn": arn, "amis": [{"region": region} for region in regions]} for arn in self.arns]
        self._seed.write_text(json.dumps({"roles": ["ImageLifecycle"], "images": builds}), encoding="utf-8")
        self._stack = contextlib.ExitStack()
        self.url = ""

    def __enter__(self) -> Service:
        """Start it."""
        self.url = self._stack.enter_context(emulator(self._seed, f"{EXECUTION_TIME}s"))
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._stack.close()

    def limit(self, rate: int) -> None:
        """Let so many requests a second through."""
        self._ask("faults", "POST", [f"* throttle rate={rate}"])

    def hang(self) -> None:
        """Let no execution end."""
        self._ask("faults", "POST", ["execution hang image=*"])

    def recover(self) -> None:
        """Let all requests through and executions end again."""
        self._ask("faults", "DELETE")

    def requests(self) -> list[dict[str, object]]:
        """What was asked."""
        return list(self._ask("requests"))

    def executions(self) -> int:
        """How many executions there are."""
        return len(self._ask("state")["executions"])

    def _ask(self, path: str, method: str = "GET", body: object = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the emulator's own address
            f"{self.url}/_emulator/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return json.load(answer)


def pulumi(
    way: str,
    program: str,
    images: int,
    *,
    rate: int | None = None,
    parallel: int | None = None,
    regions: Sequence[str] = REGIONS[:1],
) -> Result:
    """Run `pulumi up` of a program on a new stack.

    Args:
        way: what it is called.
        program: its text.
        images: how many.
        rate: how many requests a second the service lets through; None for all.
        parallel: `--parallel`, the resources that the engine works on at a time. Default: the engine's.
        regions: where each image has an AMI.

    Raises:
        RuntimeError: it did not succeed.
    """
    options = () if parallel is None else ("--parallel", str(parallel))
    with _service(images, rate, regions) as (service, folder):
        workspace = _workspace(program, service, folder)
        with Memory(workspace.environment["PULUMI_HOME"]) as memory:
            began = time.monotonic()
            done = workspace.run(*_UP, *options, limit=1800)
            seconds = time.monotonic() - began
        if done.returncode:
            raise RuntimeError(f"{way}, {images} images: {done.stdout}{done.stderr}")
        (state,) = (folder / "state" / ".pulumi" / "stacks").rglob("local.json")
        kept = state.stat().st_size / 1000
        return _result(way, images, rate, seconds, service, memory=memory.most, state=kept)


def killed(program: str, images: int, rate: int) -> tuple[int, int]:
    """`pulumi up`, killed with SIGKILL when half of the images are started, and run again.

    Returns:
        How many executions there were after the kill, and how many in the end.

    Raises:
        RuntimeError: the second run did not end well.
    """
    with _service(images, rate) as (service, folder):
        workspace = _workspace(program, service, folder)
        with workspace.start(*_UP) as run:
            while run.poll() is None and service.executions() < images // 2:
                time.sleep(0.2)
            os.killpg(run.pid, signal.SIGKILL)
            run.communicate()
        before = service.executions()
        workspace.run("cancel", "--yes", "--non-interactive")
        done = workspace.run(*_UP, limit=1800)
        if done.returncode:
            raise RuntimeError(f"after a kill: {done.stdout}{done.stderr}")
        return before, service.executions()


def interrupted(way: str, program: str, images: int, parallel: int) -> Interruption:
    """`pulumi up`, ended by Ctrl-C when all images are started and waited for, and run again.

    Args:
        way: what it is called.
        program: its text.
        images: how many.
        parallel: `--parallel` of both runs.

    Raises:
        RuntimeError: the second run did not end well.
    """
    with _service(images, None) as (service, folder):
        workspace = _workspace(program, service, folder)
        options = (*_UP, "--parallel", str(parallel))
        service.hang()
        with workspace.start(*options) as run:
            while run.poll() is None and not _is_waited_for(service, images):
                time.sleep(0.2)
            began = time.monotonic()
            run.send_signal(signal.SIGINT)
            run.communicate()
            seconds = time.monotonic() - began
        pending = len(workspace.state()["deployment"].get("pending_operations") or [])
        service.recover()
        done = workspace.run(*options, limit=1800)
        if done.returncode:
            raise RuntimeError(f"after Ctrl-C: {done.stdout}{done.stderr}")
        return Interruption(way, images, round(seconds, 2), pending, service.executions())


def _is_waited_for(service: Service, images: int) -> bool:
    operations = [each["operation"] for each in service.requests()]
    started = operations.count("StartResourceStateUpdate")
    return started >= images and "ListLifecycleExecutionResources" in operations


def survey(images: int) -> Survey:
    """Look for what uses the AMIs of images in three regions, in a process of its own as a run's provider does.

    Args:
        images: how many.

    Raises:
        RuntimeError: it did not end well.
    """
    with _service(images, None, REGIONS) as (service, folder):
        done = subprocess.run(
            [sys.executable, "-m", "bench.survey"],
            input="\n".join(service.arns),
            cwd=ROOT,
            env=environment(folder, service.url),
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"survey of {images} images: {done.stderr}")
        amis, seconds = done.stdout.split()
        return Survey(images, int(amis), len(service.requests()), round(float(seconds), 1))


def shell(way: str, images: int, aws: Path) -> Result:
    """The AWS CLI in a loop of the shell, eight images at a time.

    Args:
        way: what it is called.
        images: how many.
        aws: folder of the `aws` program.

    Raises:
        RuntimeError: it did not end well.
    """
    with _service(images, None) as (service, folder):
        around = environment(folder, service.url)
        around["PATH"] = os.pathsep.join([str(aws), around["PATH"]])
        began = time.monotonic()
        done = subprocess.run(
            ["xargs", "-P", "8", "-n", "1", "sh", "-c", textwrap.dedent(programs.SHELL), "sh"],  # noqa: S607
            input="\n".join(service.arns),
            env=around,
            text=True,
            capture_output=True,
            check=False,
        )
        seconds = time.monotonic() - began
        if done.returncode:
            raise RuntimeError(f"{way}, {images} images: {done.stdout}{done.stderr}")
        return _result(way, images, None, seconds, service)


@contextlib.contextmanager
def _service(images: int, rate: int | None, regions: Sequence[str] = REGIONS[:1]) -> Iterator[tuple[Service, Path]]:
    with tempfile.TemporaryDirectory(prefix="imagebuilder-bench-") as name:
        folder = Path(name)
        with Service(images, folder, regions) as service:
            if rate is not None:
                service.limit(rate)
            yield service, folder


def _workspace(program: str, service: Service, folder: Path) -> Workspace:
    """A new stack of a program."""
    source = folder / "program"
    source.mkdir()
    (source / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "bench", "runtime": "python"}), encoding="utf-8")
    text = textwrap.dedent(program)
    (source / "__main__.py").write_text(text.format(arns=service.arns) if "{arns}" in text else text, encoding="utf-8")
    return Workspace(source, folder, service.url, {})


def _result(
    way: str,
    images: int,
    rate: int | None,
    seconds: float,
    service: Service,
    memory: float | None = None,
    state: float | None = None,
) -> Result:
    requests = service.requests()
    return Result(
        way=way,
        images=images,
        rate=rate,
        seconds=round(seconds, 1),
        calls=len(requests),
        refused=sum(each["status"] == 429 for each in requests),
        executions=service.executions(),
        memory=round(memory, 0) if memory else None,
        state=round(state, 1) if state else None,
    )


def machine() -> str:
    """The machine in a few words."""
    return f"{os.cpu_count()} cores, Python {sys.version.split()[0]}"
