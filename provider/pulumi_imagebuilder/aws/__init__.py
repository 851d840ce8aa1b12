"""Call AWS: keys and guards (configuration), clients (sessions), retries and errors (service), rate limit (pacing).

botocore's clients are loaded by :func:`connect`, so that a run without calls does not wait for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .service import Service


def connect(get: Callable[[str], str | None], prefix: str = "aws") -> Service:
    """Return the service that a configuration describes; arguments and errors are those of `Configuration.parse`."""
    from .configuration import Configuration
    from .service import Service

    return Service(Configuration.parse(get, prefix))
