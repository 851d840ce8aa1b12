"""What happens when a state update leaves the program."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from ..errors import ImageNotFound
from .apply import apply
from .change import Change
from .client import ImageClient
from .statuses import IMAGE_GONE
from .waiting import cancel_and_wait


async def cancel(recorded: Mapping[str, Any], client: ImageClient) -> None:
    """Cancel the recorded execution if it is unfinished, and wait until it is cancelled or has ended."""
    execution_id = recorded.get("lifecycle_execution_id")
    if execution_id:
        # The service does not keep executions for ever; one that it has forgotten has ended.
        with contextlib.suppress(ImageNotFound):
            await cancel_and_wait(client, execution_id)


async def restore(recorded: Mapping[str, Any], request: Mapping[str, Any], client: ImageClient) -> None:
    """Bring the image back to ``AVAILABLE``, the AMIs too where they were included; a pending schedule is cancelled.

    An image that has vanished leaves nothing to restore.

    Args:
        recorded: the record of the state update.
        request: the parameters that the state update was made with.
        client: the image's client.

    Raises:
        ExecutionFailed: the restoring execution failed.
        ServiceRefused: the service refused.
    """
    if "updateAt" in request:
        await cancel(recorded, client)
    if (await client.find_image()).state == IMAGE_GONE:
        return
    undo = {name: value for name, value in request.items() if name != "updateAt"}
    undo["state"] = {"status": "AVAILABLE"}
    await apply(Change(client.arn, undo, follows=recorded.get("client_token")), client)
