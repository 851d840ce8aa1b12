"""Write the native provider's schema, out of the service's model and the docstrings of the Python classes.

`python -m tools.provider_schema` writes the package's `plugin/schema.json`; a test holds it to be current.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pulumi_imagebuilder import names, resources
from pulumi_imagebuilder.aws.configuration import Configuration
from pulumi_imagebuilder.lifecycle.entities import parse_resource
from pulumi_imagebuilder.lifecycle.state import OUTPUTS
from pulumi_imagebuilder.plugin import schema as plugin_schema
from pulumi_imagebuilder.validation import Kind
from pulumi_imagebuilder.validation.schema import DEFAULTS, IMAGE, installed, members

Spec = dict[str, Any]

PATH = Path(plugin_schema.__file__).with_name(plugin_schema.FILE)

_REPOSITORY = "https://github.com/pulumi-imagebuilder/pulumi-imagebuilder"

_LANGUAGES: Spec = {
    "csharp": {"respectSchemaVersion": True},
    "go": {"importBasePath": "github.com/pulumi-imagebuilder/sdk/go/imagebuilder", "respectSchemaVersion": True},
    "java": {"basePackage": "com.pulumi_imagebuilder"},
    "nodejs": {
        "packageName": "@pulumi-imagebuilder/imagebuilder",
        "dependencies": {"@pulumi/pulumi": "^3.142.0"},
        "respectSchemaVersion": True,
    },
    # `pulumi_imagebuilder` is the package with the classes written by hand.
    "python": {
        "packageName": "pulumi_imagebuilder_sdk",
        "pyproject": {"enabled": True},
        "requires": {"pulumi": ">=3.142,<4"},
        "respectSchemaVersion": True,
    },
}

_TYPE_NAMES = {
    "ResourceStateUpdateIncludeResources": "IncludeResources",
    "ResourceStateUpdateExclusionRules": "ExclusionRules",
    "LifecyclePolicyDetailExclusionRulesAmis": "AmiExclusionRules",
    "LifecyclePolicyDetailExclusionRulesAmisLastLaunched": "LastLaunched",
    "LifecyclePolicyTimeUnit": "TimeUnit",
    "ResourceStatus": "State",
}
"""The names of the service's shapes in the package; others keep theirs."""

STRING: Spec = {"type": "string"}
_BOOLEAN: Spec = {"type": "boolean"}
_INTEGER: Spec = {"type": "integer"}
_SCALARS = {"string": STRING, "timestamp": STRING, "boolean": _BOOLEAN, "integer": _INTEGER, "long": _INTEGER}
_ANY: Spec = {"$ref": "pulumi.json#/Any"}


def _list_of(items: Spec) -> Spec:
    return {"type": "array", "items": items}


def _map_of(values: Spec) -> Spec:
    return {"type": "object", "additionalProperties": values}


def _type(name: str) -> Spec:
    return {"$ref": f"#/types/imagebuilder:index:{name}"}


_STRINGS = _list_of(STRING)

CONFIGURATION_TYPES: Mapping[str, Spec] = {
    "allowedAccountIds": _STRINGS,
    "assumeRole": _type("AssumeRole"),
    "assumeRoleWithWebIdentity": _type("AssumeRoleWithWebIdentity"),
    "assumeRoles": _list_of(_type("AssumeRole")),
    "endpoints": _list_of(_map_of(STRING)),
    "forbiddenAccountIds": _STRINGS,
    "insecure": _BOOLEAN,
    "sharedConfigFiles": _STRINGS,
    "sharedCredentialsFiles": _STRINGS,
    "skipMetadataApiCheck": _BOOLEAN,
    "useDualstackEndpoint": _BOOLEAN,
    "useFipsEndpoint": _BOOLEAN,
    "userAgents": _STRINGS,
}
"""The types of the provider's keys that are no text."""

_SECRET_KEYS = ("accessKey", "secretKey", "token")

_ROLE_MEMBERS: Mapping[str, Spec] = {
    "roleArn": STRING,
    "duration": STRING,
    "externalId": STRING,
    "policy": STRING,
    "policyArns": _STRINGS,
    "sessionName": STRING,
    "sourceIdentity": STRING,
    "tags": _map_of(STRING),
    "transitiveTagKeys": _STRINGS,
}
_WEB_IDENTITY_MEMBERS: Mapping[str, Spec] = {
    "roleArn": STRING,
    "duration": STRING,
    "policy": STRING,
    "policyArns": _STRINGS,
    "sessionName": STRING,
    "webIdentityToken": {**STRING, "secret": True},
    "webIdentityTokenFile": STRING,
}

_OWN_TYPES: Mapping[str, tuple[str, Mapping[str, Spec]]] = {
    "ResourceChange": (
        "What an execution did to one resource under the image.",
        {
            **{names.to_camel_case(name): STRING for name in parse_resource({})},
            "snapshots": _list_of(_type("SnapshotChange")),
            "imageUris": _STRINGS,
        },
    ),
    "SnapshotChange": (
        "What an execution did to one snapshot of an AMI.",
        {"snapshotId": STRING, "status": STRING, "reason": STRING},
    ),
    "AssumeRole": ("A role to assume, as pulumi-aws has it.", _ROLE_MEMBERS),
    "AssumeRoleWithWebIdentity": ("A role to assume with a token, as pulumi-aws has it.", _WEB_IDENTITY_MEMBERS),
    "BuildAmi": (
        "An AMI of a build.",
        {"region": STRING, "image": STRING, "accountId": STRING, "name": STRING},
    ),
    "BuildContainer": ("The container images of a build in one region.", {"region": STRING, "imageUris": _STRINGS}),
    "ReferencedAmi": (
        "An AMI of an image, as EC2 describes it.",
        {
            "region": STRING,
            "image": STRING,
            "accountId": STRING,
            "state": STRING,
            "snapshots": _STRINGS,
            "sizeGib": _INTEGER,
            "public": _BOOLEAN,
            "lastLaunched": STRING,
            "deregistrationProtection": _BOOLEAN,
        },
    ),
    "ImageReference": (
        "One use of an AMI.",
        dict.fromkeys(("kind", "arn", "name", "detail", "image", "region"), STRING),
    ),
    "NotLookedUp": (
        "Where nothing was looked up, and why.",
        dict.fromkeys(("region", "accountId", "reason"), STRING),
    ),
}

_FUNCTIONS: Mapping[str, tuple[Any, str, type, Mapping[str, Spec], Mapping[str, Spec]]] = {
    "getImageBuildVersions": (
        resources.get_image_build_versions,
        "imageBuildVersions",
        resources.ImageBuildVersion,
        {
            "image": STRING,
            "states": _STRINGS,
            "olderThan": STRING,
            "skipNewest": _INTEGER,
            "deprecatedFor": STRING,
            "unused": _BOOLEAN,
            "region": STRING,
        },
        {"build": _INTEGER, "amis": _list_of(_type("BuildAmi")), "containers": _list_of(_type("BuildContainer"))},
    ),
    "getImageReferences": (
        resources.get_image_references,
        "imageReferences",
        resources.ImageReferences,
        {"resourceArns": _STRINGS},
        {
            "amis": _list_of(_type("ReferencedAmi")),
            "usedBy": _list_of(_type("ImageReference")),
            "notLookedUp": _list_of(_type("NotLookedUp")),
            "inUse": _BOOLEAN,
        },
    ),
}
"""By name: the Python function, the property with the list and its class, the types of arguments and of attributes that
are no text."""


class _Types:
    """The named types that shapes come to, collected on the way."""

    def __init__(self) -> None:
        self.found: dict[str, Spec] = {}

    def spec(self, shape: Any) -> Spec:
        """Return the type of a shape's values."""
        name = _TYPE_NAMES.get(shape.name, shape.name)
        if shape.type_name == "string" and shape.enum:
            choices = [{"name": choice.title().replace("_", ""), "value": choice} for choice in shape.enum]
            self.found[f"imagebuilder:index:{name}"] = {"type": "string", "enum": choices}
            # A text is accepted too, as one from a stack's configuration.
            return {"type": "string", "oneOf": [STRING, _type(name)]}
        if shape.type_name == "structure":
            described = _arguments_of(getattr(resources, f"{name}Args"))
            self.found[f"imagebuilder:index:{name}"] = _object(
                _first_paragraph(getattr(resources, f"{name}Args")),
                {api: (self.spec(inner), described.get(python, "")) for python, (api, inner) in members(shape).items()},
                shape.required_members,
            )
            return _type(name)
        if shape.type_name == "list":
            return _list_of(self.spec(shape.member))
        if shape.type_name == "map":
            return _map_of(self.spec(shape.value))
        return _ANY if shape.type_name == "any" else _SCALARS[shape.type_name]


def provider_schema() -> Spec:
    """Return the schema, without the version."""
    types = _Types()
    declared = {f"imagebuilder:index:{kind.value}": _resource(kind, types) for kind in Kind}
    for name, (text, properties) in _OWN_TYPES.items():
        required = ["roleArn"] if "roleArn" in properties else []
        types.found[f"imagebuilder:index:{name}"] = _object(
            text, {each: (spec, "") for each, spec in properties.items()}, required
        )
    single = _output_descriptions(resources.ResourceStateUpdate)
    types.found["imagebuilder:index:Execution"] = _object(
        "What a fleet has of one image.", {names.to_camel_case(n): (_output_type(n), single[n]) for n in OUTPUTS}, []
    )
    functions = {f"imagebuilder:index:{name}": _function(name, types) for name in _FUNCTIONS}
    configuration = {
        key: {
            **CONFIGURATION_TYPES.get(key, STRING),
            **({"secret": True} if key in _SECRET_KEYS else {}),
            "description": f"As `{key}` of pulumi-aws's provider.",
        }
        for key in Configuration.KEYS
    }
    return {
        "name": "imagebuilder",
        "displayName": "EC2 Image Builder lifecycle states",
        "description": "Declare the lifecycle state of EC2 Image Builder images in a Pulumi program.",
        "keywords": ["pulumi", "aws", "ec2", "imagebuilder", "ami", "lifecycle", "category/cloud"],
        "homepage": _REPOSITORY,
        "repository": _REPOSITORY,
        "license": "Apache-2.0",
        "publisher": "pulumi-imagebuilder",
        "meta": {"moduleFormat": "(.*)"},
        "config": {"variables": configuration},
        "provider": {
            "description": "The provider: credentials, region and guards, with the keys of pulumi-aws's.",
            "inputProperties": configuration,
        },
        "types": dict(sorted(types.found.items())),
        "resources": declared,
        "functions": functions,
        "language": _LANGUAGES,
    }


def _resource(kind: Kind, types: _Types) -> Spec:
    python = getattr(resources, kind.value)
    described, outputs = _argument_descriptions(kind), _output_descriptions(python)
    declaration = installed().declaration(kind)
    inputs = {}
    for name, (api, shape) in members(declaration).items():
        default = DEFAULTS[kind].get(name)
        inputs[api] = {
            **types.spec(shape),
            "description": described.get(name, ""),
            **({"default": default} if default is not None else {}),
            **({"willReplaceOnChanges": True} if name == IMAGE else {}),
        }
    properties = {api: {key: value for key, value in spec.items() if key != "default"} for api, spec in inputs.items()}
    own = {name: _output_type(name) for name in outputs if name not in described or name == "client_token"}
    for name, spec in own.items():
        properties[names.to_camel_case(name)] = {**spec, "description": outputs[name]}
    always = {"image_state", "resources", "executions", "lifecycle_execution_ids"} & own.keys()
    required = [*declaration.required_members]
    return {
        "description": _describe(inspect.getdoc(python) or ""),
        "inputProperties": inputs,
        "requiredInputs": required,
        "properties": properties,
        "required": sorted({*required, *map(names.to_camel_case, {*DEFAULTS[kind], *always})}),
    }


def _output_type(name: str) -> Spec:
    return {
        "resources": _list_of(_type("ResourceChange")),
        "executions": _map_of(_type("Execution")),
        "lifecycle_execution_ids": _map_of(STRING),
    }.get(name, STRING)


def _function(name: str, types: _Types) -> Spec:
    python, result, entry, arguments, attributes = _FUNCTIONS[name]
    described = _arguments_of(python)
    required = [each.name for each in inspect.signature(python).parameters.values() if each.default is each.empty]
    about = _attribute_descriptions(entry)
    types.found[f"imagebuilder:index:{entry.__name__}"] = _object(
        _first_paragraph(entry),
        {names.to_camel_case(n): (attributes.get(names.to_camel_case(n), STRING), text) for n, text in about.items()},
        [],
    )
    return {
        "description": _first_paragraph(python),
        "inputs": _object(
            "",
            {api: (spec, described[names.to_snake_case(api)]) for api, spec in arguments.items()},
            map(names.to_camel_case, required),
        ),
        "outputs": _object("", {result: (_list_of(_type(entry.__name__)), "What was found.")}, [result]),
    }


def _object(text: str, properties: Mapping[str, tuple[Spec, str]], required: Iterable[str]) -> Spec:
    return {
        **({"description": text} if text else {}),
        "type": "object",
        "properties": {
            name: {**spec, **({"description": about} if about else {})} for name, (spec, about) in properties.items()
        },
        "required": sorted(required),
    }


# --- docstrings ------------------------------------------------------------------------------------------------------


def _argument_descriptions(kind: Kind) -> dict[str, str]:
    """Return what the arguments of a class mean; a fleet's refer to those of a single one."""
    described = _arguments_of(getattr(resources, kind.value).__init__)
    single = _arguments_of(resources.ResourceStateUpdate.__init__)
    for name, text in described.items():
        found = re.match(r"As there[,;.]? ?(.*)", text, re.DOTALL)
        if found:
            more = found[1]
            described[name] = single[name] + (f" {more[0].upper()}{more[1:]}" if more else "")
    return {name: text for name, text in described.items() if name not in ("resource_name", "opts")}


def _arguments_of(documented: Any) -> dict[str, str]:
    """Return the section ``Args`` of a docstring by argument."""
    text = inspect.getdoc(documented) or ""
    section = re.search(r"^Args:\n(.*?)(?:\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    if not section:
        return {}
    entries = re.split(r"^(\w+): ", textwrap.dedent(section[1]), flags=re.MULTILINE)[1:]
    return {name: _describe(about) for name, about in zip(entries[::2], entries[1::2], strict=True)}


def _output_descriptions(python: type) -> dict[str, str]:
    """Return the outputs of a resource class with what they mean: the attributes with a docstring."""
    return _attribute_descriptions(python)


def _attribute_descriptions(python: type) -> dict[str, str]:
    """Return the attributes of a class that have a docstring, which Python itself does not keep."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(python))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for node, after in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            assert isinstance(node.target, ast.Name)
            found[node.target.id] = _describe(str(after.value.value))
    return found


def _first_paragraph(documented: Any) -> str:
    return _describe((inspect.getdoc(documented) or "").partition("\n\n")[0])


def _describe(text: str) -> str:
    """Return a docstring's text in Markdown, with the names of the schema."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n")]
    text = "\n\n".join(paragraphs)
    text = re.sub(r":(?:class|func):`([^`]+)`", r"``\1``", text)
    return re.sub(r"``([^`]+)``", lambda found: f"`{_rename(found[1])}`", text)


def _rename(code: str) -> str:
    return code if code.startswith("`") or " " in code else names.to_camel_case(code)


def render() -> str:
    """Return the text of the file."""
    return json.dumps(provider_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(render(), encoding="utf-8")
