"""Names on both sides of the border."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.loaders import create_loader
from pulumi_imagebuilder.names import keeps_keys, to_camel_case, to_snake_case, with_camel_case, with_snake_case
from pulumi_imagebuilder.validation import Kind
from pulumi_imagebuilder.validation.schema import Model, installed, members


@pytest.mark.parametrize("kind", Kind)
def test_every_map_keeps_its_keys(kind: Kind) -> None:
    """A map of the service's model keeps the keys of users, and so does a list of any values."""

    def check(shape: Any) -> None:
        for name, (_, inner) in members(shape).items():
            assert keeps_keys(name, {"costCenter": 1}) == (inner.type_name == "map" or name == "triggers"), name
            if inner.type_name == "structure":
                check(inner)

    check(installed().declaration(kind))


@pytest.mark.parametrize("kind", Kind)
def test_every_argument_has_the_services_name(kind: Kind) -> None:
    """The name in camelCase is the one in the model, and back."""
    for name, (api, _) in members(installed().declaration(kind)).items():
        assert to_camel_case(name) == api
        assert to_snake_case(api) == name


def test_a_map_that_the_service_adds_keeps_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """It follows from the model: at any depth, in lists too, and in both directions."""
    loader = create_loader()
    description = loader.load_service_model("imagebuilder", "service-2")
    shapes = description["shapes"]
    shapes |= {
        "Labels": {"type": "map", "key": {"shape": "NonEmptyString"}, "value": {"shape": "NonEmptyString"}},
        "LabelsList": {"type": "list", "member": {"shape": "Labels"}},
    }
    sent = shapes[description["operations"]["StartResourceStateUpdate"]["input"]["shape"]]
    sent["members"]["labels"] = {"shape": "Labels"}
    shapes[sent["members"]["exclusionRules"]["shape"]]["members"]["anyOf"] = {"shape": "LabelsList"}
    model = Model(description, loader.load_data("partitions"))
    monkeypatch.setattr("pulumi_imagebuilder.names.installed", lambda: model)
    snake = {
        "labels": {"cost_center": "a", "costCenter": "b"},
        "exclusion_rules": {"any_of": [{"cost_center": "a", "costCenter": "b"}]},
    }
    camel = {
        "labels": {"cost_center": "a", "costCenter": "b"},
        "exclusionRules": {"anyOf": [{"cost_center": "a", "costCenter": "b"}]},
    }
    assert with_camel_case(snake) == camel
    assert with_snake_case(camel) == snake


def test_there_and_back() -> None:
    """Names are renamed at every depth; keys of maps, any values and the provider's own properties are not."""
    properties = {
        "exclusion_rules": {
            "amis": {"last_launched": {"value": 1}, "tag_map": {"cost_center": "a", "costCenter": "b"}}
        },
        "executions": {"arn:x_y": {"image_state": "DISABLED", "resources": [{"account_id": "1"}]}},
        "triggers": [{"a_b": 1, "aB": 2}],
        "__previous": {"image_state": "AVAILABLE"},
    }
    camel = {
        "exclusionRules": {"amis": {"lastLaunched": {"value": 1}, "tagMap": {"cost_center": "a", "costCenter": "b"}}},
        "executions": {"arn:x_y": {"imageState": "DISABLED", "resources": [{"accountId": "1"}]}},
        "triggers": [{"a_b": 1, "aB": 2}],
        "__previous": {"image_state": "AVAILABLE"},
    }
    assert with_camel_case(properties) == camel
    assert with_snake_case(camel) == properties
