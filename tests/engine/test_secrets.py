"""Recognisable credentials and secret inputs are looked for in all that a run prints, writes and leaves behind."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
PROGRAM = f"""
import os
import pulumi
from pulumi_imagebuilder import FleetStateUpdate, ResourceStateUpdate

def secret(name):
    return pulumi.Output.secret(os.environ[name])

ResourceStateUpdate(
    "web",
    resource_arn="{IMAGE}",
    state="DISABLED",
    execution_role="ImageLifecycle",
    include_resources={{"amis": True}},
    exclusion_rules={{"amis": {{"tag_map": {{"keep": secret("HUSH_TAG")}}}}}},
    client_token=secret("HUSH_TOKEN"),
    triggers=[secret("HUSH_TRIGGER")],
    opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="10s", update="3s")),
)
FleetStateUpdate(
    "fleet",
    resource_arns=[],
    state="DISABLED",
    client_token=secret("HUSH_TOKEN"),
    triggers=[secret("HUSH_TRIGGER")],
)
"""


class Hushed:
    """Values that may appear nowhere."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def __call__(self, name: str, start: str = "") -> str:
        """A new value that is not like any other."""
        return self.values.setdefault(name, f"{start}{uuid.uuid4().hex}")

    def found_in(self, text: str) -> list[str]:
        """The names of the values that are in a text."""
        return [name for name, value in self.values.items() if value in text]


@pytest.fixture
def hushed() -> Hushed:
    return Hushed()


def left_in(folder: Path, hushed: Hushed) -> dict[str, list[str]]:
    """The files of a folder with values that may be nowhere."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    found = {
        str(path.relative_to(folder)): hushed.found_in(path.read_bytes().decode(errors="replace")) for path in files
    }
    return {name: values for name, values in found.items() if values}


def test_nothing_tells_a_secret(bench: Any, hushed: Hushed, tmp_path: Path) -> None:
    """Neither output, event log, state nor its history, of runs that end well, fail, or are not configured well."""
    bench.write(PROGRAM)
    environment = bench.workspace.environment
    environment["PULUMI_DEBUG_COMMANDS"] = "1"  # For `--event-log`.
    environment["AWS_ACCESS_KEY_ID"] = hushed("key id of the environment", "AKIA")
    environment["AWS_SECRET_ACCESS_KEY"] = hushed("secret key of the environment")
    environment["AWS_SESSION_TOKEN"] = hushed("session token of the environment")
    environment["HUSH_TAG"] = hushed("tag")
    environment["HUSH_TOKEN"] = hushed("client token")
    environment["HUSH_TRIGGER"] = hushed("trigger")
    events = tmp_path / "bench" / "events.json"
    told = []

    def runs(command: str, *options: str) -> int:
        ended = bench.run(command, "--event-log", str(events), "--debug", *options)
        told.append(ended.stdout + ended.stderr)
        return int(ended.returncode)

    def configure(**settings: str) -> None:
        pairs = [word for name, value in settings.items() for word in ("--secret", f"aws:{name}={value}")]
        assert bench.workspace.run("config", "set-all", *pairs).returncode == 0

    # With the environment's credentials, and then with the stack's own.
    assert runs("up") == 0, told
    configure(
        accessKey=hushed("key id of the stack", "AKIA"),
        secretKey=hushed("secret key of the stack"),
        token=hushed("session token of the stack"),
    )
    assert runs("refresh") == 0, told

    # The service cannot be reached, at an endpoint with a password in it.
    environment["HUSH_TRIGGER"] = hushed("other trigger")
    password = hushed("password of the endpoint")
    environment["AWS_ENDPOINT_URL"] = f"http://somebody:{password}@127.0.0.1:9"
    assert runs("up") != 0
    assert "127.0.0.1:9" in told[-1]

    # A setting that cannot be read, with a secret in it.
    configure(assumeRoles=f'[{{"roleArn": "role", "externalId": "{hushed("external id")}"')
    assert runs("up") != 0
    assert "assumeRoles" in told[-1]

    # With --debug Pulumi prints tracebacks of its own.
    assert "/pulumi_imagebuilder/" not in "".join(told)
    assert [line for line in "".join(told).splitlines() if hushed.found_in(line)] == []
    assert left_in(tmp_path / "bench", hushed) == {}
