"""An `ImageCleanup` under the real program: what deletes an image, and what does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator

NAMES = {"aliased", "bare", "gone", "kept", "safe", "web"}
PROTECTED = "cannot be deleted\n    because it is protected."


def arn(name: str) -> str:
    return f"arn:aws:imagebuilder:us-east-1:123456789012:image/{name}/1.0.0/1"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """The local Image Builder with an image of each of the names, of one AMI each; executions take a second."""
    images = [{"arn": arn(name), "amis": [{"region": "us-east-1"}]} for name in sorted(NAMES)]
    with Emulator({"roles": ["ImageLifecycle"], "images": images}, execution_time="1s") as running:
        yield running


def declare(bench: Any, *clean_ups: str, then: str = "") -> None:
    """A program of clean-ups, each as ``name = image, options``, and what comes after them."""
    lines = ["import pulumi", "from pulumi_imagebuilder import ImageCleanup, ResourceStateUpdate"]
    for clean_up in clean_ups:
        name, _, rest = clean_up.partition(" = ")
        image, _, options = rest.partition(", ")
        opts = f"opts=pulumi.ResourceOptions({options})"
        lines.append(
            f'{name} = ImageCleanup("{name}", resource_arn="{arn(image)}", execution_role="ImageLifecycle", {opts})'
        )
    bench.write("\n".join([*lines, then]))


def there(bench: Any) -> set[str]:
    """The names of the images whose record and AMI are both there; no image has only one of them."""
    records = {each["name"] for each in bench.client("imagebuilder").list_images()["imageVersionList"]}
    amis = bench.client("ec2").describe_images(Owners=["self"], IncludeDisabled=True)["Images"]
    assert {ami["Name"].partition("-")[0] for ami in amis} == records
    assert len(bench.client("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"]) == len(amis)
    return records


def left_alone(name: str) -> str:
    return f"left unchanged, because the program still declares it: image {arn(name)}"


def test_names_and_options(bench: Any) -> None:
    """Renamed, with an alias or without: nothing is deleted. `retain_on_delete` and `protect` keep, as ever."""
    declare(
        bench,
        "aliased = aliased",
        "bare = bare",
        "kept = kept, retain_on_delete=True",
        "safe = safe, protect=True",
        "web = web",
    )
    bench.check("up")
    assert bench.emulator.requests.counts() == {}

    renamed = 'new = aliased, aliases=[pulumi.Alias(name="aliased")]'
    declare(bench, renamed, "other = bare", "safe = safe, protect=True")
    told = bench.check("up")
    assert there(bench) == NAMES - {"web"}
    assert left_alone("bare") in told

    declare(bench, renamed, "other = bare")
    refused = bench.run("up")
    assert refused.returncode != 0
    assert PROTECTED in refused.stdout
    assert there(bench) == NAMES - {"web"}

    declare(bench, "safe = safe")
    told = bench.check("up")
    assert there(bench) == {"gone", "kept", "safe"}
    # Progress is shown on the row of the new name.
    assert "ImageCleanup new deleting" in told
    assert "ImageCleanup aliased" not in told


def test_a_failed_up_that_is_taken_back(bench: Any) -> None:
    """The replacement's leftover in the state is for an image that the program declares again: it stays."""
    declare(bench, "web = web")
    bench.check("up")
    after = "opts=pulumi.ResourceOptions(depends_on=[web])"
    fails = f'ResourceStateUpdate("no", resource_arn="{arn("no")}", state="DEPRECATED", {after})'
    declare(bench, "web = bare", then=fails)
    assert bench.run("up").returncode != 0
    pending = [each["outputs"]["resource_arn"] for each in bench.resources() if each.get("delete")]
    assert pending == [arn("web")]
    assert there(bench) == NAMES

    declare(bench, "web = web")
    assert left_alone("web") in bench.check("up")
    assert there(bench) == NAMES - {"bare"}
    # Here the program is run too, and declares the clean-up: it is a destroy nonetheless.
    bench.check("destroy", "--run-program")
    assert there(bench) == NAMES - {"bare", "web"}


def test_an_image_that_is_gone(bench: Any) -> None:
    """A refresh drops the record, the next `up` writes it down again, and destroy warns that nothing was deleted."""
    declare(bench, "gone = gone")
    bench.check("up")
    bench.client("imagebuilder").delete_image(imageBuildVersionArn=arn("gone"))
    bench.check("refresh")
    assert [each for each in bench.workspace.state()["deployment"]["resources"] if "dynamic" in each["type"]] == []
    bench.check("up")
    assert (
        f"warning: image {arn('gone')} is gone already, and no lifecycle execution deleted it: AMIs, snapshots or "
        "containers of it that still exist are to be deleted by hand\n"
    ) in bench.check("destroy")
    assert bench.asked("StartResourceStateUpdate") == 0
