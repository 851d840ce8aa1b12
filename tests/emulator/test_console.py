"""The console's page and what it shows, over HTTP: this needs no browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import urllib.request
from datetime import timedelta
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator

WEB = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
AMIS = {"executionRole": "ImageLifecycle", "includeResources": {"amis": True}}


def get(emulated: Any, path: str, **headers: str) -> Any:
    request = urllib.request.Request(f"{emulated.emulator.url}{path}", headers=headers)
    return urllib.request.urlopen(request)


def overview(emulated: Any, query: str = "") -> Any:
    with get(emulated, f"/_emulator/overview?{query}") as answer:
        return json.load(answer)


def test_the_page_is_one_file_that_loads_nothing(emulated: Any) -> None:
    """Neither scripts nor styles, fonts or pictures of elsewhere; its own two are named by their digests."""
    with get(emulated, "/console") as answer:
        page, policy = answer.read().decode(), answer.headers["Content-Security-Policy"]
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert re.findall(r"""(?:src|href|url)\s*[=(](?!["']?data:)""", page) == []
    assert "innerHTML" not in page
    for tag in ("script", "style"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; connect-src 'self'; img-src data:; ")


def test_a_browser_is_led_to_it(emulated: Any) -> None:
    """From the address that the command prints; an AWS client is not: there S3 answers."""
    with get(emulated, "/", Accept="text/html") as answer:
        assert answer.url == f"{emulated.emulator.url}/console"
    emulated.client("s3").create_bucket(Bucket="console")
    assert emulated.client("s3").list_objects_v2(Bucket="console")["KeyCount"] == 0


def test_an_execution_is_shown_with_its_progress(emulated: Any) -> None:
    """What is done of all, for how long, and what it does to each resource."""
    execution = emulated.start(state="DISABLED", **AMIS)
    emulated.later(6)
    shown = overview(emulated)
    (row,) = shown["executions"]["rows"]
    assert (row["id"], row["name"], row["version"]) == (execution["lifecycleExecutionId"], "web", "1.0.0/1")
    assert (row["target"], row["status"], row["scheduled_for"]) == ("DISABLED", "IN_PROGRESS", None)
    assert 6 <= row["seconds"] < 10
    assert [(each["region"], each["status"]) for each in row["resources"]] == [
        ("us-east-1", "SUCCESS"),
        ("eu-west-1", "SUCCESS"),
        ("us-west-2", "IN_PROGRESS"),
    ]
    assert shown["executions"]["statuses"] == {"IN_PROGRESS": 1}
    (image,) = (each for each in shown["images"]["rows"] if each["arn"] == WEB)
    assert (image["state"], image["under_way"]) == ("AVAILABLE", "DISABLED")


def test_amis_are_shown_as_ec2_has_them(emulated: Any) -> None:
    """By region, with what the exclusion rules look at, snapshots that are left, and what is gone."""
    emulated.start(**AMIS)
    emulated.later()
    (ami,) = emulated.amis("us-west-2")
    emulated.client("ec2", "us-west-2").deregister_image(ImageId=ami["ImageId"])
    (image,) = (each for each in overview(emulated)["images"]["rows"] if each["arn"] == WEB)
    assert [(ami["region"], ami["state"], len(ami["snapshots"]), ami["public"]) for ami in image["amis"]] == [
        ("eu-west-1", "deprecated", 1, True),
        ("us-east-1", "deprecated", 2, False),
        ("us-west-2", "gone", 1, False),
    ]


def test_a_schedule_is_shown(emulated: Any) -> None:
    """With its time, and the AMIs' deprecation time that EC2 has at once."""
    at = emulated.emulator.clock.now().replace(microsecond=0) + timedelta(days=30)
    emulated.start(updateAt=at, **AMIS)
    shown = overview(emulated)
    assert shown["executions"]["rows"][0]["scheduled_for"] == at.isoformat()
    (image,) = (each for each in shown["images"]["rows"] if each["arn"] == WEB)
    assert (image["deprecated_at"], image["under_way"]) == (at.isoformat(), None)
    assert [(ami["state"], ami["deprecated_at"]) for ami in image["amis"]] == [
        ("available", f"{at:%Y-%m-%dT%H:%M:%S}.000Z")
    ] * 3


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["broken", "building", "docker", "web"]),
        ("state=FAILED", ["broken"]),
        ("region=eu-west-1", []),
        ("search=b", ["broken", "building", "docker", "web"]),
        ("search=image/b", ["broken", "building"]),
        ("start=3", ["web"]),
        ("start=-1&state=AVAILABLE", ["docker", "web"]),
    ],
)
def test_images_are_found(emulated: Any, query: str, names: list[str]) -> None:
    """By a part of the ARN, by state and by region; the counts are of all."""
    images = overview(emulated, query)["images"]
    assert [image["name"] for image in images["rows"]] == names
    assert images["states"] == {"AVAILABLE": 2, "BUILDING": 1, "FAILED": 1}


def test_an_ami_is_found_by_its_id(emulated: Any) -> None:
    """As a person comes with it from EC2."""
    (ami,) = emulated.amis("eu-west-1")
    assert [image["arn"] for image in overview(emulated, f"search={ami['ImageId']}")["images"]["rows"]] == [WEB]


def test_requests_and_faults_are_shown(emulated: Any) -> None:
    """The last requests, and what each fault has struck."""
    emulated.emulator.faults.add("ListImages 500 nth=1")
    emulated.image_builder.list_images()  # botocore tries again by itself
    shown = overview(emulated)
    assert [(each["operation"], each["error"]) for each in shown["requests"]["rows"]] == [
        ("ListImages", None),
        ("ListImages", "ServiceException"),
    ]
    assert [(each["fault"], each["calls"], each["hits"]) for each in shown["faults"]] == [
        ("ListImages 500 nth=1", 2, 1)
    ]


def test_an_answer_stays_small_with_thousands() -> None:
    """One page of images, and the newest executions, those under way first."""
    arns = [WEB.replace("web", f"web-{number:04}") for number in range(200)]
    with Emulator({"roles": ["ImageLifecycle"], "images": [{"arn": arn} for arn in arns]}) as emulator:
        client = emulator.client("imagebuilder")
        first = client.start_resource_state_update(
            resourceArn=arns[0],
            state={"status": "DEPRECATED"},
            updateAt=emulator.clock.now() + timedelta(days=1),
        )
        for arn in arns[1:41]:
            client.start_resource_state_update(resourceArn=arn, state={"status": "DISABLED"}, **AMIS)
        emulator.clock.advance(timedelta(hours=1))
        with urllib.request.urlopen(f"{emulator.url}/_emulator/overview") as answer:
            shown = json.load(answer)
    assert (len(shown["images"]["rows"]), shown["images"]["matching"]) == (50, 200)
    rows = shown["executions"]["rows"]
    assert (len(rows), rows[0]["id"]) == (30, first["lifecycleExecutionId"])
    assert [row["name"] for row in rows[1:3]] == ["web-0040", "web-0039"]
    assert shown["executions"]["statuses"] == {"PENDING": 1, "SUCCESS": 40}
