"""The README's commands and links are those that exist."""

from __future__ import annotations

import inspect
import re
import subprocess

from pages import PAGES, pieces
from pulumi_imagebuilder import ResourceStateUpdate

from tools.workspace import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_commands() -> None:
    """Each `make` target that it names is one."""
    known = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = set(re.findall(r"(?:`|^    )make (\w+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named
    assert named <= {line.split()[0] for line in known.splitlines() if line.strip()}


def test_the_command_that_runs_all_tests() -> None:
    """Every change is tested by the very command that the README names."""
    last = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1]
    assert f"\n    {last.removeprefix('exec ')}\n" in README


def test_the_first_program_is_short() -> None:
    """Twelve lines."""
    first = next(piece for piece in pieces("python") if piece.page.name == "README.md")
    assert len(first.text.splitlines()) <= 12


def test_the_tables() -> None:
    """Every argument of a state update, and every output, has its row, and there are no others."""
    signature = inspect.signature(ResourceStateUpdate.__init__).parameters
    arguments = signature.keys() - {"self", "resource_name", "opts"}
    outputs = ResourceStateUpdate.__annotations__.keys() - arguments | {"client_token"}
    assert rows("Arguments") == arguments
    assert rows("Outputs") == outputs


def rows(section: str) -> set[str]:
    """The names in the first column of the table under a heading."""
    text = README.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    first = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    return set(re.findall(r"`(\w+)`", " ".join(first)))


def test_links_between_files() -> None:
    """What the README and the pages link to is there."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
