"""Carry out a declared change exactly once: start it, or find the execution that was started for it before.

The service remembers client tokens, so a start with the same token starts nothing new. What its answer claims is
believed only if the execution or the image shows it; otherwise the next token candidate is used::

    look for an earlier execution ──► found ─────────────────┐
          │ none                                             │
          ▼                                                  ▼
    start with a token ──► answered ──► await its end ──► verify ──► Outcome
          │        ▲                        │ ended badly,   │ not confirmed by the image
          │        │                        │ and is ours    │
    image in use:  └──── next candidate ◄───┼────────────────┘
    resolve the conflict,                   ▼
    then start again                  ExecutionFailed

A process can die at any arrow: the next run comes to the same execution by the same token, or by finding it.

Two decisions rely on the text of the service's messages, which no document fixes: :func:`_executions_in` takes the ids
of executions from a refusal, and :func:`_concerns_role` looks for the word "role". Without these words in a message the
run waits and starts again, or fails with the service's message.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from ..errors import ExecutionFailed, ImageBuilderError, NotVerified, ServiceError, describe_failed_resources
from .adoption import (
    Answer,
    find_adoptable_execution,
    find_deletion,
    find_execution_with_another_role,
    is_schedule,
    was_changed_since,
)
from .change import Change
from .client import CheckAgain, ExecutionUnknown, ImageClient
from .entities import (
    ACTION,
    CONSISTENCY_WINDOW,
    EXECUTION_SUCCEEDED,
    EXECUTION_UNSUCCESSFUL,
    IMAGE_GONE,
    IMAGE_LAG,
    IMAGE_UNSTABLE,
    INVALID_REQUEST,
    RESOURCE_IN_USE,
    Execution,
    ExecutionSnapshot,
    Image,
    Outcome,
)
from .polling import cancel_and_wait, poll_delay, retry_while_unknown, wait_until_ended
from .references import MAX_AGE

BeforeStart = Callable[[Change, ImageClient], Awaitable[None]]
"""Called immediately before an execution may be started, never before one is adopted; raises to refuse."""

_ROLE_PROPAGATION = 120.0
"""Seconds for which the service may refuse a role that was just created."""

_FIRST_RESOURCES = 120.0
"""Seconds after which an execution without resources counts as a schedule, whatever the image shows."""

MAX_CANDIDATES = 500
"""Give up after this many tokens: each replayed token is an earlier change of the same resource."""

MAX_UNVERIFIED = 25
"""Give up after this many immediate changes that the image does not show: each costs seconds."""


async def apply(change: Change, client: ImageClient, before_start: BeforeStart | None = None) -> Outcome:
    """Carry out a change, or adopt the execution that was started for it before, and wait as declared.

    A change that is scheduled for a time that has passed, and that the service does not know, is carried out now.

    Args:
        change: what is declared.
        client: the image's client.
        before_start: called before the first start. Default: no call.

    Raises:
        ExecutionFailed: the execution failed, or was cancelled while the run awaited it.
        NotVerified: the service answers that the change was made, and the image does not show it.
        ServiceError: the service refused the request.
        asyncio.CancelledError: the caller's time limit; ``client.progress`` holds how far it came.
    """
    return await _ChangeRun(change, client, before_start).run()


class _ChangeRun:
    """The steps of one change, with the executions that were listed."""

    def __init__(self, change: Change, client: ImageClient, before_start: BeforeStart | None) -> None:
        self._change = change
        self._client = client
        self._before_start = before_start
        self._listed: Sequence[Execution] | None = None
        """The executions as just listed; None if they have to be listed again."""
        self._known_with_another_role = 0
        """How many tokens the service knows with other parameters."""
        self._before: dict[str, Execution] = {}
        """The image's executions from before this run, which may have ended long ago."""

    async def run(self) -> Outcome:
        change, client = self._change, self._client
        # The image names its last execution, but a schedule of our own must be found whatever the image shows.
        listed = await (client.executions() if change.own_schedule else client.executions_if_named())
        self._listed = listed
        self._before = {execution.id: execution for execution in listed}
        schedule = self._before.get(change.own_schedule or "")
        if schedule and schedule.unfinished:
            # Before anything is started: a schedule does not block an immediate change, and would still take effect.
            await self._resolve_conflict(schedule.id)
            self._listed = None
        if change.is_immediate:
            await self._wait_for_others(listed)
        adoptable = await find_adoptable_execution(change, client, listed)
        unverified = 0
        for token in islice(change.token_candidates(), MAX_CANDIDATES):
            try:
                answer = adoptable or await self._start(token)
            except ServiceError as error:
                outcome = await self._outcome_of_refusal(error, token)
                if outcome is None:
                    raise
                return outcome
            adoptable = None
            if answer is None or self._is_superseded(answer):
                # The token was used by an earlier update: try the next one.
                continue
            outcome = await self._await_and_verify(token, answer)
            if outcome is not None:
                client.progress.update(outcome)
                return outcome
            client.progress.execution_id = None
            unverified += answer.execution_id is None
            if unverified == MAX_UNVERIFIED:
                break
        raise NotVerified(
            "the service answers that it was done, but the image does not show it",
            action=client.progress.action,
            next_step=f"look for what else changes this image, then run {client.progress.command} again",
        )

    async def _outcome_of_refusal(self, refusal: ServiceError, token: str) -> Outcome | None:
        """Return the outcome if the image was deleted as declared, or the schedule's time has passed; else None."""
        change, client = self._change, self._client
        if change.target == IMAGE_GONE and await client.is_gone(refusal):
            deletion = await find_deletion(client, self._before.values())
            return replace(deletion, client_token=token) if deletion else None
        if refusal.code == INVALID_REQUEST and change.is_overdue(client.now):
            return await apply(change.without_schedule(), client, self._before_start)
        return None

    # --- start -----------------------------------------------------------------------------------------------------

    async def _start(self, token: str) -> Answer | None:
        """Start the change, again while the image is in use; None if the token was used for something else."""
        change, client = self._change, self._client
        loop = asyncio.get_running_loop()
        began = refused_since = loop.time()
        refused_for_role = False
        while True:
            checked_until = await self._check_before_start()
            try:
                execution_id = await client.start(change.request, token, retry_until=checked_until)
            except CheckAgain:
                await asyncio.sleep(poll_delay(loop.time() - began))
            except ServiceError as error:
                if error.code == RESOURCE_IN_USE:
                    adoptable = await self._wait_until_free(error, loop.time() - began)
                    if adoptable:
                        return adoptable
                elif error.code == "IdempotentParameterMismatchException" and token != change.client_token:
                    self._known_with_another_role += 1
                    return await find_execution_with_another_role(change, client, self._known_with_another_role)
                elif _concerns_role(error) and "executionRole" in change.request:
                    refused_since = refused_since if refused_for_role else loop.time()
                    refused_for_role = True
                    waited = loop.time() - refused_since
                    if waited > _ROLE_PROPAGATION:
                        raise
                    client.progress.note = f"the execution role cannot be used yet: {error.reason}"
                    await asyncio.sleep(poll_delay(waited))
                elif change.awaits_build and error.code == INVALID_REQUEST and await self._is_built_again():
                    await wait_until_built(client)
                else:
                    raise
            else:
                return Answer(execution_id)

    async def _check_before_start(self) -> float:
        """Call the hook, unless this change may be under way: then a start adopts it or is refused, and starts nothing.

        Returns:
            The time until which a start may be sent, by the loop's clock. Later the execution under way may have ended,
            or the AMIs may be in use.
        """
        if self._before_start is None:
            return math.inf
        now = asyncio.get_running_loop().time
        if await self._may_be_under_way():
            return now()
        try:
            await self._before_start(self._change, self._client)
        except ImageBuilderError:
            # A run that was killed a moment ago may have started an execution that is not listed yet.
            await asyncio.sleep(IMAGE_LAG)
            if not await self._may_be_under_way():
                raise
            return now()
        return now() + MAX_AGE

    async def _may_be_under_way(self) -> bool:
        """Return whether an execution under way may be this change's; wait for one that certainly is not.

        Such a one could end before a start arrives, which then would not be refused.
        """
        while unfinished := [execution for execution in await self._take_list() if execution.unfinished]:
            others = [execution for execution in unfinished if not await self._may_be_own(execution)]
            if len(others) < len(unfinished):
                return True
            for execution in others:
                with contextlib.suppress(ExecutionUnknown):
                    await self._resolve_conflict(execution.id)
        return False

    async def _may_be_own(self, execution: Execution) -> bool:
        """Return whether an unfinished execution may be this change's, which takes AMIs away and so is no schedule."""
        if execution.policy_arn:
            return False
        try:
            action = await self._client.find_action(execution.id)
            return action == ACTION[self._change.target] or (action is None and await self._is_at_work(execution))
        except ExecutionUnknown:
            return True

    async def _take_list(self) -> Sequence[Execution]:
        """Return the executions as just listed; the next call lists them again."""
        listed, self._listed = self._listed, None
        return await self._client.executions() if listed is None else listed

    async def _is_built_again(self) -> bool:
        """Return whether the image is being built: a failed one can be retried at any time, under the same ARN."""
        return (await self._client.find_image(fresh=True)).state in IMAGE_UNSTABLE

    # --- conflicts -------------------------------------------------------------------------------------------------

    async def _wait_until_free(self, refusal: ServiceError, waited: float) -> Answer | None:
        """Wait until the blocking executions have ended; return an execution that has made this change meanwhile."""
        change, client = self._change, self._client
        listed = await client.executions()
        blocking = [execution for execution in listed if execution.unfinished]
        same = await find_adoptable_execution(change, client, blocking)
        if same:
            return same
        # A lifecycle policy's execution need not be listed for the image, but the refusal names it.
        named = [each for each in _executions_in(refusal.reason) if each not in self._before]
        ids = [execution.id for execution in blocking] or named
        if not ids:
            # It has just ended, or is not listed yet.
            client.progress.note = "the image is in use, and none of its executions is under way"
            await asyncio.sleep(poll_delay(waited))
            return None
        for execution_id in ids:
            try:
                await self._resolve_conflict(execution_id)
            except ExecutionUnknown:
                await asyncio.sleep(poll_delay(waited))
        return await find_adoptable_execution(change, client, await client.executions())

    async def _wait_for_others(self, listed: Sequence[Execution]) -> None:
        """Wait for executions that are at work, and that change the image when they end."""
        for execution in listed:
            with contextlib.suppress(ExecutionUnknown):
                if execution.unfinished and await self._is_at_work(execution):
                    await self._resolve_conflict(execution.id)
                    self._listed = None

    async def _is_at_work(self, execution: Execution) -> bool:
        """Return whether an execution changes resources, or began so recently that it may not list any yet."""
        snapshot = await self._client.snapshot(execution.id)
        if snapshot.resources or snapshot.next_token:
            return True
        is_recent = snapshot.seconds_since(execution.began) < _FIRST_RESOURCES
        return is_recent and not await is_schedule(self._client, execution)

    async def _resolve_conflict(self, execution_id: str) -> None:
        """Wait until a blocking execution has ended; cancel it if it is a schedule that this change replaces.

        Raises:
            ExecutionUnknown: the service does not know it, so it no longer counts as blocking.
        """
        client = self._client
        client.progress.blocking_execution = execution_id
        try:
            # Reads may lag behind the start of a schedule: look once more. If another change has taken the date off the
            # image, a schedule shows only by having no resources for long.
            for limit in (IMAGE_LAG, _FIRST_RESOURCES, None) if self._change.cancels_schedules else (None,):
                if await self._gives_way(execution_id, idle=limit is None):
                    await cancel_and_wait(client, execution_id)
                    break
                if await self._ends_within(limit, execution_id):
                    break
        except ExecutionUnknown:
            # Any other error leaves it set, for it may still be in the way; the message of a time-out names it.
            client.progress.blocking_execution = None
            raise
        client.progress.blocking_execution = None

    async def _ends_within(self, limit: float | None, execution_id: str) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await wait_until_ended(self._client, execution_id)
                return True
        return False

    async def _gives_way(self, execution_id: str, *, idle: bool) -> bool:
        """Return whether this change replaces an execution: its own schedule, or for a clean-up any schedule.

        Args:
            execution_id: the execution.
            idle: whether the wait was so long that an execution without resources counts as a schedule.
        """
        change, client = self._change, self._client
        if execution_id == change.own_schedule:
            return await self._lists_nothing(execution_id)
        if not change.cancels_schedules:
            return False
        execution = {each.id: each for each in await client.executions()}.get(execution_id)
        if execution is None:
            return False
        if await is_schedule(client, execution):
            return True
        idle = idle and execution.unfinished and execution.policy_arn is None
        # Where an image has no AMIs, only the entry of its record shows that an execution is at work.
        return idle and await self._lists_nothing(execution_id) and await client.find_action(execution_id) is None

    async def _lists_nothing(self, execution_id: str) -> bool:
        snapshot = await self._client.snapshot(execution_id)
        return not snapshot.resources and not snapshot.next_token

    # --- await and verify ------------------------------------------------------------------------------------------

    def _is_superseded(self, answer: Answer) -> bool:
        """Return whether an answer names the execution of the previous change, or an older one."""
        superseded = self._change.superseded
        if answer.execution_id is None or superseded is None:
            return False
        execution, previous = self._before.get(answer.execution_id), self._before.get(superseded)
        return answer.execution_id == superseded or (
            execution is not None and previous is not None and previous.came_after(execution) is True
        )

    async def _await_and_verify(self, token: str, answer: Answer) -> Outcome | None:
        """Wait for the execution that an answer names; None if execution or image do not confirm the change.

        Then the token was used for something else, and the next candidate is to be tried.
        """
        change, client = self._change, self._client
        execution_id = answer.execution_id
        if execution_id is None:
            image = await self._confirmed_image(None, keeps_record=False)
            return None if image is None else Outcome(token, image)
        client.progress.execution_id = execution_id
        try:
            if execution_id in self._before:
                return await self._check_earlier(token, execution_id, answer)
            return await self._await_end(token, execution_id, answer)
        except ExecutionUnknown:
            # The service does not keep executions forever: only the image can confirm one of an earlier run.
            image = await client.find_image(fresh=True)
            confirmed = change.is_confirmed_by(image, execution_id) and image.state == change.target
            return Outcome(token, image) if confirmed else None

    async def _check_earlier(self, token: str, execution_id: str, answer: Answer) -> Outcome | None:
        """Check an execution from before this run against the image; wait for one that is under way."""
        change, client = self._change, self._client
        snapshot = await client.snapshot(execution_id)
        client.progress.update(snapshot)
        if snapshot.status == "CANCELLING":
            snapshot = await wait_until_ended(client, execution_id)
        if snapshot.status in EXECUTION_UNSUCCESSFUL:
            return None
        if snapshot.status not in EXECUTION_SUCCEEDED:
            age = snapshot.seconds_since(self._before[execution_id].began)
            return await self._await_end(token, execution_id, answer, age=age, snapshot=snapshot)
        await self._wait_for_later(execution_id)
        outcome = await client.outcome(token, execution_id, snapshot=snapshot)
        image = outcome.image
        if not change.is_confirmed_by(image, execution_id):
            ended = outcome.execution.ended if outcome.execution else None
            if ended is None or snapshot.seconds_since(ended) > CONSISTENCY_WINDOW:
                return None
            confirmed = await self._confirmed_image(execution_id, keeps_record=True, first=image)
            if confirmed is None:
                return None
            image = confirmed
        if await was_changed_since(change, client, execution_id, self._before):
            return None
        return Outcome(token, image, outcome.execution, outcome.resources)

    async def _wait_for_later(self, execution_id: str) -> None:
        """Wait for executions that are newer than one that has ended: the image may not show their effect before."""
        later = [
            execution
            for execution in self._before.values()
            if execution.unfinished and execution.came_after(self._before[execution_id]) is not False
        ]
        if later:
            await self._wait_for_others(later)
            listed = await self._client.executions()
            self._before.update({execution.id: execution for execution in listed if execution.id in self._before})

    async def _await_end(
        self,
        token: str,
        execution_id: str,
        answer: Answer,
        *,
        age: float = 0.0,
        snapshot: ExecutionSnapshot | None = None,
    ) -> Outcome | None:
        """Wait for an execution that is under way, as far as declared, and check the image after its end."""
        change, client = self._change, self._client
        if change.is_awaited:
            snapshot = await wait_until_ended(client, execution_id, poll_first=False, age=age, shared=True)
        else:
            outcome = await retry_while_unknown(
                client, execution_id, lambda: client.outcome(token, execution_id, snapshot=snapshot)
            )
            if outcome.execution is None or outcome.execution.status not in EXECUTION_UNSUCCESSFUL:
                return outcome
            snapshot = await client.snapshot(execution_id)
        known = execution_id in self._before
        if snapshot.status in EXECUTION_UNSUCCESSFUL:
            if not known and await client.began_before_this_run(execution_id):
                # It was not listed, and failed in an earlier run: this run starts another.
                return None
            # A failure does not depend on the image, so do not wait for the batch read of images.
            raise self._failure(*await client.describe(execution_id, snapshot))
        outcome = await client.outcome(token, execution_id, snapshot=snapshot)
        image = await self._confirmed_image(execution_id, keeps_record=outcome.skipped, first=outcome.image)
        if image is not None:
            return Outcome(token, image, outcome.execution, outcome.resources)
        if not known and await client.began_before_this_run(execution_id):
            # An execution of an earlier run that was not listed: the image has been changed since.
            return None
        return outcome if answer.certain else None

    async def _confirmed_image(
        self, execution_id: str | None, *, keeps_record: bool, first: Image | None = None
    ) -> Image | None:
        """Return the image once it confirms the change; None if it has not after the lag of reads."""
        change, client = self._change, self._client
        delay, waited = 0.5, 0.0
        image = first or await client.find_image()
        while not change.is_confirmed_by(image, execution_id, keeps_record=keeps_record):
            if waited >= IMAGE_LAG:
                return None
            client.progress.note = f"the image is still {image.state}"
            await asyncio.sleep(delay)
            waited, delay = waited + delay, 2 * delay
            image = await client.find_image(fresh=True)
        return image

    def _failure(self, execution: Execution, resources: Sequence[dict[str, Any]]) -> ExecutionFailed:
        """Return the error of an execution: how it ended and why, and which resources failed."""
        progress = self._client.progress
        reason = execution.reason or "the service gave no reason"
        failed = describe_failed_resources(resources)
        return ExecutionFailed(
            f"lifecycle execution {execution.id} ended as {execution.status}: {reason}"
            + (f"; failed: {failed}" if failed else ""),
            action=progress.action,
            next_step=f"fix the cause and run {progress.command} again to start a new execution",
        )


async def wait_until_built(client: ImageClient) -> Image:
    """Wait until the image is built: before, the service refuses to change its state. Return it."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    image = await client.find_image()
    while image.state in IMAGE_UNSTABLE:
        client.progress.build_status = image.state
        await asyncio.sleep(poll_delay(loop.time() - began))
        image = await client.find_image(fresh=True)
    client.progress.build_status = None
    return image


def _executions_in(message: str) -> list[str]:
    """Return the ids of executions that a message of the service names."""
    return re.findall(r"\blce-[0-9a-f-]{36}\b", message)


def _concerns_role(error: ServiceError) -> bool:
    """Return whether a start was refused for its role, which may be too new to be used."""
    return error.code == "InvalidParameterValueException" or (
        error.code == INVALID_REQUEST and re.search(r"\brole|executionRole", error.reason, re.I) is not None
    )
