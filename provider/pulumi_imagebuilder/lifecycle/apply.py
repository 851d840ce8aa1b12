"""Carry out a declared change exactly once: start it, or find the execution that was started for it before.

The service remembers client tokens, so a start with the same token starts nothing new. What its answer claims is
believed only if the execution or the image shows it; otherwise the next token candidate is used::

    look for what stands ──► found ──────────────────────────┐
          │ nothing                                          │
          ▼                                                  ▼
    start with a token ──► answered ──► await its end ──► verify ──► Outcome
          │        ▲                        │ ended badly,   │ not confirmed by the image
          │        │                        │ and is ours    │
    image in use:  └──── next candidate ◄───┼────────────────┘
    resolve the conflict,                   ▼
    then start again                  ExecutionFailed

A process can die at any arrow: the next run comes to the same execution by the same token, or by what stands.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Any, Final, Literal

from ..errors import ExecutionFailed, ImageBuilderError, NotVerified, ServiceError, describe_failed_resources
from .adoption import (
    Answer,
    find_adoptable_execution,
    find_earlier_deletion,
    find_execution_with_another_role,
    is_schedule,
    was_moved_since,
)
from .change import Change
from .client import CheckAgain, ExecutionUnknown, ImageClient
from .entities import (
    EXECUTION_SUCCEEDED,
    EXECUTION_UNSUCCESSFUL,
    IMAGE_UNSTABLE,
    Execution,
    ExecutionSnapshot,
    Image,
    Outcome,
)
from .polling import CONSISTENCY_WINDOW, cancel_and_wait, poll_delay, wait_until_ended
from .references import MAX_AGE

BeforeStart = Callable[[Change, ImageClient], Awaitable[None]]
"""Called immediately before an execution may be started, and never where one may be adopted; raises to refuse."""

_ROLE_PROPAGATION = 120.0
"""Seconds that a role made moments ago may be refused for."""

_FIRST_RESOURCES = 120.0
"""Seconds after which an execution without resources waits for its time, whatever the image shows of it."""

_LAG = 3.5
"""Seconds that an image is read again for while it does not show a change that has been carried out."""

MAX_CANDIDATES = 500
"""Give up after this many tokens: each replayed token is an earlier change of the same resource."""

MAX_UNVERIFIED = 25
"""Give up after this many immediate changes of which the image shows nothing: each costs seconds."""


class _Verdict(enum.Enum):
    NEXT_CANDIDATE = enum.auto()


_NEXT_CANDIDATE: Final = _Verdict.NEXT_CANDIDATE
"""The answer does not hold for this change any more: use the next token."""

_NextCandidate = Literal[_Verdict.NEXT_CANDIDATE]


async def apply(change: Change, client: ImageClient, before_start: BeforeStart | None = None) -> Outcome:
    """Carry out a change, or adopt the execution that was started for it before, and wait as declared.

    A change that is scheduled for a time that has passed, and that the service does not know, is carried out now.

    Args:
        change: what is declared.
        client: the image's client.
        before_start: called before the first start. Default: nothing is.

    Raises:
        ExecutionFailed: the execution failed, or was cancelled while it was waited for.
        NotVerified: the service answers that the change was made, and the image does not show it.
        ServiceError: the service refused the request.
        asyncio.CancelledError: the caller's time limit; ``client.progress`` holds how far it came.
    """
    return await _Application(change, client, before_start).run()


class _Application:
    """One change on its way; what it needs to know on the way is read once."""

    def __init__(self, change: Change, client: ImageClient, before_start: BeforeStart | None) -> None:
        self._change = change
        self._client = client
        self._before_start = before_start
        self._listed: Sequence[Execution] | None = None
        """The executions as just listed; None when they have to be listed again."""
        self._before: dict[str, Execution] = {}
        """The image's executions that there were before this run started one: these may have ended long ago."""

    async def run(self) -> Outcome:
        change, client = self._change, self._client
        # The image names its last execution, but a schedule of our own must be found whatever the image shows.
        listed = await (client.executions() if change.own_schedule else client.executions_before())
        self._listed = listed
        self._before = {execution.id: execution for execution in listed}
        schedule = self._before.get(change.own_schedule or "")
        if schedule and schedule.unfinished:
            # Before anything is started: an immediate change passes a schedule, which would still come true one day.
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
                if await client.is_gone(error):
                    deleted = await find_earlier_deletion(change, client, token, self._before)
                    if deleted is None:
                        raise
                    return deleted
                if error.code == "InvalidRequestException" and change.is_overdue(client.now):
                    return await apply(change.without_schedule(), client, self._before_start)
                raise
            adoptable = None
            if answer is None or self._is_superseded(answer):
                continue
            result = await self._await_and_verify(token, answer)
            if result is not _NEXT_CANDIDATE:
                client.progress.update(result)
                return result
            client.progress.execution_id = None
            unverified += answer.execution_id is None
            if unverified == MAX_UNVERIFIED:
                break
        raise NotVerified(
            "the service answers that it was done, but the image does not show it",
            action=client.progress.action,
            next_step=f"look for what else changes this image, then run {client.progress.command} again",
        )

    # --- start -----------------------------------------------------------------------------------------------------

    async def _start(self, token: str) -> Answer | None:
        """Start the change until the image is free for it; None when the token was used before and answers nothing."""
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
                if error.code == "ResourceInUseException":
                    adoptable = await self._wait_until_free(error, loop.time() - began)
                    if adoptable:
                        return adoptable
                elif error.code == "IdempotentParameterMismatchException" and token != change.client_token:
                    return await find_execution_with_another_role(change, client)
                elif _concerns_role(error) and "executionRole" in change.request:
                    refused_since = refused_since if refused_for_role else loop.time()
                    refused_for_role = True
                    waited = loop.time() - refused_since
                    if waited > _ROLE_PROPAGATION:
                        raise
                    client.progress.note = f"the execution role cannot be used yet: {error.reason}"
                    await asyncio.sleep(poll_delay(waited))
                elif change.awaits_build and error.code == "InvalidRequestException" and await self._is_built_again():
                    await wait_until_built(client)
                else:
                    raise
            else:
                return Answer(execution_id)

    async def _check_before_start(self) -> float:
        """Call the hook, unless an execution is under way: then a start adopts it or is refused, and starts nothing.

        Returns:
            Until when a start may be sent, by the loop's time. One that is sent later may find that the execution under
            way has ended, or that the AMIs are used by now.
        """
        if self._before_start is None:
            return math.inf
        now = asyncio.get_running_loop().time
        if await self._is_under_way():
            return now()
        try:
            await self._before_start(self._change, self._client)
        except ImageBuilderError:
            # A run that was killed a moment ago may have started an execution that is not listed yet.
            await asyncio.sleep(_LAG)
            if not await self._is_under_way():
                raise
            return now()
        return now() + MAX_AGE

    async def _is_under_way(self) -> bool:
        listed, self._listed = self._listed, None
        if listed is None:
            listed = await self._client.executions()
        return any(execution.unfinished for execution in listed)

    async def _is_built_again(self) -> bool:
        """Return whether the image is being built: a failed one can be retried at any time, under the same ARN."""
        return (await self._client.find_image(again=True)).state in IMAGE_UNSTABLE

    # --- conflicts -------------------------------------------------------------------------------------------------

    async def _wait_until_free(self, refusal: ServiceError, waited: float) -> Answer | None:
        """Wait until what has the image in use has ended; return an execution that has done this change meanwhile."""
        change, client = self._change, self._client
        listed = await client.executions()
        blocking = [execution for execution in listed if execution.unfinished]
        same = await find_adoptable_execution(change, client, blocking)
        if same:
            return same
        # A lifecycle policy's execution need not be listed for the image, but the refusal names it.
        named = re.findall(r"\blce-[0-9a-f-]{36}\b", refusal.reason)
        ids = [execution.id for execution in blocking] or [each for each in named if each not in self._before]
        if not ids:
            # It has just ended, or is not listed yet.
            client.progress.note = "the image is in use, and none of its executions is under way"
            await asyncio.sleep(poll_delay(waited))
            return None
        for execution_id in ids:
            try:
                await self._resolve_conflict(execution_id)
            except ExecutionUnknown:
                client.progress.blocking_execution = None
                await asyncio.sleep(poll_delay(waited))
        return await find_adoptable_execution(change, client, await client.executions())

    async def _wait_for_others(self, listed: Sequence[Execution]) -> None:
        """Wait for executions that are at work, and that move the image when they end."""
        for execution in listed:
            with contextlib.suppress(ExecutionUnknown):
                if execution.unfinished and await self._is_at_work(execution):
                    await self._resolve_conflict(execution.id)
                    self._listed = None

    async def _is_at_work(self, execution: Execution) -> bool:
        """Return whether an execution changes resources, or has begun so lately that it may not list any yet."""
        snapshot = await self._client.snapshot(execution.id)
        if snapshot.resources or snapshot.next_token:
            return True
        lately = snapshot.seconds_since(execution.age) < _FIRST_RESOURCES
        return lately and not await is_schedule(self._client, execution)

    async def _resolve_conflict(self, execution_id: str) -> None:
        """Wait until an execution that has the image in use has ended; a schedule that is to give way is cancelled."""
        client = self._client
        client.progress.blocking_execution = execution_id
        # Reads may lag behind the start of a schedule: what is not seen to be one yet is looked at once more. Where
        # another change has taken the date off the image, only its idleness shows it.
        for limit in (_LAG, _FIRST_RESOURCES, None) if self._change.cancels_schedules else (None,):
            if await self._gives_way(execution_id, idle=limit is None):
                await cancel_and_wait(client, execution_id)
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await wait_until_ended(client, execution_id)
                    break
        client.progress.blocking_execution = None

    async def _gives_way(self, execution_id: str, *, idle: bool) -> bool:
        """Return whether an execution is a schedule that this change replaces: its own, or any for a clean-up.

        Args:
            execution_id: the execution.
            idle: whether it has been waited for so long that one without resources waits for its time.
        """
        change, client = self._change, self._client
        if execution_id == change.own_schedule:
            return await self._lists_nothing(execution_id)
        if not change.cancels_schedules:
            return False
        execution = {each.id: each for each in await client.executions()}.get(execution_id)
        if execution is None:
            return False
        idle = idle and execution.unfinished and execution.policy_arn is None
        return await is_schedule(client, execution) or (idle and await self._lists_nothing(execution_id))

    async def _lists_nothing(self, execution_id: str) -> bool:
        snapshot = await self._client.snapshot(execution_id)
        return not snapshot.resources and not snapshot.next_token

    # --- await and verify ------------------------------------------------------------------------------------------

    def _is_superseded(self, answer: Answer) -> bool:
        """Return whether an answer names the execution of the change before this one, or an older one."""
        superseded = self._change.superseded
        if answer.execution_id is None or superseded is None:
            return False
        execution, previous = self._before.get(answer.execution_id), self._before.get(superseded)
        return answer.execution_id == superseded or (
            execution is not None and previous is not None and previous.came_after(execution) is True
        )

    async def _await_and_verify(self, token: str, answer: Answer) -> Outcome | _NextCandidate:
        """Wait for what an answer named, and hold it against the execution and the image."""
        change, client = self._change, self._client
        execution_id = answer.execution_id
        if execution_id is None:
            image = await self._confirmed_image(None, keeps_record=False)
            return _NEXT_CANDIDATE if image is None else Outcome(token, image)
        client.progress.execution_id = execution_id
        try:
            if execution_id in self._before:
                return await self._verify_known(token, execution_id, answer)
            return await self._verify_new(token, execution_id, answer)
        except ExecutionUnknown:
            # An execution of an earlier run that the service has forgotten: only the image can confirm it.
            image = await client.find_image(again=True)
            if change.is_confirmed_by(image, execution_id) and image.state == change.target:
                return Outcome(token, image)
            return _NEXT_CANDIDATE

    async def _verify_known(self, token: str, execution_id: str, answer: Answer) -> Outcome | _NextCandidate:
        """Hold an execution that there was before this run against the image; wait for one that is under way."""
        change, client = self._change, self._client
        snapshot = await client.snapshot(execution_id)
        client.progress.update(snapshot)
        if snapshot.status == "CANCELLING":
            snapshot = await wait_until_ended(client, execution_id)
        if snapshot.status in EXECUTION_UNSUCCESSFUL:
            return _NEXT_CANDIDATE
        if snapshot.status not in EXECUTION_SUCCEEDED:
            age = snapshot.seconds_since(self._before[execution_id].age)
            return await self._verify_new(token, execution_id, answer, age=age, snapshot=snapshot)
        await self._wait_for_later(execution_id)
        outcome = await client.outcome(token, execution_id, snapshot=snapshot)
        image = outcome.image
        if not change.is_confirmed_by(image, execution_id):
            ended = outcome.execution.ended if outcome.execution else None
            if ended is None or snapshot.seconds_since(ended) > CONSISTENCY_WINDOW:
                return _NEXT_CANDIDATE
            confirmed = await self._confirmed_image(execution_id, keeps_record=True, first=image)
            if confirmed is None:
                return _NEXT_CANDIDATE
            image = confirmed
        if await was_moved_since(change, client, execution_id, self._before):
            return _NEXT_CANDIDATE
        return Outcome(token, image, outcome.execution, outcome.resources)

    async def _wait_for_later(self, execution_id: str) -> None:
        """Wait for executions that came after one that has ended: until they end, the image may show it unmoved."""
        later = [
            execution
            for execution in self._before.values()
            if execution.unfinished and execution.came_after(self._before[execution_id]) is not False
        ]
        if later:
            await self._wait_for_others(later)
            listed = await self._client.executions()
            self._before.update({execution.id: execution for execution in listed if execution.id in self._before})

    async def _verify_new(
        self,
        token: str,
        execution_id: str,
        answer: Answer,
        *,
        age: float = 0.0,
        snapshot: ExecutionSnapshot | None = None,
    ) -> Outcome | _NextCandidate:
        """Wait for an execution that is under way, and hold its end against the image."""
        change, client = self._change, self._client
        if change.is_awaited:
            snapshot = await wait_until_ended(client, execution_id, look_first=False, age=age, shared=True)
        else:
            outcome = await self._accepted(token, execution_id, snapshot)
            if outcome.execution is None or outcome.execution.status not in EXECUTION_UNSUCCESSFUL:
                return outcome
            snapshot = await client.snapshot(execution_id)
        known = execution_id in self._before
        if snapshot.status in EXECUTION_UNSUCCESSFUL:
            if not known and await client.began_before_this_run(execution_id):
                # It was not listed, and failed in an earlier run: this one starts another.
                return _NEXT_CANDIDATE
            # The image says nothing of a failure: it is not waited for until those of others are read with it.
            raise self._failure(*await client.describe(execution_id, snapshot))
        outcome = await client.outcome(token, execution_id, snapshot=snapshot)
        skipped = any(resource["status"] == "SKIPPED" for resource in outcome.resources)
        image = await self._confirmed_image(execution_id, keeps_record=skipped, first=outcome.image)
        if image is not None:
            return Outcome(token, image, outcome.execution, outcome.resources)
        if not known and await client.began_before_this_run(execution_id):
            # An execution of an earlier run that was not listed: it answers for that run.
            return _NEXT_CANDIDATE
        return outcome if answer.certain else _NEXT_CANDIDATE

    async def _accepted(self, token: str, execution_id: str, snapshot: ExecutionSnapshot | None) -> Outcome:
        """Return an execution that is not waited for, once it can be read."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            try:
                return await self._client.outcome(token, execution_id, snapshot=snapshot)
            except ExecutionUnknown as error:
                waited = loop.time() - began
                if waited > CONSISTENCY_WINDOW:
                    raise
                self._client.progress.note = f"lifecycle execution {execution_id} cannot be read yet: {error.reason}"
                await asyncio.sleep(poll_delay(waited))

    async def _confirmed_image(
        self, execution_id: str | None, *, keeps_record: bool, first: Image | None = None
    ) -> Image | None:
        """Return the image once it confirms the change; None if it does not, while reads may lag behind the write."""
        change, client = self._change, self._client
        delay, waited = 0.5, 0.0
        image = first or await client.find_image()
        while not change.is_confirmed_by(image, execution_id, keeps_record=keeps_record):
            if waited >= _LAG:
                return None
            client.progress.note = f"the image is still {image.state}"
            await asyncio.sleep(delay)
            waited, delay = waited + delay, 2 * delay
            image = await client.find_image(again=True)
        return image

    def _failure(self, execution: Execution, resources: Sequence[dict[str, Any]]) -> ExecutionFailed:
        """Return an error that says how the execution ended and why, and which resources failed."""
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
    """Return the image once it is not being built any more: before, the service refuses to change its state."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    image = await client.find_image()
    while image.state in IMAGE_UNSTABLE:
        client.progress.build_status = image.state
        await asyncio.sleep(poll_delay(loop.time() - began))
        image = await client.find_image(again=True)
    client.progress.build_status = None
    return image


def _concerns_role(error: ServiceError) -> bool:
    return error.code == "InvalidParameterValueException" or (
        error.code == "InvalidRequestException" and re.search(r"\brole|executionRole", error.reason, re.I) is not None
    )
