"""The README and the pages of docs/, and the pieces of code in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tools.workspace import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


class Piece(NamedTuple):
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """Where it is, as editors and pytest write it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pieces(language: str) -> list[Piece]:
    """All fenced blocks of a language."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Piece(page, line, match[2], match[3]))
    return [piece for piece in found if piece.language == language]
