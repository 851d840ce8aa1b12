"""What must hold after every step of every history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from imagebuilder_emulator.aws_effects import exclusion_reason
from imagebuilder_emulator.entities import Execution
from pulumi_imagebuilder.lifecycle.guard import PREVIEW_TIME_LIMIT
from pulumi_imagebuilder.lifecycle.references import MAX_AGE
from pulumi_imagebuilder.lifecycle.state import DECLARED_AT, PREVIOUS
from pulumi_imagebuilder.validation import Kind, request

from .arena import Body, World, Write, body_of, is_removal, without_schedule
from .engine_model import CallEnd, Declaration, EngineCall, Program, Stack
from .histories import SECRET

DUPLICATE, LOST, UNDONE = "duplicate", "lost", "undone"
"""The kinds of broken invariants that the figures count."""

_SLACK = 0.5
"""Seconds that a call may take beyond its time limit."""
_USE_SEEN = 70.0
"""Seconds after which a new use must have been seen: what was looked up a minute ago is looked up again."""
_LAG = 5.0
"""Seconds for which what others have done may not be seen."""
_RACE = 120.0
"""Seconds between a look at the executions and the start after it, with a call that is retried between."""
_PREVIEW = 2 * PREVIEW_TIME_LIMIT + 1
"""Seconds that the preview of a resource takes at most: of what it replaces, too."""
_CLAIMS_WAIT = 5.5
"""Seconds that a delete may wait for what the program declares, before its time limit begins."""


@dataclass(frozen=True)
class Broken:
    """An invariant that does not hold.

    Args:
        invariant: its name.
        text: what was seen, in a line.
    """

    invariant: str
    text: str


Key = tuple[Body, str]
"""What is declared of an image: the request, with triggers and token."""


def key_of(declaration: Declaration) -> Key:
    """Return what a state update declares of each of its images."""
    inputs = declaration.inputs
    return body_of(request(inputs)), repr((inputs.get("triggers"), inputs.get("client_token")))


@dataclass
class Declared:
    """What a stack declares, and how often that has changed.

    Args:
        program: the program that was applied last.
        keys: what it declares of each image.
        generations: how often what is declared of an image has changed.
    """

    program: Program = ()
    keys: dict[str, frozenset[Key]] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)

    def apply(self, program: Program) -> None:
        """Take in a program that is about to be applied."""
        keys: dict[str, set[Key]] = {}
        for declaration in program:
            for arn in declaration.arns:
                known = keys.setdefault(arn, set())
                if declaration.kind != "cleanup":
                    known.add(key_of(declaration))
        for arn in self.keys.keys() | keys.keys():
            if self.keys.get(arn) != frozenset(keys.get(arn, ())):
                self.generations[arn] = self.generations.get(arn, 0) + 1
        self.program, self.keys = program, {arn: frozenset(found) for arn, found in keys.items()}

    def declares(self, arn: str) -> list[Declaration]:
        """Return the resources that declare an image."""
        return [each for each in self.program if arn in each.arns]

    def bodies(self, arn: str) -> set[Body]:
        """Return the requests that may be made of a declared image."""
        bodies = {body for body, _ in self.keys.get(arn, ())}
        # A schedule whose time has passed is carried out now.
        return bodies | {without_schedule(body) for body in bodies}


class Invariants:
    """Watches a history.

    Args:
        world: the services.

    Attributes:
        broken: what does not hold, in the order in which it was noticed.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._declared: dict[str, Declared] = {}
        self._taken: dict[int, dict[str, int]] = {}
        """By call of the engine, how many AMIs of each image it takes away."""
        self.broken: list[Broken] = []

    def declared(self, stack: str) -> Declared:
        """Return what a stack declares."""
        return self._declared.setdefault(stack, Declared())

    def add(self, invariant: str, text: str) -> None:
        """Note that an invariant does not hold."""
        self.broken.append(Broken(invariant, text))

    # --- calls that change something -------------------------------------------------------------------------------

    def check_start(self, write: Write, *, new: bool, by_program: bool) -> None:
        """Check a start that the service has taken.

        Args:
            write: what was asked for.
            new: whether it has changed anything: not where an answer was repeated.
            by_program: whether a program runs, and not a destroy.
        """
        self._check_undone(write, by_program)
        if new and write.execution:
            self._check_duplicate(write)

    def _check_undone(self, write: Write, by_program: bool) -> None:
        call: EngineCall = write.call
        declared = self.declared(write.by)
        declaring = declared.declares(write.arn) if by_program else []
        if declaring:
            late = _is_late(call, declaring)
            if write.body not in declared.bodies(write.arn) and not late:
                self.add(UNDONE, f"{call.operation} of {call.name} sends {_text(write)}, which is not declared")
            elif call.operation == "delete" and not late:
                self.add(UNDONE, f"delete of {call.name} sends {_text(write)} of a declared image")
            return
        target = dict(write.body)["state"]
        olds = call.olds
        removed = call.operation == "delete" or (call.operation == "update" and write.arn not in call.arns)
        if call.kind == "cleanup":
            allowed = removed and "DELETED" in target
        else:
            allowed = removed and olds.get("on_destroy") == "restore" and "AVAILABLE" in target
            # What a fleet's update does for those that leave follows the declaration that it is now.
            allowed |= call.operation == "update" and "AVAILABLE" in target and call.news.get("on_destroy") == "restore"
        if not allowed:
            self.add(UNDONE, f"{call.operation} of {call.name} sends {_text(write)}, which nothing asks for")

    def _check_duplicate(self, write: Write) -> None:
        before = [each for each in self._world.writes_of(write.arn) if each is not write]
        if not before:
            return
        last = before[-1]
        if last.by != write.by or not last.execution or last.generation != write.generation:
            return
        execution = self._world.execution(last.execution)
        assert execution is not None
        same = last.body == write.body or (execution.scheduled and without_schedule(last.body) == write.body)
        if not same or len(self.declared(write.by).keys.get(write.arn, ())) > 1:
            return
        if is_removal(last) != is_removal(write) or (is_removal(write) and last.call.name != write.call.name):
            return
        if write.call.kind == "cleanup" and last.call.olds.get(DECLARED_AT) != write.call.olds.get(DECLARED_AT):
            # Another clean-up of the same name.
            return
        if execution.status == "SUCCESS":
            image = self._world.image(write.arn)
            restored = is_removal(write) and write.call.olds.get("state") == "AVAILABLE"
            if (
                not restored
                and image
                and image.amis
                and not _evidence_was_lost(last, write, self._world.ended_at(execution))
            ):
                self.add(
                    DUPLICATE,
                    f"{write.call.operation} of {write.call.name} starts {_text(write)} again, which "
                    f"{last.call.operation} of {last.call.name} has done ({last.execution})",
                )
        elif last.call.number == write.call.number:
            self.add(DUPLICATE, f"one {write.call.operation} of {write.call.name} starts {_text(write)} twice")

    def check_in_use(self, write: Write) -> None:
        """Check that a new execution takes nothing away that is in use, unless the declaration asks for it."""
        call: EngineCall = write.call
        inputs = call.news or call.olds
        mode = inputs.get("in_use", "wait" if call.kind == "cleanup" else "refuse")
        asked = {name: json.loads(value) for name, value in write.body}
        target, image = asked["state"]["status"], self._world.image(write.arn)
        if mode in ("warn", "ignore") or target not in ("DISABLED", "DELETED") or image is None:
            return
        if not asked.get("includeResources", {}).get("amis"):
            return
        if self._restored_since_check(write):
            return
        rules = asked.get("exclusionRules", {}).get("amis", {})
        for ami in image.amis:
            kind, since = self._world.uses.get((ami.region, ami.id), ("", 0.0))
            shown = self._world.ami_state(ami)
            if (
                kind
                and self._world.loop.time() - since > _USE_SEEN
                and (kind != "instance" or target == "DELETED")
                and shown not in ("gone", "disabled" if target == "DISABLED" else "")
                and exclusion_reason(ami, rules, self._world.now) is None
            ):
                self.add("in use", f"{call.operation} of {call.name} takes away {ami.id}, which a {kind} uses")

    def _restored_since_check(self, write: Write) -> bool:
        """Return whether AMIs were restored that were disabled when the guard looked at them."""
        return any(
            each.target == "AVAILABLE" and "amis" in each.includes and self._world.ended_at(each) > write.at - MAX_AGE
            for each in self._world.executions(write.arn)
            if each.end
        )

    def check_max_amis(self, write: Write) -> None:
        """Check that a call of the engine takes away no more AMIs than it may, with what it has started before."""
        call: EngineCall = write.call
        most = (call.news or call.olds).get("max_amis")
        taken = self._taken.setdefault(call.number, {})
        taken[write.arn] = max(taken.get(write.arn, 0), self._count_taken(write))
        if most is not None and sum(taken.values()) > most:
            self.add("max_amis", f"{call.operation} of {call.name} takes away {sum(taken.values())} AMIs of {most:g}")

    def _count_taken(self, write: Write) -> int:
        asked = {name: json.loads(value) for name, value in write.body}
        target, image = asked["state"]["status"], self._world.image(write.arn)
        if target not in ("DISABLED", "DELETED") or not asked.get("includeResources", {}).get("amis") or image is None:
            return 0
        if self._restored_since_check(write):
            return 0
        rules = asked.get("exclusionRules", {}).get("amis", {})
        return sum(
            self._world.ami_state(ami) not in ("gone", "disabled" if target == "DISABLED" else "")
            and exclusion_reason(ami, rules, self._world.now) is None
            for ami in image.amis
        )

    def check_imported(self, write: Write, state: str, at: float) -> None:
        """Check that what is imported in the state that is declared is not started.

        Args:
            write: what was started.
            state: the state that the image was imported in.
            at: when, by the loop's time.
        """
        moved = any(each.at >= at for each in self._world.writes_of(write.arn))
        declared = write.call.news.keys() <= write.call.olds.keys() and write.call.news["state"] == state
        if declared and not moved and not self._world.touched_by_others(write.arn, write.by, at):
            self.add("imported", f"{write.call.name} starts {_text(write)}, which was imported so")

    def check_preview(self, name: str, seconds: float) -> None:
        """Check that the preview of a resource does not take long.

        Args:
            name: the resource.
            seconds: how long it took.
        """
        if seconds > _PREVIEW:
            self.add("preview", f"the preview of {name} took {seconds:g}s")

    def check_cancel(self, execution_id: str, stack: str, call: EngineCall, *, by_program: bool) -> None:
        """Check a cancellation that the service is asked for."""
        execution, write = self._world.execution(execution_id), self._world.write_of(execution_id)
        if execution is None or not execution.unfinished:
            return
        own = write is not None and write.by == stack
        # The same declaration in two stacks is one. What has just begun may look like a schedule to a clean-up.
        adopted = execution_id in repr(call.olds)
        if not own and not adopted and not (call.kind == "cleanup" and self._looks_scheduled(execution)):
            self.add(
                "cancelled another's",
                f"{call.operation} of {call.name} cancels {execution_id} of {execution.image_arn}",
            )
        declared = self.declared(stack)
        if not by_program or not own or not declared.declares(execution.image_arn):
            return
        if self._world.touched_by_others(execution.image_arn, stack):
            # What others have moved is declared anew.
            return
        assert write is not None
        current = write.generation == declared.generations.get(execution.image_arn, 0)
        wanted = current and write.body in declared.bodies(execution.image_arn)
        if wanted and not _is_late(call, declared.declares(execution.image_arn)):
            self.add(UNDONE, f"{call.operation} of {call.name} cancels {_text(write)}, which is declared")

    def _looks_scheduled(self, execution: Execution) -> bool:
        """Return whether an execution looks like a schedule: it lists nothing, and its image has a date to come."""
        image, now = self._world.image(execution.image_arn), self._world.now
        dated = image is not None and image.deprecation_time is not None and image.deprecation_time > now
        return execution.scheduled or (not execution.impacts and dated)

    # --- ends of calls ---------------------------------------------------------------------------------------------

    def check_end(self, end: CallEnd, stack: str, run: int, *, by_program: bool) -> None:
        """Check how a call of the engine has ended.

        Args:
            end: how it ended.
            stack: whose call it was.
            run: the run in which it was made.
            by_program: whether a program runs, and not a destroy.
        """
        allowed = end.limit + _SLACK + (_CLAIMS_WAIT if by_program else 0)
        if end.seconds > allowed:
            self.add("time limit", f"{end.call.operation} of {end.call.name} took {end.seconds:g}s of {end.limit:g}s")
        if end.error:
            self.check_message(str(end.error))
            return
        if end.call.kind != "cleanup" and end.call.operation in ("create", "update"):
            self._check_done(end, stack, run)
        elif end.call.operation == "delete":
            self._check_deleted(end, stack, by_program)

    def _check_done(self, end: CallEnd, stack: str, run: int) -> None:
        inputs, world = end.call.news, self._world
        for arn in end.call.arns:
            olds, outputs = _outputs(end.call.olds, arn, end.call.kind), _outputs(end.state or {}, arn, end.call.kind)
            self._check_adopted(end, arn, olds, outputs)
            if world.touched_by_others(arn, stack, end.began - _LAG) or self._others_declare(arn, stack, end.call.name):
                continue
            if world.touched_by_run_before(arn, stack, run, end.began - _LAG):
                # A run was killed a moment ago, and what it has done may not be seen yet.
                continue
            if end.call.kind == "fleet" and arn not in (end.state or {}).get("executions", {}):
                self.add(LOST, f"{end.call.operation} of {end.call.name} reports success without {arn}")
            elif inputs.get("update_at") or not inputs.get("wait", True):
                continue
            elif (
                # An update of other inputs alone makes no call: what was done stays as it was.
                outputs.get("lifecycle_execution_id") != olds.get("lifecycle_execution_id")
                or end.call.operation == "create"
            ):
                self._check_target(arn, inputs["state"], f"{end.call.operation} of {end.call.name}")
            self._check_rerun(end, arn, olds, outputs)

    def _check_adopted(self, end: CallEnd, arn: str, olds: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        """Check that an execution of earlier is not taken for what is done, where others have moved the image since."""
        recorded = outputs.get("lifecycle_execution_id")
        execution = self._world.execution(recorded or "")
        if execution is None or not execution.end or recorded == olds.get("lifecycle_execution_id"):
            return
        for later in self._world.executions(arn):
            if later.status != "SUCCESS" or later.target == execution.target or later.policy_arn or later.end is None:
                continue
            if later.end > execution.end and self._world.ended_at(later) < end.began - _LAG:
                who = f"{end.call.operation} of {end.call.name}"
                self.add(LOST, f"{who} adopts {recorded}, and {later.id} came after it")

    def _check_rerun(self, end: CallEnd, arn: str, olds: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        """Check that the execution of what was declared before does not answer for what is declared now."""
        before, call = end.call.olds, end.call
        if call.operation != "update" or PREVIOUS in before or not olds.get("lifecycle_execution_id"):
            return
        sent = ("state", "include_resources", "exclusion_rules", "triggers")
        differs = any(before.get(name) != call.news.get(name) for name in sent)
        same = olds["lifecycle_execution_id"] == outputs.get("lifecycle_execution_id")
        if differs and same and self._world.image(arn) is not None:
            self.add(
                LOST, f"update of {call.name} reports success, and {arn} is as {olds['lifecycle_execution_id']} left it"
            )

    def _check_target(self, arn: str, target: str, who: str) -> None:
        state = self._world.state(arn)
        if state == target:
            return
        newest = next(iter(self._world.executions(arn)), None)
        kept = target == "DELETED" and newest and newest.status == "SUCCESS" and newest.target == "DELETED"
        if not kept:
            self.add(LOST, f"{who} reports success, and {arn} is {state} in place of {target}")

    def _check_deleted(self, end: CallEnd, stack: str, by_program: bool) -> None:
        call, world = end.call, self._world
        for arn in call.arns:
            declared = by_program and self.declared(stack).declares(arn)
            if declared or world.touched_by_others(arn, stack, end.began - _LAG) or self._others_keep(arn, stack, call):
                continue
            if call.kind == "cleanup":
                self._check_target(arn, "DELETED", f"delete of {call.name}")
                continue
            outputs = _outputs(call.olds, arn, call.kind)
            on_destroy, state = call.olds["on_destroy"], world.state(arn)
            execution = world.execution(outputs.get("lifecycle_execution_id") or "")
            scheduled = "update_at" in call.olds
            if (
                execution
                and execution.unfinished
                and (on_destroy == "cancel" or (on_destroy == "restore" and scheduled))
            ):
                self.add(LOST, f"delete of {call.name} leaves {execution.id} of {arn} {execution.status}")
            if on_destroy == "restore" and state not in ("AVAILABLE", "DELETED"):
                self.add(LOST, f"delete of {call.name} leaves {arn} {state}")

    def _others_declare(self, arn: str, stack: str, name: str) -> bool:
        return len(self.declared(stack).keys.get(arn, ())) > 1

    def _others_keep(self, arn: str, stack: str, call: EngineCall) -> bool:
        """Return whether another resource of the same stack may have done something to the image meanwhile."""
        writes = self._world.writes_of(arn)
        return bool(writes) and writes[-1].call is not None and writes[-1].call.name != call.name

    # --- messages --------------------------------------------------------------------------------------------------

    def check_message(self, text: str) -> None:
        """Check that a text that people see is one line without a secret."""
        if "\n" in text or "Traceback" in text:
            self.add("one line", repr(text)[:300])
        if SECRET in text:
            self.add("secret", text[:300])

    # --- the end ---------------------------------------------------------------------------------------------------

    def check_agreement(self, stack: Stack, program: Program, *, alone: bool) -> None:
        """Check that images, state and declaration agree, when nothing has gone wrong any more.

        Args:
            stack: what is recorded.
            program: what is declared.
            alone: whether nobody else has changed anything in this history.
        """
        recorded = {each.name: each for each in stack.resources}
        gone = {each.name for each in program if any(self._world.image(arn) is None for arn in each.arns)}
        if (recorded.keys() ^ {each.name for each in program}) - gone or len(stack.resources) != len(recorded):
            self.add(LOST, f"the state has {[each.name for each in stack.resources]}")
            return
        for declaration in program:
            if declaration.kind == "cleanup" or declaration.name not in recorded:
                continue
            outputs = recorded[declaration.name].outputs
            for arn in declaration.arns:
                own = outputs["executions"][arn] if declaration.kind == "fleet" else outputs
                if len(self.declared(stack.name).keys.get(arn, ())) == 1:
                    self._check_image(declaration, arn, own, alone)

    def _check_image(self, declaration: Declaration, arn: str, outputs: Mapping[str, Any], alone: bool) -> None:
        world, inputs = self._world, declaration.inputs
        state, target = world.state(arn), inputs["state"]
        executions = world.executions(arn)
        where = f"{declaration.name} declares {target} of {arn}"
        at = request(inputs).get("updateAt")
        pending = at is not None and at > world.now
        if pending and state != "DEPRECATED":
            unfinished = [each for each in executions if each.unfinished]
            image = world.image(arn)
            if not alone:
                return
            # An immediate change takes the date off the image; the schedule takes effect all the same.
            if image is None or (image.deprecation_time != at and not any(each.scheduled for each in unfinished)):
                self.add(LOST, f"{where} at {at}, and it is scheduled for {image and image.deprecation_time}")
            elif "execution_role" in inputs and len(unfinished) != 1:
                self.add(LOST, f"{where} at {at}, and {len(unfinished)} executions are under way")
            return
        if outputs.get("image_state") != state and at is None:
            self.add(LOST, f"{where}, it is {state}, and the state has {outputs.get('image_state')}")
        last = executions[0] if executions else None
        removals = {each.execution for each in world.writes_of(arn) if is_removal(each)}
        if state != target:
            # A deletion may have kept the record. Somebody else may have changed that since, to the state that it had.
            # A removal that failed has changed nothing, and this declaration does not ask for it.
            own = [each for each in executions if each.id not in removals or each.status == "SUCCESS"]
            deletions = [each for each in (own[:1] if alone else executions) if each.target == "DELETED"]
            kept = target == "DELETED" and any(each.status == "SUCCESS" for each in deletions)
            if not kept:
                self.add(LOST, f"{where}, and it is {state}")
                return
        if not alone or last is None or last.status != "SUCCESS" or "include_resources" not in inputs:
            return
        if last.target == "DELETED" and target != "DELETED" and last.id in removals:
            # A clean-up has left the record as it was, in a run that was killed.
            return
        recorded = outputs.get("lifecycle_execution_id", "")
        write = world.write_of(recorded)
        did, declared = dict(write.body if write else ()), dict(body_of(request(inputs)))
        execution = world.execution(recorded)
        if (
            execution
            and "exclusionRules" not in declared
            and all(each.status == "SUCCESS" for each in execution.impacts)
        ):
            # Its rules left nothing out.
            did.pop("exclusionRules", None)
        if write and is_removal(write):
            # A token known with another role answers for the newest execution of its kind; to restore leaves out less.
            declared.pop("exclusionRules", None)
            did.pop("exclusionRules", None)
        for body in (did, declared):
            body.pop("updateAt", None)
            new = write and (write.call.name != declaration.name or write.call.operation == "create")
            if execution and execution.scheduled and new:
                # Until its time a schedule shows nothing but its time: a resource without a state takes over what has
                # the same.
                body.pop("exclusionRules", None)
                body.pop("includeResources", None)
        # A deletion may have been another one, and there is nothing left to be deleted.
        if write is None or (did != declared and target != "DELETED"):
            what = _text(write) if write else "nothing"
            self.add(LOST, f"{where}, and the state's {recorded or 'missing execution'} did {what}")
        if last.target != target:
            self.add(LOST, f"{where}, and {last.id} moved it to {last.target} at last")
        shown = {"AVAILABLE": "available", "DEPRECATED": "deprecated", "DISABLED": "disabled", "DELETED": "gone"}
        for impact in last.impacts:
            if impact.status == "SUCCESS" and hasattr(impact.resource, "id") and "amis" in last.includes:
                found = world.ami_state(impact.resource)
                # A disabled AMI that is deprecated stays disabled, and one that is gone counts as done.
                accepted = {shown[target], "gone"} | ({"disabled"} if target == "DEPRECATED" else set())
                if found not in accepted:
                    self.add(LOST, f"{where}, and its {impact.resource.id} is {found}")


def _is_late(call: EngineCall, declaring: list[Declaration]) -> bool:
    """Return whether a program declares an image only after something else is done, as it may for what it depends on.

    Until then nobody knows of it, and what another resource loses is undone.
    """
    return call.operation in ("delete", "update") and all(each.after for each in declaring if each.name != call.name)


def _outputs(state: Mapping[str, Any], arn: str, kind: str) -> Mapping[str, Any]:
    """Return what a state has of one image."""
    if kind != "fleet":
        return state
    outputs: Mapping[str, Any] = state.get("executions", {}).get(arn, {})
    return outputs


def _evidence_was_lost(before: Write, write: Write, ended_at: float) -> bool:
    """Return whether the stack cannot know any more that it has done the same.

    A resource that is new has no state, and of what its forerunner did an execution shows neither exclusion rules nor
    triggers nor a token of the user's.
    """
    had_state = "client_token" in _outputs(write.call.olds, write.arn, write.call.kind)
    if not had_state and ended_at > write.at - _RACE:
        # It was still under way when it was looked for, and the start was not refused any more.
        return True
    if before.call.operation == "create" and had_state:
        # It was done by a resource whose create failed, and which is in no state.
        return before.call.name != write.call.name
    if had_state or (before.call.operation == "create" and before.call.name == write.call.name):
        return False
    inputs = write.call.news
    return any(inputs.get(name) for name in ("exclusion_rules", "client_token")) or "update_at" in inputs


def _text(write: Write) -> str:
    asked = ", ".join(f"{name}={value}" for name, value in write.body)
    return f"{asked} of {write.arn.rpartition('image/')[2]}"


__all__ = ["DUPLICATE", "LOST", "UNDONE", "Broken", "Declared", "Invariants", "Kind", "key_of"]
