"""The table of operations and rules in docs/emulator.md names a test in each row, and leaves out none."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from model_driven import OPERATIONS

HERE = Path(__file__).resolve().parent
PAGE = (HERE.parents[1] / "docs" / "emulator.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("| operation | rule | answer | test |\n")[2].partition("\n\n")[0].splitlines()[1:]
FILES = ("test_service.py", "test_executions.py", "test_images.py", "test_model_driven.py")
"""Their tests are of what the service does: each is a row."""


def written_in(file: str) -> dict[str, str]:
    """The tests of a file with their text, parameters included."""
    text = (HERE / file).read_text(encoding="utf-8")
    return {
        node.name: "\n".join(ast.unparse(part) for part in (*node.decorator_list, node))
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def rows() -> list[tuple[str, str, str, str]]:
    """Operation, answer, file and test of each row."""
    found = []
    for line in TABLE:
        operation, _, answer, test = line.strip("| ").split(" | ")
        file, _, name = test.strip("`").partition("::")
        found.append((operation, answer, file, name))
    return found


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[3])
def test_a_row_names_a_test_that_holds_it(row: tuple[str, str, str, str]) -> None:
    """The test is there, and it speaks of what the row quotes."""
    _, answer, file, name = row
    tests = written_in(file)
    assert name in tests
    for quoted in re.findall(r'"([^"]+)"', answer):
        assert quoted in tests[name].replace("\\'", "'")


@pytest.mark.parametrize("file", FILES)
def test_no_test_is_left_out(file: str) -> None:
    """Whatever is tested of the service has its row."""
    named = {name for _, _, row_file, name in rows() if row_file == file}
    assert set(written_in(file)) == named


def test_every_operation_has_its_rows() -> None:
    """All that are emulated."""
    assert {name for operation, *_ in rows() for name in re.findall(r"[A-Z]\w+", operation)} >= set(OPERATIONS)
