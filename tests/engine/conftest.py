"""A stack of the real `pulumi` program against the local Image Builder, both made for one test."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from imagebuilder_emulator.emulator import Emulator
from pulumi_imagebuilder.names import with_snake_case

from tools import workspace
from tools.workspace import ROOT, Workspace

IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"


CONTRACT = (
    "test_drift",
    "test_faults",
    "test_fleet",
    "test_image_cleanup",
    "test_image_cleanup_states",
    "test_in_use",
    "test_kills",
    "test_state_update",
)
"""The tests that hold for the dynamic and for the native provider alike: each of them runs on both.

One that is parametrised by `side` itself says where it runs: what both have below them is tried on one in full.
"""

DYNAMIC_ALONE = {"test_the_stacks_credentials", "test_the_state_file"}
"""Of the stack's `aws:*`, and of what only a dynamic resource has in the state."""

PROVIDERS = {"dynamic": "pulumi.dynamic", "native": "pulumi-resource-imagebuilder"}
"""A word in the command line of the provider's process."""


@pytest.hookimpl
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the contract on both sides."""
    contract = (
        metafunc.module.__name__.rpartition(".")[2] in CONTRACT and metafunc.function.__name__ not in DYNAMIC_ALONE
    )
    chosen = any("side" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "side" in metafunc.fixturenames and contract and not chosen:
        metafunc.parametrize("side", PROVIDERS, indirect=True)


@pytest.fixture
def side(request: pytest.FixtureRequest) -> str:
    """Which provider programs use: `dynamic` or `native`."""
    return str(getattr(request, "param", "dynamic"))


class Bench:
    """One stack, one emulator, and a look at what each of them knows.

    Args:
        workspace: the stack.
        emulator: the emulator.
        program: the file of an inline program.
        side: which provider inline programs use; they are written for the dynamic one.
    """

    def __init__(self, workspace: Workspace, emulator: Emulator, program: Path | None, side: str = "dynamic") -> None:
        self.workspace = workspace
        self.emulator = emulator
        self.side = side
        self.provider = PROVIDERS[side]
        self._program = program

    def write(self, program: str) -> None:
        """Replace the program; only for stacks of an inline program."""
        assert self._program is not None
        if self.side == "native":
            program = program.replace("from pulumi_imagebuilder import", "from pulumi_imagebuilder.native import")
        self._program.write_text(textwrap.dedent(program), encoding="utf-8")

    def rename_stack(self, name: str) -> None:
        """Rename the stack, as `pulumi stack rename` does."""
        assert self.workspace.run("stack", "rename", name).returncode == 0

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Set the stack's configuration, by names without the project's."""
        self.workspace.configure({f"{self.workspace.project}:{name}": value for name, value in settings.items()})

    def run(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a command that changes or previews the stack."""
        agreed = () if command == "preview" else ("--yes", "--skip-preview")
        return self.workspace.run(command, *agreed, "--non-interactive", "--color", "never", *options)

    def check(self, command: str, *options: str) -> str:
        """Run a command that must succeed; returns all it printed."""
        done = self.run(command, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def killed(self, when: Callable[[], Any], *, command: str = "up", only: str | None = None) -> str:
        """Run a command and kill it as soon as something is so, then free the lock it leaves; returns what it printed.

        Args:
            when: what is to be so.
            command: what to run.
            only: a word in the command line of the one process to kill; by default the engine and all it started.
        """
        agreed = ("--yes", "--skip-preview", "--non-interactive", "--color", "never")
        with self.workspace.start(command, *agreed) as run:
            self.until(when)
            if only is None:
                os.killpg(run.pid, signal.SIGKILL)
            else:
                (victim,) = [pid for pid in self.processes() if only in self.command_line(pid)]
                os.kill(victim, signal.SIGKILL)
            out, err = run.communicate(timeout=240)
            assert run.returncode != 0, out + err
        if only is None:
            assert self.workspace.run("cancel", "--yes", "--non-interactive").returncode == 0
        return out + err

    def processes(self) -> list[int]:
        """The processes that work on this stack."""
        return self.workspace.processes()

    def command_line(self, pid: int) -> str:
        """How a process was started; empty for one that is gone."""
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            return ""

    @staticmethod
    def until(what: Callable[[], Any], limit: float = 240) -> Any:
        """Wait until something is so; what it is."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            found = what()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError("it never came to be")

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """A boto3 client of the emulator."""
        return self.emulator.client(service, region)

    def asked(self, operation: str) -> int:
        """How many calls of an operation of Image Builder have come in, answered or not."""
        return len(self.emulator.requests.all(operation))

    def image_state(self, arn: str = IMAGE) -> str:
        """The image's state as the service has it."""
        return str(self.client("imagebuilder").get_image(imageBuildVersionArn=arn)["image"]["state"]["status"])

    def executions(self, arn: str = IMAGE) -> list[dict[str, Any]]:
        """The image's executions, newest first."""
        return list(self.client("imagebuilder").list_lifecycle_executions(resourceArn=arn)["lifecycleExecutions"])

    def changes(self) -> list[str]:
        """The requests that change something and the ends of executions, in the order they came to be."""
        told, images = [], set()
        for request in self.emulator.requests.all():
            if request.operation.startswith(("Get", "List", "Describe")):
                continue
            about = request.parameters
            arn = about.get("resourceArn") or about.get("imageBuildVersionArn") or about.get("imageRecipeArn") or ""
            name = arn.partition("/")[2] + (f" to {about['state']['status']}" if "state" in about else "")
            told.append((request.time, " ".join(filter(None, [request.operation, name, request.error]))))
            if request.operation == "StartResourceStateUpdate":
                images.add(arn)
        for image in images:
            for execution in self.executions(image):
                if "endTime" in execution:
                    state = execution["state"]["status"]
                    told.append((execution["endTime"], f"(execution of {image.partition('/')[2]} ends: {state})"))
        return [text for _, text in sorted(told)]

    @staticmethod
    def documented_changes(when: str) -> list[str]:
        """The requests that docs/pulumi-aws.md shows of a time when something happens to the image."""
        page = (ROOT / "docs" / "pulumi-aws.md").read_text(encoding="utf-8")
        block = re.search(rf"## When the image is {when}\n.*?```text\n(.*?)```", page, re.DOTALL)
        assert block
        return block[1].splitlines()

    def put_standin(self) -> None:
        """Put the stand-in where the engine looks for the plugin of the pulumi-aws that is installed."""
        version = importlib.metadata.version("pulumi-aws")
        folder = Path(self.workspace.environment["PULUMI_HOME"]) / "plugins" / f"resource-aws-v{version}"
        folder.mkdir(parents=True)
        plugin = folder / "pulumi-resource-aws"
        command = shlex.join([sys.executable, str(Path(__file__).parent / "standin" / "plugin.py")])
        plugin.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        plugin.chmod(0o755)

    def resources(self) -> list[dict[str, Any]]:
        """The resources of this package in the stack, as the state file has them, with the names of Python programs."""
        kinds = {"dynamic": "pulumi-python:dynamic/imagebuilder:", "native": "imagebuilder:index:"}
        found = self.workspace.state()["deployment"]["resources"]
        return [
            {**each, **{part: with_snake_case(each[part]) for part in ("inputs", "outputs")}}
            if self.side == "native"
            else dict(each)
            for each in found
            if each["type"].startswith(kinds[self.side])
        ]

    def resource(self) -> dict[str, Any]:
        """The only one of :meth:`resources`."""
        found = self.resources()
        assert len(found) == 1, json.dumps(found, indent=2)
        return found[0]


@pytest.fixture(scope="session", autouse=True)
def packages_listed_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Answers `python -m pip list` from a file: Pulumi asks it in every run, which takes longer than all else in it."""
    folder = tmp_path_factory.mktemp("python")
    listed = folder / "packages.json"
    ask = [sys.executable, "-m", "pip", "list", "-v", "--format", "json"]
    listed.write_text(subprocess.run(ask, capture_output=True, text=True, check=True).stdout, encoding="utf-8")
    for name in ("python", "python3"):
        shim = folder / name
        shim.write_text(
            f'#!/bin/sh\ncase "$*" in "-m pip list -v --format json") exec cat {shlex.quote(str(listed))};; esac\n'
            f'exec {shlex.quote(sys.executable)} "$@"\n',
            encoding="utf-8",
        )
        shim.chmod(0o755)

    def environment(*arguments: Any) -> dict[str, str]:
        found = original(*arguments)
        return {**found, "PATH": os.pathsep.join([str(folder), found["PATH"]])}

    original = workspace.environment
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workspace, "environment", environment)
        yield


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """Kills what a killed engine left behind: its language host goes on for minutes."""
    yield
    home = f"PULUMI_HOME={tmp_path}/".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if home in (process / "environ").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)


@pytest.fixture
def until() -> Callable[..., Any]:
    """Waits until something is so."""
    return Bench.until


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """The local Image Builder, seeded as for the quickstart; executions take a second."""
    with Emulator(ROOT / "examples" / "quickstart" / "seed.yaml", execution_time="1s") as running:
        yield running


@pytest.fixture
def make_bench(tmp_path: Path, emulator: Emulator, side: str) -> Callable[..., Bench]:
    """Makes stacks of an inline program, by name."""

    def make(name: str, **settings: str) -> Bench:
        program = tmp_path / name / "program"
        program.mkdir(parents=True)
        (program / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "test", "runtime": "python"}), encoding="utf-8")
        stack = Workspace(program, tmp_path / name, emulator.url, settings)
        return Bench(stack, emulator, program / "__main__.py", side)

    return make


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """A stack of an inline program."""
    return make_bench("bench")


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, Mapping[str, Any]], Bench]]:
    """Makes the stack of an example, by name, with its settings."""
    with contextlib.ExitStack() as running:

        def make(name: str, settings: Mapping[str, Any]) -> Bench:
            folder = ROOT / "examples" / name
            # The quickstart is what `pulumi up` at the root runs.
            project = folder if (folder / "Pulumi.yaml").exists() else ROOT
            with_aws = "import pulumi_aws" in (folder / "__main__.py").read_text(encoding="utf-8")
            # The policies that AWS itself has; moto is asked for them where it begins.
            monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", str(with_aws))
            emulator = running.enter_context(Emulator(folder / "seed.yaml", execution_time="1s"))
            bench = Bench(Workspace(project, tmp_path, emulator.url, {}), emulator, None)
            bench.configure(settings)
            if with_aws:
                bench.put_standin()
            return bench

        yield make
