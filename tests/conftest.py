"""What all tests share: the count of those that ran the real program."""

from __future__ import annotations

import pytest


@pytest.hookimpl
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything under tests/engine runs the real pulumi program."""
    for item in items:
        if item.path.parent.name == "engine":
            item.add_marker("engine")


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many tests ran the real pulumi program."""
    ran = [each for each in terminalreporter.getreports("passed") if "engine" in each.keywords]
    terminalreporter.write_line(f"{len(ran)} tests ran the real pulumi program")
