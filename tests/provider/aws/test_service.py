"""How calls reach the service: which errors are waited out, and what a stalled connection or a missing name costs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import botocore.config
import botocore.exceptions
import pytest
from imagebuilder_emulator.emulator import Emulator
from pulumi_imagebuilder import aws
from pulumi_imagebuilder.configuration import Configuration
from pulumi_imagebuilder.errors import PermanentError, ServiceRefused

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
SEED = {"images": [{"arn": ARN}]}
START = "StartResourceStateUpdate"


class Impatient(Configuration):
    """Gives up on an answer after half a second, so that no test waits for twenty."""

    def client(self, session: Any, service: str, region: str, **options: Any) -> Any:
        return super().client(session, service, region, config=botocore.config.Config(read_timeout=0.5), **options)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(SEED, execution_time="1s") as running:
        yield running


@pytest.fixture(autouse=True)
def reset(emulator: Emulator) -> None:
    emulator.reset()


def service(url: str) -> aws.Service:
    return aws.Service(Impatient(access_key="a", secret_key="b", endpoints={"imagebuilder": url}, region="eu-west-1"))


def deprecate(url: str) -> tuple[dict[str, Any], list[str]]:
    """Start a state update; the answer, and what was told of retries."""
    retries: list[str] = []
    call = service(url).call(
        "us-east-1",
        "start_resource_state_update",
        asked="changing the image",
        on_retry=retries.append,
        resourceArn=ARN,
        state={"status": "DEPRECATED"},
        clientToken="only",
    )
    return asyncio.run(asyncio.wait_for(call, 60)), retries


def test_a_stalled_connection_is_given_up_and_asked_again(emulator: Emulator) -> None:
    """With the same token; what was asked on the stalled one may or may not have been done."""
    emulator.faults.add(f"{START} stall=60s nth=1,2,3")
    answer, retries = deprecate(emulator.url)
    assert answer["resourceArn"] == ARN
    assert retries
    assert all("Read timeout on endpoint URL" in told for told in retries)
    assert {request.parameters["clientToken"] for request in emulator.requests.all(START)} == {"only"}


def test_a_name_that_does_not_resolve_for_a_while(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again until it does."""
    known, failures = socket.getaddrinfo, iter(range(3))

    def resolve(host: str, *arguments: Any, **options: Any) -> Any:
        if host == "imagebuilder.test":
            if next(failures, None) is not None:
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            host = "localhost"
        return known(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    # A name under localhost is let in by the emulator, as it is by browsers.
    monkeypatch.setattr("imagebuilder_emulator.server._HOSTS", {"imagebuilder.test", "127.0.0.1"})
    answer, retries = deprecate(emulator.url.replace("127.0.0.1", "imagebuilder.test"))
    assert answer["resourceArn"] == ARN
    assert "Could not connect to the endpoint URL" in retries[0]
    assert len(emulator.requests.all(START)) == 1


def test_an_error_is_told_with_its_request(emulator: Emulator) -> None:
    """What was asked, the code, the service's words, the request's id: once, in one line."""
    emulator.faults.add(f"{START} error=ForbiddenException")
    with pytest.raises(ServiceRefused) as failure:
        deprecate(emulator.url)
    (request,) = emulator.requests.all(START)
    assert str(failure.value) == (
        "changing the image: ForbiddenException: ForbiddenException (fault set in the emulator: "
        f"{START} error=ForbiddenException) (request id {request.request_id}); "
        "check the caller's policy, iam:PassRole on the execution role included"
    )


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("ExpiredTokenException", "check the credentials that the stack uses"),
        ("UnrecognizedClientException", "check the credentials that the stack uses"),
        (
            "IdempotentParameterMismatchException",
            "this client_token was used before with other parameters: choose another, or leave it out",
        ),
    ],
)
def test_an_error_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch, code: str, hint: str) -> None:
    """Where its code alone tells what that is."""
    answer = {"Error": {"Code": code, "Message": "No."}, "ResponseMetadata": {"HTTPStatusCode": 400}}

    async def refuse(*arguments: Any) -> Any:
        raise botocore.exceptions.ClientError(answer, START)  # type: ignore[arg-type]

    monkeypatch.setattr(aws.Service, "_call_once", refuse)
    with pytest.raises(ServiceRefused) as failure:
        deprecate("http://127.0.0.1:9")
    assert str(failure.value) == f"changing the image: {code}: No.; {hint}"


def test_a_certificate_that_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not come to be trusted by itself: told at once, and asked no second time."""
    told = botocore.exceptions.SSLError(endpoint_url="https://127.0.0.1:9", error="self-signed certificate")

    async def refuse(*arguments: Any) -> Any:
        raise told

    monkeypatch.setattr(aws.Service, "_call_once", refuse)
    with pytest.raises(PermanentError) as failure:
        deprecate("https://127.0.0.1:9")
    assert str(failure.value) == f"changing the image: {told}"
    assert "self-signed certificate" in str(told)


@pytest.mark.parametrize(
    ("status", "code", "passes"),
    [
        (429, "CallRateLimitExceededException", True),
        (500, "ServiceException", True),
        (503, "ServiceUnavailableException", True),
        (400, "ThrottlingException", True),
        (400, "InvalidRequestException", False),
        (403, "ForbiddenException", False),
        (404, "ResourceNotFoundException", False),
    ],
)
def test_what_passes_by_itself(status: int, code: str, passes: bool) -> None:
    """429 and 5xx do, and a throttle of EC2's kind; client errors do not."""
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert aws.is_transient(botocore.exceptions.ClientError(answer, "GetImage")) is passes
