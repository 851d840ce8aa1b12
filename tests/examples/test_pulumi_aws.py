"""What examples/pulumi-aws declares, with the real pulumi-aws package and Pulumi's mocks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pulumi_imagebuilder import validation

from tools.workspace import ROOT

PROGRAM = ROOT / "examples" / "pulumi-aws" / "__main__.py"
IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
ROLE = "arn:aws:iam::123456789012:role/lifecycle"
SETTINGS = {
    "version": "1.0.0",
    "deprecateAt": "2099-01-31T00:00:00Z",
    "parentImage": "arn:aws:imagebuilder:us-east-1:aws:image/amazon-linux-2023-x86/x.x.x",
    "component": "arn:aws:imagebuilder:us-east-1:aws:component/update-linux/x.x.x",
    "instanceProfile": "builder",
}
OUTPUTS = {
    "aws:iam/role:Role": {"arn": ROLE, "name": "lifecycle"},
    "aws:imagebuilder/infrastructureConfiguration:InfrastructureConfiguration": {"arn": "of the infrastructure"},
    "aws:imagebuilder/imageRecipe:ImageRecipe": {"arn": "of the recipe"},
    "aws:imagebuilder/image:Image": {"arn": IMAGE},
}


def test_the_example_declares(declared_by: Callable[..., list[tuple[str, dict[str, Any]]]]) -> None:
    """The image is of the recipe; both of our resources are of the image and the role, and valid."""
    code = compile(PROGRAM.read_text(encoding="utf-8"), str(PROGRAM), "exec")
    settings = {f"project:{name}": value for name, value in SETTINGS.items()}
    declared = dict(declared_by(code, settings, OUTPUTS))

    trust = json.loads(declared["aws:iam/role:Role"]["assumeRolePolicy"])
    assert trust["Statement"]["Principal"] == {"Service": "imagebuilder.amazonaws.com"}
    assert declared["aws:iam/rolePolicyAttachment:RolePolicyAttachment"] == {
        "role": "lifecycle",
        "policyArn": "arn:aws:iam::aws:policy/service-role/EC2ImageBuilderLifecycleExecutionPolicy",
    }
    assert declared["aws:imagebuilder/imageRecipe:ImageRecipe"] == {
        "name": "web",
        "version": "1.0.0",
        "parentImage": SETTINGS["parentImage"],
        "components": [{"componentArn": SETTINGS["component"]}],
    }
    assert declared["aws:imagebuilder/image:Image"] == {
        "imageRecipeArn": "of the recipe",
        "infrastructureConfigurationArn": "of the infrastructure",
    }
    for name, kind in (("ImageCleanup", validation.Kind.CLEANUP), ("ResourceStateUpdate", validation.Kind.SINGLE)):
        inputs = declared[f"pulumi-python:dynamic/imagebuilder:{name}"]
        assert (inputs["resource_arn"], inputs["execution_role"]) == (IMAGE, ROLE)
        arguments = {key: value for key, value in inputs.items() if value is not None and not key.startswith("__")}
        assert validation.validate(kind, arguments).failures == []
