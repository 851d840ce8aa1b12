"""Each example runs: preview, up, up again, refresh, an edit, destroy."""

from __future__ import annotations

from typing import Any

import pytest
from workspace import ROOT

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
EXAMPLES: dict[str, dict[str, Any]] = {
    "quickstart": {
        "project": ROOT,
        "settings": {"quickstart:imageArn": ARN, "quickstart:executionRole": "ImageLifecycle"},
        # The execution role changes nothing in AWS: it only updates the record.
        "edit": ("quickstart:executionRole", "arn:aws:iam::123456789012:role/ImageLifecycle"),
    },
}


def test_every_example_is_run() -> None:
    """No example is left out."""
    folders = {path.parent.name for path in (ROOT / "examples").glob("*/__main__.py")}
    assert folders == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(name: str, example: Any) -> None:
    """It previews, changes the image, finds nothing to do, refreshes without drift, takes an edit, and goes."""
    about = EXAMPLES[name]
    bench = example(about["project"], ROOT / "examples" / name, about["settings"])

    assert "create" in bench.well("preview")
    assert bench.executions() == []
    bench.well("up")
    outputs = bench.workspace.outputs()
    assert outputs["status"] == "SUCCESS"
    assert [each["lifecycleExecutionId"] for each in bench.executions()] == [outputs["lifecycle_execution_id"]]
    assert len(outputs["amis"]) == 3
    for ami in outputs["amis"]:
        ami_id, _, region = ami.partition(" in ")
        (found,) = bench.client("ec2", region).describe_images(ImageIds=[ami_id])["Images"]
        assert found["DeprecationTime"]

    bench.well("preview", "--expect-no-changes")
    bench.well("up", "--expect-no-changes")
    bench.well("refresh", "--expect-no-changes")
    key, value = about["edit"]
    bench.workspace.configure({**about["settings"], key: value})
    assert "1 updated" in bench.well("up")
    bench.well("destroy")
    assert len(bench.executions()) == 1
    assert bench.image_state() == "DEPRECATED"


def test_the_quickstart_without_its_settings(example: Any) -> None:
    """One line names the settings that are missing, before the program is run."""
    bench = example(ROOT, ROOT / "examples" / "quickstart", {})
    done = bench.run("up")
    assert done.returncode != 0
    assert done.stdout + done.stderr == (
        "error: validating stack config: Stack 'local' is missing configuration values 'executionRole' and 'imageArn'\n"
    )
    assert bench.image_state() == "AVAILABLE"
