"""What `pulumi refresh` finds, how it is told, and what the next `up` does about it."""

from __future__ import annotations

import datetime
from typing import Any

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
AMIS = 'execution_role="ImageLifecycle", include_resources={"amis": True}'


def declare(bench: Any, arguments: str) -> None:
    bench.write(f"""
        from pulumi_imagebuilder import ResourceStateUpdate
        ResourceStateUpdate("web", resource_arn="{ARN}", {arguments})
    """)


def somebody_moves(bench: Any, state: str) -> None:
    """Another user moves the image record, at once."""
    bench.client("imagebuilder").start_resource_state_update(resourceArn=ARN, state={"status": state})


def test_an_image_moved_elsewhere(bench: Any) -> None:
    """Shows as changed, in words, and the next `up` applies the declaration again, once."""
    declare(bench, f'state="DISABLED", {AMIS}')
    bench.check("up")
    bench.check("refresh", "--expect-no-changes")
    somebody_moves(bench, "AVAILABLE")
    found = "the image is AVAILABLE, declared is DISABLED: `pulumi up` applies the declaration again"
    told = bench.check("refresh")
    assert found in told
    assert "~ 1 updated" in told
    told = bench.check("preview")
    assert found in told
    assert "~ 1 to update" in told
    bench.check("up")
    assert bench.image_state() == "DISABLED"
    assert [each["state"]["status"] for each in bench.executions()] == ["SUCCESS", "SUCCESS"]
    bench.check("refresh", "--expect-no-changes")
    bench.check("up", "--expect-no-changes")


def test_an_image_that_disappears(bench: Any) -> None:
    """Removed behind the stack's back it leaves the state, and the next preview is not empty."""
    declare(bench, f'state="DISABLED", {AMIS}')
    bench.check("up")
    bench.client("imagebuilder").delete_image(imageBuildVersionArn=ARN)
    assert "- 1 deleted" in bench.check("refresh")
    assert "+ 1 to create" in bench.check("preview")
    assert len(bench.executions()) == 1


def test_an_image_that_was_to_be_deleted(bench: Any) -> None:
    """It is gone, as declared: that is no drift."""
    declare(bench, f'state="DELETED", {AMIS}')
    bench.check("up")
    assert bench.resource()["outputs"]["image_state"] == "DELETED"
    bench.check("refresh", "--expect-no-changes")
    bench.check("up", "--expect-no-changes")


def test_a_schedule_that_comes_true(bench: Any) -> None:
    """Is no drift; its outputs are brought up to date. Undone since, it is carried out at once: its time is over."""
    at = "2099-01-31T00:00:00Z"
    declare(bench, f'state="DEPRECATED", update_at="{at}", {AMIS}')
    bench.check("up")
    outputs = bench.resource()["outputs"]
    assert (outputs["status"], outputs["image_state"], outputs["deprecation_time"]) == ("IN_PROGRESS", "AVAILABLE", at)
    bench.check("refresh", "--expect-no-changes")

    bench.emulator.clock.set(datetime.datetime(2099, 2, 1, tzinfo=datetime.UTC))
    assert "declared is" not in bench.check("refresh")
    outputs = bench.resource()["outputs"]
    assert (outputs["status"], outputs["image_state"]) == ("SUCCESS", "DEPRECATED")
    bench.check("up", "--expect-no-changes")

    somebody_moves(bench, "AVAILABLE")
    assert "the image is AVAILABLE, declared is DEPRECATED" in bench.check("refresh")
    bench.check("up")
    assert bench.image_state() == "DEPRECATED"
    assert [each["state"]["status"] for each in bench.executions()] == ["SUCCESS", "SUCCESS"]


def test_without_waiting(bench: Any) -> None:
    """Done once the service has accepted it; a refresh tells how it ended, and a failure is applied again."""
    bench.emulator.faults.add("execution fail region=eu-west-1")
    declare(bench, f'state="DISABLED", wait=False, {AMIS}')
    bench.check("up")
    assert bench.resource()["outputs"]["status"] in {"PENDING", "IN_PROGRESS"}
    (failed,) = bench.executions()
    bench.until(lambda: bench.executions()[0]["state"]["status"] == "FAILED")
    assert f"lifecycle execution {failed['lifecycleExecutionId']} ended as FAILED" in bench.check("refresh")
    assert bench.resource()["outputs"]["status"] == "FAILED"

    bench.emulator.faults.clear()
    bench.check("up")
    bench.until(lambda: bench.executions()[0]["state"]["status"] == "SUCCESS")
    bench.check("refresh")
    outputs = bench.resource()["outputs"]
    assert (outputs["status"], outputs["image_state"], len(outputs["resources"])) == ("SUCCESS", "DISABLED", 3)
    bench.check("up", "--expect-no-changes")
    assert len(bench.executions()) == 2
