"""The emulator as a context manager and as a pytest fixture; its state in a file."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator
from imagebuilder_emulator.state_file import StateError

pytest_plugins = ["pytester"]

ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/{}/1.0.0/1"
SEED: dict[str, Any] = {
    "roles": ["ImageLifecycle"],
    "images": [
        {
            "arn": ARN.format("web"),
            "amis": [
                {
                    "region": "us-east-1",
                    "snapshots": 3,
                    "tags": {"keep": "yes"},
                    "public": True,
                    "deregistration_protection": "with-cooldown",
                    "used_by": {"recipes": ["child", {"name": "box", "kind": "container"}]},
                },
                {"region": "eu-west-1", "shared_accounts": ["111122223333"], "last_launched": "2026-05-01T00:00:00Z"},
            ],
        },
        {"arn": ARN.format("app"), "type": "DOCKER", "containers": [{"region": "us-east-1"}]},
        {"arn": ARN.format("old"), "amis": [{"region": "us-east-1"}]},
    ],
}
AMIS = {"executionRole": "ImageLifecycle", "includeResources": {"amis": True}}


def all_of_aws(emulator: Emulator) -> dict[str, Any]:
    """What a client sees of everything that a state holds."""
    image_builder = emulator.client("imagebuilder")
    images = [
        image_builder.get_image(imageBuildVersionArn=build["arn"])["image"]
        for version in image_builder.list_images()["imageVersionList"]
        for build in image_builder.list_image_build_versions(imageVersionArn=version["arn"])["imageSummaryList"]
    ]
    seen: dict[str, Any] = {"images": images, "executions": {}}
    for image in images:
        for each in image_builder.list_lifecycle_executions(resourceArn=image["arn"])["lifecycleExecutions"]:
            found = image_builder.list_lifecycle_execution_resources(
                lifecycleExecutionId=each["lifecycleExecutionId"], parentResourceId=image["arn"]
            )
            seen["executions"][each["lifecycleExecutionId"]] = (each, found["resources"])
    for region in ("us-east-1", "eu-west-1"):
        ec2 = emulator.client("ec2", region)
        seen[region] = sorted(
            ec2.describe_images(Owners=["self"], IncludeDisabled=True)["Images"], key=lambda image: image["ImageId"]
        )
        for image in seen[region]:
            image["shared"] = ec2.describe_image_attribute(ImageId=image["ImageId"], Attribute="launchPermission")[
                "LaunchPermissions"
            ]
        snapshots = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        seen[f"snapshots {region}"] = sorted(each["SnapshotId"] for each in snapshots)
    seen["recipes"] = [
        image_builder.list_image_recipes()["imageRecipeSummaryList"],
        image_builder.list_container_recipes()["containerRecipeSummaryList"],
    ]
    seen["containers"] = emulator.client("ecr").list_images(repositoryName="app")["imageIds"]
    return seen


def test_a_saved_state_is_the_same_when_it_is_loaded(tmp_path: Path) -> None:
    """Images in all states, a running and a scheduled execution, AMIs as EC2 shows them, tokens, the moved clock."""
    path = tmp_path / "state.json"
    with Emulator(SEED, execution_time="1h", state=path) as emulator:
        client = emulator.client("imagebuilder")
        deleted = {**AMIS, "includeResources": {"amis": True}}
        client.start_resource_state_update(resourceArn=ARN.format("old"), state={"status": "DELETED"}, **deleted)
        emulator.clock.advance(timedelta(days=2))
        asked = {"resourceArn": ARN.format("web"), "state": {"status": "DISABLED"}, "clientToken": "mine", **AMIS}
        first = client.start_resource_state_update(**asked)["lifecycleExecutionId"]
        emulator.clock.advance(timedelta(minutes=45))
        (ami, *_) = emulator.client("ec2").describe_images(Owners=["self"], IncludeDisabled=True)["Images"]
        emulator.client("ec2").disable_image_deregistration_protection(ImageId=ami["ImageId"])
        before = all_of_aws(emulator)
        assert all(before["recipes"])
    assert json.loads(path.read_text())["format"] == 1
    with Emulator({"images": []}, execution_time="1h", state=path) as emulator:
        client = emulator.client("imagebuilder")
        assert without_volumes(all_of_aws(emulator)) == without_volumes(before)
        assert client.start_resource_state_update(**asked)["lifecycleExecutionId"] == first
        emulator.clock.advance(timedelta(hours=1))
        assert client.get_image(imageBuildVersionArn=ARN.format("web"))["image"]["state"]["status"] == "DISABLED"
        emulator.clock.advance(timedelta(days=1))
        assert all_of_aws(emulator)["us-east-1"][0]["DeregistrationProtection"] == "disabled"


def without_volumes(seen: dict[str, Any]) -> Any:
    """Without request ids and such: what the answers say."""
    return json.loads(json.dumps(seen, default=str))


def test_a_schedule_survives_in_a_file(tmp_path: Path) -> None:
    """What is pending comes true in a later emulator."""
    path = tmp_path / "state.json"
    with Emulator(SEED, state=path) as emulator:
        emulator.client("imagebuilder").start_resource_state_update(
            resourceArn=ARN.format("web"),
            state={"status": "DEPRECATED"},
            updateAt=datetime.now(UTC) + timedelta(days=30),
        )
    with Emulator(SEED, state=path) as emulator:
        emulator.clock.advance(timedelta(days=31))
        (image,) = (
            each["image"]
            for each in [emulator.client("imagebuilder").get_image(imageBuildVersionArn=ARN.format("web"))]
        )
        assert image["state"]["status"] == "DEPRECATED"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "{path} is not valid JSON"),
        ("[]", "this is not a state of format 1, as this emulator saves it"),
        ('{"format": 1, "images": [{}]}', None),
        ('{"format": 1, "pictures": []}', None),
    ],
)
def test_what_is_no_state_is_refused(tmp_path: Path, text: str, message: str | None) -> None:
    """Before anything is served."""
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(StateError) as refused:
        Emulator(state=path)
    expected = message or "the state cannot be read: "
    assert str(refused.value).startswith(expected.replace("{path}", str(path)))


def test_the_fixture_takes_the_markers_arguments(pytester: pytest.Pytester) -> None:
    """One line in a conftest, a marker for what is not the default, a fresh emulator for each test."""
    pytester.makeconftest('pytest_plugins = ["imagebuilder_emulator.pytest_plugin"]')
    pytester.makepyfile(
        f"""
        import pytest

        def test_empty(imagebuilder_emulator):
            assert imagebuilder_emulator.client("imagebuilder").list_images()["imageVersionList"] == []

        @pytest.mark.imagebuilder_emulator(seed={{"images": [{{"arn": "{ARN.format("web")}"}}]}})
        def test_seeded(imagebuilder_emulator):
            assert len(imagebuilder_emulator.client("imagebuilder").list_images()["imageVersionList"]) == 1
            assert imagebuilder_emulator.requests.counts() == {{"imagebuilder:ListImages": 1}}

        @pytest.mark.imagebuilder_emulator(variants={{"pages": "short"}})
        def test_variant(imagebuilder_emulator):
            assert imagebuilder_emulator.variants["pages"] == "short"
        """
    )
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--strict-markers")
    done.assert_outcomes(passed=3)
