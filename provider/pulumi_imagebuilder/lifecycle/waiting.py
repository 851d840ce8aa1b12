"""The one loop that waits for lifecycle executions, to their end or to a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from ..errors import ServiceRefused, TimedOut
from .client import ImageClient, Look
from .progress import Progress
from .rhythm import Rhythm
from .statuses import EXECUTION_CANCELLABLE, EXECUTION_UNFINISHED

T = TypeVar("T")

_ALONE = Rhythm()


async def wait_until_ended(
    client: ImageClient,
    execution_id: str,
    *,
    look_first: bool = True,
    age: float = 0.0,
    rhythm: Rhythm = _ALONE,
) -> Look:
    """Poll an execution, one call per interval, until it has ended one way or the other.

    Args:
        client: the image it belongs to.
        execution_id: what to wait for.
        look_first: whether to look before the first interval; not worth a call where it has just been started.
        age: seconds since it began.
        rhythm: when to look. Default: by the rule for one execution.

    Returns:
        The look that showed the end.
    """
    loop = asyncio.get_running_loop()
    began = loop.time() - age
    if not look_first:
        await rhythm.pause(execution_id, age)
    while True:
        look = await client.look(execution_id)
        client.progress.saw(look.status, look.resources, more=look.more is not None)
        elapsed = loop.time() - began
        if look.status not in EXECUTION_UNFINISHED:
            await rhythm.ended(execution_id, look.status, elapsed, lambda: client.took(execution_id))
            return look
        await rhythm.pause(execution_id, elapsed)


async def cancel_and_wait(client: ImageClient, execution_id: str) -> Look:
    """Cancel an execution and wait until it is cancelled, or has ended before that.

    Safe to repeat: an execution that has ended is left as it is.

    Raises:
        ServiceRefused: the service refused, and not because the execution has ended meanwhile.
    """
    look = await client.look(execution_id)
    client.progress.execution_id = execution_id
    if look.status in EXECUTION_CANCELLABLE:
        try:
            await client.cancel(execution_id)
        except ServiceRefused:
            if (await client.look(execution_id)).status in EXECUTION_CANCELLABLE:
                raise
    if look.status in EXECUTION_UNFINISHED:
        look = await wait_until_ended(client, execution_id)
    client.progress.execution_id = None
    return look


async def within(limit: float, work: Coroutine[Any, Any, T], progress: Progress) -> T:
    """Do the work inside a time limit.

    Args:
        limit: seconds.
        work: what to do; it is cancelled when time runs out, which undoes nothing at the service.
        progress: what the work reports to, for the message.

    Raises:
        TimedOut: the limit ran out.
    """
    try:
        return await asyncio.wait_for(work, limit)
    except asyncio.TimeoutError:
        raise TimedOut(progress.out_of_time(limit)) from None
