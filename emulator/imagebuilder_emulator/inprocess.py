"""The services without HTTP: operations called in this process, for simulations in virtual time.

::

    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    environment = Environment(seed, execution_time="10s", variants={"consistency": "lag"}, clock=Clock(lambda: start))
    service = InProcessService(environment)
    answer = service.call("imagebuilder", "us-east-1", "get_image", {"imageBuildVersionArn": arn})
    environment.clock.advance(timedelta(seconds=10))  # the next call sees what is due by then

Image Builder's operations are checked by the service model and answered by the backend itself, thousands a second;
all other services are moto's, asked by a boto3 client whose requests never leave the process.
"""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.config
from botocore import xform_name
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.parsers import ResponseParserError

from .environment import Environment
from .exceptions import ImageBuilderError
from .faults import Fault
from .faults_middleware import ENDINGS, error_of
from .responses import ImageBuilderResponse, find_handler, shape_answer
from .server import Application
from .shapes import parse_parameters, service_model
from .urls import SERVICE
from .wsgi import call_wsgi


class InProcessError(ClientError):  # type: ignore[misc]
    """An error as boto3 raises it.

    Attributes:
        code: the service's error code.
        message: what is wrong.
        status: HTTP status.
    """

    def __init__(self, code: str, message: str, status: int, operation: str, metadata: Mapping[str, Any]) -> None:
        response = {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {**metadata, "HTTPStatusCode": status},
            "message": message,
        }
        super().__init__(response, operation)
        self.code, self.message, self.status = code, message, status


class InProcessService:
    """Calls operations by name, with boto3's parameters and answers.

    Faults disturb calls as they do over HTTP, and the request log notes every call.

    Args:
        environment: the services with their clock, variants and faults.
        sleep: spends the seconds of the faults ``delay`` and ``stall``; by default the emulator's clock is moved on.
    """

    def __init__(self, environment: Environment, sleep: Callable[[float], object] | None = None) -> None:
        self._environment = environment
        self._sleep = sleep or (lambda seconds: environment.clock.advance(timedelta(seconds=seconds)))
        self._application = Application(environment)
        self._clients: dict[tuple[str, str], Any] = {}
        self._operations = {xform_name(name): name for name in service_model().operation_names}

    def call(
        self, service: str, region: str, operation: str, parameters: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Call an operation.

        Args:
            service: boto3's name of the service, such as ``imagebuilder`` or ``ec2``.
            region: region of the client.
            operation: boto3's name of the method, such as ``get_image``; for Image Builder also ``GetImage``.
            parameters: the method's arguments.

        Returns:
            boto3's answer: timestamps are datetimes, and ``ResponseMetadata`` has the request id and the ``date``.

        Raises:
            InProcessError: the service refuses the request, or a fault does.
            ConnectionClosedError: a fault drops the connection.
            ResponseParserError: a fault answers plain text.
        """
        given = dict(parameters or {})
        if service == SERVICE:
            name = self._operations.get(operation, operation)
            return self._disturbed(service, region, name, given, lambda: self._image_builder(region, name, given))
        client = self._client(service, region)
        name = client.meta.method_to_api_mapping[operation]
        return self._disturbed(service, region, name, given, lambda: getattr(client, operation)(**given))

    def _disturbed(
        self,
        service: str,
        region: str,
        operation: str,
        parameters: Mapping[str, Any],
        perform: Callable[[], dict[str, Any]],
    ) -> dict[str, Any]:
        """Note a call, let faults disturb it, and note how it ended."""
        environment = self._environment
        # Other services' parameters may be secrets.
        noted = json.dumps(parameters, default=str).encode() if service == SERVICE else b""
        request = environment.requests.begin(
            environment.clock.now(), service, operation, "", noted, "in process", region
        )
        hits = environment.faults.match(service, operation, region)
        request.faults = tuple(fault.text for fault in hits)
        begun = time.monotonic()
        try:
            self._before(service, operation, hits)
            answer = perform()
            if not any(answer.get(name) for name in ("nextToken", "NextToken")):
                last = environment.faults.match(service, operation, region, last_page=True)
                request.faults += tuple(fault.text for fault in last)
                hits += last
                self._before(service, operation, last)
            request.status = answer["ResponseMetadata"]["HTTPStatusCode"]
            request.request_id = answer["ResponseMetadata"].get("RequestId")
        except ClientError as error:
            details, metadata = error.response["Error"], error.response["ResponseMetadata"]
            request.status, request.error = metadata["HTTPStatusCode"], details["Code"]
            request.request_id = metadata.get("RequestId")
            request.answered = not _drops_answer(hits)
            if not request.answered:
                raise _closed() from None
            if isinstance(error, InProcessError):
                raise
            raise InProcessError(
                details["Code"], details["Message"], metadata["HTTPStatusCode"], operation, metadata
            ) from None
        finally:
            request.seconds = round(time.monotonic() - begun, 6)
        if _drops_answer(hits):
            raise _closed()
        request.answered = True
        return answer

    def _before(self, service: str, operation: str, hits: list[Fault]) -> None:
        for fault in hits:
            if fault.kind == "delay":
                self._sleep(fault.seconds)
        ending = next((fault for fault in hits if fault.kind in ENDINGS), None)
        if ending is None:
            return
        if ending.kind == "plain-text":
            raise ResponseParserError(f"Unable to parse response: HTTP status {ending.status}, plain text")
        if ending.kind == "error":
            status, code, message = error_of(service, ending)
            raise InProcessError(code, message, status, operation, self._metadata(status))
        if ending.kind == "stall":
            self._sleep(ending.seconds)
        raise _closed()

    def _image_builder(self, region: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        model = service_model().operation_model(operation)
        for name, member in model.input_shape.members.items():
            if name not in parameters and member.metadata.get("idempotencyToken"):
                parameters[name] = str(uuid.uuid4())
        metadata = self._metadata(200)
        environment = self._environment
        try:
            with environment.lock:
                environment.backend.advance()
                handler = find_handler(model)
                response = ImageBuilderResponse(environment.backend, region)
                answer = handler(response, parse_parameters(model, parameters))
                shaped: dict[str, Any] = shape_answer(model.output_shape, answer)
        except ImageBuilderError as error:
            raise InProcessError(
                error.code, error.message, error.status, operation, self._metadata(error.status)
            ) from None
        if "requestId" in model.output_shape.members:
            shaped["requestId"] = metadata["RequestId"]
        return {**shaped, "ResponseMetadata": metadata}

    def _metadata(self, status: int) -> dict[str, Any]:
        date = self._environment.clock.now().strftime("%a, %d %b %Y %H:%M:%S GMT")
        identity = str(uuid.uuid4())
        headers = {"date": date, "x-amzn-requestid": identity}
        return {"RequestId": identity, "HTTPStatusCode": status, "HTTPHeaders": headers, "RetryAttempts": 0}

    def _client(self, service: str, region: str) -> Any:
        if (service, region) not in self._clients:
            client = boto3.client(
                service,
                region_name=region,
                aws_access_key_id="emulator",
                aws_secret_access_key="emulator",  # noqa: S106 - any secret will do
                # Retries are the caller's: a simulation counts every attempt.
                config=botocore.config.Config(retries={"total_max_attempts": 1}),
            )
            # botocore takes what a handler of this event returns for the answer, and sends nothing.
            client.meta.events.register("before-send", self._send)
            self._clients[service, region] = client
        return self._clients[service, region]

    def _send(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        url, body = urlsplit(request.url), request.body or b""
        body = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else body.read()
        environ = {
            "REQUEST_METHOD": request.method,
            "PATH_INFO": url.path or "/",
            "QUERY_STRING": url.query,
            "SERVER_NAME": url.hostname,
            "SERVER_PORT": str(url.port or 443),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": url.scheme,
            "wsgi.input": io.BytesIO(body),
            "CONTENT_LENGTH": str(len(body)),
        }
        for name, value in request.headers.items():
            text = value.decode() if isinstance(value, bytes) else str(value)
            key = name.upper().replace("-", "_")
            environ[key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"] = text
        answer = call_wsgi(self._application, environ)
        headers = {name: value for name, value in answer.headers if name.lower() != "date"}
        headers["Date"] = self._metadata(200)["HTTPHeaders"]["date"]
        return AWSResponse(request.url, int(answer.status.split()[0]), _Headers(headers), _Raw(answer.body))


class _Headers(dict[str, str]):
    """Headers with names in any case."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in headers.items()})

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())


class _Raw(io.BytesIO):
    """A body as urllib3 gives it to botocore."""

    def stream(self, *_: Any, **__: Any) -> Any:
        yield self.read()


def _drops_answer(hits: list[Fault]) -> bool:
    return any(fault.kind == "drop-answer" for fault in hits)


def _closed() -> ConnectionClosedError:
    return ConnectionClosedError(endpoint_url="in process")
