"""Carry out a declared change exactly once: start it, or find the execution that was started for it before.

The service remembers client tokens, so asking again with the same token starts nothing new. What the answer claims is
believed only where the execution or the image shows it; otherwise the next token in the line is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import islice
from typing import Any, NamedTuple

from ..errors import ExecutionFailed, ImageNotFound, NotCarriedOut, ServiceRefused, describe_failed_resources
from . import tokens
from .client import ImageClient, Look
from .records import GONE, Execution, Image, Outcome
from .statuses import ACTION, EXECUTION_ENDED_BADLY, EXECUTION_SUCCEEDED, IMAGE_GONE
from .waiting import cancel_and_wait, poll_delay, wait_until_ended

_READ_AGAIN_AFTER = (0.5, 1.0, 2.0)
"""Seconds between looks at an image that does not show an immediate change yet: a read may lag behind the write."""

_MOST_TOKENS = 50
"""How far along the line of tokens is asked: each one before the last stands for an earlier life of the resource."""


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
        own_schedule: the scheduled execution of the change before this one, cancelled first if it is still pending.
        cancels_schedules: whether any scheduled execution that is in the way is cancelled.
        came_true: whether this change's own schedule is known to have come true before.
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
    came_true: bool = False
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

    @property
    def overdue(self) -> bool:
        """Whether it is scheduled for a time that has passed."""
        at = self.request.get("updateAt")
        return at is not None and (self.came_true or at <= datetime.now(timezone.utc))

    def at_once(self) -> Change:
        """The same change without its schedule."""
        return replace(self, request={name: value for name, value in self.request.items() if name != "updateAt"})

    def shown_by(self, image: Image, execution_id: str | None) -> bool:
        """Whether an image as it stands bears out that this change was carried out, and nothing else since."""
        if image.state == self.target:
            return True
        if self.target == IMAGE_GONE:
            # A deletion that left something out keeps the record: then it stands while nothing came after it.
            return execution_id is not None and image.lifecycle_execution_id == execution_id
        return execution_id is None and "updateAt" in self.request and image.deprecation_time is not None


class _Answer(NamedTuple):
    """What a start was answered."""

    execution_id: str | None
    """None after an immediate change."""
    certain: bool = True
    """Whether it is this change's own execution, or only the one that it has to be by all that the service tells."""


async def apply(change: Change, client: ImageClient) -> Outcome:
    """Carry out a change, or take over the execution that was started for it before, and wait as declared.

    A change that is scheduled for a time that has passed, and that the service does not know, is carried out at once.

    Args:
        change: what is declared.
        client: the image's client.

    Raises:
        ExecutionFailed: the execution failed, or was cancelled while it was waited for.
        NotCarriedOut: the service answers that the change was made, and the image does not show it.
        ServiceRefused: the service refused the request.
        asyncio.CancelledError: the caller's time limit; ``client.progress`` holds how far it came.
    """
    before = {execution.id: execution for execution in await client.executions()}
    schedule = before.get(change.own_schedule or "")
    if schedule and schedule.unfinished:
        # Before anything is started: a service that lets another start beside it would still carry it out one day.
        await _make_way(change, client, [schedule])
    line = tokens.line(
        change.resource_arn,
        change.request,
        triggers=change.triggers,
        given=change.client_token,
        follows=change.follows,
    )
    for token in islice(line, _MOST_TOKENS):
        try:
            answer = await _start(change, client, token)
        except ImageNotFound:
            deleted = await _deleted_before(change, client, token, before)
            if deleted is None:
                raise
            return deleted
        except ServiceRefused as error:
            if error.code == "InvalidRequestException" and change.overdue:
                return await apply(change.at_once(), client)
            raise
        if answer is None or (answer.execution_id and answer.execution_id == change.superseded):
            continue
        outcome = await _settle(change, client, token, answer, known=answer.execution_id in before)
        if outcome is not None:
            return outcome
        client.progress.execution_id = None
    raise NotCarriedOut(
        f"{client.progress.asked}: the service answers that it was done, but the image does not show it; "
        f"look at what else changes this image, then run {client.progress.command} again"
    )


async def _start(change: Change, client: ImageClient, token: str) -> _Answer | None:
    """Ask until the image is free; None when the token was used before and cannot tell for what."""
    waited = 0.0
    while True:
        try:
            return _Answer(await client.start(change.request, token))
        except ServiceRefused as error:
            if error.code == "ResourceInUseException":
                in_the_way = [execution for execution in await client.executions() if execution.unfinished]
                if in_the_way:
                    await _make_way(change, client, in_the_way)
                else:
                    # It has just ended, or is not listed yet.
                    await asyncio.sleep(poll_delay(waited))
                    waited += poll_delay(waited)
            elif error.code == "IdempotentParameterMismatchException" and token != change.client_token:
                return await _started_with_another_role(change, client)
            else:
                raise


async def _started_with_another_role(change: Change, client: ImageClient) -> _Answer | None:
    """A derived token is known with other parameters: only the role is not part of it, so this change was started.

    The answer to it was lost. It has to be one of the image's executions that does the same, most likely the newest;
    None where there is none.
    """
    others = [execution for execution in await client.executions() if execution.id != change.superseded]
    for execution in sorted(others, key=_began, reverse=True):
        if await client.action(execution.id) in {ACTION[change.target], None}:
            return _Answer(execution.id, certain=False)
    return None


async def _deleted_before(
    change: Change, client: ImageClient, token: str, before: Mapping[str, Execution]
) -> Outcome | None:
    """The outcome of a deletion whose token the service has forgotten: the image is gone, an execution shows why."""
    ended_well = [execution for execution in before.values() if execution.status in EXECUTION_SUCCEEDED]
    last = max(ended_well, key=_began, default=None)
    if change.target != IMAGE_GONE or last is None:
        return None
    look = await client.look(last.id)
    if not any(resource["action"] == ACTION[IMAGE_GONE] for resource in look.resources):
        return None
    return Outcome(token, GONE, last, look.resources, more=look.more is not None)


def _began(execution: Execution) -> str:
    return execution.start_time or ""


async def _make_way(change: Change, client: ImageClient, in_the_way: Sequence[Execution]) -> None:
    """Wait until what has the image in use has ended; the resource's own schedule is cancelled."""
    for execution in in_the_way:
        client.progress.in_the_way = execution.id
        if execution.status == "PENDING" and (
            execution.id == change.own_schedule
            or (change.cancels_schedules and (await client.find_image()).deprecation_is_ahead)
        ):
            await cancel_and_wait(client, execution.id)
        else:
            await wait_until_ended(client, execution.id)
        client.progress.in_the_way = None


async def _settle(change: Change, client: ImageClient, token: str, answer: _Answer, *, known: bool) -> Outcome | None:
    """Wait for what an answer named and believe it if it is borne out; None when the next token has to be used.

    Args:
        change: what is declared.
        client: the image's client.
        token: the token that was answered.
        answer: what the answer named.
        known: whether the execution was there before this run asked: then it may have ended long ago.
    """
    execution_id = answer.execution_id
    if execution_id is None:
        image = await _image_after_immediate_change(change, client)
        if image is None:
            return None
        client.progress.saw(image.state, [], more=False)
        return Outcome(token, image)

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
    if not answer.certain and not change.shown_by(outcome.image, execution_id):
        return None
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
    look = look or await client.look(execution_id)
    client.progress.saw(look.status, look.resources, more=look.more is not None)
    execution = await client.find_execution(execution_id)
    return Outcome(
        client_token=token,
        # After the execution: a record of one that ended well must not hold the state before it.
        image=image or await client.find_image(),
        execution=execution,
        resources=await client.resources(execution_id, look),
        more=look.more is not None and look.status not in EXECUTION_ENDED_BADLY,
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
