"""What a destroy does in whatever state it finds the image: the table in docs/cleanup.md, held by the real program."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator

from tools.workspace import ROOT

START = "StartResourceStateUpdate"
ROWS = {
    "`AVAILABLE`": "available",
    "`DEPRECATED`": "deprecated",
    "`DISABLED`": "disabled",
    "`FAILED`": "failed",
    "`CANCELLED`": "cancelled",
    "being built": "building",
    "to be deprecated at a time to come": "scheduled",
    "in use by another execution": "busy",
    "being deleted by another execution": "going",
    "with one of two AMIs deregistered by hand": "half",
    "with one of two AMIs left out by `exclusion_rules`": "excluded",
    "a container image": "container",
    "deleted already by a state update": "deleted",
    "deleted already by `DeleteImage` alone": "recordless",
}
"""The rows of the table, and the images that stand for them."""


def arn(name: str) -> str:
    return f"arn:aws:imagebuilder:us-east-1:123456789012:image/{name}/1.0.0/1"


def seed(name: str) -> dict[str, Any]:
    """An image of this name, in the state that it is named after."""
    if name == "container":
        return {"arn": arn(name), "type": "DOCKER", "containers": [{"repository": name}]}
    amis: dict[str, list[dict[str, Any]]] = {
        "half": [{}, {}],
        "excluded": [{}, {"tags": {"keep": "yes"}}],
        "failed": [],
        "cancelled": [],
    }
    states = {"deprecated", "disabled", "failed", "cancelled", "building"}
    return {
        "arn": arn(name),
        "state": name.upper() if name in states else "AVAILABLE",
        "amis": amis.get(name, [{}]),
    }


@pytest.fixture
def names() -> list[str]:
    """The images there are."""
    return list(ROWS.values())


@pytest.fixture
def emulator(names: list[str]) -> Iterator[Emulator]:
    """The local Image Builder with these images; executions take a second."""
    seeds = {"roles": ["ImageLifecycle"], "images": [seed(name) for name in names]}
    with Emulator(seeds, execution_time="1s") as running:
        yield running


class Images:
    """What the services tell of the images; made while everything is there."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.imagebuilder, self.ec2, self.ecr = (bench.client(name) for name in ("imagebuilder", "ec2", "ecr"))
        found = self.ec2.describe_images(Owners=["self"], IncludeDisabled=True)["Images"]
        self._image_of = {ami["ImageId"]: ami["Name"].partition("-")[0] for ami in found}

    def amis(self, name: str) -> list[str]:
        """The ids of an image's AMIs."""
        found = self.ec2.describe_images(Owners=["self"], IncludeDisabled=True)["Images"]
        return [ami["ImageId"] for ami in found if self._image_of[ami["ImageId"]] == name]

    def left(self, name: str) -> str:
        """What is still there under an image, in words."""
        snapshots = self.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        of_amis = [re.findall(r"ami-\w+", snapshot["Description"])[-1] for snapshot in snapshots]
        repositories = self.ecr.describe_repositories()["repositories"]
        containers = [
            image
            for repository in repositories
            if repository["repositoryName"] == name
            for image in self.ecr.list_images(repositoryName=name)["imageIds"]
        ]
        counts = {
            "AMI": len(self.amis(name)),
            "snapshot": sum(self._image_of[ami] == name for ami in of_amis),
            "container": len(containers),
        }
        return ", ".join(f"{count} {thing}" for thing, count in counts.items() if count) or "nothing"

    def has_record(self, name: str) -> bool:
        """Whether an image's record is still there."""
        return any(each["name"] == name for each in self.imagebuilder.list_images()["imageVersionList"])

    def started(self, name: str) -> int:
        """How many state updates the provider has started on an image; asking again with a token starts nothing."""
        tokens = {
            request.parameters["clientToken"]
            for request in self.bench.emulator.requests.all(START)
            if request.parameters["resourceArn"] == arn(name) and request.status == 200
        }
        return sum(token.startswith("pulumi-") for token in tokens)

    def refused(self, name: str) -> bool:
        """Whether the provider was told that an image is in use."""
        return any(
            request.error == "ResourceInUseException" and request.parameters["resourceArn"] == arn(name)
            for request in self.bench.emulator.requests.all(START)
        )

    def looked_at(self, name: str) -> bool:
        """Whether the provider has listed an image's executions."""
        listed = self.bench.emulator.requests.all("ListLifecycleExecutions")
        return any(request.parameters["resourceArn"] == arn(name) for request in listed)

    def update(self, name: str, state: str, **request: Any) -> None:
        """Another's state update of an image."""
        self.imagebuilder.start_resource_state_update(
            resourceArn=arn(name),
            state={"status": state},
            executionRole="ImageLifecycle",
            includeResources={"amis": True, "snapshots": True} if state == "DELETED" else {"amis": True},
            **request,
        )


def declare(bench: Any, names: list[str], options: str = "") -> None:
    """A clean-up of each image."""
    bench.write(f"""
        import pulumi
        from pulumi_imagebuilder import ImageCleanup
        for name in {names}:
            ImageCleanup(
                name,
                resource_arn=f"{arn("{name}")}",
                execution_role="NoRole" if name == "norole" else "ImageLifecycle",
                exclusion_rules={{"amis": {{"tag_map": {{"keep": "yes"}}}}}} if name == "excluded" else None,
                {options}
            )
    """)


def built(bench: Any, name: str) -> None:
    """The build of an image ends now."""
    with bench.emulator.lock:
        image = bench.emulator.backend.images[arn(name)]
        image.available_at = bench.emulator.clock.now()
        bench.emulator.backend.add_image(image)


def ending(bench: Any, when: Callable[[], Any], then: Callable[[], Any], *options: str) -> tuple[int, str]:
    """Destroy, and do something as soon as something is so; the exit code, and all it printed."""
    run = bench.workspace.start(
        "destroy", "--yes", "--skip-preview", "--non-interactive", "--color", "never", "--parallel", "32", *options
    )
    with run:
        bench.until(when)
        then()
        out, err = run.communicate(timeout=120)
    return run.returncode, out + err


def test_the_table(bench: Any, names: list[str]) -> None:
    """One destroy finds an image in each of the states, and does what the table says."""
    images = Images(bench)
    declare(bench, names)
    bench.check("up")

    images.update("scheduled", "DEPRECATED", updateAt=datetime(2099, 1, 31, tzinfo=UTC))
    images.update("deleted", "DELETED")
    bench.until(lambda: not images.has_record("deleted"))
    images.imagebuilder.delete_image(imageBuildVersionArn=arn("recordless"))
    images.ec2.deregister_image(ImageId=images.amis("half")[0])
    bench.emulator.faults.add(f"execution hang image={arn('busy')}", f"execution hang image={arn('going')}")
    images.update("busy", "DISABLED")
    images.update("going", "DELETED")

    def waits() -> bool:
        looks = [r.parameters["imageBuildVersionArn"] for r in bench.emulator.requests.all("GetImage")]
        return images.looked_at("busy") and images.refused("going") and looks.count(arn("building")) > 1

    def let_go() -> None:
        bench.emulator.faults.clear()
        built(bench, "building")

    code, told = ending(bench, waits, let_go)
    assert code == 0, told
    found = [
        [row, str(images.started(name)), "kept" if images.has_record(name) else "gone", images.left(name)]
        for row, name in ROWS.items()
    ]
    assert found == documented()
    (kept,) = images.amis("excluded")
    closing = told.partition("Diagnostics:")[2]
    assert (
        f"the record of image {arn('excluded')} is kept, because the exclusion rules left out {kept} (us-east-1)\n"
        in closing
    )
    assert [line for line in closing.splitlines() if "gone already" in line] == [
        f"    warning: image {arn('recordless')} is gone already, and no lifecycle execution deleted it: AMIs, "
        "snapshots or containers of it that still exist are to be deleted by hand"
    ]


def documented() -> list[list[str]]:
    """The table in docs/cleanup.md, without what it only explains."""
    page = (ROOT / "docs" / "cleanup.md").read_text(encoding="utf-8")
    table = page.partition("| The image is")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")][:4] for line in table]


@pytest.mark.parametrize("names", [["building", "busy", "hung", "norole", "denied"]])
def test_what_cannot_be_cleaned_up(bench: Any, names: list[str]) -> None:
    """Each is told in one line, and all the others go on; the next destroy does what is left, and nothing twice."""
    images = Images(bench)
    declare(bench, names, 'opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(delete="4s")),')
    bench.check("up")
    bench.emulator.faults.add(
        f"execution hang image={arn('busy')}",
        f"execution hang image={arn('hung')}",
        f"execution fail image={arn('denied')} reason='You are not authorized'",
    )
    images.update("busy", "DISABLED")
    code, told = ending(bench, lambda: True, lambda: None, "--continue-on-error")
    assert code != 0
    assert "Traceback" not in told

    execution = {name: bench.executions(arn(name))[0]["lifecycleExecutionId"] for name in names if name != "building"}
    (ami,) = images.amis("denied")
    again = "run the same command again"
    fixed = "fix the cause and run the same command again to start a new execution"
    expected = {
        "building": f"the time limit of 4s ran out while the image was still BUILDING; {again} once it is built, or "
        "give it longer with custom_timeouts",
        "busy": f"the time limit of 4s ran out while waiting for lifecycle execution {execution['busy']}, which has "
        f"the image in use; {again} once it has ended, or give it longer with custom_timeouts",
        "hung": f"the time limit of 4s ran out while lifecycle execution {execution['hung']} was IN_PROGRESS; it "
        "continues, and the same command continues to wait for it; or give it longer with custom_timeouts",
        "norole": f"lifecycle execution {execution['norole']} ended as FAILED: The execution role NoRole does not "
        f"exist; {fixed}",
        "denied": f"lifecycle execution {execution['denied']} ended as FAILED: 1 of 1 resources failed; failed: {ami} "
        f"(us-east-1): You are not authorized; {fixed}",
    }
    lines = [line.strip() for line in told.partition("Diagnostics:")[2].splitlines()]
    for name, text in expected.items():
        (line,) = [line for line in lines if line.startswith("error: ") and f"image {arn(name)}:" in line]
        assert line.endswith(f"deleting image {arn(name)}: {text}")
    assert all(images.has_record(name) for name in names)

    bench.emulator.faults.clear()
    built(bench, "building")
    bench.client("iam").create_role(RoleName="NoRole", AssumeRolePolicyDocument=trust(bench))
    bench.check("destroy")
    assert {name: (images.started(name), images.has_record(name), images.left(name)) for name in names} == {
        "building": (1, False, "nothing"),
        "busy": (1, False, "nothing"),
        "hung": (1, False, "nothing"),
        "norole": (2, False, "nothing"),
        "denied": (2, False, "nothing"),
    }


def lift(bench: Any, numbers: list[int]) -> None:
    """Take faults away again."""
    for number in numbers:
        bench.emulator.faults.remove(number)


def trust(bench: Any) -> str:
    """A policy by which Image Builder may assume a role: the one of a role that it may."""
    return json.dumps(bench.client("iam").get_role(RoleName="ImageLifecycle")["Role"]["AssumeRolePolicyDocument"])


@pytest.mark.parametrize("names", [["available"]])
def test_a_destroy_that_is_killed(bench: Any, names: list[str]) -> None:
    """SIGKILL before the start, between the start and its answer, while waiting, and before the state is written."""
    images = Images(bench)
    declare(bench, names)
    bench.check("up")
    hanging = bench.emulator.faults.add("execution hang image=*")

    def asked(operation: str, times: int) -> Callable[[], bool]:
        before = bench.asked(operation)
        return lambda: bench.asked(operation) >= before + times

    def ended() -> bool:
        if waits():
            lift(bench, hanging)
        return bool(bench.asked("GetLifecycleExecution"))

    for faults, operation, times in [
        ([f"{START} stall=60s"], START, 1),
        ([f"{START} drop-answer nth=1", f"{START} stall=60s nth=2"], START, 2),
        ([], "ListLifecycleExecutionResources", 2),
    ]:
        set_now = bench.emulator.faults.add(*faults)
        bench.killed(asked(operation, times), command="destroy")
        lift(bench, set_now)
    # Without the resources' times the execution itself is read in the end.
    bench.emulator.variants.set({"resource-times": "absent"})
    set_now = bench.emulator.faults.add("GetLifecycleExecution stall=60s")
    bench.until(lambda: not [pid for pid in bench.processes() if "pulumi.dynamic" in bench.command_line(pid)])
    waits = asked("ListLifecycleExecutionResources", 1)
    bench.killed(ended, command="destroy")
    lift(bench, set_now)
    bench.check("destroy")
    assert [each["state"]["status"] for each in bench.executions(arn("available"))] == ["SUCCESS"]
    assert len({request.parameters["clientToken"] for request in bench.emulator.requests.all(START)}) == 1
    assert not images.has_record("available")
    assert images.left("available") == "nothing"
    assert bench.workspace.state()["deployment"].get("resources", []) == []
