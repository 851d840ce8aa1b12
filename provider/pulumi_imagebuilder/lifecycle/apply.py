"""Carry out a declared change exactly once: start it, or find the execution that was started for it before.

The service remembers client tokens, so asking again with the same token starts nothing new. What the answer claims is
believed only where the execution or the image shows it; otherwise the next token in the line is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import islice

from ..errors import ExecutionFailed, ImageNotFound, NotCarriedOut, ServiceRefused, describe_failed_resources
from . import tokens
from .change import Change
from .client import ImageClient, Look
from .evidence import Answer, deleted_before, moved_since, standing, started_with_another_role
from .records import Execution, Image, Outcome
from .rhythm import poll_delay
from .statuses import EXECUTION_ENDED_BADLY, EXECUTION_SUCCEEDED
from .waiting import cancel_and_wait, wait_until_ended

_READ_AGAIN_AFTER = (0.5, 1.0, 2.0)
"""Seconds between looks at an image that does not show an immediate change yet: a read may lag behind the write."""

_MOST_TOKENS, _MOST_UNSEEN = 500, 25
"""How far along the line of tokens is asked: each one before the last stands for an earlier life of the resource. How
often that is an immediate change of which the image shows nothing: each costs seconds."""


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
    listed = await client.executions_before()
    before = {execution.id: execution for execution in listed}
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
    found = await standing(change, client, listed)
    unseen = 0
    for token in islice(line, _MOST_TOKENS):
        try:
            answer = found or await _start(change, client, token)
        except ImageNotFound:
            deleted = await deleted_before(change, client, token, before)
            if deleted is None:
                raise
            return deleted
        except ServiceRefused as error:
            if error.code == "InvalidRequestException" and change.overdue:
                return await apply(change.at_once(), client)
            raise
        found = None
        if answer is None or _is_of_an_earlier_life(answer, change, before):
            continue
        outcome = await _settle(change, client, token, answer, before)
        if outcome is not None:
            return outcome
        client.progress.execution_id = None
        unseen += answer.execution_id is None
        if unseen == _MOST_UNSEEN:
            break
    raise NotCarriedOut(
        f"{client.progress.asked}: the service answers that it was done, but the image does not show it; "
        f"look at what else changes this image, then run {client.progress.command} again"
    )


def _is_of_an_earlier_life(answer: Answer, change: Change, before: Mapping[str, Execution]) -> bool:
    """Whether an answer names the execution of the change before this one, or one from before that."""
    execution, superseded = before.get(answer.execution_id or ""), before.get(change.superseded or "")
    if answer.execution_id is not None and answer.execution_id == change.superseded:
        return True
    return execution is not None and superseded is not None and superseded.came_after(execution) is True


async def _start(change: Change, client: ImageClient, token: str) -> Answer | None:
    """Ask until the image is free; None when the token was used before and cannot tell for what."""
    waited = 0.0
    while True:
        try:
            return Answer(await client.start(change.request, token))
        except ServiceRefused as error:
            if error.code == "ResourceInUseException":
                in_the_way = [execution for execution in await client.executions() if execution.unfinished]
                if in_the_way:
                    await _make_way(change, client, in_the_way)
                    found = await standing(change, client, await client.executions())
                    if found:
                        return found
                else:
                    # It has just ended, or is not listed yet.
                    client.progress.note = "the image is in use, and none of its executions is under way"
                    await asyncio.sleep(poll_delay(waited))
                    waited += poll_delay(waited)
            elif error.code == "IdempotentParameterMismatchException" and token != change.client_token:
                return await started_with_another_role(change, client)
            else:
                raise


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


async def _settle(
    change: Change, client: ImageClient, token: str, answer: Answer, before: Mapping[str, Execution]
) -> Outcome | None:
    """Wait for what an answer named and believe it if it is borne out; None when the next token has to be used.

    Args:
        change: what is declared.
        client: the image's client.
        token: the token that was answered.
        answer: what the answer named.
        before: the executions that were there before this run asked: these may have ended long ago.
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
    if execution_id in before:
        look = await client.look(execution_id)
        client.progress.saw(look.status, look.resources, more=look.more is not None)
        if look.status == "CANCELLING":
            look = await wait_until_ended(client, execution_id)
        if look.status in EXECUTION_ENDED_BADLY:
            return None
        if look.status in EXECUTION_SUCCEEDED:
            image = await client.find_image()
            if not change.shown_by(image, execution_id) or await moved_since(change, client, execution_id, before):
                return None
            return await _outcome(client, token, execution_id, look, image)
    if not change.awaited:
        return await _outcome(client, token, execution_id, look)
    age = look.seconds_since(before[execution_id].age) if look else 0.0
    look = await wait_until_ended(client, execution_id, look_first=False, age=age, rhythm=client.rhythm)
    outcome = await _outcome(client, token, execution_id, look)
    if look.status not in EXECUTION_ENDED_BADLY and change.shown_by(outcome.image, execution_id):
        return outcome
    if execution_id not in before and await client.began_before_this_run(execution_id):
        return None
    if look.status in EXECUTION_ENDED_BADLY:
        raise _failure(client, outcome)
    return outcome if answer.certain else None


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
    execution = await client.execution(execution_id, look)
    return Outcome(
        client_token=token,
        # After the execution: a record of one that ended well must not hold the state before it.
        image=image or await client.find_image(),
        execution=execution,
        resources=await client.resources(execution_id, look),
        more=look.more is not None and look.status not in EXECUTION_ENDED_BADLY,
    )


def _failure(client: ImageClient, outcome: Outcome) -> ExecutionFailed:
    """In one line: what was asked, how its execution ended and why, which resources failed, what to do next."""
    execution = outcome.execution
    assert execution is not None
    failed = describe_failed_resources(outcome.resources)
    reason = execution.reason or "the service gave no reason"
    told = f"lifecycle execution {execution.id} ended as {execution.status}: {reason}"
    if failed:
        told += f"; failed: {failed}"
    return ExecutionFailed(
        f"{client.progress.asked}: {told}; mend the cause and run {client.progress.command} again, "
        "which starts a new one",
        told,
    )
