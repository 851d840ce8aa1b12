"""Read and write what Pulumi keeps of state updates: the outputs, and the state that drift is compared with.

Keys that begin with two underscores are the provider's own; Pulumi does not display them. Releases have written them,
so they stay readable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from .client import ExecutionUnknown, ImageClient
from .entities import (
    EXECUTION_SUCCEEDED,
    EXECUTION_UNFINISHED,
    EXECUTION_UNSUCCESSFUL,
    IMAGE_GONE,
    IMAGE_LAG_AFTER_END,
    MAX_RESOURCES,
    Image,
    Outcome,
    complete_resource,
    format_time,
    sort_resources,
)

RESULT_STATE = "__left"
"""The state that a successful update put the image in, where it differs from ``image_state``.

Any other state than this one and the declared one is drift.
"""

DRIFT = "__drift"
"""How a refresh found the image to differ from the declaration, in words; absent if it does not."""

PREVIOUS = "__previous"
"""The last complete state, while an update is unfinished or has failed."""

CLIENT_TOKEN = "__client_token"  # noqa: S105 - the name of a key
"""Digest of the declared ``client_token``, which the output of the same name hides."""

DECLARED_AT = "__declared"
"""When a clean-up was declared: tells it apart from earlier ones of the same image."""

_KEYS_BY_IMAGE = (RESULT_STATE, DRIFT, PREVIOUS)
"""The provider's own keys of one image's state; a fleet keeps under each a map by ARN."""

MAX_RESOURCES_PER_FLEET_IMAGE = 10
"""How many resources a fleet lists for each of its images, failed ones first: it may have a thousand images."""


@dataclass(frozen=True)
class UpdateState:
    """The state of one image's update. The fields up to ``client_token`` are outputs, under the same names.

    Args:
        result_state: see :data:`RESULT_STATE`; None stands for ``image_state``.
        drift: see :data:`DRIFT`.
        previous: see :data:`PREVIOUS`; None if the update is complete.
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
    result_state: str | None = None
    drift: str | None = None
    previous: UpdateState | None = None

    @classmethod
    def from_outcome(cls, outcome: Outcome, target: str | None = None) -> UpdateState:
        """Return the state after an update.

        Args:
            outcome: the result of the update.
            target: the declared state. Default: that of the image, whatever that is.
        """
        execution = outcome.execution
        # The update succeeded, even if somebody changed the image afterwards. A deletion may have kept the record.
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
            result_state=target if done else None,
        )

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> UpdateState:
        """Read a state that this or an earlier release wrote; Pulumi drops None from dicts and lists."""
        previous = state.get(PREVIOUS)
        return cls(
            **{name: state.get(name) for name in OUTPUTS if name != "resources"},
            resources=[complete_resource(resource) for resource in state.get("resources") or []],
            result_state=state.get(RESULT_STATE),
            drift=state.get(DRIFT),
            previous=cls.from_state(previous) if previous is not None else None,
        )

    def outputs(self) -> dict[str, Any]:
        """Return all outputs, None for those without a value."""
        return {name: getattr(self, name) for name in OUTPUTS}

    def to_state(self) -> dict[str, Any]:
        """Return what Pulumi is to keep."""
        own = {
            RESULT_STATE: self.result_state if self.result_state != self.image_state else None,
            DRIFT: self.drift,
            PREVIOUS: self.previous.to_state() if self.previous else None,
        }
        return {**self.outputs(), **{key: value for key, value in own.items() if value is not None}}

    @property
    def is_complete(self) -> bool:
        """Whether the update was carried out, as far as it is awaited, and nothing has changed the image since."""
        return self.previous is None and self.drift is None

    @property
    def last_complete(self) -> UpdateState:
        """The state that the next update follows: one that is unfinished or has failed is continued, not followed."""
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
    """The states of a fleet's images by ARN, without images that have not been updated yet."""

    images: Mapping[str, UpdateState] = field(default_factory=dict)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> FleetState:
        """Read a state that this or an earlier release wrote."""
        own = {key: state.get(key) or {} for key in _KEYS_BY_IMAGE}
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
        executions: dict[str, Any] = {}
        own: dict[str, dict[str, Any]] = {key: {} for key in _KEYS_BY_IMAGE}
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
        """Return the images whose update is not complete."""
        return {arn for arn in arns if arn not in self.images or not self.images[arn].is_complete}


async def refresh(state: UpdateState, target: str, client: ImageClient) -> UpdateState | None:
    """Read the image, and the execution if it was unfinished, into a new state.

    Args:
        state: the state as of the last run.
        target: the declared state of the image.
        client: the image's client.

    Returns:
        The state as it is now; None if the image has vanished and was not to be deleted.
    """
    image = await client.find_image()
    if image.state == IMAGE_GONE and target != IMAGE_GONE:
        return None
    fresh = await _read_execution(state, target, image, client)
    # The execution may have ended after the image was read.
    has_ended = state.status != fresh.status
    succeeded = has_ended and fresh.status in EXECUTION_SUCCEEDED
    # A deletion keeps the image record only if it has left out something under it.
    keeps_state = not succeeded or any(resource["status"] == "SKIPPED" for resource in fresh.resources)
    expected = {target, fresh.result_state} if keeps_state else {target}
    image = await _read_again_while_stale(image, expected, has_ended, fresh, client)
    fresh = replace(
        fresh,
        image_state=image.state,
        deprecation_time=format_time(image.deprecation_time),
        # Once the image is in the declared state any other one is drift.
        result_state=image.state if image.state == target else fresh.result_state,
    )
    return replace(fresh, drift=_describe_drift(target, fresh, image))


async def _read_execution(state: UpdateState, target: str, image: Image, client: ImageClient) -> UpdateState:
    """Return the state with the execution as it is now, if that was unfinished."""
    result_state = state.result_state or state.image_state
    state = replace(state, result_state=result_state)
    if not state.lifecycle_execution_id or state.status not in EXECUTION_UNFINISHED:
        return state
    try:
        outcome = await client.outcome(state.client_token or "", state.lifecycle_execution_id, image)
    except ExecutionUnknown:
        # The service does not keep executions forever: the state keeps what it has.
        return state
    if outcome.execution is None:
        return state
    # An update that a cancelled run has begun has no token in the state, and must not get another one.
    fresh = replace(UpdateState.from_outcome(outcome, target), client_token=state.client_token)
    fresh = replace(fresh, result_state=fresh.result_state or result_state)
    is_earlier = state.previous is not None and state.previous.lifecycle_execution_id == outcome.execution.id
    if is_earlier or outcome.execution.status not in EXECUTION_SUCCEEDED:
        # An update that has not been started has the execution of the one before it.
        return replace(fresh, previous=state.previous)
    if outcome.skipped and target == IMAGE_GONE:
        # The deletion has kept the image record as it was.
        return replace(fresh, result_state=image.state)
    return fresh


async def _read_again_while_stale(
    image: Image, expected: Collection[str | None], at_once: bool, state: UpdateState, client: ImageClient
) -> Image:
    """Return the image once it is in an expected state, or reads can no longer lag behind the execution's end."""
    ended = datetime.fromisoformat(state.end_time) if state.end_time else None
    while image.state not in expected and ended:
        if not at_once:
            if (client.now - ended).total_seconds() >= IMAGE_LAG_AFTER_END:
                break
            await asyncio.sleep(0.5)
        at_once = False
        image = await client.find_image(fresh=True)
    return image


def _describe_drift(target: str, state: UpdateState, image: Image) -> str | None:
    if image.state not in {target, state.result_state}:
        return f"the image is {image.state}, declared is {target}"
    if state.status in EXECUTION_UNSUCCESSFUL:
        return f"lifecycle execution {state.lifecycle_execution_id} ended as {state.status}"
    return None
