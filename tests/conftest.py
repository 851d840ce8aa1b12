"""What all tests share: the counts of those that ran the real program and a real browser."""

from __future__ import annotations

import browser
import pytest

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
    """Tell how many tests ran the real pulumi program, and the console in a browser."""
    passed = terminalreporter.getreports("passed")
    ran = [each for each in passed if "engine" in each.keywords]
    terminalreporter.write_line(f"{len(ran)} tests ran the real pulumi program")
    found = browser.find()
    if found:
        shown = [each for each in passed if "test_console_browser.py" in each.nodeid]
        terminalreporter.write_line(f"{len(shown)} tests ran the console in {browser.version(found[0])}")
    else:
        terminalreporter.write_line("0 tests ran the console in a browser: no Chromium on PATH (see `make browser`)")
