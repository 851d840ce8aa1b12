"""The request log keeps the last requests, counts all of them, and loses none to concurrency."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from imagebuilder_emulator.requestlog import KEPT, Request, RequestLog

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def note(log: RequestLog, operation: str, service: str = "imagebuilder", body: bytes = b"") -> Request:
    return log.begin(NOON, service, operation, "", body, "127.0.0.1:50000")


def test_requests_are_read_in_the_order_they_came() -> None:
    """All, those of one operation, or those after a number."""
    log = RequestLog()
    for service, operation in [("imagebuilder", "GetImage"), ("ec2", "GetImage"), ("imagebuilder", "ListImages")]:
        note(log, operation, service)
    assert [each.number for each in log.all()] == [1, 2, 3]
    assert [each.number for each in log.all("GetImage")] == [1]
    assert [each.number for each in log.all("ec2:GetImage")] == [2]
    assert [each.number for each in log.all(after=2)] == [3]
    assert log.all("GetImage", after=1) == []


def test_the_log_is_bounded_and_the_counts_are_not() -> None:
    """Only the last are kept, a hundred thousand unless told; all are counted until the log is cleared."""
    log = RequestLog(kept=3)
    for _ in range(5):
        note(log, "GetImage")
    note(log, "DescribeImages", "ec2")
    assert [each.number for each in log.all()] == [4, 5, 6]
    assert log.counts() == {"ec2:DescribeImages": 1, "imagebuilder:GetImage": 5}
    log.clear()
    assert (log.all(), log.counts()) == ([], {})
    assert note(log, "GetImage").number == 7
    assert KEPT == 100_000


def test_a_request_under_way_shows_what_is_known() -> None:
    """What the service will answer is null until it has."""
    assert note(RequestLog(), "GetImage").as_json() == {
        "number": 1,
        "time": "2026-01-31T12:00:00.000+00:00",
        "service": "imagebuilder",
        "operation": "GetImage",
        "region": "",
        "parameters": {},
        "client": "127.0.0.1:50000",
        "status": None,
        "error": None,
        "request_id": None,
        "seconds": None,
        "answered": False,
        "faults": [],
    }


def test_a_body_that_is_no_object_is_shown_as_text() -> None:
    """Whatever a client sent can be read."""
    log = RequestLog()
    bodies = (b"{", b"[1]", b"\xff", b'{"a": 1}')
    shown = [note(log, "StartResourceStateUpdate", body=body).parameters for body in bodies]
    assert shown == [{"body": "{"}, {"body": "[1]"}, {"body": "\ufffd"}, {"a": 1}]


def test_no_request_is_lost_or_numbered_twice() -> None:
    """From however many threads they come."""
    log = RequestLog()
    with ThreadPoolExecutor(20) as pool:
        numbers = list(pool.map(lambda _: note(log, "GetImage").number, range(2000)))
    assert sorted(numbers) == list(range(1, 2001))
    assert log.counts() == {"imagebuilder:GetImage": 2000}
