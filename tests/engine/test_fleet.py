"""A `FleetStateUpdate` under the real program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator

STEM = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0"
START = "StartResourceStateUpdate"
PROGRAM = """
    import pulumi
    from pulumi_imagebuilder import FleetStateUpdate
    fleet = FleetStateUpdate("web", resource_arns={arns}, state="DISABLED", execution_role="ImageLifecycle",
                             include_resources={{"amis": True}}, {more})
    pulumi.export("ids", fleet.lifecycle_execution_ids)
"""
IMAGES = 24


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Two dozen builds; executions take a second."""
    seed = {
        "roles": ["ImageLifecycle"],
        "images": [{"arn": f"{STEM}/{build}", "amis": [{"region": "us-east-1"}]} for build in range(1, IMAGES + 1)],
    }
    with Emulator(seed, execution_time="1s") as running:
        yield running


@pytest.fixture
def declare(bench: Any) -> Callable[..., None]:
    def write(builds: Any, more: str = "") -> None:
        bench.write(PROGRAM.format(arns=[f"{STEM}/{build}" for build in builds], more=more))

    return write


def executions(bench: Any) -> int:
    return len(bench.emulator.backend.executions)


def states(bench: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for image in bench.emulator.backend.images.values():
        found[image.state] = found.get(image.state, 0) + 1
    return found


def test_the_life_of_a_fleet(bench: Any, declare: Callable[..., None]) -> None:
    """Nothing, images, more of them, fewer, another order, drift of one, and the end: each acts on the difference."""
    declare([])
    bench.check("up")
    assert bench.emulator.requests.all() == []
    assert bench.workspace.outputs()["ids"] == {}

    declare(range(1, 5))
    bench.check("up")
    assert executions(bench) == 4
    outputs = bench.resource()["outputs"]
    assert list(outputs["executions"]) == [f"{STEM}/{build}" for build in range(1, 5)]
    assert {each["status"] for each in outputs["executions"].values()} == {"SUCCESS"}
    assert bench.workspace.outputs()["ids"] == outputs["lifecycle_execution_ids"]

    declare([6, 5, 4, 3, 2], 'on_destroy="restore"')
    bench.check("up")
    assert executions(bench) == 4 + 2 + 1
    assert states(bench) == {"DISABLED": 5, "AVAILABLE": IMAGES - 5}

    bench.emulator.requests.clear()
    declare(range(2, 7), 'on_destroy="restore"')
    bench.check("up", "--expect-no-changes")
    assert bench.emulator.requests.all() == []

    with bench.emulator.lock:
        bench.emulator.backend.images[f"{STEM}/3"].state = "AVAILABLE"
    bench.check("refresh")
    assert bench.resource()["outputs"]["executions"][f"{STEM}/3"]["image_state"] == "AVAILABLE"
    assert "the image is AVAILABLE, declared is DISABLED" in bench.check("up")
    assert executions(bench) == 4 + 2 + 1 + 1

    bench.check("destroy")
    assert states(bench) == {"AVAILABLE": IMAGES}


def test_some_fail(bench: Any, declare: Callable[..., None]) -> None:
    """All others run to their end, one line names those that failed, and the next `up` does only these."""
    bench.emulator.faults.add(*(f"execution fail image={STEM}/{build} reason=Denied" for build in (7, 8)))
    declare([*range(1, IMAGES + 1), 99])
    done = bench.run("up")
    assert done.returncode != 0
    closing = (done.stdout + done.stderr).partition("Diagnostics:")[2]
    # What the native provider records of a resource that failed is printed as a list.
    (line,) = [line for line in closing.splitlines() if line.strip().startswith(("error: changing ", "* changing "))]
    assert "changing 25 images to DISABLED: 22 of 25 done, 3 failed; 2 images: " in line
    assert "Denied: web/1.0.0/7, web/1.0.0/8 (arn:aws:imagebuilder:us-east-1:123456789012:image/…)" in line
    assert f"image {STEM}/99: ResourceNotFoundException: The resource {STEM}/99 was not found" in line
    assert line.count("fix the cause and run `pulumi up` again") == 1
    assert executions(bench) == IMAGES
    assert "Traceback" not in done.stdout + done.stderr

    bench.emulator.faults.clear()
    declare(range(1, IMAGES + 1))
    bench.emulator.requests.clear()
    bench.check("up")
    assert executions(bench) == IMAGES + 2
    assert states(bench) == {"DISABLED": IMAGES}
    assert sum(bench.emulator.requests.counts().values()) <= 4 * IMAGES + 20


def test_a_kill_in_the_middle(bench: Any, declare: Callable[..., None]) -> None:
    """Some are started and some are not: in the end each has one execution."""
    declare(range(1, IMAGES + 1))
    bench.emulator.faults.add(f"{START} stall=60s nth={','.join(map(str, range(IMAGES // 2, 100)))}")
    bench.killed(lambda: bench.asked(START) >= IMAGES // 2 + 2)
    bench.emulator.faults.clear()
    assert 0 < executions(bench) < IMAGES
    bench.check("up")
    assert executions(bench) == IMAGES
    assert states(bench) == {"DISABLED": IMAGES}
