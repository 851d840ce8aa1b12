"""What a person reads while something goes on, and when its time has run out."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi_imagebuilder.durations import clock, seconds
from pulumi_imagebuilder.lifecycle.progress import Progress


@pytest.mark.parametrize(
    ("elapsed", "told"), [(0.9, "0s"), (59, "59s"), (60, "1m00s"), (3599, "59m59s"), (3720, "1h02m"), (90000, "25h00m")]
)
def test_a_time_for_people(elapsed: float, told: str) -> None:
    """Seconds, then minutes, then hours."""
    assert clock(elapsed) == told


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 m", "1h 30m"])
def test_what_is_no_duration(text: str) -> None:
    """Is refused with an example of one."""
    with pytest.raises(ValueError, match="is not a duration such as 30m or 1h30m"):
        seconds(text)


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ({}, "changing image web: the time limit of 5m00s ran out before the service answered: "),
        (
            {"note": "retrying after 503"},
            "changing image web: the time limit of 5m00s ran out before the service answered (retrying after 503): ",
        ),
        (
            {"unsettled": "BUILDING"},
            "changing image web: the time limit of 5m00s ran out while the image was still BUILDING: run ",
        ),
        (
            {"in_the_way": "lce-2"},
            "changing image web: the time limit of 5m00s ran out while waiting for lifecycle execution lce-2, which "
            "has the image in use: run ",
        ),
        (
            {"execution_id": "lce-1", "status": "IN_PROGRESS"},
            "changing image web: the time limit of 5m00s ran out while lifecycle execution lce-1 was IN_PROGRESS: it ",
        ),
        (
            {"execution_id": "lce-1", "status": "FAILED"},
            "changing image web: the time limit of 5m00s ran out while it was read how lifecycle execution lce-1 "
            "ended, which was as FAILED: ",
        ),
    ],
)
def test_a_time_limit_tells_what_goes_on(seen: dict[str, Any], told: str) -> None:
    """And what to do: one sentence for each thing that can have been waited for."""
    progress = Progress("changing image web")
    for name, value in seen.items():
        setattr(progress, name, value)
    assert progress.out_of_time(300).startswith(told)


def test_a_row_while_something_is_in_the_way() -> None:
    """It names the execution, or the state that the image has to leave first."""
    progress = Progress("changing image web")
    progress.in_the_way = "lce-2"
    assert progress.text().startswith("waiting for lce-2 of the same image to end: ")
    progress.unsettled = "BUILDING"
    progress.retrying("retrying after 503")
    assert progress.text() == "waiting for the image to be built: BUILDING 0s (retrying after 503)"
