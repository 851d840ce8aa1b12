"""The README and the pages of docs/, and the pieces of code in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tools.workspace import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts),
]

_FENCE = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


class Piece(NamedTuple):
    """A fenced block of a page, or a whole program."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """Where it is, as editors and pytest write it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def _pieces() -> Iterator[Piece]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            yield Piece(page, text.count("\n", 0, match.start()) + 1, match[2], match[3])


PIECES = list(_pieces())
"""All fenced blocks, page by page."""


def pieces(language: str) -> list[Piece]:
    """Return the fenced blocks of a language."""
    return [piece for piece in PIECES if piece.language == language]
