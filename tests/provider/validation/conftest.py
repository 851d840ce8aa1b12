"""The service's model as botocore has it, to be changed by a test."""

from __future__ import annotations

import copy
from typing import Any

import botocore.loaders
import pytest


@pytest.fixture
def description() -> dict[str, Any]:
    """Botocore's description of the service."""
    loader = botocore.loaders.create_loader()
    return copy.deepcopy(loader.load_service_model("imagebuilder", "service-2"))


@pytest.fixture
def partitions() -> dict[str, Any]:
    """Botocore's description of the partitions."""
    return copy.deepcopy(botocore.loaders.create_loader().load_data("partitions"))


@pytest.fixture
def new_members(description: dict[str, Any]) -> None:
    """Arguments as a newer botocore may have them: a flag, and a structure of a list, a time and a number."""
    shapes = description["shapes"]
    shapes["StartResourceStateUpdateRequest"]["members"].update(dryRun={"shape": "Boolean"}, notify={"shape": "Notify"})
    shapes["Notify"] = {
        "type": "structure",
        "members": {
            "topicArns": {"shape": "StringList"},
            "notBefore": {"shape": "DateTimeTimestamp"},
            "attempts": {"shape": "Attempts"},
            "tags": {"shape": "TagMap"},
            "urgent": {"shape": "Boolean"},
        },
    }
    shapes["Attempts"] = {"type": "long"}
