"""The control side over HTTP: clock, faults, request log and state; and who is let in at all."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from imagebuilder_emulator.emulator import Emulator

WEB = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
SEED: dict[str, Any] = {"roles": ["ImageLifecycle"], "images": [{"arn": WEB, "amis": [{"region": "eu-west-1"}]}]}


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator(SEED, execution_time="10s") as emulator:
        yield emulator


@pytest.fixture
def emulator(running: Emulator) -> Emulator:
    running.reset()
    return running


def ask(emulator: Emulator, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Status and decoded answer of a request to the control side."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    request = urllib.request.Request(f"{emulator.url}/{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        return error.code, json.loads(text) if text.startswith("{") else text


def test_the_clock_is_read_and_moved(emulator: Emulator) -> None:
    """By a length of time, or to an instant."""
    _, before = ask(emulator, "GET", "_emulator/clock")
    assert before["offset_seconds"] == 0
    assert abs(datetime.fromisoformat(before["now"]) - datetime.now(UTC)) < timedelta(seconds=10)
    _, after = ask(emulator, "POST", "_emulator/clock", {"advance": "90d"})
    assert after["offset_seconds"] == 90 * 86_400
    _, far = ask(emulator, "POST", "_emulator/clock", {"set": "2099-01-31T00:00:00Z"})
    assert far["now"].startswith("2099-01-31T00:00:00")


def test_a_scheduled_deprecation_comes_true_in_milliseconds(emulator: Emulator) -> None:
    """What a pipeline waits a quarter of a year for happens at the next request."""
    client = emulator.client("imagebuilder")
    at = datetime.now(UTC) + timedelta(days=90)
    client.start_resource_state_update(resourceArn=WEB, state={"status": "DEPRECATED"}, updateAt=at)
    assert client.get_image(imageBuildVersionArn=WEB)["image"]["state"]["status"] == "AVAILABLE"
    emulator.clock.advance(timedelta(days=91))
    assert client.get_image(imageBuildVersionArn=WEB)["image"]["state"]["status"] == "DEPRECATED"


def test_faults_are_set_read_and_lifted(emulator: Emulator) -> None:
    """They strike what they name, and count what they have done."""
    unavailable = "GetImage error=ServiceUnavailableException nth=1"
    (first,) = ask(emulator, "POST", "_emulator/faults", [unavailable])[1]["numbers"]
    (other,) = ask(emulator, "POST", "_emulator/faults", ["ListImages 500"])[1]["numbers"]
    client = emulator.client("imagebuilder")
    client.get_image(imageBuildVersionArn=WEB)  # botocore tries a 503 again by itself
    assert ask(emulator, "GET", "_emulator/faults")[1] == [
        {"number": first, "fault": unavailable, "calls": 2, "hits": 1},
        {"number": other, "fault": "ListImages 500", "calls": 0, "hits": 0},
    ]
    assert len(ask(emulator, "DELETE", f"_emulator/faults/{first}")[1]) == 1
    assert ask(emulator, "DELETE", f"_emulator/faults/{first}") == (404, {"error": f"there is no fault {first}"})
    (third,) = ask(emulator, "PUT", "_emulator/faults", ["execution hang image=*"])[1]["numbers"]
    assert [each["number"] for each in ask(emulator, "GET", "_emulator/faults")[1]] == [third]
    ask(emulator, "DELETE", "_emulator/faults")
    assert ask(emulator, "GET", "_emulator/faults") == (200, [])


def test_executions_fail_and_hang_on_demand(emulator: Emulator) -> None:
    """The faults reach the executions themselves."""
    client = emulator.client("imagebuilder")
    emulator.faults.add("execution fail region=eu-west-1 reason='no access'")
    asked = {"executionRole": "ImageLifecycle", "includeResources": {"amis": True}}
    started = client.start_resource_state_update(resourceArn=WEB, state={"status": "DISABLED"}, **asked)
    emulator.clock.advance(timedelta(seconds=10))
    execution_id = started["lifecycleExecutionId"]
    (row,) = client.list_lifecycle_execution_resources(lifecycleExecutionId=execution_id, parentResourceId=WEB)[
        "resources"
    ]
    assert row["state"] == {"status": "FAILED", "reason": "no access"}

    emulator.faults.replace("execution hang image=*/web/*")
    started = client.start_resource_state_update(resourceArn=WEB, state={"status": "DISABLED"}, **asked)
    emulator.clock.advance(timedelta(days=1))
    asked_for = {"lifecycleExecutionId": started["lifecycleExecutionId"]}
    assert client.get_lifecycle_execution(**asked_for)["lifecycleExecution"]["state"]["status"] == "IN_PROGRESS"
    emulator.faults.clear()
    assert client.get_lifecycle_execution(**asked_for)["lifecycleExecution"]["state"]["status"] == "SUCCESS"


def test_requests_are_read_counted_and_cleared(emulator: Emulator) -> None:
    """With their parameters and how they were answered, but no credentials."""
    client = emulator.client("imagebuilder")
    client.list_images(maxResults=5)
    with pytest.raises(ClientError):
        client.get_image(imageBuildVersionArn=WEB.replace("web", "gone"))
    emulator.client("ec2", "eu-west-1").describe_images(Owners=["self"])
    assert ask(emulator, "GET", "_emulator/requests/counts")[1] == {
        "ec2:DescribeImages": 1,
        "imagebuilder:GetImage": 1,
        "imagebuilder:ListImages": 1,
    }
    _, requests = ask(emulator, "GET", "_emulator/requests")
    assert [(each["operation"], each["status"], each["error"]) for each in requests] == [
        ("ListImages", 200, None),
        ("GetImage", 404, "ResourceNotFoundException"),
        ("DescribeImages", 200, None),
    ]
    assert requests[0]["parameters"] == {"maxResults": 5}
    assert "emulator" not in json.dumps(requests), "the credentials of the client"
    _, later = ask(emulator, "GET", f"_emulator/requests?after={requests[0]['number']}&operation=GetImage")
    assert [each["number"] for each in later] == [requests[1]["number"]]
    ask(emulator, "DELETE", "_emulator/requests")
    assert ask(emulator, "GET", "_emulator/requests") == (200, [])


def test_the_state_goes_back_to_the_seed(emulator: Emulator) -> None:
    """Clock, faults and log too."""
    emulator.client("imagebuilder").delete_image(imageBuildVersionArn=WEB)
    ask(emulator, "POST", "_emulator/clock", {"advance": "1d"})
    ask(emulator, "POST", "_emulator/faults", ["ListImages 500"])
    assert ask(emulator, "DELETE", "_emulator/state") == (200, {})
    assert emulator.client("imagebuilder").get_image(imageBuildVersionArn=WEB)["image"]["arn"] == WEB
    assert ask(emulator, "GET", "_emulator/faults") == (200, [])
    assert ask(emulator, "GET", "_emulator/clock")[1]["offset_seconds"] == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("POST", "clock", {"advance": "-1d"}, 400, "'-1d' is not a length of time such as 5s, 200ms, 1h30m or 90d"),
        (
            "POST",
            "clock",
            {"set": "2099-01-31T00:00:00"},
            400,
            "the clock needs a time with an offset, got 2099-01-31T00:00:00",
        ),
        ("POST", "clock", {"back": "1d"}, 400, 'expected {"advance": "90d"} or {"set": "2027-01-31T00:00:00Z"}'),
        ("POST", "faults", "GetImage 503", 400, 'expected a list of faults, as ["GetImage 503 first=2"]'),
        ("POST", "faults", ["GetImages 503"], 400, "fault 'GetImages 503': no operation is called 'GetImages'"),
        ("PUT", "state", {"format": 0}, 400, "this is not a state of format 1, as this emulator saves it"),
        ("GET", "nothing", None, 404, None),
        ("POST", "requests", [], 405, None),
    ],
)
def test_mistakes_are_told(
    emulator: Emulator, method: str, path: str, body: Any, status: int, error: str | None
) -> None:
    """In one line, as JSON."""
    answered, answer = ask(emulator, method, f"_emulator/{path}", body)
    assert answered == status
    assert error in (None, answer["error"])


def test_other_sites_are_turned_away(emulator: Emulator) -> None:
    """Whose name points here, or whose pages send requests here; only JSON changes anything."""
    turned_away = "This server answers on 127.0.0.1 and localhost only\n"
    assert ask(emulator, "GET", "_emulator/clock", Host="evil.example") == (403, turned_away)
    assert ask(emulator, "POST", "_emulator/faults", [], Origin="https://evil.example") == (403, turned_away)
    assert ask(emulator, "POST", "_emulator/faults", [], Origin="null") == (403, turned_away)
    assert ask(emulator, "POST", "_emulator/faults", [], Origin=emulator.url)[0] == 200
    assert ask(emulator, "GET", "_emulator/clock", Host="127.0.0.1.evil.example") == (403, turned_away)
    assert ask(emulator, "GET", "console", Host="localhost.evil.example:80") == (403, turned_away)
    assert ask(emulator, "GET", "_emulator/clock", Host="localhost")[0] == 200
    text = ask(emulator, "POST", "_emulator/faults", ["GetImage 500"], Content_Type="text/plain")
    assert text == (415, {"error": "send JSON, with Content-Type: application/json"})


def test_a_bucket_may_come_before_the_hosts_name(emulator: Emulator) -> None:
    """As clients of S3 put it there, unless the host is an address."""
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="state")
    s3.put_object(Bucket="state", Key="stack.json", Body=b"{}")
    signature = s3.generate_presigned_url("get_object", {"Bucket": "state", "Key": "stack.json"}).partition("?")[2]
    port = emulator.url.rpartition(":")[2]
    assert ask(emulator, "GET", f"stack.json?{signature}", Host=f"state.localhost:{port}") == (200, {})
    assert ask(emulator, "GET", f"stack.json?{signature}", Host=f"state.evil.example:{port}")[0] == 403
