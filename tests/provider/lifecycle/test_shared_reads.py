"""Values that many ask for are read with few calls, kept, and given to all who wait."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pulumi_imagebuilder.errors import TemporaryError
from pulumi_imagebuilder.lifecycle.shared_reads import SharedReads, gather_or_cancel

from tests.provider.lifecycle.fake_ec2 import in_event_loop


class Reads:
    """A reader that keeps its batches, and can be held up."""

    def __init__(self) -> None:
        self.time = 0.0
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: TemporaryError | None = None
        self.cancelled = False
        self.shared = SharedReads(self.read, clock=lambda: self.time, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    async def read(self, keys: list[str], since: float, notify: Any) -> dict[str, str]:
        self.batches.append(keys)
        notify("retrying")
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            for _ in range(5):
                # A call that is under way takes some turns of the loop to end.
                await asyncio.sleep(0)
            raise
        if self.error:
            raise self.error
        return {key: f"{key}@{self.time}" for key in keys}


@in_event_loop
async def test_those_who_ask_together_share_a_batch() -> None:
    reads = Reads()
    found = await asyncio.gather(*(reads.shared.get([key], 0) for key in "abc"))
    assert reads.batches == [["a", "b", "c"]]
    assert found == [{"a": "a@0.0"}, {"b": "b@0.0"}, {"c": "c@0.0"}]


@in_event_loop
async def test_what_is_fresh_is_not_read_again_and_what_is_old_is() -> None:
    reads = Reads()
    await reads.shared.get(["a"], 0)
    reads.time = 60
    await reads.shared.get(["a", "b"], 0)
    await reads.shared.get(["a"], 1)
    assert reads.batches == [["a"], ["b"], ["a"]]


@in_event_loop
async def test_what_will_be_wanted_is_read_along_and_only_if_there_is_a_batch() -> None:
    reads = Reads()
    await reads.shared.get(["a"], 0, along_with=["b", "c"])
    await reads.shared.get(["b"], 0, along_with=["d"])
    assert reads.batches == [["a", "b", "c"]]


@in_event_loop
async def test_a_batch_under_way_is_joined_if_it_began_late_enough() -> None:
    reads = Reads()
    reads.gate.clear()
    first = asyncio.create_task(reads.shared.get(["a"], 0))
    while not reads.batches:
        await asyncio.sleep(0)
    joined = asyncio.create_task(reads.shared.get(["a"], 0))
    reads.time = 5
    fresher = asyncio.create_task(reads.shared.get(["a"], 5))
    for _ in range(9):
        await asyncio.sleep(0)
    assert reads.batches == [["a"], ["a"]]
    reads.gate.set()
    assert await asyncio.gather(first, joined, fresher) == [{"a": "a@5"}] * 3


@in_event_loop
async def test_an_error_is_kept_for_all_keys_of_its_batch() -> None:
    reads = Reads()
    reads.error = TemporaryError("no answer")
    assert await reads.shared.get(["a"], 0, along_with=["b"]) == {"a": reads.error}
    assert await reads.shared.get(["b"], 0) == {"b": reads.error}
    assert reads.shared.peek("b") is None
    reads.time, reads.error = 1, None
    assert await reads.shared.get(["b"], 1) == {"b": "b@1"}
    assert reads.batches == [["a", "b"], ["b"]]


@in_event_loop
async def test_each_who_waits_hears_of_retries() -> None:
    reads = Reads()
    heard: list[str] = []
    await asyncio.gather(*(reads.shared.get([key], 0, on_retry=heard.append) for key in "ab"))
    assert heard == ["retrying", "retrying"]


@in_event_loop
async def test_a_batch_goes_on_for_the_others_when_one_is_cancelled() -> None:
    reads = Reads()
    reads.gate.clear()
    first, second = (asyncio.create_task(reads.shared.get(["a"], 0)) for _ in range(2))
    while not reads.batches:
        await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    reads.gate.set()
    assert await second == {"a": "a@0.0"}


@in_event_loop
async def test_a_batch_ends_when_nobody_waits_for_it() -> None:
    reads = Reads()
    reads.gate.clear()
    only = asyncio.create_task(reads.shared.get(["a"], 0))
    while not reads.batches:
        await asyncio.sleep(0)
    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only
    await asyncio.sleep(0)
    assert reads.cancelled
    reads.gate.set()
    assert await reads.shared.get(["a"], 0) == {"a": "a@0.0"}


@in_event_loop
async def test_who_asks_again_at_once_does_not_join_what_is_cancelled() -> None:
    """As a survey does that starts over when an AMI is gone: its other reads are cancelled, and asked for again."""
    reads = Reads()
    reads.gate.clear()
    first = asyncio.create_task(reads.shared.get(["a"], 0))
    while not reads.batches:
        await asyncio.sleep(0)

    async def start_over() -> dict[str, Any]:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        reads.gate.set()
        return await reads.shared.get(["a"], 0)

    assert await start_over() == {"a": "a@0.0"}
    assert reads.batches == [["a"], ["a"]]


@in_event_loop
async def test_side_by_side_tasks_are_cancelled_when_one_fails() -> None:
    ended = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise TemporaryError("no answer")

    with pytest.raises(TemporaryError):
        await gather_or_cancel([wait(), fail()])
    assert ended == ["cancelled"]
