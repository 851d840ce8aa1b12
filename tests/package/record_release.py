"""Keep the state of this version, of both providers, for later ones to be tested with.

Before a release: `python -m tests.package.record_release`.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from imagebuilder_emulator.emulator import Emulator
from pulumi_imagebuilder import __version__

from tools.workspace import ROOT, Workspace

RELEASES = ROOT / "tests" / "package" / "releases"
SEED = {
    "roles": ["ImageLifecycle"],
    "images": [
        {
            "arn": f"arn:aws:imagebuilder:us-east-1:123456789012:image/{name}/1.0.0/{build}",
            "amis": [{"region": "us-east-1"}, {"region": "us-west-2"}],
        }
        for name in ("web", "db")
        for build in range(1, 5)
    ],
}


def project(folder: Path, program: Path) -> Path:
    """A Pulumi project with a copy of a program."""
    made = folder / "program"
    made.mkdir()
    made.joinpath("Pulumi.yaml").write_text(yaml.safe_dump({"name": "release", "runtime": "python"}), encoding="utf-8")
    shutil.copy(program, made / "__main__.py")
    return made


def without_places(state: dict[str, Any]) -> dict[str, Any]:
    """A stack's state without the paths of the machine that it was made on."""
    for resource in state["deployment"]["resources"]:
        resource.pop("sourcePosition", None)
        resource.pop("stackTrace", None)
    return state


def record(folder: Path, program: str) -> None:
    """Run a program, and write it, the stack's state and the service's."""
    folder.mkdir(exist_ok=True)
    (folder / "program.py").write_text(program, encoding="utf-8")
    with tempfile.TemporaryDirectory() as temporary, Emulator(SEED, execution_time="1s") as emulator:
        made = project(Path(temporary), folder / "program.py")
        workspace = Workspace(made, Path(temporary), emulator.url, {})
        ended = workspace.run("up", "--yes", "--skip-preview", "--non-interactive")
        if ended.returncode:
            sys.exit(ended.stdout + ended.stderr)
        texts = {
            "stack.json": json.dumps(without_places(workspace.state()), indent=1) + "\n",
            "service.json": json.dumps(emulator.save(), indent=1) + "\n",
        }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    sys.stdout.write(f"{folder.relative_to(ROOT)}\n")


def main() -> None:
    """Record what the dynamic provider of this version leaves, and what the native one does."""
    program = (RELEASES / "program.py").read_text(encoding="utf-8")
    record(RELEASES / __version__, program)
    record(
        RELEASES / f"{__version__}-native",
        program.replace("pulumi_imagebuilder import", "pulumi_imagebuilder.native import"),
    )


if __name__ == "__main__":
    main()
