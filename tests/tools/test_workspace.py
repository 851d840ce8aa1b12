"""The environment in which tests, demo and benchmark run `pulumi`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.workspace import Workspace

PULUMI = """#!/bin/sh
echo '{}' > Pulumi.local.yaml
grep SigIgn /proc/self/status
"""


@pytest.fixture
def interrupts_are_ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts_are_ignored")
def test_pulumi_heeds_interrupts_that_a_background_shell_ignores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the engine would wait five seconds for its plugins, in each run."""
    (tmp_path / "bin").mkdir()
    pulumi = tmp_path / "bin" / "pulumi"
    pulumi.write_text(PULUMI, encoding="utf-8")
    pulumi.chmod(0o755)
    monkeypatch.setenv("PATH", str(pulumi.parent), prepend=":")
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "Pulumi.yaml").write_text("name: program\nruntime: yaml\n", encoding="utf-8")
    workspace = Workspace(tmp_path / "program", tmp_path, "http://127.0.0.1:1", {})
    ignored = int(workspace.run("version").stdout.split()[1], base=16)
    assert not ignored & 1 << signal.SIGINT - 1
