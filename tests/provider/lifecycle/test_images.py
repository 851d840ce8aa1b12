"""Many images read with few calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pulumi_imagebuilder.aws.configuration import Configuration
from pulumi_imagebuilder.errors import ConfigurationError, CredentialsError, ServiceError
from pulumi_imagebuilder.lifecycle.entities import GONE
from pulumi_imagebuilder.lifecycle.images import ImageBatchReader, ReadBarrier, Reading

from tests.provider.simulated import ARN, STEM, Simulation, arns, images, refusal

ELSEWHERE = STEM.replace("us-east-1", "eu-west-1")
VERSIONS = [f"{STEM.replace('1.0.0', version)}/1" for version in ("2.0.0", "3.0.0")]


def read(sim: Simulation, *wanted: str, **more: Any) -> dict[str, Reading]:
    return sim.run(sim.reader.read(wanted, **more))


def states(readings: Mapping[str, Reading]) -> dict[str, str | None]:
    return {arn: reading.image and reading.image.state for arn, reading in readings.items()}


def refuse(code: str) -> Callable[..., Any]:
    def override(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        raise refusal(code)

    return override


def test_one_image_is_asked_for_by_itself() -> None:
    sim = Simulation(images(3))
    reading = read(sim, ARN)[ARN]
    assert reading.image is not None
    assert (reading.image.state, reading.error) == ("AVAILABLE", None)
    assert reading.as_of is not None
    assert sim.counts == {"get_image": 1}


def test_builds_of_one_version_are_listed_by_it() -> None:
    """Each once, however often it is named."""
    sim = Simulation(images(20))
    wanted = [*arns(20), *arns(20)]
    found = read(sim, *wanted)
    assert states(found) == dict.fromkeys(arns(20), "AVAILABLE")
    assert sim.counts == {"list_image_build_versions": 1}
    (call,) = sim.world.calls("ListImageBuildVersions")
    assert call.parameters == {"imageVersionArn": STEM, "maxResults": 100}
    assert len({reading.as_of for reading in found.values()}) == 1


def test_builds_of_several_versions_are_listed_by_their_name_as_it_was_given() -> None:
    """An ARN does not contain it; it is asked for once."""
    sim = Simulation([{"arn": arn, "name": "Web App"} for arn in VERSIONS])
    for _ in range(2):
        assert states(read(sim, *VERSIONS)) == dict.fromkeys(VERSIONS, "AVAILABLE")
    assert sim.counts == {"get_image": 1, "list_image_build_versions": 2}
    assert sim.world.calls("ListImageBuildVersions")[0].parameters["filters"] == [
        {"name": "name", "values": ["Web App"]}
    ]


def test_builds_of_several_versions_are_asked_for_one_by_one_if_the_first_is_gone() -> None:
    """A list is asked for by the name, which a read of the first one would have shown."""
    sim = Simulation([{"arn": VERSIONS[1]}])
    assert states(read(sim, *VERSIONS)) == dict(zip(VERSIONS, ["DELETED", "AVAILABLE"], strict=True))
    assert sim.counts == {"get_image": 3}
    read(sim, *VERSIONS[::-1])
    assert sim.counts["list_image_build_versions"] == 1


def test_the_account_of_images_is_checked_before_they_are_listed() -> None:
    sim = Simulation(images(3))
    sim.service.configuration = Configuration(forbidden_accounts=("123456789012",))
    assert {type(reading.error) for reading in read(sim, *arns(3)).values()} == {ConfigurationError}
    assert sim.counts == {}


def test_images_of_other_regions_are_listed_there() -> None:
    sim = Simulation([*images(2), *({"arn": f"{ELSEWHERE}/{build}"} for build in (1, 2))])
    found = read(sim, *arns(2), f"{ELSEWHERE}/1", f"{ELSEWHERE}/2")
    assert set(states(found).values()) == {"AVAILABLE"}
    assert sorted(call.parameters["imageVersionArn"] for call in sim.world.calls("ListImageBuildVersions")) == sorted(
        [STEM, ELSEWHERE]
    )


@pytest.mark.parametrize("reading", ["not-found", "state"])
def test_what_a_list_does_not_contain_is_asked_for_by_itself(reading: str) -> None:
    """Only the service's own not-found makes an image gone."""
    sim = Simulation(images(3), variants={"deleted-image": reading})
    del sim.backend.images[ARN]
    found = read(sim, *arns(3))
    assert found[ARN] == Reading(GONE)
    assert states(found) == dict(zip(arns(3), ["DELETED", "AVAILABLE", "AVAILABLE"], strict=True))
    assert sim.counts == {"list_image_build_versions": 1, "get_image": 1}


def test_a_deleted_image_is_asked_for_unless_a_list_contained_it_before() -> None:
    sim = Simulation(images(3))
    read(sim, *arns(3))
    for arn in arns(2):
        del sim.backend.images[arn]
    found = read(sim, *arns(3), deleted=[ARN])
    assert (found[ARN].image, found[arns(2)[1]].image) == (GONE, GONE)
    assert found[ARN].as_of is not None
    assert sim.counts == {"list_image_build_versions": 2, "get_image": 1}
    fresh = Simulation(images(3))
    del fresh.backend.images[ARN]
    assert read(fresh, *arns(3), deleted=[ARN])[ARN] == Reading(GONE)
    assert fresh.counts == {"list_image_build_versions": 1, "get_image": 1}


def test_a_list_is_read_on_over_pages_shorter_than_asked_for() -> None:
    sim = Simulation(images(5), variants={"pages": "short"})
    assert states(read(sim, *arns(5))) == dict.fromkeys(arns(5), "AVAILABLE")
    assert "get_image" not in sim.counts


def test_a_list_is_read_no_further_than_it_saves_calls() -> None:
    """Two builds among a thousand cost two calls, and not ten pages; nor is the rest of a list read in vain."""
    sim = Simulation(images(1))
    pages = 0

    def page(parameters: Mapping[str, Any], ask: Callable[..., Any]) -> dict[str, Any]:
        nonlocal pages
        pages += 1
        return sim.answer(imageSummaryList=[], nextToken=str(pages))

    sim.overrides["list_image_build_versions"] = page
    sim.overrides["get_image"] = lambda parameters, ask: sim.answer(image={"state": {"status": "AVAILABLE"}})
    assert set(states(read(sim, *arns(3))).values()) == {"AVAILABLE"}
    assert (pages, sim.counts["get_image"]) == (3, 3)
    # Images that were deleted may be on the pages that were not read.
    sim.reader._listed.update(arns(3))
    assert set(states(read(sim, *arns(3), deleted=arns(3))).values()) == {"AVAILABLE"}


def test_a_list_that_contains_all_ends_there() -> None:
    sim = Simulation(images(2))
    sim.overrides["list_image_build_versions"] = lambda parameters, ask: {**ask(), "nextToken": "more"}
    assert states(read(sim, *arns(2))) == dict.fromkeys(arns(2), "AVAILABLE")
    assert sim.counts == {"list_image_build_versions": 1}


def test_whoever_may_not_list_may_get_each() -> None:
    sim = Simulation(images(3))
    sim.overrides["list_image_build_versions"] = refuse("ForbiddenException")
    assert states(read(sim, *arns(3))) == dict.fromkeys(arns(3), "AVAILABLE")
    assert sim.counts == {"list_image_build_versions": 1, "get_image": 3}


def test_an_image_that_may_not_be_read_is_left_to_the_member_that_needs_it() -> None:
    sim = Simulation(images(2))
    for operation in ("list_image_build_versions", "get_image"):
        sim.overrides[operation] = refuse("ForbiddenException")
    assert read(sim, *arns(2)) == dict.fromkeys(arns(2), Reading())
    versions = Simulation([{"arn": arn} for arn in VERSIONS])
    versions.overrides["get_image"] = refuse("ForbiddenException")
    assert read(versions, *VERSIONS) == dict.fromkeys(VERSIONS, Reading())
    assert versions.counts == {"get_image": 3}


def test_credentials_that_ended_are_an_error_of_all_that_was_not_read_yet() -> None:
    sim = Simulation([*images(2), {"arn": f"{ELSEWHERE}/1"}])
    sim.overrides["get_image"] = refuse("ExpiredTokenException")
    found = read(sim, *arns(2), f"{STEM}/3", f"{ELSEWHERE}/1")
    assert states(found) == {
        arns(1)[0]: "AVAILABLE",
        arns(2)[1]: "AVAILABLE",
        f"{STEM}/3": None,
        f"{ELSEWHERE}/1": None,
    }
    errors = [found[arn].error for arn in (f"{STEM}/3", f"{ELSEWHERE}/1")]
    assert [type(error) for error in errors] == [CredentialsError] * 2


def test_why_a_call_is_made_again_is_passed_on() -> None:
    sim = Simulation([{"arn": arn} for arn in VERSIONS])
    sim.fault("* 503 nth=1,3")
    why: list[str] = []
    read(sim, *VERSIONS, on_retry=why.append)
    assert len(why) == 2
    one = Simulation()
    one.fault("* 503 nth=1")
    read(one, ARN, on_retry=why.append)
    assert len(why) == 3
    assert all(each.startswith("retrying after ServiceUnavailableException: ") for each in why)


# --- ReadBarrier ---


def nothing(why: str) -> None: ...


class Reader(ImageBatchReader):
    """Reads when it is let, and keeps what it was asked for."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[tuple[list[str], set[str]]] = []
        self.go = asyncio.Event()
        self.error = error
        self.why = ""

    async def read(self, arns: Any, *, deleted: Any = (), on_retry: Any = None) -> dict[str, Reading]:
        self.asked.append((list(arns), set(deleted)))
        if self.why:
            on_retry(self.why)
        await self.go.wait()
        if self.error:
            raise self.error
        return {arn: Reading(GONE) for arn in arns}


def test_a_read_starts_once_all_members_at_work_wait_for_one() -> None:
    async def work() -> list[Any]:
        reader = Reader()
        barrier = ReadBarrier(reader)
        seen: list[Any] = []
        with barrier.membership(), barrier.membership():
            third = barrier.membership()
            third.__enter__()
            first = asyncio.create_task(barrier.read("a", on_retry=nothing))
            second = asyncio.create_task(barrier.read("b", deleted=True, on_retry=nothing))
            await asyncio.sleep(100)
            seen.append(list(reader.asked))
            third.__exit__(None, None, None)
            await asyncio.sleep(0)
            seen.append(list(reader.asked))
            reader.go.set()
            assert await first == await second == Reading(GONE)
        return seen

    assert Simulation().run(work()) == [[], [(["a", "b"], {"b"})]]


def test_the_members_that_just_began_are_all_in_the_first_read() -> None:
    async def work() -> list[Any]:
        reader = Reader()
        reader.go.set()
        barrier = ReadBarrier(reader)

        async def member(arn: str) -> None:
            with barrier.membership():
                await barrier.read(arn, on_retry=nothing)

        await asyncio.gather(*map(member, "abc"))
        return reader.asked

    assert Simulation().run(work()) == [(["a", "b", "c"], set())]


def test_a_read_waits_for_others_no_longer_than_allowed() -> None:
    sim = Simulation()

    async def work() -> tuple[list[Any], float]:
        reader = Reader()
        reader.go.set()
        barrier = ReadBarrier(reader, 0.1)
        with barrier.membership(), barrier.membership():
            reads = [asyncio.create_task(barrier.read(arn, on_retry=nothing)) for arn in "ab"[:1]]
            await asyncio.sleep(0.05)
            # The time of the first counts.
            late = asyncio.create_task(barrier.read("c", on_retry=nothing))
            await asyncio.wait([*reads, late])
            at = sim.loop.time()
            await barrier.read("d", on_retry=nothing)
            return reader.asked, at

    asked, at = sim.run(work())
    # Two wait, so all do: they are read at once; the third by itself after its time.
    assert asked == [(["a", "c"], set()), (["d"], set())]
    assert at == pytest.approx(0.05)
    assert sim.loop.time() == pytest.approx(0.15)


def test_one_whose_time_runs_out_leaves_the_others_their_answers() -> None:
    async def work() -> tuple[list[Any], list[Any]]:
        reader = Reader()
        barrier = ReadBarrier(reader)
        waiting = [asyncio.create_task(barrier.read(arn, on_retry=nothing)) for arn in ("a", "b", "b")]
        await asyncio.sleep(1)
        waiting[1].cancel()
        reader.go.set()
        return await asyncio.gather(*waiting, return_exceptions=True), reader.asked

    answers, asked = Simulation().run(work())
    assert [type(each) for each in answers] == [Reading, asyncio.CancelledError, Reading]
    assert asked == [(["a", "b"], set())]


def test_a_read_that_nobody_waits_for_any_more_is_not_made() -> None:
    async def work() -> list[Any]:
        reader = Reader()
        reader.go.set()
        barrier = ReadBarrier(reader)
        with barrier.membership():
            with barrier.membership():
                waiting = asyncio.create_task(barrier.read("a", on_retry=nothing))
                await asyncio.sleep(1)
                waiting.cancel()
                await asyncio.wait([waiting])
            await asyncio.sleep(1)
            assert reader.asked == []
            await barrier.read("b", on_retry=nothing)
        return reader.asked

    assert Simulation().run(work()) == [(["b"], set())]


@pytest.mark.parametrize("error", [ServiceError("no", "Forbidden"), ValueError("a bug")])
def test_an_error_of_the_read_is_that_of_all_who_wait(error: Exception) -> None:
    async def work() -> list[Any]:
        reader = Reader(error)
        barrier = ReadBarrier(reader)
        waiting = [asyncio.create_task(barrier.read(arn, on_retry=nothing)) for arn in "abc"]
        await asyncio.sleep(1)
        waiting[2].cancel()
        reader.go.set()
        return await asyncio.gather(*waiting, return_exceptions=True)

    first, second, third = Simulation().run(work())
    assert first is second is error
    assert isinstance(third, asyncio.CancelledError)


def test_all_who_wait_are_told_why_a_call_is_made_again() -> None:
    notes: list[str] = []

    async def work() -> None:
        reader = Reader()
        reader.why = "retrying"
        reader.go.set()
        barrier = ReadBarrier(reader)
        await asyncio.gather(*(barrier.read(arn, on_retry=notes.append) for arn in "ab"))

    Simulation().run(work())
    assert notes == ["retrying"] * 2


def test_a_member_that_leaves_is_one_less_to_wait_for() -> None:
    async def work() -> list[Any]:
        reader = Reader()
        reader.go.set()
        barrier = ReadBarrier(reader)
        with barrier.membership(), barrier.membership():
            with barrier.membership():
                pass
            waiting = asyncio.create_task(barrier.read("a", on_retry=nothing))
            await asyncio.sleep(1)
            seen = list(reader.asked)
        await waiting
        return seen

    assert Simulation().run(work()) == []
