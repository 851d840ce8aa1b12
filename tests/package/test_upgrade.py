"""The state of earlier releases is read by today's code: the provider is stored in it by its import path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from imagebuilder_emulator.emulator import Emulator
from pulumi_imagebuilder import __version__

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


def test_this_version_is_kept() -> None:
    """The state of both its providers."""
    assert {__version__, f"{__version__}-native"} <= {folder.name for folder in RELEASES}


@pytest.mark.engine
@pytest.mark.parametrize("folder", RELEASES, ids=lambda folder: folder.name)
def test_the_state_of_a_release(folder: Path, tmp_path: Path) -> None:
    """Nothing is left to do for the program of then, refresh finds no drift, and update and destroy do as declared."""
    project = tmp_path / "program"
    project.mkdir()
    program = (folder / "program.py").read_text(encoding="utf-8")
    (project / "Pulumi.yaml").write_text("{name: release, runtime: python}", encoding="utf-8")
    (project / "__main__.py").write_text(program, encoding="utf-8")
    with Emulator(execution_time="1s") as emulator:
        emulator.load(json.loads((folder / "service.json").read_text(encoding="utf-8")))
        workspace = Workspace(project, tmp_path, emulator.url, {})

        def well(*command: str) -> None:
            ended = workspace.run(*command)
            assert ended.returncode == 0, ended.stdout + ended.stderr

        def changes() -> list[tuple[str, str]]:
            """The calls so far that change something, in the order of images."""
            calls = [call for call in emulator.requests.all() if call.operation in CHANGING]
            emulator.requests.clear()
            return sorted(
                (call.operation, call.parameters.get("resourceArn", "").rpartition("image/")[2]) for call in calls
            )

        def status(image: str) -> str:
            found = emulator.client("imagebuilder").get_image(imageBuildVersionArn=f"{IMAGE}/{image}")
            return str(found["image"]["state"]["status"])

        well("stack", "import", "--file", str(folder / "stack.json"))
        well("preview", "--expect-no-changes", "--non-interactive")
        assert emulator.requests.all() == []
        well("refresh", "--yes", "--skip-preview", "--expect-no-changes", "--non-interactive")
        assert changes() == []

        # One is moved to another state, one runs again for its triggers, and the fleet loses an image.
        for old, new in (('/web/1.0.0/1", state="DEPRECATED"', '/web/1.0.0/1", state="AVAILABLE"'), ("2026", "2027")):
            assert program.count(old) == 1
            program = program.replace(old, new)
        (project / "__main__.py").write_text(program.replace("(2, 1, 3)", "(2, 1)"), encoding="utf-8")
        well("up", "--yes", "--skip-preview", "--non-interactive")
        assert changes() == [
            ("StartResourceStateUpdate", "web/1.0.0/1"),
            ("StartResourceStateUpdate", "web/1.0.0/2"),
        ]
        assert [status(f"web/1.0.0/{build}") for build in (1, 2)] == ["AVAILABLE", "DISABLED"]
        well("preview", "--expect-no-changes", "--non-interactive")

        well("destroy", "--yes", "--skip-preview", "--non-interactive")
        assert changes() == [
            ("CancelLifecycleExecution", ""),
            ("StartResourceStateUpdate", "db/1.0.0/4"),
            ("StartResourceStateUpdate", "web/1.0.0/2"),
        ]
        with pytest.raises(emulator.client("imagebuilder").exceptions.ResourceNotFoundException):
            status("db/1.0.0/4")
        assert status("web/1.0.0/2") == "AVAILABLE"
