"""A stack of the real `pulumi` program against the local Image Builder, both made for one test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from workspace import ROOT, Workspace, emulator

IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"


class Bench:
    """One stack, one emulator, and a look at what each of them knows."""

    def __init__(self, workspace: Workspace, url: str, program: Path | None) -> None:
        self.workspace = workspace
        self.url = url
        self._program = program

    def write(self, program: str) -> None:
        """Replace the program; only for stacks of an inline program."""
        assert self._program is not None
        self._program.write_text(textwrap.dedent(program), encoding="utf-8")

    def run(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a command that changes or previews the stack."""
        agreed = () if command == "preview" else ("--yes", "--skip-preview")
        return self.workspace.run(command, *agreed, "--non-interactive", "--color", "never", *options)

    def well(self, command: str, *options: str) -> str:
        """Run a command that must end well; returns all it printed."""
        done = self.run(command, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """A boto3 client of the emulator."""
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def image_state(self, arn: str = IMAGE) -> str:
        """The image's state as the service has it."""
        return str(self.client("imagebuilder").get_image(imageBuildVersionArn=arn)["image"]["state"]["status"])

    def executions(self, arn: str = IMAGE) -> list[dict[str, Any]]:
        """The image's executions, newest first."""
        return list(self.client("imagebuilder").list_lifecycle_executions(resourceArn=arn)["lifecycleExecutions"])

    def resource(self) -> dict[str, Any]:
        """The only dynamic resource of the stack, as the state file has it."""
        found = [each for each in self.workspace.state()["deployment"]["resources"] if "dynamic" in each["type"]]
        assert len(found) == 1, json.dumps(found, indent=2)
        return dict(found[0])


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
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A stack of an inline program, and an emulator seeded as for the quickstart."""
    program = tmp_path / "program"
    program.mkdir()
    (program / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "test", "runtime": "python"}), encoding="utf-8")
    with emulator(ROOT / "examples" / "quickstart" / "seed.yaml", "1s") as url:
        yield Bench(Workspace(program, tmp_path, url, {}), url, program / "__main__.py")


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Callable[[Path, Path, dict[str, str]], Bench]]:
    """Makes the stack of an example, with its project, its folder and its settings."""
    with contextlib.ExitStack() as running:

        def make(project: Path, folder: Path, settings: dict[str, str]) -> Bench:
            url = running.enter_context(emulator(folder / "seed.yaml", "1s"))
            return Bench(Workspace(project, tmp_path, url, settings), url, None)

        yield make
