"""The service's statuses as data. A test holds them against the service model's enumerations."""

from __future__ import annotations

EXECUTION_UNFINISHED = frozenset({"PENDING", "IN_PROGRESS", "CANCELLING"})
EXECUTION_CANCELLABLE = frozenset({"PENDING", "IN_PROGRESS"})
EXECUTION_SUCCEEDED = frozenset({"SUCCESS"})
EXECUTION_ENDED_BADLY = frozenset({"FAILED", "CANCELLED"})

ACTION = {"AVAILABLE": "AVAILABLE", "DEPRECATED": "DEPRECATE", "DISABLED": "DISABLE", "DELETED": "DELETE"}
"""What an execution does to an image and its resources, by the state that was asked for."""

RESOURCE_SUCCEEDED = frozenset({"SUCCESS"})
RESOURCE_UNFINISHED = frozenset({"IN_PROGRESS"})
RESOURCE_DONE = frozenset({"SUCCESS", "SKIPPED", "FAILED"})

IMAGE_SETTLED = frozenset({"AVAILABLE", "DEPRECATED", "DISABLED", "FAILED", "CANCELLED"})
IMAGE_UNSETTLED = frozenset({"PENDING", "CREATING", "BUILDING", "TESTING", "DISTRIBUTING", "INTEGRATING"})
"""Of an image that is being built: the service refuses to change its state until that has ended."""

IMAGE_GONE = "DELETED"
"""The state of an image record that is no longer there: some answers still name it, most say it is not found."""
