"""The README's commands and links are those that exist."""

from __future__ import annotations

import re
import subprocess

from pages import PAGES, pieces
from workspace import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_commands() -> None:
    """Each `make` target that it names is one."""
    known = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = set(re.findall(r"(?:`|^    )make (\w+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named
    assert named <= {line.split()[0] for line in known.splitlines() if line.strip()}


def test_the_first_program_is_short() -> None:
    """Twelve lines."""
    first = next(piece for piece in pieces("python") if piece.page.name == "README.md")
    assert len(first.text.splitlines()) <= 12


def test_links_between_files() -> None:
    """What the README and the pages link to is there."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
