"""A fleet against the local Image Builder: what it calls, and how it goes on."""

from __future__ import annotations

import asyncio
import functools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator
from pulumi_imagebuilder import aws, lifecycle
from pulumi_imagebuilder.errors import FleetFailed, PermanentError, TimedOut
from pulumi_imagebuilder.lifecycle.fleet import _Fleet
from pulumi_imagebuilder.lifecycle.records import Image

STEM = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0"
AMIS = {"executionRole": "ImageLifecycle", "includeResources": {"amis": True}}
SEED = {
    "roles": ["ImageLifecycle"],
    "images": [{"arn": f"{STEM}/{build}", "amis": [{"region": "us-east-1"}]} for build in range(1, 21)]
    + [{"arn": f"{STEM.replace('1.0.0', version)}/1"} for version in ("2.0.0", "3.0.0", "4.0.0", "5.0.0")]
    + [{"arn": f"{STEM.replace('us-east-1', 'eu-west-1')}/{build}"} for build in (1, 2)]
    + [{"arn": f"{STEM.replace('web', 'box')}/1", "type": "DOCKER"}],
}


def images(builds: Iterable[int]) -> list[str]:
    return [f"{STEM}/{build}" for build in builds]


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator(SEED, execution_time="400ms") as emulator:
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
    arns = images(range(1, 21))
    done = fleet.change(arns)
    assert fleet.states(arns) == {"DISABLED"}
    assert list(done) == arns
    for record in done.values():
        assert (record["status"], record["image_state"]) == ("SUCCESS", "DISABLED")
        assert record["start_time"] <= record["end_time"]
        assert [each["status"] for each in record["resources"]] == ["SUCCESS"]
    assert fleet.calls["StartResourceStateUpdate"] == 20
    assert fleet.calls["ListImageBuildVersions"] == 2
    assert fleet.calls["GetLifecycleExecution"] == 1
    assert fleet.calls["ListLifecycleExecutionResources"] <= 20 + 3
    assert fleet.calls.total() <= 3 * 20
    assert fleet.progress.text().startswith("20 of 20 done, ")


def failure(fleet: Fleet, arns: Iterable[str], **options: Any) -> str:
    with pytest.raises(FleetFailed) as raised:
        fleet.change(arns, **options)
    return str(raised.value)


def test_some_fail_and_the_next_run_does_only_what_is_left(fleet: Fleet) -> None:
    """Equal reasons are told once; those that are done are recognised, and nothing is started for them."""
    arns = images(range(1, 21))
    fleet.emulator.faults.add(*(f"execution fail image={STEM}/{build} reason=Denied" for build in (3, 11, 4)))
    told = failure(fleet, arns)
    assert told == (
        "changing 20 images: 17 of 20 done, 3 failed; 3 images: lifecycle execution lce-… ended as FAILED: 1 of 1 "
        "resources failed; failed: ami-… (us-east-1): Denied: web/1.0.0/3, web/1.0.0/4, web/1.0.0/11 "
        "(arn:aws:imagebuilder:us-east-1:123456789012:image/…); mend the cause and run `pulumi up` again, which "
        "touches only what is not done"
    )
    assert fleet.executions == 20
    fleet.emulator.faults.clear()
    fleet.change(arns)
    assert fleet.executions == 23
    assert fleet.states(arns) == {"DISABLED"}
    assert fleet.calls.total() <= 4 * 20 + 10


def test_one_that_does_not_exist(fleet: Fleet) -> None:
    """The others proceed, and that one is named."""
    arns = [*images(range(1, 6)), f"{STEM}/99"]
    told = failure(fleet, arns)
    assert told.startswith(
        f"changing 6 images: 5 of 6 done, 1 failed; image {STEM}/99: ResourceNotFoundException: "
        f"The resource {STEM}/99 was not found (request id "
    )
    assert fleet.states(arns[:-1]) == {"DISABLED"}


def test_a_container_among_amis(fleet: Fleet) -> None:
    """Containers can only be deleted: the service refuses this one, and the others are changed."""
    box = f"{STEM.replace('web', 'box')}/1"
    told = failure(fleet, [*images((1, 2)), box])
    assert f"image {box}: InvalidRequestException: " in told
    assert fleet.states(images((1, 2))) == {"DISABLED"}


def test_regions_and_versions(fleet: Fleet) -> None:
    """Each image in its own region; those of one name and several versions are listed by name."""
    versions = [f"{STEM.replace('1.0.0', version)}/1" for version in ("2.0.0", "3.0.0", "4.0.0", "5.0.0")]
    regions = [f"{STEM.replace('us-east-1', 'eu-west-1')}/{build}" for build in (1, 2)]
    arns = [*versions, *regions]
    fleet.change(arns)
    assert fleet.states(arns) == {"DISABLED"}
    assert fleet.executions == 6
    assert (fleet.calls["GetImage"], fleet.calls["ListImageBuildVersions"]) == (1, 4)


def test_deleted_images_are_known_to_be_gone(fleet: Fleet) -> None:
    """What was deleted with nothing left out, and is listed no more, is not asked for one by one."""
    arns = images(range(1, 21))
    deletion = {"executionRole": "ImageLifecycle", "includeResources": {"amis": True, "snapshots": True}}
    done = fleet.change(arns, "DELETED", deletion)
    assert {record["image_state"] for record in done.values()} == {"DELETED"}
    assert fleet.calls["GetImage"] == 0
    again = fleet.change(arns, "DELETED", deletion)
    assert fleet.executions == 20
    assert {arn: record["lifecycle_execution_id"] for arn, record in again.items()} == {
        arn: record["lifecycle_execution_id"] for arn, record in done.items()
    }


def test_immediate_changes(fleet: Fleet) -> None:
    """Nothing to wait for: a start for each, and the states read from lists."""
    arns = images(range(1, 21))
    done = fleet.change(arns, "DEPRECATED", {})
    assert {(record["lifecycle_execution_id"], record["image_state"]) for record in done.values()} == {
        (None, "DEPRECATED")
    }
    assert fleet.calls == {"StartResourceStateUpdate": 20, "ListImageBuildVersions": 2}


def test_whoever_may_not_list(fleet: Fleet) -> None:
    """Images are asked for one by one where lists are refused."""
    fleet.emulator.faults.add("ListImageBuildVersions error=ForbiddenException")
    fleet.change(images(range(1, 6)))
    assert fleet.states(images(range(1, 6))) == {"DISABLED"}
    assert fleet.calls["GetImage"] == 10


def test_an_image_in_use_is_waited_for(fleet: Fleet) -> None:
    """One is in use by another's execution: it is started after that, the others at once."""
    arns = images(range(1, 6))
    fleet.emulator.client("imagebuilder").start_resource_state_update(
        resourceArn=arns[2], state={"status": "DEPRECATED"}, **AMIS
    )
    fleet.change(arns)
    assert fleet.states(arns) == {"DISABLED"}
    assert fleet.executions == 6


def test_the_time_limit(fleet: Fleet) -> None:
    """It names no image that goes on, but counts them, and what failed; the next run takes over what goes on."""
    arns = images(range(1, 6))
    fleet.emulator.faults.add(f"execution hang image={STEM}/2")
    with pytest.raises(TimedOut) as raised:
        fleet.change(arns, limit=4)
    assert re.fullmatch(
        r"changing 5 images: the time limit of 4s ran out with \d of 5 done, \d in progress; what is in progress goes "
        r"on, and the next `pulumi up` goes on from here; or give it longer with custom_timeouts",
        str(raised.value),
    )
    fleet.emulator.faults.clear()
    fleet.change(arns)
    assert fleet.executions == 5


def test_a_service_that_lets_little_through(fleet: Fleet) -> None:
    """Every image is changed once, and few calls are refused."""
    fleet.emulator.faults.add("* throttle rate=20 burst=5")
    arns = images(range(1, 21))
    fleet.change(arns)
    assert fleet.executions == 20
    refused = sum(request.status == 429 for request in fleet.emulator.requests.all())
    assert 0 < refused < 60


def test_an_execution_that_its_image_does_not_know_of(fleet: Fleet) -> None:
    """A service may tell of an execution late: a failure of before is followed by a new start all the same."""
    arns = images((1, 2))
    fleet.emulator.faults.add(f"execution fail image={STEM}/2")
    failure(fleet, arns)
    fleet.emulator.faults.clear()
    # The service's clock has whole seconds: what began in the same one may be of this run.
    fleet.emulator.clock.advance(timedelta(seconds=2))
    for arn in arns:
        fleet.emulator.backend.images[arn].lifecycle_execution_id = None
    fleet.change(arns)
    assert fleet.executions == 3
    assert fleet.states(arns) == {"DISABLED"}


def test_one_that_was_moved_elsewhere_without_a_trace(fleet: Fleet) -> None:
    """The answer to its token is an execution of before, which the image does not show: it is changed again."""
    arns = images((1, 2))
    fleet.change(arns, triggers=["x"])
    fleet.emulator.clock.advance(timedelta(seconds=2))
    image = fleet.emulator.backend.images[arns[1]]
    image.state, image.lifecycle_execution_id = "AVAILABLE", None
    fleet.change(arns, triggers=["x"])
    assert fleet.executions == 3
    assert fleet.states(arns) == {"DISABLED"}


def test_executions_that_end_while_a_run_begins(fleet: Fleet) -> None:
    """A run before this one started them; they end after the images were read, and are not started again for that."""
    arns = images(range(1, 6))
    fleet.change(arns, wait=False)
    fleet.emulator.faults.add("ListLifecycleExecutions delay=1s")
    fleet.change(arns)
    assert fleet.executions == 5


def test_a_refresh_reads_all_at_once(fleet: Fleet) -> None:
    """Two pages at most for twenty images; one that was moved and one that vanished are found."""
    arns = images(range(1, 21))
    records = fleet.change(arns)
    fleet.emulator.backend.images[arns[0]].state = "AVAILABLE"
    del fleet.emulator.backend.images[arns[1]]

    async def refresh(arn: str, client: lifecycle.ImageClient) -> Any:
        return await lifecycle.refresh(records[arn], "DISABLED", client)

    found = fleet.each("reading", {arn: functools.partial(refresh, arn) for arn in arns})
    assert found[arns[0]]["__drift"] == "the image is AVAILABLE, declared is DISABLED"
    assert found[arns[1]] is None
    assert all(found[arn] == records[arn] for arn in arns[2:])
    assert fleet.calls == {"ListImageBuildVersions": 1, "GetImage": 1}


def test_on_destroy_of_each(fleet: Fleet) -> None:
    """Restored side by side; what was scheduled is cancelled first."""
    arns = images(range(1, 6))
    schedule = {**AMIS, "updateAt": datetime(2099, 1, 31, tzinfo=UTC)}
    records = fleet.change(arns, "DEPRECATED", schedule)
    assert {record["status"] for record in records.values()} == {"PENDING"}

    async def restore(arn: str, client: lifecycle.ImageClient) -> None:
        await lifecycle.restore(records[arn], {"state": {"status": "DEPRECATED"}, **schedule}, client)

    fleet.each("restoring", {arn: functools.partial(restore, arn) for arn in arns})
    assert fleet.states(arns) == {"AVAILABLE"}
    assert sorted(each.status for each in fleet.emulator.backend.executions.values()) == (
        ["CANCELLED"] * 5 + ["SUCCESS"] * 5
    )


def test_images_that_cannot_be_read_in_the_end(fleet: Fleet) -> None:
    """Neither by lists nor one by one: each is told to have failed, once for all; the next run finds them done."""
    arns = images(range(1, 6))
    fleet.emulator.faults.add(
        "ListImageBuildVersions error=ForbiddenException nth=2,3", "GetImage error=ClientException"
    )
    told = failure(fleet, arns)
    assert told.startswith("changing 5 images: 0 of 5 done, 5 failed; 5 images: ClientException: ")
    fleet.emulator.faults.clear()
    fleet.change(arns)
    assert fleet.executions == 5


def test_nothing_to_do_is_no_call(fleet: Fleet) -> None:
    """An empty fleet is done at once."""
    assert fleet.change([]) == {}
    assert fleet.calls == {}


def test_no_credentials_is_told_once(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds for all images is not told for each."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    progress = lifecycle.FleetProgress("changing 2 images")
    service = aws.Service(aws.Configuration(endpoints={"imagebuilder": fleet.emulator.url}))
    work = {arn: lambda client: client.find_image() for arn in images((1, 2))}
    with pytest.raises(PermanentError, match=r"^changing 2 images: no AWS credentials were found: "):
        asyncio.run(lifecycle.each(service, progress, "changing image {}", work))


@pytest.mark.parametrize("fails", [False, True])
def test_one_whose_time_runs_out_while_the_others_wait_for_the_last_survey(fails: bool) -> None:
    """It is told nothing any more; all others are told how their images stand, or why that cannot be read."""

    class Survey:
        """Takes until it is let go."""

        def __init__(self) -> None:
            self.asked: list[list[str]] = []
            self.goes_on = asyncio.Event()

        async def read(self, arns: Iterable[str], deleted: Iterable[str] = ()) -> dict[str, Image]:
            self.asked.append(list(arns))
            if len(self.asked) > 1:
                await self.goes_on.wait()
            if fails and len(self.asked) > 1:
                raise PermanentError("the credentials have expired")
            return dict.fromkeys(arns, Image("DISABLED"))

    async def run() -> tuple[list[Any], list[list[str]]]:
        members, survey = _Fleet(aws.Service(), lifecycle.FleetProgress("changing 3 images")), Survey()
        members._survey = survey  # type: ignore[assignment]
        await members.survey(list("abc"))
        waiting = [asyncio.create_task(members.image(arn, deleted=False)) for arn in "abc"]
        while len(survey.asked) < 2:
            await asyncio.sleep(0)
        waiting[1].cancel()
        survey.goes_on.set()
        told = asyncio.gather(*waiting, return_exceptions=True)
        return await asyncio.wait_for(told, 5), survey.asked

    (first, cut_off, last), asked = asyncio.run(run())
    assert asked == [["a", "b", "c"], ["a", "b", "c"]]
    assert isinstance(cut_off, asyncio.CancelledError)
    if fails:
        assert str(first) == str(last) == "the credentials have expired"
    else:
        assert first == last == Image("DISABLED")
