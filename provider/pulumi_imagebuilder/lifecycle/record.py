"""The record of a state update, as Pulumi keeps it between runs: the outputs, and what drift is measured against.

Two keys are the provider's own; Pulumi does not display keys that begin with two underscores:

* ``__left``: the state that the update left the image in, which is no drift although it may not be the one asked for.
* ``__drift``: what a refresh found to be otherwise, in words; absent where all is well.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from ..errors import ImageNotFound
from .client import ImageClient
from .records import Image, Outcome, complete_resource
from .statuses import EXECUTION_ENDED_BADLY, EXECUTION_SUCCEEDED, EXECUTION_UNFINISHED, IMAGE_GONE

Record = dict[str, Any]

RECORD_KEYS = (
    "lifecycle_execution_id",
    "status",
    "status_reason",
    "start_time",
    "end_time",
    "image_state",
    "deprecation_time",
    "resources",
    "client_token",
    "__left",
    "__drift",
)
"""All keys of a record; the outputs are those without underscores."""


def kept(olds: Mapping[str, Any]) -> Record:
    """The record in what Pulumi kept. It drops None from lists and dicts, and programs look for all keys there are."""
    outputs = {key: olds.get(key) for key in RECORD_KEYS if not key.startswith("__")}
    own = {key: olds[key] for key in RECORD_KEYS if key.startswith("__") and key in olds}
    return {**outputs, "resources": [complete_resource(each) for each in olds.get("resources") or []], **own}


def record(outcome: Outcome) -> Record:
    """The record of a state update that has just been carried out."""
    return {**outcome.outputs(), "__left": outcome.image.state}


async def refresh(recorded: Mapping[str, Any], target: str, client: ImageClient) -> Record | None:
    """Read the image, and the execution where it was unfinished, into a new record.

    Args:
        recorded: the record as of the last run.
        target: the declared state.
        client: the image's client.

    Returns:
        The record as it stands now; None when the image has vanished and was not to be deleted.
    """
    image = await client.find_image()
    if image.state == IMAGE_GONE and target != IMAGE_GONE:
        return None
    fresh = {**recorded, "image_state": image.state, "deprecation_time": image.deprecation_time}
    execution_id = recorded.get("lifecycle_execution_id")
    if execution_id and recorded.get("status") in EXECUTION_UNFINISHED:
        # The service does not keep executions for ever; of one that it has forgotten, what is recorded stays.
        with contextlib.suppress(ImageNotFound):
            execution = await client.find_execution(execution_id)
            resources = await client.resources(execution_id, await client.look(execution_id))
            fresh |= Outcome(recorded["client_token"], image, execution, resources).outputs()
            if execution.status in EXECUTION_SUCCEEDED and target != IMAGE_GONE:
                # It left the image as declared, whoever moved it since. A deletion may have left the record as it was.
                fresh["__left"] = target
    if image.state == target:
        # A schedule that has come true, or an update that has ended: from now on any other state is drift.
        fresh["__left"] = image.state
    found = drift(target, fresh, image)
    fresh.pop("__drift", None)
    return {**fresh, "__drift": found} if found else fresh


def drift(target: str, recorded: Mapping[str, Any], image: Image) -> str | None:
    """What is otherwise than declared, in words; None where nothing is.

    Args:
        target: the declared state.
        recorded: the record, its execution brought up to date.
        image: the image as it stands.
    """
    if image.state not in {target, recorded.get("__left")}:
        return f"the image is {image.state}, declared is {target}"
    if recorded.get("status") in EXECUTION_ENDED_BADLY:
        return f"lifecycle execution {recorded['lifecycle_execution_id']} ended as {recorded['status']}"
    return None
