"""A pytest fixture: ``pytest_plugins = ["imagebuilder_emulator.pytest_plugin"]`` in a ``conftest.py``.

::

    @pytest.mark.imagebuilder_emulator(seed="seed.yaml", execution_time="200ms", variants={"pages": "short"})
    def test_retirement(imagebuilder_emulator):
        imagebuilder = imagebuilder_emulator.client("imagebuilder")
        ...
        imagebuilder_emulator.clock.advance(timedelta(days=90))
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .emulator import Emulator


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "imagebuilder_emulator(seed=None, *, execution_time='5s', faults=(), variants=None, state=None, port=0): "
        "how the fixture of this name begins",
    )


@pytest.fixture
def imagebuilder_emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """A local EC2 Image Builder for one test; the marker of the same name takes the arguments of `Emulator`."""
    from .emulator import Emulator  # moto is slow to import: only tests that use it pay.

    marker = request.node.get_closest_marker("imagebuilder_emulator")
    with Emulator(*(marker.args if marker else ()), **(marker.kwargs if marker else {})) as emulator:
        yield emulator
