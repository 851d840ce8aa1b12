"""The parameters of the call."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import botocore.validate
from pulumi_imagebuilder.validation import Kind, request, validate
from pulumi_imagebuilder.validation.schema import Model, installed

FULL = {
    "resource_arn": "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4",
    "state": "DEPRECATED",
    "execution_role": "ImageLifecycle",
    "include_resources": {"amis": True, "snapshots": False, "containers": False},
    "exclusion_rules": {
        "amis": {
            "is_public": False,
            "regions": ["us-east-1"],
            "shared_accounts": ["000000000001"],
            "last_launched": {"value": 3.0, "unit": "DAYS"},
            "tag_map": {"is_public": "as given"},
        }
    },
    "update_at": "2030-01-31T02:00:00+02:00",
    "client_token": "token",
    "triggers": [1],
    "wait": True,
    "on_destroy": "retain",
    "image_state": "DEPRECATED",
    "in_use": "wait",
    "max_amis": 3,
    "__urn": "urn",
}
PARAMETERS = {
    "state": {"status": "DEPRECATED"},
    "executionRole": "ImageLifecycle",
    "includeResources": {"amis": True, "snapshots": False, "containers": False},
    "exclusionRules": {
        "amis": {
            "isPublic": False,
            "regions": ["us-east-1"],
            "sharedAccounts": ["000000000001"],
            "lastLaunched": {"value": 3, "unit": "DAYS"},
            "tagMap": {"is_public": "as given"},
        }
    },
    "updateAt": datetime(2030, 1, 31, tzinfo=UTC),
}


def test_every_parameter_reaches_the_request() -> None:
    """Arguments become parameters one to one; neither the image, nor the token, nor anything of our own is sent."""
    parameters = request(FULL)

    assert parameters == PARAMETERS
    assert type(parameters["exclusionRules"]["amis"]["lastLaunched"]["value"]) is int


def test_the_full_request_has_every_member_of_the_model() -> None:
    """The request above leaves nothing out: each member of each structure of the model is in it."""

    def missing(value: Any, shape: Any, path: str) -> list[str]:
        if shape.type_name != "structure":
            return []
        absent = [f"{path}.{name}" for name in shape.members if name not in value]
        return absent + [gap for name in value for gap in missing(value[name], shape.members[name], f"{path}.{name}")]

    assert missing(request(FULL), installed().request, "") == [".resourceArn", ".clientToken"]


def test_none_is_left_out() -> None:
    """None means left out, at any depth; nothing is sent that was not declared."""
    inputs = {
        "state": "DISABLED",
        "execution_role": None,
        "include_resources": {"amis": True, "snapshots": None},
        "exclusion_rules": {"amis": {"regions": None, "is_public": True}},
    }

    assert request(inputs) == {
        "state": {"status": "DISABLED"},
        "includeResources": {"amis": True},
        "exclusionRules": {"amis": {"isPublic": True}},
    }


def test_boto3_accepts_the_request() -> None:
    """The checks that boto3 itself makes before a call pass."""
    shape = installed().request
    parameters = {**request(FULL), "resourceArn": FULL["resource_arn"], "clientToken": "t"}

    assert not botocore.validate.ParamValidator().validate(parameters, shape).has_errors()


def test_new_parameters_are_sent(description: dict[str, Any], partitions: dict[str, Any], new_members: None) -> None:
    """Arguments that a newer botocore has are sent as soon as they are declared, with the types of the API."""
    model = Model(description, partitions)
    inputs = {
        "resource_arn": FULL["resource_arn"],
        "state": "DEPRECATED",
        "dry_run": False,
        "notify": {"topic_arns": ["b", "a"], "not_before": "2030-01-31T02:00:00+02:00", "attempts": 2.0},
    }

    validated = validate(Kind.SINGLE, inputs, model=model)

    assert validated.failures == []
    assert request(validated.inputs, model=model) == {
        "state": {"status": "DEPRECATED"},
        "dryRun": False,
        "notify": {
            "topicArns": ["a", "b"],
            "notBefore": datetime(2030, 1, 31, tzinfo=UTC),
            "attempts": 2,
        },
    }
