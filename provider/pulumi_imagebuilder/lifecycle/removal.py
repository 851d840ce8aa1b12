"""Undo a state update that leaves the program (cancel, restore), or delete the image of a clean-up."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from ..errors import ServiceError
from .adoption import find_deletion
from .apply import BeforeStart, apply, wait_until_built
from .change import Change
from .client import ExecutionUnknown, ImageClient
from .entities import EXECUTION_SUCCEEDED, EXECUTION_UNSUCCESSFUL, IMAGE_GONE, Outcome
from .polling import cancel_and_wait, retry_while_unknown
from .state import UpdateState


async def cancel(state: UpdateState, client: ImageClient) -> None:
    """Cancel the execution in the state if it is unfinished, and wait until it is cancelled or has ended.

    The service does not keep executions forever; one that it does not know has ended, unless it has just begun.
    """
    execution_id = state.lifecycle_execution_id
    if execution_id is None:
        return
    with contextlib.suppress(ExecutionUnknown):
        if state.status in EXECUTION_SUCCEEDED | EXECUTION_UNSUCCESSFUL:
            await cancel_and_wait(client, execution_id)
        else:
            await retry_while_unknown(client, execution_id, lambda: cancel_and_wait(client, execution_id))


async def restore(state: UpdateState, request: Mapping[str, Any], client: ImageClient) -> None:
    """Bring the image back to ``AVAILABLE``, the AMIs too where they were included; a pending schedule is cancelled.

    All that the update changed is restored, whatever has happened to the AMIs since. So of the exclusion rules only the
    regions are sent: an AMI that is public, shared, tagged or launched now may not have been when it was changed. There
    is nothing to restore if the image has vanished, nor of what was deleted: then a deletion under way is cancelled.

    Args:
        state: the state of the update.
        request: the parameters that the update was made with.
        client: the image's client.

    Raises:
        ExecutionFailed: the restoring execution failed.
        ServiceError: the service refused.
    """
    is_deletion = request["state"]["status"] == IMAGE_GONE
    if is_deletion or "updateAt" in request:
        await cancel(state, client)
    if is_deletion or (await client.find_image(fresh=True)).state == IMAGE_GONE:
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
    """Delete an image with what is under it, and wait until that has ended; an image that is gone is success.

    The clean-up waits for an image that is being built, and for an execution that has the image in use. It cancels a
    scheduled deprecation, whose time may be months away.

    Args:
        request: role, exclusion rules and included resources. Default of these: by the image's type.
        client: the image's client.
        declared_at: tells this clean-up apart from earlier and later ones of the same image.
        before_start: called before the deletion is started. Default: no call.

    Returns:
        The outcome of the deletion, whoever started it. Its image is not GONE if the exclusion rules kept a resource.
        None if the image is gone and no execution shows that what was under it was deleted too.

    Raises:
        ExecutionFailed: the deleting execution failed.
        ServiceError: the service refused.
    """
    image = await wait_until_built(client)
    if image.state == IMAGE_GONE:
        return await find_deletion(client, await client.executions())
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
        # The execution that had it in use has deleted it.
        if not await client.is_gone(error):
            raise
        return await find_deletion(client, await client.executions())


def with_resources(request: Mapping[str, Any], image_type: str | None) -> dict[str, Any]:
    """Return the complete request of a clean-up; the default of the included resources is by the image's type."""
    included = {"containers": True} if image_type == "DOCKER" else {"amis": True, "snapshots": True}
    return {"includeResources": included, **request, "state": {"status": IMAGE_GONE}}
