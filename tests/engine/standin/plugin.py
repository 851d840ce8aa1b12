"""A stand-in for the plugin of pulumi-aws, for tests alone: the few resource types that `examples/pulumi-aws` declares.

The real plugin is a program of 700 MB that a machine without the outside network cannot have. The real engine runs
this one in its place, for programs that use the real pulumi-aws package. Roles, policies and images are made over
boto3 at whatever endpoint the environment names; recipes and infrastructure configurations, which the emulator does
not know, are ARNs made up here, and nothing stands behind them. Deleting an image is `DeleteImage`, where an image
that is not found is success: so does the real one (`resourceImageDelete` in terraform-provider-aws's
`imagebuilder/image.go`).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import boto3
from pulumi.provider.experimental import server
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import (
    CheckRequest,
    CheckResponse,
    ConfigureRequest,
    ConfigureResponse,
    CreateRequest,
    CreateResponse,
    DeleteRequest,
    DiffRequest,
    DiffResponse,
    Provider,
    ReadRequest,
    ReadResponse,
)

Inputs = dict[str, Any]
_ARN = "arn:aws:imagebuilder:us-east-1:123456789012"
_NAMED = ("Role", "InfrastructureConfiguration", "ImageRecipe")
"""The types that get a name of their own where the program gives none."""


class StandIn(Provider):
    """Creates, reads and deletes; whatever changes is replaced."""

    async def configure(self, request: ConfigureRequest) -> ConfigureResponse:
        """Unlike the real one it leaves previews to the engine."""
        return ConfigureResponse(accept_secrets=True, supports_preview=False, accept_outputs=True)

    async def check(self, request: CheckRequest) -> CheckResponse:
        """Name what has no name."""
        inputs = dict(request.new_inputs)
        if kind(request.urn) in _NAMED and "name" not in inputs:
            made_up = f"{request.name}-{hashlib.sha256(request.random_seed).hexdigest()[:7]}"
            inputs["name"] = request.old_inputs.get("name", PropertyValue(made_up))
        return CheckResponse(inputs=inputs)

    async def diff(self, request: DiffRequest) -> DiffResponse:
        """Compare the inputs; the old state has them too, among the outputs."""
        old, new = plain(PropertyValue(request.old_state)), plain(PropertyValue(request.new_inputs))
        changed = [name for name, value in new.items() if old.get(name) != value]
        return DiffResponse(changes=bool(changed), replaces=changed)

    async def create(self, request: CreateRequest) -> CreateResponse:
        """Make it, and wait for it."""
        id_, outputs = _CREATE[kind(request.urn)](plain(PropertyValue(request.properties)))
        made = {name: PropertyValue(value) for name, value in outputs.items()}
        return CreateResponse(id_, {**request.properties, **made})

    async def read(self, request: ReadRequest) -> ReadResponse:
        """An image that is not found is gone; all else is as it was."""
        if kind(request.urn) == "Image" and not _image(request.resource_id):
            return ReadResponse("", {}, {})
        return ReadResponse(request.resource_id, request.properties, request.inputs)

    async def delete(self, request: DeleteRequest) -> None:
        """Take it away."""
        deleting = _DELETE.get(kind(request.urn))
        if deleting:
            deleting(request.resource_id)


def kind(urn: str) -> str:
    """The last part of a resource's type."""
    return urn.split("::")[2].rpartition(":")[2]


def plain(value: PropertyValue) -> Any:
    """A value without what the engine knows of it beside."""
    inner = value.value
    if isinstance(inner, Mapping):
        return {name: plain(item) for name, item in inner.items()}
    if isinstance(inner, list | tuple):
        return [plain(item) for item in inner]
    return inner


def _create_role(inputs: Inputs) -> tuple[str, Inputs]:
    role = boto3.client("iam").create_role(
        RoleName=inputs["name"], AssumeRolePolicyDocument=inputs["assumeRolePolicy"]
    )["Role"]
    return role["RoleName"], {"arn": role["Arn"]}


def _attach(inputs: Inputs) -> tuple[str, Inputs]:
    boto3.client("iam").attach_role_policy(RoleName=inputs["role"], PolicyArn=inputs["policyArn"])
    return f"{inputs['role']} {inputs['policyArn']}", {}


def _detach(id_: str) -> None:
    role, _, policy = id_.partition(" ")
    boto3.client("iam").detach_role_policy(RoleName=role, PolicyArn=policy)


def _made_up(pattern: str) -> Callable[[Inputs], tuple[str, Inputs]]:
    def create(inputs: Inputs) -> tuple[str, Inputs]:
        arn = pattern.format(**inputs)
        return arn, {"arn": arn}

    return create


def _create_image(inputs: Inputs) -> tuple[str, Inputs]:
    arn = boto3.client("imagebuilder").create_image(
        imageRecipeArn=inputs["imageRecipeArn"],
        infrastructureConfigurationArn=inputs["infrastructureConfigurationArn"],
    )["imageBuildVersionArn"]
    while (image := _image(arn))["state"]["status"] != "AVAILABLE":
        if image["state"]["status"] in {"FAILED", "CANCELLED"}:
            raise RuntimeError(f"image {arn} is {image['state']['status']}")
        time.sleep(0.1)
    return arn, {"arn": arn}


def _image(arn: str) -> Any:
    imagebuilder = boto3.client("imagebuilder")
    try:
        return imagebuilder.get_image(imageBuildVersionArn=arn)["image"]
    except imagebuilder.exceptions.ResourceNotFoundException:
        return None


def _delete_image(arn: str) -> None:
    imagebuilder = boto3.client("imagebuilder")
    try:
        imagebuilder.delete_image(imageBuildVersionArn=arn)
    except imagebuilder.exceptions.ResourceNotFoundException:
        return


_CREATE: Mapping[str, Callable[[Inputs], tuple[str, Inputs]]] = {
    "Role": _create_role,
    "RolePolicyAttachment": _attach,
    "InfrastructureConfiguration": _made_up(f"{_ARN}:infrastructure-configuration/{{name}}"),
    "ImageRecipe": _made_up(f"{_ARN}:image-recipe/{{name}}/{{version}}"),
    "Image": _create_image,
}
_DELETE: Mapping[str, Callable[[str], None]] = {
    "Role": lambda id_: boto3.client("iam").delete_role(RoleName=id_),
    "RolePolicyAttachment": _detach,
    "Image": _delete_image,
}

if __name__ == "__main__":
    server.main(sys.argv[1:], importlib.metadata.version("pulumi-aws"), StandIn())
