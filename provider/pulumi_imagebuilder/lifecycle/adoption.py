"""Find the execution to adopt when the state, or the response to a start, was lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
"""The parameters whose effect an execution's resources show; an execution does not show the effect of any other."""

_EVIDENT_RESOURCES = frozenset({"amis", "snapshots", "containers"})


class Answer(NamedTuple):
    """The execution that answers for a start."""

    execution_id: str | None
    """None for an immediate change."""
    certain: bool = True
    """True if the service returned it for this token; False if it was inferred."""


async def find_adoptable_execution(
    change: Change, client: ImageClient, executions: Sequence[Execution]
) -> Answer | None:
    """Return the image's newest execution if it did to all under the image just what this change would do.

    So the same declaration is not carried out again after a `destroy` with `retain` or under another name, although its
    token is lost with the state.
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
    # A deletion of AMIs without their snapshots lists no snapshots.
    return "snapshots" not in included or any(
        snapshot["status"] in RESOURCE_SUCCEEDED for snapshot in resource["snapshots"]
    )


async def _is_same_schedule(change: Change, client: ImageClient, execution: Execution) -> bool:
    """Return whether an unfinished execution is scheduled for the instant that this change declares."""
    if change.update_at is None or not await is_schedule(client, execution):
        return False
    return (await client.find_image(fresh=True)).deprecation_time == change.update_at


async def is_schedule(client: ImageClient, execution: Execution) -> bool:
    """Return whether an unfinished execution is a schedule, which its status alone does not show.

    A schedule lists no resources yet, its image has a deprecation time that has not come, and no lifecycle policy
    started it.
    """
    if execution.policy_arn is not None or not execution.unfinished:
        return False
    snapshot = await client.snapshot(execution.id)
    if snapshot.resources or snapshot.next_token:
        return False
    return (await client.find_image(fresh=True)).deprecation_is_ahead(snapshot.at)


async def find_execution_with_another_role(change: Change, client: ImageClient, known: int = 1) -> Answer | None:
    """Return the execution of tokens that the service knows with other parameters; None if that is not certain.

    The role is the only parameter that a derived token leaves out, so this change was started with another role and the
    responses were lost. Its last execution is the newest of the image's that does the same, unless it has ended and
    more of them do than tokens are known: one of these has perhaps other exclusion rules.

    Args:
        change: what is declared.
        client: the image's client.
        known: how many of the change's tokens the service knows with other parameters.
    """
    same: list[Execution] = []
    for execution in sorted(await client.executions(), key=lambda execution: execution.sort_time, reverse=True):
        if execution.id == change.superseded:
            break
        if execution.policy_arn or (change.update_at is None and await is_schedule(client, execution)):
            # Not started by this change, which is no schedule.
            continue
        if await client.find_action(execution.id) in {ACTION[change.target], None}:
            same.append(execution)
            if execution.unfinished or len(same) > known:
                break
        elif same:
            break
    if not same or (len(same) > known and not same[0].unfinished):
        return None
    return Answer(same[0].id, certain=False)


async def find_deletion(client: ImageClient, executions: Iterable[Execution]) -> Outcome | None:
    """Return the outcome of the newest execution that deleted an image which is gone; None if none of them did.

    Args:
        client: the image's client.
        executions: the image's executions.
    """
    for execution in sorted(executions, key=lambda execution: execution.sort_time, reverse=True):
        # An image without AMIs, as one whose build failed, has no resources; the entry of the record shows the action.
        if execution.status in EXECUTION_SUCCEEDED and await client.find_action(execution.id) == ACTION[IMAGE_GONE]:
            resources = await client.resources(execution.id, await client.snapshot(execution.id))
            return Outcome("", GONE, execution, resources)
    return None


async def was_changed_since(
    change: Change, client: ImageClient, execution_id: str, before: Mapping[str, Execution]
) -> bool:
    """Return whether a later execution changed the image, though it may be back in the same state."""
    for execution in before.values():
        if execution.came_after(before[execution_id]) and not execution.unfinished:
            action = await client.find_action(execution.id)
            if action not in {ACTION[change.target], None}:
                return True
    return False
