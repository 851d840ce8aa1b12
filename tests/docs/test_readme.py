"""The README's commands exist, its tables are complete, and the links of all pages lead somewhere."""

from __future__ import annotations

import inspect
import re
import subprocess

from pages import PAGES
from pulumi_imagebuilder import ResourceStateUpdate

from tools.workspace import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_each_make_target_exists() -> None:
    """What the README names, `make help` shows."""
    known = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = set(re.findall(r"(?:`|^    )make (\w+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named
    assert named <= {line.split()[0] for line in known.splitlines() if line.strip()}


def test_ci_runs_the_command_that_the_readme_names() -> None:
    """Every change is tested by that command."""
    last = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1]
    assert f"\n    {last.removeprefix('exec ')}\n" in README


def test_all_arguments_and_outputs_are_listed() -> None:
    """Every argument of a state update, and every output, has its row, and there are no others."""
    signature = inspect.signature(ResourceStateUpdate.__init__).parameters
    arguments = signature.keys() - {"self", "resource_name", "opts"}
    outputs = ResourceStateUpdate.__annotations__.keys() - arguments | {"client_token"}
    assert rows("Arguments") == arguments
    assert rows("Outputs") == outputs


def rows(section: str) -> set[str]:
    """Return the names in the first column of the table under a heading."""
    text = README.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    first = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    return set(re.findall(r"`(\w+)`", " ".join(first)))


def test_linked_files_exist() -> None:
    """What the README and the pages link to exists."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
