"""What a program gives reaches the check, whatever it is."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import enum
import pathlib
from typing import Any

import pulumi
import pytest
from pulumi.output import Unknown
from pulumi_imagebuilder import AmiExclusionRulesArgs, ExclusionRulesArgs, IncludeResourcesArgs, LastLaunchedArgs
from pulumi_imagebuilder.dynamic import ResourceStateUpdateProvider
from pulumi_imagebuilder.resources.given import given, plain, refused_by_the_check
from pulumi_imagebuilder.rules import UNKNOWN

IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"
EAST = datetime.timezone(datetime.timedelta(hours=2))
State = enum.Enum("State", {"GONE": "DELETED"})
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
        (IncludeResourcesArgs(ami=True), {"ami": True}),  # type: ignore[call-arg]
        (LastLaunchedArgs(value=1), {"value": 1}),  # type: ignore[call-arg]
        (
            ExclusionRulesArgs(amis=AmiExclusionRulesArgs(regions=("a",), isPublic={1})),  # type: ignore[call-arg]
            {"amis": {"regions": ["a"], "isPublic": [1]}},
        ),
    ],
)
def test_values_as_pulumi_can_carry_them(value: Any, carried: Any) -> None:
    """Enumerations by their text, times in RFC 3339, sets as lists, Args as dicts; the rest by its type's name."""
    assert plain(value) == carried


def test_outputs_stay_outputs() -> None:
    """What is inside an Output, or comes later, is carried the same way, and a secret stays one."""

    async def later() -> State:
        return State.GONE

    async def inside() -> list[Any]:
        outputs = plain([pulumi.Output.secret({"at": State.GONE}), later(), {"deep": pulumi.Output.from_input((1,))}])
        secret, awaited, deep = outputs[0], outputs[1], outputs[2]["deep"]
        return [await secret.future(), await secret.is_secret(), await awaited.future(), await deep.future()]

    assert asyncio.run(inside()) == [{"at": "DELETED"}, True, "DELETED", [1]]


def test_names_that_do_not_exist_and_arguments_that_are_missing() -> None:
    """Reach the check beside all others; what has a default keeps it, and what is given by position is Python's."""

    class Declared:
        @refused_by_the_check
        def __init__(self, name: str, *, image: str, wait: bool = True) -> None:
            self.inputs = given(self, {"image": image, "wait": wait})

    assert Declared("x", image="web").inputs == {"image": "web", "wait": True}
    assert Declared("x", imag={"web"}, status=State.GONE).inputs == {  # type: ignore[call-arg]
        "image": None,
        "wait": True,
        "imag": ["web"],
        "status": "DELETED",
    }
    with pytest.raises(TypeError, match="takes 2 positional arguments"):
        Declared("x", "web")  # type: ignore[call-arg, misc]


def test_values_that_a_preview_does_not_know() -> None:
    """Pulumi hands them over as objects: they are left alone by the check, handed on, and count as changed."""
    provider = ResourceStateUpdateProvider()
    inputs: dict[str, Any] = {
        "resource_arn": Unknown(),
        "state": "DISABLE",
        "client_token": Unknown(),
        "triggers": [Unknown(), {"deep": Unknown()}],
    }

    checked = provider.check({}, inputs)
    assert [(failure.property, failure.reason) for failure in checked.failures] == [
        (
            "state",
            '"DISABLE" is not valid; expected one of AVAILABLE, DELETED, DEPRECATED, DISABLED '
            '(did you mean "DISABLED"?)',
        )
    ]
    checked = provider.check({}, {**inputs, "state": "DISABLED"})
    assert checked.failures == []
    assert checked.inputs["resource_arn"] == UNKNOWN
    assert checked.inputs["triggers"] == [UNKNOWN, {"deep": UNKNOWN}]

    known = {"resource_arn": IMAGE, "state": "DISABLED"}
    assert provider.diff(IMAGE, known, {**known, "resource_arn": Unknown()}).replaces == ["resource_arn"]
    assert provider.diff(IMAGE, known, {**known, "triggers": [Unknown()]}).changes
    assert not provider.diff(IMAGE, known, known).changes
