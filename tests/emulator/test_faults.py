"""Faults are set by a line of text and strike the calls and the executions that it names."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from imagebuilder_emulator.faults import Faults, parse

IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"
OTHER = "arn:aws:imagebuilder:us-east-1:123456789012:image/db/1.0.0/1"
START = ("imagebuilder", "StartResourceStateUpdate")
KINDS = "throttle, 500, 503, error=CODE, plain-text=STATUS, drop-request, drop-answer, delay=TIME, stall=TIME"


def struck(faults: Faults, service: str, operation: str, calls: int) -> list[int]:
    """Which of so many calls are struck, counted from 1."""
    return [call for call in range(1, calls + 1) if faults.match(service, operation)]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("StartResourceStateUpdate 500", [1, 2, 3, 4, 5]),
        ("imagebuilder:StartResourceStateUpdate 500 first=2", [1, 2]),
        ("*ResourceState* 503 nth=2,4", [2, 4]),
        ("* delay=1s first=1", [1]),
        ("*:* drop-request nth=5", [5]),
        ("GetImage 500", []),
        ("ec2:* 500", []),
        ("ec2:DescribeImages 500", []),
    ],
)
def test_a_fault_strikes_the_calls_it_names(text: str, calls: list[int]) -> None:
    """The operation is a name or a pattern, of Image Builder unless a service is named; calls count from 1."""
    faults = Faults()
    faults.add(text)
    assert struck(faults, *START, 5) == calls


def test_only_its_own_operations_are_counted() -> None:
    """The second call of an operation is that, however many calls of others lie between."""
    faults = Faults()
    faults.add("StartResourceStateUpdate throttle nth=2")
    assert not faults.match(*START)
    assert struck(faults, "imagebuilder", "GetImage", 3) == []
    assert [fault.error for fault in faults.match(*START)] == ["CallRateLimitExceededException"]


def test_a_share_of_calls_is_the_same_each_time() -> None:
    """A share strikes about so many calls, and the same ones again with the same seed."""
    runs = []
    for text in ("GetImage 500 share=0.25", "GetImage 500 share=0.25", "GetImage 500 share=0.25 seed=7"):
        faults = Faults()
        faults.add(text)
        runs.append(struck(faults, "imagebuilder", "GetImage", 1000))
    assert runs[0] == runs[1] != runs[2]
    assert all(200 <= len(run) <= 300 for run in runs)


def test_several_faults_strike_in_the_order_they_were_set() -> None:
    """Each counts for itself; all that strike a call are handed out, first set first."""
    faults = Faults()
    faults.add("GetImage delay=2s", "GetImage drop-answer nth=1", "GetImage error=ForbiddenException nth=2")
    calls = [faults.match("imagebuilder", "GetImage") for _ in range(3)]
    assert [[fault.kind for fault in hits] for hits in calls] == [
        ["delay", "drop-answer"],
        ["delay", "error"],
        ["delay"],
    ]
    assert calls[0][0].seconds == 2
    assert calls[1][1].error == "ForbiddenException"


def test_what_faults_did_can_be_read() -> None:
    """Each fault has a number, keeps its text, and counts the calls it looked at and those it struck."""
    faults = Faults()
    assert faults.add("GetImage 500 first=2", "List* 503") == [1, 2]
    struck(faults, "imagebuilder", "GetImage", 5)
    told = {number: (fault.text, fault.calls, fault.hits) for number, fault in faults.all().items()}
    assert told == {1: ("GetImage 500 first=2", 5, 2), 2: ("List* 503", 0, 0)}


def test_faults_are_lifted() -> None:
    """One by its number, or all; what waits for a lifted fault is told."""
    faults = Faults()
    faults.add("GetImage stall=1h", "GetImage 500", "GetImage 503")
    stall = faults.all()[1]
    assert faults.remove(1)
    assert not faults.remove(1)
    assert stall.lifted.is_set()
    assert [fault.error for fault in faults.match("imagebuilder", "GetImage")] == [
        "ServiceException",
        "ServiceUnavailableException",
    ]
    faults.clear()
    assert faults.all() == {}
    assert not faults.match("imagebuilder", "GetImage")


def test_faults_are_replaced_as_a_whole() -> None:
    """A list with something wrong in it changes nothing; a good one takes the place of what was set."""
    faults = Faults()
    faults.add("GetImage 500")
    with pytest.raises(ValueError, match="no operation is called 'GetImages'"):
        faults.replace("GetImage 503", "GetImages 503")
    assert [fault.text for fault in faults.all().values()] == ["GetImage 500"]
    assert faults.replace("GetImage 503") == [2]
    assert [fault.text for fault in faults.all().values()] == ["GetImage 503"]


def test_concurrent_calls_are_each_counted_once() -> None:
    """The first thousand calls are exactly a thousand, from however many threads they come."""
    faults = Faults()
    faults.add("GetImage 500 first=1000")
    with ThreadPoolExecutor(20) as pool:
        hits = sum(pool.map(lambda _: len(faults.match("imagebuilder", "GetImage")), range(4000)))
    assert (hits, faults.all()[1].calls) == (1000, 4000)


def test_an_execution_fails_for_chosen_resources() -> None:
    """By id, image and region, or patterns of these; all that are given have to fit."""
    faults = Faults()
    faults.add(
        "execution fail resource=ami-1 reason='The key is gone'",
        f"execution fail image={OTHER} region=eu-*",
    )
    assert faults.resource_failure("ami-1", image=IMAGE, region="us-east-1") == "The key is gone"
    assert faults.resource_failure("ami-2", image=IMAGE, region="eu-west-1") is None
    assert faults.resource_failure("ami-3", image=OTHER, region="us-east-1") is None
    assert faults.resource_failure("ami-3", image=OTHER, region="eu-west-1") == "A fault set in the emulator"


def test_a_resource_can_fail_once_and_then_go_well() -> None:
    """Resources are counted as calls are."""
    faults = Faults()
    faults.add("execution fail resource=* first=1")
    assert faults.resource_failure("ami-1") == "A fault set in the emulator"
    assert faults.resource_failure("ami-1") is None


def test_executions_of_chosen_images_hang() -> None:
    """They hang for as long as the fault is set; requests are not concerned."""
    faults = Faults()
    faults.add("execution hang image=*:image/web/*")
    assert faults.hangs(IMAGE)
    assert not faults.hangs(OTHER)
    assert not faults.match(*START)
    assert faults.resource_failure("ami-1", image=IMAGE) is None
    faults.clear()
    assert not faults.hangs(IMAGE)


GRAMMAR = "expected OPERATION KIND [OPTION…], or execution fail|hang [OPTION…]"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", GRAMMAR),
        ("GetImage", GRAMMAR),
        ("execution fail reason='open", GRAMMAR),
        ("GetImages 500", "no operation is called 'GetImages'"),
        ("ec3:DescribeImages 500", "no operation is called 'ec3:DescribeImages'"),
        ("s3:PutObject 500", "no operation is called 's3:PutObject'"),
        ("GetImage 501", f"'501' is no kind of fault; those are {KINDS}"),
        ("GetImage delay", f"'delay' is no kind of fault; those are {KINDS}"),
        ("GetImage delay=5", "'5' is not a length of time such as 5s, 200ms, 1h30m or 90d"),
        ("GetImage 500 first", "expected OPTION=VALUE, got 'first'"),
        ("GetImage 500 first=", "expected OPTION=VALUE, got 'first='"),
        ("GetImage 500 first=1 first=2", "first is given twice"),
        ("GetImage 500 rate=2", "unknown option 'rate'; known here: first, nth, page, region, seed, share"),
        (
            "execution fail image=* when=now",
            "unknown option 'when'; known here: first, image, nth, reason, region, resource, seed, share",
        ),
        ("execution hang image=* first=1", "unknown option 'first'; known here: image"),
        ("execution stop image=*", "an execution can fail or hang, not 'stop'"),
        ("execution hang", "name what is to hang: image=…"),
        ("execution fail reason=no", "name what is to fail: resource=…, image=… or region=…"),
        ("GetImage throttle rate=fast", "rate must be a number from 0, got 'fast'"),
        (
            "sts:GetCallerIdentity error=ForbiddenException",
            "'ForbiddenException' is no error of sts; known are "
            "AccessDenied, ExpiredToken, ExpiredTokenException, InvalidClientTokenId, and any with status=NUMBER",
        ),
        ("ec2:DescribeImages error=UnauthorizedOperation status=200", "'200' is no HTTP status from 400 to 599"),
        ("ec2:DescribeImages plain-text=404", "'404' is no HTTP status from 500 to 599"),
        (
            "ec2:DescribeImages 503 status=500",
            "unknown option 'status'; known here: first, nth, page, region, seed, share",
        ),
        ("ec2:DescribeImages 503 page=2", "page must be last, got '2'; nth chooses another"),
        (
            "ec2:DescribeImages delay=1s page=last",
            "page=last is known after the work is done, and a delay comes before it",
        ),
    ],
)
def test_what_is_no_fault_is_refused(text: str, why: str) -> None:
    """The message quotes the text and says what is wrong with it."""
    with pytest.raises(ValueError, match=f"^{re.escape(f'fault {text!r}: {why}')}$"):
        parse(text)


def test_an_unknown_error_code_is_refused_with_those_of_the_model() -> None:
    """The codes are those of the service model."""
    with pytest.raises(ValueError, match="'Oops' is no error of imagebuilder; known are ") as raised:
        parse("GetImage error=Oops")
    assert "ResourceInUseException, " in str(raised.value)
