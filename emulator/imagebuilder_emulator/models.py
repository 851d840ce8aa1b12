"""EC2 Image Builder's backend: its state, and the operations that change it."""

from __future__ import annotations

import heapq
import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from . import aws_effects, moto_backends, roles, rules
from .catalog import Catalog
from .clock import Clock
from .entities import MAX_VERSION_NUMBER, STABLE_STATES, Container, Execution, Image, parse_version
from .exceptions import (
    ForbiddenException,
    IdempotentParameterMismatchException,
    InvalidParameterValueException,
    InvalidRequestException,
    ResourceDependencyException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from .executions import ExecutionRunner, FaultPolicy, set_image_state
from .recipes import Recipe
from .store import CONSISTENCY_LAG, Store
from .variants import Variants

DEFAULT_ACCOUNT = "123456789012"
_PENDING_SHARE = 0.1
"""The part of an execution's time that it is PENDING, and that a cancellation takes."""


class ImageBuilderBackend:
    """All images and executions, in all regions and accounts. Not thread-safe: the server holds a lock.

    It can be driven without HTTP and in virtual time::

        clock = Clock(lambda: datetime(2026, 1, 1, tzinfo=timezone.utc))
        backend = ImageBuilderBackend(clock, timedelta(seconds=10))
        backend.add_image(Image(arn, "AVAILABLE", "AMI", clock.now()))
        backend.start_resource_state_update(request, "us-east-1")
        clock.advance(timedelta(seconds=10))
        backend.advance()  # carries out what is due by now, step by step, each at its own instant

    The methods that are named as operations take requests that `shapes.parse_parameters` has checked;
    `inprocess.InProcessService` does that, applies faults, and calls `advance` before each call.

    Args:
        clock: the emulator's time.
        execution_time: how long an execution takes, and how long an image is being built.
        fault_policy: what is to go wrong.
        variants: readings of what the documentation leaves open.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        execution_time: timedelta = timedelta(seconds=5),
        fault_policy: FaultPolicy | None = None,
        variants: Variants | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.execution_time = execution_time
        self.variants = variants or Variants()
        self.store = Store(self.variants)
        self.recipes: dict[str, Recipe] = {}
        self._builds: list[tuple[datetime, str]] = []
        self.tokens: dict[tuple[str, str, str], tuple[str, Mapping[str, Any]]] = {}
        """What was answered to each client token: by region, operation and token, the request as JSON and the answer.
        """
        self.runner = ExecutionRunner(self.store, fault_policy)

    @property
    def images(self) -> Catalog:
        """The images by ARN; deleted ones are not among them."""
        return self.store.images

    @property
    def executions(self) -> dict[str, Execution]:
        """The executions by id."""
        return self.store.executions

    def advance(self) -> None:
        """Carry out all that is due by the clock's present."""
        now = self.clock.now()
        self.runner.advance(now)
        while self._builds and self._builds[0][0] <= now:
            image = self.images.get(heapq.heappop(self._builds)[1])
            if image is not None and image.available_at and image.available_at <= now:
                self._finish_build(image)

    # --- state updates ---------------------------------------------------------------------------------------------

    def start_resource_state_update(self, request: Mapping[str, Any], region: str) -> Mapping[str, Any]:
        """``StartResourceStateUpdate``."""
        known = self._replayed_answer(region, "StartResourceStateUpdate", request)
        if known is not None:
            return known
        now, arn = self.clock.now(), request["resourceArn"]
        if not arn.split(":")[4].isdecimal():
            raise ForbiddenException(f"The image {arn} is owned by Amazon, and only Amazon can change it")
        image = self._existing_image(arn, region)
        rules.validate_request(request, now)
        rules.validate_image(request, image)
        self._check_role(request, image, now)
        asynchronous = rules.is_asynchronous(request, now)
        busy = self.store.unfinished_execution(image) if asynchronous else None
        if busy:
            raise ResourceInUseException(f"The image {image.arn} is in use by the lifecycle execution {busy.id}")
        answer: dict[str, Any] = {"resourceArn": image.arn}
        if asynchronous:
            answer["lifecycleExecutionId"] = self._start(request, image, now).id
        else:
            self.store.before_image_write(image, now)
            image.deprecation_time = request.get("updateAt")
            set_image_state(image, request["state"]["status"], now)
        return self._store_answer(region, "StartResourceStateUpdate", request, answer)

    def _start(self, request: Mapping[str, Any], image: Image, now: datetime) -> Execution:
        scheduled: datetime | None = request.get("updateAt")
        begins = scheduled or now + self.execution_time * _PENDING_SHARE
        execution = Execution(
            id=f"lce-{uuid.uuid4()}",
            image_arn=image.arn,
            target=request["state"]["status"],
            role=request.get("executionRole"),
            includes=rules.included(request),
            exclusions=request.get("exclusionRules", {}).get("amis", {}),
            asked_at=now,
            begins_at=begins,
            ends_at=begins + self.execution_time * (1 - _PENDING_SHARE),
            scheduled=scheduled is not None,
        )
        self.store.before_image_write(image, now)
        if scheduled:
            image.deprecation_time = scheduled
            self._schedule_in_ec2(execution, image, scheduled)
        image.lifecycle_execution_id = execution.id
        self.add_execution(execution, now)
        return execution

    def _check_role(self, request: Mapping[str, Any], image: Image, now: datetime) -> None:
        """Refuse a role that cannot be assumed (yet), where the variant says that the start notices it."""
        role, reading = request.get("executionRole"), self.variants["missing-role"]
        if role is None or reading == "execution-fails":
            return
        problem = roles.assume_role_error(role, image.account, image.arn)
        if problem is None and roles.is_new(role, image.account, now):
            problem = f"The execution role {role} cannot be assumed"
        if problem:
            raise {
                "InvalidParameterValueException": InvalidParameterValueException,
                "InvalidRequestException": InvalidRequestException,
            }[reading](problem)

    def _schedule_in_ec2(self, execution: Execution, image: Image, at: datetime) -> None:
        """Included AMIs get their EC2 deprecation time at once."""
        if "amis" not in execution.includes:
            return
        for ami in image.amis:
            # An account whose role cannot be assumed fails when the execution comes to it.
            if not (
                roles.assume_role_error(execution.role, ami.account, image.arn)
                or aws_effects.exclusion_reason(ami, execution.exclusions, execution.asked_at)
            ):
                aws_effects.set_deprecation(ami, at)

    def cancel_lifecycle_execution(self, request: Mapping[str, Any], region: str) -> Mapping[str, Any]:
        """``CancelLifecycleExecution``."""
        known = self._replayed_answer(region, "CancelLifecycleExecution", request)
        if known is not None:
            return known
        execution = self.get_lifecycle_execution(request["lifecycleExecutionId"], region)
        if not execution.unfinished:
            raise InvalidRequestException(
                f"The lifecycle execution {execution.id} has ended as {execution.status} and cannot be cancelled"
            )
        now = self.clock.now()
        execution.cancel_requested_at = execution.cancel_requested_at or now
        if self.variants["cancel"] == "in-use" and now - execution.cancel_requested_at < CONSISTENCY_LAG:
            raise ResourceInUseException(f"The lifecycle execution {execution.id} is in use; try again")
        if execution.status != "CANCELLING":
            self.store.before_execution_write(execution, now)
            execution.status = "CANCELLING"
            execution.cancelled_at = now + self.execution_time * _PENDING_SHARE
            image = self.images[execution.image_arn]
            # The image record loses its date; the AMIs keep theirs in EC2.
            if execution.scheduled and image.state != "DEPRECATED":
                self.store.before_image_write(image, now)
                image.deprecation_time = None
            self.runner.schedule(execution)
        answer = {"lifecycleExecutionId": execution.id}
        return self._store_answer(region, "CancelLifecycleExecution", request, answer)

    def get_lifecycle_execution(self, execution_id: str, region: str) -> Execution:
        """``GetLifecycleExecution``."""
        found = self.store.readable_execution(execution_id, self.clock.now())
        if found is None or found.region != region:
            message = f"The lifecycle execution {execution_id} was not found"
            if self.variants["unknown-execution"] == "InvalidRequestException":
                raise InvalidRequestException(message)
            raise ResourceNotFoundException(message)
        return found

    def list_lifecycle_executions(self, arn: str, region: str) -> list[Execution]:
        """``ListLifecycleExecutions`` of an image build version or of a lifecycle policy, newest first."""
        if arn.split(":")[3] != region:
            return []
        if ":lifecycle-policy/" in arn:
            found = self.store.executions_of_policy(arn)
        else:
            listed = self.variants["policy-executions"] == "listed"
            found = [each for each in self.store.executions_of(arn) if listed or each.policy_arn is None]
        now = self.clock.now()
        return [seen for each in found if (seen := self.store.listed_execution(each, now)) is not None]

    def start_policy_execution(
        self,
        policy_arn: str,
        image_arn: str,
        target: str,
        *,
        includes: Iterable[str] = (),
        role: str | None = None,
        takes: timedelta | None = None,
    ) -> Execution:
        """Start an execution of a lifecycle policy, which has the image in use until it ends.

        Args:
            policy_arn: ARN of the policy; policies themselves are not emulated.
            image_arn: an image build version that is there.
            target: the state that the policy moves it to.
            includes: ``amis``, ``snapshots``, ``containers``.
            role: execution role, by name or ARN.
            takes: how long it takes; by default as long as any execution.

        Raises:
            ValueError: there is no such image, or an execution has it in use.
        """
        image = self.images.get(image_arn)
        if image is None:
            raise ValueError(f"there is no image {image_arn}")
        busy = self.store.unfinished_execution(image)
        if busy:
            raise ValueError(f"the image {image_arn} is in use by the lifecycle execution {busy.id}")
        now, takes = self.clock.now(), self.execution_time if takes is None else takes
        execution = Execution(
            id=f"lce-{uuid.uuid4()}",
            image_arn=image_arn,
            target=target,
            role=role,
            includes=frozenset(includes),
            exclusions={},
            asked_at=now,
            begins_at=now + takes * _PENDING_SHARE,
            ends_at=now + takes,
            policy_arn=policy_arn,
        )
        self.store.before_image_write(image, now)
        image.lifecycle_execution_id = execution.id
        self.add_execution(execution, now)
        return execution

    def add_execution(self, execution: Execution, at: datetime | None = None) -> None:
        """Put an execution there.

        Args:
            execution: the execution.
            at: when a client started it; None for one that was there before.
        """
        self.store.add_execution(execution, at)
        self.runner.schedule(execution)

    # --- images ----------------------------------------------------------------------------------------------------

    def add_image(self, image: Image, at: datetime | None = None) -> None:
        """Put an image there.

        Args:
            image: the image.
            at: when a client created it; None for one that was there before, as in a seed.
        """
        self.store.add_image(image, at)
        self._await_build(image)

    def get_image(self, arn: str, region: str) -> Image:
        """``GetImage``: of a version's ARN, or one with ``x``, the newest build that is AVAILABLE."""
        found: Image | None
        now, version = self.clock.now(), arn.rpartition("/")[2]
        if "." in version:
            if parse_version(version) is None:
                raise InvalidRequestException(
                    f"The version {version} is none: three numbers up to {MAX_VERSION_NUMBER}, "
                    "or as 1.x.x with x in place of some"
                )
            builds = reversed([*self.store.visible_builds(arn, now)])
            found = next((image for image in builds if image.state == "AVAILABLE"), None)
        else:
            found = self.store.visible_image(arn, now)
        if found is None or found.region != region:
            raise ResourceNotFoundException(f"The resource {arn} was not found")
        return found

    def _existing_image(self, arn: str, region: str) -> Image:
        """Return an image as it is: writes do not lag, whatever reads show."""
        image = self.images.get(arn)
        if image is None and self.variants["deleted-image"] == "state":
            image = self.store.deleted.get(arn)
        if image is None or image.region != region:
            raise ResourceNotFoundException(f"The resource {arn} was not found")
        return image

    def create_image(self, request: Mapping[str, Any], region: str) -> Mapping[str, Any]:
        """``CreateImage``: registers an image of the recipe's name and version, with an AMI after the build."""
        known = self._replayed_answer(region, "CreateImage", request)
        if known is not None:
            return known
        arn = self._next_build(rules.recipe(request), region)
        now = self.clock.now()
        self.add_image(
            Image(
                arn=arn,
                state="BUILDING",
                type="AMI" if "imageRecipeArn" in request else "DOCKER",
                date_created=now,
                tags=dict(request.get("tags", {})),
                available_at=now + self.execution_time,
            ),
            now,
        )
        answer = {"clientToken": request["clientToken"], "imageBuildVersionArn": arn}
        return self._store_answer(region, "CreateImage", request, answer)

    def _next_build(self, recipe: str, region: str) -> str:
        """Return the ARN of the next build of a recipe. Recipes are not emulated: every whole version is there."""
        head, name, version = recipe.rsplit("/", 2)
        partition, _, place, account = head.split(":")[1:5]
        if place != region or not moto_backends.region_exists(region, DEFAULT_ACCOUNT):
            raise InvalidRequestException(f"The recipe {recipe} is not in the Region {region}")
        if not version.replace(".", "").isdecimal() or parse_version(version) is None:
            raise InvalidRequestException(
                f"The recipe {recipe} must be named with its whole version: recipes are not emulated"
            )
        owner = account if account.isdecimal() else DEFAULT_ACCOUNT
        stem = f"arn:{partition}:imagebuilder:{region}:{owner}:image/{name}/{version}"
        builds = self.images.builds(stem)
        return f"{stem}/{builds[-1].build + 1 if builds else 1}"

    def retry_image(self, request: Mapping[str, Any], region: str) -> Mapping[str, Any]:
        """``RetryImage``: unsettles a failed or cancelled image in place, and finishes its build."""
        known = self._replayed_answer(region, "RetryImage", request)
        if known is not None:
            return known
        arn, now = request["imageBuildVersionArn"], self.clock.now()
        image = self._existing_image(arn, region)
        if image.type != "AMI":
            raise InvalidRequestException(f"Only AMI images can be retried, and {arn} is of the type {image.type}")
        if image.state not in {"FAILED", "CANCELLED"}:
            raise InvalidRequestException(f"The image is {image.state}; only FAILED and CANCELLED images are retried")
        busy = self.store.unfinished_execution(image)
        if busy:
            raise ResourceInUseException(f"The image {arn} is in use by the lifecycle execution {busy.id}")
        self.store.before_image_write(image, now)
        failed_in = (image.failure_context or {}).get("imageStatus")
        image.state = "DISTRIBUTING" if failed_in == "DISTRIBUTING" else "TESTING"
        image.reason = image.failure_context = None
        image.available_at = now + self.execution_time
        self._await_build(image)
        answer = {"clientToken": request["clientToken"], "imageBuildVersionArn": arn}
        return self._store_answer(region, "RetryImage", request, answer)

    def _await_build(self, image: Image) -> None:
        if image.available_at:
            heapq.heappush(self._builds, (image.available_at, image.arn))

    def _finish_build(self, image: Image) -> None:
        at = image.available_at or self.clock.now()
        self.store.before_image_write(image, at)
        image.state, image.available_at = "AVAILABLE", None
        # New lists: a copy for reads that lag keeps the old ones.
        if image.type == "AMI":
            if not image.amis:
                image.amis = [moto_backends.register_ami(image.region, image.account, name=image.label)]
        else:
            container = Container(image.region, image.account, image.name, f"{image.version}-{image.build}")
            moto_backends.push_container(container)
            image.containers = [*image.containers, container]

    def delete_image(self, arn: str, region: str) -> Mapping[str, Any]:
        """``DeleteImage``: removes the record, and nothing under it."""
        image = self._existing_image(arn, region)
        busy = self.store.unfinished_execution(image)
        if busy:
            raise ResourceDependencyException(f"The image {arn} is in use by the lifecycle execution {busy.id}")
        if image.state not in STABLE_STATES:
            raise ResourceDependencyException(f"The image {arn} is {image.state}; delete it once that has ended")
        del self.images[arn]
        return {"imageBuildVersionArn": arn}

    # --- client tokens ---------------------------------------------------------------------------------------------

    def _replayed_answer(self, region: str, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the first answer to a client token; None when the token is new."""
        known = self.tokens.get((region, operation, request["clientToken"]))
        if known is None:
            return None
        if known[0] != _text(request):
            raise IdempotentParameterMismatchException(
                f"The client token {request['clientToken']} was used before with other parameters"
            )
        return known[1]

    def _store_answer(
        self, region: str, operation: str, request: Mapping[str, Any], answer: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        self.tokens[region, operation, request["clientToken"]] = (_text(request), answer)
        return answer


def _text(request: Mapping[str, Any]) -> str:
    return json.dumps(request, sort_keys=True, default=datetime.isoformat)
