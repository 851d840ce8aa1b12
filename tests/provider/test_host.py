"""What the provider's process does against the local Image Builder, and what it tells of it; no engine around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator
from pulumi.dynamic import Config
from pulumi_imagebuilder.dynamic import fleets
from pulumi_imagebuilder.dynamic.host import Host
from pulumi_imagebuilder.lifecycle import rhythm

STEM = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0"
IMAGE, OTHER, MANY = (f"{STEM}/{build}" for build in (1, 2, 3))
SEED = {
    "roles": ["ImageLifecycle"],
    "images": [
        {"arn": IMAGE, "amis": [{}, {"tags": {"keep": "yes"}}]},
        {"arn": OTHER, "amis": [{}]},
        {"arn": MANY, "amis": [{"tags": {"keep": "yes"}}] * 12},
    ],
}
UPDATE = {"state": "DEPRECATED", "execution_role": "ImageLifecycle", "include_resources": {"amis": True}, "wait": True}
AHEAD = "2099-01-31T00:00:00Z"


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator(SEED, execution_time="100ms") as emulator:
        yield emulator


@pytest.fixture
def emulator(running: Emulator) -> Emulator:
    running.reset()
    return running


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow upon each other so quickly that no test waits for seconds."""
    monkeypatch.setattr(rhythm, "poll_delay", lambda elapsed: 0.05)


class Row:
    """Stands for the engine: notes what stays to be read."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def show(self, urn: str, text: str) -> None:
        assert urn == "urn"

    def tell(self, urn: str, text: str) -> None:
        self.told.append((urn, text))

    def warn(self, urn: str, text: str) -> None:
        self.told.append((urn, f"warning: {text}"))


@pytest.fixture
def row() -> Row:
    return Row()


@pytest.fixture
def host(emulator: Emulator, row: Row) -> Host:
    endpoints = f'[{{"imagebuilder": "{emulator.url}"}}]'
    settings = {"aws:accessKey": "emulator", "aws:secretKey": "emulator", "aws:endpoints": endpoints}
    return Host(Config(settings, "project"), row)  # type: ignore[arg-type]


def declared(arn: str = IMAGE, **more: Any) -> dict[str, Any]:
    return {"__urn": "urn", "resource_arn": arn, **more}


def clean_up(arn: str = IMAGE, **more: Any) -> dict[str, Any]:
    return declared(arn, execution_role="ImageLifecycle", **more)


def test_an_image_is_cleaned_up_once(emulator: Emulator, host: Host, row: Row) -> None:
    """There is nothing to tell of one that went with all under it, nor of one that it did so before."""
    host.clean_up(clean_up())
    assert IMAGE not in emulator.backend.images
    host.clean_up(clean_up())
    assert row.told == []
    assert len(emulator.backend.executions) == 1


def test_what_a_clean_up_leaves_out_is_named(emulator: Emulator, host: Host, row: Row) -> None:
    """The record stays for it; the same clean-up once more starts nothing, and says the same."""
    rules = {"amis": {"tag_map": {"keep": "yes"}}}
    kept = emulator.backend.images[IMAGE].amis[1].id
    for _ in range(2):
        host.clean_up(clean_up(exclusion_rules=rules))
    told = f"the record of image {IMAGE} is kept, for the exclusion rules left out {kept} (us-east-1)"
    assert row.told == [("urn", told)] * 2
    assert len(emulator.backend.executions) == 1


def test_only_some_of_many_that_are_left_out_are_named(host: Host, row: Row) -> None:
    """Ten, and how many more there are."""
    host.clean_up(clean_up(MANY, exclusion_rules={"amis": {"tag_map": {"keep": "yes"}}}))
    ((_, told),) = row.told
    assert told.count("ami-") == 10
    assert told.endswith(" and 2 more")


@pytest.mark.parametrize("changed", [False, True])
def test_an_image_whose_record_alone_was_deleted(emulator: Emulator, host: Host, row: Row, changed: bool) -> None:
    """It may have left something behind, which nothing but a person can delete: no execution of it shows otherwise."""
    if changed:
        host.apply(declared(OTHER, **UPDATE), "create")
    emulator.client("imagebuilder").delete_image(imageBuildVersionArn=OTHER)
    host.clean_up(clean_up(OTHER))
    assert row.told == [
        (
            "urn",
            f"warning: image {OTHER} is gone already, and no lifecycle execution deleted it: AMIs, snapshots or "
            "containers of it that are still there are to be deleted by hand",
        )
    ]


@pytest.mark.parametrize(("on_destroy", "ended"), [("cancel", ["CANCELLED"]), ("restore", ["CANCELLED", "SUCCESS"])])
def test_what_was_scheduled_is_cancelled_when_it_goes(
    emulator: Emulator, host: Host, on_destroy: str, ended: list[str]
) -> None:
    """Whether that is all there is to do, or the AMIs are brought back too."""
    inputs = declared(**UPDATE, update_at=AHEAD, on_destroy=on_destroy)
    record = host.apply(inputs, "create")
    assert record["status"] == "PENDING"
    host.destroy({**inputs, **record})
    assert [each.status for each in emulator.backend.executions.values()] == ended
    assert emulator.backend.images[IMAGE].state == "AVAILABLE"


def test_a_fleet_that_goes_cancels_what_was_scheduled(emulator: Emulator, host: Host) -> None:
    """For each of its images."""
    fleet = {"__urn": "urn", "resource_arns": [IMAGE, OTHER], **UPDATE, "on_destroy": "cancel"}
    scheduled = {**fleet, "update_at": AHEAD}
    record = fleets.apply(host, scheduled, "create", {}, again=fleet["resource_arns"], removed=())
    fleets.destroy(host, {**scheduled, **record})
    assert [each.status for each in emulator.backend.executions.values()] == ["CANCELLED"] * 2
    assert {image.state for image in emulator.backend.images.values()} == {"AVAILABLE"}


def test_an_image_of_a_fleet_that_has_vanished(emulator: Emulator, host: Host) -> None:
    """It is told, with what to do; of the others the record is as it was."""
    fleet = {"__urn": "urn", "resource_arns": [IMAGE, OTHER], **UPDATE, "on_destroy": "retain"}
    record = fleets.apply(host, fleet, "create", {}, again=fleet["resource_arns"], removed=())
    emulator.client("imagebuilder").delete_image(imageBuildVersionArn=OTHER)
    found = fleets.refresh(host, {**fleet, **record})
    assert found["__drift"] == {OTHER: "the image is gone, take it out of resource_arns"}
    assert found["executions"] == {
        IMAGE: record["executions"][IMAGE],
        OTHER: {**record["executions"][OTHER], "image_state": "DELETED"},
    }
