"""EC2 Image Builder's state, and what its operations do to it."""

from __future__ import annotations

import heapq
import json
import uuid
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from . import aws_effects, moto_backends, roles, rules
from .catalog import Catalog
from .clock import Clock
from .entities import MAX_VERSION_NUMBER, STABLE_STATES, Container, Execution, Image, parse_version
from .exceptions import (
    IdempotentParameterMismatchException,
    InvalidRequestException,
    ResourceDependencyException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from .executions import ExecutionRunner, FaultPolicy, set_image_state
from .recipes import Recipe

DEFAULT_ACCOUNT = "123456789012"
_PENDING_SHARE = 0.1
"""The part of an execution's time that it is PENDING, and that a cancellation takes."""


class ImageBuilderBackend:
    """All images and executions, in all regions and accounts. Not thread-safe: the server holds a lock.

    Args:
        clock: the emulator's time.
        execution_time: how long an execution takes, and how long an image is being built.
        fault_policy: what is to go wrong.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        execution_time: timedelta = timedelta(seconds=5),
        fault_policy: FaultPolicy | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.execution_time = execution_time
        self.images = Catalog()
        self.recipes: dict[str, Recipe] = {}
        self.executions: dict[str, Execution] = {}
        self._by_image: defaultdict[str, list[str]] = defaultdict(list)
        self._builds: list[tuple[datetime, str]] = []
        self.tokens: dict[tuple[str, str, str], tuple[str, Mapping[str, Any]]] = {}
        """What was answered to each client token: by region, operation and token, the request as JSON and the answer.
        """
        self.runner = ExecutionRunner(self.images, self.executions, fault_policy)

    def advance(self) -> None:
        """Carry out whatever is due by now."""
        now = self.clock.now()
        self.runner.advance(now)
        while self._builds and self._builds[0][0] <= now:
            image = self.images.get(heapq.heappop(self._builds)[1])
            if image is not None and image.available_at:
                self._finish_build(image)

    # --- state updates ---------------------------------------------------------------------------------------------

    def start_resource_state_update(self, request: Mapping[str, Any], region: str) -> Mapping[str, Any]:
        """``StartResourceStateUpdate``."""
        known = self._replayed_answer(region, "StartResourceStateUpdate", request)
        if known is not None:
            return known
        now = self.clock.now()
        image = self.get_image(request["resourceArn"], region)
        rules.validate_request(request, now)
        rules.validate_image(request, image)
        asynchronous = rules.is_asynchronous(request, now)
        busy = self.unfinished_execution(image) if asynchronous else None
        if busy:
            raise ResourceInUseException(f"The image {image.arn} is in use by the lifecycle execution {busy.id}")
        answer: dict[str, Any] = {"resourceArn": image.arn}
        if asynchronous:
            answer["lifecycleExecutionId"] = self._start(request, image, now).id
        else:
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
        if scheduled:
            image.deprecation_time = scheduled
            self._schedule_in_ec2(execution, image, scheduled)
        image.lifecycle_execution_id = execution.id
        self.add_execution(execution)
        return execution

    def _schedule_in_ec2(self, execution: Execution, image: Image, at: datetime) -> None:
        """Included AMIs get their EC2 deprecation time at once."""
        if "amis" not in execution.includes:
            return
        for ami in image.amis:
            # An account whose role cannot be assumed is told when the execution comes to it.
            if not (
                roles.assume_role_error(execution.role, ami.account)
                or aws_effects.exclusion_reason(ami, execution.exclusions, execution.asked_at)
            ):
                try:
                    aws_effects.set_deprecation(ami, at)
                except aws_effects.ResourceFailure:
                    continue  # So is an AMI that is gone.

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
        if execution.status != "CANCELLING":
            execution.status = "CANCELLING"
            execution.cancelled_at = self.clock.now() + self.execution_time * _PENDING_SHARE
            image = self.images[execution.image_arn]
            if execution.scheduled and image.state != "DEPRECATED":
                image.deprecation_time = None
            self.runner.schedule(execution)
        answer = {"lifecycleExecutionId": execution.id}
        return self._store_answer(region, "CancelLifecycleExecution", request, answer)

    def get_lifecycle_execution(self, execution_id: str, region: str) -> Execution:
        """``GetLifecycleExecution``."""
        found = self.executions.get(execution_id)
        if found is None or found.region != region:
            raise ResourceNotFoundException(f"The lifecycle execution {execution_id} was not found")
        return found

    def executions_of(self, image_arn: str) -> list[Execution]:
        """The executions of an image, newest first."""
        return [self.executions[execution_id] for execution_id in reversed(self._by_image.get(image_arn, ()))]

    def unfinished_execution(self, image: Image) -> Execution | None:
        """The execution of an image that is not finished: one at a time, so it can only be the newest."""
        newest = self._by_image.get(image.arn)
        execution = self.executions[newest[-1]] if newest else None
        return execution if execution and execution.unfinished else None

    def add_execution(self, execution: Execution) -> None:
        """Put an execution there, newer than those of its image before it."""
        self.executions[execution.id] = execution
        self._by_image[execution.image_arn].append(execution.id)
        self.runner.schedule(execution)

    # --- images ----------------------------------------------------------------------------------------------------

    def add_image(self, image: Image) -> None:
        """Put an image there, as a seed does."""
        self.images[image.arn] = image
        if image.available_at:
            heapq.heappush(self._builds, (image.available_at, image.arn))

    def get_image(self, arn: str, region: str) -> Image:
        """``GetImage``: of a version's ARN, or one with ``x``, the newest build that is AVAILABLE."""
        found: Image | None
        version = arn.rpartition("/")[2]
        if "." in version:
            if parse_version(version) is None:
                raise InvalidRequestException(
                    f"The version {version} is none: three numbers up to "
                    f"{MAX_VERSION_NUMBER}, or as 1.x.x with x in place of some"
                )
            builds = reversed(self.images.builds(arn))
            found = next((image for image in builds if image.state == "AVAILABLE"), None)
        else:
            found = self.images.get(arn)
        if found is None or found.region != region:
            raise ResourceNotFoundException(f"The resource {arn} was not found")
        return found

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
            )
        )
        answer = {"clientToken": request["clientToken"], "imageBuildVersionArn": arn}
        return self._store_answer(region, "CreateImage", request, answer)

    def _next_build(self, recipe: str, region: str) -> str:
        """The ARN of the next build of a recipe. Recipes are not emulated: every one of a whole version is there."""
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

    def _finish_build(self, image: Image) -> None:
        image.state, image.available_at = "AVAILABLE", None
        if image.type == "AMI":
            image.amis.append(moto_backends.register_ami(image.region, image.account, name=image.label))
        else:
            container = Container(image.region, image.account, image.name, f"{image.version}-{image.build}")
            moto_backends.push_container(container)
            image.containers.append(container)

    def delete_image(self, arn: str, region: str) -> Mapping[str, Any]:
        """``DeleteImage``: removes the record, and nothing under it."""
        image = self.get_image(arn, region)
        busy = self.unfinished_execution(image)
        if busy:
            raise ResourceDependencyException(f"The image {arn} is in use by the lifecycle execution {busy.id}")
        if image.state not in STABLE_STATES:
            raise ResourceDependencyException(f"The image {arn} is {image.state}; delete it once that has ended")
        del self.images[arn]
        return {"imageBuildVersionArn": arn}

    # --- client tokens ---------------------------------------------------------------------------------------------

    def _replayed_answer(self, region: str, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The first answer to a client token; None when it is new."""
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
