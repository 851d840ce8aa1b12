"""Calls to services: guards, retries, rate limit, and errors that say what to do."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import botocore.config
import botocore.exceptions
import botocore.loaders
import botocore.retries.bucket
import botocore.session
import pytest
from pulumi_imagebuilder.aws import sessions
from pulumi_imagebuilder.aws.answers import answered_at
from pulumi_imagebuilder.aws.configuration import Configuration
from pulumi_imagebuilder.aws.service import Service, is_transient
from pulumi_imagebuilder.aws.sessions import MAX_CONCURRENT_CALLS, Sessions
from pulumi_imagebuilder.errors import (
    ConfigurationError,
    CredentialsError,
    ImageBuilderError,
    PermanentError,
    ResourceNotFound,
    ServiceError,
)
from pulumi_imagebuilder.validation import schema

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
IMAGE = {"image": {"arn": ARN, "state": {"status": "AVAILABLE"}}}
ROLE = "arn:aws:iam::123456789012:role/deploy"
HTML = b"<html><body>Bad gateway</body></html>"


class Answers:
    """An HTTP server that gives canned answers in their order, the last one for ever.

    Attributes:
        url: where it listens.
        asked: of each request its path, or the operation where the body names it.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._answers: list[tuple[int, bytes, str]] = [(200, json.dumps(IMAGE).encode(), "application/json")]
        self._lock = threading.Lock()
        answers = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                operation = re.search(r"Action=(\w+)", body)
                status, answer, kind = answers._next(operation[1] if operation else self.path)
                if status == 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.send_header("x-amzn-RequestId", "request-1")
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_PUT = do_POST  # noqa: N815 - the names are http.server's

            def log_message(self, *_: Any) -> None:
                """Keep the output of tests free of requests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def _next(self, asked: str) -> tuple[int, bytes, str]:
        with self._lock:
            self.asked.append(asked)
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def set(self, *answers: tuple[int, bytes | dict[str, Any]]) -> None:
        """Give these answers: a status, and JSON or a text; status 0 closes the connection instead."""
        self._answers = [
            (status, json.dumps(body).encode(), "application/json")
            if isinstance(body, dict)
            else (status, body, "text/html" if body.startswith(b"<html") else "text/xml")
            for status, body in answers
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def answers() -> Iterator[Answers]:
    server = Answers()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def turns(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The rates at which botocore's token bucket was asked for a turn; it never waits."""
    rates: list[float] = []
    monkeypatch.setattr(
        botocore.retries.bucket.TokenBucket, "acquire", lambda self, *args, **kwargs: rates.append(self.max_rate)
    )
    return rates


class Impatient(Sessions):
    """Gives up on an answer after a moment, so that no test waits for twenty seconds."""

    def client(self, session: Any, service: str, region: str, **options: Any) -> Any:
        return super().client(session, service, region, config=botocore.config.Config(read_timeout=0.3), **options)


def service_at(url: str, sleeps: list[float] | None = None, **settings: Any) -> Service:
    """Return a service that calls everything at a URL, and does not sleep."""
    endpoints = dict.fromkeys(("imagebuilder", "ec2", "ssm", "autoscaling", "sts"), url)
    keys = {"access_key": "AKIAOFTHESTACK", "secret_key": "the-secret-of-the-stack", **settings}

    async def sleep(seconds: float) -> None:
        if sleeps is not None:
            sleeps.append(seconds)

    return Service(Configuration(endpoints=endpoints, **keys), sleep=sleep)


def call(service: Service, name: str = "imagebuilder", operation: str = "get_image", **options: Any) -> dict[str, Any]:
    parameters = {"imageBuildVersionArn": ARN} if operation == "get_image" else {}
    return asyncio.run(asyncio.wait_for(service.call(name, "us-east-1", operation, **parameters, **options), 30))


def failure_of(service: Service, *arguments: str, **options: Any) -> ImageBuilderError:
    with pytest.raises(ImageBuilderError) as failure:
        call(service, *arguments, **options)
    return failure.value


def error(code: str) -> dict[str, Any]:
    return {"__type": code, "message": f"Message of {code}."}


def xml_error(code: str) -> bytes:
    """An error as STS and EC2 answer it."""
    of_ec2 = f"<Response><Errors><Error><Code>{code}</Code><Message>No.</Message></Error></Errors></Response>"
    of_sts = f"<ErrorResponse><Error><Code>{code}</Code><Message>No.</Message></Error></ErrorResponse>"
    return (of_ec2 if code[0] in "AUR" and code not in {"AccessDenied"} else of_sts).encode()


IDENTITY = (
    b"<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account><Arn>a</Arn><UserId>u</UserId>"
    b"</GetCallerIdentityResult></GetCallerIdentityResponse>"
)


AUTO_SCALING = (
    b"<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups/>"
    b"</DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>"
)


# Retries


@pytest.mark.parametrize(
    "passing",
    [
        (429, error("CallRateLimitExceededException")),
        (500, error("ServiceException")),
        (503, error("ServiceUnavailableException")),
        (502, HTML),
        (503, b"Service Unavailable"),
        (504, b""),
        (400, error("ThrottlingException")),
        (400, error("RequestTimeoutException")),
        (0, b""),
        (200, HTML),
        (200, b"not JSON"),
        (200, b'{"image": {"arn": "cut o'),
        (200, b"[]"),
        (200, b"null"),
        (200, {}),
        (200, {"requestId": "1"}),
        (200, {"image": "text"}),
    ],
    ids=str,
)
def test_transient_errors_are_retried(answers: Answers, passing: tuple[int, Any]) -> None:
    """Until the answer comes, and each is reported in one line."""
    answers.set(passing, passing, (200, IMAGE))
    sleeps: list[float] = []
    retries: list[str] = []
    answer = call(service_at(answers.url, sleeps), on_retry=retries.append)
    assert answer["image"]["arn"] == ARN
    assert len(answers.asked) == 3
    assert len(sleeps) == len(retries) == 2
    assert all(retry.startswith("retrying after ") and "\n" not in retry for retry in retries)


@pytest.mark.parametrize(
    ("name", "operation", "passing", "answer"),
    [
        ("ec2", "describe_images", (503, xml_error("RequestLimitExceeded")), b"<R><imagesSet/></R>"),
        ("ec2", "describe_images", (503, b"Service Unavailable"), b"<R><imagesSet/></R>"),
        ("ec2", "describe_images", (200, HTML), b"<R><imagesSet/></R>"),
        ("autoscaling", "describe_auto_scaling_groups", (200, b"<R/>"), AUTO_SCALING),
        ("ec2", "describe_images", (200, b"<!DOCTYPE html><html></html>"), b"<R><imagesSet/></R>"),
        ("ec2", "describe_images", (200, b"<R><imagesSet>"), b"<R><imagesSet/></R>"),
        ("ssm", "describe_parameters", (400, error("ThrottlingException")), {"Parameters": []}),
        ("autoscaling", "describe_auto_scaling_groups", (400, xml_error("Throttling")), AUTO_SCALING),
    ],
    ids=str,
)
def test_transient_errors_of_other_services_are_retried(
    answers: Answers, name: str, operation: str, passing: tuple[int, Any], answer: Any
) -> None:
    """Each throttles in its own words, and load balancers before it answer in theirs."""
    answers.set(passing, (200, answer))
    call(service_at(answers.url), name, operation)
    assert len(answers.asked) == 2


@pytest.mark.parametrize("page", [HTML, b"not JSON", b'{"lifecycleExecutions": [{"lifecycleExec', b"[]", b""])
def test_a_page_that_cannot_be_read_is_no_empty_list(answers: Answers, page: bytes) -> None:
    """Botocore reads it as one; to believe that would start a second execution."""
    answers.set((200, page), (200, {"lifecycleExecutions": [{"lifecycleExecutionId": "one"}]}))
    answer = call(service_at(answers.url), operation="list_lifecycle_executions", resourceArn=ARN)
    assert [execution["lifecycleExecutionId"] for execution in answer["lifecycleExecutions"]] == ["one"]


@pytest.mark.parametrize(
    ("operation", "empty"),
    [("list_lifecycle_executions", {"lifecycleExecutions": []}), ("list_lifecycle_executions", {})],
)
def test_an_empty_list_is_an_answer(answers: Answers, operation: str, empty: dict[str, Any]) -> None:
    """Whether the service sends an empty list or leaves it out."""
    answers.set((200, empty))
    parameters = {"resourceArn": ARN}
    asyncio.run(service_at(answers.url).call("imagebuilder", "us-east-1", operation, **parameters))
    assert len(answers.asked) == 1


def test_retries_wait_longer_and_longer_with_jitter(answers: Answers) -> None:
    """At most 0.5 s at first, at most 20 s ever, and not each time the same."""
    answers.set(*[(500, error("ServiceException"))] * 40, (200, IMAGE))
    sleeps: list[float] = []
    call(service_at(answers.url, sleeps))
    assert len(sleeps) == 40
    assert sleeps[0] <= 0.5
    assert max(sleeps) <= 20
    assert max(sleeps[10:]) > 1
    assert len(set(sleeps)) > 30


@pytest.mark.parametrize(
    ("status", "code", "passes"),
    [
        (429, "CallRateLimitExceededException", True),
        (429, "Unknown", True),
        (500, "ServiceException", True),
        (501, "NotImplemented", False),
        (503, "ServiceUnavailableException", True),
        (400, "RequestLimitExceeded", True),
        (400, "Throttling", True),
        (400, "ThrottlingException", True),
        (400, "ThrottledException", True),
        (400, "TooManyRequestsException", True),
        (400, "IDPCommunicationError", True),
        (400, "InvalidRequestException", False),
        (400, "ResourceInUseException", False),
        (403, "ForbiddenException", False),
        (404, "ResourceNotFoundException", False),
        (302, "302", False),
    ],
)
def test_status_and_code_say_what_is_transient(status: int, code: str, passes: bool) -> None:
    """429, 5xx but 501, and throttling under any status; other client errors are not."""
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert is_transient(botocore.exceptions.ClientError(answer, "GetImage")) is passes


@pytest.mark.parametrize(
    ("failure", "passes"),
    [
        (botocore.exceptions.EndpointConnectionError(endpoint_url="u", error="e"), True),
        (botocore.exceptions.ConnectionClosedError(endpoint_url="u"), True),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="u"), True),
        (botocore.exceptions.ConnectTimeoutError(endpoint_url="u"), True),
        (botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), True),
        (botocore.exceptions.SSLError(endpoint_url="u", error="self-signed certificate"), False),
        (botocore.exceptions.ProxyConnectionError(proxy_url="u", error="refused"), False),
        (botocore.exceptions.ParamValidationError(report="r"), False),
        (botocore.exceptions.NoCredentialsError(), False),
        (ValueError("a bug"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_without_an_answer_that_are_transient(failure: Exception, passes: bool) -> None:
    """Certificates and proxies do not come right by themselves, connections do."""
    assert is_transient(failure) is passes


def test_a_stalled_connection_is_given_up_and_retried(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same parameters: what was asked on the stalled one may or may not have been done."""
    stalled, answer = threading.Event(), answers._next

    def stall_first(asked: str) -> tuple[int, bytes, str]:
        status, body, kind = answer(asked)
        if len(answers.asked) == 1:
            stalled.wait(30)
            return 0, b"", ""
        return status, body, kind

    monkeypatch.setattr(answers, "_next", stall_first)
    retries: list[str] = []
    service = service_at(answers.url)
    monkeypatch.setattr(service, "_sessions", Impatient(service.configuration))
    try:
        call(service, on_retry=retries.append)
    finally:
        stalled.set()
    assert len(retries) == 1
    assert "Read timeout on endpoint URL" in retries[0]


def test_a_name_that_does_not_resolve_for_a_while(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retried until it does."""
    resolve, failures = socket.getaddrinfo, iter(range(3))

    def fail_at_first(host: str, *arguments: Any, **options: Any) -> Any:
        if host == "imagebuilder.test":
            if next(failures, None) is not None:
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            host = "127.0.0.1"
        return resolve(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", fail_at_first)
    retries: list[str] = []
    call(service_at(answers.url.replace("127.0.0.1", "imagebuilder.test")), on_retry=retries.append)
    assert len(retries) == 3
    assert "Could not connect to the endpoint URL" in retries[0]


# Rate limit


def test_a_refusal_by_the_rate_limit_slows_calls_down(answers: Answers, turns: list[float]) -> None:
    """Image Builder's own code, which its model does not mark as throttling, turns botocore's rate limit on."""
    service = service_at(answers.url)
    call(service)
    call(service)
    assert turns == []
    answers.set((429, error("CallRateLimitExceededException")), (200, IMAGE))
    call(service)
    call(service)
    assert len(turns) == 2


def test_other_errors_do_not_slow_calls_down(answers: Answers, turns: list[float]) -> None:
    """A server error says nothing about the rate."""
    answers.set((500, error("ServiceException")), (200, IMAGE))
    call(service_at(answers.url))
    assert turns == []


def test_the_rate_limit_depends_on_the_marked_model(
    answers: Answers, turns: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the package's addition to the model, the same refusal slows nothing down; its shape must be there."""
    shapes = botocore.session.Session().get_service_model("imagebuilder").shape_names
    extras = json.loads(next(schema._DATA.rglob("*.sdk-extras.json")).read_text(encoding="utf-8"))
    assert set(extras["merge"]["shapes"]) <= set(shapes)
    monkeypatch.setattr(sessions, "loader", botocore.loaders.create_loader)
    answers.set((429, error("CallRateLimitExceededException")), (200, IMAGE))
    call(service_at(answers.url))
    assert turns == []


def test_the_marked_model_is_that_of_the_newest_version_of_the_service() -> None:
    """Additions are looked for additions in the folder of the version that it calls."""
    session = botocore.session.Session()
    version = session.get_component("data_loader").determine_latest_version("imagebuilder", "service-2")
    assert (schema._DATA / "imagebuilder" / version / "service-2.sdk-extras.json").is_file()


def test_the_rate_limit_of_one_client_does_not_hold_up_another(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty calls wait for their turn in one region; a call to another region, and one to EC2, go out."""
    free = threading.Event()
    service = service_at(answers.url)
    answers.set((429, error("CallRateLimitExceededException")), (200, IMAGE))
    monkeypatch.setattr(botocore.retries.bucket.TokenBucket, "acquire", lambda self, *args, **kwargs: free.wait(30))

    async def run() -> None:
        async def get_image(region: str) -> Any:
            return await service.call("imagebuilder", region, "get_image", imageBuildVersionArn=ARN)

        slow = [asyncio.create_task(get_image("us-east-1")) for _ in range(40)]
        async with asyncio.timeout(30):
            while len(answers.asked) < 1:
                await asyncio.sleep(0)
            await get_image("eu-west-1")
            free.set()
            await asyncio.gather(*slow)

    asyncio.run(run())


def test_clients_are_shared(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each service and region: its connections, and its rate limit, are those of all calls."""
    service, made = service_at(answers.url), []
    make = Sessions.client

    def client(self: Sessions, session: Any, name: str, region: str, **options: Any) -> Any:
        made.append((name, region))
        return make(self, session, name, region, **options)

    monkeypatch.setattr(Sessions, "client", client)

    async def run() -> None:
        regions = ["us-east-1", "eu-west-1"] * 10
        await asyncio.gather(
            *(service.call("imagebuilder", region, "get_image", imageBuildVersionArn=ARN) for region in regions)
        )

    asyncio.run(run())
    assert sorted(made) == [("imagebuilder", "eu-west-1"), ("imagebuilder", "us-east-1")]


# Pages


@pytest.mark.parametrize(
    ("name", "operation", "parameters", "member", "token"),
    [
        ("imagebuilder", "list_lifecycle_executions", {"resourceArn": ARN}, "lifecycleExecutions", "nextToken"),
        ("ssm", "describe_parameters", {}, "Parameters", "NextToken"),
    ],
)
def test_pages_follow_the_token_to_the_last(
    answers: Answers, name: str, operation: str, parameters: dict[str, str], member: str, token: str
) -> None:
    """Under either spelling, through pages that are empty."""
    answers.set((200, {member: [{}], token: "2"}), (200, {member: [], token: "3"}), (200, {member: [{}, {}]}))

    async def run() -> list[int]:
        pages = service_at(answers.url).pages(name, "us-east-1", operation, **parameters)
        return [len(page[member]) async for page in pages]

    assert asyncio.run(run()) == [1, 0, 2]
    assert len(answers.asked) == 3


def test_pages_that_would_never_end(answers: Answers) -> None:
    """The same token twice is an error, as in boto3's paginators."""
    answers.set((200, {"lifecycleExecutions": [], "nextToken": "2"}))

    async def run() -> None:
        async for _ in service_at(answers.url).pages(
            "imagebuilder", "us-east-1", "list_lifecycle_executions", resourceArn=ARN
        ):
            pass

    with pytest.raises(PermanentError, match="list_lifecycle_executions answered the same page token twice"):
        asyncio.run(run())


# Guards


@pytest.mark.parametrize("guard", [{"forbidden_accounts": ("123456789012",)}, {"allowed_accounts": ("1",)}])
@pytest.mark.parametrize("kind", ["call", "pages"])
def test_an_account_is_refused_before_any_call(answers: Answers, guard: dict[str, Any], kind: str) -> None:
    """Not even STS is called where the account is known."""
    service = service_at(answers.url, **guard)

    async def pages() -> None:
        async for _ in service.pages(
            "imagebuilder", "us-east-1", "list_lifecycle_executions", account="123456789012", resourceArn=ARN
        ):
            pass

    run = (
        pages
        if kind == "pages"
        else functools.partial(
            service.call, "imagebuilder", "us-east-1", "get_image", account="123456789012", imageBuildVersionArn=ARN
        )
    )
    with pytest.raises(ConfigurationError, match=r"^account 123456789012 is "):
        asyncio.run(run())
    assert answers.asked == []


def test_the_callers_account_is_refused_before_any_other_call(answers: Answers) -> None:
    """Where no account is known beforehand, that of the credentials counts."""
    answers.set((200, IDENTITY))
    failure = failure_of(service_at(answers.url, forbidden_accounts=("123456789012",)))
    assert str(failure) == "account 123456789012 is one of aws:forbiddenAccountIds"
    assert answers.asked == ["GetCallerIdentity"]


def test_the_callers_account_is_asked_for_once(answers: Answers) -> None:
    """By many calls at the same time, and by later ones; in another partition, once again."""
    service = service_at(answers.url, allowed_accounts=("123456789012",))
    respond = answers._next

    def next_answer(asked: str) -> tuple[int, bytes, str]:
        answer = respond(asked)
        return (200, IDENTITY, "text/xml") if asked == "GetCallerIdentity" else answer

    answers._next = next_answer  # type: ignore[method-assign]

    async def run(region: str) -> None:
        await asyncio.gather(
            *(service.call("imagebuilder", region, "get_image", imageBuildVersionArn=ARN) for _ in range(10))
        )

    for region in ("us-east-1", "eu-west-1", "cn-north-1"):
        asyncio.run(run(region))
    assert answers.asked.count("GetCallerIdentity") == 2
    assert len(answers.asked) == 32


def test_the_callers_account_is_asked_for_only_where_there_are_guards(answers: Answers) -> None:
    """Nothing else needs it."""
    call(service_at(answers.url))
    assert "GetCallerIdentity" not in answers.asked


def test_the_question_for_the_callers_account_is_retried(answers: Answers) -> None:
    """It is a call as any other: what is transient passes, and the message names it."""
    answers.set((503, b"Service Unavailable"), (500, xml_error("InternalFailure")), (200, IDENTITY), (200, IMAGE))
    retries: list[str] = []
    call(service_at(answers.url, allowed_accounts=("123456789012",)), on_retry=retries.append)
    assert retries == [
        "retrying after an answer that cannot be parsed",
        "retrying after GetCallerIdentity: InternalFailure: No.",
    ]


# Errors


def test_what_a_service_does_not_implement_is_asked_once(answers: Answers) -> None:
    """EC2's front answers in plain text, which botocore takes for a lost answer; asking again does not help."""
    answers.set((501, b"Not Implemented"))
    failure = failure_of(service_at(answers.url))
    assert str(failure) == "501: Not Implemented"
    assert len(answers.asked) == 1


def test_an_error_has_code_message_and_request(answers: Answers) -> None:
    """And no action: what was attempted is for the caller to say."""
    answers.set((400, error("InvalidRequestException")))
    failure = failure_of(service_at(answers.url))
    assert type(failure) is ServiceError
    assert failure.code == "InvalidRequestException"
    assert failure.action is None
    assert str(failure) == "InvalidRequestException: Message of InvalidRequestException. (request id request-1)"


def test_an_answer_that_says_nothing_is_an_error_without_code_and_message() -> None:
    """Of a proxy, perhaps; nothing is made up."""
    described = Service()._describe(botocore.exceptions.ClientError({}, "GetImage"))
    assert described == "Unknown: no message"


def test_what_does_not_exist_has_a_type_of_its_own(answers: Answers) -> None:
    """Only the code that is known to say so."""
    answers.set((404, error("ResourceNotFoundException")))
    assert type(failure_of(service_at(answers.url))) is ResourceNotFound
    answers.set((404, error("SomethingElse")))
    assert type(failure_of(service_at(answers.url))) is ServiceError


@pytest.mark.parametrize(
    ("name", "operation", "answer", "next_step"),
    [
        (
            "imagebuilder",
            "get_image",
            (403, error("AccessDeniedException")),
            "check the caller's policy, which needs imagebuilder:GetImage",
        ),
        (
            "imagebuilder",
            "get_image",
            (403, error("ForbiddenException")),
            "check the caller's policy, which needs imagebuilder:GetImage",
        ),
        (
            "imagebuilder",
            "start_resource_state_update",
            (403, error("AccessDeniedException")),
            "check the caller's policy, which needs imagebuilder:StartResourceStateUpdate and iam:PassRole on the "
            "execution role",
        ),
        (
            "ec2",
            "describe_images",
            (403, xml_error("UnauthorizedOperation")),
            "check the caller's policy, which needs ec2:DescribeImages",
        ),
        (
            "imagebuilder",
            "get_image",
            (400, error("IdempotentParameterMismatchException")),
            "this client_token was used before with other parameters: choose another, or leave it out",
        ),
        ("imagebuilder", "get_image", (400, error("InvalidRequestException")), None),
    ],
)
def test_an_error_says_what_to_do(
    answers: Answers, name: str, operation: str, answer: tuple[int, Any], next_step: str | None
) -> None:
    """A denied call names the right that is missing, and iam:PassRole only where a role is passed."""
    answers.set(answer)
    options: dict[str, Any] = (
        {"resourceArn": ARN, "state": {"status": "DISABLED"}, "clientToken": "t"}
        if operation == "start_resource_state_update"
        else {}
    )
    failure = failure_of(service_at(answers.url), name, operation, **options)
    assert type(failure) is ServiceError
    assert failure.next_step == next_step


@pytest.mark.parametrize(
    ("name", "operation", "code", "answer"),
    [
        *(
            ("imagebuilder", "get_image", code, (403, error(code)))
            for code in ("ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException")
        ),
        ("ssm", "describe_parameters", "MissingAuthenticationTokenException", None),
        *(("sts", "get_caller_identity", code, None) for code in ("ExpiredToken", "InvalidClientTokenId")),
        *(("ec2", "describe_images", code, None) for code in ("RequestExpired", "AuthFailure")),
    ],
)
def test_invalid_and_expired_credentials(
    answers: Answers, name: str, operation: str, code: str, answer: tuple[int, Any] | None
) -> None:
    """Each service has its own codes; all point at the credentials, and running again continues."""
    answers.set(answer or (403, error(code) if name == "ssm" else xml_error(code)))
    failure = failure_of(service_at(answers.url), name, operation)
    assert type(failure) is CredentialsError
    assert failure.code == code
    assert failure.next_step is not None
    assert failure.next_step.startswith("check the AWS credentials that the stack uses, and run again with valid ones")
    of_regions = {"AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException"}
    assert ("a region that is not enabled" in failure.next_step) == (code in of_regions)
    assert len(answers.asked) == 1


@pytest.mark.parametrize("code", ["AccessDenied", "ExpiredToken", "InvalidClientTokenId", "ValidationError"])
@pytest.mark.parametrize(
    "settings",
    [
        {"assume_roles": ({"roleArn": ROLE},)},
        {"web_identity": {"roleArn": ROLE, "webIdentityToken": "an-identity"}},
    ],
    ids=["role", "web-identity"],
)
def test_a_role_that_cannot_be_assumed(answers: Answers, settings: dict[str, Any], code: str) -> None:
    """The call of STS in the course of ours is named, and whatever it answers points at the credentials."""
    answers.set((403, xml_error(code)))
    failure = failure_of(service_at(answers.url, **settings))
    assert type(failure) is CredentialsError
    assert failure.code == code
    assert re.match(rf"AssumeRole(WithWebIdentity)?: {code}: No\.", str(failure))
    assert "/image" not in "".join(answers.asked)


def test_a_role_is_assumed_in_spite_of_transient_errors(answers: Answers) -> None:
    """STS fails for moments as other services do."""
    credentials = (
        b"<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAOFTHEROLE</AccessKeyId>"
        b"<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
        b"<Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    )
    cut_off = credentials[: credentials.index(b"</Session")]
    answers.set(
        (503, b"Busy"), (400, xml_error("IDPCommunicationError")), (200, cut_off), (200, credentials), (200, IMAGE)
    )
    retries: list[str] = []
    call(service_at(answers.url, assume_roles=({"roleArn": ROLE},)), on_retry=retries.append)
    assert len(retries) == 3
    assert "ASIA" not in "".join(retries)


def test_a_web_identity_whose_file_is_gone(answers: Answers, tmp_path: Path) -> None:
    """Not every failure to get credentials is an answer of STS."""
    role = {"roleArn": ROLE, "webIdentityTokenFile": str(tmp_path / "gone")}
    failure = failure_of(service_at(answers.url, web_identity=role))
    assert type(failure) is CredentialsError
    assert failure.code == "FileNotFoundError"
    assert str(tmp_path / "gone") in str(failure)


def test_refreshed_credentials_that_are_expired_still(answers: Answers) -> None:
    """A bare RuntimeError of botocore."""
    expired = (
        b"<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>a</AccessKeyId>"
        b"<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
        b"<Expiration>2020-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    )
    answers.set((200, expired))
    failure = failure_of(service_at(answers.url, assume_roles=({"roleArn": ROLE},)))
    assert type(failure) is CredentialsError
    assert "expired" in str(failure)


def test_no_credentials() -> None:
    """One line says where to set them, with the keys of the provider in use."""
    failure = failure_of(Service(Configuration(prefix="imagebuilder")))
    assert type(failure) is CredentialsError
    assert str(failure) == (
        "no AWS credentials were found; set imagebuilder:profile or imagebuilder:accessKey and imagebuilder:secretKey "
        "in the configuration, or any source that boto3 knows"
    )


def test_a_profile_whose_credentials_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is to print them fails: the error points at the credentials."""
    config = tmp_path / "config"
    config.write_text("[default]\ncredential_process = false\n", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    assert type(failure_of(Service(Configuration()))) is CredentialsError


def test_parameters_that_botocore_refuses(answers: Answers) -> None:
    """Nothing is called, and nothing is retried."""
    with pytest.raises(PermanentError, match="Missing required parameter"):
        asyncio.run(service_at(answers.url).call("imagebuilder", "us-east-1", "get_image"))
    assert answers.asked == []


def test_an_endpoint_that_is_no_url() -> None:
    """The configuration is at fault, not the service."""
    failure = failure_of(service_at("here"))
    assert type(failure) is ConfigurationError
    assert str(failure) == "imagebuilder in us-east-1 cannot be called: Invalid endpoint: here"


def test_a_certificate_that_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not come to be trusted by itself: refused at once, without a retry."""
    untrusted = botocore.exceptions.SSLError(endpoint_url="https://127.0.0.1:9", error="self-signed certificate")
    monkeypatch.setattr("pulumi_imagebuilder.aws.service._send", raises(untrusted))
    retries: list[str] = []
    failure = failure_of(service_at("https://127.0.0.1:9"), on_retry=retries.append)
    assert type(failure) is PermanentError
    assert str(failure) == str(untrusted)
    assert retries == []


def test_a_bug_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its traceback is needed."""
    monkeypatch.setattr("pulumi_imagebuilder.aws.service._send", raises(AttributeError("a bug")))
    with pytest.raises(AttributeError, match="a bug"):
        call(service_at("http://127.0.0.1:9"))


def raises(failure: Exception) -> Callable[..., Any]:
    def fail(*arguments: Any) -> Any:
        raise failure

    return fail


@pytest.mark.parametrize(
    "answer",
    [
        (403, {"__type": "InvalidSignatureException", "message": "'x-amz-security-token:the-session-token-1'"}),
        (403, {"__type": "IncompleteSignatureException", "message": "Credential=AKIAOFTHESTACK/2026"}),
        (400, {"__type": "InvalidRequestException", "message": "no the-secret-of-the-stack here"}),
        (400, {"__type": "InvalidRequestException", "message": "see\nhttps://me:hidden@proxy"}),
    ],
)
def test_no_credential_is_in_a_message(answers: Answers, answer: tuple[int, Any]) -> None:
    """Refused signatures are answered with the request's headers, and URLs can have users."""
    answers.set(answer)
    text = str(failure_of(service_at(answers.url, token="the-session-token-1")))
    for secret in ("AKIAOFTHESTACK", "the-secret-of-the-stack", "the-session-token", "hidden"):
        assert secret not in text
    assert "\n" not in text


def test_a_page_instead_of_a_message_is_not_shown(answers: Answers) -> None:
    """A proxy's page has hundreds of lines, and a long message is cut."""
    answers.set((403, HTML), (400, {"__type": "InvalidRequestException", "message": "x" * 2000}))
    service = service_at(answers.url)
    assert "403: an HTML page instead of a message" in str(failure_of(service))
    assert len(str(failure_of(service))) < 700


# Life of a call


def test_a_cancelled_call_is_given_up_at_once(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task ends while its thread is still waiting for the answer, and those that wait for a thread never run."""
    free, sent = threading.Event(), threading.Event()

    def send(*arguments: Any) -> dict[str, Any]:
        answers.asked.append("sent")
        sent.set()
        free.wait(30)
        return IMAGE

    monkeypatch.setattr("pulumi_imagebuilder.aws.service._send", send)
    service = service_at(answers.url)

    async def run() -> None:
        calls = [
            asyncio.create_task(service.call("imagebuilder", "us-east-1", "get_image", imageBuildVersionArn=ARN))
            for _ in range(40)
        ]
        while len(answers.asked) < MAX_CONCURRENT_CALLS:
            await asyncio.sleep(0)
        for task in calls:
            task.cancel()
        assert all(
            isinstance(ended, asyncio.CancelledError) for ended in await asyncio.gather(*calls, return_exceptions=True)
        )

    asyncio.run(run())
    free.set()
    call(service)
    assert len(answers.asked) == MAX_CONCURRENT_CALLS + 1


def test_a_session_can_be_given(answers: Answers) -> None:
    """Its credentials and region are used."""
    session = Sessions(Configuration(access_key="a", secret_key="b", region="eu-west-3")).session("eu-west-3")
    service = Service(Configuration(endpoints={"imagebuilder": answers.url}), session)
    assert call(service)["image"]["arn"] == ARN
    assert service.default_region() == "eu-west-3"
    assert Service(Configuration(region="eu-west-1"), session).default_region() == "eu-west-1"


def test_answered_at_is_the_services_clock() -> None:
    """Ours where an answer does not say it."""
    answer = {"ResponseMetadata": {"HTTPHeaders": {"date": "Sat, 31 Jan 2026 10:00:00 GMT"}}}
    assert answered_at(answer) == datetime(2026, 1, 31, 10, tzinfo=UTC)
    assert answered_at({}).tzinfo is UTC
