"""Many clients at once lose nothing and break no rule; `make load` is the same for a minute."""

from __future__ import annotations

from many_clients import alone


def test_fifty_clients() -> None:
    """For a few seconds here: tokens that two use at once, images that all want, cancellations in between."""
    figures = alone(seconds=8)
    assert figures.executions > 100
    assert figures.cancelled > 10
    assert figures.in_use > 10
