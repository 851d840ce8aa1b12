"""`get_image_build_versions` against the local Image Builder."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pulumi
import pytest
from imagebuilder_emulator.emulator import Emulator
from pulumi_imagebuilder import ImageBuildVersion, get_image_build_versions, get_image_build_versions_output
from pulumi_imagebuilder.lifecycle import builds

STEM = "arn:aws:imagebuilder:us-east-1:123456789012:image/web"
NEWEST = datetime.now(timezone.utc).replace(microsecond=0)
STATES = ("AVAILABLE", "DEPRECATED", "DISABLED")


def image(arn: str, days_ago: int, **more: Any) -> dict[str, Any]:
    return {"arn": arn, "date_created": (NEWEST - timedelta(days=days_ago)).isoformat(), **more}


SEED = {
    "images": [
        # Out of order, over more than one page, and three of an age.
        *(image(f"{STEM}/1.0.0/{build}", 400 - build, state=STATES[build % 3]) for build in range(1, 121)),
        image(f"{STEM}/2.10.0/1", 50, amis=[{"region": "us-east-1"}, {"region": "eu-west-1"}]),
        image(f"{STEM}/2.9.0/1", 50),
        image(f"{STEM}/2.9.0/2", 50),
        image(f"{STEM.replace('web', 'other')}/1.0.0/1", 1),
        image(
            f"{STEM.replace('us-east-1', 'eu-west-1')}/9.0.0/1",
            1,
            type="DOCKER",
            containers=[{"region": "eu-west-1", "repository": "web", "tag": "9"}],
        ),
    ]
}


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator(SEED) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def emulator(running: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """Reached through boto3's own chain and environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "emulator")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "emulator")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return running


def names(found: list[ImageBuildVersion]) -> list[str]:
    return [each.arn.rpartition("image/")[2] for each in found]


def test_the_builds_of_one_version() -> None:
    """All pages are followed, newest first."""
    found = get_image_build_versions(f"{STEM}/1.0.0")
    assert [each.build for each in found] == list(range(120, 0, -1))


def test_the_builds_of_all_versions_by_name() -> None:
    """Builds of one instant are in the order of their versions, which is one of numbers, not of text."""
    found = get_image_build_versions("web")
    assert names(found)[:4] == ["web/2.10.0/1", "web/2.9.0/2", "web/2.9.0/1", "web/1.0.0/120"]
    assert len(found) == 123


def test_what_is_told_of_a_build() -> None:
    """Attributes, and as a dict the same: a program may export it."""
    (found,) = get_image_build_versions(f"{STEM}/2.10.0")
    assert (found.name, found.version, found.build, found.state, found.type) == ("web", "2.10.0", 1, "AVAILABLE", "AMI")
    assert datetime.fromisoformat(found.date_created.replace("Z", "+00:00")) == NEWEST - timedelta(days=50)
    assert [ami["region"] for ami in found.amis] == ["us-east-1", "eu-west-1"]
    assert all(ami["image"].startswith("ami-") for ami in found.amis)
    assert found.containers == []
    assert found["arn"] == found.arn


def test_containers_in_another_region() -> None:
    """A region is for names."""
    (found,) = get_image_build_versions("web", region="eu-west-1")
    assert (found.type, found.amis) == ("DOCKER", [])
    assert found.containers == [
        {"region": "eu-west-1", "image_uris": ["123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:9"]}
    ]


def test_the_newest_are_skipped_before_anything_else() -> None:
    """`skip_newest` counts all builds, whatever their state."""
    found = get_image_build_versions(f"{STEM}/1.0.0", skip_newest=3, states=["AVAILABLE"])
    assert [each.build for each in found][:3] == [117, 114, 111]
    assert get_image_build_versions(f"{STEM}/1.0.0", skip_newest=500) == []


@pytest.mark.parametrize("older_than", ["49d", "7w", timedelta(days=49), "1176h"])
def test_older_than(older_than: str | timedelta) -> None:
    """An age in any of its forms."""
    assert len(get_image_build_versions("web", older_than=older_than)) == 123
    assert len(get_image_build_versions("web", older_than="51d")) == 120


def test_ages_are_by_the_services_clock(emulator: Emulator) -> None:
    """This machine's clock may be wrong: what counts is the time that it is for the service."""
    before = emulator.clock.offset
    emulator.clock.advance(timedelta(days=365))
    try:
        assert len(get_image_build_versions("web", older_than="366d")) == 123
    finally:
        emulator.clock.restore(before)


def test_no_such_image() -> None:
    """A retention rule may come before the first build."""
    assert get_image_build_versions("nothing") == []
    assert get_image_build_versions(f"{STEM}/7.0.0") == []


def test_the_order_is_not_the_services() -> None:
    """However the service lists them."""

    class Shuffled:
        async def call(self, region: str, operation: str, **parameters: Any) -> dict[str, Any]:
            listed = [
                {"arn": f"{STEM}/1.0.{patch}/{build}", "dateCreated": date, "state": {"status": "AVAILABLE"}}
                for patch in (2, 10)
                for build in (1, 2)
                for date in ("2026-01-31T00:00:00.5Z",)
            ]
            random.shuffle(listed)
            return {"imageSummaryList": listed}

    found, _ = asyncio.run(builds.builds_of(Shuffled(), "us-east-1", "web", asked="listing"))  # type: ignore[arg-type]
    assert [each["arn"] for each in found] == [f"{STEM}/1.0.{end}" for end in ("10/2", "10/1", "2/2", "2/1")]


def test_a_fault_is_waited_out(emulator: Emulator) -> None:
    """As everywhere: what passes by itself is asked again."""
    emulator.faults.add("ListImageBuildVersions throttle first=2")
    try:
        assert len(get_image_build_versions(f"{STEM}/2.9.0")) == 2
    finally:
        emulator.faults.clear()


BAD: list[tuple[dict[str, Any], str]] = [
    ({"image": ""}, "image: '' is not valid; expected the name of an image, or the ARN of a version"),
    (
        {"image": f"{STEM}/1.0.0/1"},
        f'image: "{STEM}/1.0.0/1" is not the ARN of an image version; expected an ARN such as '
        '"arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3", without the number of a build, '
        "or the name of an image",
    ),
    (
        {"image": f"{STEM}/1.0.0", "region": "eu-west-1"},
        f'region: "eu-west-1" is not the region in "{STEM}/1.0.0"; leave it out',
    ),
    ({"older_than": "90 days"}, "older_than: '90 days' is not valid; expected an age such as 90d, 12h or 2w"),
    ({"older_than": 90}, "older_than: 90 is not valid; expected an age such as 90d, 12h or 2w"),
    (
        {"older_than": timedelta(days=-1)},
        "older_than: -1 day, 0:00:00 is negative; expected an age such as 90d, 12h or 2w",
    ),
    ({"older_than": f"{10**12}d"}, "older_than: '1000000000000d' is longer than there has been time"),
    ({"skip_newest": -1}, "skip_newest: -1 is negative; expected a whole number from 0"),
    ({"skip_newest": 1.5}, "skip_newest: 1.5 is not valid; expected a whole number from 0"),
    ({"skip_newest": True}, "skip_newest: True is not valid; expected a whole number from 0"),
    (
        {"states": ["GONE"]},
        "states: 'GONE' is not valid; expected one of PENDING, CREATING, BUILDING, TESTING, DISTRIBUTING, INTEGRATING, "
        "AVAILABLE, CANCELLED, FAILED, DEPRECATED, DELETED, DISABLED",
    ),
    (
        {"states": "AVAILABLE"},
        "states: 'AVAILABLE' is not valid; expected a list of states, each one of PENDING, CREATING, BUILDING, "
        "TESTING, DISTRIBUTING, INTEGRATING, AVAILABLE, CANCELLED, FAILED, DEPRECATED, DELETED, DISABLED",
    ),
]


@pytest.mark.parametrize(("arguments", "told"), BAD, ids=[told.partition(" is ")[0] for _, told in BAD])
def test_bad_input(emulator: Emulator, arguments: dict[str, Any], told: str) -> None:
    """One line, and no call."""
    before = emulator.requests.counts()
    with pytest.raises(pulumi.RunError) as failure:
        get_image_build_versions(**{"image": "web", **arguments})
    assert str(failure.value) == told
    assert emulator.requests.counts() == before


def test_no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name needs a region from somewhere."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(pulumi.RunError) as failure:
        get_image_build_versions("web")
    assert str(failure.value) == "no region was given: name one, or set aws:region in the stack's configuration"


def test_a_refusal_is_one_line(emulator: Emulator) -> None:
    """It says what was asked, and what the service said."""
    emulator.faults.add("ListImageBuildVersions error=ForbiddenException")
    try:
        with pytest.raises(pulumi.RunError, match=r"^listing the builds of image web: ForbiddenException: .*$"):
            get_image_build_versions("web")
    finally:
        emulator.faults.clear()


def test_the_output_form() -> None:
    """Inputs may be outputs, and a timedelta."""

    async def program() -> list[ImageBuildVersion]:
        image, skipped = pulumi.Output.from_input("web"), pulumi.Output.from_input(3.0)
        found = get_image_build_versions_output(image, skip_newest=skipped, older_than=timedelta(days=300, hours=12))  # type: ignore[arg-type]
        return await found.future() or []

    assert [each.build for each in asyncio.run(program())][:2] == [99, 98]
