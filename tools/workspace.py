"""The real `pulumi` program and the local Image Builder, each in a folder and an environment of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
STACK = "local"


def environment(folder: Path, endpoint: str) -> dict[str, str]:
    """Return the environment of a run: the user's, without their Pulumi login and AWS settings.

    Args:
        folder: where Pulumi keeps its home and its state.
        endpoint: the URL that all AWS services are called at.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PULUMI_"))}
    for inner in ("home", "state"):
        (folder / inner).mkdir(parents=True, exist_ok=True)
    # An installed pulumi comes before the one in .engine/bin; its language host runs the first python on PATH.
    path = [Path(sys.executable).parent, *os.get_exec_path(), ROOT / ".engine" / "bin"]
    return {
        **kept,
        "PATH": os.pathsep.join(map(str, path)),
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_CONFIG_PASSPHRASE": "local",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        # Else an installed pulumi-aws makes every run look for its plugin, used or not.
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "AKIALOCALIMAGEBUILDER",
        "AWS_SECRET_ACCESS_KEY": "local-secret-of-nobody",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


class Workspace:
    """A stack of one Pulumi program, in any language.

    The project's `Pulumi.yaml` is copied, with `main` pointing back to the program: settings of the stack, which Pulumi
    writes beside it, stay out of the project, and many stacks of one program can run side by side.

    Args:
        project: folder of the program's `Pulumi.yaml`.
        folder: where Pulumi's home, state and stack settings are kept.
        endpoint: the URL that all AWS services are called at.
        settings: the stack's configuration, as `quickstart:imageArn`.
        backend: URL of where the state is kept. Default: a folder beside the home.

    Attributes:
        project: the project's name.

    Raises:
        RuntimeError: pulumi does not create the stack.
    """

    def __init__(
        self, project: Path, folder: Path, endpoint: str, settings: Mapping[str, Any], *, backend: str | None = None
    ) -> None:
        self.environment = environment(folder, endpoint)
        if backend:
            self.environment["PULUMI_BACKEND_URL"] = backend
        self.folder = folder / "project"
        self.folder.mkdir()
        about = yaml.safe_load((project / "Pulumi.yaml").read_text(encoding="utf-8"))
        self.project = str(about["name"])
        about["main"] = str((project / about.get("main", ".")).resolve())
        (self.folder / "Pulumi.yaml").write_text(yaml.safe_dump(about), encoding="utf-8")
        self._ask("stack", "init", STACK, "--non-interactive")
        self.configure(settings)

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Set the stack's configuration."""
        path = self.folder / f"Pulumi.{STACK}.yaml"
        kept = yaml.safe_load(path.read_text(encoding="utf-8"))
        path.write_text(yaml.safe_dump({**kept, "config": dict(settings)}), encoding="utf-8")

    def run(self, *arguments: str, show: bool = False, limit: float = 300) -> subprocess.CompletedProcess[str]:
        """Run `pulumi` on this stack.

        Args:
            arguments: the command and its options.
            show: whether it prints to the terminal; else its output is returned.
            limit: seconds until it is killed.

        Raises:
            subprocess.TimeoutExpired: it did not end in time.
        """
        with self.start(*arguments, show=show) as process:
            try:
                out, err = process.communicate(timeout=limit)
            except BaseException:
                _stop(process)
                raise
        return subprocess.CompletedProcess(arguments, process.returncode, out or "", err or "")

    def start(self, *arguments: str, show: bool = False) -> subprocess.Popen[str]:
        """Start `pulumi` on this stack; a run that is not shown leads a process group of its own."""
        pipe = None if show else subprocess.PIPE
        return subprocess.Popen(
            ["pulumi", *arguments],  # noqa: S607
            cwd=self.folder,
            env=self.environment,
            stdin=None if show else subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            text=True,
            start_new_session=not show,
            preexec_fn=_heed_interrupts if signal.getsignal(signal.SIGINT) is signal.SIG_IGN else None,
        )

    def processes(self) -> list[int]:
        """Return the ids of the processes that work on this stack."""
        home = f"PULUMI_HOME={self.environment['PULUMI_HOME']}".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if home in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
        return found

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs."""
        return dict(json.loads(self._ask("stack", "output", "--json")))

    def state(self) -> dict[str, Any]:
        """Return the stack's state as Pulumi keeps it."""
        return dict(json.loads(self._ask("stack", "export")))

    def _ask(self, *arguments: str) -> str:
        answer = self.run(*arguments)
        if answer.returncode:
            raise RuntimeError(f"pulumi {' '.join(arguments)}: {answer.stderr.strip()}")
        return answer.stdout


def _heed_interrupts() -> None:
    """Undo what a shell does to a command in the background, which ignores SIGINT, as do the programs it starts.

    The engine ends its plugins by SIGINT, and waits five seconds for one that ignores it.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _stop(process: subprocess.Popen[str]) -> None:
    """Stop pulumi. A second interrupt makes it end at once, and its plugins with it, as SIGKILL would not."""
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()


@contextlib.contextmanager
def emulator(seed: Path, execution_time: str = "5s") -> Iterator[str]:
    """Run the local Image Builder in a process of its own; yield its URL.

    Raises:
        RuntimeError: it does not start.
    """
    command = Path(sys.executable).with_name("imagebuilder-emulator")
    process = subprocess.Popen(
        [command, "--seed", seed, "--execution-time", execution_time],
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C in a terminal is for the one that stops it in the end.
        start_new_session=True,
    )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("Listening on "):
                raise RuntimeError("the emulator did not start")
            yield line.removeprefix("Listening on ").strip()
        finally:
            process.terminate()
