"""Corners that no run comes to by itself."""

from __future__ import annotations

import asyncio
import datetime
import types
from collections.abc import Callable
from typing import Any

import pytest
from pulumi_imagebuilder.dynamic import fleets
from pulumi_imagebuilder.errors import ServiceRefused
from pulumi_imagebuilder.lifecycle import tokens
from pulumi_imagebuilder.lifecycle.destroy import cancel, restore
from pulumi_imagebuilder.lifecycle.progress import Progress
from pulumi_imagebuilder.lifecycle.statuses import IMAGE_GONE
from pulumi_imagebuilder.lifecycle.waiting import cancel_and_wait
from pulumi_imagebuilder.rules import Kind, changes

IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"
GONE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/5"
FLEET: dict[str, Any] = {"resource_arns": [IMAGE], "state": "DISABLED", "wait": True, "on_destroy": "cancel"}


def test_times_that_are_none_are_compared_as_they_are() -> None:
    """What an earlier version let into the state is no reason to fail when it is compared."""
    assert changes(Kind.SINGLE, {"update_at": "soon"}, {"update_at": "later"}).rerun == {"update_at"}
    assert not changes(Kind.SINGLE, {"update_at": "soon"}, {"update_at": "soon"})


def test_a_request_that_cannot_be_told_apart() -> None:
    """Is refused, and not given the token of another."""
    scheduled = {"updateAt": datetime.datetime(2030, 1, 31, tzinfo=datetime.UTC)}
    assert next(tokens.line(IMAGE, scheduled)).startswith("pulumi-")
    with pytest.raises(TypeError, match="object has no place in a request"):
        next(tokens.line(IMAGE, {"updateAt": object()}))


def test_a_token_for_a_fleet() -> None:
    """Each image asks with one of its own that is derived from it, as the service wants it."""
    asked: dict[str, Any] = {}

    class Host:
        def carry_out_for_each(self, inputs: Any, operation: str, all_: str, each: str, work: Any) -> dict[str, Any]:
            asked.update(work)
            return {}

    plain, mine = FLEET, {**FLEET, "client_token": "mine"}
    found = []
    for inputs in (plain, mine):
        fleets.apply(Host(), inputs, "create", {}, {IMAGE}, {GONE})  # type: ignore[arg-type]
        change = asked.pop(IMAGE).args[0]
        found.append(next(tokens.line(IMAGE, change.request, triggers=change.triggers, given=change.client_token)))
    assert found[0] != found[1]
    assert "mine" not in found
    # An image that was never recorded has nothing to leave behind.
    assert asked == {}


class Client:
    """The client of one image whose execution goes through these statuses, one at each look."""

    def __init__(self, *statuses: str, refuses: bool = False) -> None:
        self.statuses = list(statuses)
        self.refuses = refuses
        self.progress = Progress("cancelling")
        self.cancelled: list[str] = []

    async def look(self, execution_id: str) -> Any:
        status = self.statuses.pop(0)
        return types.SimpleNamespace(status=status, resources=[], more=None)

    async def cancel(self, execution_id: str) -> None:
        self.cancelled.append(execution_id)
        if self.refuses:
            raise ServiceRefused("cancelling: InvalidRequestException: it cannot be", "InvalidRequestException")

    async def find_image(self) -> Any:
        return types.SimpleNamespace(state=IMAGE_GONE)


def test_nothing_is_cancelled_that_has_ended() -> None:
    """Neither without an execution, nor one that has ended; and one that ended meanwhile may be refused."""
    asyncio.run(cancel({}, Client()))  # type: ignore[arg-type]
    ended = Client("SUCCESS")
    asyncio.run(cancel({"lifecycle_execution_id": "lce-1"}, ended))  # type: ignore[arg-type]
    assert ended.cancelled == []
    refused = Client("IN_PROGRESS", "SUCCESS", "SUCCESS", refuses=True)
    look = asyncio.run(cancel_and_wait(refused, "lce-1"))  # type: ignore[arg-type]
    assert refused.cancelled == ["lce-1"]
    assert look.status in {"IN_PROGRESS", "SUCCESS"}
    with pytest.raises(ServiceRefused, match="it cannot be"):
        asyncio.run(cancel_and_wait(Client("PENDING", "PENDING", refuses=True), "lce-1"))  # type: ignore[arg-type]


def test_nothing_is_restored_of_an_image_that_is_gone() -> None:
    """It is no error: there is nothing to bring back."""
    asyncio.run(restore({}, {"state": {"status": "DISABLED"}}, Client()))  # type: ignore[arg-type]


def test_time_limits_as_a_dict(declared_by: Callable[..., list[tuple[str, dict[str, Any]]]]) -> None:
    """Pulumi takes one for an object of its own, and so the provider is told them either way."""
    program = """
import pulumi
from pulumi_imagebuilder import ImageCleanup

for name, limits in {"dict": {"delete": "5m"}, "object": pulumi.CustomTimeouts(delete="5m")}.items():
    ImageCleanup(name, resource_arn="IMAGE", execution_role="R", opts=pulumi.ResourceOptions(custom_timeouts=limits))
"""
    declared = declared_by(compile(program.replace("IMAGE", IMAGE), "program", "exec"), {})
    assert [inputs["__timeouts"] for _, inputs in declared] == [{"delete": "5m"}] * 2
