"""The policies in docs/iam are JSON, name operations that exist, and the caller's grants what the provider calls."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from tools.workspace import ROOT

POLICIES = sorted((ROOT / "docs" / "iam").glob("*.json"))


def statements(name: str) -> list[dict[str, Any]]:
    return list(json.loads((ROOT / "docs" / "iam" / f"{name}.json").read_text(encoding="utf-8"))["Statement"])


def granted(found: list[dict[str, Any]]) -> set[str]:
    actions = [each["Action"] for each in found]
    return {action for entry in actions for action in ([entry] if isinstance(entry, str) else entry)}


def called() -> set[str]:
    """The operations in the provider's source: every text in it that boto3 knows as a method of Image Builder."""
    operations = botocore.session.get_session().get_service_model("imagebuilder").operation_names
    by_method = {botocore.xform_name(operation): operation for operation in operations}
    found = set()
    for file in (ROOT / "provider").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in by_method:
                found.add(by_method[node.value])
    return found


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_a_policy(path: Path) -> None:
    """Every action exists in its service, and all is allowed, nothing denied."""
    policy = json.loads(path.read_text(encoding="utf-8"))
    assert policy["Version"] == "2012-10-17"
    assert {each["Effect"] for each in policy["Statement"]} == {"Allow"}
    session = botocore.session.get_session()
    models = {"tag": "resourcegroupstaggingapi"}
    by_action = {"s3:ListBucket": "ListObjectsV2"}
    for action in granted(policy["Statement"]):
        service, operation = action.split(":")
        names = session.get_service_model(models.get(service, service)).operation_names
        assert by_action.get(action, operation) in {*names, "PassRole"}, action


def test_the_caller_is_granted_what_is_called() -> None:
    """No more and no less of Image Builder than the provider's source calls, and the role passed to it alone."""
    found = statements("caller")
    operations = called()
    assert granted(found) == {f"imagebuilder:{operation}" for operation in operations} | {"iam:PassRole"}
    (passing,) = [each for each in found if each["Action"] == "iam:PassRole"]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "imagebuilder.amazonaws.com"}}


def test_the_execution_role_trusts_image_builder_alone() -> None:
    """Its trust policy names the service that the caller passes it to."""
    (trust,) = statements("execution-role-trust")
    assert trust["Principal"] == {"Service": "imagebuilder.amazonaws.com"}


def test_the_readme_names_the_same_operations() -> None:
    """What the README lists for the caller is what the policy grants."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    paragraph = text.partition("## Permissions\n\n")[2].partition("\n\n")[0]
    named = re.findall(r"`(?:\w+:)?([A-Z]\w+)`", paragraph)
    assert sorted(named) == sorted(action.rpartition(":")[2] for action in granted(statements("caller")))
