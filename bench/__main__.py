"""`make bench`: a fleet beside the floor, single resources, a naive provider and a loop in the shell.

Prints a table and JSON, and keeps both in docs/ with a picture.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

from bench import measure, picture, programs, unchanged
from bench.measure import EXECUTION_TIME, Result
from tools.workspace import ROOT

PARALLEL = 64
FLEET, FLEET_LIMITED, SINGLES = "FleetStateUpdate", "FleetStateUpdate, 20 requests/s", "ResourceStateUpdate each"
SINGLES_PARALLEL = f"ResourceStateUpdate each, --parallel {PARALLEL}"
GUARDED, UNGUARDED = 'to DISABLED in 3 regions, in_use="refuse"', 'to DISABLED in 3 regions, in_use="ignore"'
NAIVE, SHELL, FLOOR = "naive dynamic provider", "AWS CLI, 8 at a time", "floor"
NO_OP = "no-op"
RATE = 20

_PROGRAMS = {
    NO_OP: programs.NO_OP,
    FLEET: programs.FLEET,
    FLEET_LIMITED: programs.FLEET,
    GUARDED: programs.DISABLED,
    UNGUARDED: programs.DISABLED.replace('"refuse"', '"ignore"'),
    SINGLES: programs.SINGLES,
    SINGLES_PARALLEL: programs.SINGLES,
    NAIVE: programs.NAIVE,
}

_PAGE, _DATA = ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "benchmarks.json"
_PICTURE = ROOT / "docs" / "images" / "benchmarks.svg"
_BEGIN, _END = "<!-- figures: begin -->", "<!-- figures: end -->"


def main() -> int:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--fleets", default="1,10,40,200,1000", help="numbers of images of fleets")
    parser.add_argument("--limited", default="1,10,200", help="the same where 20 requests a second are let through")
    parser.add_argument("--guarded", default="1000", help="the same in three regions, with and without the guard")
    parser.add_argument("--others", default="10,40", help="numbers of images for the ways beside a fleet")
    parser.add_argument("--killed", type=int, default=200, help="number of images of the fleet that is killed; 0: none")
    parser.add_argument("--times", type=int, default=5, help="how often a resource that does nothing is run")
    parser.add_argument("--interrupted", default="1,6,40", help="numbers of native resources that Ctrl-C ends")
    parser.add_argument("--interrupted-fleets", default="200", help="the same of native fleets")
    parser.add_argument("--aws", type=Path, help="folder of the aws program; without it that way is left out")
    parser.add_argument("--keep", action="store_true", help="write the results into docs/")
    options = parser.parse_args()

    began = time.monotonic()
    up = statistics.median(_run(NO_OP, 1, None, None).seconds for _ in range(3))
    floor = round(up + EXECUTION_TIME, 1)
    others = [SINGLES_PARALLEL, SINGLES, NAIVE, *([SHELL] if options.aws else [])]
    runs = [
        *((FLEET, images, None) for images in _numbers(options.fleets)),
        *((FLEET_LIMITED, images, RATE) for images in _numbers(options.limited)),
        *((way, images, None) for images in _numbers(options.guarded) for way in (UNGUARDED, GUARDED)),
        *((way, images, None) for images in _numbers(options.others) for way in others),
    ]
    results = [_run(way, images, rate, options.aws) for way, images, rate in runs]
    surveys = [_survey(images) for images in _numbers(options.guarded)]
    startups = unchanged.measure(options.times) if options.times else []
    if startups:
        print(unchanged.describe(startups), flush=True)
    interruptions = [
        *(_interrupted("ResourceStateUpdate", programs.SINGLES, images) for images in _numbers(options.interrupted)),
        *(_interrupted("in a fleet", programs.FLEET, images) for images in _numbers(options.interrupted_fleets)),
    ]
    halves = _killed(options.killed) if options.killed else {}
    data = {
        "machine": measure.machine(),
        "execution_seconds": EXECUTION_TIME,
        "floor_seconds": floor,
        "no_op_up_seconds": round(up, 1),
        "results": [dataclasses.asdict(result) for result in results],
        "surveys": [dataclasses.asdict(survey) for survey in surveys],
        "startups": [dataclasses.asdict(startup) for startup in startups],
        "interruptions": [dataclasses.asdict(each) for each in interruptions],
        "killed": halves,
    }
    table = _table(results, floor)
    print(f"\n{table}\n\n{json.dumps(data)}\n\nIt took {(time.monotonic() - began) / 60:.1f} minutes.")
    if options.keep:
        sentences = [
            *map(_describe_survey, surveys),
            unchanged.describe(startups) if startups else "",
            _describe_interruptions(interruptions),
            _describe_kill(halves),
        ]
        text = "\n\n".join(filter(None, [table, *sentences]))
        _keep(text, data, results, floor)
    return 0


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def _run(way: str, images: int, rate: int | None, aws: Path | None) -> Result:
    """Measure one way, and say how it went.

    Raises:
        SystemExit: the images did not get one execution each.
    """
    if way == SHELL and aws:
        result = measure.shell(way, images, aws)
    else:
        parallel = PARALLEL if way == SINGLES_PARALLEL else None
        regions = measure.REGIONS if way in {GUARDED, UNGUARDED} else measure.REGIONS[:1]
        result = measure.pulumi(way, _PROGRAMS[way], images, rate=rate, parallel=parallel, regions=regions)
    print(f"{way}: {images} images in {result.seconds:.1f} s, {result.calls} calls", flush=True)
    if way != NO_OP and result.executions != images:
        raise SystemExit(f"{result.executions} executions of {images} images")
    return result


def _survey(images: int) -> measure.Survey:
    survey = measure.survey(images)
    print(_describe_survey(survey), flush=True)
    return survey


def _describe_survey(survey: measure.Survey) -> str:
    return (
        f"Looking for what uses {survey.amis:,} AMIs of {survey.images:,} images in 3 regions: {survey.calls} calls, "
        f"{survey.seconds} s."
    )


def _interrupted(way: str, program: str, images: int) -> measure.Interruption:
    """End a run by Ctrl-C while it waits, and say how it went.

    Raises:
        SystemExit: it left something pending, or the next run started something anew.
    """
    found = measure.interrupted(way, programs.on_native(program), images, PARALLEL)
    print(_describe_interruptions([found]), flush=True)
    if found.pending or found.executions != images:
        raise SystemExit(f"{found.pending} pending operations and {found.executions} executions after Ctrl-C")
    return found


def _describe_interruptions(found: Iterable[measure.Interruption]) -> str:
    each = "; ".join(f"{each.images} {each.way} {each.seconds:.2f} s" for each in found)
    return f"Ctrl-C while the native provider waits, until the prompt: {each}. Nothing is left pending." if each else ""


def _killed(images: int) -> dict[str, int]:
    """Kill a fleet in the middle, run it again, and say how it went."""
    before, after = measure.killed(programs.FLEET, images, RATE)
    print(f"killed: {before} of {images} images were started, in the end there are {after} executions", flush=True)
    if after != images:
        raise SystemExit(f"{after} executions of {images} images after a kill")
    return {"images": images, "started_before": before, "executions_in_the_end": after}


def _describe_kill(halves: dict[str, int]) -> str:
    if not halves:
        return ""
    return (
        f"Killed when {halves['started_before']} of {halves['images']} images were started, and run again: "
        f"{halves['executions_in_the_end']} executions in the end."
    )


def _table(results: Iterable[Result], floor: float) -> str:
    """The results in Markdown."""
    rows = [
        "| way | images | time | against | calls | an image | refused | memory | state |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        least = result.images / result.rate + EXECUTION_TIME if result.rate else floor
        memory = f"{result.memory:.0f} MB" if result.memory else ""
        state = f"{result.state:,.0f} kB" if result.state else ""
        rows.append(
            f"| {result.way} | {result.images:,} | {result.seconds:.1f} s "
            f"| {result.seconds / least:.2f} of {least:.1f} s | {result.calls:,} "
            f"| {result.calls / result.images:.1f} | {result.refused} | {memory} | {state} |"
        )
    return "\n".join(rows)


def _keep(table: str, data: object, results: Iterable[Result], floor: float) -> None:
    page = _PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    _PAGE.write_text(f"{before}{_BEGIN}\n\n{table}\n\n{_END}{after}", encoding="utf-8")
    _DATA.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    lines: dict[str, list[tuple[float, float]]] = {}
    for result in results:
        lines.setdefault(result.way, []).append((result.images, result.seconds))
    lines[FLOOR] = [(1, floor), (max(images for images, _ in lines[FLEET]), floor)]
    _PICTURE.parent.mkdir(exist_ok=True)
    _PICTURE.write_text(picture.draw(lines, "Seconds to change N images, by how it is done"), encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
