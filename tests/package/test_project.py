"""What contributors rely on: the changelog, pre-commit, the map in CONTRIBUTING.md, and `make help`."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import yaml

from tools.workspace import ROOT


def test_every_fragment_is_in_the_changelog() -> None:
    """What `towncrier build` would write has each fragment, under the heading of its kind."""
    draft = subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "9.9.9"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    fragments = sorted((ROOT / "changelog.d").glob("*.md"))
    for fragment in fragments:
        kind = fragment.name.split(".")[-2].capitalize()
        assert f"- {fragment.read_text(encoding='utf-8').strip()}" in draft.partition(f"### {kind}\n")[2]
    assert draft.count("\n- ") == len(fragments)


def test_pre_commit_runs_what_make_check_runs() -> None:
    """The same tools, of the same environment."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    used = {hook["entry"].removeprefix(".venv/bin/").removesuffix(" --fix") for hook in hooks}
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ncheck:")[2].partition("\n\n")[0]
    checked = re.findall(r"^\t\$\(BIN\)/(.+)$", recipe, re.MULTILINE)
    assert used == {re.sub(r" --check| \.$", "", line) for line in checked}


def test_every_target_is_explained() -> None:
    """`make help` shows each target that a person would run."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    # Not as a part of the `make` that runs this test, which would announce itself.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    shown = subprocess.run(
        ["make", "help"], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[0] for line in shown.splitlines() if line} == targets


def test_the_map_shows_what_is_there() -> None:
    """All that CONTRIBUTING.md names exists, and no module of the provider is missing."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name in re.findall(r"(?:tests|tools|docs|emulator)/[\w/.-]+\b", text):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"python -m ((?:tools|bench|tests)\.[\w.]+)", text):
        assert (ROOT / (name.replace(".", "/") + ".py")).exists(), name
    package = ROOT / "provider" / "pulumi_imagebuilder"
    map_of_modules = text.partition("## Map of the provider")[2].partition("\nBeside it:")[0]
    named = set(re.findall(r"`([\w/]+\.py)`", map_of_modules))
    modules = {str(path.relative_to(package)) for path in package.rglob("*.py")}
    # A package's own file mostly says only what is beside it.
    assert {name for name in modules if not name.endswith("__init__.py")} <= named <= modules
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for names in re.findall(r"`make ([a-z ]+)`", text):
        assert all(f"\n{name}:" in makefile for name in names.split()), names
