"""The state of earlier releases is read by today's code: the provider is stored in it by its import path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from imagebuilder_emulator.emulator import Emulator

from tools.workspace import ROOT, Workspace

RELEASES = sorted(path.parent for path in (ROOT / "tests" / "package" / "releases").glob("*/stack.json"))
IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image"
CHANGING = ("StartResourceStateUpdate", "CancelLifecycleExecution")


def test_a_release_is_kept() -> None:
    """At least one, each with its program, the stack's state and the service's; none with a path of a machine."""
    assert RELEASES
    for folder in RELEASES:
        assert {path.name for path in folder.iterdir()} == {"program.py", "stack.json", "service.json"}
        text = (folder / "stack.json").read_text(encoding="utf-8")
        assert "sourcePosition" not in text
        assert "file:///" not in text
        assert "/home/" not in text


@pytest.mark.engine
@pytest.mark.parametrize("folder", RELEASES, ids=lambda folder: folder.name)
def test_the_state_of_a_release(folder: Path, tmp_path: Path) -> None:
    """Nothing is left to do for the program of then, refresh finds no drift, and destroy does what it declared."""
    project = tmp_path / "program"
    project.mkdir()
    (project / "Pulumi.yaml").write_text("{name: release, runtime: python}", encoding="utf-8")
    (project / "__main__.py").write_bytes((folder / "program.py").read_bytes())
    with Emulator() as emulator:
        emulator.load(json.loads((folder / "service.json").read_text(encoding="utf-8")))
        workspace = Workspace(project, tmp_path, emulator.url, {})

        def well(*command: str) -> None:
            ended = workspace.run(*command)
            assert ended.returncode == 0, ended.stdout + ended.stderr

        def asked() -> list[tuple[str, str]]:
            return [
                (call.operation, call.parameters.get("resourceArn", "").rpartition("image/")[2])
                for call in emulator.requests.all()
                if call.operation in CHANGING
            ]

        well("stack", "import", "--file", str(folder / "stack.json"))
        well("preview", "--expect-no-changes", "--non-interactive")
        assert emulator.requests.all() == []
        well("refresh", "--yes", "--skip-preview", "--expect-no-changes", "--non-interactive")
        assert asked() == []
        well("destroy", "--yes", "--skip-preview", "--non-interactive")
        assert sorted(asked()) == [
            ("CancelLifecycleExecution", ""),
            ("StartResourceStateUpdate", "db/1.0.0/4"),
            ("StartResourceStateUpdate", "web/1.0.0/2"),
        ]
        service = emulator.client("imagebuilder")
        with pytest.raises(service.exceptions.ResourceNotFoundException):
            service.get_image(imageBuildVersionArn=f"{IMAGE}/db/1.0.0/4")
        restored = service.get_image(imageBuildVersionArn=f"{IMAGE}/web/1.0.0/2")
        assert restored["image"]["state"]["status"] == "AVAILABLE"
