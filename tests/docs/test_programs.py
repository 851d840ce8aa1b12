"""Programs in the README, docs/ and examples/ run, and a local Image Builder carries out what they declare."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator
from pages import PIECES, Piece
from pulumi_imagebuilder.aws.service import Service
from pulumi_imagebuilder.engine import Engine
from pulumi_imagebuilder.handlers import HANDLERS
from pulumi_imagebuilder.host import Call, Host

from tools.workspace import ROOT

PREFIX = "pulumi-python:dynamic/imagebuilder:"
ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
SETTINGS = {
    "project:executionRole": "ImageLifecycle",
    "project:imageArn": ARN,
    "project:image": "web",
    "project:keep": "1",
}
OUTPUTS = {f"{PREFIX}ResourceStateUpdate": {"resources": []}}
"""What a program reads of a resource that is not created yet when it runs under mocks."""

DYNAMIC = [
    piece for piece in PIECES if piece.language == "python" and "from pulumi_imagebuilder import" in piece.text
] + [
    Piece(path, 1, "python", path.read_text(encoding="utf-8"))
    for path in (ROOT / "examples" / name / "__main__.py" for name in ("quickstart", "retention", "cleanup"))
]


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator(ROOT / "tests" / "docs" / "seed.yaml", execution_time="100ms") as emulator:
        yield emulator


@pytest.fixture
def emulator(running: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """A local Image Builder that has what the pages speak of, and builds in every other state beside it."""
    running.reset()
    for name, value in {
        "AWS_ENDPOINT_URL": running.url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    return running


async def carry_out(declared: list[tuple[str, dict[str, Any]]]) -> None:
    """Validate and create each resource of a program, and destroy the clean-ups among them.

    Raises:
        ImageBuilderError: one of them fails.
    """
    host = Host(Service, Engine(None))
    handlers = {f"{PREFIX}{handler.kind.value}": handler(host) for handler in HANDLERS}
    for kind, inputs in declared:
        handler = handlers[kind]
        arguments = {name: inputs.get(name) for name in handler.arguments if inputs.get(name) is not None}
        checked = await handler.check(Call("check", "urn:pulumi::web"), {}, arguments)
        assert checked.failures == []
        result = await handler.create(Call("create", "urn:pulumi::web", time_limit=60), checked.inputs)
        if result.error:
            raise result.error
        if kind.endswith("ImageCleanup"):
            # In another run, in which the program declares nothing any more.
            destroyer = type(handler)(Host(Service, Engine(None)))
            error = await destroyer.delete(Call("delete", time_limit=60), result.state)
            if error:
                raise error


@pytest.mark.parametrize("program", DYNAMIC, ids=lambda program: program.name)
def test_a_program_is_carried_out(
    program: Piece, emulator: Emulator, declared_by: Callable[..., list[tuple[str, dict[str, Any]]]]
) -> None:
    """It runs to its end, declares at least one of our resources, and each is carried out without an error."""
    # Mocks answer the functions themselves: here they ask the emulator, as they would in a program.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pulumi_imagebuilder.resources.listings._is_mocked", lambda: False)
        declared = declared_by(compile(program.text, program.name, "exec"), SETTINGS, OUTPUTS)
    ours = [(kind, inputs) for kind, inputs in declared if kind.startswith(PREFIX)]
    assert ours
    asyncio.run(carry_out(ours))


@pytest.mark.parametrize(
    "piece", [piece for piece in PIECES if piece.language == "python"], ids=lambda piece: piece.name
)
def test_code_is_python(piece: Piece) -> None:
    """What is called Python is."""
    compile(piece.text, piece.name, "exec")
