"""Programs as people write them: components, renames, replacements, transforms, explicit providers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator

STEM = "arn:aws:imagebuilder:us-east-1:123456789012:image"
HEAD = f"""
import pulumi
from pulumi import ResourceOptions
from pulumi_imagebuilder import *

def image(name):
    return f"{STEM}/{{name}}/1.0.0/1"

amis = {{"execution_role": "ImageLifecycle", "include_resources": {{"amis": True}}}}
"""
NAMES = [
    "single", "aliased", "subclass", "to-fleet", "to-single", "between-1", "between-2", "cleanup", "both", "component",
    "dbr", "dbr-next", "dropped", "dropped-fleet",
]  # fmt: skip
LATER = "2099-01-31T00:00:00Z"


def arn(name: str) -> str:
    return f"{STEM}/{name}/1.0.0/1"


@pytest.fixture
def emulator() -> Any:
    """One image for each way to declare it."""
    images = [{"arn": arn(name), "amis": [{}]} for name in NAMES]
    with Emulator({"roles": ["ImageLifecycle"], "images": images}, execution_time="1s") as running:
        yield running


def states(bench: Any) -> dict[str, str]:
    return {name: bench.image_state(arn(name)) for name in NAMES}


def test_components(bench: Any) -> None:
    """Every resource of ours is a child like any other, at any depth, with siblings that depend on it."""
    bench.write(
        HEAD
        + """
class Inner(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__("test:index:Inner", name, None, opts)
        child = ResourceOptions(parent=self)
        first = ResourceStateUpdate(f"{name}-first", resource_arn=image("single"), state="DISABLED", **amis, opts=child)
        fleet = FleetStateUpdate(
            f"{name}-fleet", resource_arns=[first.resource_arn.apply(lambda arn: image("to-fleet"))],
            state="DEPRECATED", opts=child,
        )
        self.cleanup = ImageCleanup(
            f"{name}-cleanup", resource_arn=image("cleanup"), execution_role="ImageLifecycle",
            opts=ResourceOptions(parent=self, depends_on=[first, fleet]),
        )
        self.register_outputs({"id": first.lifecycle_execution_id})

class Outer(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("test:index:Outer", name)
        inner = Inner(f"{name}-inner", ResourceOptions(parent=self))
        ResourceStateUpdate(
            f"{name}-last", resource_arn=image("both"), state="DEPRECATED",
            opts=ResourceOptions(parent=inner.cleanup, depends_on=[inner]),
        )
        self.register_outputs({})

Outer("outer")
"""
    )
    bench.check("preview")
    bench.check("up")
    found = states(bench)
    assert (found["single"], found["to-fleet"], found["both"]) == ("DISABLED", "DEPRECATED", "DEPRECATED")
    bench.check("preview", "--expect-no-changes")
    bench.check("destroy")
    assert arn("cleanup") not in bench.emulator.backend.images


BEFORE = """
restored = {**amis, "state": "DISABLED", "on_destroy": "restore"}
ResourceStateUpdate("single", resource_arn=image("single"), **restored)
ResourceStateUpdate("aliased", resource_arn=image("aliased"), **restored)
ResourceStateUpdate("subclass", resource_arn=image("subclass"), **restored)
ResourceStateUpdate("to-fleet", resource_arn=image("to-fleet"), **restored)
FleetStateUpdate("to-single", resource_arns=[image("to-single")], **restored)
FleetStateUpdate("one", resource_arns=[image("between-1"), image("between-2"), image("dropped-fleet")], **restored)
ImageCleanup("cleanup", resource_arn=image("cleanup"), execution_role="ImageLifecycle")
ImageCleanup("both", resource_arn=image("both"), execution_role="ImageLifecycle")
ResourceStateUpdate("component", resource_arn=image("component"), **restored)
ResourceStateUpdate(
    "dbr", resource_arn=image("dbr"), **restored, opts=ResourceOptions(delete_before_replace=True)
)
ResourceStateUpdate("dropped", resource_arn=image("dropped"), **restored)
"""
AFTER = """
restored = {**amis, "state": "DISABLED", "on_destroy": "restore"}

class Update(ResourceStateUpdate):
    pass

class Component(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("test:index:Component", name)
        ResourceStateUpdate("inner", resource_arn=image("component"), **restored, opts=ResourceOptions(parent=self))
        self.register_outputs({})

ResourceStateUpdate("renamed", resource_arn=image("single"), **restored)
ResourceStateUpdate(
    "with-alias", resource_arn=image("aliased"), **restored,
    opts=ResourceOptions(aliases=[pulumi.Alias(name="aliased")]),
)
Update("new-subclass", resource_arn=image("subclass"), **restored)
FleetStateUpdate("new-fleet", resource_arns=[image("to-fleet")], **restored)
ResourceStateUpdate("new-single", resource_arn=image("to-single"), **restored)
FleetStateUpdate("one", resource_arns=[image("between-1")], **restored)
FleetStateUpdate("two", resource_arns=[image("between-2")], **restored)
ImageCleanup("renamed-cleanup", resource_arn=image("cleanup"), execution_role="ImageLifecycle")
ResourceStateUpdate("instead-of-cleanup", resource_arn=image("both"), state="DEPRECATED")
Component("component")
ResourceStateUpdate(
    "dbr", resource_arn=image("dbr-next"), **restored, opts=ResourceOptions(delete_before_replace=True)
)
ResourceStateUpdate("dbr-taken-over", resource_arn=image("dbr"), **restored)
"""
LEFT = ["single", "subclass", "to-fleet", "to-single", "between-2", "cleanup", "both", "component", "dbr"]


def test_what_the_program_still_declares_is_not_undone(bench: Any) -> None:
    """Renamed, moved to another resource or into a component, replaced: nothing is restored, deleted or started again.

    Only what no resource declares any more is restored, and each row says why its image was left.
    """
    bench.write(HEAD + BEFORE)
    bench.check("up")
    before = {name: len(bench.executions(arn(name))) for name in NAMES}
    bench.write(HEAD + AFTER)
    output = bench.check("up")
    found = states(bench)
    assert {found.pop("dropped"), found.pop("dropped-fleet")} == {"AVAILABLE"}
    assert (found.pop("cleanup"), found.pop("both")) == ("AVAILABLE", "DEPRECATED")
    assert set(found.values()) == {"DISABLED"}
    after = {name: len(bench.executions(arn(name))) for name in NAMES}
    assert {name for name in NAMES if after[name] != before[name]} == {"dropped", "dropped-fleet", "dbr-next"}
    for name in LEFT:
        assert f"left unchanged, because the program still declares it: image {arn(name)}" in output, name
    bench.check("preview", "--expect-no-changes")
    single = next(
        each["urn"] for each in bench.workspace.state()["deployment"]["resources"] if each["urn"].endswith("::renamed")
    )
    assert "still declares it" in bench.check("up", "--replace", single)
    assert bench.image_state(arn("single")) == "DISABLED"
    assert len(bench.executions(arn("single"))) == before["single"]


def test_a_renamed_schedule_stays(bench: Any) -> None:
    """Exactly one schedule is pending after a rename, also where an update of an earlier declaration made it."""
    update = f'state="DEPRECATED", update_at="{LATER}", on_destroy="cancel", **amis'
    bench.write(
        HEAD
        + f"""
ResourceStateUpdate("one", resource_arn=image("single"), {update})
ResourceStateUpdate("two", resource_arn=image("both"), state="DISABLED", **amis)
"""
    )
    bench.check("up")
    for names in (("one", "two"), ("three", "four")):
        bench.write(
            HEAD
            + f"""
ResourceStateUpdate("{names[0]}", resource_arn=image("single"), {update})
ResourceStateUpdate("{names[1]}", resource_arn=image("both"), {update})
"""
        )
        bench.check("up")
    for name, total in (("single", 1), ("both", 2)):
        executions = bench.executions(arn(name))
        assert len([each for each in executions if "endTime" not in each]) == 1
        assert len(executions) == total
    bench.check("destroy")
    assert {each["state"]["status"] for each in bench.executions(arn("single"))} == {"CANCELLED"}


def test_a_time_limit_set_by_a_transform(bench: Any) -> None:
    """The time limit is the one that the engine has after all transforms, and the message says so."""
    bench.emulator.faults.add(f"execution hang image={arn('single')}")
    bench.write(
        HEAD
        + """
from pulumi.runtime import register_resource_transform

def limit(args):
    opts = ResourceOptions.merge(args.opts, ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="4s")))
    return pulumi.ResourceTransformResult(args.props, opts)

register_resource_transform(limit)
ResourceStateUpdate("web", resource_arn=image("single"), state="DISABLED", **amis)
"""
    )
    done = bench.run("up")
    assert done.returncode != 0
    assert "the time limit of 4s ran out while lifecycle execution lce-" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_renamed_stack(bench: Any) -> None:
    """Nothing changes, and progress goes to the new row."""
    program = 'ResourceStateUpdate("web", resource_arn=image("single"), state="{}", **amis)'
    bench.write(HEAD + program.format("DISABLED"))
    bench.check("up")
    bench.rename_stack("prod")
    bench.check("preview", "--expect-no-changes")
    bench.write(HEAD + program.format("AVAILABLE"))
    assert "SUCCESS" in bench.check("up")


PROVIDERS = {
    "provider": 'ResourceStateUpdate("web", resource_arn=image("single"), state="DISABLED",'
    ' opts=ResourceOptions(provider=pulumi_aws.Provider("other", region="us-east-1")))',
    "component": """
class Component(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__("test:index:Component", name, None, opts)
        ImageCleanup("web", resource_arn=image("single"), execution_role="ImageLifecycle",
                     opts=ResourceOptions(parent=self))

Component("c", ResourceOptions(providers=[pulumi_aws.Provider("other", region="us-east-1")]))
""",
}


@pytest.mark.parametrize("program", PROVIDERS.values(), ids=PROVIDERS)
def test_an_explicit_provider_is_refused(bench: Any, program: str) -> None:
    """In one line that names the provider and the way out, and before any call: it may be of another account."""
    bench.put_standin()
    bench.write(f"import pulumi_aws{HEAD}{program}")
    done = bench.run("preview")
    assert done.returncode != 0
    assert 'provider "other" of package aws' in done.stdout
    assert "pulumi_imagebuilder.native" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert [call.operation for call in bench.emulator.requests.all() if call.service == "imagebuilder"] == []


def test_errors_of_other_dynamic_providers_keep_their_tracebacks(bench: Any) -> None:
    """Ours are one line; a provider of the user's own in the same process is printed as Pulumi prints it."""
    bench.write(
        HEAD
        + """
import pulumi.dynamic

class Own(pulumi.dynamic.ResourceProvider):
    def create(self, props):
        def deeper():
            raise ValueError("a mistake of its own")
        deeper()

class Thing(pulumi.dynamic.Resource):
    pass

ours = ResourceStateUpdate("ours", resource_arn=image("missing"), state="DISABLED")
Thing(Own(), "thing", {})
"""
    )
    output = bench.run("up", "--continue-on-error").stdout
    ours = f"changing image {arn('missing')} to DISABLED: ResourceNotFoundException"
    lines = [line.strip() for line in output.splitlines()]
    assert any(line.startswith("error:") and ours in line for line in lines), output
    assert "in deeper" in output
    assert "ValueError: a mistake of its own" in output
    assert "pulumi_imagebuilder/" not in output


def test_a_targeted_run_declares_its_targets_alone(bench: Any) -> None:
    """`--target` of a resource that left the program acts as it says; what is not targeted is left alone."""
    bench.write(
        HEAD
        + """
ResourceStateUpdate("one", resource_arn=image("single"), state="DISABLED", on_destroy="restore", **amis)
ResourceStateUpdate("two", resource_arn=image("both"), state="DISABLED", on_destroy="restore", **amis)
"""
    )
    bench.check("up")
    urns = {each["urn"].rpartition("::")[2]: each["urn"] for each in bench.workspace.state()["deployment"]["resources"]}
    bench.write(HEAD)
    bench.check("up", "--target", urns["one"])
    assert (bench.image_state(arn("single")), bench.image_state(arn("both"))) == ("AVAILABLE", "DISABLED")
    state = json.dumps(bench.workspace.state())
    assert "::two" in state
    assert "::one" not in state
