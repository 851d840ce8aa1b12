"""Corners that no run comes to by itself."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from pulumi_imagebuilder.dynamic import fleets
from pulumi_imagebuilder.lifecycle import tokens
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
    scheduled = {"updateAt": datetime.datetime(2030, 1, 31, tzinfo=datetime.timezone.utc)}
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
