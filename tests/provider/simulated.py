"""A service and runs of a program against it, in virtual time: what the tests of the core stand on."""

from __future__ import annotations

import asyncio
import json
import re
import weakref
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from imagebuilder_emulator.inprocess import InProcessError
from pulumi_imagebuilder.claims import Claims
from pulumi_imagebuilder.errors import ImageBuilderError
from pulumi_imagebuilder.handlers import HANDLERS, Handler, Result
from pulumi_imagebuilder.host import Call, Host
from pulumi_imagebuilder.lifecycle.apply import apply
from pulumi_imagebuilder.lifecycle.change import Change
from pulumi_imagebuilder.lifecycle.client import ImageClient
from pulumi_imagebuilder.lifecycle.entities import Outcome
from pulumi_imagebuilder.lifecycle.images import ImageBatchReader, ReadBarrier
from pulumi_imagebuilder.lifecycle.polling import PollSchedule
from pulumi_imagebuilder.lifecycle.progress import Progress
from pulumi_imagebuilder.validation import Kind

from tests.simulation.service import SimulatedService, World
from tests.simulation.virtual_time import VirtualTimeLoop, run

T = TypeVar("T")

STEM = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0"
ARN = f"{STEM}/1"
ROLE = "ImageLifecycle"
AHEAD = "2099-01-31T00:00:00Z"

DISABLE: dict[str, Any] = {
    "state": {"status": "DISABLED"},
    "executionRole": ROLE,
    "includeResources": {"amis": True},
}
"""Parameters of a change that includes AMIs."""

Override = Callable[[Mapping[str, Any], Callable[..., dict[str, Any]]], dict[str, Any]]
"""Answers a call in place of the service: is given the parameters, and what asks the service."""


def arns(count: int) -> list[str]:
    """Return the ARNs of as many builds."""
    return [f"{STEM}/{build}" for build in range(1, count + 1)]


def images(count: int = 1, **more: Any) -> list[dict[str, Any]]:
    """Return the seed of as many builds, each with an AMI in two regions."""
    return [{"arn": arn, "amis": [{}, {"region": "eu-west-1"}], **more} for arn in arns(count)]


def to(state: str, **more: Any) -> dict[str, Any]:
    """Return the parameters of a change of image and AMIs to a state."""
    return {**DISABLE, "state": {"status": state}, **more}


def refusal(code: str, message: str = "refused", status: int = 400) -> InProcessError:
    """Return an error as the service answers it, without a request id."""
    return InProcessError(code, message, status, "Operation", {})


class Row:
    """Stands in for the engine: keeps what is shown on rows, and what stays to be read."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.logged: list[str] = []

    async def show(self, urn: str, text: str) -> None:
        self.shown.append(f"{urn.rpartition('::')[2]}: {text}")

    async def info(self, urn: str, text: str) -> None:
        self.logged.append(f"{urn.rpartition('::')[2]}: {text}")

    async def warn(self, urn: str, text: str) -> None:
        self.logged.append(f"{urn.rpartition('::')[2]}: warning: {text}")


class Simulation:
    """One service over any number of runs.

    Args:
        seed: the images.
        variants: the readings of the service that differ from the documented ones.
        execution_time: how long an execution takes.
        roles: the roles that exist.
        phase: the part of a second at which the service's clock begins, which its answers round down.
    """

    def __init__(
        self,
        seed: Sequence[Mapping[str, Any]] | None = None,
        *,
        variants: Mapping[str, str] | None = None,
        execution_time: str = "10s",
        roles: Iterable[str] = (ROLE,),
        phase: float = 0.5,
    ) -> None:
        self.loop = VirtualTimeLoop()
        weakref.finalize(self, self.loop.close)
        self.world = World(
            {"roles": list(roles), "images": list(images() if seed is None else seed)},
            self.loop,
            execution_time=execution_time,
            variants=variants,
        )
        clock = self.world.environment.clock
        now = clock.now()
        clock.set(now.replace(microsecond=0) + timedelta(seconds=1 + phase))
        self.overrides: dict[str, Override] = {}
        """By the operation as boto3 names it, what answers in place of the service."""
        self.row = Row()
        self._inner = self.world.inprocess.call
        self.world.inprocess.call = self._call  # type: ignore[method-assign]
        self.begin_run()

    def _call(self, service: str, region: str, operation: str, parameters: Any = None) -> dict[str, Any]:
        def ask(**more: Any) -> dict[str, Any]:
            return self._inner(service, region, operation, {**parameters, **more})

        override = self.overrides.get(operation)
        return override(parameters, ask) if override else ask()

    def answer(self, **members: Any) -> dict[str, Any]:
        """Return an answer with the service's time, for an override."""
        return {**members, "ResponseMetadata": self.world.inprocess._metadata(200)}

    def begin_run(self, interrupt: Callable[[str, str], None] = lambda when, operation: None) -> None:
        """Begin another run, as a new process of the provider does."""
        self.service = SimulatedService(self.world, interrupt)
        claims = Claims(now=self.loop.time)
        self.host = Host(lambda: self.service, self.row, now=self.loop.time, claims=claims)  # type: ignore[arg-type]
        self.reader = ImageBatchReader(self.service)

    @property
    def backend(self) -> Any:
        """The emulator's backend, as of now."""
        self.world.environment.backend.advance()
        return self.world.environment.backend

    @property
    def counts(self) -> dict[str, int]:
        """How often each operation was called in this run."""
        return self.service.counts

    @property
    def starts(self) -> list[Mapping[str, Any]]:
        """The parameters of all calls of ``StartResourceStateUpdate``."""
        return [each.parameters for each in self.world.calls("StartResourceStateUpdate")]

    def fault(self, *texts: str) -> None:
        """Set faults beside those that are set."""
        self.world.environment.faults.add(*texts)

    def heal(self) -> None:
        """Lift all faults."""
        self.world.environment.faults.clear()

    def advance(self, **by: float) -> None:
        """Let time pass between runs."""
        self.world.environment.clock.advance(timedelta(**by))

    def executions(self, arn: str = ARN) -> list[tuple[str, str]]:
        """Return target and status of an image's executions, oldest first."""
        return [(each.target, each.status) for each in self.world.executions(arn)]

    def ids(self, arn: str = ARN) -> list[str]:
        """Return the ids of an image's executions, oldest first."""
        return [each.id for each in self.world.executions(arn)]

    def state(self, arn: str = ARN) -> str:
        """Return an image's state; ``DELETED`` where it is gone."""
        image = self.world.images.get(arn)
        return image.state if image else "DELETED"

    def ami_states(self, arn: str = ARN) -> list[str]:
        """Return the states of an image's AMIs as EC2 has them, with ``deprecated`` where they have such a date."""
        image = self.backend.images.get(arn) or self.backend.store.deleted[arn]
        states = []
        for ami in image.amis:
            found = self._inner(
                "ec2",
                ami.region,
                "describe_images",
                {
                    "Filters": [{"Name": "image-id", "Values": [ami.id]}],
                    "IncludeDisabled": True,
                    "IncludeDeprecated": True,
                },
            )["Images"]
            states += [each["State"] + (", deprecated" if each.get("DeprecationTime") else "") for each in found] or [
                "gone"
            ]
        return states

    def move(self, state: str, arn: str = ARN) -> None:
        """Move an image's record to another state without a trace, as an immediate change by a person."""
        self.backend.images[arn].state = state

    def person(self, request: Mapping[str, Any], arn: str = ARN, token: str = "a-persons-token") -> str | None:
        """Start a state update as a person would; return its execution's id."""
        answer = self._inner(
            "imagebuilder",
            arn.split(":")[3],
            "start_resource_state_update",
            {"resourceArn": arn, "clientToken": token, **request},
        )
        return answer.get("lifecycleExecutionId")

    def forget(self, execution_id: str) -> None:
        """Let the service forget an execution."""
        store = self.backend.store
        execution = store.executions.pop(execution_id)
        store._by_image[execution.image_arn].remove(execution_id)

    def client(self, arn: str = ARN, barrier: ReadBarrier | None = None) -> ImageClient:
        """Return a client of an image whose action is ``changing the image``."""
        progress = Progress("changing the image", now=self.loop.time)
        return ImageClient(self.service, arn, progress, barrier or ReadBarrier(self.reader), PollSchedule())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work in the service's time."""
        return run(work, self.loop)

    def apply(self, request: Mapping[str, Any] = DISABLE, arn: str = ARN, **options: Any) -> Outcome:
        """Carry out a change in a run of its own."""
        self.begin_run()
        before_start = options.pop("before_start", None)
        return self.run(apply(Change(arn, request, **options), self.client(arn), before_start))

    def handler(self, kind: Kind) -> Handler:
        """Return the handler of a kind of resource in this run."""
        return next(handler for handler in HANDLERS if handler.kind is kind)(self.host)


Declaration = tuple[Kind, Mapping[str, Any]]


def single(state: str = "DISABLED", arn: str = ARN, **more: Any) -> Declaration:
    """Declare a ``ResourceStateUpdate`` of image and AMIs."""
    included = {"execution_role": ROLE, "include_resources": {"amis": True}}
    return Kind.SINGLE, _given({"resource_arn": arn, "state": state, "in_use": "ignore", **included, **more})


def fleet(arns: Sequence[str], state: str = "DISABLED", **more: Any) -> Declaration:
    """Declare a ``FleetStateUpdate`` of images and AMIs."""
    included = {"execution_role": ROLE, "include_resources": {"amis": True}}
    return Kind.FLEET, _given({"resource_arns": list(arns), "state": state, "in_use": "ignore", **included, **more})


def cleanup(arn: str = ARN, **more: Any) -> Declaration:
    """Declare an ``ImageCleanup``."""
    return Kind.CLEANUP, _given({"resource_arn": arn, "execution_role": ROLE, "in_use": "ignore", **more})


def _given(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if value is not None}


@dataclass
class Kept:
    """What the state of a stack has of a resource."""

    kind: Kind
    inputs: dict[str, Any]
    id: str
    state: dict[str, Any]


@dataclass
class Stack:
    """Runs of a program as the engine makes them: checks, then creates, updates and replaces, then deletes.

    Args:
        simulation: the service.
        partial: whether the state of what failed is kept, as the native provider does.
        time_limit: of every operation, in seconds.
    """

    simulation: Simulation
    partial: bool = False
    time_limit: float | None = None
    kept: dict[str, Kept] = field(default_factory=dict)

    def up(self, interrupt: Callable[[str, str], None] | None = None, **declared: Declaration) -> None:
        """Apply a program; what one resource fails with is raised once the others have ended."""
        self._begin(interrupt)
        self.simulation.run(self._up(declared))

    def preview(self, **declared: Declaration) -> dict[str, bool]:
        """Return which resources would change."""
        self._begin(None)
        return self.simulation.run(self._preview(declared))

    def refresh(self) -> None:
        """Read all resources; those that are gone leave the state."""
        self._begin(None)
        self.simulation.run(self._refresh())

    def destroy(self, interrupt: Callable[[str, str], None] | None = None) -> None:
        """Delete all resources."""
        self._begin(interrupt)
        self.simulation.run(self._finish([self._delete(name, kept) for name, kept in self.kept.items()]))

    def _begin(self, interrupt: Callable[[str, str], None] | None) -> None:
        self.simulation.begin_run(*([interrupt] if interrupt else []))

    def _handler(self, kind: Kind) -> Handler:
        return self.simulation.handler(kind)

    def _call(self, operation: str, name: str) -> Call:
        return Call(operation, f"urn:pulumi:dev::project::type::{name}", self.time_limit)

    async def _check(self, name: str, kind: Kind, inputs: Mapping[str, Any]) -> dict[str, Any]:
        olds = self.kept[name].inputs if name in self.kept else {}
        checked = await self._handler(kind).check(self._call("check", name), olds, inputs)
        assert checked.failures == [], checked.failures
        return as_kept(checked.inputs)

    async def _preview(self, declared: Mapping[str, Declaration]) -> dict[str, bool]:
        changes = {}
        for name, (kind, given) in declared.items():
            inputs, old = await self._check(name, kind, given), self.kept.get(name)
            changes[name] = old is None or bool(
                await self._handler(kind).diff(self._call("diff", name), old.state, inputs)
            )
        return changes

    async def _up(self, declared: Mapping[str, Declaration]) -> None:
        checked = {name: await self._check(name, kind, inputs) for name, (kind, inputs) in declared.items()}
        leaving = [(name, kept) for name, kept in self.kept.items() if name not in declared]
        steps: list[Coroutine[Any, Any, None]] = []
        for name, inputs in checked.items():
            kind, old = declared[name][0], self.kept.get(name)
            if old is None:
                steps.append(self._create(name, kind, inputs))
                continue
            changed = await self._handler(kind).diff(self._call("diff", name), old.state, inputs)
            if changed.inputs.replace:
                leaving.append((name, old))
                steps.append(self._create(name, kind, inputs))
            elif changed:
                steps.append(self._update(name, old, inputs))
        await self._finish(steps)
        await self._finish([self._delete(name, old) for name, old in leaving])

    async def _finish(self, steps: Sequence[Coroutine[Any, Any, None]]) -> None:
        errors = await asyncio.gather(*steps, return_exceptions=True)
        for error in errors:
            if error is not None:
                raise error

    async def _create(self, name: str, kind: Kind, inputs: dict[str, Any]) -> None:
        result = await self._handler(kind).create(self._call("create", name), inputs)
        self._keep(name, kind, inputs, result)

    async def _update(self, name: str, old: Kept, inputs: dict[str, Any]) -> None:
        result = await self._handler(old.kind).update(self._call("update", name), old.state, inputs)
        self._keep(name, old.kind, inputs, result)

    def _keep(self, name: str, kind: Kind, inputs: dict[str, Any], result: Result) -> None:
        if result.error is None or self.partial:
            self.kept[name] = Kept(kind, inputs, result.id, as_kept(result.state))
        if result.error:
            raise result.error

    async def _delete(self, name: str, old: Kept) -> None:
        error = await self._handler(old.kind).delete(self._call("delete", name), old.state)
        if error:
            raise error
        if self.kept.get(name) is old:
            del self.kept[name]

    async def _refresh(self) -> None:
        async def read(name: str, old: Kept) -> None:
            state, error = await self._handler(old.kind).read(self._call("read", name), old.state)
            if error:
                raise error
            if state is None:
                del self.kept[name]
            else:
                self.kept[name] = Kept(old.kind, old.inputs, old.id, as_kept(dict(state)))

        await self._finish([read(name, old) for name, old in self.kept.items()])


def as_kept(value: Any) -> Any:
    """Return what Pulumi keeps of properties: JSON, without what is None in objects."""
    return _without_none(json.loads(json.dumps(value)))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def kill_at(point: int) -> Callable[[str, str], None]:
    """Return an interrupt that kills the run at a point: each call has one before it and one before its answer."""
    passed = 0

    def interrupt(when: str, operation: str) -> None:
        nonlocal passed
        passed += 1
        if passed >= point:
            for task in asyncio.all_tasks():
                task.cancel()
            raise asyncio.CancelledError

    return interrupt


def failure(simulation: Simulation, work: Callable[[], Any], kind: type[ImageBuilderError]) -> str:
    """Return the text of the error of just this type that some work fails with; see :func:`named`."""
    with pytest.raises(kind) as raised:
        work()
    assert raised.type is kind
    return named(simulation, str(raised.value))


def named(simulation: Simulation, text: str) -> str:
    """Return a text without request ids, in which ids of executions are numbered as they were started: ``lce-1``."""
    for number, execution_id in enumerate(simulation.backend.executions, 1):
        text = text.replace(execution_id, f"lce-{number}")
    return re.sub(r" \(request id [0-9a-f-]{36}\)", "", text)
