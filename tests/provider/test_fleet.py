"""A fleet against the local Image Builder: what it calls, and how it goes on."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator
from pulumi_imagebuilder import aws, lifecycle

STEM = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0"
AMIS = {"executionRole": "ImageLifecycle", "includeResources": {"amis": True}}
SEED = {
    "roles": ["ImageLifecycle"],
    "images": [{"arn": f"{STEM}/{build}", "amis": [{"region": "us-east-1"}]} for build in range(1, 41)]
    + [{"arn": f"{STEM.replace('1.0.0', version)}/1"} for version in ("2.0.0", "3.0.0", "4.0.0", "5.0.0")]
    + [{"arn": f"{STEM.replace('us-east-1', 'eu-west-1')}/{build}"} for build in (1, 2)]
    + [{"arn": f"{STEM.replace('web', 'box')}/1", "type": "DOCKER"}],
}


def images(builds: Iterable[int]) -> list[str]:
    return [f"{STEM}/{build}" for build in builds]


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator(SEED, execution_time="1s") as emulator:
        yield emulator


@pytest.fixture
def emulator(running: Emulator) -> Emulator:
    running.reset()
    return running


class Fleet:
    """Runs like those of the provider, each with a service of its own; counts the calls of the last one."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.calls: Counter[str] = Counter()
        self.progress = lifecycle.FleetProgress("")

    def each(self, asked: str, work: Mapping[str, Any], limit: float = 30) -> dict[str, Any]:
        configuration = aws.Configuration(
            access_key="emulator", secret_key="emulator", endpoints={"imagebuilder": self.emulator.url}
        )
        self.progress = lifecycle.FleetProgress(f"{asked} {len(work)} images")
        self.emulator.requests.clear()
        try:
            run = lifecycle.each(aws.Service(configuration), self.progress, f"{asked} image {{}}", work)
            return asyncio.run(lifecycle.within(limit, run, self.progress))
        finally:
            self.calls = Counter(
                {name.partition(":")[2]: calls for name, calls in self.emulator.requests.counts().items()}
            )

    def change(
        self, arns: Iterable[str], state: str = "DISABLED", request: Any = None, limit: float = 30, **options: Any
    ) -> dict[str, Any]:
        async def work(arn: str, client: lifecycle.ImageClient) -> Any:
            asked = {"state": {"status": state}, **(AMIS if request is None else request)}
            return lifecycle.record(await lifecycle.apply(lifecycle.Change(arn, asked, **options), client))

        return self.each("changing", {arn: functools.partial(work, arn) for arn in arns}, limit)

    def states(self, arns: Iterable[str]) -> set[str]:
        return {self.emulator.backend.images[arn].state for arn in arns}

    @property
    def executions(self) -> int:
        return len(self.emulator.backend.executions)


@pytest.fixture
def fleet(emulator: Emulator) -> Fleet:
    return Fleet(emulator)


def test_two_calls_an_image(fleet: Fleet) -> None:
    """One start, one look at the end; all else is asked for all at once."""
    arns = images(range(1, 41))
    done = fleet.change(arns)
    assert fleet.states(arns) == {"DISABLED"}
    assert list(done) == arns
    for record in done.values():
        assert (record["status"], record["image_state"]) == ("SUCCESS", "DISABLED")
        assert record["start_time"] <= record["end_time"]
        assert [each["status"] for each in record["resources"]] == ["SUCCESS"]
    assert fleet.calls["StartResourceStateUpdate"] == 40
    assert fleet.calls["ListImageBuildVersions"] == 2
    assert fleet.calls["GetLifecycleExecution"] == 1
    assert fleet.calls["ListLifecycleExecutionResources"] <= 40 + 3 * 2
    assert fleet.calls.total() <= 2.5 * 40
    assert fleet.progress.text().startswith("40 of 40 done, ")
