"""Give the image back as it was: AVAILABLE, with nothing scheduled, and its AMIs too where they were changed."""

from __future__ import annotations

import shlex

from botocore.exceptions import BotoCoreError, ClientError
from pulumi_imagebuilder.lifecycle.entities import EXECUTION_UNFINISHED

from .steps import read_amis
from .trial import CONSISTENCY_LIMIT, POLL_INTERVAL, StepFailed, Trial, code_of

_UNANSWERED_PAUSE = 10.0
"""Seconds after which an execution is listed whose start was never answered."""


def restore(trial: Trial) -> str | None:
    """Give the image back as it was; return why that failed, None when all is as it was."""
    trial.recorder.step = "restore"
    try:
        if any(not call.is_answered for call in trial.recorder.calls if call.model.name == "StartResourceStateUpdate"):
            trial.sleep(_UNANSWERED_PAUSE)
        _cancel_all(trial)
        trial.read_image()
        if trial.state in ("", "DELETED"):
            return None if trial.deleted else "the image is gone"
        if trial.changed_amis:
            _restore_with_amis(trial)
        # Where it shows AVAILABLE too: what was read may lag behind the last change.
        _start(trial, amis=False)
        trial.wait_for_state("AVAILABLE")
        return _verify(trial)
    except (StepFailed, ClientError, BotoCoreError) as error:
        return str(error)


def _cancel_all(trial: Trial) -> None:
    """Cancel what this run started and has not ended; whatever is under way on the image is, as nothing was before."""
    pages = trial.pages("list_lifecycle_executions", most=3, resourceArn=trial.arn)
    listed = [
        each["lifecycleExecutionId"]
        for page in pages
        for each in page["lifecycleExecutions"]
        if each["state"]["status"] in EXECUTION_UNFINISHED and "lifecyclePolicyArn" not in each
    ]
    for execution_id in dict.fromkeys([*trial.executions, *listed]):
        status = trial.find_execution(execution_id)["state"]["status"]
        if status == "CANCELLING":
            trial.wait_for_end(execution_id)
        elif status in EXECUTION_UNFINISHED:
            trial.say(f"    cancelling {execution_id}")
            try:
                trial.cancel(execution_id)
            except StepFailed:
                # It may have ended meanwhile.
                if trial.find_execution(execution_id)["state"]["status"] in EXECUTION_UNFINISHED:
                    raise


def _start(trial: Trial, *, amis: bool) -> str | None:
    """Start the way back, and again while an execution that ends has the image in use; return its execution."""
    waited = 0.0
    while True:
        try:
            execution: str | None = trial.start("AVAILABLE", amis=amis).get("lifecycleExecutionId")
        except ClientError as error:
            if code_of(error) != "ResourceInUseException" or waited >= CONSISTENCY_LIMIT:
                raise
            trial.sleep(POLL_INTERVAL)
            waited += POLL_INTERVAL
            _cancel_all(trial)
        else:
            return execution


def _restore_with_amis(trial: Trial) -> None:
    execution = _start(trial, amis=True)
    if execution:
        ended = trial.wait_for_end(execution)
        if ended["state"]["status"] != "SUCCESS":
            reason = ended["state"].get("reason", "no reason")
            raise StepFailed(f"the execution {execution} is {ended['state']['status']}: {reason}")


def _verify(trial: Trial) -> str | None:
    if "deprecationTime" in trial.image:
        return "the image record has a deprecationTime"
    if not trial.changed_amis:
        return None
    found = {ami["ImageId"]: ami for ami in read_amis(trial)}
    wrong = [
        f"{ami['ImageId']} in {ami['Region']}"
        for ami in trial.amis
        if found.get(ami["ImageId"], {}).get("State") != "available" or "DeprecationTime" in found[ami["ImageId"]]
    ]
    return f"not available, or with a deprecation date: {', '.join(wrong)}" if wrong else None


def by_hand(trial: Trial) -> list[str]:
    """Return the commands that give the image back as it was."""
    region = ["--region", trial.parts.region]
    commands = [
        ["aws", "imagebuilder", "cancel-lifecycle-execution", *region, "--lifecycle-execution-id", each]
        for each in trial.executions
    ]
    with_amis = ["--execution-role", trial.role or "", "--include-resources", "amis=true"] if trial.changed_amis else []
    start = ["aws", "imagebuilder", "start-resource-state-update", *region, "--resource-arn", trial.arn]
    commands.append([*start, "--state", "status=AVAILABLE", *with_amis])
    for ami in trial.amis if trial.changed_amis else []:
        where = ["--region", ami["Region"], "--image-id", ami["ImageId"]]
        commands.append(["aws", "ec2", "enable-image", *where])
        commands.append(["aws", "ec2", "disable-image-deprecation", *where])
    return [shlex.join(command) for command in commands]
