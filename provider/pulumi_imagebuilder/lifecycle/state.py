"""What Pulumi keeps of state updates between runs: the outputs, and what drift is measured against.

Keys that begin with two underscores are the provider's own; Pulumi does not display them. Releases have written them,
so they stay readable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from .client import ExecutionUnknown, ImageClient
from .entities import (
    EXECUTION_SUCCEEDED,
    EXECUTION_UNFINISHED,
    EXECUTION_UNSUCCESSFUL,
    IMAGE_GONE,
    MAX_RESOURCES,
    Image,
    Outcome,
    complete_resource,
    format_time,
    sort_resources,
)

LEFT = "__left"
"""The image's state after the update, where it is not the one declared: no drift, although not what was asked for."""

DRIFT = "__drift"
"""What a refresh found to differ from the declaration, in words; absent where nothing differs."""

PREVIOUS = "__previous"
"""Of an update that was started and has not ended well: the state that the update follows on."""

CLIENT_TOKEN = "__client_token"  # noqa: S105 - the name of a key
"""Digest of the declared ``client_token``, which the output of the same name hides."""

DECLARED_AT = "__declared"
"""When a clean-up was declared: what distinguishes it from earlier ones of the same image."""

_LAG = 5.0
"""Seconds after the end of an execution in which reads of the image may not show it; the service's times are whole."""

MAX_RESOURCES_PER_FLEET_IMAGE = 10
"""How many resources a fleet lists of each of its images, failed ones first: it may have a thousand images."""


@dataclass(frozen=True)
class UpdateState:
    """The state of one image's update. The fields up to ``client_token`` are outputs, under the same names.

    Args:
        left: see :data:`LEFT`; None stands for ``image_state``.
        drift: see :data:`DRIFT`.
        previous: see :data:`PREVIOUS`; None where the update is complete.
    """

    lifecycle_execution_id: str | None = None
    status: str | None = None
    status_reason: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    image_state: str | None = None
    deprecation_time: str | None = None
    resources: list[dict[str, Any]] = field(default_factory=list)
    client_token: str | None = None
    left: str | None = None
    drift: str | None = None
    previous: UpdateState | None = None

    @classmethod
    def from_outcome(cls, outcome: Outcome, target: str | None = None) -> UpdateState:
        """Return the state after an update that has been carried out.

        Args:
            outcome: how it went.
            target: the declared state. Default: that of the image, whatever that is.
        """
        execution = outcome.execution
        # It left the image as declared, whoever has moved it since. A deletion may have kept the record.
        done = execution is not None and execution.status in EXECUTION_SUCCEEDED and target not in (None, IMAGE_GONE)
        return cls(
            lifecycle_execution_id=execution.id if execution else None,
            status=execution.status if execution else None,
            status_reason=execution.reason if execution else None,
            start_time=format_time(execution.started) if execution else None,
            end_time=format_time(execution.ended) if execution else None,
            image_state=outcome.image.state,
            deprecation_time=format_time(outcome.image.deprecation_time),
            resources=sort_resources(outcome.resources)[:MAX_RESOURCES],
            client_token=outcome.client_token,
            left=target if done else None,
        )

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> UpdateState:
        """Read what Pulumi kept, of this release or an earlier one; Pulumi drops None from dicts and lists."""
        previous = state.get(PREVIOUS)
        return cls(
            **{name: state.get(name) for name in OUTPUTS if name != "resources"},
            resources=[complete_resource(resource) for resource in state.get("resources") or []],
            left=state.get(LEFT),
            drift=state.get(DRIFT),
            previous=cls.from_state(previous) if previous is not None else None,
        )

    def outputs(self) -> dict[str, Any]:
        """Return all outputs, None where the service gave nothing."""
        return {name: getattr(self, name) for name in OUTPUTS}

    def to_state(self) -> dict[str, Any]:
        """Return what Pulumi is to keep."""
        own = {
            LEFT: self.left if self.left != self.image_state else None,
            DRIFT: self.drift,
            PREVIOUS: self.previous.to_state() if self.previous else None,
        }
        return {**self.outputs(), **{key: value for key, value in own.items() if value is not None}}

    @property
    def is_complete(self) -> bool:
        """Whether the update was carried out, as far as it is waited for, and nothing has moved the image since."""
        return self.previous is None and self.drift is None

    @property
    def basis(self) -> UpdateState:
        """The state that the next update follows on: an update that has not ended well is continued, not followed."""
        return self.previous or self


OUTPUTS = (
    "lifecycle_execution_id",
    "status",
    "status_reason",
    "start_time",
    "end_time",
    "image_state",
    "deprecation_time",
    "resources",
    "client_token",
)
"""The outputs of one image's update."""


@dataclass(frozen=True)
class FleetState:
    """The states of a fleet's images by ARN; an image that is missing has not been updated yet."""

    images: Mapping[str, UpdateState] = field(default_factory=dict)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> FleetState:
        """Read what Pulumi kept, of this release or an earlier one."""
        own = {key: state.get(key) or {} for key in (LEFT, DRIFT, PREVIOUS)}
        return cls(
            {
                arn: UpdateState.from_state(
                    {**outputs, **{key: by_arn[arn] for key, by_arn in own.items() if arn in by_arn}}
                )
                for arn, outputs in (state.get("executions") or {}).items()
            }
        )

    def to_state(self, arns: Iterable[str]) -> dict[str, Any]:
        """Return what Pulumi is to keep: small, for a thousand images are in one resource.

        Args:
            arns: the images to keep, in this order.
        """
        executions, own = {}, {LEFT: {}, DRIFT: {}, PREVIOUS: {}}  # type: ignore[var-annotated]
        for arn in arns:
            if arn in self.images:
                state = self.images[arn].to_state()
                for key, by_arn in own.items():
                    if key in state:
                        by_arn[arn] = state.pop(key)
                executions[arn] = {**state, "resources": state["resources"][:MAX_RESOURCES_PER_FLEET_IMAGE]}
        return {
            "executions": executions,
            "lifecycle_execution_ids": {arn: each["lifecycle_execution_id"] for arn, each in executions.items()},
            **{key: by_arn for key, by_arn in own.items() if by_arn},
        }

    def incomplete(self, arns: Iterable[str]) -> set[str]:
        """Return the images that an update is still to be carried out for."""
        return {arn for arn in arns if arn not in self.images or not self.images[arn].is_complete}


async def refresh(state: UpdateState, target: str, client: ImageClient) -> UpdateState | None:
    """Read the image, and the execution where it was unfinished, into a new state.

    Args:
        state: the state as of the last run.
        target: the declared state of the image.
        client: the image's client.

    Returns:
        The state as it is now; None when the image has vanished and was not to be deleted.
    """
    image = await client.find_image()
    if image.state == IMAGE_GONE and target != IMAGE_GONE:
        return None
    left = state.left or state.image_state
    fresh = replace(state, image_state=image.state, deprecation_time=format_time(image.deprecation_time))
    if state.lifecycle_execution_id and state.status in EXECUTION_UNFINISHED:
        try:
            outcome = await client.outcome(state.client_token or "", state.lifecycle_execution_id, image)
        except ExecutionUnknown:
            # The service does not keep executions for ever: what the state has of one that it has forgotten stays.
            outcome = None
        if outcome and outcome.execution:
            # Of an update that a cancelled run has begun no token is known: what follows it must not find another one.
            fresh = replace(UpdateState.from_outcome(outcome, target), client_token=state.client_token)
            left = fresh.left or left
            earlier = state.previous is not None and state.previous.lifecycle_execution_id == outcome.execution.id
            if earlier or outcome.execution.status not in EXECUTION_SUCCEEDED:
                # Of an update that has not been started the state has the execution of the one before it.
                fresh = replace(fresh, previous=state.previous)
            elif any(resource["status"] == "SKIPPED" for resource in outcome.resources):
                # A deletion that left something out has kept the record as it was.
                left = fresh.left or image.state
    ended = datetime.fromisoformat(fresh.end_time) if fresh.end_time else None
    # It may have ended after the image was read.
    stale = fresh.status != state.status
    while image.state not in {target, left} and ended and (stale or (client.now - ended).total_seconds() < _LAG):
        if not stale:
            await asyncio.sleep(0.5)
        stale = False
        image = await client.find_image(again=True)
    fresh = replace(fresh, image_state=image.state, deprecation_time=format_time(image.deprecation_time))
    if image.state == target:
        # A schedule that has come true, or an update that has ended: from now on any other state is drift.
        left = image.state
    fresh = replace(fresh, left=left)
    return replace(fresh, drift=_describe_drift(target, fresh, image))


def _describe_drift(target: str, state: UpdateState, image: Image) -> str | None:
    if image.state not in {target, state.left}:
        return f"the image is {image.state}, declared is {target}"
    if state.status in EXECUTION_UNSUCCESSFUL:
        return f"lifecycle execution {state.lifecycle_execution_id} ended as {state.status}"
    return None
