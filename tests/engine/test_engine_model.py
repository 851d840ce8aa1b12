"""The simulation's model of the engine is held against the real `pulumi` program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator

from tests.simulation.engine_model import Declaration, Program
from tests.simulation.histories import History, generate
from tests.simulation.simulator import Report, Simulator
from tools.workspace import Workspace

CLASSES = {"single": "ResourceStateUpdate", "fleet": "FleetStateUpdate", "cleanup": "ImageCleanup"}
MAX_RUNS = 5


def undisturbed(seed: int) -> History:
    """Return a history without what depends on the instant: kills, faults, rivals and pauses."""
    history = generate(seed)
    steps = [
        replace(
            step,
            pause=0.0,
            kill=None,
            faults=(),
            events=(),
            program=tuple(map(_awaited, step.program)),
        )
        for step in history.steps
        if step.stack == "dev"
    ]
    return replace(history, steps=tuple(steps[:MAX_RUNS]), execution_time=1.0, native=False, denied=(), variants={})


def _awaited(declaration: Declaration) -> Declaration:
    """Return a declaration whose execution has ended before the next run."""
    inputs = {name: value for name, value in declaration.inputs.items() if name != "wait"}
    return replace(declaration, inputs=inputs, time_limit=None)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """What carries out histories in virtual time; the emulator's server has moto to itself after that."""
    return Simulator()


@pytest.mark.parametrize("seed", [10, 20, 27, 34])
def test_a_history_ends_as_with_the_real_program(seed: int, simulator: Simulator, tmp_path: Path) -> None:
    """Images, and the executions of each with how they ended, are the same at the end of the same runs."""
    history = undisturbed(seed)
    modelled = simulator.run(history, finish=False)
    assert modelled.broken is None
    real = _run_for_real(history, tmp_path)
    assert real.states == modelled.states
    assert real.executions == modelled.executions


def _run_for_real(history: History, folder: Path) -> Report:
    program = folder / "program"
    program.mkdir()
    (program / "Pulumi.yaml").write_text("{name: simulation, runtime: python}")
    images = [_seed_of(arn, dict(about)) for arn, about in history.images.items()]
    report = Report(history)
    with Emulator({"roles": ["ImageLifecycle"], "images": images}, execution_time="1s") as emulator:
        workspace = Workspace(program, folder, emulator.url, {})
        for step in history.steps:
            (program / "__main__.py").write_text(_source_of(step.program))
            for command in {"refresh-up": ("refresh", "up")}.get(step.command, (step.command,)):
                # Some runs fail, as they do in the model: what counts is what they leave.
                agreed = () if command == "preview" else ("--yes", "--skip-preview")
                workspace.run(command, *agreed, "--non-interactive")
        with emulator.lock:
            emulator.backend.advance()
            for arn in history.images:
                image = emulator.backend.images.get(arn)
                report.states[arn] = image.state if image else "DELETED"
                found = reversed(emulator.backend.store.executions_of(arn))
                report.executions[arn] = [(each.target, each.status) for each in found]
    return report


def _seed_of(arn: str, about: dict[str, Any]) -> dict[str, Any]:
    about.pop("built_in", None)
    if about.get("type") == "DOCKER":
        return {"arn": arn, "containers": [{}], **about}
    amis = []
    for ami in about.pop("amis", ()):
        days = ami.get("launched_days_ago")
        launched = {} if days is None else {"last_launched": (datetime.now(UTC) - timedelta(days=days)).isoformat()}
        amis.append({**{name: value for name, value in ami.items() if name != "launched_days_ago"}, **launched})
    return {"arn": arn, "amis": amis, **about}


def _source_of(program: Program) -> str:
    lines = ["import pulumi", "import pulumi_imagebuilder as ib", "made = {}"]
    lines += [_declaration(each) for each in program]
    return "\n".join(lines)


def _declaration(declaration: Declaration) -> str:
    options = [f"depends_on=[made[name] for name in {declaration.after!r} if name in made]"]
    if declaration.alias:
        options.append(f"aliases=[pulumi.Alias(name={declaration.alias!r})]")
    if declaration.delete_first:
        options.append("delete_before_replace=True")
    return (
        f"made[{declaration.name!r}] = ib.{CLASSES[declaration.kind]}("
        f"{declaration.name!r}, **{dict(declaration.inputs)!r}, opts=pulumi.ResourceOptions({', '.join(options)}))"
    )
