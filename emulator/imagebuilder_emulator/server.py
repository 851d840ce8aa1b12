"""One port for Image Builder, EC2 and moto's other services, chosen by the service in the signature."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from botocore.model import OperationNotFoundError

from .ec2_responses import Ec2Response
from .environment import Environment
from .moto_backends import Request, create_application, date_new_roles
from .responses import ImageBuilderResponse
from .urls import SERVICE, identify, route, service_of
from .wire_errors import unknown_operation

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_HOSTS = {"127.0.0.1", "localhost", "[::1]"}


class LocalOnlyRouter:
    """Routes requests to AWS or to the control side, and refuses those that do not come from this machine.

    Args:
        services: AWS.
        control: the control side.
    """

    def __init__(self, services: WSGIApplication, control: WSGIApplication) -> None:
        self._services, self._control = services, control

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Route a request, or refuse it with 403."""
        # A page of another site that has its name point here (DNS rebinding), or that sends requests, gets nothing.
        origin = environ.get("HTTP_ORIGIN")
        if not _is_local(environ.get("HTTP_HOST", "")) or (origin and not _is_local(origin.partition("://")[2])):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"This server answers on 127.0.0.1 and localhost only\n"]
        path = environ["PATH_INFO"]
        browser = "text/html" in environ.get("HTTP_ACCEPT", "") and "HTTP_AUTHORIZATION" not in environ
        if path == "/" and browser:
            start_response("302 Found", [("Location", "/console"), ("Content-Length", "0")])
            return []
        # A signed request may mean an S3 bucket of that name.
        ours = path == "/console" and "HTTP_AUTHORIZATION" not in environ
        app = self._control if ours or path.startswith("/_emulator/") else self._services
        return app(environ, start_response)


class Application:
    """The services as a WSGI application.

    Args:
        environment: the services' state.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._moto = create_application()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Carry out what is due by now, then answer a request of any service."""
        with self._environment.lock:
            self._environment.backend.advance()
            signed = service_of(environ.get("HTTP_AUTHORIZATION", ""))
            if signed and signed[0] == SERVICE:
                return self._image_builder(environ, start_response, signed[1])
            try:
                if signed and signed[0] == "ec2":
                    return self._ec2(environ, start_response)
                answer: Iterable[bytes] = self._moto(environ, start_response)
                chunks = list(answer)
                if signed and signed[0] == "iam":
                    date_new_roles(self._environment.backend.clock.now())
                return chunks
            except (NotImplementedError, OperationNotFoundError):
                if not signed:
                    raise
                environ["wsgi.input"].seek(0)
                unknown = unknown_operation(signed[0], identify(environ, environ["wsgi.input"].read())[1])
                start_response(unknown.status, unknown.headers)
                return [unknown.body]

    def _ec2(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        status, headers, answer = Ec2Response(self._environment.backend).respond(Request(environ))
        headers["Content-Length"] = str(len(answer))
        start_response(f"{status} {'OK' if status == 200 else 'Error'}", list(headers.items()))
        return [answer]

    def _image_builder(self, environ: WSGIEnvironment, start_response: StartResponse, region: str) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        operation, in_path = route(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        status, headers, answer = ImageBuilderResponse(self._environment.backend, region).dispatch(
            operation, environ.get("QUERY_STRING", ""), body, in_path
        )
        headers["Content-Length"] = str(len(answer))
        start_response(f"{status} {'OK' if status == 200 else 'Error'}", list(headers.items()))
        return [answer]


def _is_local(host: str) -> bool:
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    # S3 puts the bucket before the host's name.
    return name in _HOSTS or name.endswith(".localhost")
