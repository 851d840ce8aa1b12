"""The schema of the package: what SDKs of all languages are generated from.

It is written by ``python -m tools.provider_schema``, out of the service's model and the docstrings of the Python
classes, and read here: a plugin starts without either.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from typing import Any

from .._version import __version__

FILE = "schema.json"


@functools.cache
def package_schema() -> dict[str, Any]:
    """Return the schema of this version."""
    text = importlib.resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    return {**json.loads(text), "version": __version__}
