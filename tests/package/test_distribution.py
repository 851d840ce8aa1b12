"""Both distributions: what is in their wheels and sdists, and that each works in an environment without the other."""

from __future__ import annotations

import email
import email.message
import os
import re
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pulumi_imagebuilder
import pytest
import yaml
from imagebuilder_emulator.emulator import Emulator
from packaging.requirements import Requirement

from tools.workspace import ROOT, Workspace

IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
ROLE = "arn:aws:iam::123456789012:role/ImageLifecycle"
IMPORTS = (
    "import importlib.util as util, pathlib, {0}\n"
    # A folder without modules, as the one where `make setup` puts pulumi-plugin.json, has no origin.
    "print(pathlib.Path({0}.__file__).parent, getattr(util.find_spec('{1}'), 'origin', None))"
)


class Distribution(NamedTuple):
    """What one of the two is made of."""

    project: Path
    source: Path
    package: str
    needs: set[str]
    tops: set[str]

    def declared(self) -> dict[str, Any]:
        """Its pyproject.toml's table `project`."""
        return dict(tomllib.loads((self.project / "pyproject.toml").read_text(encoding="utf-8"))["project"])


PROVIDER = Distribution(
    ROOT,
    ROOT / "provider",
    "pulumi_imagebuilder",
    {"botocore", "pulumi", "tenacity"},
    {"provider", "pyproject.toml", "README.md", "LICENSE", "PKG-INFO"},
)
EMULATOR = Distribution(
    ROOT / "emulator",
    ROOT / "emulator",
    "imagebuilder_emulator",
    {"boto3", "cattrs", "flask", "flask-cors", "moto", "pyyaml", "werkzeug"},
    {"imagebuilder_emulator", "pyproject.toml", "README.md", "LICENSE", "PKG-INFO"},
)
both = pytest.mark.parametrize("distribution", [PROVIDER, EMULATOR], ids=lambda distribution: distribution.package)


def read_metadata(dist: Path, distribution: Distribution) -> email.message.Message:
    (wheel,) = dist.glob(f"{distribution.package}-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        (path,) = [name for name in opened.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(opened.read(path))


@both
def test_metadata(dist: Path, distribution: Distribution) -> None:
    """Name, version, licence, Pythons, links and what it needs; pulumi-aws only where it is asked for."""
    metadata = read_metadata(dist, distribution)
    assert metadata["Name"] == distribution.package.replace("_", "-")
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    links = dict(link.split(", ") for link in metadata.get_all("Project-URL") or [])
    assert {"Documentation", "Issues", "Repository"} <= set(links)
    pythons = {"3.11", "3.12", "3.13", "3.14"}
    assert pythons <= {line.rpartition(" ")[2] for line in metadata.get_all("Classifier") or []}
    needed = metadata.get_all("Requires-Dist") or []
    assert {re.split(r"[<>\[]", line)[0] for line in needed if "extra == " not in line} == distribution.needs


def test_the_extra_asks_for_the_emulator(dist: Path) -> None:
    """The extra of the provider asks for the distribution beside it, in a version that this one satisfies."""
    metadata = read_metadata(dist, PROVIDER)
    assert {"aws", "dev", "emulator"} <= set(metadata.get_all("Provides-Extra") or [])
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist") or [] if "extra == " in line]
    (emulator,) = [found for found in requirements if found.marker and found.marker.evaluate({"extra": "emulator"})]
    assert emulator.name == "imagebuilder-emulator"
    assert read_metadata(dist, EMULATOR)["Version"] in emulator.specifier


def test_each_version_has_one_place() -> None:
    """The provider's is in `_version.py`, the emulator's in its pyproject.toml."""
    versions = {pulumi_imagebuilder.__version__, EMULATOR.declared()["version"]}
    sources = [*ROOT.glob("provider/**/*.py"), *ROOT.glob("emulator/**/*.py"), ROOT / "docs" / "conf.py"]
    projects = [ROOT / "pyproject.toml", ROOT / "emulator" / "pyproject.toml"]
    holding = [
        path.relative_to(ROOT).as_posix()
        for path in [*sources, *projects]
        if any(f'"{version}"' in path.read_text(encoding="utf-8") for version in versions)
    ]
    assert holding == ["provider/pulumi_imagebuilder/_version.py", "emulator/pyproject.toml"]


@both
def test_wheel_content(dist: Path, distribution: Distribution) -> None:
    """The package with all its modules and its types, the licence, and nothing else."""
    (wheel,) = dist.glob(f"{distribution.package}-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    files = {
        path.relative_to(distribution.source).as_posix()
        for path in (distribution.source / distribution.package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert f"{distribution.package}/py.typed" in files
    about = f"{distribution.package}-{read_metadata(dist, distribution)['Version']}.dist-info"
    written = {f"{about}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE")}
    if "scripts" in distribution.declared():
        written.add(f"{about}/entry_points.txt")
    assert names == files | written


@both
def test_sdist_content(dist: Path, distribution: Distribution) -> None:
    """What it takes to build the wheel, which `build` does from it, and nothing else of the clone."""
    (sdist,) = dist.glob(f"{distribution.package}-*.tar.gz")
    with tarfile.open(sdist) as opened:
        names = [name.split("/", 1)[1] for name in opened.getnames()]
    # The build backend adds the ignore file of the clone where it lies in the project's own folder.
    assert {name.split("/")[0] for name in names} - {".gitignore"} == distribution.tops


def test_provider_without_emulator(provider_bin: Path, outside: Callable[[list[object]], str]) -> None:
    """The provider is imported from its wheel, and no emulator is there."""
    program = IMPORTS.format("pulumi_imagebuilder", "imagebuilder_emulator")
    folder, emulator = outside([provider_bin / "python", "-c", program]).split()
    assert Path(folder).is_relative_to(provider_bin.parent)
    assert emulator == "None"
    assert not (provider_bin / "imagebuilder-emulator").exists()


def test_emulator_without_provider(emulator_bin: Path, outside: Callable[[list[object]], str]) -> None:
    """The emulator is imported from its wheel, its command runs, and neither the provider nor Pulumi is used."""
    program = IMPORTS.format("imagebuilder_emulator", "pulumi_imagebuilder")
    folder, provider = outside([emulator_bin / "python", "-c", program]).split()
    assert Path(folder).is_relative_to(emulator_bin.parent)
    assert provider == "None"
    assert "--execution-time" in outside([emulator_bin / "imagebuilder-emulator", "--help"])
    loaded = "import sys, imagebuilder_emulator.emulator; print('pulumi' in sys.modules)"
    assert outside([emulator_bin / "python", "-c", loaded]).strip() == "False"


@pytest.mark.engine
def test_pulumi_runs_the_provider_from_the_wheel(provider_bin: Path, tmp_path: Path) -> None:
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
        workspace.environment["PATH"] = os.pathsep.join([str(provider_bin), workspace.environment["PATH"]])
        workspace.environment.pop("PYTHONPATH", None)
        # The plugin is in the same folder: a program that does not use it does not hear of it.
        assert "from $PATH" not in run(workspace, "up", "--yes", "--skip-preview")
        outputs = workspace.outputs()
        assert outputs["status"] == "SUCCESS"
        assert Path(outputs["file"]).is_relative_to(provider_bin.parent)
        run(workspace, "preview", "--expect-no-changes")


@pytest.mark.engine
@pytest.mark.parametrize(
    ("options", "written"),
    [
        pytest.param(
            {"virtualenv": "venv"}, {"plugins": {"providers": [{"name": "imagebuilder", "path": "venv/bin"}]}}
        ),
        pytest.param({"toolchain": "uv"}, {"packages": {"imagebuilder": "./venv/bin"}}),
    ],
    ids=["virtualenv", "uv"],
)
def test_pulumi_runs_the_plugin_of_an_environment(
    provider_bin: Path, tmp_path: Path, options: Any, written: Any
) -> None:
    """One that Pulumi makes is not on the engine's PATH: one line says what to write. That, or `packages`, is enough.

    The language host here knows neither option. What the ones that do run the program with is put in its place: the
    environment's Python, with the environment's scripts first on the program's own PATH.
    """
    project = tmp_path / "program"
    project.mkdir()
    declared: dict[str, Any] = {"name": "test", "runtime": {"name": "python", "options": options}}
    project.joinpath("Pulumi.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
    with Emulator(ROOT / "examples" / "quickstart" / "seed.yaml", execution_time="1s") as emulator:
        workspace = Workspace(project, tmp_path, emulator.url, {})
        scripts = workspace.folder / "venv" / "bin"
        scripts.parent.symlink_to(provider_bin.parent)
        host = tmp_path / "host"
        host.mkdir()
        for name in ("python", "python3"):
            host.joinpath(name).write_text(f'#!/bin/sh\nPATH={scripts}:$PATH exec {scripts}/python "$@"\n')
            host.joinpath(name).chmod(0o755)
        plugin = "pulumi-resource-imagebuilder"
        path = [Path(folder) for folder in workspace.environment["PATH"].split(os.pathsep)]
        path = [host, *(folder for folder in path if not (folder / plugin).exists())]
        workspace.environment["PATH"] = os.pathsep.join(map(str, path))
        workspace.environment.pop("PYTHONPATH", None)
        workspace.folder.joinpath("Pulumi.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
        workspace.folder.joinpath("__main__.py").write_text(
            "from pulumi_imagebuilder.native import ResourceStateUpdate\n"
            f"ResourceStateUpdate('web', resource_arn={IMAGE!r}, state='DEPRECATED')\n",
            encoding="utf-8",
        )
        refused = workspace.run("up", "--yes", "--skip-preview", "--non-interactive", "--color", "never")
        assert refused.returncode != 0
        advice = re.findall(r"^    warning: (.*)$", refused.stdout.partition("Diagnostics:")[2], re.MULTILINE)
        to_write = "plugins: {providers: [{name: imagebuilder, path: venv/bin}]}"
        assert advice == [f"{plugin} is not on the PATH of `pulumi`; write into Pulumi.yaml: {to_write}"]

        declared |= written
        workspace.folder.joinpath("Pulumi.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
        assert "warning" not in run(workspace, "up", "--yes", "--skip-preview")
        run(workspace, "preview", "--expect-no-changes")


def run(workspace: Workspace, *command: Any) -> str:
    ended = workspace.run(*command, "--non-interactive")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr
