"""The functions that ask AWS: against the emulator, and under Pulumi's mocks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pulumi
import pytest
from imagebuilder_emulator.emulator import Emulator
from pulumi.runtime import config
from pulumi_imagebuilder import (
    FleetStateUpdate,
    ImageBuildVersion,
    ImageReferences,
    get_image_build_versions,
    get_image_build_versions_output,
    get_image_references,
    get_image_references_output,
)

if TYPE_CHECKING:
    from conftest import MockEngine

STEM = "arn:aws:imagebuilder:us-east-1:123456789012:image/web"
NEWEST = datetime.now(UTC).replace(microsecond=0)
STATES = ("AVAILABLE", "DEPRECATED", "DISABLED")
BUILDS, REFERENCES = "imagebuilder:index:getImageBuildVersions", "imagebuilder:index:getImageReferences"


def image(arn: str, days_ago: int, **more: Any) -> dict[str, Any]:
    return {"arn": arn, "date_created": (NEWEST - timedelta(days=days_ago)).isoformat(), **more}


SEED = {
    "images": [
        # Out of order, over more than one page, and three of an age.
        *(image(f"{STEM}/1.0.0/{build}", 400 - build, state=STATES[build % 3]) for build in range(1, 121)),
        image(f"{STEM}/2.10.0/1", 50, amis=[{"region": "us-east-1"}, {"region": "eu-west-1"}]),
        image(f"{STEM}/2.9.0/1", 50),
        image(f"{STEM}/2.9.0/2", 50),
        image(f"{STEM.replace('web', 'website')}/1.0.0/1", 1),
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


@pytest.fixture
def emulator(running: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """Reached through boto3's own chain and environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "emulator")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "emulator")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return running


@pytest.fixture
def configure() -> Iterator[Callable[[dict[str, str]], None]]:
    """Set the stack's configuration."""
    yield config.set_all_config
    config.set_all_config({})


def names(found: list[ImageBuildVersion]) -> list[str]:
    return [each.arn.rpartition("image/")[2] for each in found]


def test_the_builds_of_one_version(emulator: Emulator) -> None:
    """All pages are read, newest first."""
    found = get_image_build_versions(f"{STEM}/1.0.0")
    assert [each.build for each in found] == list(range(120, 0, -1))
    assert get_image_build_versions(f"{STEM}/7.0.0") == []


def test_the_builds_of_all_versions_by_name(emulator: Emulator) -> None:
    """And of no image whose name begins with it; there may be none yet."""
    found = get_image_build_versions("web")
    assert names(found)[:4] == ["web/2.10.0/1", "web/2.9.0/2", "web/2.9.0/1", "web/1.0.0/120"]
    assert len(found) == 123
    assert get_image_build_versions("nothing") == []


def test_the_filters_of_builds(emulator: Emulator) -> None:
    """All of them reach the listing."""
    found = get_image_build_versions(f"{STEM}/1.0.0", skip_newest=3, states=["AVAILABLE"], older_than="300d")
    assert [each.build for each in found][:3] == [99, 96, 93]
    assert get_image_build_versions(f"{STEM}/1.0.0", skip_newest=500) == []
    assert get_image_build_versions("web", deprecated_for="36500d") == []


def test_the_attributes_of_a_build(emulator: Emulator) -> None:
    """As a dict the same: a program may export it."""
    (found,) = get_image_build_versions(f"{STEM}/2.10.0")
    assert (found.name, found.version, found.build, found.state, found.type) == ("web", "2.10.0", 1, "AVAILABLE", "AMI")
    assert datetime.fromisoformat(found.date_created) == NEWEST - timedelta(days=50)
    assert found.deprecation_time is None
    assert [ami["region"] for ami in found.amis] == ["us-east-1", "eu-west-1"]
    assert all(ami["image"].startswith("ami-") for ami in found.amis)
    assert found.containers == []
    assert found["arn"] == found.arn
    assert json.loads(json.dumps(found))["build"] == 1


def test_containers_in_another_region(emulator: Emulator) -> None:
    """A region is for names."""
    (found,) = get_image_build_versions("web", region="eu-west-1")
    assert (found.type, found.amis) == ("DOCKER", [])
    assert found.containers == [
        {"region": "eu-west-1", "image_uris": ["123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:9"]}
    ]


def test_errors_are_run_errors_of_one_line(emulator: Emulator) -> None:
    """Invalid arguments, and what the service refuses."""
    with pytest.raises(pulumi.RunError, match=r'^image: "web\*" has a wildcard, .*$'):
        get_image_build_versions("web*")
    emulator.faults.add("ListImageBuildVersions error=ForbiddenException")
    try:
        with pytest.raises(pulumi.RunError, match=r"^listing the builds of image web: ForbiddenException: .*$"):
            get_image_build_versions("web")
    finally:
        emulator.faults.clear()
    with pytest.raises(pulumi.RunError, match=r"^resource_arns: .*$"):
        get_image_references(["ami-1"])


def test_the_stacks_configuration_is_used(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, configure: Callable[[dict[str, str]], None]
) -> None:
    """Credentials, region and endpoints of the stack, with nothing in the environment."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    configure(
        {
            "aws:accessKey": "emulator",
            "aws:secretKey": "emulator",
            "aws:region": "eu-west-1",
            "aws:endpoints": json.dumps([{"imagebuilder": emulator.url}]),
        }
    )
    assert names(get_image_build_versions("web")) == ["web/9.0.0/1"]


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("forbiddenAccountIds", '["123456789012"]', "account 123456789012"),
        ("allowedAccountIds", '["210987654321"]', "account 123456789012"),
        ("assumeRoleWithWebIdentity", "{}", "aws:assumeRoleWithWebIdentity"),
        ("customCaBundle", "/nowhere/ca.pem", "/nowhere/ca.pem"),
        ("useFipsEndpoint", "perhaps", "aws:useFipsEndpoint"),
        ("sharedCredentialsFiles", '["/nowhere/credentials"]', "aws:sharedCredentialsFiles"),
    ],
)
def test_no_part_of_the_configuration_is_passed_over(
    emulator: Emulator, configure: Callable[[dict[str, str]], None], setting: str, value: str, text: str
) -> None:
    """Guards, roles and ways: each that cannot be satisfied is an error, and no build is listed."""
    configure({f"aws:{setting}": value})
    before = emulator.requests.counts().get("ListImageBuildVersions", 0)
    with pytest.raises(pulumi.RunError, match=text):
        get_image_build_versions(f"{STEM}/1.0.0")
    assert emulator.requests.counts().get("ListImageBuildVersions", 0) == before


def test_the_output_form(emulator: Emulator) -> None:
    """Inputs may be outputs, doubles and timedeltas; a secret makes the result one."""

    async def program() -> tuple[list[ImageBuildVersion], bool, bool]:
        found = get_image_build_versions_output(
            pulumi.Output.from_input("web"),
            skip_newest=pulumi.Output.from_input(3.0),  # type: ignore[arg-type]
            older_than=timedelta(days=300, hours=12),
        )
        later = get_image_build_versions_output(pulumi.Output.secret("web"), older_than=pulumi.Output.from_input("1d"))
        return await found.future() or [], await found.is_secret(), await later.is_secret()

    found, plain, secret = asyncio.run(program())
    assert [each.build for each in found][:2] == [99, 98]
    assert (plain, secret) == (False, True)


def test_mocks_are_asked_for_builds(engine: MockEngine) -> None:
    """As with the functions of other packages: camelCase, only what was given, and nothing of AWS."""
    amis = [{"region": "us-east-1", "image": "ami-1", "accountId": "123456789012"}]
    engine.answers[BUILDS] = {
        "imageBuildVersions": [{"arn": f"{STEM}/1.0.0/2", "build": 2, "dateCreated": "2026-01-31", "amis": amis}]
    }
    found: list[ImageBuildVersion] = []

    def program() -> None:
        found.extend(
            get_image_build_versions(
                "web", older_than=timedelta(days=90), deprecated_for=timedelta(hours=36), unused=True
            )
        )
        arns = [build.arn for build in found]
        FleetStateUpdate("old", resource_arns=arns, state="DISABLED")

    engine.run(program)

    (call,) = engine.calls
    assert (call.token, call.args) == (
        BUILDS,
        {"image": "web", "olderThan": "90d", "deprecatedFor": "129600s", "skipNewest": 0, "unused": True},
    )
    (build,) = found
    assert (build.arn, build.build, build.date_created, build.state) == (f"{STEM}/1.0.0/2", 2, "2026-01-31", None)
    assert type(build.build) is int
    assert build.amis == [{"region": "us-east-1", "image": "ami-1", "account_id": "123456789012"}]
    assert engine.inputs("old")["resource_arns"] == [f"{STEM}/1.0.0/2"]


def test_mocks_are_asked_for_references(engine: MockEngine) -> None:
    """In both forms."""
    use = {"kind": "launch template", "arn": "lt", "name": "web", "detail": "$Default", "image": "ami-1"}
    engine.answers[REFERENCES] = {
        "imageReferences": [
            {"arn": f"{STEM}/1.0.0/2", "usedBy": [use], "notLookedUp": [{"accountId": "1"}], "inUse": True}
        ]
    }
    found: list[ImageReferences] = []

    def program() -> None:
        found.extend(get_image_references([f"{STEM}/1.0.0/2"]))
        get_image_references_output([pulumi.Output.from_input(f"{STEM}/1.0.0/2")]).apply(found.extend)

    engine.run(program)

    assert [(call.token, call.args) for call in engine.calls] == [
        (REFERENCES, {"resourceArns": [f"{STEM}/1.0.0/2"]})
    ] * 2
    assert len(found) == 2
    assert found[0] == found[1]
    assert found[0].in_use is True
    assert found[0].used_by == [use]
    assert found[0].not_looked_up == [{"account_id": "1"}]


def test_mocks_that_know_nothing_mean_no_builds(engine: MockEngine) -> None:
    """`return {}` is what most tests' mocks answer."""
    found: list[Any] = []
    engine.run(lambda: found.append((get_image_build_versions("web"), get_image_references([]))))
    assert found == [([], [])]


@pytest.mark.parametrize("preview", [True, False])
def test_unknown_inputs_are_not_asked_for(engine: MockEngine, preview: bool) -> None:
    """In a preview the name may come from a resource that does not exist yet: then the builds are unknown, too."""
    known: list[bool] = []

    async def unknown() -> pulumi.Output[str]:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        done.set_result("web")
        flag: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        flag.set_result(not preview)
        return pulumi.Output(set(), done, flag)  # type: ignore[arg-type]

    async def look(found: pulumi.Output[Any]) -> None:
        known.append(await found.is_known())

    def program() -> None:
        name = pulumi.Output.from_input(unknown())
        found = get_image_build_versions_output(name)
        arns = found.apply(lambda builds: [build.arn for build in builds])
        FleetStateUpdate("old", resource_arns=arns, state="DISABLED")
        pulumi.Output.from_input(look(found))

    engine.run(program, preview=preview)
    assert known == [not preview]
    assert len(engine.calls) == (0 if preview else 1)
