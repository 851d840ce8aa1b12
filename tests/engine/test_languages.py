"""SDKs in other languages: generated from the schema, and programs that use them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from imagebuilder_emulator.emulator import Emulator
from pulumi_imagebuilder.plugin.schema import package_schema

from tools.workspace import ROOT, Workspace

IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
NEWER_SDK = """
import "@pulumi/pulumi";
declare module "@pulumi/pulumi/runtime" {
    // What a generator of today uses and an older SDK does not have.
    function existsResource(...args: any[]): any;
}
"""


def run(*command: str | Path, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def sdks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SDKs of all languages whose generators are in Pulumi's own Go module."""
    if shutil.which("go") is None:
        pytest.skip("no go on PATH")
    folder = tmp_path_factory.mktemp("sdks")
    schema = folder / "schema.json"
    schema.write_text(json.dumps(package_schema()), encoding="utf-8")
    generator = ROOT / "tests" / "engine" / "gensdk.go"
    run("go", "run", generator, schema, folder, cwd=ROOT / "tools" / "engine" / "pulumi")
    return folder


def test_get_schema(bench: Any) -> None:
    """The engine reads the schema from the plugin and finds nothing wrong with it."""
    done = bench.workspace.run(
        "package", "get-schema", str(Path(sys.executable).parent / "pulumi-resource-imagebuilder")
    )
    assert done.returncode == 0, done.stderr
    schema = json.loads(done.stdout)
    assert set(schema["resources"]) == set(package_schema()["resources"])
    assert "warning" not in done.stderr


def test_a_plugin_from_source(bench: Any) -> None:
    """The engine finds `PulumiPlugin.yaml` and has the language host run the folder, as after `pulumi package add`.

    The language host here runs a plugin in the project's folder, so the plugin's files are put there.
    """
    folder = bench.workspace.folder
    for name in ("PulumiPlugin.yaml", "__main__.py"):
        shutil.copy(ROOT / "provider" / name, folder)
    # In the place of the environment that `pulumi package add` makes and installs requirements.txt into.
    python = folder / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    resource = {
        "type": "imagebuilder:ResourceStateUpdate",
        "properties": {"resourceArn": IMAGE, "state": "DEPRECATED"},
    }
    project = {
        "name": "test",
        "runtime": "yaml",
        "plugins": {"providers": [{"name": "imagebuilder", "path": "."}]},
        "resources": {"web": resource},
    }
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")
    printed = bench.check("up")
    assert "from $PATH" not in printed
    assert bench.image_state(IMAGE) == "DEPRECATED"


@pytest.mark.parametrize(
    ("language", "file", "names"),
    [
        ("go", "imagebuilder/resourceStateUpdate.go", ["ResourceArn pulumi.StringOutput", "IncludeResourcesPtrOutput"]),
        (
            "nodejs",
            "resourceStateUpdate.ts",
            ["resourceArn: pulumi.Input<string>", "state: pulumi.Input<string | enums."],
        ),
        ("python", "pulumi_imagebuilder_sdk/resource_state_update.py", ["resource_arn: pulumi.Input"]),
    ],
)
def test_sdks(sdks: Path, language: str, file: str, names: Sequence[str]) -> None:
    """Each language has the arguments with their types."""
    text = (sdks / language / file).read_text(encoding="utf-8")
    for name in names:
        assert name in text


def test_the_yaml_example(tmp_path: Path) -> None:
    """Previews, runs, has nothing to do after it, and is destroyed."""
    project = ROOT / "examples" / "yaml"
    with Emulator(project / "seed.yaml", execution_time="1s") as emulator:
        workspace = Workspace(project, tmp_path, emulator.url, {})
        for command in (
            ("preview",),
            ("up", "--yes", "--skip-preview"),
            ("preview", "--expect-no-changes"),
        ):
            done = workspace.run(*command, "--non-interactive", "--color", "never")
            assert done.returncode == 0, done.stdout + done.stderr
        assert workspace.outputs() == {"image": IMAGE, "status": "SUCCESS"}
        destroyed = workspace.run("destroy", "--yes", "--skip-preview", "--non-interactive")
        assert destroyed.returncode == 0, destroyed.stdout + destroyed.stderr


def test_a_typescript_program(sdks: Path, tmp_path: Path) -> None:
    """The example is type-checked against its SDK, and runs."""
    if shutil.which("npm") is None:
        pytest.skip("no npm on PATH")
    project = tmp_path / "typescript"
    shutil.copytree(ROOT / "examples" / "typescript", project)
    run("npm", "install", "--no-audit", "--no-fund", cwd=project)
    sdk = project / "sdks" / "imagebuilder"
    shutil.copytree(sdks / "nodejs", sdk)
    (sdk / "newer.d.ts").write_text(NEWER_SDK, encoding="utf-8")
    options = json.loads((project / "tsconfig.json").read_text(encoding="utf-8"))["compilerOptions"]
    options |= {"noEmit": False, "outDir": "bin", "declaration": True, "rootDir": "."}
    (sdk / "tsconfig.json").write_text(
        json.dumps({"compilerOptions": options, "include": ["**/*.ts"]}), encoding="utf-8"
    )
    tsc = project / "node_modules" / ".bin" / "tsc"
    run(tsc, "-p", sdk, cwd=project)
    shutil.copy(sdk / "package.json", sdk / "bin")
    scope = project / "node_modules" / "@pulumi-imagebuilder"
    scope.mkdir()
    os.symlink(sdk, scope / "imagebuilder")
    run(tsc, "-p", project, cwd=project)

    with Emulator(project / "seed.yaml", execution_time="1s") as emulator:
        settings = {"retire-typescript:image": "web", "retire-typescript:executionRole": "ImageLifecycle"}
        workspace = Workspace(project, tmp_path, emulator.url, settings)
        up = workspace.run("up", "--yes", "--skip-preview", "--non-interactive", "--color", "never")
        assert up.returncode == 0, up.stdout + up.stderr
        assert list(workspace.outputs()["executions"]) == [
            "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
        ]
        unchanged = workspace.run("preview", "--expect-no-changes", "--non-interactive")
        assert unchanged.returncode == 0, unchanged.stdout + unchanged.stderr
