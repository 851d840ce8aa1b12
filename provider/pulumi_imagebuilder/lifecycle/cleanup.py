"""What happens when a clean-up leaves the program: the image goes, with what is under it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ..errors import ImageNotFound
from .apply import apply
from .change import Change
from .client import ImageClient
from .records import GONE, Image, Outcome
from .rhythm import poll_delay
from .statuses import EXECUTION_SUCCEEDED, IMAGE_GONE, IMAGE_UNSETTLED


async def clean_up(request: Mapping[str, Any], client: ImageClient, *, declared: str | None = None) -> Outcome | None:
    """Delete an image with what is under it, and wait until that has ended; one that is gone already is success.

    An image that is still being built is waited for. So is an execution that has the image in use, unless it is a
    scheduled deprecation: its time may be months away, and it means nothing for an image that goes; it is cancelled.

    Args:
        request: role, exclusion rules and included resources; left out, these follow from the image's type.
        client: the image's client.
        declared: what tells this clean-up from others of the same image, before it and after it.

    Returns:
        How the deletion went, by whomever it was started; its image is there still where something was left out. None
        where the image is gone and nothing shows that what was under it went too.

    Raises:
        ExecutionFailed: the deleting execution failed.
        ServiceRefused: the service refused.
    """
    image = await _settled(client)
    if image.state == IMAGE_GONE:
        return await _deletion(client)
    included = {"containers": True} if image.type == "DOCKER" else {"amis": True, "snapshots": True}
    deletion = {"includeResources": included, **request, "state": {"status": IMAGE_GONE}}
    try:
        return await apply(Change(client.arn, deletion, triggers=declared, cancels_schedules=True), client)
    except ImageNotFound:
        # Whatever had it in use has deleted it; only the image itself can say so.
        if (await client.find_image()).state != IMAGE_GONE:
            raise
        return await _deletion(client)


async def _settled(client: ImageClient) -> Image:
    """The image once it is being built no more: before, the service changes its state for nobody."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        image = await client.find_image()
        if image.state not in IMAGE_UNSETTLED:
            client.progress.unsettled = None
            return image
        client.progress.unsettled = image.state
        await asyncio.sleep(poll_delay(loop.time() - began))


async def _deletion(client: ImageClient) -> Outcome | None:
    """How an image that is gone was deleted; None where no execution of the last ones did it."""
    for execution in await client.executions():
        if execution.status in EXECUTION_SUCCEEDED:
            resources = await client.resources(execution.id, await client.look(execution.id))
            if any(resource["action"] == "DELETE" for resource in resources):
                return Outcome("", GONE, execution, resources)
    return None
