"""A seed's mistakes are told in one line with their place."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from imagebuilder_emulator.emulator import Emulator
from imagebuilder_emulator.environment import Environment
from imagebuilder_emulator.seed import SeedError

WEB = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        ({"pictures": []}, "the seed has an unknown key 'pictures'; known are images, policy_executions, roles"),
        ({"images": {"arn": WEB}}, f"images must be a list, got {{'arn': '{WEB}'}}"),
        ({"images": [{"arn": "web"}]}, "images[0].arn: 'web' is not the ARN of an image build version"),
        ({"images": [{"arn": WEB}, {"arn": WEB}]}, f"images[1].arn: {WEB} is there twice"),
        ({"images": [{"arn": WEB, "type": "ISO"}]}, "images[0].type: 'ISO' is not one of AMI, DOCKER"),
        ({"images": [{"arn": WEB, "amis": ["a"]}]}, "images[0].amis[0] must be an object, got 'a'"),
        (
            {"images": [{"arn": WEB, "amis": [{"region": "mars-1"}]}]},
            "images[0].amis[0].region: 'mars-1' is not a Region of AWS",
        ),
        (
            {"images": [{"arn": WEB, "type": "DOCKER", "containers": [{"region": "mars-1"}]}]},
            "images[0].containers[0].region: 'mars-1' is not a Region of AWS",
        ),
        (
            {"images": [{"arn": WEB, "amis": [{"account": 5}]}]},
            "images[0].amis[0].account: 5 is not an account of twelve digits, in quotes",
        ),
        (
            {"images": [{"arn": WEB, "amis": [{"snapshots": 0}]}]},
            "images[0].amis[0].snapshots: 0 is not a number from 1 to 25",
        ),
        (
            {"images": [{"arn": WEB, "amis": [{"last_launched": "soon"}]}]},
            "images[0].amis[0].last_launched: 'soon' is not a time such as 2026-01-31T00:00:00Z",
        ),
        ({"images": [{"arn": WEB, "tags": ["a"]}]}, "images[0].tags must be an object, got ['a']"),
        ({"roles": ["a b"]}, "roles: 'a b' is neither the name nor the ARN of a role"),
    ],
)
def test_mistakes(seed: dict[str, Any], message: str) -> None:
    """Before anything is served."""
    with pytest.raises(SeedError, match=f"^{re.escape(message)}$"):
        Emulator(seed)


POLICY = "arn:aws:imagebuilder:us-east-1:123456789012:lifecycle-policy/weekly"


def test_an_execution_of_a_policy_is_there_from_the_start() -> None:
    """It has the image in use and ends in its time; the image names it."""
    entry = {
        "policy": POLICY,
        "image": WEB,
        "state": "DELETED",
        "include_resources": ["amis", "snapshots"],
        "execution_role": "ImageLifecycle",
        "takes": "1h",
    }
    seed = {"roles": ["ImageLifecycle"], "images": [{"arn": WEB, "amis": [{}]}], "policy_executions": [entry]}
    with Emulator(seed) as emulator:
        client = emulator.client("imagebuilder")
        (found,) = client.list_lifecycle_executions(resourceArn=POLICY)["lifecycleExecutions"]
        image = client.get_image(imageBuildVersionArn=WEB)["image"]
        assert image["lifecycleExecutionId"] == found["lifecycleExecutionId"]
        emulator.clock.advance(timedelta(minutes=30))
        (found,) = client.list_lifecycle_executions(resourceArn=POLICY)["lifecycleExecutions"]
        assert found["state"]["status"] == "IN_PROGRESS"
        emulator.clock.advance(timedelta(minutes=30))
        assert client.list_image_build_versions()["imageSummaryList"] == []


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"policy": "weekly", "image": WEB}, ".policy: 'weekly' is not the ARN of a lifecycle policy"),
        ({"policy": POLICY, "image": WEB.replace("web", "no")}, f": there is no image {WEB.replace('web', 'no')}"),
        (
            {"policy": POLICY, "image": WEB, "state": "GONE"},
            ".state: 'GONE' is not one of AVAILABLE, DELETED, DEPRECATED, DISABLED",
        ),
        (
            {"policy": POLICY, "image": WEB, "include_resources": ["volumes"]},
            ".include_resources: 'volumes' is not one of amis, snapshots, containers",
        ),
        (
            {"policy": POLICY, "image": WEB, "takes": "long"},
            ": 'long' is not a length of time such as 5s, 200ms, 1h30m or 90d",
        ),
        (
            {"policy": POLICY, "image": WEB, "when": "now"},
            " has an unknown key 'when'; known are execution_role, image, include_resources, policy, state, takes",
        ),
    ],
)
def test_mistakes_in_executions_of_policies(entry: dict[str, Any], message: str) -> None:
    """The line names the entry."""
    with pytest.raises(SeedError) as refused:
        Emulator({"images": [{"arn": WEB}], "policy_executions": [entry]})
    assert str(refused.value) == f"policy_executions[0]{message}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": 5}, "images[0].name must be a text, got 5"),
        ({"failure_context": {}}, "images[0].failure_context goes with the state FAILED, not with AVAILABLE"),
        (
            {"state": "FAILED", "failure_context": {"step": "x"}},
            "images[0]: Unknown parameter 'failure_context.step'",
        ),
    ],
)
def test_mistakes_in_what_an_image_tells(options: dict[str, Any], message: str) -> None:
    """Names, reasons and failure contexts are checked."""
    with pytest.raises(SeedError) as refused:
        Emulator({"images": [{"arn": WEB, **options}]})
    assert str(refused.value) == message


def test_the_seed_of_the_page_is_valid() -> None:
    """Every key that docs/emulator.md shows can be used."""
    page = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")
    text = page.partition("## Seed it")[2].partition("```yaml\n")[2].partition("```")[0]
    with Emulator(yaml.safe_load(text)) as emulator:
        found = emulator.client("imagebuilder").list_image_build_versions()["imageSummaryList"]
        assert [image["name"] for image in found] == ["app", "broken", "web"]


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "examples").glob("*/seed.yaml")), ids=lambda path: path.parent.name
)
def test_the_seeds_of_the_examples_are_valid(path: Path) -> None:
    """All that they name is there."""
    assert set(Environment(path).backend.images) == {
        image["arn"] for image in yaml.safe_load(path.read_text())["images"]
    }
