"""What happens when a state update or a clean-up leaves the program: cancel, restore, or delete the image."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from ..errors import ServiceError
from .apply import BeforeStart, apply, wait_until_built
from .change import Change
from .client import ExecutionUnknown, ImageClient
from .entities import ACTION, EXECUTION_SUCCEEDED, GONE, IMAGE_GONE, Outcome
from .polling import cancel_and_wait
from .state import UpdateState


async def cancel(state: UpdateState, client: ImageClient) -> None:
    """Cancel the execution in the state if it is unfinished, and wait until it is cancelled or has ended."""
    if state.lifecycle_execution_id:
        # The service does not keep executions for ever; one that it has forgotten has ended.
        with contextlib.suppress(ExecutionUnknown):
            await cancel_and_wait(client, state.lifecycle_execution_id)


async def restore(state: UpdateState, request: Mapping[str, Any], client: ImageClient) -> None:
    """Bring the image back to ``AVAILABLE``, the AMIs too where they were included; a pending schedule is cancelled.

    All that the update changed is restored, and what has happened to the AMIs since does not keep one out: of the
    exclusion rules only the regions are sent, for an AMI that is public, shared, tagged or launched by now may not
    have been when it was changed. An image that has vanished leaves nothing to restore.

    Args:
        state: the state of the update.
        request: the parameters that the update was made with.
        client: the image's client.

    Raises:
        ExecutionFailed: the restoring execution failed.
        ServiceError: the service refused.
    """
    if "updateAt" in request:
        await cancel(state, client)
    if (await client.find_image(again=True)).state == IMAGE_GONE:
        return
    regions = request.get("exclusionRules", {}).get("amis", {}).get("regions")
    undo = {
        **{name: value for name, value in request.items() if name not in {"updateAt", "exclusionRules"}},
        **({"exclusionRules": {"amis": {"regions": regions}}} if regions else {}),
        "state": {"status": "AVAILABLE"},
    }
    change = Change(client.arn, undo, follows=state.client_token, superseded=state.lifecycle_execution_id)
    try:
        await apply(change, client)
    except ServiceError as error:
        # Something deleted it meanwhile, as a clean-up of the same image in the same destroy.
        if not await client.is_gone(error):
            raise


async def clean_up(
    request: Mapping[str, Any],
    client: ImageClient,
    *,
    declared_at: str | None = None,
    before_start: BeforeStart | None = None,
) -> Outcome | None:
    """Delete an image with what is under it, and wait until that has ended; one that is gone already is success.

    An image that is still being built is waited for. So is an execution that has the image in use, unless it is a
    scheduled deprecation: its time may be months away, and it means nothing for an image that goes; it is cancelled.

    Args:
        request: role, exclusion rules and included resources; left out, these follow from the image's type.
        client: the image's client.
        declared_at: what distinguishes this clean-up from others of the same image, before it and after it.
        before_start: called before the deletion is started. Default: nothing is.

    Returns:
        How the deletion went, by whomever it was started; its image is still there where something was left out. None
        where the image is gone and nothing shows that what was under it went too.

    Raises:
        ExecutionFailed: the deleting execution failed.
        ServiceError: the service refused.
    """
    image = await wait_until_built(client)
    if image.state == IMAGE_GONE:
        return await _find_deletion(client)
    change = Change(
        client.arn,
        with_resources(request, image.type),
        triggers=declared_at,
        cancels_schedules=True,
        awaits_build=True,
    )
    try:
        return await apply(change, client, before_start)
    except ServiceError as error:
        # The execution that had it in use has deleted it; only the image itself can say so.
        if not await client.is_gone(error):
            raise
        return await _find_deletion(client)


def with_resources(request: Mapping[str, Any], image_type: str | None) -> dict[str, Any]:
    """Return the request of a clean-up: what is under the image follows from its type where it is left out."""
    included = {"containers": True} if image_type == "DOCKER" else {"amis": True, "snapshots": True}
    return {"includeResources": included, **request, "state": {"status": IMAGE_GONE}}


async def _find_deletion(client: ImageClient) -> Outcome | None:
    """Return how an image that is gone was deleted; None where none of its executions did it."""
    for execution in await client.executions():
        # Of an image without AMIs, as one whose build failed, no resource shows it; the entry of the record does.
        if execution.status in EXECUTION_SUCCEEDED and await client.find_action(execution.id) == ACTION[IMAGE_GONE]:
            resources = await client.resources(execution.id, await client.snapshot(execution.id))
            return Outcome("", GONE, execution, resources)
    return None
