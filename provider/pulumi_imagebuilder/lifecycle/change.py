"""Describe a declared change of one image, and derive its client tokens.

Words for the updates before it: ``previous``, in the state, is the last complete one while an update is unfinished or
has failed; ``follows`` is the token of the last complete one, from which this change's token is derived; ``superseded``
is the execution of the last one that was started, complete or not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from .entities import IMAGE_GONE, Image

_DATE_PRECISION = timedelta(minutes=1)
"""How far the date that an image shows may be from the one that was asked for: EC2 rounds an AMI's to minutes."""

_MAX_TOKEN = 36
"""Characters of a token: the limit of older models and of other partitions."""


@dataclass(frozen=True)
class Change:
    """A declared change of one image build version.

    Args:
        resource_arn: ARN of the image build version.
        request: parameters of ``StartResourceStateUpdate`` other than the ARN and the token.
        triggers: the values whose change runs the update again.
        client_token: the user's own token, if there is one.
        follows: the token of the last complete change, as the state has it; None for the first.
        superseded: the execution that the previous change started, which is never adopted for this one.
        own_schedule: the schedule that the previous change started, cancelled first if it is unfinished.
        cancels_schedules: whether to cancel any schedule that has the image in use.
        awaits_build: whether to wait for an image that is being built.
        schedule_elapsed: whether this change's own schedule is known to have taken effect.
        wait: whether to wait until the execution has ended. A schedule is never awaited.
    """

    resource_arn: str
    request: Mapping[str, Any]
    triggers: Any = None
    client_token: str | None = None
    follows: str | None = None
    superseded: str | None = None
    own_schedule: str | None = None
    cancels_schedules: bool = False
    awaits_build: bool = False
    schedule_elapsed: bool = False
    wait: bool = True

    @property
    def target(self) -> str:
        """The declared state."""
        status: str = self.request["state"]["status"]
        return status

    @property
    def update_at(self) -> datetime | None:
        """When it takes effect; None for now."""
        at: datetime | None = self.request.get("updateAt")
        return at

    @property
    def is_awaited(self) -> bool:
        """Whether it is complete only when its execution has ended."""
        return self.wait and self.update_at is None

    @property
    def is_immediate(self) -> bool:
        """Whether it includes nothing under the image, so that the service needs no execution."""
        return not any(self.request.get("includeResources", {}).values())

    @property
    def is_first(self) -> bool:
        """Whether neither an earlier change in the state nor a declared token tells it apart from others."""
        return self.follows is None and self.superseded is None and self.client_token is None

    def is_overdue(self, now: datetime) -> bool:
        """Return whether it is scheduled for a time that has passed.

        Args:
            now: the time, by the service's clock.
        """
        return self.update_at is not None and (self.schedule_elapsed or self.update_at <= now)

    def without_schedule(self) -> Change:
        """Return the same change without the schedule."""
        return replace(self, request={name: value for name, value in self.request.items() if name != "updateAt"})

    def is_confirmed_by(self, image: Image, execution_id: str | None, *, keeps_record: bool = True) -> bool:
        """Return whether the image's current state confirms this change, and shows nothing else since.

        Args:
            image: the image.
            execution_id: the execution of the change; None for an immediate one.
            keeps_record: whether a deletion may have kept the image record, because exclusion rules kept a resource.
        """
        if image.state == self.target:
            return True
        if self.target == IMAGE_GONE:
            return keeps_record and execution_id is not None and image.lifecycle_execution_id == execution_id
        if execution_id is not None or self.update_at is None or image.deprecation_time is None:
            return False
        # A schedule without an execution: the image shows its deprecation time.
        return image.state == "AVAILABLE" and abs(image.deprecation_time - self.update_at) < _DATE_PRECISION

    def token_candidates(self) -> Iterator[str]:
        """Yield the tokens to try, in order and without end, always the same for the same declared change.

        A token is a digest of the declaration and of the token it follows. So a run after a kill sends the same token,
        and the service answers with the execution it started then. The next candidate is for
        when that answer no longer holds: its execution failed or was cancelled, or the image was changed since.
        The token leaves out the role, as a change of the role alone runs nothing again.
        """
        if self.client_token is not None:
            yield self.client_token
        declared = {name: value for name, value in self.request.items() if name != "executionRole"}
        number = 0
        while True:
            yield derive_token([self.resource_arn, declared, self.triggers, self.client_token, self.follows, number])
            number += 1


def derive_token(parts: Any) -> str:
    """Return a client token that is always the same for the same parts.

    >>> derive_token(["cancel", "lce-1"])
    'pulumi-daeec68f600d562a5c428820e7d69'
    """
    text = json.dumps(parts, sort_keys=True, default=datetime.isoformat)
    return f"pulumi-{hashlib.sha256(text.encode()).hexdigest()}"[:_MAX_TOKEN]
