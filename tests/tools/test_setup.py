"""`make setup` says how far it is, and does nothing that is done already."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import setup


class Screen:
    """Collects what is written, with a clock that is set by hand."""

    def __init__(self) -> None:
        self.text = ""
        self.seconds = 0.0

    def write(self, text: str) -> None:
        self.text += text

    def clock(self) -> float:
        return self.seconds


def test_terminal_shows_one_line_a_step() -> None:
    """A step's line is written over as it gets on; the next step leaves it standing."""
    screen = Screen()
    progress = setup.Progress(screen.write, True, screen.clock)
    progress.show("compile", "1 of 2")
    screen.seconds = 61.5
    progress.show("compile", "2 of 2")
    screen.seconds = 70
    progress.tick()
    progress.show("link")
    progress.close()
    assert screen.text == (
        "\r\x1b[K  0:00  compile: 1 of 2\r\x1b[K  1:01  compile: 2 of 2\r\x1b[K  1:10  compile: 2 of 2"
        "\n\r\x1b[K  1:10  link\n"
    )


def test_log_has_a_line_every_quarter_of_a_minute() -> None:
    """Where nothing can be written over, each step has a line, and a long one some more."""
    screen = Screen()
    progress = setup.Progress(screen.write, False, screen.clock)
    for second in range(40):
        screen.seconds = float(second)
        progress.show("compile", f"{second} of 40")
    progress.show("link")
    progress.close()
    assert screen.text == (
        "  0:00  compile: 0 of 40\n  0:15  compile: 15 of 40\n  0:30  compile: 30 of 40\n  0:39  link\n"
    )


def test_run_gives_lines_and_returns_the_output() -> None:
    """Each line of both streams is handed over; the standard output alone is returned."""
    lines: list[str] = []
    program = "import sys; print('out'); print('go: downloading x', file=sys.stderr)"
    assert setup.run([sys.executable, "-c", program], on_line=lines.append) == ["out"]
    assert sorted(lines) == ["go: downloading x", "out"]


def test_failed_command_shows_its_last_lines() -> None:
    """Its own words, without the hundreds of downloads before them."""
    program = (
        "import sys\n"
        "for n in range(300): print('go: downloading', n, file=sys.stderr)\n"
        "print('cannot find package', file=sys.stderr); sys.exit(1)"
    )
    with pytest.raises(setup.SetupError, match=r"failed:\ncannot find package$"):
        setup.run([sys.executable, "-c", program])


def test_linked_environments_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A work tree whose `.venv` and `.engine` lead to another clone changes neither."""
    for name in ("elsewhere", "elsewhere/bin"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(setup, "ENVIRONMENT", tmp_path / "link")
    monkeypatch.setattr(setup, "ENGINE", tmp_path / "link" / "bin")
    monkeypatch.setenv("PATH", "")
    screen = Screen()
    progress = setup.Progress(screen.write, False, screen.clock)
    setup.prepare_environment(progress)
    setup.prepare_engine(progress)
    assert screen.text == ""
    assert sorted(path.name for path in (tmp_path / "elsewhere").rglob("*")) == ["bin"]


def test_second_run_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the stamps hold today's fingerprints, no command runs; where a pin has changed, Go is needed again."""
    environment, engine = tmp_path / ".venv", tmp_path / ".engine" / "bin"
    environment.mkdir()
    engine.mkdir(parents=True)
    (environment / ".stamp").write_text(setup.environment_fingerprint(), encoding="utf-8")
    monkeypatch.setattr(setup, "ENVIRONMENT", environment)
    monkeypatch.setattr(setup, "ENGINE", engine)
    monkeypatch.setenv("PATH", "")
    progress = setup.Progress(Screen().write, False, Screen().clock)
    setup.prepare_environment(progress)
    with pytest.raises(setup.SetupError, match="neither pulumi nor go was found"):
        setup.prepare_engine(progress)
    (engine.parent / ".stamp").write_text(setup.engine_fingerprint(), encoding="utf-8")
    setup.prepare_engine(progress)


@pytest.mark.parametrize("target", setup.TARGETS, ids=lambda target: target.folder)
def test_targets_are_what_the_go_modules_pin(target: setup.Target) -> None:
    """Each folder requires the module that is built from it, and its tools.go imports each program."""
    folder = setup.MODULES / target.folder
    assert re.search(rf"^require {re.escape(target.module)} v", (folder / "go.mod").read_text("utf-8"), re.MULTILINE)
    imported = re.findall(r'_ "(.+)"', (folder / "tools.go").read_text(encoding="utf-8"))
    assert set(imported) == {f"{target.module}/{program}" for program in target.programs}


def test_pulumi_finds_the_marker(tmp_path: Path) -> None:
    """It lies where Pulumi looks for it, and the folder it is in does not hide the package."""
    setup.show_pulumi_the_marker(tmp_path)
    setup.show_pulumi_the_marker(tmp_path)
    assert [path.name for path in (tmp_path / "pulumi_imagebuilder").iterdir()] == ["pulumi-plugin.json"]
    code = "import pulumi_imagebuilder; print(pulumi_imagebuilder.__file__)"
    path = os.pathsep.join([str(tmp_path), str(setup.ROOT / "provider")])
    environment = {**os.environ, "PYTHONPATH": path}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == str(setup.ROOT / "provider" / "pulumi_imagebuilder" / "__init__.py")
