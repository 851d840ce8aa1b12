"""The page of errors has every message that the provider can give."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pulumi_imagebuilder import errors

from tools.workspace import ROOT

PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
BEFORE, _, LATER = PAGE.partition("\n## The execution failed")
ROWS = re.findall(r"^\| `([^`]+)` \|", BEFORE, re.MULTILINE)
CASES: list[dict[str, Any]] = yaml.safe_load(
    (ROOT / "tests" / "provider" / "test_rules_bad.yaml").read_text(encoding="utf-8")
)["cases"]
TOLD = sorted({message for case in CASES for message in (case.get("told") or {}).values()})

KINDS = {
    name: kind
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.ImageBuilderError)
}
_TELLERS = {"out_of_time", "_failure", "_hint"}
"""Functions that put together what an error says."""


def pattern(row: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, row.split("…"))), re.DOTALL)


def literals() -> Iterator[str]:
    """The longest literal piece of every message that a run can end with, from the provider's source."""
    for file in (ROOT / "provider" / "pulumi_imagebuilder").rglob("*.py"):
        if file.parent.name == "rules":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for message in _messages(node):
                pieces = [each.value for each in ast.walk(message) if isinstance(each, ast.Constant)]
                longest = max((piece for piece in pieces if isinstance(piece, str)), key=len, default="")
                if len(longest.split()) > 2:
                    yield _plain(longest).strip(" :;,'()")


def _messages(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Call) and getattr(node.func, "id", None) in KINDS:
        yield from node.args[:1]
    elif isinstance(node, ast.FunctionDef) and node.name in _TELLERS:
        yield from (each for each in ast.walk(node) if isinstance(each, ast.JoinedStr))
        yield from (each.value for each in ast.walk(node) if isinstance(each, ast.Return) and each.value)


def _plain(text: str) -> str:
    return " ".join(text.replace("`", "").split())


def test_the_messages_of_the_check_are_explained() -> None:
    """Each message in the table of bad declarations fits a row of the page."""
    assert [message for message in TOLD if not any(pattern(row).fullmatch(message) for row in ROWS)] == []


def test_the_rows_of_the_check_are_told() -> None:
    """No row of the page explains a message that does not exist; those of secrets are not in the table."""
    rows = [row for row in ROWS if not row.startswith("[secret]")]
    assert [row for row in rows if not any(pattern(row).fullmatch(message) for message in TOLD)] == []


def test_the_messages_of_a_run_are_explained() -> None:
    """What ends a run is on the page."""
    found = sorted(set(literals()))
    assert len(found) > 15
    assert [literal for literal in found if literal not in _plain(LATER)] == []


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"ImageBuilderError"}))
def test_a_type_is_named(name: str) -> None:
    """Each type of error is on the page."""
    assert f"`{name}`" in PAGE
