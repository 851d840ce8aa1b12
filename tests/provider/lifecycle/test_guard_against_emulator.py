"""The guard with real calls, over HTTP, to the emulator, which was written without it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator
from pulumi_imagebuilder.aws.configuration import Configuration
from pulumi_imagebuilder.aws.service import Service
from pulumi_imagebuilder.errors import InUse
from pulumi_imagebuilder.lifecycle.guard import Guard
from pulumi_imagebuilder.lifecycle.progress import Progress
from pulumi_imagebuilder.lifecycle.references import ReferenceSurvey, find_references

REGIONS = ("eu-west-1", "us-east-1", "us-west-2")
USED = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
UNUSED = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/2"
USES: dict[str, Any] = {
    "instances": 1,
    "launch_templates": ["web"],
    "auto_scaling_groups": ["web"],
    "parameters": ["/golden/web"],
    "recipes": ["child"],
}
REQUEST = {"state": {"status": "DELETED"}, "includeResources": {"amis": True, "snapshots": True}}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """An image with uses of each kind in one of three regions, and one without."""
    used = [{"region": region, "snapshots": 1} for region in REGIONS]
    used[0]["used_by"] = USES
    unused = [{"region": region} for region in REGIONS]
    with Emulator({"images": [{"arn": USED, "amis": used}, {"arn": UNUSED, "amis": unused}]}) as running:
        yield running


@pytest.fixture
def service(emulator: Emulator) -> Service:
    """The provider's way to all services of the emulator."""
    endpoints = dict.fromkeys(("imagebuilder", "ec2", "autoscaling"), emulator.url)
    settings = {"aws:accessKey": "local", "aws:secretKey": "local", "aws:endpoints": json.dumps([endpoints])}
    return Service(Configuration.parse(settings.get))


def test_each_kind_of_use_is_found(service: Service) -> None:
    found = asyncio.run(find_references(service, [USED, UNUSED]))
    assert {(each.kind, each.name, each.region) for each in found[USED].used_by if each.kind != "ec2:Instance"} == {
        ("ec2:LaunchTemplate", "web", "eu-west-1"),
        ("autoscaling:AutoScalingGroup", "web", "eu-west-1"),
        ("ssm:Parameter", "/golden/web", "eu-west-1"),
        ("imagebuilder:ImageRecipe", "child", "eu-west-1"),
    }
    assert [each.detail for each in found[USED].used_by if each.kind == "ec2:Instance"] == ["running"]
    assert [len(each.amis) for each in found.values()] == [3, 3]
    assert [each.in_use for each in found.values()] == [True, False]
    assert [each.not_looked_up for each in found.values()] == [[], []]


def test_what_is_used_is_refused_and_the_rest_passes(service: Service) -> None:
    async def check() -> list[BaseException | None]:
        guard = Guard(ReferenceSurvey(service), "refuse", [USED, UNUSED])
        row = Progress("changing an image")
        checks = (guard.check(arn, REQUEST, row, pytest.fail) for arn in (USED, UNUSED))
        return await asyncio.gather(*checks, return_exceptions=True)

    refused, passed = asyncio.run(check())
    assert isinstance(refused, InUse)
    assert "launch template web (version 1, $Default, $Latest)" in str(refused)
    assert passed is None


def test_the_preview_names_the_size(service: Service) -> None:
    text = asyncio.run(Guard(ReferenceSurvey(service), "refuse", [USED]).preview([USED], REQUEST))
    assert text.size_line is not None
    assert text.size_line.startswith(
        "would delete 1 image: 3 AMIs in eu-west-1, us-east-1 and us-west-2, 3 snapshots, up to "
    )
    assert len(text.warnings) == 1
