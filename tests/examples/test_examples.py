"""What the examples that are Pulumi programs are made of; tests/engine runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.workspace import ROOT

FOLDERS = sorted(path.parent for path in (ROOT / "examples").glob("*/__main__.py"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_example_is_short(folder: Path) -> None:
    """A program of at most 25 lines, and a README that says in five lines what it shows."""
    program = (folder / "__main__.py").read_text(encoding="utf-8").splitlines()
    assert program[0].startswith('"""')
    assert len([line for line in program if line.strip() and not line.startswith("#")]) <= 25
    title, blank, *lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    assert title.startswith("# ")
    assert blank == ""
    assert 3 <= len(lines) <= 5
    assert (folder / "seed.yaml").exists()
