"""Which builds are chosen, whatever the service lists."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest
from pulumi_imagebuilder.aws.service import Service
from pulumi_imagebuilder.errors import ImageBuilderError, PermanentError, ServiceError, TimedOut
from pulumi_imagebuilder.lifecycle import listing, references
from pulumi_imagebuilder.lifecycle.entities import PAGE_SIZE

STEM = "arn:aws:imagebuilder:us-east-1:123456789012:image/web"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
EXAMPLE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3"

Find = Callable[..., list[str]]


def build(number: int, state: str = "AVAILABLE", *, days: float | None = None, **more: Any) -> dict[str, Any]:
    """Return a build as the service lists it; the higher its number the newer it is."""
    at = NOW - timedelta(days=1000 - number if days is None else days)
    return {
        "arn": f"{STEM}/1.0.0/{number}",
        "name": "web",
        "dateCreated": at.isoformat(),
        "state": {"status": state},
        "type": "AMI",
        **more,
    }


@dataclass
class ListedBuilds:
    """The service's list: its pages are given, and what it is asked for is kept."""

    pages_of: list[list[dict[str, Any]]]
    calls: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None

    async def pages(self, service: str, region: str, operation: str, **parameters: Any) -> AsyncIterator[Any]:
        self.calls.append({"service": service, "region": region, "operation": operation, **parameters})
        if self.error:
            raise self.error
        headers = {"date": format_datetime(NOW, usegmt=True)}
        for page in self.pages_of:
            yield {"imageSummaryList": page, "ResponseMetadata": {"HTTPHeaders": headers}}

    def default_region(self) -> str:
        return "us-east-1"


def find(service: ListedBuilds, image: str = "web", **arguments: Any) -> list[dict[str, Any]]:
    return asyncio.run(listing.find_build_versions(service, image, **arguments))  # type: ignore[arg-type]


def numbers(builds: list[dict[str, Any]], image: str = "web", **arguments: Any) -> list[int]:
    return [found["build"] for found in find(ListedBuilds([builds]), image, **arguments)]


def test_builds_that_were_good_and_exist_are_the_default() -> None:
    """All other states are asked for by name."""
    builds = [build(number, state) for number, state in enumerate(listing.image_states(), 1)]
    states = dict(enumerate(listing.image_states(), 1))
    assert {states[number] for number in numbers(builds)} == {"AVAILABLE", "DEPRECATED", "DISABLED"}
    for number, state in states.items():
        assert numbers(builds, states=[state]) == [number]


@pytest.mark.parametrize("state", sorted(set(listing.image_states()) - set(listing.SETTLED_STATES)))
def test_builds_that_are_not_settled_take_no_place_among_the_newest(state: str) -> None:
    """Three that failed do not make room for the deletion of all that are good."""
    builds = [build(1), build(2, "DEPRECATED"), build(3, "DISABLED"), build(4), *(build(n, state) for n in (5, 6, 7))]
    assert numbers(builds, skip_newest=3) == [1]
    assert numbers(builds, skip_newest=4) == []
    assert numbers(builds, skip_newest=3, states=["AVAILABLE", state]) == [7, 6, 5, 1]


def test_the_newest_are_left_out_before_other_filters() -> None:
    """Of all that are settled, whatever states are asked for."""
    builds = [build(1, "DEPRECATED"), build(2), build(3), build(4, "DISABLED"), build(5, "DISABLED")]
    assert numbers(builds, skip_newest=2, states=["AVAILABLE", "DEPRECATED"]) == [3, 2, 1]
    assert numbers(builds, skip_newest=2, older_than="1d") == [3, 2, 1]
    assert numbers(builds, skip_newest=4.0) == [1]


@pytest.mark.parametrize("page_size", [1, 2, 7])
@pytest.mark.parametrize("seed", range(3))
def test_order_and_pages_do_not_depend_on_the_service(page_size: int, seed: int) -> None:
    """Shuffled, on short and empty pages, and with builds on two pages since one came in between."""
    builds = [build(number, days=5) for number in (1, 2, 10)] + [build(number, days=4) for number in (3, 11)]
    random.Random(seed).shuffle(builds)
    pages = [builds[at : at + page_size] for at in range(0, len(builds), page_size)]
    service = ListedBuilds([[], *pages, builds[:1], []])
    assert [found["build"] for found in find(service)] == [11, 3, 10, 2, 1]


def test_versions_are_ordered_by_number() -> None:
    """Builds of the same instant: 1.10.0 is newer than 1.9.0."""
    builds = [{**build(1, days=1), "arn": f"{STEM}/1.{minor}.0/1"} for minor in (9, 10)]
    assert [found["version"] for found in find(ListedBuilds([builds]))] == ["1.10.0", "1.9.0"]


@pytest.mark.parametrize("other", ["website", "my-web", "Web", "WEB", "web ", "web-app"])
@pytest.mark.parametrize("named", [True, False])
def test_only_builds_of_the_very_name_are_chosen(other: str, named: bool) -> None:
    """Whatever the service's filter matches; without a name in the answer, the one in the ARN decides."""
    strange = {**build(2), "name": other, "arn": f"{STEM.replace('web', 'other')}/1.0.0/2"}
    own = build(1)
    if not named:
        del strange["name"], own["name"]
    assert numbers([own, strange]) == [1]


def test_a_name_with_spaces_and_capitals_is_found() -> None:
    """In the ARN it is in lower case and with hyphens; as long as the service tells the name, that decides."""
    web = {**build(1), "name": "Web Server_2", "arn": f"{STEM}-server-2/1.0.0/1"}
    assert numbers([web], "Web Server_2") == [1]
    assert numbers([web], "web-server-2") == []
    del web["name"]
    assert numbers([web], "Web Server_2") == [1]


def test_only_builds_of_the_very_version_are_chosen() -> None:
    """And the account in its ARN is held against the account guard."""
    service = ListedBuilds(
        [[build(1), {**build(2), "arn": f"{STEM}/1.0.01/2"}, {**build(3), "arn": f"{STEM}x/1.0.0/3"}]]
    )
    assert [found["build"] for found in find(service, f"{STEM}/1.0.0")] == [1]
    (call,) = service.calls
    assert (call["region"], call["account"], call["imageVersionArn"]) == ("us-east-1", "123456789012", f"{STEM}/1.0.0")
    assert call["maxResults"] == PAGE_SIZE

    service = ListedBuilds([[]])
    assert find(service, region="eu-west-1") == []
    (call,) = service.calls
    assert (call["region"], call["account"]) == ("eu-west-1", None)
    assert call["filters"] == [{"name": "name", "values": ["web"]}]


def test_builds_of_a_version_are_listed_in_the_region_of_its_arn() -> None:
    """Whatever the default is; to name the same region again is no mistake."""
    version = f"{STEM}/1.0.0".replace("us-east-1", "eu-west-1")
    for arguments in ({}, {"region": "eu-west-1"}):
        service = ListedBuilds([[]])
        assert find(service, version, **arguments) == []
        assert [call["region"] for call in service.calls] == ["eu-west-1"]


@pytest.mark.parametrize("age", ["10d", "240h", timedelta(days=10), "14400m", "864000s"])
def test_ages_are_counted_back_from_the_services_time(age: str | timedelta) -> None:
    """This machine's clock may be wrong."""
    builds = [build(1, days=10.01), build(2, days=9.99), {**build(3), "dateCreated": "unreadable"}]
    assert numbers(builds, older_than=age) == [1, 3]
    deprecated = [
        build(number, "DEPRECATED", deprecationTime=NOW - timedelta(days=days))
        for number, days in [(1, 10.01), (2, 9.99)]
    ]
    assert numbers(deprecated, deprecated_for=age) == [1]


def test_only_builds_that_are_deprecated_have_been_for_a_time() -> None:
    """Disabled since counts: the fleet that disabled it still declares it. Restored, ahead and unknown do not."""
    past, ahead = NOW - timedelta(days=60), NOW + timedelta(days=60)
    builds = [
        build(1, "DEPRECATED", deprecationTime=past),
        build(2, "DISABLED", deprecationTime=past),
        build(3, "AVAILABLE", deprecationTime=past),
        build(4, "AVAILABLE", deprecationTime=ahead),
        build(5, "DEPRECATED", deprecationTime=ahead),
        build(6, "DEPRECATED"),
        build(7),
    ]
    assert numbers(builds, deprecated_for="30d") == [2, 1]
    assert numbers(builds, deprecated_for="61d") == []
    assert numbers(builds, deprecated_for="999999d", older_than="999999d") == []


@dataclass
class Missing:
    region: str
    account_id: str
    reason: str
    error: ImageBuilderError | None = None


@dataclass
class Used:
    in_use: bool
    failures: list[Missing] = field(default_factory=list)


def test_builds_in_use_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only builds that all other filters have passed are looked at, and none where there are none."""
    asked: list[list[str]] = []

    async def find_references(service: Service, arns: list[str], *, images: dict[str, Any]) -> dict[str, Used]:
        asked.append(arns)
        assert [images[arn]["arn"] for arn in arns] == arns
        return {arn: Used(arn.endswith("/2")) for arn in arns}

    monkeypatch.setattr(references, "find_references", find_references)
    builds = [build(1), build(2), build(3), build(4, "FAILED")]
    assert numbers(builds, skip_newest=1, unused=True) == [1]
    assert asked == [[f"{STEM}/1.0.0/2", f"{STEM}/1.0.0/1"]]
    assert numbers([], unused=True) == []
    assert numbers(builds, unused=False) == [3, 2, 1]
    assert len(asked) == 1


def test_builds_that_may_be_in_use_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing right must not read as "unused"; of a build that is in use anyway it does not matter."""
    missing = Missing(
        "us-east-1", "123456789012", "no", ServiceError("UnauthorizedOperation: no", "UnauthorizedOperation")
    )
    found = {f"{STEM}/1.0.0/1": Used(False), f"{STEM}/1.0.0/2": Used(True, [missing])}

    async def find_references(service: Service, arns: list[str], *, images: dict[str, Any]) -> dict[str, Used]:
        return found

    monkeypatch.setattr(references, "find_references", find_references)
    assert numbers([build(1), build(2)], unused=True) == [1]
    found[f"{STEM}/1.0.0/1"] = Used(False, [missing])
    with pytest.raises(ServiceError, match=r"^listing the builds of image web: UnauthorizedOperation: no"):
        numbers([build(1), build(2)], unused=True)


def test_a_build_in_the_words_of_the_outputs() -> None:
    """Every key is there, also where the service tells little."""
    assert find(ListedBuilds([[{"arn": f"{STEM}/1.2.3/4", "state": {"status": "AVAILABLE"}}]])) == [
        {
            "arn": f"{STEM}/1.2.3/4",
            "name": "web",
            "version": "1.2.3",
            "build": 4,
            "state": "AVAILABLE",
            "type": None,
            "date_created": "",
            "deprecation_time": None,
            "amis": [],
            "containers": [],
        }
    ]
    (found,) = find(ListedBuilds([[build(1, deprecationTime=NOW + timedelta(hours=1, milliseconds=5))]]))
    assert found["deprecation_time"] == "2026-11-24T01:00:00Z"


def test_errors_say_what_was_attempted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's own, and a time that has run out."""
    refused = ServiceError("ForbiddenException: no", "ForbiddenException")
    with pytest.raises(ServiceError, match=r"^listing the builds of image web: ForbiddenException: no"):
        find(ListedBuilds([], error=refused))

    monkeypatch.setattr(listing, "TIME_LIMIT", 0.0)

    class Silent(ListedBuilds):
        async def pages(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
            await asyncio.Event().wait()
            yield

    with pytest.raises(TimedOut, match=r"^listing the builds of image web: the service did not answer within 0s"):
        find(Silent([]))


STATES = ", ".join(listing.image_states())
BAD: list[tuple[dict[str, Any], str]] = [
    ({"image": ""}, "image: '' is not valid; expected the name of an image, or the ARN of a version"),
    ({"image": None}, "image: None is not valid; expected the name of an image, or the ARN of a version"),
    *(
        (
            {"image": image},
            f'image: "{image}" has a wildcard, which would match several images as if they were one; expected the name '
            "of one image, or the ARN of a version",
        )
        for image in ("web*", "*", "w?b", f"{STEM}/1.*.0")
    ),
    *(
        (
            {"image": image},
            f'image: "{image}" is not the ARN of an image version; expected an ARN such as "{EXAMPLE}", without the '
            "number of a build, or the name of an image",
        )
        for image in (f"{STEM}/1.0.0/1", f"{STEM}/1.0.x", STEM, "arn:aws:ec2:us-east-1::image/ami-1")
    ),
    (
        {"image": f"{STEM}/1.0.0", "region": "eu-west-1"},
        f'region: "eu-west-1" is not the region in "{STEM}/1.0.0"; leave it out',
    ),
    ({"older_than": "90 days"}, "older_than: invalid age '90 days'; expected e.g. 90d, 12h or 2w"),
    ({"older_than": 90}, "older_than: invalid age 90; expected e.g. 90d, 12h or 2w"),
    ({"deprecated_for": "never"}, "deprecated_for: invalid age 'never'; expected e.g. 90d, 12h or 2w"),
    (
        {"deprecated_for": timedelta(days=-1)},
        "deprecated_for: -1 day, 0:00:00 is negative; expected an age such as 90d, 12h or 2w",
    ),
    ({"older_than": f"{10**12}d"}, "older_than: invalid age '1000000000000d'; expected at most 999999999d"),
    ({"skip_newest": -1}, "skip_newest: -1 is negative; expected a whole number from 0"),
    ({"skip_newest": 1.5}, "skip_newest: 1.5 is not valid; expected a whole number from 0"),
    ({"skip_newest": float("inf")}, "skip_newest: inf is not valid; expected a whole number from 0"),
    ({"skip_newest": True}, "skip_newest: True is not valid; expected a whole number from 0"),
    ({"states": ["GONE"]}, f"states: 'GONE' is not valid; expected one of {STATES}"),
    ({"states": "AVAILABLE"}, f"states: 'AVAILABLE' is not valid; expected a list of states, each one of {STATES}"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD, ids=[f"{list(arguments.values())[-1]}" for arguments, _ in BAD])
def test_invalid_arguments_are_refused_before_any_call(arguments: dict[str, Any], text: str) -> None:
    """One line that names the argument."""
    service = ListedBuilds([[]])
    with pytest.raises(PermanentError) as failure:
        find(service, **{"image": "web", **arguments})
    assert str(failure.value) == text
    assert service.calls == []


def test_references_in_the_words_of_the_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """One entry an image, in the order of the ARNs, each image once, and only what the outputs have."""
    use = SimpleNamespace(kind="k", arn="a", name="n", detail="d", ami_id="ami-2", region="r", counts=True)
    ami = SimpleNamespace(**dict.fromkeys(listing._REFERENCE_KEYS["amis"], "x"), tags={})
    ami.ami_id, ami.snapshots = "x", ("snap-1",)

    async def find_references(service: Service, arns: list[str]) -> dict[str, Any]:
        return {
            arn: SimpleNamespace(
                amis=[ami],
                used_by=[use] * (arn[-1] == "2"),
                not_looked_up=[Missing("r", "1", "why")],
                in_use=arn[-1] == "2",
            )
            for arn in sorted(arns)
        }

    monkeypatch.setattr(references, "find_references", find_references)
    arns = [f"{STEM}/1.0.0/{number}" for number in (2, 1, 2)]
    found = asyncio.run(listing.find_image_references(ListedBuilds([]), arns))  # type: ignore[arg-type]
    assert [(one["arn"], one["in_use"]) for one in found] == [(arns[0], True), (arns[1], False)]
    assert found[0]["amis"] == [{**dict.fromkeys(listing._REFERENCE_KEYS["amis"], "x"), "snapshots": ["snap-1"]}]
    assert found[0]["used_by"] == [
        {"kind": "k", "arn": "a", "name": "n", "detail": "d", "image": "ami-2", "region": "r"}
    ]
    assert found[0]["not_looked_up"] == [{"region": "r", "account_id": "1", "reason": "why"}]


@pytest.mark.parametrize(
    ("arns", "named"),
    [
        (STEM, STEM),
        ([f"{STEM}/1.0.0"], f"{STEM}/1.0.0"),
        ([f"{STEM}/1.0.0/1", "ami-1"], "ami-1"),
        ([4], "4"),
        (None, "None"),
    ],
)
def test_references_of_what_is_no_image_are_refused(arns: Any, named: str) -> None:
    """In one line that names the argument and what is wrong in it."""
    with pytest.raises(ImageBuilderError, match=rf"^resource_arns: .*\b{named}\b.*; expected an? .*$"):
        asyncio.run(listing.find_image_references(ListedBuilds([]), arns))  # type: ignore[arg-type]
    assert asyncio.run(listing.find_image_references(ListedBuilds([]), [])) == []  # type: ignore[arg-type]
