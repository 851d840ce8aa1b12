"""What each example has beside its program; tests/engine runs them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.workspace import ROOT

FOLDERS = sorted(path for path in (ROOT / "examples").iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_example_is_explained(folder: Path) -> None:
    """It has a README whose links exist, and what the local Image Builder begins with."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (folder / target).exists(), target
    assert (folder / "seed.yaml").exists()
