"""What all tests share: runs of a program with Pulumi's mocks, and counts of those with real programs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from types import CodeType
from typing import Any

import pytest

from tools import browser

Declared = list[tuple[str, dict[str, Any]]]
"""What a program declares: types, and inputs by name."""

# Chromium cannot be installed by pip: where it is missing, the console is tested over HTTP alone, and the run says so.
collect_ignore = [] if browser.find() else ["emulator/test_console_browser.py"]


@pytest.hookimpl
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything under tests/engine runs the real pulumi program."""
    for item in items:
        if item.path.parent.name == "engine":
            item.add_marker("engine")


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many tests ran the real pulumi program, and the console in a browser, and what was simulated."""
    passed = terminalreporter.getreports("passed")
    for report in (*passed, *terminalreporter.getreports("failed")):
        for name, figures in report.user_properties:
            terminalreporter.write_line(f"{name}, {figures}")
    ran = [each for each in passed if "engine" in each.keywords]
    terminalreporter.write_line(f"{len(ran)} tests ran the real pulumi program")
    found = browser.find()
    if found:
        shown = [each for each in passed if "test_console_browser.py" in each.nodeid]
        terminalreporter.write_line(f"{len(shown)} tests ran the console in {browser.version(found[0])}")
    else:
        terminalreporter.write_line("0 tests ran the console in a browser: no Chromium on PATH (see `make browser`)")


@pytest.fixture
def declared_by(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Declared]]:
    """Runs a program to its end with Pulumi's mocks: its code, the settings, and outputs by type; what it declares."""
    import pulumi.runtime
    import pulumi.runtime.settings
    import pulumi.runtime.stack

    # Pulumi's mocks make an event loop in each of their threads, and close none.
    make, made = asyncio.new_event_loop, []

    def noted() -> asyncio.AbstractEventLoop:
        made.append(make())
        return made[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", noted)

    class Engine(pulumi.runtime.Mocks):
        """Stands for the engine: each resource is created, with its inputs as outputs and what is given beside."""

        def __init__(self, outputs: Mapping[str, Mapping[str, Any]]) -> None:
            self.outputs = outputs
            self.declared: Declared = []

        def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
            self.declared.append((args.typ, args.inputs))
            return args.inputs.get("resource_arn", args.name), {**args.inputs, **self.outputs.get(args.typ, {})}

        def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
            raise AssertionError(args.token)

    async def run(code: CodeType, settings: Mapping[str, str], engine: Engine) -> None:
        pulumi.runtime.settings.reset_options()
        pulumi.runtime.set_mocks(engine, project="project")
        pulumi.runtime.set_all_config(dict(settings))
        await pulumi.runtime.stack.run_pulumi_func(lambda: exec(code, {"__name__": "__main__"}))

    def declared_by(
        code: CodeType, settings: Mapping[str, str], outputs: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Declared:
        engine = Engine(outputs or {})
        asyncio.run(run(code, settings, engine))
        return engine.declared

    yield declared_by
    for loop in made:
        loop.close()
