"""The steps of executions: each is due at an instant and carried out at the next request after it."""

from __future__ import annotations

import heapq
from datetime import datetime
from typing import Protocol

from . import aws_effects, moto_backends, roles
from .entities import Ami, Execution, Image, Impact
from .store import Store


class FaultPolicy(Protocol):
    """Decides which executions and resources go wrong."""

    def resource_failure(self, resource: str, *, image: str, region: str) -> str | None:
        """Return why a resource is to fail; None when it is not."""

    def hangs(self, image_arn: str) -> bool:
        """Return whether executions of an image make no progress."""


class NoFaults:
    """A policy without faults."""

    def resource_failure(self, resource: str, *, image: str, region: str) -> str | None:
        """Return None: nothing fails."""
        return None

    def hangs(self, image_arn: str) -> bool:
        """Return False: nothing hangs."""
        return False


class ExecutionRunner:
    """Carries out the steps of executions.

    Args:
        store: the images and executions.
        fault_policy: what is to go wrong; nothing by default.
    """

    def __init__(self, store: Store, fault_policy: FaultPolicy | None = None) -> None:
        self._store = store
        self._fault_policy = fault_policy or NoFaults()
        self._due: list[tuple[datetime, str]] = []

    def schedule(self, execution: Execution) -> None:
        """Note when an execution's next step is due."""
        due = execution.due()
        if due is not None:
            heapq.heappush(self._due, (due, execution.id))

    def advance(self, now: datetime) -> None:
        """Carry out all steps that are due, in their order in time."""
        hanging = []
        while self._due and self._due[0][0] <= now:
            due, execution_id = heapq.heappop(self._due)
            execution = self._store.executions.get(execution_id)
            if execution is None or execution.due() != due:
                continue  # It was cancelled meanwhile, and noted again.
            if execution.status == "IN_PROGRESS" and self._fault_policy.hangs(execution.image_arn):
                hanging.append((due, execution_id))
                continue
            self._store.before_execution_write(execution, due)
            self._step(execution, due)
            self.schedule(execution)
        for entry in hanging:
            heapq.heappush(self._due, entry)

    def _step(self, execution: Execution, at: datetime) -> None:
        if execution.status == "CANCELLING":
            self._cancel(execution, at)
        elif execution.status == "PENDING":
            self._begin(execution, at)
        else:
            waiting = next((impact for impact in execution.impacts if impact.end is None), None)
            if waiting is not None:
                self._change(execution, waiting, at)
            else:
                self._finish(execution, at)

    def _cancel(self, execution: Execution, at: datetime) -> None:
        """End as cancelled: what is done stays done, and the rest is skipped."""
        reason = "The lifecycle execution was cancelled"
        execution.status, execution.reason, execution.end = "CANCELLED", reason, at
        execution.record_status, execution.record_reason = "SKIPPED", reason
        for impact in execution.impacts:
            if impact.end is None:
                impact.status, impact.reason, impact.end = "SKIPPED", reason, at

    def _begin(self, execution: Execution, at: datetime) -> None:
        image = self._store.images[execution.image_arn]
        problem = roles.assume_role_error(execution.role, image.account, image.arn)
        if problem:
            execution.status, execution.reason, execution.end = "FAILED", problem, at
            execution.record_status, execution.record_reason = "FAILED", problem
            return
        execution.status = "IN_PROGRESS"
        resources = [*(image.amis if execution.includes & {"amis", "snapshots"} else [])]
        execution.impacts = [Impact(resource, start=at) for resource in resources]
        if "containers" in execution.includes:
            execution.impacts += [Impact(container, start=at) for container in image.containers]

    def _change(self, execution: Execution, impact: Impact, at: datetime) -> None:
        resource = impact.resource
        name = resource.id if isinstance(resource, Ami) else resource.uri
        failure = self._fault_policy.resource_failure(name, image=execution.image_arn, region=resource.region)
        impact.end = at
        if failure:
            impact.status, impact.reason = "FAILED", failure
        elif isinstance(resource, Ami):
            self._change_ami(execution, impact, resource, at)
        else:
            moto_backends.delete_container(resource)
            impact.status = "SUCCESS"

    def _change_ami(self, execution: Execution, impact: Impact, ami: Ami, at: datetime) -> None:
        problem = roles.assume_role_error(execution.role, ami.account, execution.image_arn)
        if problem:
            impact.status, impact.reason = "FAILED", problem
            return
        takes_amis = "amis" in execution.includes
        reason = aws_effects.exclusion_reason(ami, execution.exclusions, at) if takes_amis else None
        if reason:
            impact.status, impact.reason = "SKIPPED", reason
            return
        snapshots = moto_backends.ami_snapshots(ami) if "snapshots" in execution.includes else []
        if takes_amis:
            try:
                aws_effects.change_ami(ami, execution.target, at)
            except aws_effects.ResourceFailure as failure:
                impact.status, impact.reason = "FAILED", str(failure)
                return
        impact.status = "SUCCESS"
        for snapshot in snapshots:
            try:
                aws_effects.delete_snapshot(ami, snapshot)
                state = {"status": "SUCCESS"}
            except aws_effects.ResourceFailure as failure:
                state = {"status": "FAILED", "reason": str(failure)}
                impact.status, impact.reason = "FAILED", str(failure)
            impact.snapshots.append({"snapshotId": snapshot, "state": state})

    def _finish(self, execution: Execution, at: datetime) -> None:
        image = self._store.images[execution.image_arn]
        failed = sum(impact.status == "FAILED" for impact in execution.impacts)
        skipped = sum(impact.status == "SKIPPED" for impact in execution.impacts)
        execution.end = at
        if failed:
            # What was done stays done; the image record is left as it was.
            execution.status = execution.record_status = "FAILED"
            execution.reason = f"{failed} of {len(execution.impacts)} resources failed"
            execution.record_reason = execution.reason
            return
        execution.status = execution.record_status = "SUCCESS"
        if execution.target != "DELETED":
            self._store.before_image_write(image, at)
            set_image_state(image, execution.target, at)
        elif skipped:
            execution.record_status = "SKIPPED"
            execution.record_reason = f"The image record is kept: {skipped} resources were left out"
        else:
            self._store.delete_image(image, at)


def set_image_state(image: Image, target: str, at: datetime) -> None:
    """Move an image record to a state."""
    image.state, image.reason = target, None
    if target == "DEPRECATED":
        image.deprecation_time = image.deprecation_time if image.deprecation_time else at
    elif target == "AVAILABLE":
        image.deprecation_time = None
