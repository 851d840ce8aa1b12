"""The example `retention` over a year of weekly builds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

RECIPE = "arn:aws:imagebuilder:us-east-1:123456789012:image-recipe/nightly/1.0.0"
INFRASTRUCTURE = "arn:aws:imagebuilder:us-east-1:123456789012:infrastructure-configuration/builder"
SETTINGS = {"image": "nightly", "keep": 3, "executionRole": "ImageLifecycle"}


def build_weekly(bench: Any, weeks: int) -> None:
    client = bench.client("imagebuilder")
    for _ in range(weeks):
        client.create_image(imageRecipeArn=RECIPE, infrastructureConfigurationArn=INFRASTRUCTURE)
        bench.emulator.clock.advance(timedelta(weeks=1))


def expected(bench: Any) -> dict[str, str]:
    """By the rule, from what is there: the state of each build that is to be left."""
    filters = [{"name": "name", "values": ["nightly"]}]
    builds = bench.client("imagebuilder").list_image_build_versions(filters=filters, maxResults=100)
    now = bench.emulator.clock.now()
    left = {}
    newest_first = sorted(builds["imageSummaryList"], key=lambda build: build["dateCreated"], reverse=True)
    for place, build in enumerate(newest_first):
        age = now - datetime.fromisoformat(build["dateCreated"].replace("Z", "+00:00"))
        if place < 3:
            left[build["arn"]] = "AVAILABLE"
        elif age <= timedelta(days=365):
            left[build["arn"]] = "DEPRECATED" if place < 6 else "DISABLED"
    return left


def states(bench: Any) -> dict[str, str]:
    with bench.emulator.lock:
        images = bench.emulator.backend.images.values()
        return {image.arn: image.state for image in images if image.name == "nightly"}


def test_a_year_of_weekly_builds(example: Any) -> None:
    """Each run moves on only what has to be: as many executions as there are changes of state."""
    bench = example("retention", SETTINGS)
    builds = executions = 0
    for weeks, deleted in ((5, 0), (50, 3), (4, 7)):
        build_weekly(bench, weeks)
        builds += weeks
        to_be = expected(bench)
        before = states(bench)
        changed = sum(before[arn] != to_be.get(arn) for arn in before)
        bench.check("up")
        assert states(bench) == to_be
        executions += changed
        assert len(bench.emulator.backend.executions) == executions
        assert len(to_be) == builds - deleted
        amis = bench.client("ec2").describe_images(Owners=["self"], IncludeDisabled=True)["Images"]
        assert len([ami for ami in amis if ami["Name"].startswith("nightly")]) == len(to_be)
