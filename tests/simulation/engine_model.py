"""What the Pulumi engine does between the provider's calls, as simply as it can be modelled.

A stack keeps resources by URN. ``up`` checks and diffs each declaration as the program registers it, carries out the
steps side by side, and then deletes what is gone. What is recorded follows the engine: a step that succeeds; of one
that fails nothing, unless the native provider says what it has begun; of a run that is killed what was recorded before.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pulumi_imagebuilder.errors import ImageBuilderError
from pulumi_imagebuilder.handlers import HANDLERS, Handler
from pulumi_imagebuilder.host import DEFAULT_TIME_LIMIT, Call, Host
from pulumi_imagebuilder.validation import Kind

KINDS = {kind.name.lower(): kind for kind in Kind}
"""``single``, ``fleet`` and ``cleanup``."""


@dataclass(frozen=True)
class Declaration:
    """One resource of a program.

    Args:
        name: its name.
        kind: ``single``, ``fleet`` or ``cleanup``.
        inputs: its arguments.
        time_limit: seconds, its custom time-outs. Default: the provider's own.
        after: the resources that it depends on.
        alias: its name in earlier programs.
        delete_first: whether it is replaced by deleting first.
    """

    name: str
    kind: str
    inputs: Mapping[str, Any]
    time_limit: float | None = None
    after: tuple[str, ...] = ()
    alias: str | None = None
    delete_first: bool = False

    @property
    def arns(self) -> tuple[str, ...]:
        """The images that it declares."""
        return tuple(self.inputs["resource_arns"]) if self.kind == "fleet" else (self.inputs["resource_arn"],)


Program = tuple[Declaration, ...]


@dataclass(frozen=True)
class Resource:
    """One resource in the state.

    Args:
        name: its name.
        kind: its kind.
        id: its id.
        inputs: what was declared.
        outputs: what the provider returned.
        time_limit: seconds, its custom time-outs.
        after: the resources that it depends on.
        replaced: whether another one has taken its place, and it is still to be deleted.
        incomplete: whether the provider has said that it began and failed.
    """

    name: str
    kind: str
    id: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    time_limit: float | None = None
    after: tuple[str, ...] = ()
    replaced: bool = False
    incomplete: bool = False

    @property
    def arns(self) -> tuple[str, ...]:
        """The images that it declared."""
        return tuple(self.outputs["resource_arns"]) if self.kind == "fleet" else (self.outputs["resource_arn"],)


@dataclass
class Stack:
    """A stack's state between runs.

    Args:
        name: its name.
        native: whether the native provider serves it, which records what has failed half-way.
        resources: in the order in which they were recorded.
    """

    name: str
    native: bool = False
    resources: list[Resource] = field(default_factory=list)

    def urn(self, name: str, kind: str) -> str:
        """Return a resource's URN."""
        return f"urn:pulumi:{self.name}::simulation::imagebuilder:index:{KINDS[kind].value}::{name}"


@dataclass(frozen=True)
class EngineCall:
    """One call of the engine while it runs.

    Args:
        number: counted within the history.
        operation: as in the provider's protocol.
        name: the resource.
        kind: its kind.
        arns: the images that it is about.
        olds: what the state has; empty for a create.
        news: what is declared; empty for a delete.
    """

    number: int
    operation: str
    name: str
    kind: str
    arns: tuple[str, ...]
    olds: Mapping[str, Any]
    news: Mapping[str, Any]


current_call: contextvars.ContextVar[EngineCall | None] = contextvars.ContextVar("current_call", default=None)
"""The engine's call in whose course something happens."""


@dataclass
class CallEnd:
    """How a call ended.

    Args:
        call: the call.
        began: the loop's time.
        seconds: how long it took.
        limit: its time limit, in seconds.
        error: why it failed; None when it did not.
        state: what it returned.
    """

    call: EngineCall
    began: float
    seconds: float
    limit: float
    error: ImageBuilderError | None
    state: Mapping[str, Any] | None


class Run:
    """One run of the engine with one process of the provider.

    Args:
        stack: whose state it works on.
        host: the provider's process.
        chance: decides how long the program takes between declarations.
        ended: called when a call has ended.
        numbers: counts the calls.
        parallel: how many steps run side by side.

    Attributes:
        errors: what is reported.
        recording: whether the engine is alive: else nothing is recorded any more.
        stopping: whether no more steps are started.
    """

    def __init__(
        self,
        stack: Stack,
        host: Host,
        chance: random.Random,
        ended: Callable[[CallEnd], None],
        numbers: Callable[[], int],
        *,
        parallel: int = 16,
    ) -> None:
        self.stack = stack
        self.errors: list[str] = []
        self.recording, self.stopping = True, False
        self._host, self._chance, self._ended, self._numbers = host, chance, ended, numbers
        self._lanes = asyncio.Semaphore(parallel)
        self._handlers: dict[str, Handler] = {
            kind: next(each for each in HANDLERS if each.kind is value)(host) for kind, value in KINDS.items()
        }

    # --- commands --------------------------------------------------------------------------------------------------

    async def up(self, program: Program) -> None:
        """Make the stack as the program declares it."""
        registered = {each.name: asyncio.Event() for each in program}
        names = {each.name for each in program}
        failed: set[str] = set()

        async def register(declaration: Declaration) -> None:
            for name in declaration.after:
                if name in registered:
                    await registered[name].wait()
            if failed.intersection(declaration.after) or not await self._register(declaration):
                failed.add(declaration.name)
            registered[declaration.name].set()

        tasks = []
        for declaration in program:
            tasks.append(asyncio.create_task(register(declaration)))
            await asyncio.sleep(self._chance.choice((0.0, 0.01, 0.05)))
        await _all(tasks)
        if not self.errors and not self.stopping:
            await self._delete([each for each in self.stack.resources if each.replaced or each.name not in names])

    async def preview(self, program: Program) -> None:
        """Ask what `up` would do; record nothing."""
        for declaration in program:
            await self._preview(declaration)

    async def import_images(self, program: Program) -> dict[str, str]:
        """Read images into the state as the resources that declare them; return the state of each, by ARN.

        One that cannot be imported is left to the program.
        """
        imported: dict[str, str] = {}
        for declaration in program:
            if self._find(declaration) or not self.stack.native:
                continue
            handler, arn = self._handlers[declaration.kind], declaration.arns[0]
            current_call.set(self._call("read", self._new(declaration, declaration.inputs), {}, declaration.inputs))
            found, error = await handler.import_state(
                Call("read", self.stack.urn(declaration.name, declaration.kind)), arn
            )
            if found is None or error or not self.recording:
                continue
            found = _through_protocol(found)
            inputs = {name: value for name, value in found.items() if name in handler.arguments}
            self.stack.resources.append(Resource(declaration.name, declaration.kind, arn, inputs, found))
            imported[arn] = found["state"]
        return imported

    async def refresh(self) -> None:
        """Read all resources into the state."""
        await _all([asyncio.create_task(self._read(each)) for each in list(self.stack.resources) if not each.replaced])

    async def destroy(self) -> None:
        """Delete all resources."""
        await self._delete(list(self.stack.resources))

    # --- steps -----------------------------------------------------------------------------------------------------

    async def _register(self, declaration: Declaration) -> bool:
        """Check and diff a declaration and carry out its step; return whether that went well."""
        urn = self.stack.urn(declaration.name, declaration.kind)
        handler = self._handlers[declaration.kind]
        old = self._find(declaration)
        call = Call("check", urn, declaration.time_limit)
        checked = await handler.check(call, old.inputs if old else {}, {**declaration.inputs})
        if checked.failures:
            self._fail(
                f"{declaration.name}: " + "; ".join(f"{each.property}: {each.reason}" for each in checked.failures)
            )
            return False
        inputs = _through_protocol(checked.inputs)
        changed = await handler.diff(call, old.outputs, inputs) if old else None
        new = self._new(declaration, inputs)
        if old is None:
            return await self._create(new, None)
        assert changed is not None
        if changed.inputs.replace:
            if declaration.delete_first:
                return await self._delete_one(old) and await self._create(new, None)
            return await self._create(new, old)
        if changed or old.incomplete:
            return await self._update(new, old)
        if self.recording:
            self._record(old, replace(new, id=old.id, outputs=old.outputs))
        return True

    async def _preview(self, declaration: Declaration) -> None:
        """Check and diff a declaration; the native provider is asked for what its step would return, too."""
        urn, native = self.stack.urn(declaration.name, declaration.kind), self.stack.native
        handler, old = self._handlers[declaration.kind], self._find(declaration)
        # The protocol's Check does not say that it is a preview, which the dynamic provider is told by its inputs.
        call = Call("check", urn, declaration.time_limit, dry_run=not native)
        current_call.set(self._call("check", self._new(declaration, {}), {}, declaration.inputs))
        checked = await handler.check(call, old.inputs if old else {}, {**declaration.inputs})
        inputs = _through_protocol(checked.inputs)
        changed = await handler.diff(replace(call, operation="diff"), old.outputs, inputs) if old else None
        if native and (changed is None or changed or (old and old.incomplete)):
            olds = old.outputs if old and changed is not None and not changed.inputs.replace else {}
            await handler.preview(replace(call, operation="update" if olds else "create"), olds, inputs)

    async def _create(self, new: Resource, replaces: Resource | None) -> bool:
        handler = self._handlers[new.kind]
        call = self._call("create", new, {}, new.inputs)
        result = await self._step(call, new, lambda about: handler.create(about, new.inputs))
        if result is None or not self.recording:
            return False
        if result.error and not (self.stack.native and result.started):
            return False
        created = replace(
            new, id=result.id, outputs=_through_protocol(result.state), incomplete=result.error is not None
        )
        if replaces is not None:
            self._record(replaces, replace(replaces, replaced=True))
        self.stack.resources.append(created)
        return result.error is None

    async def _update(self, new: Resource, old: Resource) -> bool:
        handler = self._handlers[new.kind]
        call = self._call("update", new, old.outputs, new.inputs)
        result = await self._step(call, new, lambda about: handler.update(about, old.outputs, new.inputs))
        if result is None or not self.recording:
            return False
        if result.error and not (self.stack.native and result.started):
            return False
        updated = replace(new, id=old.id, outputs=_through_protocol(result.state), incomplete=result.error is not None)
        self._record(old, updated)
        return result.error is None

    async def _read(self, resource: Resource) -> None:
        handler = self._handlers[resource.kind]
        call = self._call("read", resource, resource.outputs, {})
        answer = await self._step(call, resource, lambda about: handler.read(about, resource.outputs))
        if answer is None or not self.recording:
            return
        state, error = answer
        if error:
            return
        if state is None:
            self.stack.resources.remove(resource)
        else:
            self._record(resource, replace(resource, outputs=_through_protocol(state)))

    async def _delete(self, resources: Sequence[Resource]) -> None:
        """Delete resources, those first that others do not depend on."""
        left = list(reversed(resources))
        while left and not self.errors and not self.stopping:
            needed = {name for each in left for name in each.after if name != each.name}
            batch = [each for each in left if each.name not in needed] or left
            left = [each for each in left if each not in batch]
            await _all([asyncio.create_task(self._delete_one(each)) for each in batch])

    async def _delete_one(self, resource: Resource) -> bool:
        handler = self._handlers[resource.kind]
        call = self._call("delete", resource, resource.outputs, {})
        answer = await self._step(call, resource, lambda about: _deleted(handler, about, resource))
        if answer is None or answer[0] or not self.recording:
            return False
        self.stack.resources.remove(resource)
        return True

    async def _step(self, call: EngineCall, resource: Resource, work: Callable[[Call], Awaitable[Any]]) -> Any:
        """Carry out a step and return what the provider returned; None where it was not carried out."""
        async with self._lanes:
            if self.errors or self.stopping:
                return None
            current_call.set(call)
            about = Call(call.operation, self.stack.urn(resource.name, resource.kind), resource.time_limit)
            loop = asyncio.get_running_loop()
            began = loop.time()
            result = await work(about)
            if isinstance(result, tuple):
                error, state = (result[0], None) if call.operation == "delete" else (result[1], result[0])
            else:
                error, state = result.error, result.state
            limit = resource.time_limit or DEFAULT_TIME_LIMIT
            if self.recording:
                self._ended(CallEnd(call, began, loop.time() - began, limit, error, state))
            if error:
                self._fail(f"{resource.name}: {error}")
            return result

    # --- state -----------------------------------------------------------------------------------------------------

    def _find(self, declaration: Declaration) -> Resource | None:
        for name in (declaration.name, declaration.alias):
            for each in self.stack.resources:
                if each.name == name and each.kind == declaration.kind and not each.replaced:
                    return each
        return None

    def _new(self, declaration: Declaration, inputs: Mapping[str, Any]) -> Resource:
        return Resource(declaration.name, declaration.kind, "", inputs, {}, declaration.time_limit, declaration.after)

    def _call(self, operation: str, resource: Resource, olds: Mapping[str, Any], news: Mapping[str, Any]) -> EngineCall:
        properties = news or olds
        arns = properties["resource_arns"] if resource.kind == "fleet" else [properties["resource_arn"]]
        return EngineCall(self._numbers(), operation, resource.name, resource.kind, tuple(arns), olds, news)

    def _record(self, before: Resource, after: Resource) -> None:
        place = next(number for number, each in enumerate(self.stack.resources) if each is before)
        self.stack.resources[place] = after

    def _fail(self, error: str) -> None:
        self.errors.append(error)


async def _deleted(handler: Handler, about: Call, resource: Resource) -> tuple[ImageBuilderError | None]:
    return (await handler.delete(about, resource.outputs),)


async def _all(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Wait for tasks; a cancellation reaches all of them."""
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _through_protocol(value: Any) -> Any:
    """Return a value as the engine gives it back: Pulumi drops None from dicts and lists."""
    if isinstance(value, Mapping):
        return {key: _through_protocol(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_through_protocol(item) for item in value if item is not None]
    return value
