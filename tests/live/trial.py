"""One run of the live suite: its clients, what it has found out, and what the steps share."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import botocore.config
import botocore.session
from botocore.exceptions import ClientError
from imagebuilder_emulator.variants import VARIANTS
from pulumi_imagebuilder.aws.configuration import Configuration
from pulumi_imagebuilder.aws.service import Service
from pulumi_imagebuilder.lifecycle.entities import EXECUTION_UNFINISHED
from pulumi_imagebuilder.lifecycle.references import ImageReferences
from pulumi_imagebuilder.validation import ImageArn

from .recorder import Call, Recorder

POLL_INTERVAL = 3.0
"""Seconds between two looks at an execution or an image."""

CONSISTENCY_LIMIT = 60.0
"""Seconds within which reads are expected to show a write."""

UNKNOWN_CODES = ("ResourceNotFoundException", "InvalidRequestException")
"""What the service may answer to the id of an execution that it does not know (yet)."""


class StepFailed(Exception):
    """A step cannot go on; the text says why."""


@dataclass
class Trial:
    """One run of the suite on one image.

    Args:
        arn: the sacrificial image.
        role: the execution role, by name or ARN; None without changes of AMIs.
        session: the caller's session of botocore.
        sleep: waits, in seconds.
        now: the time.
        say: prints a line.
        time_limit: seconds that one execution may take.

    Attributes:
        image: what ``GetImage`` last answered.
        caller: the account of the credentials.
        amis: the image's AMIs as EC2 describes them, each with the accounts and groups that may launch it as
            ``LaunchPermissions`` and its region as ``Region``.
        references: what uses these AMIs; None where it could not be looked up.
        busy: executions that were under way before anything was changed.
        executions: executions that this run has started.
        changed: whether the image may have been changed.
        changed_amis: whether its AMIs may have been.
        deleted: whether its deletion was asked for.
        observations: answers to questions beside the variants.
        clients: clients by service and region.
        readings: by variant, the readings that were shown, with the step that showed each.
    """

    arn: str
    role: str | None
    session: botocore.session.Session
    sleep: Callable[[float], None]
    now: Callable[[], datetime]
    say: Callable[[str], None]
    time_limit: float = 3600.0
    image: dict[str, Any] = field(default_factory=dict)
    caller: str = ""
    amis: list[dict[str, Any]] = field(default_factory=list)
    references: ImageReferences | None = None
    busy: list[str] = field(default_factory=list)
    executions: list[str] = field(default_factory=list)
    changed: bool = False
    changed_amis: bool = False
    deleted: bool = False
    observations: list[dict[str, Any]] = field(default_factory=list)
    readings: dict[str, dict[str, str]] = field(default_factory=dict)
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.parts = ImageArn.parse(self.arn)
        self.began = self.now().astimezone(UTC)
        self.recorder = Recorder(self.session, self.now)
        self.service = Service(Configuration(), session=self.session)

    # --- calls -----------------------------------------------------------------------------------------------------

    def call(self, service: str, operation: str, region: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Call an operation, by botocore's name of it, in the image's region or another.

        Raises:
            ClientError: the service answered with an error.
        """
        key = service, region or self.parts.region
        if key not in self.clients:
            config = botocore.config.Config(retries={"mode": "standard", "total_max_attempts": 5})
            self.clients[key] = self.session.create_client(service, region_name=key[1], config=config)
        answer: dict[str, Any] = getattr(self.clients[key], operation)(**parameters)
        return answer

    def ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call an operation of Image Builder; raises as `call` does."""
        return self.call("imagebuilder", operation, **parameters)

    def pages(self, operation: str, most: int = 10, **parameters: Any) -> list[dict[str, Any]]:
        """Return the first pages of a list of Image Builder, so many at the most."""
        found = [self.ask(operation, **parameters)]
        while "nextToken" in found[-1] and len(found) < most:
            found.append(self.ask(operation, **parameters, nextToken=found[-1]["nextToken"]))
        return found

    def refused(self, operation: str, **parameters: Any) -> tuple[str, str] | None:
        """Call an operation that may be refused; return code and message of the refusal, None where there is none."""
        try:
            self.ask(operation, **parameters)
        except ClientError as error:
            return code_of(error), error.response["Error"].get("Message", "")
        return None

    def start(self, state: str, *, amis: bool = False, **more: Any) -> dict[str, Any]:
        """Start a state update of the image, and keep the execution that it started."""
        with_amis = {"executionRole": self.role, "includeResources": {"amis": True}} if amis else {}
        answer = self.ask(
            "start_resource_state_update", resourceArn=self.arn, state={"status": state}, **with_amis | more
        )
        if "lifecycleExecutionId" in answer and answer["lifecycleExecutionId"] not in self.executions:
            self.executions.append(answer["lifecycleExecutionId"])
        return answer

    def read_image(self) -> dict[str, Any]:
        """Return the image; ``{}`` where the service does not find it."""
        try:
            self.image = self.ask("get_image", imageBuildVersionArn=self.arn)["image"]
        except ClientError as error:
            if code_of(error) != "ResourceNotFoundException":
                raise
            self.image = {}
        return self.image

    @property
    def state(self) -> str:
        """The state that the image had when it was last read; empty where it was not found."""
        return str(self.image.get("state", {}).get("status", ""))

    # --- waiting ---------------------------------------------------------------------------------------------------

    def wait_for_state(self, *states: str) -> None:
        """Wait until the image shows one of some states; note whether it did so at once.

        Raises:
            StepFailed: it does not.
        """
        waited = 0.0
        while True:
            self.read_image()
            if self.state in states:
                break
            if waited >= CONSISTENCY_LIMIT:
                raise StepFailed(
                    f"the image is {self.state or 'gone'}, {waited:.0f} s after it was moved to {states[0]}"
                )
            self.sleep(POLL_INTERVAL)
            waited += POLL_INTERVAL
        self.show("consistency", "lag" if waited else "immediate")

    def find_execution(self, execution_id: str) -> dict[str, Any]:
        """Return an execution that was just started; note whether it could be read at once.

        Raises:
            StepFailed: it is not found.
        """
        waited = 0.0
        while True:
            try:
                answer = self.ask("get_lifecycle_execution", lifecycleExecutionId=execution_id)
            except ClientError as error:
                if code_of(error) not in UNKNOWN_CODES:
                    raise
                if waited >= CONSISTENCY_LIMIT:
                    raise StepFailed(f"the execution is not found, {waited:.0f} s after its start") from error
                self.sleep(POLL_INTERVAL)
                waited += POLL_INTERVAL
            else:
                self.show("consistency", "lag" if waited else "immediate")
                execution: dict[str, Any] = answer["lifecycleExecution"]
                return execution

    def wait_for_end(self, execution_id: str) -> dict[str, Any]:
        """Return an execution once it has ended.

        Raises:
            StepFailed: it does not within the time limit.
        """
        execution = self.find_execution(execution_id)
        waited, shown = 0.0, ""
        while (status := execution["state"]["status"]) in EXECUTION_UNFINISHED:
            if status != shown:
                self.say(f"    {status} …")
                shown = status
            if waited >= self.time_limit:
                raise StepFailed(f"the execution is still {status} after {waited:.0f} s")
            self.sleep(POLL_INTERVAL)
            waited += POLL_INTERVAL
            execution = self.find_execution(execution_id)
        return execution

    def cancel(self, execution_id: str) -> dict[str, Any]:
        """Cancel an execution and wait until it has ended; note whether that was accepted at once.

        Raises:
            StepFailed: it is refused.
        """
        waited = 0.0
        reading = "accepted"
        while refusal := self.refused("cancel_lifecycle_execution", lifecycleExecutionId=execution_id):
            code, message = refusal
            if code != "ResourceInUseException" or waited >= CONSISTENCY_LIMIT:
                raise StepFailed(f"cancelling is refused: {code}: {message}")
            reading = "in-use"
            self.sleep(POLL_INTERVAL)
            waited += POLL_INTERVAL
        self.show("cancel", reading)
        return self.wait_for_end(execution_id)

    # --- what was found out ----------------------------------------------------------------------------------------

    def observe(self, question: str, answer: Any) -> None:
        """Keep the answer to a question, without anything private in it."""
        self.observations.append({"step": self.recorder.step, "question": question, "answer": answer})

    def show(self, variant: str, reading: str) -> None:
        """Keep a reading of a variant, or what was seen in place of those that are known."""
        known = VARIANTS[variant].readings
        text = reading if reading in known else f"another: {reading}"
        self.readings.setdefault(variant, {}).setdefault(text, self.recorder.step)

    def reading(self, variant: str) -> str | None:
        """Return what was shown of a variant; None where nothing was.

        A service that is short, late or busy only sometimes is so: the second reading outweighs the first.
        """
        shown = self.readings.get(variant, {})
        sometimes = {"pages": "short", "consistency": "lag", "cancel": "in-use"}.get(variant)
        return sometimes if sometimes in shown else " and ".join(shown) or None

    def read_calls(self) -> None:
        """Take from all calls what lists and their entries show, whichever step made them."""
        for call in self.recorder.calls:
            if call.answer is None or call.model.service_model.service_name != "imagebuilder":
                continue
            self.recorder.step = call.step
            self._read_page(call)
            for entry in call.answer.get("resources", []) if "Resources" in call.model.name else []:
                if entry["state"]["status"] != "IN_PROGRESS":
                    times = {"startTime", "endTime"} & entry.keys()
                    self.show("resource-times", {0: "absent", 2: "present"}.get(len(times), "one of both"))

    def _read_page(self, call: Call) -> None:
        asked = call.parameters.get("maxResults")
        lists = [value for value in (call.answer or {}).values() if isinstance(value, list)]
        if asked and lists and (call.answer or {}).get("nextToken"):
            self.show("pages", "full" if len(lists[0]) == asked else "short")


def code_of(error: ClientError) -> str:
    """Return the code of a service's error."""
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def new_token() -> str:
    """Return a client token that was never used."""
    return str(uuid.uuid4())


def output_amis(image: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the AMIs that an image lists."""
    found: list[dict[str, Any]] = image.get("outputResources", {}).get("amis", [])
    return found
