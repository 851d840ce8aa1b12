"""Routing of requests to the operations of the service model, by method and path."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from .shapes import operations

SERVICE = "imagebuilder"


def route(method: str, path: str) -> tuple[Any, dict[str, str]]:
    """Return the operation of a request, and the parameters in its path; None where the model has no such operation."""
    exact = operations().get((method, path))
    if exact is not None:
        return exact, {}
    for (verb, template), operation in operations().items():
        stem, brace, rest = template.partition("{")
        if brace and verb == method and path.startswith(stem) and len(path) > len(stem):
            return operation, {rest.rstrip("}"): unquote(path[len(stem) :])}
    return None, {}


def service_of(authorization: str) -> tuple[str, str] | None:
    """Return the service and the region of a signature's credential scope; None for an unsigned request."""
    _, found, rest = authorization.partition("Credential=")
    scope = rest.split(",")[0].strip().split("/")
    return (scope[3], scope[2]) if found and len(scope) == 5 else None
