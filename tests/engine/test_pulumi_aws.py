"""Orders beside pulumi-aws that its example does not show; docs/pulumi-aws.md has the requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator

START = "StartResourceStateUpdate"
POLICY = "arn:aws:iam::aws:policy/service-role/EC2ImageBuilderLifecycleExecutionPolicy"
OLD = "arn:aws:imagebuilder:us-east-1:123456789012:image/old/1.0.0/1"
PRINCIPAL = {"Service": "imagebuilder.amazonaws.com"}
TRUST = {"Statement": [{"Effect": "Allow", "Principal": PRINCIPAL, "Action": "sts:AssumeRole"}]}
ROLE = f"""
    import pulumi
    import pulumi_aws as aws
    from pulumi_imagebuilder import ImageCleanup

    role = aws.iam.Role("lifecycle", assume_role_policy={json.dumps(TRUST)!r})
    aws.iam.RolePolicyAttachment("lifecycle", role=role.name, policy_arn="{POLICY}")
"""
BUILT = (
    ROLE
    + """
    infra = aws.imagebuilder.InfrastructureConfiguration("web", instance_profile_name="builder")
    recipe = aws.imagebuilder.ImageRecipe("web", name="web", version="VERSION", parent_image="ami", components=[])
    image = aws.imagebuilder.Image(
        "web",
        image_recipe_arn=recipe.arn,
        infrastructure_configuration_arn=infra.arn,
        opts=pulumi.ResourceOptions(delete_before_replace=True),
    )
    ImageCleanup("web", resource_arn=image.arn, execution_role=role.arn)
"""
)
FOUND = f"""{ROLE}
    ImageCleanup("old", resource_arn="{OLD}", execution_role=role.arn)
"""


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The local Image Builder, with one image, and with the policies that AWS itself has."""
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    with Emulator({"images": [{"arn": OLD, "amis": [{}]}]}, execution_time="1s") as running:
        yield running


def test_an_image_that_is_deleted_before_it_is_replaced(bench: Any) -> None:
    """It is cleaned up first."""
    bench.put_standin()
    for version in ("1.0.0", "1.1.0"):
        bench.emulator.requests.clear()
        bench.write(BUILT.replace("VERSION", version))
        bench.check("up")
    assert bench.changes() == bench.documented_changes("deleted before it is replaced")


def test_a_policy_that_is_not_depended_on(bench: Any) -> None:
    """It goes while the clean-up is at work."""
    bench.put_standin()
    bench.write(FOUND)
    bench.check("up")
    bench.emulator.requests.clear()
    bench.emulator.faults.add("execution hang image=*")
    with bench.workspace.start("destroy", "--yes", "--skip-preview", "--non-interactive") as run:
        bench.until(lambda: bench.emulator.requests.all("iam:DetachRolePolicy") and bench.asked(START))
        bench.emulator.faults.clear()
        out, err = run.communicate(timeout=60)
    assert run.returncode == 0, out + err
    assert sorted(bench.changes()[:2]) == ["DetachRolePolicy", f"{START} old/1.0.0/1 to DELETED"]
    assert bench.changes()[2:] == ["(execution of old/1.0.0/1 ends: SUCCESS)", "DeleteRole"]
