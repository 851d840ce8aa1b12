"""Programs in the README and in docs/ run, and declare nothing that the provider would refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator
from pages import Piece, pieces
from pulumi_imagebuilder import dynamic, rules

from tools.workspace import ROOT

SETTINGS = {
    "project:executionRole": "ImageLifecycle",
    "project:imageArn": "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1",
}
PROGRAMS = [piece for piece in pieces("python") if "pulumi_imagebuilder" in piece.text]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """A local Image Builder that has what the pages speak of."""
    with Emulator(ROOT / "tests" / "docs" / "seed.yaml") as running:
        yield running


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_program_declares_what_is_valid(
    program: Piece,
    emulator: Emulator,
    declared_by: Callable[..., list[tuple[str, dict[str, Any]]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It runs to its end, declares at least one of our resources, and each passes the provider's own check."""
    for name, value in {
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    declared = declared_by(compile(program.text, program.name, "exec"), SETTINGS)

    ours = [(kind, inputs) for kind, inputs in declared if "dynamic/imagebuilder:" in kind]
    assert ours
    for kind, inputs in ours:
        provider = getattr(dynamic, kind.rpartition(":")[2] + "Provider")
        given = {name: value for name, value in inputs.items() if not name.startswith("__")}
        outputs = {name for name, value in given.items() if value is None}
        checked = rules.check(provider.kind, {name: given[name] for name in given.keys() - outputs})
        assert checked.failures == []


@pytest.mark.parametrize("piece", pieces("python"), ids=lambda piece: piece.name)
def test_code_is_python(piece: Piece) -> None:
    """What is called Python is."""
    compile(piece.text, piece.name, "exec")
