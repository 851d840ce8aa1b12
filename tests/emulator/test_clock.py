"""The emulator's time can be moved, forward only."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from imagebuilder_emulator.clock import Clock


def test_it_moves_forward() -> None:
    """Advancing and setting move the present; real time goes on from there."""
    clock = Clock()
    before = clock.now()
    assert clock.advance(timedelta(days=90)) - before >= timedelta(days=90)
    assert clock.set(datetime(2100, 1, 1, tzinfo=timezone.utc)).year == 2100


def test_it_never_moves_back() -> None:
    """Going back would undo what was done, so it is refused."""
    with pytest.raises(ValueError, match="time moves forward only"):
        Clock().advance(timedelta(seconds=-1))
    with pytest.raises(ValueError, match="needs a time with an offset, got 2100-01-01T00:00:00"):
        Clock().set(datetime(2100, 1, 1))
