"""The example pipelines are valid by the published schemas, give `pulumi` options that exist, and run one at a time."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.workspace import ROOT

FOLDER = ROOT / "docs" / "pipelines"
GITHUB = sorted(FOLDER.glob("github-*.yml"))
GITLAB = FOLDER / "gitlab-ci.yml"


def load(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def commands(path: Path) -> Iterator[list[str]]:
    """Yield the calls of `pulumi` in a pipeline, word by word."""
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.strip().removeprefix("- ").removeprefix("run: ").removeprefix("exec ")
        if text.startswith("pulumi "):
            # A value that the pipeline fills in has spaces in it, and no options.
            yield [word for word in text.split() if word not in {"${{", "}}"}]


def validate(*options: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_github_workflows_are_valid() -> None:
    """By the published schema."""
    validate("--builtin-schema", "vendor.github-workflows", *map(str, GITHUB))


def test_the_gitlab_pipeline_is_valid() -> None:
    """By the published schema."""
    validate("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", str(GITLAB))


def test_pulumi_has_the_options() -> None:
    """Each option that a pipeline gives to a command is one of that command."""
    pulumi = shutil.which("pulumi") or str(ROOT / ".engine" / "bin" / "pulumi")
    used: dict[str, set[str]] = {}
    for path in (*GITHUB, GITLAB):
        for _, command, *words in commands(path):
            used.setdefault(command, set()).update(word for word in words if word.startswith("-"))
    assert used.keys() == {"preview", "cancel", "refresh", "up"}
    for command, options in used.items():
        help_text = subprocess.run([pulumi, command, "--help"], capture_output=True, text=True, check=True).stdout
        assert {option for option in options if f"{option} " not in help_text} == set(), command


@pytest.mark.parametrize(
    ("urn", "severity", "fails"),
    [
        ("urn:pulumi:p::images::pulumi-python:dynamic/imagebuilder:FleetStateUpdate::web", "info", False),
        ("urn:pulumi:p::images::pulumi-python:dynamic/imagebuilder:FleetStateUpdate::web", "warning", True),
        ("urn:pulumi:p::images::imagebuilder:index:ImageCleanup::web", "warning", True),
        ("urn:pulumi:p::images::aws:s3/bucket:Bucket::web", "warning", False),
        (None, "error", True),
    ],
)
def test_the_gate(urn: str | None, severity: str, fails: bool) -> None:
    """It fails for errors and for warnings of ours, and prints what the preview says."""
    diagnostic = {"message": "would delete 1 image\n", "severity": severity, **({"urn": urn} if urn else {})}
    preview = json.dumps({"steps": [], "diagnostics": [diagnostic]})
    done = subprocess.run(
        [sys.executable, FOLDER / "gate.py"], input=preview, capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0, done.stdout) == (fails, "would delete 1 image\n")


def test_the_gate_without_diagnostics() -> None:
    """A preview that has nothing to say passes."""
    done = subprocess.run([sys.executable, FOLDER / "gate.py"], input="{}", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: path.stem)
def test_one_run_at_a_time_on_github(path: Path) -> None:
    """Jobs that change a stack wait for each other, and get a role without a stored key."""
    workflow = load(path)
    assert workflow["permissions"]["id-token"] == "write"
    changing = workflow["jobs"]["up"]
    assert changing["concurrency"]["group"].startswith("images-")
    assert changing["concurrency"]["cancel-in-progress"] is False
    assert "aws-access-key-id" not in path.read_text(encoding="utf-8")


def test_one_run_at_a_time_on_gitlab() -> None:
    """Jobs that change a stack wait for each other, and get a token."""
    pipeline = load(GITLAB)
    assert pipeline["up"]["resource_group"] == "images-production"
    assert pipeline["up"]["interruptible"] is False
    assert "AWS_TOKEN" in pipeline[".pulumi"]["id_tokens"]


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: path.stem)
def test_github_can_cancel_a_run(path: Path) -> None:
    """What waits is its step's only process, for the signals go to that one; credentials outlive the time limit."""
    steps = load(path)["jobs"]["up"]["steps"]
    assert [step["run"].split()[:3] for step in steps if "pulumi up" in step.get("run", "")] == [
        ["exec", "pulumi", "up"]
    ]
    (role,) = [step["with"] for step in steps if "aws-actions" in step.get("uses", "")]
    assert role["role-duration-seconds"] > 60 * load(path)["jobs"]["up"]["timeout-minutes"]


@pytest.mark.parametrize("path", [GITHUB[0], GITLAB], ids=lambda path: path.stem)
def test_pull_requests_are_gated(path: Path) -> None:
    """A job of its own pipes the preview into the gate, and can change nothing; all use the newest Python."""
    preview = json.dumps(load(path)["jobs" if path in GITHUB else "preview"])
    assert "pulumi preview --stack production --non-interactive --json | python gate.py" in preview
    assert "role/images-preview" in preview
    versions = re.findall(r"python[-a-z]*(?:: \"|-)(3\.\d+)", path.read_text(encoding="utf-8"))
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["classifiers"]
    assert set(versions) == {re.findall(r":: (3\.\d+)", " ".join(classifiers))[-1]}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_trust_policy_names_one_branch(path: Path) -> None:
    """Names the audience and one repository's branch: any other job of the provider is refused."""
    (statement,) = json.loads(path.read_text(encoding="utf-8"))["Statement"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    provider = statement["Principal"]["Federated"].partition("oidc-provider/")[2]
    conditions = statement["Condition"]["StringEquals"]
    assert conditions[f"{provider}:aud"] == "sts.amazonaws.com"
    assert conditions[f"{provider}:sub"].endswith("main")
    assert "*" not in conditions[f"{provider}:sub"]
