"""What the service shows of a change whose state or answer was lost: it was carried out, continues, or was undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .change import Change
from .client import ExecutionUnknown, ImageClient
from .entities import (
    ACTION,
    EXECUTION_SUCCEEDED,
    GONE,
    IMAGE_GONE,
    RESOURCE_SUCCEEDED,
    Execution,
    Outcome,
    newest,
)

_EVIDENT = frozenset({"state", "executionRole", "includeResources"})
"""The parameters whose effect the resources of an execution show: what others did cannot be seen from it."""

_EVIDENT_RESOURCES = frozenset({"amis", "snapshots", "containers"})


class Answer(NamedTuple):
    """The answer to a start."""

    execution_id: str | None
    """None after an immediate change."""
    certain: bool = True
    """Whether it is this change's own execution, or only the one that it has to be by all that the service shows."""


async def find_adoptable_execution(
    change: Change, client: ImageClient, executions: Sequence[Execution]
) -> Answer | None:
    """Return the last execution of the image if it does just what this change would do, to all under the image.

    So the same declaration, after a `destroy` that retained or under another name, is not carried out again although
    the token that it was carried out with is lost with the state.
    """
    last = newest(executions)
    if not change.is_first or last is None:
        return None
    if last.unfinished:
        return Answer(last.id, certain=False) if await _is_same_schedule(change, client, last) else None
    if last.status not in EXECUTION_SUCCEEDED:
        return None
    included = {name for name, wanted in change.request.get("includeResources", {}).items() if wanted}
    if not included or change.request.keys() - _EVIDENT or included - _EVIDENT_RESOURCES:
        return None
    try:
        resources = await client.resources(last.id, await client.snapshot(last.id))
    except ExecutionUnknown:
        return None
    did_all = bool(resources) and all(_did(resource, change.target, included) for resource in resources)
    return Answer(last.id, certain=False) if did_all else None


def _did(resource: Mapping[str, Any], target: str, included: set[str]) -> bool:
    if resource["action"] != ACTION[target] or resource["status"] not in RESOURCE_SUCCEEDED:
        return False
    # A deletion of AMIs alone keeps their snapshots, and lists none.
    return "snapshots" not in included or any(
        snapshot["status"] in RESOURCE_SUCCEEDED for snapshot in resource["snapshots"]
    )


async def _is_same_schedule(change: Change, client: ImageClient, execution: Execution) -> bool:
    """Return whether an unfinished execution is scheduled for the very instant that this change is declared for."""
    if change.update_at is None or not await is_schedule(client, execution):
        return False
    return (await client.find_image(again=True)).deprecation_time == change.update_at


async def is_schedule(client: ImageClient, execution: Execution) -> bool:
    """Return whether an unfinished execution waits for its time: by its evidence, and never by its status alone.

    It has done nothing to any resource yet, the image is to be deprecated at a time to come, and it is the image's
    own: a lifecycle policy's executions are not scheduled by a state update.
    """
    if execution.policy_arn is not None or not execution.unfinished:
        return False
    snapshot = await client.snapshot(execution.id)
    if snapshot.resources or snapshot.next_token:
        return False
    return (await client.find_image(again=True)).deprecation_is_ahead(snapshot.at)


async def find_execution_with_another_role(change: Change, client: ImageClient) -> Answer | None:
    """Return the execution that answers for a token that the service knows with other parameters.

    Of a derived token only the role is no part, so this change was started with another role, and the answer to that
    was lost. It has to be one of the image's executions that does the same, most likely the newest; None where there
    is none.
    """
    for execution in sorted(await client.executions(), key=lambda execution: execution.age, reverse=True):
        if execution.id == change.superseded:
            break
        if execution.policy_arn or (change.update_at is None and await is_schedule(client, execution)):
            # Somebody else's: what this change has started is no schedule.
            continue
        if await client.find_action(execution.id) in {ACTION[change.target], None}:
            return Answer(execution.id, certain=False)
    return None


async def find_earlier_deletion(
    change: Change, client: ImageClient, token: str, before: Mapping[str, Execution]
) -> Outcome | None:
    """Return the outcome of a deletion whose token the service has forgotten, where the image is gone.

    Args:
        change: the declared change.
        client: the image's client.
        token: the token to keep in the state.
        before: the image's executions.
    """
    last = newest([execution for execution in before.values() if execution.status in EXECUTION_SUCCEEDED])
    if change.target != IMAGE_GONE or last is None:
        return None
    # Of an image without AMIs, as one whose build failed, no resource shows it; the entry of the record does.
    if await client.find_action(last.id) != ACTION[IMAGE_GONE]:
        return None
    return Outcome(token, GONE, last, await client.resources(last.id, await client.snapshot(last.id)))


async def was_moved_since(
    change: Change, client: ImageClient, execution_id: str, before: Mapping[str, Execution]
) -> bool:
    """Return whether a later execution did something else, though the image may be back where this one left it."""
    for execution in before.values():
        if execution.came_after(before[execution_id]) and not execution.unfinished:
            action = await client.find_action(execution.id)
            if action not in {ACTION[change.target], None}:
                return True
    return False
