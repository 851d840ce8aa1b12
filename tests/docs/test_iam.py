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
    """Return the actions in the provider's source: every text in it that boto3 knows as a method of a service."""
    session = botocore.session.get_session()
    by_method = {
        botocore.xform_name(operation): f"{service}:{operation}"
        for service in ("ec2", "autoscaling", "imagebuilder")
        for operation in session.get_service_model(service).operation_names
    }
    found = set()
    for file in (ROOT / "provider").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in by_method:
                found.add(by_method[node.value])
    return found


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_every_action_of_a_policy_exists(path: Path) -> None:
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
    """No more and no less than the provider's source calls; and it may pass the role to Image Builder alone."""
    found = statements("caller")
    unbound = [each for each in found if "Condition" not in each]
    assert granted(unbound) == called()
    (passing,) = [each for each in found if each["Action"] == "iam:PassRole"]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "imagebuilder.amazonaws.com"}}


def test_what_ec2_calls_for_the_caller_is_granted_for_that_alone() -> None:
    """The rights that DescribeImageReferences needs, by its documentation, beside those that the caller has anyway."""
    (bound,) = [each for each in statements("caller") if each["Sid"] == "ReadForDescribeImageReferencesAlone"]
    assert bound["Condition"] == {"ForAnyValue:StringEquals": {"aws:CalledVia": "ec2-images.amazonaws.com"}}
    needed = {
        "ec2:DescribeInstances",
        "ec2:DescribeLaunchTemplates",
        "ec2:DescribeLaunchTemplateVersions",
        "ssm:DescribeParameters",
        "ssm:GetParameters",
        "imagebuilder:ListImageRecipes",
        "imagebuilder:ListContainerRecipes",
        "imagebuilder:GetContainerRecipe",
    }
    assert granted([bound]) == needed - called()


def test_the_execution_role_trusts_image_builder_alone() -> None:
    """Its trust policy names the service that the caller passes it to."""
    (trust,) = statements("execution-role-trust")
    assert trust["Principal"] == {"Service": "imagebuilder.amazonaws.com"}


def test_the_role_in_another_account_trusts_image_builder_for_one_account() -> None:
    """Its trust policy is bound to the account and to the images of the caller, by AWS's own two keys."""
    (trust,) = statements("cross-account-trust")
    assert trust["Principal"] == {"Service": "imagebuilder.amazonaws.com"}
    conditions = {key: value for keys in trust["Condition"].values() for key, value in keys.items()}
    assert conditions.keys() == {"aws:SourceAccount", "aws:SourceArn"}
    assert conditions["aws:SourceArn"].split(":")[4] == conditions["aws:SourceAccount"]


def test_the_readme_names_the_same_operations() -> None:
    """What the README lists for the caller is what the policy grants."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    paragraph = text.partition("## Permissions\n\n")[2].partition("\n\nThe execution role")[0]
    named = re.findall(r"`(?:\w+:)?([A-Z]\w+)`", paragraph)
    assert sorted(named) == sorted(action.rpartition(":")[2] for action in granted(statements("caller")))
