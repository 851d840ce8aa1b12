"""The tables in docs/life-of-a-state-update.md name a test in each row, and leave out none."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "life-of-a-state-update.md"
FOLDERS = {
    "test_kills.py": "engine",
    "test_faults.py": "engine",
    "test_drift.py": "engine",
    "test_state_update.py": "engine",
    "test_aws.py": "provider",
}
WHOLE = ("test_kills.py", "test_drift.py")
"""Every test of these is a row."""

_ROW = re.compile(r"^\| .* \| `(test_\w+\.py)::(test_\w+)(?:\[(.+)\])?` \|$", re.MULTILINE)


def module(name: str) -> ModuleType:
    """A file of tests, loaded."""
    spec = importlib.util.spec_from_file_location(f"rows_{name[:-3]}", ROOT / "tests" / FOLDERS[name] / name)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def cases(test: Any) -> set[str]:
    """The names of a parametrised test's cases; none for a test that is not."""
    found: set[str] = set()
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == "parametrize":
            found |= {getattr(case, "id", None) or str(case) for case in mark.args[1]}
    return found


def test_each_row_has_its_test() -> None:
    """Every row ends with a test that exists, down to the case."""
    text = PAGE.read_text(encoding="utf-8")
    tables = [table.splitlines() for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)]
    rows = [row for header, _, *rows in tables if header.endswith(" test |") for row in rows]
    named = _ROW.findall(text)
    assert len(named) == len(rows) > 30
    for file, name, case in named:
        test = getattr(module(file), name, None)
        assert test is not None, f"{file} has no {name}"
        assert not case or case in cases(test), f"{name} has no case {case!r}, only {cases(test)}"


@pytest.mark.parametrize("file", WHOLE)
def test_each_test_has_its_row(file: str) -> None:
    """No kill and no drift that is tested is left out of the page."""
    named = {
        (name, case) for row_file, name, case in _ROW.findall(PAGE.read_text(encoding="utf-8")) if row_file == file
    }
    for name, test in vars(module(file)).items():
        if name.startswith("test_"):
            for case in cases(test) or {""}:
                assert (name, case) in named, f"{name}[{case}] has no row"
