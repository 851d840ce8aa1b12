"""The work of a ``FleetStateUpdate``: what a host does for one image, for many at once."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from typing import Any

from .. import lifecycle, rules
from .host import Host

Inputs = Mapping[str, Any]


def apply(
    host: Host, inputs: Inputs, operation: str, olds: Inputs, again: Collection[str], removed: Collection[str]
) -> lifecycle.Record:
    """Carry out the declared state update for some images, and what ``on_destroy`` says for those that left the fleet.

    Args:
        host: what carries it out.
        inputs: what is declared.
        operation: ``create`` or ``update``.
        olds: the inputs and the record of the last run; empty at first.
        again: the images that something is to be done for; the others keep their records.
        removed: the images that are declared no longer.
    """
    records = lifecycle.unpack(olds)
    work: dict[str, lifecycle.Work[lifecycle.Record | None]] = {}
    for arn in inputs["resource_arns"]:
        if arn in again:
            work[arn] = functools.partial(_apply, _change(arn, inputs, olds, records.get(arn, {})))
    if inputs["on_destroy"] != "retain":
        for arn in removed:
            if arn in records:
                work[arn] = functools.partial(_leave, inputs["on_destroy"], olds, records[arn])
    asked = f"changing {_count(work)} to {inputs['state']}"
    done = host.carry_out_for_each(inputs, operation, asked, f"changing image {{}} to {inputs['state']}", work)
    fresh = {arn: record for arn, record in done.items() if record is not None}
    return lifecycle.pack(records | fresh, inputs["resource_arns"])


def refresh(host: Host, olds: Inputs) -> lifecycle.Record:
    """The record as it stands now; an image that has vanished, and was not to, is drift."""
    records = lifecycle.unpack(olds)
    work = {arn: functools.partial(_refresh, olds["state"], record) for arn, record in records.items()}
    found = host.carry_out_for_each(olds, "read", f"reading {_count(work)}", "reading image {}", work)
    return lifecycle.pack(found, olds["resource_arns"])


def destroy(host: Host, olds: Inputs) -> None:
    """Do what ``on_destroy`` says for each image."""
    does = {"cancel": "cancelling the state update of", "restore": "restoring"}[olds["on_destroy"]]
    work = {
        arn: functools.partial(_leave, olds["on_destroy"], olds, record)
        for arn, record in lifecycle.unpack(olds).items()
    }
    host.carry_out_for_each(olds, "delete", f"{does} {_count(work)}", f"{does} image {{}}", work)


def _change(arn: str, inputs: Inputs, olds: Inputs, before: Inputs) -> lifecycle.Change:
    triggers = inputs.get("triggers")
    if inputs.get("client_token") is not None:
        # The service takes a token for one image only: each gets one that is derived from it.
        triggers = [inputs["client_token"], triggers]
    scheduled = olds.get("update_at")
    return lifecycle.Change(
        resource_arn=arn,
        request=rules.request(inputs),
        triggers=triggers,
        follows=before.get("client_token"),
        superseded=before.get("lifecycle_execution_id"),
        own_schedule=before.get("lifecycle_execution_id") if scheduled else None,
        came_true=before.get("status") == "SUCCESS" and scheduled == inputs.get("update_at"),
        wait=inputs["wait"],
    )


async def _apply(change: lifecycle.Change, client: lifecycle.ImageClient) -> lifecycle.Record:
    return lifecycle.record(await lifecycle.apply(change, client))


async def _refresh(target: str, record: lifecycle.Record, client: lifecycle.ImageClient) -> lifecycle.Record:
    found = await lifecycle.refresh(record, target, client)
    if found is None:
        gone = "the image is gone, take it out of resource_arns"
        return {**record, "image_state": lifecycle.IMAGE_GONE, "__left": record["__left"], "__drift": gone}
    return found


async def _leave(on_destroy: str, olds: Inputs, record: lifecycle.Record, client: lifecycle.ImageClient) -> None:
    if on_destroy == "cancel":
        await lifecycle.cancel(record, client)
    else:
        await lifecycle.restore(record, rules.request(olds), client)


def _count(images: Collection[str]) -> str:
    return f"{len(images)} image{'s' if len(images) != 1 else ''}"
