"""A recording of a terminal is a picture that plays; what is kept in docs/ names no folder of a machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from tools.workspace import ROOT

SVG = "{http://www.w3.org/2000/svg}"
PROGRAM = r"""
import sys, time
print("first <line>", flush=True)
time.sleep(0.3)
print("\x1b[A\x1b[2K\x1b[31mlast", flush=True)
assert sys.stdout.isatty()
"""


def test_a_recording_shows_the_last_screen(tmp_path: Path) -> None:
    """What was overwritten shows only in its time; what stayed is visible in viewers that cannot play, in colour."""
    picture = tmp_path / "picture.svg"
    command = [sys.executable, "-m", "tools.record", picture, sys.executable, "-c", PROGRAM]
    subprocess.run(command, cwd=ROOT, check=True)
    groups = {
        "".join(group.itertext()).strip(): group for group in ElementTree.parse(picture).getroot().iter(f"{SVG}g")
    }
    assert groups["first <line>"].get("visibility") == "hidden"
    assert groups["last"].get("visibility") is None
    (text,) = groups["last"].iter(f"{SVG}text")
    assert text.get("fill") == "#e06c75"


def test_a_command_that_fails_leaves_no_picture(tmp_path: Path) -> None:
    """Its exit code is the recorder's."""
    picture = tmp_path / "picture.svg"
    command = [sys.executable, "-m", "tools.record", picture, sys.executable, "-c", "raise SystemExit(3)"]
    assert subprocess.run(command, cwd=ROOT).returncode == 3
    assert not picture.exists()


def test_the_recordings_name_no_folder_of_a_machine() -> None:
    """What is kept in docs/ could have been recorded anywhere."""
    docs = ROOT / "docs"
    kept = [docs / "demo.svg", docs / "pipelines" / "terminal.svg", docs / "pipelines" / "log.txt"]
    for recording in kept:
        text = recording.read_text(encoding="utf-8")
        assert "make[" not in text
        assert re.search(r"(?<![\w.:/])/[a-z]+/", text.replace("</", "")) is None
