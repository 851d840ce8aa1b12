"""The wheel and the sdist: what is in them, and that they can be used from an empty environment."""

from __future__ import annotations

import email
import email.message
import os
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi_imagebuilder
import pytest
import yaml
from imagebuilder_emulator.emulator import Emulator

from tools.workspace import ROOT, Workspace

IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
ROLE = "arn:aws:iam::123456789012:role/ImageLifecycle"


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> email.message.Message:
    """What the wheel says about itself."""
    with zipfile.ZipFile(wheel) as opened:
        (path,) = [name for name in opened.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(opened.read(path))


def test_what_the_wheel_says_about_itself(metadata: email.message.Message) -> None:
    """Name, version, licence and what it needs; pulumi-aws is needed by nobody who does not ask for it."""
    assert metadata["Name"] == "pulumi-imagebuilder"
    assert metadata["Version"] == pulumi_imagebuilder.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert {"aws", "dev", "emulator"} <= set(metadata.get_all("Provides-Extra") or [])
    needed = metadata.get_all("Requires-Dist") or []
    assert all("extra == " in each for each in needed if "pulumi-aws" in each)
    assert sorted(re.split("[<>]", each)[0] for each in needed if "extra" not in each) == [
        "boto3",
        "pulumi",
        "tenacity",
    ]


def test_the_version_is_written_once() -> None:
    """In `_version.py`: wheel, sdist and `__version__` have it from there."""
    version = pulumi_imagebuilder.__version__
    holding = [
        path.relative_to(ROOT).as_posix()
        for folder in ("provider", "emulator", "pyproject.toml", "docs/conf.py")
        for path in ([ROOT / folder] if (ROOT / folder).is_file() else (ROOT / folder).rglob("*.py"))
        if f'"{version}"' in path.read_text(encoding="utf-8")
    ]
    assert holding == ["provider/pulumi_imagebuilder/_version.py"]


def test_what_is_in_the_wheel(wheel: Path) -> None:
    """Both packages with all their modules and their types, the licence, and nothing else."""
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    packages = {
        path.relative_to(ROOT / folder).as_posix()
        for folder in ("provider", "emulator")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"pulumi_imagebuilder/py.typed", "imagebuilder_emulator/py.typed"} <= packages
    about = f"pulumi_imagebuilder-{pulumi_imagebuilder.__version__}.dist-info"
    written = {f"{about}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    assert names == packages | written


def test_what_is_in_the_sdist(sdist: Path) -> None:
    """What it takes to build the wheel, which `build` does from it, and nothing else of the clone."""
    with tarfile.open(sdist) as opened:
        names = [name.split("/", 1)[1] for name in opened.getnames()]
    assert {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO"} <= set(names)
    tops = {name.split("/")[0] for name in names}
    assert tops == {"provider", "emulator", "pyproject.toml", "README.md", "LICENSE", "PKG-INFO", ".gitignore"}


def test_it_is_imported_from_the_wheel(installed: Path, outside: Callable[[list[object]], str]) -> None:
    """Not from the clone; and it has its version and its types with it."""
    program = (
        "import pathlib, pulumi_imagebuilder as package; folder = pathlib.Path(package.__file__).parent; "
        "print(folder, package.__version__, (folder / 'py.typed').exists(), len(package.__all__))"
    )
    folder, version, typed, names = outside([installed / "python", "-c", program]).split()
    assert Path(folder).is_relative_to(installed.parent)
    assert (version, typed) == (pulumi_imagebuilder.__version__, "True")
    assert int(names) == len(pulumi_imagebuilder.__all__)


def test_its_console_script(installed: Path, outside: Callable[[list[object]], str]) -> None:
    """The emulator starts from the wheel's own script."""
    assert "--execution-time" in outside([installed / "imagebuilder-emulator", "--help"])


@pytest.mark.engine
def test_pulumi_runs_it_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """A program in an empty folder: up, and nothing to do after it, with the wheel alone."""
    project = tmp_path / "program"
    project.mkdir()
    project.joinpath("Pulumi.yaml").write_text(yaml.safe_dump({"name": "test", "runtime": "python"}), encoding="utf-8")
    project.joinpath("__main__.py").write_text(
        "import pulumi, pulumi_imagebuilder\n"
        f"done = pulumi_imagebuilder.ResourceStateUpdate('web', resource_arn={IMAGE!r}, state='DISABLED',\n"
        f"    execution_role={ROLE!r}, include_resources={{'amis': True}})\n"
        "pulumi.export('status', done.status)\n"
        "pulumi.export('file', pulumi_imagebuilder.__file__)\n",
        encoding="utf-8",
    )
    with Emulator(ROOT / "examples" / "quickstart" / "seed.yaml", execution_time="1s") as emulator:
        workspace = Workspace(project, tmp_path, emulator.url, {})
        workspace.environment["PATH"] = os.pathsep.join([str(installed), workspace.environment["PATH"]])
        run(workspace, "up", "--yes", "--skip-preview")
        outputs = workspace.outputs()
        assert outputs["status"] == "SUCCESS"
        assert Path(outputs["file"]).is_relative_to(installed.parent)
        run(workspace, "preview", "--expect-no-changes")


def run(workspace: Workspace, *command: Any) -> None:
    ended = workspace.run(*command, "--non-interactive")
    assert ended.returncode == 0, ended.stdout + ended.stderr
