"""The schema of the package."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from pulumi_imagebuilder import native
from pulumi_imagebuilder._version import __version__
from pulumi_imagebuilder.aws.configuration import Configuration
from pulumi_imagebuilder.lifecycle.entities import parse_resource
from pulumi_imagebuilder.lifecycle.state import OUTPUTS
from pulumi_imagebuilder.names import to_camel_case, to_snake_case
from pulumi_imagebuilder.plugin.functions import FUNCTIONS
from pulumi_imagebuilder.plugin.schema import package_schema
from pulumi_imagebuilder.validation import Kind

from tools import provider_schema

SCHEMA = package_schema()


def test_it_is_current() -> None:
    """`python -m tools.provider_schema` would write the same file."""
    assert provider_schema.PATH.read_text(encoding="utf-8") == provider_schema.render()


def test_its_version() -> None:
    """Is the package's."""
    assert SCHEMA["version"] == __version__


@pytest.mark.parametrize("kind", Kind)
def test_arguments_are_those_of_the_python_class(kind: Kind) -> None:
    """All of them, and no other."""
    parameters = set(inspect.signature(getattr(native, kind.value)).parameters) - {"resource_name", "opts"}
    declared = SCHEMA["resources"][f"imagebuilder:index:{kind.value}"]["inputProperties"]
    assert set(map(to_snake_case, declared)) == parameters


def test_outputs_are_those_of_the_state() -> None:
    """All that a state update keeps for the user."""
    single = SCHEMA["resources"]["imagebuilder:index:ResourceStateUpdate"]["properties"]
    execution = SCHEMA["types"]["imagebuilder:index:Execution"]["properties"]
    assert set(map(to_camel_case, OUTPUTS)) == set(execution)
    assert set(execution) <= set(single)
    change = SCHEMA["types"]["imagebuilder:index:ResourceChange"]["properties"]
    assert set(change) == set(map(to_camel_case, parse_resource({})))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_those_that_are_served(name: str) -> None:
    """With the arguments of what finds, and the property that holds the list."""
    find, result = FUNCTIONS[name]
    function = SCHEMA["functions"][f"imagebuilder:index:{name}"]
    assert list(function["inputs"]["properties"]) == list(
        map(to_camel_case, list(inspect.signature(find).parameters)[1:])
    )
    assert list(function["outputs"]["properties"]) == [to_camel_case(result)]


def test_the_configuration_is_that_of_the_provider() -> None:
    """Each key is declared, and the Python class has it as an argument."""
    assert set(SCHEMA["config"]["variables"]) == set(Configuration.KEYS)
    assert set(SCHEMA["provider"]["inputProperties"]) == set(Configuration.KEYS)
    arguments = set(inspect.signature(native.Provider).parameters) - {"resource_name", "opts"}
    assert set(map(to_camel_case, arguments)) == set(Configuration.KEYS)
    secret = {key for key, about in SCHEMA["config"]["variables"].items() if about.get("secret")}
    assert secret == {"accessKey", "secretKey", "token"}


def test_every_type_that_is_named_exists() -> None:
    """No reference leads nowhere."""

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            inside = set().union(*(references(item) for item in value.values())) if value else set()
            return inside | ({value["$ref"]} if isinstance(value.get("$ref"), str) else set())
        return set().union(*map(references, value)) if isinstance(value, list) and value else set()

    own = {each.removeprefix("#/types/") for each in references(SCHEMA) if each.startswith("#/types/")}
    assert own == set(SCHEMA["types"])


def test_every_argument_is_described() -> None:
    """In the names of the schema: nothing of Python's is left."""
    for token, about in SCHEMA["resources"].items():
        for name, argument in about["inputProperties"].items():
            assert argument["description"], (token, name)
    text = json.dumps(SCHEMA)
    for kind in Kind:
        for name in inspect.signature(getattr(native, kind.value)).parameters:
            assert "_" not in name or f"`{name}`" not in text
    assert "As there" not in text
