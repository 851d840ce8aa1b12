"""Carry out a declared change exactly once: start it, or find the execution that was started for it before.

The service remembers client tokens, so asking again with the same token starts nothing new. What the answer claims is
believed only where the execution or the image shows it; otherwise the next token in the line is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ExecutionFailed, ImageNotFound, ServiceRefused, describe_failed_resources
from . import tokens
from .client import ImageClient, Look
from .records import GONE, Execution, Image, Outcome
from .statuses import EXECUTION_ENDED_BADLY, EXECUTION_SUCCEEDED, IMAGE_GONE
from .waiting import cancel_and_wait, wait_until_ended

_READ_AGAIN_AFTER = (0.5, 1.0, 2.0)
"""Seconds between looks at an image that does not show an immediate change yet: a read may lag behind the write."""


@dataclass(frozen=True)
class Change:
    """A declared change of one image build version.

    Args:
        resource_arn: ARN of the image build version.
        request: parameters of ``StartResourceStateUpdate`` other than the ARN and the token.
        triggers: the values whose change runs the update again.
        client_token: the user's own token, if there is one.
        follows: the token of the change before this one, as the record has it; None for the first.
        superseded: the execution of the change before this one: it never answers for this one.
        own_schedule: a scheduled execution of the same resource, cancelled if it is in the way.
        cancels_schedules: whether any scheduled execution that is in the way is cancelled.
        wait: whether to wait until the execution has ended. A scheduled one is never waited for.
    """

    resource_arn: str
    request: Mapping[str, Any]
    triggers: Any = None
    client_token: str | None = None
    follows: str | None = None
    superseded: str | None = None
    own_schedule: str | None = None
    cancels_schedules: bool = False
    wait: bool = True

    @property
    def target(self) -> str:
        """The state asked for."""
        status: str = self.request["state"]["status"]
        return status

    @property
    def awaited(self) -> bool:
        """Whether it is done only once its execution has ended."""
        return self.wait and "updateAt" not in self.request

    def shown_by(self, image: Image, execution_id: str | None) -> bool:
        """Whether an image as it stands bears out that this change was carried out, and nothing else since."""
        if image.state == self.target:
            return True
        if self.target == IMAGE_GONE:
            # A deletion that left something out keeps the record: then it stands while nothing came after it.
            return execution_id is not None and image.lifecycle_execution_id == execution_id
        return execution_id is None and "updateAt" in self.request and image.deprecation_time is not None


async def apply(change: Change, client: ImageClient) -> Outcome:
    """Carry out a change, or take over the execution that was started for it before, and wait as declared.

    Args:
        change: what is declared.
        client: the image's client.

    Raises:
        ExecutionFailed: the execution failed, or was cancelled while it was waited for.
        ServiceRefused: the service refused the request.
        asyncio.CancelledError: the caller's time limit; ``client.progress`` holds how far it came.
    """
    before = {execution.id: execution for execution in await client.executions()}
    line = tokens.line(
        change.resource_arn,
        change.request,
        triggers=change.triggers,
        given=change.client_token,
        follows=change.follows,
    )
    for token in line:
        try:
            execution_id = await _start(change, client, token)
        except ImageNotFound:
            deleted = await _deleted_before(change, client, token, before)
            if deleted is None:
                raise
            return deleted
        if execution_id == change.superseded and execution_id is not None:
            continue
        outcome = await _settle(change, client, token, execution_id, known=execution_id in before)
        if outcome is not None:
            return outcome
    raise AssertionError("the line of tokens has no end")


async def _start(change: Change, client: ImageClient, token: str) -> str | None:
    """Ask until the image is free; returns the execution's id, None where there is none."""
    while True:
        try:
            return await client.start(change.request, token)
        except ServiceRefused as error:
            if error.code == "ResourceInUseException":
                await _make_way(change, client)
            elif error.code == "IdempotentParameterMismatchException" and token != change.client_token:
                return await _started_with_another_role(change, client, error)
            else:
                raise


async def _started_with_another_role(change: Change, client: ImageClient, error: ServiceRefused) -> str:
    """A derived token is known with other parameters: only the role is not part of it, so this change was started.

    The answer to it was lost; it can only be the newest execution of the image.
    """
    candidates = [execution for execution in await client.executions() if execution.id != change.superseded]
    if not candidates:
        raise error
    return max(candidates, key=_began).id


async def _deleted_before(
    change: Change, client: ImageClient, token: str, before: Mapping[str, Execution]
) -> Outcome | None:
    """The outcome of a deletion whose token the service has forgotten: the image is gone, an execution shows why."""
    ended_well = [execution for execution in before.values() if execution.status in EXECUTION_SUCCEEDED]
    last = max(ended_well, key=_began, default=None)
    if change.target != IMAGE_GONE or last is None:
        return None
    resources = await client.resources(last.id, await client.look(last.id))
    if not any(resource["action"] == "DELETE" for resource in resources):
        return None
    return Outcome(token, GONE, last, resources)


def _began(execution: Execution) -> str:
    return execution.start_time or ""


async def _make_way(change: Change, client: ImageClient) -> None:
    """Wait until the execution that has the image in use has ended; the resource's own schedule is cancelled."""
    in_the_way = next((execution for execution in await client.executions() if execution.unfinished), None)
    if in_the_way is None:
        # It has just ended, or is not listed yet.
        await asyncio.sleep(1)
        return
    if in_the_way.status == "PENDING" and (
        in_the_way.id == change.own_schedule
        or (change.cancels_schedules and (await client.find_image()).deprecation_is_ahead)
    ):
        await cancel_and_wait(client, in_the_way.id)
        return
    client.progress.in_the_way = in_the_way.id
    await wait_until_ended(client, in_the_way.id)
    client.progress.in_the_way = None


async def _settle(
    change: Change, client: ImageClient, token: str, execution_id: str | None, *, known: bool
) -> Outcome | None:
    """Wait for what an answer named and believe it if it is borne out; None when the next token has to be used.

    Args:
        change: what is declared.
        client: the image's client.
        token: the token that was answered.
        execution_id: what the answer named; None for an immediate change.
        known: whether the execution was there before this run asked: then it may have ended long ago.
    """
    if execution_id is None:
        image = await _image_after_immediate_change(change, client)
        return Outcome(token, image) if image else None

    client.progress.execution_id = execution_id
    look = None
    if known:
        look = await client.look(execution_id)
        client.progress.saw(look.status, look.resources, more=look.more is not None)
        if look.status == "CANCELLING":
            look = await wait_until_ended(client, execution_id)
        if look.status in EXECUTION_ENDED_BADLY:
            return None
        if look.status in EXECUTION_SUCCEEDED:
            image = await client.find_image()
            if not change.shown_by(image, execution_id):
                return None
            return await _outcome(client, token, execution_id, look, image)
    if not change.awaited:
        return await _outcome(client, token, execution_id, look)
    look = await wait_until_ended(client, execution_id, look_first=False)
    outcome = await _outcome(client, token, execution_id, look)
    if look.status in EXECUTION_ENDED_BADLY:
        raise ExecutionFailed(_failure(client, outcome))
    return outcome


async def _image_after_immediate_change(change: Change, client: ImageClient) -> Image | None:
    for delay in (0.0, *_READ_AGAIN_AFTER):
        await asyncio.sleep(delay)
        image = await client.find_image()
        if change.shown_by(image, None):
            return image
    return None


async def _outcome(
    client: ImageClient, token: str, execution_id: str, look: Look | None, image: Image | None = None
) -> Outcome:
    return Outcome(
        client_token=token,
        image=image or await client.find_image(),
        execution=await client.find_execution(execution_id),
        resources=await client.resources(execution_id, look or await client.look(execution_id)),
    )


def _failure(client: ImageClient, outcome: Outcome) -> str:
    """One line: what was asked, how its execution ended and why, which resources failed, what to do next."""
    execution = outcome.execution
    assert execution is not None
    failed = describe_failed_resources(outcome.resources)
    reason = execution.reason or "the service gave no reason"
    parts = [f"{client.progress.asked}: lifecycle execution {execution.id} ended as {execution.status}: {reason}"]
    if failed:
        parts.append(f"failed: {failed}")
    parts.append(f"mend the cause and run {client.progress.command} again, which starts a new one")
    return "; ".join(parts)
