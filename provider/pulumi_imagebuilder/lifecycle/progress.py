"""Describe the progress of a resource: its line on the row, and its time-out message."""

from __future__ import annotations

import contextlib
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ..durations import format_elapsed
from ..errors import ImageBuilderError
from ..validation import ImageArn
from .entities import EXECUTION_UNFINISHED, RESOURCE_DONE, ExecutionSnapshot, Outcome

STARTING = "STARTING"
"""The status until the service has given one."""

_NOTE_LASTS = 5.0
"""Seconds for which a fleet's line shows why a call is retried."""

_MAX_NAMED = 3
"""How many uses of AMIs a fleet's line names."""


@dataclass
class Progress:
    """The progress of one state update: the lifecycle writes it, the host shows it.

    Args:
        action: what is being done, as errors begin: ``changing image arn:… to DISABLED``.
        same_command: whether only the same command continues it after an error; else the next `pulumi up` does.
        now: a monotonic clock, in seconds.
        fleet: the progress of the fleet that the image belongs to. Default: none.

    Attributes:
        status: the execution's status.
        execution_id: the execution that is awaited, or was.
        blocking_execution: the execution that has the image in use.
        build_status: the image's state while the update waits until it is built.
        note: why a call is retried, or what the update waits for.
        in_use: what uses the AMIs, while the update waits until nothing does.
    """

    action: str
    same_command: bool = False
    now: Callable[[], float] = time.monotonic
    fleet: FleetProgress | None = None
    status: str = STARTING
    execution_id: str | None = None
    blocking_execution: str | None = None
    build_status: str | None = None
    _note: str | None = None
    _in_use: str | None = None
    _resources: tuple[int, int, bool] = (0, 0, False)
    _began: float = field(init=False)
    _shown: tuple[object, ...] = ()
    _show_again: float = 0

    def __post_init__(self) -> None:
        self._began = self.now()

    @property
    def note(self) -> str | None:
        """Why a call is retried, or what the update waits for; a fleet shows it too."""
        return self._note

    @note.setter
    def note(self, text: str | None) -> None:
        self._note = text
        if self.fleet and text:
            self.fleet.note = text

    @property
    def in_use(self) -> str | None:
        """What uses the AMIs, while the update waits; a fleet shows it too."""
        return self._in_use

    @in_use.setter
    def in_use(self, text: str | None) -> None:
        self._in_use = text
        if self.fleet:
            self.fleet.set_in_use(self, text)

    def retrying(self, why: str) -> None:
        """Record why a call is retried."""
        self.note = why

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        return self.now() - self._began

    @property
    def command(self) -> str:
        """The command to run again."""
        return "the same command" if self.same_command else "`pulumi up`"

    @property
    def next_run(self) -> str:
        """The run that continues after an error."""
        return self.command if self.same_command else f"the next {self.command}"

    @property
    def execution_continues(self) -> bool:
        """Whether an execution of this update was under way at the last poll."""
        return self.execution_id is not None and self.status in EXECUTION_UNFINISHED | {STARTING}

    def update(self, seen: ExecutionSnapshot | Outcome) -> None:
        """Record a snapshot of the execution, or the update's outcome."""
        more = False
        if isinstance(seen, ExecutionSnapshot):
            self.status, more = seen.status, seen.next_token is not None
        else:
            self.status = seen.execution.status if seen.execution else seen.image.state
        done = sum(resource["status"] in RESOURCE_DONE for resource in seen.resources)
        self._note, self._resources = None, (done, len(seen.resources), more)

    @contextlib.contextmanager
    def reading_result(self, *, is_last: bool) -> Iterator[None]:
        """Count the image among the ended ones of its fleet while its state is read.

        A cancellation keeps the count, so that the time-out message counts this image as done.

        Args:
            is_last: whether it is read after an execution; the first read of an image counts nothing.
        """
        fleet = self.fleet if is_last else None
        if fleet is None:
            yield
            return
        fleet.ended += 1
        try:
            yield
        except ImageBuilderError:
            fleet.ended -= 1
            raise
        fleet.ended -= 1

    def text(self) -> str:
        """Return the line: ``IN_PROGRESS 42s, 3 of 7 resources``."""
        done, total, more = self._resources
        counted = f", {done} of {total}{'+' if more else ''} resources" if total else ""
        note = f" ({self.note})" if self.note else ""
        waiting = f"waiting for {self.blocking_execution} of the same image to end: " if self.blocking_execution else ""
        if self.build_status:
            return f"waiting for the image to be built: {self.build_status} {format_elapsed(self.elapsed)}{note}"
        if self.in_use:
            return f"waiting {format_elapsed(self.elapsed)}: {self.in_use}{note}"
        return f"{waiting}{self.status} {format_elapsed(self.elapsed)}{counted}{note}"

    def _content(self) -> tuple[object, ...]:
        """Return the values whose change is worth a new line."""
        return (self.status, self.note, self.in_use, self.blocking_execution, self.build_status, self._resources)

    def changed_line(self) -> str | None:
        """Return the line if its content has changed, or half as much time again has passed; else None.

        So the first minute of a wait has some ten lines in a log, and each minute after it has one.
        """
        content = self._content()
        if content == self._shown and self.elapsed < self._show_again:
            return None
        self._shown, self._show_again = content, min(1.5 * self.elapsed, self.elapsed + 60)
        return self.text()

    def describe_cancellation(self) -> tuple[str, str]:
        """Return what happened and what to do, when the run was cancelled."""
        if self.execution_continues and not self.blocking_execution:
            return (
                f"the run was cancelled while lifecycle execution {self.execution_id} was {self.status}",
                f"it continues, and {self.next_run} continues to wait for it",
            )
        return "the run was cancelled", f"{self.next_run} continues from here"

    def describe_time_out(self, limit: float) -> tuple[str, str]:
        """Return what happened and what to do, when the time limit, in seconds, has run out."""
        ran_out = f"the time limit of {format_elapsed(limit)} ran out"
        longer = "or give it longer with custom_timeouts"
        if self.build_status:
            return (
                f"{ran_out} while the image was still {self.build_status}",
                f"run {self.command} again once it is built, {longer}",
            )
        if self.blocking_execution:
            return (
                f"{ran_out} while waiting for lifecycle execution {self.blocking_execution}, "
                "which has the image in use",
                f"run {self.command} again once it has ended, {longer}",
            )
        if self.in_use:
            return (
                f"{ran_out} while waiting: {self.in_use}",
                f"run {self.command} again once that has changed, {longer}",
            )
        if self.execution_id and not self.execution_continues:
            return (
                f"{ran_out} while reading how lifecycle execution {self.execution_id} ended, which was as "
                f"{self.status}",
                f"{self.next_run} continues from here",
            )
        if self.execution_id:
            return (
                f"{ran_out} while lifecycle execution {self.execution_id} was {self.status}",
                f"it continues, and {self.next_run} continues to wait for it; {longer}",
            )
        last = f" ({self.note})" if self.note else ""
        return f"{ran_out} before the service answered{last}", f"{self.next_run} continues from here"


class FleetProgress(Progress):
    """How far a fleet has come: ``143 of 200 done, 2 failed, 55 in progress, 48s``.

    Attributes:
        total: how many images there are.
        done: how many of them are done.
        ended: how many more have an execution that has ended and a result that is still to be read.
        failures: the errors of failed images, by ARN.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.total = self.done = self.ended = 0
        self.failures: dict[str, ImageBuilderError] = {}
        self._noted_at = 0.0
        self._waiting: dict[int, str] = {}

    @property
    def note(self) -> str | None:
        """Why a call for one of the images is retried; shown for some seconds."""
        return self._note if self.elapsed - self._noted_at < _NOTE_LASTS else None

    @note.setter
    def note(self, text: str | None) -> None:
        self._note, self._noted_at = text, self.elapsed

    def set_in_use(self, member: Progress, text: str | None) -> None:
        """Record what uses the AMIs of one image, while the image waits."""
        self._waiting.pop(id(member), None)
        if text:
            self._waiting[id(member)] = text
        self._in_use = "; ".join(list(dict.fromkeys(self._waiting.values()))[:_MAX_NAMED]) or None

    @property
    def counts(self) -> str:
        """How many images are done, failed and in progress."""
        failed = f", {len(self.failures)} failed" if self.failures else ""
        done = self.done + self.ended
        left = self.total - done - len(self.failures)
        return f"{done} of {self.total} done{failed}{f', {left} in progress' if left else ''}"

    def text(self) -> str:
        """Return the line."""
        note = f" ({self.note})" if self.note else ""
        return f"{self.counts}, {format_elapsed(self.elapsed)}{self._waits}{note}"

    @property
    def _waits(self) -> str:
        return f"; {len(self._waiting)} waiting: {self.in_use}" if self.in_use else ""

    def _content(self) -> tuple[object, ...]:
        return (self.done + self.ended, len(self.failures), self.in_use)

    def describe_cancellation(self) -> tuple[str, str]:
        """Return what happened and what to do, when the run was cancelled."""
        failed = f"; {group_failures(self.failures)}" if self.failures else ""
        return (
            f"the run was cancelled with {self.counts}{failed}",
            f"what is in progress continues, and {self.next_run} continues from here",
        )

    def describe_time_out(self, limit: float) -> tuple[str, str]:
        """Return what happened and what to do, when the time limit, in seconds, has run out."""
        failed = f"; {group_failures(self.failures)}" if self.failures else ""
        return (
            f"the time limit of {format_elapsed(limit)} ran out with {self.counts}{failed}{self._waits}",
            f"what is in progress continues, and {self.next_run} continues from here; "
            "or give it longer with custom_timeouts",
        )


_IMAGE_SPECIFIC = (
    (re.compile(r" \(request id [^)]*\)"), ""),
    (re.compile(r"\blce-[0-9a-fA-F-]{36}\b"), "lce-…"),
    (re.compile(r"\b(ami|snap)-[0-9a-f]+\b"), r"\1-…"),
)
"""Parts that differ between images in one and the same reason."""


def group_failures(failures: Mapping[str, ImageBuilderError]) -> str:
    """Return why images failed, the commonest reason first: ``12 images: AccessDenied: …: web/1.0.0/1, …``.

    Args:
        failures: by the image's ARN.
    """
    return group_images({arn: error.reason for arn, error in failures.items()})


def group_images(reasons: Mapping[str, str]) -> str:
    """Name images with a reason for each, those with the same reason together, the commonest first.

    Args:
        reasons: by the image's ARN.
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for arn, reason in reasons.items():
        groups[_common_reason(arn, reason)].append(arn)
    parts = []
    for reason, arns in sorted(groups.items(), key=lambda group: -len(group[1])):
        if len(arns) == 1:
            parts.append(f"image {arns[0]}: {reasons[arns[0]]}")
        else:
            parts.append(f"{len(arns)} images: {reason}: {name_images(arns)}")
    return "; ".join(parts)


def name_images(arns: Iterable[str]) -> str:
    """Name images by name, version and build, with what they have in common written once.

    >>> stem = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0"
    >>> name_images([f"{stem}/1", f"{stem}/2"])
    'web/1.0.0/1, web/1.0.0/2 (arn:aws:imagebuilder:us-east-1:123456789012:image/…)'
    """
    groups: defaultdict[str, list[ImageArn]] = defaultdict(list)
    for arn in map(ImageArn.parse, arns):
        groups[str(arn).partition("/")[0]].append(arn)
    parts = []
    for stem, found in groups.items():
        ordered = sorted(found, key=lambda arn: (arn.name, [*map(int, arn.version.split("."))], int(arn.build)))
        parts.append(f"{', '.join(f'{arn.name}/{arn.version}/{arn.build}' for arn in ordered)} ({stem}/…)")
    return ", ".join(parts)


def _common_reason(arn: str, reason: str) -> str:
    """Return a reason without what is specific to the image."""
    reason = reason.replace(arn, "the image")
    for pattern, replacement in _IMAGE_SPECIFIC:
        reason = pattern.sub(replacement, reason)
    return reason
