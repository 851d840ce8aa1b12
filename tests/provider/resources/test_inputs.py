"""Arguments of any type reach the check as values that Pulumi can carry."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import enum
import pathlib
from typing import Any

import pulumi
import pytest
from pulumi_imagebuilder import AmiExclusionRulesArgs, ExclusionRulesArgs, IncludeResourcesArgs, LastLaunchedArgs
from pulumi_imagebuilder.resources.inputs import to_wire_value

EAST = datetime.timezone(datetime.timedelta(hours=2))
State = enum.Enum("State", {"GONE": "DELETED"})
Unit = enum.Enum("Unit", {"DAYS": "DAYS"})
Text = enum.Enum("Text", {"GONE": "DELETED"}, type=str)


@pytest.mark.parametrize(
    ("value", "carried"),
    [
        (None, None),
        ("text", "text"),
        (1, 1),
        (0.5, 0.5),
        (True, True),
        (State.GONE, "DELETED"),
        (Text.GONE, "DELETED"),
        (datetime.datetime(2030, 1, 31, 2, tzinfo=EAST), "2030-01-31T02:00:00+02:00"),
        (datetime.datetime(2030, 1, 31), "2030-01-31T00:00:00"),
        (datetime.date(2030, 1, 31), "2030-01-31"),
        (("a", ("b",)), ["a", ["b"]]),
        ({"b", "a"}, ["a", "b"]),
        (frozenset({2, 1}), [1, 2]),
        ({State.GONE: {1: State.GONE}}, {"DELETED": {"1": "DELETED"}}),
        (datetime.timedelta(1), {"__type": "timedelta"}),
        ([decimal.Decimal(1)], [{"__type": "Decimal"}]),
        ({"x": pathlib.PurePosixPath("x")}, {"x": {"__type": "PurePosixPath"}}),
        (b"bytes", {"__type": "bytes"}),
        (IncludeResourcesArgs(amis=True), {"amis": True}),
        (
            ExclusionRulesArgs(
                amis=AmiExclusionRulesArgs(
                    regions=("a",), is_public=False, last_launched=LastLaunchedArgs(value=1, unit=Unit.DAYS.value)
                )
            ),
            {"amis": {"regions": ["a"], "is_public": False, "last_launched": {"value": 1, "unit": "DAYS"}}},
        ),
    ],
)
def test_values_as_pulumi_can_carry_them(value: Any, carried: Any) -> None:
    """Enumerations by their text, times in RFC 3339, sets as lists, Args as dicts; the rest by its type's name."""
    assert to_wire_value(value) == carried


def test_outputs_stay_outputs() -> None:
    """What is inside an Output, or comes later, is carried the same way, and a secret stays one."""

    async def later() -> State:
        return State.GONE

    async def inside() -> list[Any]:
        deep = {"deep": pulumi.Output.from_input((1,))}
        outputs = to_wire_value([pulumi.Output.secret({"at": State.GONE}), later(), deep])
        secret, awaited = outputs[0], outputs[1]
        values = [await output.future() for output in (secret, awaited, outputs[2]["deep"])]
        return [await secret.is_secret(), *values]

    assert asyncio.run(inside()) == [True, {"at": "DELETED"}, "DELETED", [1]]


@pytest.mark.parametrize("inner", [{"value": 1}, {"value": 1, "unit": "DAYS", "units": "DAYS"}])
def test_a_wrong_keyword_of_args_is_pythons_own_error(inner: dict[str, Any]) -> None:
    """Of plain dicts with the same mistakes, the check tells."""
    with pytest.raises(TypeError, match="LastLaunchedArgs"):
        LastLaunchedArgs(**inner)
    assert to_wire_value({"last_launched": inner}) == {"last_launched": inner}
