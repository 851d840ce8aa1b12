"""Programs in the README and in docs/ run, and declare nothing that the provider would refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import CodeType
from typing import Any

import pulumi
import pulumi.runtime
import pulumi.runtime.settings
import pulumi.runtime.stack
import pytest
from imagebuilder_emulator.emulator import Emulator
from pages import Piece, pieces
from pulumi_imagebuilder import dynamic, rules
from workspace import ROOT

SETTINGS = {
    "project:executionRole": "ImageLifecycle",
    "project:imageArn": "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1",
}
PROGRAMS = [piece for piece in pieces("python") if "pulumi_imagebuilder" in piece.text]


class Engine(pulumi.runtime.Mocks):
    """Stands for the engine: notes what a program declares."""

    def __init__(self) -> None:
        self.declared: list[tuple[str, dict[str, Any]]] = []

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Each resource is created with its inputs as outputs."""
        self.declared.append((args.typ, args.inputs))
        return args.inputs.get("resource_arn", args.name), args.inputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        """No page calls a function of another provider."""
        raise AssertionError(args.token)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """A local Image Builder that has what the pages speak of."""
    with Emulator(ROOT / "tests" / "docs" / "seed.yaml") as running:
        yield running


async def run(code: CodeType, engine: Engine) -> None:
    """Run a program to its end, with all that it began."""
    pulumi.runtime.settings.reset_options()
    pulumi.runtime.set_mocks(engine, project="project")
    pulumi.runtime.set_all_config(SETTINGS)
    await pulumi.runtime.stack.run_pulumi_func(lambda: exec(code, {"__name__": "__main__"}))


@pytest.fixture(autouse=True)
def loops_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pulumi's mocks make an event loop in each of their threads, and close none."""
    make, made = asyncio.new_event_loop, []

    def noted() -> asyncio.AbstractEventLoop:
        made.append(make())
        return made[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", noted)
    yield
    for loop in made:
        loop.close()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_program_declares_what_is_valid(program: Piece, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs to its end, declares at least one of our resources, and each passes the provider's own check."""
    for name, value in {
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    engine = Engine()
    asyncio.run(run(compile(program.text, program.name, "exec"), engine))

    ours = [(kind, inputs) for kind, inputs in engine.declared if "dynamic/imagebuilder:" in kind]
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
