"""Carries out a history in virtual time, and watches what must hold."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pulumi_imagebuilder.handlers.cleanup
import pulumi_imagebuilder.host
from botocore.exceptions import ClientError, ConnectionClosedError
from imagebuilder_emulator.inprocess import InProcessError
from pulumi_imagebuilder.aws.configuration import Configuration
from pulumi_imagebuilder.aws.service import Service, is_transient
from pulumi_imagebuilder.claims import Claims
from pulumi_imagebuilder.host import Host
from pulumi_imagebuilder.lifecycle.entities import EXECUTION_UNFINISHED, IMAGE_UNSTABLE
from pulumi_imagebuilder.lifecycle.guard import Guard

from .arena import ROLE, START, Arena, World, Write, body_of
from .engine_model import CallEnd, Program, Run, Stack, current_call
from .histories import LATE_ROLE, TARGETS, Event, Fault, History, Kill, Step
from .invariants import DUPLICATE, LOST, UNDONE, Broken, Declared, Invariants
from .virtual_time import run as run_in_virtual_time

_LATENCY = 0.02
_STALL = 60.0
"""Seconds until a client gives up on an answer."""
_LINGER = 1.0
"""Seconds that a provider goes on for after its engine has been killed."""
_START = "start_resource_state_update"
_CANCEL = "cancel_lifecycle_execution"
_ERRORS = {"throttle": ("CallRateLimitExceededException", 429), "500": ("ServiceException", 500)}
_RECIPES = ("list_image_recipes", "list_container_recipes")
_LISTS = ("lifecycleExecutions", "resources", "imageSummaryList")


@dataclass
class Report:
    """How a history went.

    Args:
        history: the history.
        broken: the first invariant that did not hold; None if all held.
        figures: what was counted.
        log: what happened, in order.
        states: the state of each image in the end.
        executions: the executions of each image, oldest first: the state asked for and how it ended.
    """

    history: History
    broken: Broken | None = None
    figures: dict[str, int] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    executions: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


class Simulator:
    """Carries out histories, one after the other.

    Args:
        arena: the emulator of this process.
    """

    def __init__(self, arena: Arena | None = None) -> None:
        self._arena = arena or Arena()
        # The service's models are many small objects: going through them again and again takes a fifth of the time.
        gc.collect()
        gc.freeze()

    def run(self, history: History, *, finish: bool = True) -> Report:
        """Carry out a history; return how it went.

        Args:
            history: the history.
            finish: whether all goes well in the end, and the program is applied once more.
        """
        report = Report(history, figures={"kills": 0, "faults": 0, "executions": 0, "calls": 0})
        world = self._arena.begin(history.seed, history.images, history.variants, history.execution_time)
        invariants = Invariants(world)
        loop = world.loop
        # Rows are looked at every second, and in most histories seldom, for it takes time and changes nothing.
        pulumi_imagebuilder.host._TICK = 1.0 if history.seed % 10 == 0 else 60.0
        # When a clean-up is declared is part of its token.
        pulumi_imagebuilder.handlers.cleanup.time = _Time(world)  # type: ignore[assignment]
        # What was launched lately is so by the service's time.
        Guard.__init__.__kwdefaults__["now"] = lambda: world.now
        unhandled: list[str] = []
        loop.set_exception_handler(lambda _, context: unhandled.append(str(context.get("exception") or context)))
        play = _Play(history, world, invariants, report, finish)
        try:
            run_in_virtual_time(play.play(), loop)
        except (Exception, asyncio.CancelledError) as error:
            if not invariants.broken:
                invariants.add("bug", f"{type(error).__name__}: {error}")
            play.log(f"bug: {error!r}")
        finally:
            loop.close()
        for text in unhandled:
            invariants.add("bug", text)
        for arn in history.images:
            report.states[arn] = world.state(arn)
            report.executions[arn] = [(each.target, each.status) for each in reversed(world.executions(arn))]
        report.figures["executions"] = len(world.environment.backend.executions)
        report.broken = invariants.broken[0] if invariants.broken else None
        return report


class _Time:
    """The module ``time`` for a clean-up's declaration."""

    def __init__(self, world: World) -> None:
        self._world = world

    def time_ns(self) -> int:
        return int(self._world.loop.time() * 1e9)


class _Play:
    """One history under way."""

    def __init__(self, history: History, world: World, invariants: Invariants, report: Report, finish: bool) -> None:
        self.history, self.world, self.invariants, self.report = history, world, invariants, report
        self._finishes, self._finishing = finish, False
        self.numbers = itertools.count(1)
        self.runs = itertools.count(1)
        self._stacks: dict[str, Stack] = {}
        self.limbo = asyncio.Event()
        """What the calls of a dead process wait for; it never comes."""

    def stack(self, name: str) -> Stack:
        return self._stacks.setdefault(name, Stack(name, native=self.history.native))

    def log(self, text: str) -> None:
        self.report.log.append(f"{self.world.loop.time():9.2f}  {text}")

    async def play(self) -> None:
        running: dict[str, asyncio.Task[Any]] = {}
        for step in self.history.steps:
            await asyncio.sleep(step.pause)
            if step.stack in running:
                await running.pop(step.stack)
            if step.alongside:
                running[step.stack] = asyncio.create_task(self.run_step(step))
                continue
            await self.run_step(step)
            if self.invariants.broken:
                break
        for task in running.values():
            await task
        if not self.invariants.broken and self._finishes:
            await self._finish()

    async def run_step(self, step: Step) -> _Running:
        running = _Running(self, step)
        self.log(f"{step.stack}: {step.command} of {[each.name for each in step.program]}")
        await running.carry_out()
        for error in running.run.errors:
            self.invariants.check_message(error)
        self.log(f"{step.stack}: {'killed' if running.killed else 'ended'} {running.run.errors or ''}")
        return running

    # --- the end of a history --------------------------------------------------------------------------------------

    async def _finish(self) -> None:
        """Let all go well from now on, apply the program once more, and once more after that."""
        self._finishing = True
        await self._quieten()
        steps = [step for step in self.history.steps if step.stack == "dev"]
        if not steps:
            return
        program = tuple(replace(each, time_limit=None) for each in steps[-1].program)
        stack = self.stack("dev")
        stack.resources = [replace(each, time_limit=None) for each in stack.resources]
        others = any(self.world.touched_by_others(arn, "dev") for arn in self.history.images)
        half = any(self.world.is_half_undone(arn, "dev") for arn in self.history.images)
        going = any(repr(status) in self._recorded() for status in EXECUTION_UNFINISHED)
        late = any("update_at" in each.inputs or not each.inputs.get("wait", True) for each in program)
        schedules = any(each.scheduled for arn in self.history.images for each in self.world.executions(arn))
        declared = Declared()
        declared.apply(program)
        unrecorded = any(self._is_unrecorded(arn, declared) for arn in self.history.images)
        seen = others or half or going or late or schedules or unrecorded
        final = Step(steps[-1].seed, "refresh-up" if seen else "up", program)
        applied = await self.run_step(final)
        if self.invariants.broken:
            return
        if applied.run.errors:
            if not all(self._is_expected(error, program) for error in applied.run.errors):
                self.invariants.add(LOST, f"an undisturbed up fails: {applied.run.errors[0]}")
            return
        if seen:
            # What is not waited for ends, and a refresh notices it.
            await self._quieten()
            await self.run_step(replace(final, command="refresh-up"))
            await self._quieten()
            await self.run_step(replace(final, command="refresh"))
        self.invariants.check_agreement(self.stack("dev"), program, alone=not others)
        calls = self.report.figures["calls"]
        await self.run_step(replace(final, command="preview"))
        again = await self.run_step(replace(final, command="up"))
        if again.run.errors or self.report.figures["calls"] != calls:
            operations = sorted(again.service.counts)
            self.invariants.add("unchanged", f"an unchanged program makes calls: {operations} {again.run.errors}")
        if self.history.destroyed and not self.invariants.broken:
            gone = await self.run_step(replace(final, command="destroy"))
            if all(", and max_amis is " in error for error in gone.run.errors) and gone.run.errors:
                return
            cleans_up = any(each.kind == "cleanup" for each in program)
            if cleans_up and gone.run.errors and all("ended as CANCELLED" in error for error in gone.run.errors):
                # A clean-up takes what has just begun on an image with a date to come for a schedule, and cancels it.
                gone = await self.run_step(replace(final, command="destroy"))
            if gone.run.errors or stack.resources:
                self.invariants.add(LOST, f"an undisturbed destroy fails: {gone.run.errors}")

    def _is_unrecorded(self, arn: str, declared: Declared) -> bool:
        """Return whether an image was changed last for what is not declared any more, by a run that was perhaps killed.

        Where the program has gone back to what the state has, only a refresh shows it. So it does where a killed run's
        execution, begun a moment ago, is not listed yet and is passed by what is done at once.
        """
        writes = [write for write in self.world.writes_of(arn) if write.by == "dev"]
        if not writes or not declared.declares(arn):
            return False
        bodies, last = declared.bodies(arn), writes[-1]
        return last.body not in bodies or any(
            write.body not in bodies and self._ended_after(write, last.at) for write in writes[:-1]
        )

    def _ended_after(self, write: Write, at: float) -> bool:
        execution = self.world.execution(write.execution) if write.execution else None
        return execution is not None and (execution.end is None or self.world.ended_at(execution) > at)

    def _recorded(self) -> str:
        return str([each.outputs for each in self.stack("dev").resources])

    async def _quieten(self) -> None:
        """Wait until nothing is under way but our own schedules."""
        world = self.world
        for arn in self.history.images:
            world.heal(arn)
        world.uses.clear()
        world.add_role(LATE_ROLE)
        # What lags behind is read again for a while.
        await asyncio.sleep(400)
        # A schedule of a rival, from before a destroy or of a resource that has left is for a person to cancel.
        known = self._recorded()
        for arn in self.history.images:
            for execution in world.executions(arn):
                if execution.unfinished and execution.scheduled and execution.id not in known:
                    self._cancel(arn)
                    # It may be refused for a moment.
                    await asyncio.sleep(3)
                    self._cancel(arn)
        await asyncio.sleep(10)
        for _ in range(100):
            going = [
                execution
                for arn in self.history.images
                for execution in world.executions(arn)
                if execution.unfinished and not (execution.scheduled and execution.begins_at > world.now)
            ]
            if not going:
                break
            await asyncio.sleep(world.execution_time)

    def _is_expected(self, error: str, program: Program) -> bool:
        """Return whether an image or a token makes it impossible to do what is declared."""
        if ", and max_amis is " in error:
            return True
        name = error.partition(":")[0]
        for declaration in program:
            if declaration.name != name or declaration.kind == "cleanup":
                continue
            if "client_token" in declaration.inputs and "IdempotentParameterMismatch" in error:
                return True
            recorded = str([each.outputs for each in self.stack("dev").resources if each.name == name])
            for arn in declaration.arns:
                schedules = [each for each in self.world.executions(arn) if each.scheduled]
                if "time limit" in error and schedules and schedules[0].id not in recorded:
                    # Another resource's schedule, which is for that one to cancel: after this one, which waits.
                    return True
                if declaration.inputs["state"] != "DELETED" and self.world.state(arn) in ("DELETED", "FAILED"):
                    return True
        return False

    # --- what others do --------------------------------------------------------------------------------------------

    def happen(self, event: Event) -> None:
        world, trouble = self.world, self.world.trouble
        self.log(f"event: {event.what} {event.arn.rpartition('image/')[2]} {event.detail or ''}")
        if event.what == "role":
            world.add_role(LATE_ROLE)
        elif event.what == "fail":
            trouble.failing.add(event.arn)
        elif event.what == "hang":
            trouble.hanging.add(event.arn)
        elif event.what == "heal":
            world.heal(event.arn)
        elif event.what == "clock":
            world.arena.clock.advance(_seconds(event.detail))
        elif event.what == "use":
            world.use(event.arn, event.detail)
        elif event.what == "release":
            world.release(event.arn)
        elif event.what == "start":
            self._start(event)
        elif event.what == "detour":
            self._start(event)
            back = {"state": world.state(event.arn), "amis": False}
            asyncio.get_running_loop().call_later(world.execution_time + 3, self._return, replace(event, detail=back))
        elif event.what == "cancel":
            self._cancel(event.arn)
        elif event.what == "policy":
            self._start_policy(event)
        elif event.what == "retry":
            self._by_person("retry_image", {"imageBuildVersionArn": event.arn}, event.arn)
        else:
            raise ValueError(event.what)

    def _start(self, event: Event) -> None:
        about = event.detail
        request: dict[str, Any] = {"resourceArn": event.arn, "state": {"status": about["state"]}}
        if about["amis"]:
            request |= {"includeResources": {"amis": True}, "executionRole": ROLE}
        if "ahead" in about:
            request["updateAt"] = self.world.now + _seconds(about["ahead"])
        self._by_person(_START, request, event.arn)

    def _return(self, event: Event) -> None:
        """Move an image back to the state that it had, without what is under it."""
        if not self._finishing and event.detail["state"] in TARGETS:
            self.log(f"event: back to {event.detail['state']} {event.arn.rpartition('image/')[2]}")
            self._start(event)

    def _cancel(self, arn: str) -> None:
        for execution in self.world.executions(arn):
            if execution.unfinished:
                self._by_person(_CANCEL, {"lifecycleExecutionId": execution.id}, arn)

    def _start_policy(self, event: Event) -> None:
        if self.world.state(event.arn) in IMAGE_UNSTABLE:
            # A policy leaves what is being built alone.
            return
        policy = "arn:aws:imagebuilder:us-east-1:123456789012:lifecycle-policy/old"
        with contextlib.suppress(ValueError):
            execution = self.world.environment.backend.start_policy_execution(
                policy,
                event.arn,
                event.detail["state"],
                includes=["amis"] if event.detail["amis"] else [],
                role=ROLE,
            )
            self.world.write(Write(self.world.loop.time(), event.arn, "policy", execution=execution.id))

    def _by_person(self, operation: str, request: Mapping[str, Any], arn: str) -> None:
        token = f"person-{len(self.world.writes)}-{self.world.loop.time()}"[:36]
        with contextlib.suppress(ClientError):
            answer = self.world.inprocess.call(
                "imagebuilder", "us-east-1", operation, {**request, "clientToken": token}
            )
            execution = answer.get("lifecycleExecutionId") if operation == _START else None
            self.world.write(Write(self.world.loop.time(), arn, "person", execution=execution))


def _seconds(number: float) -> Any:
    from datetime import timedelta

    return timedelta(seconds=number)


class _Rows:
    """The engine, as far as the provider shows text on its rows."""

    def __init__(self, invariants: Invariants) -> None:
        self.address = None
        self._invariants = invariants

    async def show(self, urn: str, text: str) -> None:
        self._invariants.check_message(text)

    info = warn = show


class _Running:
    """One run of the engine, until it ends or is killed."""

    def __init__(self, play: _Play, step: Step) -> None:
        self.play, self.step = play, step
        self.number = next(play.runs)
        self.killed = self.dead = self.over = False
        self.chance = random.Random(step.seed)
        self.service = DisturbedService(self)
        self.stack = play.stack(step.stack)
        self.by_program = step.command in ("up", "refresh-up")
        rows: Any = _Rows(play.invariants)
        now = play.world.loop.time
        self.host = Host(lambda: self.service, rows, now=now, claims=Claims(now=now))
        self.run = Run(
            self.stack,
            self.host,
            self.chance,
            self._ended,
            lambda: next(play.numbers),
            parallel=step.parallel,
        )
        self.imported: dict[str, str] = {}
        """The images that were imported, with their states."""
        self.imported_at = 0.0
        self._task: asyncio.Task[None] | None = None

    async def carry_out(self) -> None:
        if self.by_program:
            self.play.invariants.declared(self.step.stack).apply(self.step.program)
        self._task = asyncio.create_task(self._command())
        others = [asyncio.create_task(self._happen(event)) for event in self.step.events]
        if self.step.kill and self.step.kill.call is None:
            others.append(asyncio.create_task(self._kill_at(self.step.kill)))
        await asyncio.wait([self._task])
        if not self.killed:
            self._task.result()
        self.over = True
        for other in others:
            other.cancel()

    async def _command(self) -> None:
        if self.step.command in ("refresh", "refresh-up"):
            await self.run.refresh()
        if self.step.command == "preview":
            await self._preview()
        if self.by_program and not self.run.errors and not self.run.stopping:
            named = [each for each in self.step.program if each.name in self.step.imports]
            self.imported = await self.run.import_images(tuple(named))
            self.imported_at = self.play.world.loop.time()
            await self.run.up(self.step.program)
        if self.step.command == "destroy":
            await self.run.destroy()

    async def _preview(self) -> None:
        before, loop = list(self.stack.resources), self.play.world.loop
        for declaration in self.step.program:
            began = loop.time()
            await self.run.preview((declaration,))
            self.play.invariants.check_preview(declaration.name, loop.time() - began)
        if self.stack.resources != before:
            self.play.invariants.add("preview", "a preview has changed the state")

    async def _happen(self, event: Event) -> None:
        await asyncio.sleep(event.at)
        self.play.happen(event)

    async def _kill_at(self, kill: Kill) -> None:
        await asyncio.sleep(kill.at)
        self.kill(kill.how)

    def kill(self, how: str) -> None:
        """End the run before its time."""
        if self.run.stopping:
            return
        self.play.report.figures["kills"] += 1
        self.play.log(f"{how}, in call {self.service.calls}")
        self.run.stopping = True
        if how in ("kill", "engine"):
            self.run.recording = False
            self.killed = True
            if how == "kill":
                self._die()
            else:
                asyncio.get_running_loop().call_later(_LINGER, self._die)
        elif how == "cancel" and self.stack.native:
            self.host.cancel()

    def _die(self) -> None:
        self.dead = True
        assert self._task is not None
        self._task.cancel()

    def _ended(self, end: CallEnd) -> None:
        self.play.log(f"  {end.call.operation} of {end.call.name}: {end.error or 'done'}")
        self.play.invariants.check_end(end, self.step.stack, self.number, by_program=self.by_program)


class DisturbedService(Service):
    """A run's service: calls reach the emulator after some latency, if nothing disturbs them.

    Args:
        running: the run.

    Attributes:
        counts: how often each operation was asked for.
        calls: how many calls there were.
    """

    def __init__(self, running: _Running) -> None:
        super().__init__(Configuration())
        self._running = running
        self._world = running.play.world
        self._chance = random.Random(running.step.seed + 1)
        self.counts: dict[str, int] = {}
        self.calls = 0

    async def call(
        self,
        service: str,
        region: str,
        operation: str,
        *,
        account: str | None = None,
        on_retry: Callable[[str], None] | None = None,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Call an operation, as `Service.call`, and retry what is transient."""
        delay = 0.5
        while True:
            self.calls += 1
            number = self.calls
            faults = {fault.kind for fault in self._running.step.faults if self._hits(fault, operation)}
            await asyncio.sleep(_LATENCY if "slow" not in faults else self._chance.uniform(0.02, 5))
            await self._point(number, "before")
            try:
                answer = await self._perform(service, region, operation, parameters, faults, number)
            except (ClientError, ConnectionClosedError) as error:
                await asyncio.sleep(_LATENCY)
                await self._point(number, "after")
                if not is_transient(error):
                    raise self._convert(error, service, operation) from error
                if on_retry:
                    on_retry(f"retrying after {self._describe(error)}")
                await asyncio.sleep(delay * self._chance.uniform(0.5, 1))
                delay = min(2 * delay, 20.0)
                continue
            await asyncio.sleep(_LATENCY if "slow" not in faults else self._chance.uniform(0.02, 5))
            await self._point(number, "after")
            if "shuffle" in faults:
                for name in _LISTS:
                    self._chance.shuffle(answer.get(name, []))
            return answer

    def _hits(self, fault: Fault, operation: str) -> bool:
        if fault.operation not in ("", operation) or self._chance.random() >= fault.share:
            return False
        self._running.play.report.figures["faults"] += 1
        return True

    async def _point(self, number: int, phase: str) -> None:
        """Let a run be killed here; a process that is dead gets no further."""
        kill = self._running.step.kill
        if kill and kill.call == number and kill.phase == phase:
            self._running.kill(kill.how)
        if self._running.dead:
            await self._running.play.limbo.wait()

    async def _perform(
        self, service: str, region: str, operation: str, parameters: Mapping[str, Any], faults: set[str], number: int
    ) -> dict[str, Any]:
        figures = self._running.play.report.figures
        figures["calls"] += 1
        self.counts[operation] = self.counts.get(operation, 0) + 1
        if operation in self._running.play.history.denied:
            raise _error("AccessDeniedException", 403, operation)
        for kind, (code, status) in _ERRORS.items():
            if kind in faults:
                raise _error(code, status, operation)
        if "expired" in faults:
            raise _error("ExpiredTokenException", 403, operation)
        if "drop-request" in faults:
            raise ConnectionClosedError(endpoint_url="in process")
        if service != "imagebuilder" or operation in _RECIPES:
            if "blind" in faults:
                raise _error("UnauthorizedOperation", 403, operation)
            answer = self._world.call_ec2(region, operation, parameters)
        elif operation in (_START, _CANCEL):
            answer = self._change(region, operation, parameters)
        else:
            answer = self._world.inprocess.call(service, region, operation, parameters)
        await self._point(number, "work")
        if "stall" in faults:
            await asyncio.sleep(_STALL)
            await self._point(number, "work")
        if faults & {"drop-answer", "stall"}:
            raise ConnectionClosedError(endpoint_url="in process")
        return answer

    def _change(self, region: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Make a call that changes something, and note it."""
        running, world = self._running, self._world
        invariants, call = running.play.invariants, current_call.get()
        assert call is not None
        if running.step.command == "preview":
            invariants.add("preview", f"{operation} in the preview of {call.name}")
        if running.over:
            invariants.add("after the end", f"{operation} in the course of {call.operation} of {call.name}")
        if operation == _CANCEL:
            running.play.log(f"    {call.name} cancels {parameters['lifecycleExecutionId']}")
            invariants.check_cancel(
                parameters["lifecycleExecutionId"], running.step.stack, call, by_program=running.by_program
            )
            return world.inprocess.call("imagebuilder", region, operation, parameters)
        backend, arn = world.environment.backend, parameters["resourceArn"]
        known = (region, "StartResourceStateUpdate", parameters["clientToken"]) in backend.tokens
        try:
            answer = world.inprocess.call("imagebuilder", region, operation, parameters)
        except ClientError as error:
            running.play.log(f"    {call.name} starts {arn.rpartition('/')[2]}: {error.response['Error']['Code']}")
            raise
        write = Write(
            world.loop.time(),
            arn,
            running.step.stack,
            running.number,
            call,
            body_of(parameters),
            answer.get("lifecycleExecutionId"),
            invariants.declared(running.step.stack).generations.get(arn, 0),
        )
        if not known:
            invariants.check_in_use(write)
            invariants.check_max_amis(write)
            if arn in running.imported and call.operation == "update":
                invariants.check_imported(write, running.imported[arn], running.imported_at)
            world.write(write)
        running.play.log(
            f"    {call.name} starts {parameters['state']['status']} of {arn.rpartition('/')[2]}: "
            f"{'again ' if known else ''}{write.execution} {parameters['clientToken'][:15]}"
        )
        invariants.check_start(write, new=not known, by_program=running.by_program)
        return answer


def _error(code: str, status: int, operation: str) -> InProcessError:
    return InProcessError(
        code, "set by the simulation", status, operation, {"RequestId": "00000000", "HTTPHeaders": {}}
    )


def count_broken(reports: Iterator[Report]) -> dict[str, int]:
    """Return how often each of the invariants that the figures name was broken."""
    broken = [report.broken.invariant for report in reports if report.broken]
    return {name: broken.count(name) for name in (DUPLICATE, LOST, UNDONE)}


__all__ = ["START", "Report", "Simulator", "count_broken"]
