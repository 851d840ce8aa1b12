"""AMIs that are in use are not taken away, and the preview says so before."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator

STEM = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0"
WEB, SECOND, THIRD, PROTECTED = (f"{STEM}/{build}" for build in (1, 2, 3, 4))
FOREIGN = f"{STEM}/5"
REGIONS = ("eu-west-1", "us-east-1", "us-west-2")
TEMPLATE = {"launch_templates": ["web"], "auto_scaling_groups": ["web"]}
SEED = {
    "roles": ["ImageLifecycle"],
    "images": [
        {
            "arn": WEB,
            "amis": [
                {"region": "us-east-1", "snapshots": 2, "last_launched": "2026-05-01T00:00:00Z"},
                {"region": "us-west-2"},
                {"region": "eu-west-1", "used_by": TEMPLATE},
            ],
        },
        {"arn": SECOND, "amis": [{"region": "us-east-1"}]},
        {"arn": THIRD, "amis": [{"region": "us-east-1"}]},
        {"arn": PROTECTED, "amis": [{"region": "us-east-1", "deregistration_protection": True}]},
        {"arn": FOREIGN, "amis": [{"region": "us-east-1"}, {"region": "us-east-1", "account": "111122223333"}]},
    ],
}
START = "StartResourceStateUpdate"
DISABLED = 'state="DISABLED", execution_role="ImageLifecycle", include_resources={"amis": True}'
DELETED = 'state="DELETED", execution_role="ImageLifecycle", include_resources={"amis": True, "snapshots": True}'
READS = ("Describe", "Get", "List")
USES = "launch template web (version 1, $Default, $Latest) and Auto Scaling group web (launch template web, version 1)"
_OF_PULUMI = {"error: update failed", "error: Resource monitor has terminated, shutting down"}
RECORDED = "error: 1 error occurred:"


READINGS = [("dynamic", "immediate"), ("dynamic", "lag"), ("native", "lag")]


def on_dynamic_and_once_on_native(names: Sequence[str], cases: Sequence[Any]) -> pytest.MarkDecorator:
    """Run every case on the dynamic side, and the first one on the native side: what differs is above what they try."""
    sides = [*(("dynamic", case) for case in cases), ("native", cases[0])]
    pairs = [pytest.param(side, *case.values, id=f"{side}-{case.id}") for side, case in sides]
    return pytest.mark.parametrize(("side", *names), pairs, indirect=["side"])


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """The local Image Builder with an image that is in use in one region of three, and others that are not."""
    with Emulator(SEED, execution_time="1s") as running:
        yield running


def declare(bench: Any, arguments: str, *, image: str = WEB, kind: str = "ResourceStateUpdate", opts: str = "") -> None:
    bench.write(f"""
        import pulumi
        from pulumi_imagebuilder import FleetStateUpdate, ImageCleanup, ResourceStateUpdate
        {kind}("web", resource_arn="{image}", {arguments}, opts=pulumi.ResourceOptions({opts}))
    """)


def declare_fleet(bench: Any, arguments: str, *images: str) -> None:
    bench.write(f"""
        from pulumi_imagebuilder import FleetStateUpdate
        FleetStateUpdate("web", resource_arns={list(images)}, {arguments})
    """)


def ami_of(bench: Any, image: str, region: str) -> str:
    """The id of an image's AMI in a region."""
    (found,) = bench.client("ec2", region).describe_images(
        Filters=[{"Name": "name", "Values": [f"web-1.0.0-{image.rpartition('/')[2]}*"]}], Owners=["self"]
    )["Images"]
    return str(found["ImageId"])


def put_in_use(bench: Any, image: str = SECOND) -> None:
    """Let a parameter name the image's AMI in us-east-1."""
    bench.client("ssm").put_parameter(Name="/golden/web", Value=ami_of(bench, image, "us-east-1"), Type="String")


def move_on(bench: Any) -> None:
    """Let the launch template of the seed, and so the group that launches from it, take another AMI."""
    ec2 = bench.client("ec2", "eu-west-1")
    ec2.create_launch_template_version(LaunchTemplateName="web", LaunchTemplateData={"InstanceType": "t3.micro"})
    ec2.modify_launch_template(LaunchTemplateName="web", DefaultVersion="2")


def started(bench: Any) -> list[str]:
    """The images that a start was asked for."""
    return sorted({request.parameters["resourceArn"] for request in bench.emulator.requests.all(START)})


def writes(bench: Any) -> list[str]:
    """The requests that are no reads."""
    return [each.operation for each in bench.emulator.requests.all() if not each.operation.startswith(READS)]


def error_line(bench: Any, command: str = "up") -> str:
    """Run a command that must fail; return the one line that it says why in."""
    done = bench.run(command)
    assert done.returncode != 0
    text = done.stdout + done.stderr
    assert "Traceback" not in text
    lines = [line.strip() for line in text.partition("Diagnostics:")[2].splitlines()]
    # Where the engine has recorded what failed, it puts a heading of its own before it.
    if RECORDED in lines:
        return str(lines[lines.index(RECORDED) + 1]).removeprefix("* ")
    (line,) = [line for line in lines if line.startswith("error: ") and line not in _OF_PULUMI]
    return str(line).removeprefix("error: ")


def diagnostics(text: str) -> list[str]:
    """The lines that a run says of the resource in the end."""
    found: list[str] = []
    for block in filter(None, text.partition("Diagnostics:\n")[2].split("\n\n")):
        head, *lines = block.splitlines()
        if head.startswith(("  pulumi-python:dynamic", "  imagebuilder:index:")):
            found += [line.strip() for line in lines]
    return found


# --- refused ---------------------------------------------------------------------------------------------------------


def test_a_refused_change_starts_nothing_until_the_use_has_gone(bench: Any) -> None:
    """One line names AMI, region, kind, name, version and the way out; afterwards the same `up` carries out."""
    declare(bench, DISABLED)
    assert error_line(bench) == (
        f"changing image {WEB} to DISABLED: {ami_of(bench, WEB, 'eu-west-1')} (eu-west-1) is used by {USES}; "
        'move these to another image and run the same command again, or set in_use="warn" to disable AMIs in use'
    )
    assert writes(bench) == []
    move_on(bench)
    bench.check("up")
    assert bench.image_state(WEB) == "DISABLED"
    assert started(bench) == [WEB]
    assert bench.resource()["outputs"]["status"] == "SUCCESS"


def test_wait_shows_what_it_waits_for_and_continues(bench: Any) -> None:
    """The row says what is in use; once that has moved on, the change is carried out."""
    declare(bench, f'{DISABLED}, in_use="wait"')
    with bench.workspace.start("up", "--yes", "--skip-preview", "--non-interactive", "--color", "never") as run:
        assert run.stdout is not None
        lines = []
        for line in run.stdout:
            lines.append(line)
            if "is used by" in line:
                break
        assert re.search(
            rf"web creating \(\d+s\) waiting \d+s: ami-\w+ \(eu-west-1\) is used by {re.escape(USES)}", lines[-1]
        )
        assert writes(bench) == []
        move_on(bench)
        out, err = run.communicate(timeout=240)
    assert run.returncode == 0, out + err
    assert bench.image_state(WEB) == "DISABLED"


def test_waiting_ends_with_the_time_limit(bench: Any) -> None:
    """The error says what was waited for, and nothing is started."""
    declare(bench, f'{DISABLED}, in_use="wait"', opts='custom_timeouts=pulumi.CustomTimeouts(create="8s")')
    assert error_line(bench) == (
        f"changing image {WEB} to DISABLED: the time limit of 8s ran out while waiting: "
        f"{ami_of(bench, WEB, 'eu-west-1')} (eu-west-1) is used by {USES}; run `pulumi up` again once that has "
        "changed, or give it longer with custom_timeouts"
    )
    assert writes(bench) == []


def test_warn_mentions_and_continues(bench: Any) -> None:
    """The use is a warning of the run, which carries the change out."""
    declare(bench, f'{DISABLED}, in_use="warn"')
    text = bench.check("up")
    assert diagnostics(text) == [
        f"warning: image {WEB}: {ami_of_disabled(bench, 'eu-west-1')} (eu-west-1) is used by {USES}; continuing, as "
        'in_use is "warn"'
    ]
    assert bench.image_state(WEB) == "DISABLED"


def ami_of_disabled(bench: Any, region: str) -> str:
    """The id of the first image's AMI in a region where there is no other, be it disabled."""
    (found,) = bench.client("ec2", region).describe_images(Owners=["self"], IncludeDisabled=True)["Images"]
    return str(found["ImageId"])


def test_ignore_makes_no_call_to_ec2(bench: Any) -> None:
    """Neither in the preview nor in the run: the preview's size is what Image Builder's record names."""
    declare(bench, f'{DISABLED}, in_use="ignore"')
    text = bench.check("preview")
    assert diagnostics(text) == ["would disable 1 image: up to 3 AMIs in eu-west-1, us-east-1 and us-west-2"]
    bench.check("up")
    assert {request.service for request in bench.emulator.requests.all()} == {"imagebuilder"}
    assert bench.image_state(WEB) == "DISABLED"


def test_a_fleet_carries_out_the_others(bench: Any) -> None:
    """The error names the image that is in use; after the use has gone, the next `up` starts that one alone."""
    put_in_use(bench)
    declare_fleet(bench, DELETED, SECOND, THIRD)
    line = error_line(bench)
    ami = ami_of(bench, SECOND, "us-east-1")
    assert line == (
        f"changing 2 images to DELETED: 1 of 2 done, 1 failed; image {SECOND}: {ami} (us-east-1) is used by SSM "
        'parameter /golden/web; move these to another image and run the same command again, or set in_use="warn" to '
        "delete AMIs in use; the next run touches only what is not done"
    )
    assert started(bench) == [THIRD]
    bench.client("ssm").delete_parameter(Name="/golden/web")
    bench.emulator.requests.clear()
    bench.check("up")
    assert {arn: each["status"] for arn, each in bench.resource()["outputs"]["executions"].items()} == {
        SECOND: "SUCCESS",
        THIRD: "SUCCESS",
    }
    assert len(bench.executions(THIRD)) == 1


def test_max_amis_stops_all_of_a_fleet(bench: Any) -> None:
    """Over the cap nothing is started, whatever `in_use` says; with a higher one all are."""
    arguments = f'{DELETED}, in_use="ignore"'
    declare_fleet(bench, f"{arguments}, max_amis=1", SECOND, THIRD)
    text = bench.check("preview")
    assert diagnostics(text)[1:] == [
        "warning: `pulumi up` would refuse this: 2 AMIs would be deleted, and max_amis is 1: nothing is started; check "
        "which images these are, then raise max_amis"
    ]
    assert "2 AMIs would be deleted, and max_amis is 1: nothing is started" in error_line(bench)
    assert started(bench) == []
    declare_fleet(bench, f"{arguments}, max_amis=2", SECOND, THIRD)
    bench.check("up")
    assert started(bench) == [SECOND, THIRD]


def test_deregistration_protection(bench: Any) -> None:
    """Refused before `DELETED`; once it is taken off, the same `up` deletes."""
    declare(bench, DELETED, image=PROTECTED)
    ami = ami_of(bench, PROTECTED, "us-east-1")
    assert error_line(bench) == (
        f"changing image {PROTECTED} to DELETED: {ami} (us-east-1) is protected from deregistration; turn the "
        "protection off, which can take a day to have an effect, and run the same command again"
    )
    assert started(bench) == []
    bench.client("ec2").disable_image_deregistration_protection(ImageId=ami)
    bench.check("up")
    assert bench.resource()["outputs"]["image_state"] == "DELETED"


@on_dynamic_and_once_on_native(
    ("fault", "says"),
    [
        pytest.param(
            "ec2:DescribeImageReferences error=UnauthorizedOperation region=us-west-2",
            "as the caller lacks ec2:DescribeImageReferences: ",
            id="403",
        ),
        pytest.param(
            "autoscaling:* error=AccessDenied region=us-west-2",
            "as the caller lacks autoscaling:Describe",
            id="403 of Auto Scaling",
        ),
        pytest.param("ec2:* error=RequestLimitExceeded region=us-west-2", "RequestLimitExceeded", id="throttling"),
        pytest.param("ec2:DescribeImages stall=10m region=us-west-2", "", id="a stall"),
        pytest.param(
            "ec2:DescribeImageReferences error=InternalError page=last region=us-west-2",
            "InternalError",
            id="a missing last page",
        ),
        pytest.param("ec2:DescribeImages plain-text=501 region=us-west-2", "501", id="an answer that is no XML"),
    ],
)
def test_a_region_that_cannot_be_looked_up(bench: Any, fault: str, says: str) -> None:
    """One region of three: nothing is started, and one line says why; once it answers, the same `up` carries out."""
    move_on(bench)
    bench.emulator.requests.clear()
    bench.emulator.faults.add(fault)
    declare(bench, DISABLED, opts='custom_timeouts=pulumi.CustomTimeouts(create="8s")')
    line = error_line(bench)
    assert line.startswith(f"changing image {WEB} to DISABLED: ")
    assert says in line
    assert writes(bench) == []
    bench.emulator.faults.clear()
    declare(bench, DISABLED)
    bench.check("up")
    assert bench.image_state(WEB) == "DISABLED"


# --- clean-up --------------------------------------------------------------------------------------------------------


def test_a_clean_up_waits_for_what_is_destroyed_beside_it(bench: Any) -> None:
    """A launch template of the same stack launches from the image; its own deletion comes second, and both succeed."""
    bench.write(f"""
        import json, os, time, urllib.request

        import pulumi
        from pulumi.dynamic import CreateResult, Resource, ResourceProvider
        from pulumi_imagebuilder import ImageCleanup

        def ec2():
            import boto3
            return boto3.client("ec2", region_name="us-east-1")

        class Template(ResourceProvider):
            def create(self, props):
                data = {{"ImageId": props["image"]}}
                made = ec2().create_launch_template(LaunchTemplateName="stack", LaunchTemplateData=data)
                return CreateResult(made["LaunchTemplate"]["LaunchTemplateId"], props)

            def delete(self, id, props):
                # The clean-up has looked at least once: it finds this template.
                counts = os.environ["AWS_ENDPOINT_URL"] + "/_emulator/requests/counts"
                while "ec2:DescribeImageReferences" not in json.load(urllib.request.urlopen(counts)):
                    time.sleep(0.1)
                ec2().delete_launch_template(LaunchTemplateId=id)

        class LaunchTemplate(Resource):
            def __init__(self, name, image):
                super().__init__(Template(), name, {{"image": image}})

        ImageCleanup("image", resource_arn="{SECOND}", execution_role="ImageLifecycle")
        LaunchTemplate("template", "{ami_of(bench, SECOND, "us-east-1")}")
    """)
    bench.check("up")
    bench.emulator.requests.clear()
    text = bench.check("destroy")
    assert "is used by launch template stack (version 1, $Default, $Latest)" in text
    changes = [each for each in writes(bench) if not each.startswith("Cancel")]
    assert changes == ["DeleteLaunchTemplate", START]


def test_a_clean_up_can_refuse(bench: Any) -> None:
    """With `refuse` it fails and names the use; the destroy after the use has gone deletes the image."""
    put_in_use(bench)
    arguments = 'execution_role="ImageLifecycle", in_use="refuse"'
    declare(bench, arguments, image=SECOND, kind="ImageCleanup")
    bench.check("up")
    bench.emulator.requests.clear()
    assert "is used by SSM parameter /golden/web" in error_line(bench, "destroy")
    assert started(bench) == []
    bench.client("ssm").delete_parameter(Name="/golden/web")
    bench.check("destroy")
    assert started(bench) == [SECOND]


# --- killed ----------------------------------------------------------------------------------------------------------


ANSWER_HELD_BACK = (f"{START} drop-answer nth=1", f"{START} stall=60s nth=2")
AFTER_THE_START = {
    "between the start and its answer": (START, 2, ANSWER_HELD_BACK),
    "while waiting": ("ListLifecycleExecutionResources", 1, ()),
    "between the end and the writing of state": ("GetLifecycleExecution", 1, ("GetLifecycleExecution stall=60s",)),
}
BEFORE_THE_START = {
    "before the first call": ("GetImage", 1, ("GetImage stall=60s",)),
    "before the start": (START, 1, (f"{START} stall=60s",)),
}


def kill(bench: Any, point: tuple[str, int, tuple[str, ...]], *, only: str | None = None, command: str = "up") -> None:
    """Kill a run at a point, and wait until nothing of it is left that might still call."""
    operation, times, faults = point
    # Without the resources' times the execution itself is read in the end.
    bench.emulator.variants.set({"resource-times": "absent"})
    bench.emulator.faults.add(*faults)
    before = bench.asked(operation)
    bench.killed(lambda: bench.asked(operation) >= before + times, only=only, command=command)
    # Not before: a provider that outlives its engine by a second would make the call again, and be let through.
    bench.until(lambda: not [pid for pid in bench.processes() if bench.provider in bench.command_line(pid)])
    bench.emulator.faults.clear()


def execution_ids(bench: Any, image: str = SECOND) -> list[str]:
    return [each["lifecycleExecutionId"] for each in bench.executions(image)]


@pytest.mark.parametrize(("side", "consistency"), READINGS, indirect=["side"])
@pytest.mark.parametrize("point", AFTER_THE_START)
def test_what_was_started_is_adopted_whatever_uses_it_now(bench: Any, point: str, consistency: str) -> None:
    """SIGKILL of the engine in a create and of the provider in an update, then the AMI is put in use: never refused."""
    bench.emulator.variants.set({"consistency": consistency})
    ami = ami_of(bench, SECOND, "us-east-1")
    declare(bench, DISABLED, image=SECOND)
    kill(bench, AFTER_THE_START[point])
    bench.client("ssm").put_parameter(Name="/golden/web", Value=ami, Type="String")
    bench.check("up")
    (first,) = execution_ids(bench)
    assert bench.resource()["outputs"]["lifecycle_execution_id"] == first
    assert bench.image_state(SECOND) == "DISABLED"

    bench.client("ssm").delete_parameter(Name="/golden/web")
    declare(bench, DELETED, image=SECOND)
    kill(bench, AFTER_THE_START[point], only=bench.provider)
    bench.client("ssm").put_parameter(Name="/golden/web", Value=ami, Type="String")
    bench.check("up")
    second, before = execution_ids(bench)
    assert before == first
    outputs = bench.resource()["outputs"]
    assert (outputs["lifecycle_execution_id"], outputs["image_state"]) == (second, "DELETED")


@pytest.mark.parametrize("point", BEFORE_THE_START)
def test_what_was_not_started_is_refused(bench: Any, point: str) -> None:
    """Killed before the service began anything, and then put in use: nothing is taken away until the use has gone."""
    declare(bench, DISABLED, image=SECOND)
    kill(bench, BEFORE_THE_START[point])
    put_in_use(bench)
    assert "is used by SSM parameter /golden/web" in error_line(bench)
    assert execution_ids(bench) == []
    bench.client("ssm").delete_parameter(Name="/golden/web")
    bench.check("up")
    assert len(execution_ids(bench)) == 1


@pytest.mark.parametrize(("side", "consistency"), READINGS, indirect=["side"])
def test_a_killed_clean_up_is_adopted(bench: Any, consistency: str) -> None:
    """The destroy that was killed has started the deletion: with the AMI in use the next one still ends well."""
    bench.emulator.variants.set({"consistency": consistency})
    ami = ami_of(bench, SECOND, "us-east-1")
    timeouts = 'custom_timeouts=pulumi.CustomTimeouts(delete="60s")'
    declare(bench, 'execution_role="ImageLifecycle"', image=SECOND, kind="ImageCleanup", opts=timeouts)
    bench.check("up")
    kill(bench, AFTER_THE_START["between the start and its answer"], command="destroy")
    bench.client("ssm").put_parameter(Name="/golden/web", Value=ami, Type="String")
    bench.check("destroy")
    assert len(execution_ids(bench)) == 1


def test_a_killed_fleet_is_adopted(bench: Any) -> None:
    """Two of three were started when it was killed: these are adopted, and the third, in use by then, is refused."""
    amis = {image: ami_of(bench, image, "us-east-1") for image in (SECOND, THIRD, PROTECTED)}
    declare_fleet(bench, DISABLED, *amis)
    kill(bench, (START, 3, (f"{START} error=ForbiddenException nth=3",)))
    begun = set(amis) - {image for image in amis if not bench.executions(image)}
    assert len(begun) == 2
    for number, ami in enumerate(amis.values()):
        bench.client("ssm").put_parameter(Name=f"/golden/{number}", Value=ami, Type="String")
    line = error_line(bench)
    (refused,) = set(amis) - begun
    assert "2 of 3 done, 1 failed" in line
    assert f"{refused}: {amis[refused]} (us-east-1) is used by SSM parameter" in line
    assert [len(bench.executions(image)) for image in begun] == [1, 1]


# --- the preview -----------------------------------------------------------------------------------------------------


SIZE = "3 AMIs in eu-west-1, us-east-1 and us-west-2"
GIB = 15
"""The size of each snapshot in the emulator."""


def refusal(ami: str, region: str, uses: str, verb: str) -> str:
    return (
        f"warning: `pulumi up` would refuse this: {ami} ({region}) is used by {uses}; move these to another image and "
        f'run the same command again, or set in_use="warn" to {verb} AMIs in use'
    )


def test_the_preview_of_a_create_and_of_an_update(bench: Any) -> None:
    """One line of size and a warning, for a program that is up too; only reads; in `--json` they are diagnostics."""
    declare(bench, DELETED)
    expected = [
        f"would delete 1 image: {SIZE}, 4 snapshots, up to {4 * GIB} GiB; last launched 2026-05-01",
        refusal(ami_of(bench, WEB, "eu-west-1"), "eu-west-1", USES, "delete"),
    ]
    bench.emulator.requests.clear()
    assert diagnostics(bench.check("preview")) == expected
    assert writes(bench) == []
    events = json.loads(bench.check("preview", "--json"))["diagnostics"]
    ours = [each for each in events if "ResourceStateUpdate" in each.get("urn", "")]
    assert [(each["severity"], each["message"].strip()) for each in ours] == [
        ("info", expected[0]),
        ("warning", expected[1]),
    ]

    declare(bench, 'state="DEPRECATED"')
    assert diagnostics(bench.check("preview")) == []
    bench.check("up")
    declare(bench, DELETED)
    bench.emulator.requests.clear()
    assert diagnostics(bench.check("preview")) == expected
    assert writes(bench) == []


def test_the_preview_of_a_replacement(bench: Any) -> None:
    """A state update's is that of the next image, a clean-up's that of the image before; each is said once."""
    put_in_use(bench)
    second, third = (ami_of(bench, image, "us-east-1") for image in (SECOND, THIRD))
    program = """
        from pulumi_imagebuilder import ImageCleanup, ResourceStateUpdate
        ResourceStateUpdate("update", resource_arn="{update}", {arguments})
        ImageCleanup("clean-up", resource_arn="{clean_up}", execution_role="ImageLifecycle")
    """
    bench.write(program.format(update=THIRD, arguments=DISABLED, clean_up=SECOND))
    bench.check("up")
    bench.write(program.format(update=SECOND, arguments=DISABLED, clean_up=THIRD))
    bench.emulator.requests.clear()
    text = bench.check("preview")
    assert sorted(diagnostics(text)) == sorted(
        [
            f"would delete 1 image: 1 AMI in us-east-1, 1 snapshot, up to {GIB} GiB; no recorded launch",
            f"warning: `pulumi up` would wait with this: {second} (us-east-1) is used by SSM parameter /golden/web; "
            'move these to another image and run the same command again, or set in_use="warn" to delete AMIs in use',
            "would disable 1 image: 1 AMI in us-east-1; no recorded launch",
            refusal(second, "us-east-1", "SSM parameter /golden/web", "disable"),
        ]
    )
    assert third not in text
    assert writes(bench) == []


def test_the_preview_of_a_fleet(bench: Any) -> None:
    """One line and one survey for all images, with the AMIs of other accounts; one that grows shows the growth."""
    put_in_use(bench)
    declare_fleet(bench, DISABLED, SECOND, FOREIGN)
    second = ami_of(bench, SECOND, "us-east-1")
    bench.emulator.requests.clear()
    assert diagnostics(bench.check("preview")) == [
        "would disable 2 images: 2 AMIs in us-east-1; no recorded launch; not looked at: 1 AMI in us-east-1 of account "
        "111122223333",
        refusal(second, "us-east-1", "SSM parameter /golden/web", "disable"),
    ]
    assert bench.emulator.requests.counts()["ec2:DescribeImages"] == 1
    bench.client("ssm").delete_parameter(Name="/golden/web")
    declare_fleet(bench, DISABLED, SECOND)
    bench.check("up")
    declare_fleet(bench, DISABLED, SECOND, THIRD)
    assert diagnostics(bench.check("preview")) == ["would disable 1 image: 1 AMI in us-east-1; no recorded launch"]


def test_an_unchanged_program_makes_no_call(bench: Any) -> None:
    """Neither in the preview nor in `up`; and of the preview the state and the plan hold no trace."""
    program = f"""
        from pulumi_imagebuilder import FleetStateUpdate, ImageCleanup, ResourceStateUpdate
        ResourceStateUpdate("single", resource_arn="{SECOND}", {DISABLED})
        FleetStateUpdate("fleet", resource_arns=["{THIRD}"], {DISABLED})
        ImageCleanup("clean-up", resource_arn="{FOREIGN}", execution_role="ImageLifecycle")
    """
    bench.write(program)
    plan = bench.workspace.folder / "plan.json"
    bench.check("preview", "--save-plan", str(plan))
    bench.check("up", "--plan", str(plan))
    bench.emulator.requests.clear()
    bench.check("preview", "--expect-no-changes")
    bench.check("up", "--expect-no-changes")
    assert bench.emulator.requests.counts() == {}
    for text in (json.dumps(bench.workspace.state()), plan.read_text(encoding="utf-8")):
        assert "would disable" not in text
        assert "dry_run" not in text


@on_dynamic_and_once_on_native(
    ("fault", "says"),
    [
        pytest.param("ec2:* error=UnauthorizedOperation", "lacks ec2:Describe", id="no rights in EC2"),
        pytest.param(
            "imagebuilder:GetImage error=ForbiddenException", "ForbiddenException", id="no right to the image"
        ),
        pytest.param("* error=ExpiredTokenException", "ExpiredTokenException", id="credentials that have ended"),
        pytest.param("ec2:* plain-text=501", "501", id="an answer that is no XML"),
        pytest.param("ec2:* error=InvalidAMIID.NotFound status=400", "InvalidAMIID.NotFound", id="AMIs that are gone"),
    ],
)
def test_a_preview_never_fails(bench: Any, fault: str, says: str) -> None:
    """Whatever is answered, the preview ends well, and its warning says what is not known."""
    bench.emulator.faults.add(fault)
    declare(bench, DISABLED)
    text = bench.check("preview")
    (warning,) = [line for line in diagnostics(text) if line.startswith("warning: ")]
    assert says in warning


def test_a_preview_of_what_is_not_known_yet(bench: Any) -> None:
    """An image that another resource of the program makes is not looked up."""
    bench.write(f"""
        import pulumi
        from pulumi_imagebuilder import ResourceStateUpdate
        first = ResourceStateUpdate("first", resource_arn="{SECOND}", state="DEPRECATED")
        arn = first.image_state.apply(lambda state: "{THIRD}")
        ResourceStateUpdate("web", resource_arn=arn, {DISABLED})
    """)
    assert diagnostics(bench.check("preview")) == []
    assert bench.emulator.requests.counts() == {}
