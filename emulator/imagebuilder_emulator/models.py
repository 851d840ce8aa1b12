"""EC2 Image Builder's state, and what its operations do to it."""

from __future__ import annotations

import json
import re
import uuid
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from . import effects, rules
from .clock import Clock
from .exceptions import (
    IdempotentParameterMismatchException,
    InvalidRequestException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from .executions import Runner, Troubles, set_state
from .records import Container, Execution, Image

DEFAULT_ACCOUNT = "123456789012"
_PENDING_SHARE = 0.1
"""The part of an execution's time that it is PENDING, and that a cancellation takes."""


class ImageBuilderBackend:
    """All images and executions, in all regions and accounts. Not thread-safe: the server holds a lock.

    Args:
        clock: the emulator's time.
        execution_time: how long an execution takes, and how long an image is being built.
        troubles: what is to go wrong.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        execution_time: timedelta = timedelta(seconds=5),
        troubles: Troubles | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.execution_time = execution_time
        self.images: dict[str, Image] = {}
        self.executions: dict[str, Execution] = {}
        self._by_image: defaultdict[str, list[str]] = defaultdict(list)
        self.tokens: dict[tuple[str, str], tuple[str, Mapping[str, Any]]] = {}
        """What was answered to each client token: by operation and token, the request as JSON text and the answer."""
        self.runner = Runner(self.images, self.executions, troubles)

    def advance(self) -> None:
        """Carry out whatever is due by now."""
        now = self.clock.now()
        self.runner.advance(now)
        for image in self.images.values():
            if image.available_at and image.available_at <= now:
                self._finish_build(image)

    # --- state updates ---------------------------------------------------------------------------------------------

    def start_resource_state_update(self, request: Mapping[str, Any], region: str) -> Mapping[str, Any]:
        """``StartResourceStateUpdate``."""
        known = self._answered("StartResourceStateUpdate", request)
        if known is not None:
            return known
        now = self.clock.now()
        image = self.get_image(request["resourceArn"], region)
        rules.check_request(request, now)
        rules.check_image(request, image)
        for execution in self.executions_of(image.arn):
            if execution.unfinished:
                raise ResourceInUseException(
                    f"The image {image.arn} is in use by the lifecycle execution {execution.id}"
                )
        answer: dict[str, Any] = {"resourceArn": image.arn}
        if rules.is_asynchronous(request, now):
            answer["lifecycleExecutionId"] = self._start(request, image, now).id
        else:
            image.deprecation_time = request.get("updateAt")
            set_state(image, request["state"]["status"], now)
        return self._remember("StartResourceStateUpdate", request, answer)

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
        if "amis" not in execution.includes or (execution.role and effects.role_problem(execution.role, image.account)):
            return
        for ami in image.amis:
            if not effects.excluded(ami, execution.exclusions, execution.asked_at):
                try:
                    effects.set_deprecation(ami, at)
                except effects.EffectFailed:
                    continue  # An AMI that is gone is told when the execution comes to it.

    def cancel_lifecycle_execution(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """``CancelLifecycleExecution``."""
        known = self._answered("CancelLifecycleExecution", request)
        if known is not None:
            return known
        execution = self.get_lifecycle_execution(request["lifecycleExecutionId"])
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
        return self._remember("CancelLifecycleExecution", request, answer)

    def get_lifecycle_execution(self, execution_id: str) -> Execution:
        """``GetLifecycleExecution``."""
        if execution_id not in self.executions:
            raise ResourceNotFoundException(f"The lifecycle execution {execution_id} was not found")
        return self.executions[execution_id]

    def executions_of(self, image_arn: str) -> list[Execution]:
        """The executions of an image, newest first."""
        return [self.executions[execution_id] for execution_id in reversed(self._by_image[image_arn])]

    def add_execution(self, execution: Execution) -> None:
        """Put an execution there, newer than those of its image before it."""
        self.executions[execution.id] = execution
        self._by_image[execution.image_arn].append(execution.id)
        self.runner.schedule(execution)

    # --- images ----------------------------------------------------------------------------------------------------

    def add_image(self, image: Image) -> None:
        """Put an image there, as a seed does."""
        self.images[image.arn] = image

    def get_image(self, arn: str, region: str) -> Image:
        """``GetImage``: of a version's ARN, the newest build; ``x`` stands for any number."""
        parts = arn.split("/")
        if len(parts) == 3:
            pattern = re.compile(re.escape(arn).replace("x", r"(?:\d+|x)") + r"/\d+")
            builds = [image for image in self.images.values() if pattern.fullmatch(image.arn)]
            found = max(builds, key=lambda image: (_numbers(image.version), image.build), default=None)
        else:
            found = self.images.get(arn)
        if found is None or found.region != region:
            raise ResourceNotFoundException(f"The resource {arn} was not found")
        return found

    def images_in(self, region: str) -> list[Image]:
        """All images of a region, by name, version and build."""
        found = [image for image in self.images.values() if image.region == region]
        return sorted(found, key=lambda image: (image.name, _numbers(image.version), image.build))

    def create_image(self, request: Mapping[str, Any], region: str) -> Mapping[str, Any]:
        """``CreateImage``: registers an image of the recipe's name and version, with an AMI after the build."""
        known = self._answered("CreateImage", request)
        if known is not None:
            return known
        recipe = request.get("imageRecipeArn") or request.get("containerRecipeArn")
        if not recipe:
            raise InvalidRequestException("One of imageRecipeArn and containerRecipeArn is required")
        head, name, version = recipe.split("/")[:3]
        stem = f"{head.rpartition(':')[0]}:image/{name}/{version}"
        builds = [image.build for image in self.images.values() if image.version_arn == stem]
        now = self.clock.now()
        image = Image(
            arn=f"{stem}/{max(builds, default=0) + 1}",
            state="BUILDING",
            type="AMI" if "imageRecipeArn" in request else "DOCKER",
            date_created=now,
            tags=dict(request.get("tags", {})),
            available_at=now + self.execution_time,
        )
        if image.region != region:
            raise InvalidRequestException(f"The recipe {recipe} is not in the Region {region}")
        self.add_image(image)
        answer = {"clientToken": request["clientToken"], "imageBuildVersionArn": image.arn}
        return self._remember("CreateImage", request, answer)

    def _finish_build(self, image: Image) -> None:
        image.state, image.available_at = "AVAILABLE", None
        label = f"{image.name}-{image.version}-{image.build}"
        if image.type == "AMI":
            image.amis.append(effects.register_ami(image.region, image.account, name=label))
        else:
            container = Container(image.region, image.account, image.name, f"{image.version}-{image.build}")
            effects.push_container(container)
            image.containers.append(container)

    def delete_image(self, arn: str, region: str) -> Mapping[str, Any]:
        """``DeleteImage``: removes the record, and nothing under it."""
        image = self.get_image(arn, region)
        for execution in self.executions_of(arn):
            if execution.unfinished:
                raise ResourceInUseException(f"The image {arn} is in use by the lifecycle execution {execution.id}")
        del self.images[image.arn]
        return {"imageBuildVersionArn": arn}

    # --- client tokens ---------------------------------------------------------------------------------------------

    def _answered(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The first answer to a client token; None when it is new."""
        known = self.tokens.get((operation, request["clientToken"]))
        if known is None:
            return None
        if known[0] != _text(request):
            raise IdempotentParameterMismatchException(
                f"The client token {request['clientToken']} was used before with other parameters"
            )
        return known[1]

    def _remember(self, operation: str, request: Mapping[str, Any], answer: Mapping[str, Any]) -> Mapping[str, Any]:
        self.tokens[operation, request["clientToken"]] = (_text(request), answer)
        return answer


def _text(request: Mapping[str, Any]) -> str:
    return json.dumps(request, sort_keys=True, default=datetime.isoformat)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
