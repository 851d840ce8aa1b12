"""What an image's executions tell of a change whose record or answer was lost: that it was carried out, or undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from .change import Change
from .client import ImageClient
from .records import GONE, Execution, Outcome
from .statuses import ACTION, EXECUTION_SUCCEEDED, IMAGE_GONE, RESOURCE_SUCCEEDED


class Answer(NamedTuple):
    """What a start was answered."""

    execution_id: str | None
    """None after an immediate change."""
    certain: bool = True
    """Whether it is this change's own execution, or only the one that it has to be by all that the service tells."""


async def standing(change: Change, client: ImageClient, executions: Sequence[Execution]) -> Answer | None:
    """The last execution of the image, if it did just what this change would do, and to everything under the image.

    So the same declaration, after a `destroy` that retained, is not carried out again although the token that it was
    carried out with is lost with the record. What exclusion rules left out cannot be told from an execution.
    """
    last = max(executions, key=_age, default=None)
    if not change.first or last is None or last.status not in EXECUTION_SUCCEEDED:
        return None
    if "includeResources" not in change.request or change.request.keys() & {"exclusionRules", "updateAt"}:
        return None
    look = await client.look(last.id)
    did_all = bool(look.resources) and look.more is None
    for resource in look.resources:
        did_all &= resource["action"] == ACTION[change.target] and resource["status"] in RESOURCE_SUCCEEDED
    return Answer(last.id, certain=False) if did_all else None


async def started_with_another_role(change: Change, client: ImageClient) -> Answer | None:
    """A derived token is known with other parameters: only the role is not part of it, so this change was started.

    The answer to it was lost. It has to be one of the image's executions that does the same, most likely the newest;
    None where there is none.
    """
    newest_first = sorted(await client.executions(), key=_age, reverse=True)
    for execution in newest_first:
        if execution.id == change.superseded:
            break
        if await client.action(execution.id) in {ACTION[change.target], None}:
            return Answer(execution.id, certain=False)
    return None


async def deleted_before(
    change: Change, client: ImageClient, token: str, before: Mapping[str, Execution]
) -> Outcome | None:
    """The outcome of a deletion whose token the service has forgotten: the image is gone, an execution shows why."""
    ended_well = [execution for execution in before.values() if execution.status in EXECUTION_SUCCEEDED]
    last = max(ended_well, key=_age, default=None)
    if change.target != IMAGE_GONE or last is None:
        return None
    look = await client.look(last.id)
    if not any(resource["action"] == ACTION[IMAGE_GONE] for resource in look.resources):
        return None
    return Outcome(token, GONE, last, look.resources, more=look.more is not None)


async def moved_since(change: Change, client: ImageClient, execution_id: str, before: Mapping[str, Execution]) -> bool:
    """Whether an execution after this one did something else, though the image may be back where this one left it."""
    for execution in before.values():
        if execution.came_after(before[execution_id]) and not execution.unfinished:
            action = await client.action(execution.id)
            if action not in {ACTION[change.target], None}:
                return True
    return False


def _age(execution: Execution) -> datetime:
    return execution.age
