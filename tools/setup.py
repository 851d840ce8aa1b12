"""`make setup`: install both packages into .venv/, and build pulumi into .engine/bin/ where none is installed.

Runs on the Python that `make` finds, before anything is installed: it uses the standard library alone. A second run
compares fingerprints and does nothing.
"""

from __future__ import annotations

import hashlib
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
ENGINE = ROOT / ".engine" / "bin"
MODULES = ROOT / "tools" / "engine"
"""One Go module a folder: each pins what is built from it."""

DECLARATIONS = [ROOT / "pyproject.toml", ROOT / "emulator" / "pyproject.toml"]
PACKAGES = ["imagebuilder-emulator", "pulumi-imagebuilder"]
MINIMUM_PYTHON = (3, 11)

_SDK = "github.com/pulumi/pulumi/sdk/v3"
_DOWNLOADING = "go: downloading "
_REQUIREMENT = re.compile(r"^(?:require |\t)(\S+) (v\S+)", re.MULTILINE)
"""A module and its version in a go.mod."""
_KEPT_LINES = 40
"""Lines of a failed command that are shown."""
_SECONDS_BETWEEN_LINES = 15.0
"""Where the output is no terminal: how often a long step says how far it is."""


class Target(NamedTuple):
    """Programs built from one Go module.

    Args:
        folder: of the module, in tools/engine.
        module: the required Go module that holds the programs.
        programs: paths of their packages inside it.
        version: the variable that holds the program's own version; empty if it has none.
        scripts: files of the SDK that the module resolves, which the programs start.
    """

    folder: str
    module: str
    programs: tuple[str, ...]
    version: str = ""
    scripts: tuple[str, ...] = ()


# The language hosts of Python and Node.js became Go modules of their own that refer to their neighbours by path, which
# cannot be built from a module proxy: theirs are the last releases of the SDK that held them. Engine and hosts speak a
# protocol that has only grown, and the scripts beside them are those of the engine's own SDK.
TARGETS = (
    Target("language-python", _SDK, ("python/cmd/pulumi-language-python",)),
    Target("language-nodejs", _SDK, ("nodejs/cmd/pulumi-language-nodejs",)),
    Target(
        "language-yaml",
        "github.com/pulumi/pulumi-yaml",
        ("cmd/pulumi-language-yaml", "cmd/pulumi-converter-yaml"),
        version="github.com/pulumi/pulumi-yaml/pkg/version.Version",
    ),
    Target(
        "pulumi",
        "github.com/pulumi/pulumi/pkg/v3",
        ("cmd/pulumi",),
        version=f"{_SDK}/go/common/version.Version",
        scripts=(
            "python/cmd/pulumi-language-python-exec",
            "python/dist/pulumi-resource-pulumi-python",
            "nodejs/dist/pulumi-resource-pulumi-nodejs",
        ),
    ),
)


class SetupError(Exception):
    """A step failed; the text says which, why, and what to do."""


class Progress:
    """Shows one line a step with the time since the beginning; in a terminal the line changes in place.

    Args:
        write: prints text.
        terminal: whether a line can be written over.
        clock: seconds.
    """

    def __init__(self, write: Callable[[str], object], terminal: bool, clock: Callable[[], float]) -> None:
        self._write = write
        self._terminal = terminal
        self._clock = clock
        self._began = clock()
        self._step = self._detail = ""
        self._shown_at = self._began

    def show(self, step: str, detail: str = "") -> None:
        """Show how far a step is; another step begins another line.

        Args:
            step: what is done.
            detail: how far it is.
        """
        now, new = self._clock(), step != self._step
        if self._terminal and new and self._step:
            self._write("\n")
        self._step, self._detail = step, detail
        seconds = int(now - self._began)
        line = f"{seconds // 60:3d}:{seconds % 60:02d}  {step}{': ' if detail else ''}{detail}"
        if self._terminal:
            self._write(f"\r\x1b[K{line}")
        elif new or now - self._shown_at >= _SECONDS_BETWEEN_LINES:
            self._write(f"{line}\n")
            self._shown_at = now

    def tick(self) -> None:
        """Show the last step again, with the time that has passed."""
        if self._step:
            self.show(self._step, self._detail)

    def close(self) -> None:
        """End an open line."""
        if self._terminal and self._step:
            self._write("\n")
        self._step = ""


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path = ROOT,
    on_line: Callable[[str], object] = lambda line: None,
    tick: Callable[[], object] = lambda: None,
) -> list[str]:
    """Run a command and return the lines of its standard output.

    Args:
        command: the program and its arguments.
        cwd: where it runs.
        on_line: called with each line as it comes, those of the standard error too.
        tick: called once a second while no line comes.

    Raises:
        SetupError: it failed; with its last lines.
    """
    lines: queue.Queue[tuple[bool, str] | None] = queue.Queue()
    output: list[str] = []
    last: deque[str] = deque(maxlen=_KEPT_LINES)

    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:

        def read(stream: Iterable[str], kept: bool) -> None:
            for line in stream:
                lines.put((kept, line.rstrip("\n")))
            lines.put(None)

        assert process.stdout is not None
        assert process.stderr is not None
        threads = [
            threading.Thread(target=read, args=(process.stdout, True), daemon=True),
            threading.Thread(target=read, args=(process.stderr, False), daemon=True),
        ]
        for thread in threads:
            thread.start()
        reading = len(threads)
        try:
            while reading:
                try:
                    found = lines.get(timeout=1)
                except queue.Empty:
                    tick()
                    continue
                if found is None:
                    reading -= 1
                    continue
                kept, line = found
                if kept:
                    output.append(line)
                if not line.startswith(_DOWNLOADING):
                    last.append(line)
                on_line(line)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        text = "\n".join(last)
        raise SetupError(f"{' '.join(map(str, command[:4]))} … failed:\n{text}")
    return output


def fingerprint(paths: Iterable[Path], settings: object) -> str:
    """Return a digest of files, by name and content, and of settings by their `repr`."""
    digest = hashlib.sha256(repr(settings).encode())
    for path in sorted(paths):
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def environment_fingerprint() -> str:
    """Return what .venv/ is made from: the Python, and what both packages declare."""
    return fingerprint(DECLARATIONS, sys.version)


def engine_fingerprint() -> str:
    """Return what .engine/ is made from: the programs, and the versions of their Go modules."""
    return fingerprint(MODULES.glob("*/go.*"), TARGETS)


def is_current(stamp: Path, wanted: str) -> bool:
    """Return whether a stamp holds this fingerprint."""
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted


def prepare_environment(progress: Progress) -> None:
    """Install both packages, editable, and all that the tests need into .venv/.

    Raises:
        SetupError: the environment cannot be made, or pip fails.
    """
    stamp, wanted = ENVIRONMENT / ".stamp", environment_fingerprint()
    # A link leads to the environment of another clone, which is not to be changed from here.
    if ENVIRONMENT.is_symlink() or is_current(stamp, wanted):
        return
    progress.show("create .venv")
    run([sys.executable, "-m", "venv", ENVIRONMENT], tick=progress.tick)
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    # The command imagebuilder-emulator once belonged to the other package: pip removes an old version after it has
    # installed the new one of what it depends on, and would take the new command away with it.
    run([*pip, "uninstall", "--quiet", "--yes", *PACKAGES])
    counts: Counter[str] = Counter()
    installing = 0

    def on_line(line: str) -> None:
        nonlocal installing
        word, _, rest = line.strip().partition(" ")
        counts[word] += 1
        if line.startswith("Installing collected packages: "):
            installing = rest.count(",") + 1
            on_tick()
        elif word in {"Collecting", "Downloading"}:
            progress.show("fetch Python packages", f"{counts['Collecting']} found, {counts['Downloading']} downloaded")

    def on_tick() -> None:
        # pip says nothing while it installs; what is done has its own folder.
        if installing:
            done = len(list(ENVIRONMENT.glob("lib/python*/site-packages/*.dist-info")))
            progress.show("install Python packages", f"{min(done, installing)} of {installing}")
        else:
            progress.tick()

    # Both in one command: what the extra asks for is then the one beside it, and no index is asked for it.
    editable = ["--editable", str(ROOT / "emulator"), "--editable", f"{ROOT}[dev]"]
    # Not compiled beforehand: pulumi-aws has thousands of modules, of which a program loads a few.
    run([*pip, "install", "--no-compile", "--progress-bar", "off", *editable], on_line=on_line, tick=on_tick)
    (packages,) = ENVIRONMENT.glob("lib/python*/site-packages")
    show_pulumi_the_marker(packages)
    stamp.write_text(wanted, encoding="utf-8")


def show_pulumi_the_marker(packages: Path) -> None:
    """Put the provider's pulumi-plugin.json where Pulumi looks for it, which an editable install does not.

    Without it Pulumi takes a package of this name for a plugin that each program needs, and warns of where it is. A
    folder without `__init__.py` does not hide the package itself.

    Args:
        packages: the environment's site-packages.
    """
    marker = ROOT / "provider" / "pulumi_imagebuilder" / "pulumi-plugin.json"
    folder = packages / marker.parent.name
    folder.mkdir(exist_ok=True)
    shutil.copy(marker, folder)


def prepare_engine(progress: Progress) -> None:
    """Build pulumi and its language hosts from Go modules, where no pulumi is installed.

    Raises:
        SetupError: Go is missing, or a build fails.
    """
    if shutil.which("pulumi") or ENGINE.parent.is_symlink():
        return
    stamp, wanted = ENGINE.parent / ".stamp", engine_fingerprint()
    if is_current(stamp, wanted):
        return
    if not shutil.which("go"):
        raise SetupError(
            "neither pulumi nor go was found: install Pulumi, see https://www.pulumi.com/docs/iac/download-install/"
        )
    ENGINE.mkdir(parents=True, exist_ok=True)
    # Built beside and moved at the end: a killed build leaves no half of an engine, and is cleared by the next one.
    new = ENGINE.parent / "new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    for target in TARGETS:
        build(target, new, progress)
    for built in new.iterdir():
        built.replace(ENGINE / built.name)
    new.rmdir()
    stamp.write_text(wanted, encoding="utf-8")


def build(target: Target, output: Path, progress: Progress) -> None:
    """Build the programs of one Go module.

    Raises:
        SetupError: go fails.
    """
    folder = MODULES / target.folder
    required = dict(_REQUIREMENT.findall((folder / "go.mod").read_text(encoding="utf-8")))
    version = required[target.module]
    packages = [f"{target.module}/{program}" for program in target.programs]
    step = f"build {Path(packages[0]).name} {version}"
    counts: Counter[str] = Counter()

    def on_line(line: str) -> None:
        counts["fetched" if line.startswith(_DOWNLOADING) else "compiled"] += 1

    def on_list(line: str) -> None:
        on_line(line)
        if counts["fetched"]:
            progress.show(step, f"{counts['fetched']} of about {len(required)} Go modules fetched")

    def on_build(line: str) -> None:
        on_line(line)
        # The last package is that of the program itself, which is compiled in a moment and then linked.
        doing = "compiling" if counts["compiled"] < total else "linking"
        progress.show(step, f"{doing}, {counts['compiled']:,} of {total:,} Go packages")

    progress.show(step, "looking for its Go modules")
    stale = "{{if .Stale}}{{.ImportPath}}{{end}}"
    listed = run(
        ["go", "list", "-mod=readonly", "-deps", "-f", stale, *packages],
        cwd=folder,
        on_line=on_list,
        tick=progress.tick,
    )
    total = len([line for line in listed if line])
    counts.clear()
    flags = "-s -w" + (f" -X {target.version}={version}" if target.version else "")
    command = ["go", "build", "-v", "-mod=readonly", "-ldflags", flags, "-o", f"{output}{os.sep}", *packages]
    run(command, cwd=folder, on_line=on_build, tick=progress.tick)
    if target.scripts:
        (sdk,) = run(["go", "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", _SDK], cwd=folder)
        for script in target.scripts:
            Path(shutil.copy(Path(sdk, script), output)).chmod(0o755)


def main() -> int:
    """Prepare both; returns the exit code."""
    if sys.version_info < MINIMUM_PYTHON:
        found, needed = (".".join(map(str, version[:2])) for version in (sys.version_info, MINIMUM_PYTHON))
        print(f"Python {needed} or later is needed, this is {found}; name another: make PYTHON=python{needed}")
        return 1
    progress = Progress(_print, sys.stdout.isatty(), time.monotonic)
    try:
        prepare_environment(progress)
        prepare_engine(progress)
    except SetupError as error:
        progress.close()
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        progress.close()
        return 130
    progress.close()
    return 0


def _print(text: str) -> None:
    print(text, end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
