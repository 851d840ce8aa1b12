"""A declared change: what is asked of the service for one image, and what is known of the change before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from .records import Image
from .statuses import IMAGE_GONE


@dataclass(frozen=True)
class Change:
    """A declared change of one image build version.

    Args:
        resource_arn: ARN of the image build version.
        request: parameters of ``StartResourceStateUpdate`` other than the ARN and the token.
        triggers: the values whose change runs the update again.
        client_token: the user's own token, if there is one.
        follows: the token of the change before this one, as the record has it; None for the first.
        superseded: the execution of the change before this one: it never answers for this one.
        own_schedule: the scheduled execution of the change before this one, cancelled first if it is still pending.
        cancels_schedules: whether any scheduled execution that is in the way is cancelled.
        came_true: whether this change's own schedule is known to have come true before.
        wait: whether to wait until the execution has ended. A scheduled one is never waited for.
    """

    resource_arn: str
    request: Mapping[str, Any]
    triggers: Any = None
    client_token: str | None = None
    follows: str | None = None
    superseded: str | None = None
    own_schedule: str | None = None
    cancels_schedules: bool = False
    came_true: bool = False
    wait: bool = True

    @property
    def target(self) -> str:
        """The state asked for."""
        status: str = self.request["state"]["status"]
        return status

    @property
    def awaited(self) -> bool:
        """Whether it is done only once its execution has ended."""
        return self.wait and "updateAt" not in self.request

    @property
    def first(self) -> bool:
        """Whether the record knows of no change before it, nor does the user's own token tell this one from others."""
        return self.follows is None and self.superseded is None and self.client_token is None

    @property
    def overdue(self) -> bool:
        """Whether it is scheduled for a time that has passed."""
        at = self.request.get("updateAt")
        return at is not None and (self.came_true or at <= datetime.now(timezone.utc))

    def at_once(self) -> Change:
        """The same change without its schedule."""
        return replace(self, request={name: value for name, value in self.request.items() if name != "updateAt"})

    def shown_by(self, image: Image, execution_id: str | None) -> bool:
        """Whether an image as it stands bears out that this change was carried out, and nothing else since."""
        if image.state == self.target:
            return True
        if self.target == IMAGE_GONE:
            # A deletion that left something out keeps the record: then it stands while nothing came after it.
            return execution_id is not None and image.lifecycle_execution_id == execution_id
        return execution_id is None and "updateAt" in self.request and image.deprecation_time is not None
