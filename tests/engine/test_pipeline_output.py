"""What a pipeline sees of a run: a short log, events for programs, and an exit code that is right."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tools.workspace import ROOT

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
PROGRAM = f"""
    import pulumi
    from pulumi_imagebuilder import ResourceStateUpdate
    update = ResourceStateUpdate(
        "web",
        resource_arn="{ARN}",
        state="DISABLED",
        execution_role="ImageLifecycle",
        include_resources={{"amis": True}},
    )
    pulumi.export("lifecycle_execution_id", update.lifecycle_execution_id)
    pulumi.export("status", update.status)
"""
PROGRESS = re.compile(r"ResourceStateUpdate web creating \(\S+\) ([A-Z_]+) (?:(\d+)m)?(\d+)s(.*)")


def follow(log: str) -> None:
    """A log is made of whole lines without colours or dots; each line of progress has news, or comes ever later."""
    assert "\x1b" not in log
    assert "@ updating" not in log
    assert "Traceback" not in log
    told: tuple[str, str] | None = None
    at = 0
    shown = [match for match in map(PROGRESS.search, log.splitlines()) if match]
    assert shown
    for status, minutes, seconds, counted in (match.groups() for match in shown):
        now = 60 * int(minutes or 0) + int(seconds)
        # Half as much time again, in whole seconds; a minute at most.
        assert (status, counted) != told or now - at >= min(at // 2, 59), log
        told, at = (status, counted), now


def test_the_recorded_log() -> None:
    """The one in the docs keeps to what is said about it."""
    follow((ROOT / "docs" / "pipelines" / "log.txt").read_text(encoding="utf-8"))


def test_a_log_is_short(bench: Any) -> None:
    """Fifty lines at most for one resource and seconds of waiting, the execution's id and its end among them."""
    bench.emulator.faults.add(f"execution hang image={ARN}")
    bench.write(PROGRAM)
    options = ("--yes", "--skip-preview", "--non-interactive", "--suppress-progress")
    with bench.workspace.start("up", *options) as run:
        (execution,) = bench.until(bench.executions)
        bench.until(lambda: bench.asked("ListLifecycleExecutionResources") >= 6)
        bench.emulator.faults.clear()
        log, errors = run.communicate(timeout=60)
    assert (run.returncode, errors) == (0, "")
    follow(log)
    assert len(log.splitlines()) < 50
    assert f'lifecycle_execution_id: "{execution["lifecycleExecutionId"]}"' in log
    assert re.search(r"created \(\S+\) SUCCESS", log)


def events(text: str, kind: str) -> list[dict[str, Any]]:
    """The events of a kind, of which each line has one."""
    return [event[kind] for event in map(json.loads, text.splitlines()) if kind in event]


def test_events(bench: Any, tmp_path: Path) -> None:
    """`--json`, and the event log, carry the resource's id, the execution's id and its status."""
    bench.write(PROGRAM)
    bench.workspace.environment["PULUMI_DEBUG_COMMANDS"] = "1"
    log = tmp_path / "events.json"
    done = bench.workspace.run("up", "--yes", "--skip-preview", "--json", "--event-log", str(log))
    assert done.returncode == 0, done.stderr
    (execution,) = bench.executions()
    for text in (done.stdout, log.read_text(encoding="utf-8")):
        (after,) = [
            event["metadata"]["new"]
            for event in events(text, "resOutputsEvent")
            if "dynamic" in event["metadata"]["type"]
        ]
        assert after["id"] == ARN
        assert after["outputs"]["lifecycle_execution_id"] == execution["lifecycleExecutionId"]
        assert after["outputs"]["status"] == "SUCCESS"
        (summary,) = events(text, "summaryEvent")
        assert summary["result"] == "succeeded"


def test_events_of_a_failure(bench: Any) -> None:
    """The reason is an event of the resource, and the summary says that it failed."""
    bench.emulator.faults.add("execution fail region=eu-west-1 reason=broken")
    bench.write(PROGRAM)
    done = bench.workspace.run("up", "--yes", "--skip-preview", "--json")
    assert done.returncode != 0
    (execution,) = bench.executions()
    told = [event for event in events(done.stdout, "diagnosticEvent") if event["severity"] == "error"]
    (error,) = [event for event in told if event.get("urn", "").endswith("::web")]
    assert f"lifecycle execution {execution['lifecycleExecutionId']} ended as FAILED" in error["message"]
    (summary,) = events(done.stdout, "summaryEvent")
    assert summary["result"] == "failed"


def test_exit_codes(bench: Any) -> None:
    """Nought when all is as declared, and for nothing else, by what a pipeline asks."""
    bench.write(PROGRAM)
    assert bench.run("preview", "--expect-no-changes").returncode != 0
    assert bench.run("up").returncode == 0
    assert bench.run("preview", "--expect-no-changes").returncode == 0

    bench.client("imagebuilder").start_resource_state_update(resourceArn=ARN, state={"status": "AVAILABLE"})
    assert bench.run("refresh", "--expect-no-changes").returncode != 0
