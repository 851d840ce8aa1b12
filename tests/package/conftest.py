"""Both distributions, built once, and an empty environment with each wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.workspace import ROOT

FROM_INDEX = "--from-index"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/package --from-index` is slow and needs a network, so it is asked for."""
    parser.addoption(
        FROM_INDEX,
        action="store_true",
        help="build in isolation, and install each wheel with all it needs from the package index",
    )


@pytest.fixture(scope="session")
def from_index(pytestconfig: pytest.Config) -> bool:
    """Whether everything is to come from the package index."""
    return bool(pytestconfig.getoption(FROM_INDEX, default=False))


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory, from_index: bool) -> Path:
    """The folder with the sdists of both distributions, and the wheels that were built from them."""
    folder = tmp_path_factory.mktemp("dist")
    alone = [] if from_index else ["--no-isolation"]
    for source in (ROOT / "emulator", ROOT):
        run_outside([sys.executable, "-m", "build", *alone, "--outdir", folder, source])
    return folder


@pytest.fixture(scope="session")
def provider_bin(tmp_path_factory: pytest.TempPathFactory, dist: Path, from_index: bool) -> Path:
    """The `bin` of a new environment that has the provider's wheel, and nothing of this clone."""
    return install(tmp_path_factory.mktemp("provider"), dist, "pulumi_imagebuilder", from_index)


@pytest.fixture(scope="session")
def emulator_bin(tmp_path_factory: pytest.TempPathFactory, dist: Path, from_index: bool) -> Path:
    """The `bin` of a new environment that has the emulator's wheel, and nothing of this clone."""
    return install(tmp_path_factory.mktemp("emulator"), dist, "imagebuilder_emulator", from_index)


def install(folder: Path, dist: Path, name: str, from_index: bool) -> Path:
    """Make an environment with one wheel, and return its `bin`."""
    (wheel,) = dist.glob(f"{name}-*.whl")
    # Pulumi asks an environment's own pip what is installed; it finds the one of `needed.pth` too.
    venv.create(folder, with_pip=from_index, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]
    if from_index:
        run_outside([*pip, wheel])
    else:
        run_outside([*pip, "--no-index", "--no-deps", wheel])
        # What it needs comes from this environment. Its own .pth files, of which two name this clone, are not read.
        site = sysconfig.get_path("purelib", vars={"base": str(folder)})
        Path(site, "needed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python.parent


@pytest.fixture(scope="session")
def outside() -> Callable[[list[object]], str]:
    """Runs a command outside of the clone that must end well; returns what it printed."""
    return run_outside


def run_outside(command: list[object]) -> str:
    """Run a command outside of the clone that must end well; what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    ended = subprocess.run(
        [str(word) for word in command], cwd="/", env=environment, capture_output=True, text=True, timeout=600
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
