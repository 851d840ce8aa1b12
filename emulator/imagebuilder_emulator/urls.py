"""Routing of requests to the operations of the service model, by method and path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from .shapes import operations

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

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


def identify(environ: WSGIEnvironment, body: bytes) -> tuple[str, str]:
    """A request's service and operation; the method and path stand for an operation that is unknown."""
    method, path, query = environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", "")
    signed = service_of(environ.get("HTTP_AUTHORIZATION", ""))
    action = dict(parse_qsl(body.decode(errors="replace")) or parse_qsl(query)).get("Action")
    # Unsigned are requests to STS with an identity of the web, and to S3 with the signature in the query.
    service = signed[0] if signed else "sts" if action else "s3"
    if service == SERVICE:
        operation, _ = route(method, path)
        return service, operation.name if operation else f"{method} {path}"
    if service == "s3":
        return service, method
    return service, environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2] or action or f"{method} {path}"
