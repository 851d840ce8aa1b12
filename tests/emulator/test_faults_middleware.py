"""Every AWS request passes the middleware, which notes it and disturbs it as the faults say."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.parsers import ResponseParserError
from imagebuilder_emulator.clock import Clock
from imagebuilder_emulator.emulator import Emulator
from imagebuilder_emulator.faults import Faults
from imagebuilder_emulator.faults_middleware import FaultMiddleware
from imagebuilder_emulator.requestlog import RequestLog
from werkzeug.serving import make_server

IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"


class Behind:
    """The middleware before a service that counts its calls and knows one answer."""

    def __init__(self) -> None:
        self.faults, self.log, self.clock, self.work = Faults(), RequestLog(), Clock(), 0
        self.server = make_server(
            "127.0.0.1", 0, FaultMiddleware(self.answer, self.faults, self.log, self.clock), threaded=True
        )
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.work += 1
        start_response("200 OK", [("Content-Type", "application/json"), ("x-amzn-RequestId", f"id-{self.work}")])
        return [b"{}"]

    def client(self, service: str, *, region_name: str = "us-east-1", **config: Any) -> Any:
        return boto3.client(
            service,
            region_name=region_name,
            endpoint_url=f"http://127.0.0.1:{self.server.port}",
            aws_access_key_id="AKIDSECRET",
            aws_secret_access_key="SECRET",
            config=Config(retries={"total_max_attempts": 1}, **config),
        )

    def close(self) -> None:
        self.faults.clear()
        self.server.shutdown()
        self.thread.join(5)
        self.server.server_close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Behind]:
    behind = Behind()
    yield behind
    behind.close()


@pytest.fixture
def behind(shared: Behind) -> Behind:
    shared.faults.clear()
    shared.log.clear()
    shared.work = 0
    return shared


def get(behind: Behind, **config: Any) -> Any:
    return behind.client("imagebuilder", **config).get_image(imageBuildVersionArn=IMAGE)


@pytest.mark.parametrize(
    ("kind", "status", "code", "message"),
    [
        ("throttle", 429, "CallRateLimitExceededException", "Rate exceeded"),
        ("500", 500, "ServiceException", "An internal error occurred"),
        ("503", 503, "ServiceUnavailableException", "The service is unavailable"),
        ("error=ForbiddenException", 403, "ForbiddenException", "ForbiddenException"),
    ],
)
def test_an_error_is_answered_as_the_service_would(
    behind: Behind, kind: str, status: int, code: str, message: str
) -> None:
    """Status, code, request id and a message that names the fault; no work is done."""
    behind.faults.add(f"GetImage {kind}")
    with pytest.raises(ClientError) as raised:
        get(behind)
    answer = raised.value.response
    (noted,) = behind.log.all()
    assert answer["Error"] == {"Code": code, "Message": f"{message} (fault set in the emulator: GetImage {kind})"}
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status == noted.status
    assert (noted.error, noted.answered) == (code, True)
    assert answer["ResponseMetadata"]["RequestId"] == noted.request_id
    assert behind.work == 0


@pytest.mark.parametrize(
    ("service", "call", "codes"),
    [
        ("ec2", "describe_images", ["RequestLimitExceeded 503", "InternalError 500", "Unavailable 503"]),
        (
            "ecr",
            "describe_repositories",
            ["ThrottlingException 400", "ServerException 500", "ServiceUnavailableException 503"],
        ),
        ("iam", "list_roles", ["Throttling 400", "InternalFailure 500", "ServiceUnavailable 503"]),
        ("s3", "list_buckets", ["SlowDown 503", "InternalError 500", "ServiceUnavailable 503"]),
        ("sts", "get_caller_identity", ["Throttling 400", "InternalFailure 500", "ServiceUnavailable 503"]),
        (
            "autoscaling",
            "describe_auto_scaling_groups",
            ["Throttling 400", "InternalFailure 500", "ServiceUnavailable 503"],
        ),
        (
            "ssm",
            "describe_parameters",
            ["ThrottlingException 400", "InternalServerError 500", "ServiceUnavailableException 503"],
        ),
    ],
)
def test_other_services_have_errors_of_their_own(behind: Behind, service: str, call: str, codes: list[str]) -> None:
    """Throttling, 500 and 503 come with the code, the status and the body that the service's clients can read."""
    told = []
    for kind in ("throttle", "500", "503"):
        behind.faults.replace(f"{service}:* {kind}")
        with pytest.raises(ClientError) as raised:
            getattr(behind.client(service), call)()
        answer = raised.value.response
        assert answer["Error"]["Message"].endswith(f" (fault set in the emulator: {service}:* {kind})")
        told.append(f"{answer['Error']['Code']} {answer['ResponseMetadata']['HTTPStatusCode']}")
    assert (told, behind.work) == (codes, 0)


@pytest.mark.parametrize(
    ("fault", "call", "expected"),
    [
        ("ec2:DescribeImages error=UnauthorizedOperation", "ec2 describe_images", ("UnauthorizedOperation", 403)),
        ("ec2:* error=RequestLimitExceeded", "ec2 describe_images", ("RequestLimitExceeded", 503)),
        ("ec2:* error=RequestLimitExceeded status=400", "ec2 describe_images", ("RequestLimitExceeded", 400)),
        ("ssm:* error=AccessDeniedException", "ssm describe_parameters", ("AccessDeniedException", 400)),
        ("autoscaling:* error=AccessDenied", "autoscaling describe_auto_scaling_groups", ("AccessDenied", 403)),
        ("iam:ListRoles error=ServiceFailure status=500", "iam list_roles", ("ServiceFailure", 500)),
        ("GetImage error=ForbiddenException status=400", "imagebuilder get_image", ("ForbiddenException", 400)),
    ],
)
def test_any_error_of_a_service_by_its_code(behind: Behind, fault: str, call: str, expected: tuple[str, int]) -> None:
    """With the status of the model, that of AWS's common errors, or the one that the fault names."""
    behind.faults.add(fault)
    service, operation = call.split()
    request = {"imageBuildVersionArn": IMAGE} if service == "imagebuilder" else {}
    with pytest.raises(ClientError) as raised:
        getattr(behind.client(service), operation)(**request)
    answer = raised.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == expected
    assert answer["Error"]["Message"] == f"{expected[0]} (fault set in the emulator: {fault})"


def test_a_front_end_answers_plain_text(behind: Behind) -> None:
    """Which boto3 cannot parse: there is neither a code nor a request id."""
    behind.faults.add("ec2:DescribeImages plain-text=503")
    with pytest.raises(ResponseParserError):
        behind.client("ec2").describe_images()
    (noted,) = behind.log.all()
    assert (noted.status, noted.error, noted.request_id, behind.work) == (503, None, None, 0)


def test_a_fault_of_one_region_leaves_the_others_alone(behind: Behind) -> None:
    """By the region that the request was signed for; the log has it."""
    behind.faults.add("ssm:* error=AccessDeniedException status=403 region=eu-*")
    behind.client("ssm").describe_parameters()
    with pytest.raises(ClientError, match="AccessDeniedException"):
        behind.client("ssm", region_name="eu-west-1").describe_parameters()
    assert [(noted.region, noted.status) for noted in behind.log.all()] == [("us-east-1", 200), ("eu-west-1", 403)]


@pytest.mark.parametrize("service", ["ec2", "imagebuilder", "ssm"])
def test_the_last_page_alone_does_not_come(service: str) -> None:
    """Pages that name another pass; the fault counts last pages alone."""
    seed = {
        "images": [
            {
                "arn": f"{IMAGE[:-1]}{build}",
                "amis": [{"used_by": {"parameters": [f"web-{build}"], "launch_templates": [f"web-{build}"]}}],
            }
            for build in range(1, 12)
        ]
    }
    operation, options, code = {
        "ec2": ("describe_launch_template_versions", {"Versions": ["$Latest"]}, "UnauthorizedOperation"),
        "imagebuilder": ("list_image_build_versions", {}, "ForbiddenException"),
        "ssm": ("describe_parameters", {}, "AccessDeniedException"),
    }[service]

    def pages() -> Iterator[Any]:
        paginator = emulator.client(service).get_paginator(operation)
        yield from paginator.paginate(**options, PaginationConfig={"PageSize": 10})

    with Emulator(seed) as emulator:
        emulator.faults.add(f"{service}:* error={code} page=last first=1")
        disturbed = pages()
        next(disturbed)
        with pytest.raises(ClientError, match=code):
            next(disturbed)
        assert emulator.faults.as_json()[0]["calls"] == 1
        assert len(list(pages())) == 2


def test_a_dropped_request_is_never_worked_on(behind: Behind) -> None:
    """The client sees its connection close; the service has not seen the request; the next one passes."""
    behind.faults.add("GetImage drop-request first=1")
    with pytest.raises(ConnectionClosedError):
        get(behind)
    assert behind.work == 0
    get(behind)
    assert behind.work == 1
    dropped, passed = behind.log.all()
    assert (dropped.status, dropped.answered, dropped.faults) == (None, False, ("GetImage drop-request first=1",))
    assert (passed.status, passed.answered, passed.request_id, passed.faults) == (200, True, "id-1", ())


def test_an_answer_is_dropped_after_the_work_was_done(behind: Behind) -> None:
    """The client sees its connection close, though the service has answered."""
    behind.faults.add("GetImage drop-answer")
    with pytest.raises(ConnectionClosedError):
        get(behind)
    (noted,) = behind.log.all()
    assert (behind.work, noted.status, noted.answered) == (1, 200, False)


def test_a_delay_comes_before_the_work(behind: Behind) -> None:
    """The answer is as it would be, so much later."""
    behind.faults.add("GetImage delay=100ms", "GetImage delay=50ms")
    begun = time.monotonic()
    get(behind)
    (noted,) = behind.log.all()
    assert 0.15 <= (noted.seconds or 0) <= time.monotonic() - begun
    assert (behind.work, noted.status) == (1, 200)


def test_a_stalled_request_gets_no_answer(behind: Behind) -> None:
    """Nothing comes for so long, and then the connection closes; no work is done."""
    behind.faults.add("GetImage stall=100ms")
    begun = time.monotonic()
    with pytest.raises(ConnectionClosedError):
        get(behind)
    assert time.monotonic() - begun >= 0.1
    (noted,) = behind.log.all()
    assert (behind.work, noted.status, noted.answered) == (0, None, False)


def test_lifting_a_fault_frees_what_it_holds(behind: Behind) -> None:
    """A request held for an hour goes on at once, and is in the log while it is held."""
    behind.faults.add("GetImage delay=1h")
    caller = threading.Thread(target=get, args=(behind,))
    caller.start()
    while not behind.log.all():
        time.sleep(0.005)
    (held,) = behind.log.all()
    assert (held.status, held.seconds) == (None, None)
    behind.faults.clear()
    caller.join(5)
    assert not caller.is_alive()
    assert held.status == 200


def test_of_several_faults_the_first_that_ends_the_call_wins(behind: Behind) -> None:
    """Delays are served first; an error set before a dropped answer leaves nothing to drop but itself."""
    behind.faults.add("GetImage 503 first=1", "GetImage 500", "GetImage delay=20ms")
    told = []
    for _ in range(2):
        with pytest.raises(ClientError) as raised:
            get(behind)
        told.append(raised.value.response["Error"]["Code"])
    assert told == ["ServiceUnavailableException", "ServiceException"]
    assert all((noted.seconds or 0) >= 0.02 for noted in behind.log.all())


def test_requests_are_noted_with_their_operation_and_parameters(behind: Behind) -> None:
    """Query and body of Image Builder's requests, by the emulator's clock; of other services the operation alone."""
    behind.clock.restore(timedelta(days=400))
    builder = behind.client("imagebuilder")
    builder.get_image(imageBuildVersionArn=IMAGE)
    builder.start_resource_state_update(resourceArn=IMAGE, state={"status": "DEPRECATED"}, clientToken="token")
    builder.list_tags_for_resource(resourceArn=IMAGE)
    behind.client("ecr").describe_repositories()
    noted = behind.log.all()
    assert [(each.service, each.operation, each.parameters) for each in noted] == [
        ("imagebuilder", "GetImage", {"imageBuildVersionArn": IMAGE}),
        (
            "imagebuilder",
            "StartResourceStateUpdate",
            {"resourceArn": IMAGE, "state": {"status": "DEPRECATED"}, "clientToken": "token"},
        ),
        ("imagebuilder", "ListTagsForResource", {}),
        ("ecr", "DescribeRepositories", {}),
    ]
    assert [each.number for each in noted] == list(range(noted[0].number, noted[0].number + 4))
    assert all(timedelta(0) <= behind.clock.now() - each.time < timedelta(seconds=5) for each in noted)
    assert all(each.client.startswith("127.0.0.1:") for each in noted)
    behind.clock.restore(timedelta(0))


def test_credentials_are_never_noted(behind: Behind) -> None:
    """Neither from headers, nor from a presigned query, nor an identity for STS; the unsigned are told apart."""
    get(behind)
    url = behind.client("s3").generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "key"})
    assert "AKIDSECRET" in url
    urllib.request.urlopen(url).close()
    behind.faults.add("sts:* 503")
    with pytest.raises(ClientError):
        behind.client("sts").assume_role_with_web_identity(
            RoleArn="arn:aws:iam::123456789012:role/Deploy", RoleSessionName="up", WebIdentityToken="SECRET"
        )
    noted = behind.log.all()
    assert [(each.service, each.operation) for each in noted] == [
        ("imagebuilder", "GetImage"),
        ("s3", "GET"),
        ("sts", "AssumeRoleWithWebIdentity"),
    ]
    assert not any("SECRET" in f"{each}{each.as_json()}" for each in noted)


@pytest.mark.parametrize(
    ("service", "method", "code", "status"),
    [
        ("imagebuilder", "list_images", "ExpiredTokenException", 403),
        ("imagebuilder", "list_images", "UnrecognizedClientException", 403),
        ("imagebuilder", "list_images", "AccessDeniedException", 403),
        ("imagebuilder", "list_images", "ThrottlingException", 429),
        ("sts", "get_caller_identity", "ExpiredToken", 403),
        ("sts", "get_caller_identity", "InvalidClientTokenId", 403),
        ("sts", "get_caller_identity", "AccessDenied", 403),
        ("iam", "list_roles", "AccessDenied", 403),
        ("ec2", "describe_images", "UnauthorizedOperation", 403),
        ("ec2", "describe_images", "RequestExpired", 400),
        ("ecr", "describe_repositories", "ExpiredTokenException", 400),
        ("s3", "list_buckets", "AccessDenied", 403),
    ],
)
def test_errors_of_credentials_and_rights_are_answered_in_each_services_form(
    behind: Behind, service: str, method: str, code: str, status: int
) -> None:
    """boto3 reads the code and the status, though no model lists them."""
    client = behind.client(service)
    operation = "GET" if service == "s3" else client.meta.method_to_api_mapping[method]
    behind.faults.add(f"{service}:{operation} error={code}")
    with pytest.raises(ClientError) as raised:
        getattr(client, method)()
    error = raised.value.response
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert error["Error"]["Message"].startswith(f"{code} (fault set in the emulator: ")
    assert behind.work == 0
