"""Names on both sides of the border."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi_imagebuilder.names import ANY, MAPS, to_camel_case, to_snake_case, with_camel_case, with_snake_case
from pulumi_imagebuilder.validation import Kind
from pulumi_imagebuilder.validation.schema import installed, members


@pytest.mark.parametrize("kind", Kind)
def test_every_map_keeps_its_keys(kind: Kind) -> None:
    """What the service's model calls a map, or takes as it is, is known by name; a new one is noticed here."""

    def check(shape: Any) -> None:
        for name, (_, inner) in members(shape).items():
            assert (inner.type_name == "map") == (name in MAPS), name
            assert (name in ANY) == (name == "triggers")
            if inner.type_name == "structure":
                check(inner)

    check(installed().declaration(kind))


@pytest.mark.parametrize("kind", Kind)
def test_every_argument_has_the_services_name(kind: Kind) -> None:
    """The name in camelCase is the one in the model, and back."""
    for name, (api, _) in members(installed().declaration(kind)).items():
        assert to_camel_case(name) == api
        assert to_snake_case(api) == name


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
