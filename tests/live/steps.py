"""The steps of the live suite, as data: what each calls, what it changes, and what it can show."""

from __future__ import annotations

import asyncio
import enum
import functools
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError
from pulumi_imagebuilder.claims import Claims
from pulumi_imagebuilder.engine import Engine
from pulumi_imagebuilder.handlers.updates import StateUpdateHandler
from pulumi_imagebuilder.host import Call, Host
from pulumi_imagebuilder.lifecycle.references import find_references

from .trial import StepFailed, Trial, code_of, new_token, output_amis

SCHEDULED_AHEAD = timedelta(days=30)
_ACCESS_CODES = {"AccessDenied", "AccessDeniedException", "ForbiddenException"}
_START = "imagebuilder:StartResourceStateUpdate"
_GET = "imagebuilder:GetImage"
_EXECUTION = "imagebuilder:GetLifecycleExecution"
_EXECUTIONS = "imagebuilder:ListLifecycleExecutions"
_RESOURCES = "imagebuilder:ListLifecycleExecutionResources"
_CANCEL = "imagebuilder:CancelLifecycleExecution"
_BUILDS = "imagebuilder:ListImageBuildVersions"
_AMIS = "ec2:DescribeImages"
_PASS = "iam:PassRole"


class Stage(enum.StrEnum):
    """What steps may change; each stage is asked for by itself."""

    READ = "read-only calls"
    RECORD = "the image record"
    AMIS = "the image with its AMIs"
    DELETE = "deletion"


@dataclass(frozen=True)
class Step:
    """One step.

    Args:
        name: its name.
        stage: what it may change.
        does: what it does, in words for the person who is asked.
        rights: the calls that it makes, as IAM names them.
        run: makes them.
        shows: the variants that it can show.
    """

    name: str
    stage: Stage
    does: str
    rights: tuple[str, ...]
    run: Callable[[Trial], None]
    shows: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return self.stage is not Stage.READ


# --- read-only -----------------------------------------------------------------------------------------------------


def read_caller(trial: Trial) -> None:
    trial.caller = trial.call("sts", "get_caller_identity")["Account"]


def read_image(trial: Trial) -> None:
    image = trial.read_image()
    if not image:
        raise StepFailed("the image is not found")
    parts = trial.parts
    trial.observe(
        "GetImage: the version is written with the build", image.get("version") == f"{parts.version}/{parts.build}"
    )
    trial.observe("GetImage: deprecationTime of an image that is not deprecated", "deprecationTime" in image)


def list_builds(trial: Trial) -> None:
    version_arn = trial.arn.rpartition("/")[0]
    of_version = trial.pages("list_image_build_versions", imageVersionArn=version_arn, maxResults=1)
    arns = [build["arn"] for page in of_version for build in page["imageSummaryList"]]
    trial.observe("ListImageBuildVersions by version: the image is on its first ten pages of one", trial.arn in arns)
    trial.pages("list_image_build_versions", maxResults=2)


def list_builds_by_name(trial: Trial) -> None:
    name = trial.image.get("name") or trial.parts.name
    for question, value in (
        ("the name itself", name),
        ("its beginning and a wildcard", f"{name[:-1]}*"),
        ("a wildcard and its end", f"*{name[1:]}"),
        ("wildcards on both sides", f"*{name}*"),
        ("in capitals", name.swapcase()),
        ("its beginning without a wildcard", name[:-1] or "-"),
    ):
        pages = trial.pages("list_image_build_versions", filters=[{"name": "name", "values": [value]}], maxResults=25)
        found = any(build["name"] == name for page in pages for build in page["imageSummaryList"])
        trial.observe(f"ListImageBuildVersions: the name filter finds by {question}", found)


def list_executions(trial: Trial) -> None:
    pages = trial.pages("list_lifecycle_executions", resourceArn=trial.arn, maxResults=2)
    found = [execution for page in pages for execution in page["lifecycleExecutions"]]
    trial.busy = [
        each["lifecycleExecutionId"]
        for each in found
        if each["state"]["status"] in ("PENDING", "IN_PROGRESS", "CANCELLING")
    ]
    ages = [each["startTime"] for each in found if "startTime" in each]
    if len(ages) > 1:
        trial.observe("ListLifecycleExecutions: newest first", ages == sorted(ages, reverse=True))
    for each in found[:3]:
        if each["state"]["status"] not in ("PENDING", "IN_PROGRESS"):
            list_resources(trial, each)


def list_resources(trial: Trial, execution: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what lies under the image in an execution; read the image record's own entry, and where reasons are."""
    asked = {"lifecycleExecutionId": execution["lifecycleExecutionId"]}
    record = [each for page in trial.pages("list_lifecycle_execution_resources", **asked) for each in page["resources"]]
    under = trial.pages("list_lifecycle_execution_resources", **asked, parentResourceId=trial.arn)
    if execution["state"]["status"] == "FAILED":
        if execution["state"].get("reason"):
            trial.show("failure-reason", "execution")
        elif any(entry["state"].get("reason") for entry in record):
            trial.show("failure-reason", "image-record")
        else:
            trial.show("failure-reason", "nowhere")
    return [each for page in under for each in page["resources"]]


def read_unknown_execution(trial: Trial) -> None:
    refusal = trial.refused("get_lifecycle_execution", lifecycleExecutionId=f"lce-{uuid.uuid4()}")
    if refusal and refusal[0] in _ACCESS_CODES:
        raise StepFailed(refusal[0])
    trial.show("unknown-execution", refusal[0] if refusal else "an answer")


def find_policy_executions(trial: Trial) -> None:
    pages = trial.pages("list_image_build_versions", maxResults=25)
    named = {
        build["lifecycleExecutionId"]: build["arn"]
        for page in pages
        for build in page["imageSummaryList"]
        if "lifecycleExecutionId" in build
    }
    looked_at = 0
    for execution_id, arn in list(named.items())[:20]:
        try:
            answer = trial.ask("get_lifecycle_execution", lifecycleExecutionId=execution_id)
        except ClientError:
            continue  # The image remembers it longer than the service does; the file has the answer.
        if "lifecyclePolicyArn" in answer["lifecycleExecution"]:
            looked_at += 1
            listed = trial.pages("list_lifecycle_executions", resourceArn=arn, maxResults=25)
            ids = [each["lifecycleExecutionId"] for page in listed for each in page["lifecycleExecutions"]]
            trial.show("policy-executions", "listed" if execution_id in ids else "unlisted")
    trial.observe("builds whose last execution is a lifecycle policy's", looked_at)


def describe_amis(trial: Trial) -> None:
    by_region = defaultdict(list)
    for ami in output_amis(trial.image):
        by_region[ami["region"]].append(ami["image"])
    for region, ids in by_region.items():
        asked = {"Filters": [{"Name": "image-id", "Values": ids}], "IncludeDisabled": True, "IncludeDeprecated": True}
        for ami in trial.call("ec2", "describe_images", region, **asked)["Images"]:
            who = trial.call(
                "ec2", "describe_image_attribute", region, ImageId=ami["ImageId"], Attribute="launchPermission"
            )
            trial.amis.append({**ami, "Region": region, "LaunchPermissions": who.get("LaunchPermissions", [])})
        for first in range(0, len(ids), 10):
            trial.call(
                "ec2",
                "describe_image_references",
                region,
                ImageIds=ids[first : first + 10],
                IncludeAllResourceTypes=True,
            )


def survey(trial: Trial) -> None:
    found = asyncio.run(find_references(trial.service, [trial.arn]))[trial.arn]
    missing = [each.reason for each in found.failures]
    if missing:
        raise StepFailed("; ".join(missing))
    trial.references = found
    trial.observe("uses of the AMIs, as the provider finds them", sorted(each.kind for each in found.used_by))


# --- the image record ----------------------------------------------------------------------------------------------


def move_to(trial: Trial, state: str) -> None:
    """Change the image's own state, and wait until it shows it."""
    trial.changed = True
    answer = trial.start(state)
    started = answer.get("lifecycleExecutionId")
    trial.observe(f"{state} of the image alone: the answer names an execution", bool(started))
    if started:
        trial.wait_for_end(started)
    trial.wait_for_state(state)
    trial.observe(f"{state} of the image alone: deprecationTime is there", "deprecationTime" in trial.image)


def repeat_token(trial: Trial) -> None:
    trial.changed = True
    token = new_token()
    first = trial.start("DISABLED", clientToken=token)
    trial.wait_for_state("DISABLED")
    move_to(trial, "AVAILABLE")
    again = trial.start("DISABLED", clientToken=token)
    trial.observe("the same client token again: the same answer", _body(first) == _body(again))
    trial.sleep(5)
    trial.observe(
        "the same client token again: the image is as it was", trial.read_image()["state"]["status"] == "AVAILABLE"
    )
    asked = {"resourceArn": trial.arn, "state": {"status": "DEPRECATED"}, "clientToken": token}
    refusal = trial.refused("start_resource_state_update", **asked)
    trial.observe("the same client token with another state: refused as", refusal[0] if refusal else None)
    if trial.read_image()["state"]["status"] != "AVAILABLE":
        move_to(trial, "AVAILABLE")


def schedule(trial: Trial, *, amis: bool) -> None:
    """Schedule a deprecation, look at it, see that there cannot be a second one, and cancel it."""
    trial.changed = True
    at = trial.now() + SCHEDULED_AHEAD
    answer = trial.start("DEPRECATED", amis=amis, updateAt=at)
    if "lifecycleExecutionId" not in answer:
        raise StepFailed("the answer names no execution")
    execution = trial.find_execution(answer["lifecycleExecutionId"])
    trial.show("schedule-status", execution["state"]["status"])
    trial.observe("a schedule: it has a start time", "startTime" in execution)
    trial.observe("a schedule: resources before its time", len(list_resources(trial, execution)))
    trial.observe("a schedule: the image's state", trial.read_image()["state"]["status"])
    trial.observe("a schedule: the image's deprecationTime is there", "deprecationTime" in trial.image)
    if amis:
        trial.observe("a schedule: AMIs with a date", count_dates(trial))
    second = {"resourceArn": trial.arn, "state": {"status": "DEPRECATED"}, "updateAt": at + timedelta(days=1)}
    try:
        other = trial.ask("start_resource_state_update", **second)
    except ClientError as error:
        trial.observe("a second schedule: refused as", code_of(error))
    else:
        trial.observe("a second schedule: refused as", None)
        trial.executions.extend([other["lifecycleExecutionId"]] if "lifecycleExecutionId" in other else [])
    for execution_id in reversed(trial.executions):
        if trial.find_execution(execution_id)["state"]["status"] in ("PENDING", "IN_PROGRESS"):
            ended = trial.cancel(execution_id)
            trial.observe("a cancelled schedule: status", ended["state"]["status"])
    trial.sleep(5)
    trial.read_image()
    trial.observe("a cancelled schedule: the image's deprecationTime is there", "deprecationTime" in trial.image)
    if amis:
        trial.observe("a cancelled schedule: AMIs with a date", count_dates(trial))


def live_through_provider(trial: Trial) -> None:
    trial.changed = True

    async def life() -> None:
        declared = {"resource_arn": trial.arn, "state": "DISABLED", "on_destroy": "restore"}
        up = StateUpdateHandler(Host(lambda: trial.service, Engine(None), claims=Claims()))
        call = Call("create", "urn:pulumi:live::live::imagebuilder:index:ResourceStateUpdate::image")
        checked = await up.check(call, {}, declared)
        if checked.failures:
            raise StepFailed("; ".join(failure.reason for failure in checked.failures))
        created = await up.create(call, checked.inputs)
        if created.error:
            raise created.error
        trial.observe("the provider: image_state after create", created.state["image_state"])
        again = await up.diff(call, created.state, (await up.check(call, created.state, declared)).inputs)
        trial.observe("the provider: the unchanged program has a diff", bool(again))
        state, error = await up.read(call, created.state)
        if error:
            raise error
        trial.observe("the provider: refresh sees drift", bool(up.compare(state or {}, checked.inputs)))
        # As `pulumi destroy` does it: in a process of its own, in which nothing was declared.
        down = StateUpdateHandler(Host(lambda: trial.service, Engine(None), claims=Claims()))
        if error := await down.delete(call, state or created.state):
            raise error

    asyncio.run(life())
    trial.wait_for_state("AVAILABLE")


# --- with AMIs -----------------------------------------------------------------------------------------------------


def start_with_missing_role(trial: Trial) -> None:
    trial.changed = trial.changed_amis = True
    # The image is AVAILABLE and so are its AMIs: were the role there, nothing would change.
    role = f"pulumi-imagebuilder-no-such-role-{uuid.uuid4().hex[:8]}"
    try:
        answer = trial.start("AVAILABLE", amis=True, executionRole=role)
    except ClientError as error:
        code, message = code_of(error), error.response["Error"].get("Message", "")
        trial.observe("a role that does not exist: refused as", code)
        if code in _ACCESS_CODES:
            return  # The caller's policy allows iam:PassRole of the one role only, as it should.
        if code != "InvalidRequestException" or "role" in message.lower():
            trial.show("missing-role", code)
        return
    ended = trial.wait_for_end(answer["lifecycleExecutionId"])
    trial.show("missing-role", "execution-fails" if ended["state"]["status"] == "FAILED" else ended["state"]["status"])
    list_resources(trial, ended)


def move_amis_to(trial: Trial, state: str) -> None:
    """Change the image and its AMIs, wait for the execution, and look at the AMIs."""
    trial.changed = trial.changed_amis = True
    answer = trial.start(state, amis=True)
    ended = trial.wait_for_end(answer["lifecycleExecutionId"])
    entries = list_resources(trial, ended)
    if ended["state"]["status"] != "SUCCESS":
        reasons = "; ".join(dict.fromkeys(entry["state"].get("reason", "no reason") for entry in entries))
        raise StepFailed(f"the execution is {ended['state']['status']}: {ended['state'].get('reason') or reasons}")
    trial.wait_for_state(state)
    trial.observe(f"{state} with AMIs: entries", sorted(entry["state"]["status"] for entry in entries))
    found = read_amis(trial)
    trial.observe(f"{state} with AMIs: states in EC2", sorted(ami["State"] for ami in found))
    trial.observe(f"{state} with AMIs: AMIs with a date", sum("DeprecationTime" in ami for ami in found))


def read_amis(trial: Trial) -> list[dict[str, Any]]:
    """Return the AMIs that were there at the beginning, as EC2 describes them now."""
    by_region = defaultdict(list)
    for ami in trial.amis:
        by_region[ami["Region"]].append(ami["ImageId"])
    found: list[dict[str, Any]] = []
    for region, ids in by_region.items():
        asked = {"Filters": [{"Name": "image-id", "Values": ids}], "IncludeDisabled": True, "IncludeDeprecated": True}
        found += trial.call("ec2", "describe_images", region, **asked)["Images"]
    return found


def count_dates(trial: Trial) -> int:
    """Return how many of the AMIs have a deprecation date."""
    return sum("DeprecationTime" in ami for ami in read_amis(trial))


# --- deletion ------------------------------------------------------------------------------------------------------


def delete(trial: Trial) -> None:
    trial.changed = trial.changed_amis = trial.deleted = True
    answer = trial.start("DELETED", amis=True, includeResources={"amis": True, "snapshots": True})
    ended = trial.wait_for_end(answer["lifecycleExecutionId"])
    list_resources(trial, ended)
    if ended["state"]["status"] != "SUCCESS":
        raise StepFailed(f"the execution is {ended['state']['status']}: {ended['state'].get('reason', 'no reason')}")
    trial.wait_for_state("", "DELETED")
    trial.show("deleted-image", "state" if trial.state else "not-found")
    pages = trial.pages("list_image_build_versions", imageVersionArn=trial.arn.rpartition("/")[0], maxResults=25)
    listed = [
        build["state"]["status"] for page in pages for build in page["imageSummaryList"] if build["arn"] == trial.arn
    ]
    trial.observe("a deleted image: lists show it as", listed)
    trial.observe("a deleted image: AMIs that EC2 still has", len(read_amis(trial)))
    executions = trial.pages("list_lifecycle_executions", resourceArn=trial.arn, maxResults=25)
    trial.observe("a deleted image: its executions are listed", any(page["lifecycleExecutions"] for page in executions))


def _body(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def _move(state: str, *, amis: bool = False, number: str = "") -> Step:
    name = f"{state.lower()}{' with AMIs' if amis else ''}{number}"
    if amis:
        return Step(
            name,
            Stage.AMIS,
            f"the image and its AMIs become {state}, by an execution",
            (_START, _PASS, _EXECUTION, _RESOURCES, _GET, _AMIS),
            functools.partial(move_amis_to, state=state),
            ("resource-times", "consistency"),
        )
    does = f"the image becomes {state}, at once"
    return Step(
        name, Stage.RECORD, does, (_START, _GET, _EXECUTION), functools.partial(move_to, state=state), ("consistency",)
    )


_SCHEDULE = (_START, _EXECUTION, _RESOURCES, _GET, _CANCEL)

STEPS: tuple[Step, ...] = (
    Step("caller", Stage.READ, "whose credentials these are", ("sts:GetCallerIdentity",), read_caller),
    Step("image", Stage.READ, "the image", (_GET,), read_image),
    Step(
        "builds",
        Stage.READ,
        "builds of its version and of the account, in pages of one or two",
        (_BUILDS,),
        list_builds,
        ("pages",),
    ),
    Step(
        "builds by name", Stage.READ, "builds by its name, with and without wildcards", (_BUILDS,), list_builds_by_name
    ),
    Step(
        "executions",
        Stage.READ,
        "executions of the image, and what they did",
        (_EXECUTIONS, _RESOURCES),
        list_executions,
        ("pages", "resource-times", "failure-reason"),
    ),
    Step(
        "unknown execution",
        Stage.READ,
        "an execution that never was",
        (_EXECUTION,),
        read_unknown_execution,
        ("unknown-execution",),
    ),
    Step(
        "policy executions",
        Stage.READ,
        "executions of lifecycle policies, where builds name one",
        (_BUILDS, _EXECUTION, _EXECUTIONS),
        find_policy_executions,
        ("policy-executions",),
    ),
    Step(
        "AMIs",
        Stage.READ,
        "the image's AMIs, who may launch them and what refers to them",
        (_AMIS, "ec2:DescribeImageAttribute", "ec2:DescribeImageReferences"),
        describe_amis,
    ),
    Step(
        "survey",
        Stage.READ,
        "what uses the AMIs, by the provider's own search",
        (
            _GET,
            _AMIS,
            "ec2:DescribeImageReferences",
            "ec2:DescribeInstances",
            "ec2:DescribeLaunchTemplateVersions",
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:DescribeLaunchConfigurations",
            "imagebuilder:ListImageRecipes",
            "imagebuilder:ListContainerRecipes",
        ),
        survey,
    ),
    _move("DEPRECATED"),
    _move("AVAILABLE"),
    _move("DISABLED"),
    _move("AVAILABLE", number=" again"),
    Step(
        "client token",
        Stage.RECORD,
        "the image becomes DISABLED and AVAILABLE; the first request is sent again with its client token",
        (_START, _GET),
        repeat_token,
        ("consistency",),
    ),
    Step(
        "schedule",
        Stage.RECORD,
        "a deprecation of the image in 30 days is scheduled, and cancelled",
        _SCHEDULE,
        functools.partial(schedule, amis=False),
        ("schedule-status", "cancel", "consistency"),
    ),
    Step(
        "provider",
        Stage.RECORD,
        "the image becomes DISABLED and AVAILABLE, by the provider's ResourceStateUpdate",
        (_START, _GET, _EXECUTIONS, _EXECUTION, _BUILDS),
        live_through_provider,
    ),
    Step(
        "missing role",
        Stage.AMIS,
        "an update to the state that it has is started with a role that does not exist; nothing can change",
        (_START, _PASS, _EXECUTION, _RESOURCES),
        start_with_missing_role,
        ("missing-role", "failure-reason"),
    ),
    Step(
        "schedule with AMIs",
        Stage.AMIS,
        "a deprecation of the image and its AMIs in 30 days is scheduled, and cancelled; the AMIs keep the date until "
        "the next step",
        (*_SCHEDULE, _PASS, _AMIS),
        functools.partial(schedule, amis=True),
        ("schedule-status", "cancel", "consistency"),
    ),
    _move("AVAILABLE", amis=True),
    _move("DEPRECATED", amis=True),
    _move("AVAILABLE", amis=True, number=" again"),
    _move("DISABLED", amis=True),
    _move("AVAILABLE", amis=True, number=" at last"),
    Step(
        "delete",
        Stage.DELETE,
        "the image, its AMIs and their snapshots are DELETED, for good",
        (_START, _PASS, _EXECUTION, _RESOURCES, _GET, _BUILDS, _AMIS, _EXECUTIONS),
        delete,
        ("deleted-image", "resource-times"),
    ),
)


# --- what keeps a stage from being carried out ---------------------------------------------------------------------


def obstacles(trial: Trial, stage: Stage) -> list[str]:
    """Return why a stage must not be carried out on this image, from what was read."""
    found: list[str] = []
    image = trial.image
    if not trial.caller or not image:
        return ["the caller or the image could not be read"]
    if trial.caller != trial.parts.account:
        found.append("the image is in another account than the caller's")
    if image.get("type") != "AMI":
        found.append(f"it is of the type {image.get('type')}: only images with AMIs are changed here")
    if trial.state != "AVAILABLE":
        found.append(f"it is {trial.state}: only an AVAILABLE image can be given back as it was")
    if "deprecationTime" in image:
        found.append("it has a deprecationTime, which would be lost")
    if trial.busy:
        found.append("an execution has it in use")
    if stage in (Stage.AMIS, Stage.DELETE):
        found += _ami_obstacles(trial)
    if stage is Stage.DELETE and any(
        ami.get("DeregistrationProtection", "disabled") != "disabled" for ami in trial.amis
    ):
        found.append("an AMI is protected from deregistration")
    return found


def _ami_obstacles(trial: Trial) -> list[str]:
    found = []
    if trial.role is None:
        found.append("it takes an execution role (ROLE=… or --role)")
    if len(trial.amis) != len(output_amis(trial.image)) or not trial.amis:
        found.append("not all of its AMIs can be read: each has to be there, in the caller's account")
    for ami in trial.amis:
        where = f"{ami['ImageId']} in {ami['Region']}"
        if ami.get("OwnerId") != trial.caller:
            found.append(f"{where} is owned by another account")
        if ami.get("Public") or ami["LaunchPermissions"]:
            found.append(f"{where} is public or shared, which disabling takes away for good")
        if ami.get("State") != "available":
            found.append(f"{where} is {ami.get('State')}")
        if "DeprecationTime" in ami:
            found.append(f"{where} has a deprecation date, which would be lost")
    if trial.references is None:
        found.append("what uses its AMIs could not be looked up")
    elif trial.references.in_use:
        found.append("its AMIs are in use")
    return found
