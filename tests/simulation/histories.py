"""Histories as data: what there is, what is declared run by run, and what goes wrong; and their seeded generator.

Everything random is drawn here or from seeds that are kept here, a seed for each run: a history without one of its runs
or faults is the same history otherwise, which is what makes shrinking work.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from imagebuilder_emulator.variants import VARIANTS

from .arena import ACCOUNT, REGION, ROLE, START
from .engine_model import Declaration, Program

LATE_ROLE = "LateRole"
"""A role that is made in the course of a history, if at all."""

TARGETS = ("AVAILABLE", "DEPRECATED", "DISABLED")
TOKEN = "secret-token-{}"
SECRET = "secret-"
"""What no message may contain."""

_OTHER_REGIONS = ("eu-west-1", "ap-south-1")


@dataclass(frozen=True)
class Event:
    """Something that others do in the course of a run.

    Args:
        at: seconds after the run began.
        what: ``start``, ``detour``, ``cancel``, ``policy``, ``retry``, ``role``, ``fail``, ``hang``, ``heal``,
            ``clock``, ``use`` or ``release``.
        arn: the image; empty where it concerns none.
        detail: what is asked for, or seconds.
    """

    at: float
    what: str
    arn: str = ""
    detail: Any = None


@dataclass(frozen=True)
class Kill:
    """When a run ends before its time.

    Args:
        how: ``kill`` ends engine and provider at once, ``engine`` lets the provider go on for a second, ``interrupt``
            lets running steps end, ``cancel`` is the native provider's Cancel.
        call: after how many calls to the service; None for a time.
        phase: ``before`` the request, after the ``work`` and before its answer, or ``after`` the answer.
        at: seconds after the run began; for kills by time.
    """

    how: str
    call: int | None = None
    phase: str = "before"
    at: float = 0.0


@dataclass(frozen=True)
class Fault:
    """Something that disturbs calls to the service.

    Args:
        kind: ``throttle``, ``500``, ``drop-request``, ``drop-answer``, ``stall``, ``slow``, ``shuffle``, ``expired`` or
            ``blind``, which refuses to tell what uses AMIs.
        share: the share of calls that it disturbs.
        operation: the one operation that it disturbs; empty for all.
    """

    kind: str
    share: float
    operation: str = ""


@dataclass(frozen=True)
class Step:
    """One run of the engine.

    Args:
        seed: decides what is drawn in the course of the run.
        command: ``up``, ``preview``, ``refresh``, ``refresh-up`` or ``destroy``.
        program: what is declared.
        pause: seconds before it.
        stack: the stack's name.
        kill: when it ends before its time; None to let it end.
        faults: what disturbs it.
        events: what others do meanwhile.
        parallel: how many steps run side by side.
        alongside: whether the next step begins while this one runs.
        imports: the single resources that are imported before, where no state has them.
    """

    seed: int
    command: str
    program: Program
    pause: float = 0.0
    stack: str = "dev"
    kill: Kill | None = None
    faults: tuple[Fault, ...] = ()
    events: tuple[Event, ...] = ()
    parallel: int = 16
    alongside: bool = False
    imports: tuple[str, ...] = ()


@dataclass(frozen=True)
class History:
    """A history.

    Args:
        seed: what it was drawn from.
        images: what there is of each image, by ARN.
        steps: the runs.
        variants: readings of the service that differ from the documented ones.
        execution_time: seconds that an execution takes.
        native: whether the native provider serves the stacks.
        denied: the operations that the caller has no right to.
        destroyed: whether the stack is destroyed in the end.
    """

    seed: int
    images: Mapping[str, Mapping[str, Any]]
    steps: tuple[Step, ...]
    variants: Mapping[str, str] = field(default_factory=dict)
    execution_time: float = 10.0
    native: bool = False
    denied: tuple[str, ...] = ()
    destroyed: bool = False

    @property
    def kills(self) -> int:
        """How many runs end before their time."""
        return sum(step.kill is not None for step in self.steps)


def generate(seed: int) -> History:
    """Return the history of a seed: the same one each time."""
    return _Generator(random.Random(seed)).history(seed)


class _Generator:
    """Draws one history."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._names = 0
        self._programs: list[Program] = []
        self._imports: list[str] = []
        self._clock = 0.0
        """Seconds that have passed at least when a program is written: a schedule lies after it."""

    def history(self, seed: int) -> History:
        chance = self._chance
        self._images = self._draw_images()
        self._rivals = chance.random() < 0.3
        self._execution_time = chance.choice((1.0, 10.0, 10.0, 60.0, 600.0))
        steps: list[Step] = []
        program: Program = ()
        for number in range(chance.choice((1, 2, 2, 3, 3, 4, 5, 6))):
            pause = chance.choice((0.0, 0.0, 1.0, 5.0, 40.0, 700.0, 86400.0)) if number else 0.0
            self._clock += pause
            program = self._edit(program)
            self._programs.append(program)
            steps += self._steps(program, pause)
        return History(
            seed,
            self._images,
            tuple(steps),
            self._draw_variants(),
            self._execution_time,
            native=chance.random() < 0.4,
            denied=("list_image_build_versions",) if chance.random() < 0.05 else (),
            destroyed=chance.random() < 0.3,
        )

    # --- what there is ---------------------------------------------------------------------------------------------

    def _draw_images(self) -> dict[str, dict[str, Any]]:
        chance = self._chance
        images: dict[str, dict[str, Any]] = {}
        for build in range(1, chance.choice((1, 1, 2, 2, 3, 4, 5)) + 1):
            name = chance.choice(("web", "web", "web", "api"))
            arn = f"arn:aws:imagebuilder:{REGION}:{ACCOUNT}:image/{name}/1.0.{chance.choice((0, 0, 1))}/{build}"
            images[arn] = self._draw_image()
        return images

    def _draw_image(self) -> dict[str, Any]:
        chance = self._chance
        if chance.random() < 0.05:
            return {"type": "DOCKER"}
        about: dict[str, Any] = {
            "state": chance.choices(("AVAILABLE", "DEPRECATED", "DISABLED", "FAILED", "BUILDING"), (80, 7, 7, 3, 3))[0]
        }
        if about["state"] == "BUILDING":
            about["built_in"] = chance.choice((5.0, 120.0))
        about["amis"] = [self._draw_ami() for _ in range(chance.choice((0, 1, 1, 2, 2, 3)))]
        return about

    def _draw_ami(self) -> dict[str, Any]:
        chance = self._chance
        ami: dict[str, Any] = {"region": chance.choice((REGION, *_OTHER_REGIONS))}
        if chance.random() < 0.1:
            ami["public"] = True
        if chance.random() < 0.1:
            ami["shared_accounts"] = ["210987654321"]
        if chance.random() < 0.2:
            ami["tags"] = {"keep": "yes"}
        if chance.random() < 0.2:
            ami["launched_days_ago"] = chance.choice((1, 20, 100))
        return ami

    def _draw_variants(self) -> dict[str, str]:
        chance = self._chance
        share = chance.choice((0.0, 0.2, 0.5))
        return {
            name: chance.choice(variant.readings[1:]) for name, variant in VARIANTS.items() if chance.random() < share
        }

    # --- what is declared ------------------------------------------------------------------------------------------

    def _edit(self, program: Program) -> Program:
        """Return the next program: the first one, or one with an edit or two."""
        chance = self._chance
        if not program:
            return self._first_program()
        for _ in range(chance.choice((0, 1, 1, 1, 2))):
            program = chance.choices(
                (
                    self._edit_change,
                    self._edit_options,
                    self._rename,
                    self._move,
                    self._add,
                    self._remove,
                    self._add_image,
                    self._remove_image,
                    self._replace,
                    self._edit_scope,
                    self._revert,
                    self._import,
                ),
                (8, 2, 2, 2, 2, 2, 2, 2, 2, 1, 2, 1),
            )[0](program)
        return program or self._first_program()

    def _first_program(self) -> Program:
        chance = self._chance
        arns = list(self._images)
        chance.shuffle(arns)
        program: list[Declaration] = []
        while arns:
            # What a container image is moved to suits no other.
            alike = [arn for arn in arns if self._images[arn].get("type") == self._images[arns[0]].get("type")]
            if len(alike) > 1 and chance.random() < 0.5:
                members = alike[: chance.randint(2, len(alike))]
                program.append(self._fleet(members))
                arns = [arn for arn in arns if arn not in members]
            else:
                arn = arns.pop()
                if chance.random() < 0.15:
                    program.append(self._cleanup(arn))
                elif chance.random() < 0.8 or not program:
                    program.append(self._single(arn))
        return self._order(program)

    def _order(self, program: list[Declaration]) -> Program:
        """Return a program in any order, now and then with dependencies."""
        chance = self._chance
        chance.shuffle(program)
        ordered: list[Declaration] = []
        for declaration in program:
            after: tuple[str, ...] = ()
            if ordered and chance.random() < 0.1:
                after = (chance.choice(ordered).name,)
            ordered.append(replace(declaration, after=after))
        return tuple(ordered)

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}-{self._names}"

    def _single(self, arn: str) -> Declaration:
        return Declaration(
            self._name("single"), "single", {"resource_arn": arn, **self._change([arn])}, self._draw_time_limit()
        )

    def _fleet(self, arns: list[str]) -> Declaration:
        return Declaration(
            self._name("fleet"), "fleet", {"resource_arns": list(arns), **self._change(arns)}, self._draw_time_limit()
        )

    def _cleanup(self, arn: str) -> Declaration:
        chance = self._chance
        inputs: dict[str, Any] = {"resource_arn": arn, "execution_role": self._role(), "in_use": self._in_use()}
        inputs |= self._max_amis()
        if self._images[arn].get("type") != "DOCKER" and chance.random() < 0.3:
            inputs["include_resources"] = {"amis": True, "snapshots": chance.random() < 0.7}
            if chance.random() < 0.5:
                inputs["exclusion_rules"] = self._exclusion_rules()
        return Declaration(self._name("cleanup"), "cleanup", inputs, self._draw_time_limit())

    def _draw_time_limit(self) -> float | None:
        return self._chance.choices((None, 5.0, 30.0, 300.0), (85, 5, 5, 5))[0]

    def _role(self) -> str:
        return LATE_ROLE if self._chance.random() < 0.08 else ROLE

    def _in_use(self) -> str:
        return self._chance.choices(("ignore", "refuse", "wait", "warn"), (55, 25, 15, 5))[0]

    def _max_amis(self) -> dict[str, Any]:
        return {"max_amis": self._chance.choice((1, 2, 5))} if self._chance.random() < 0.06 else {}

    def _exclusion_rules(self) -> dict[str, Any]:
        chance = self._chance
        rules: dict[str, Any] = {
            "is_public": True,
            "regions": [chance.choice(_OTHER_REGIONS)],
            "shared_accounts": ["210987654321"],
            "last_launched": {"value": chance.choice((2, 10)), "unit": chance.choice(("DAYS", "WEEKS"))},
            "tag_map": {"keep": "yes"},
        }
        return {"amis": {name: rules[name] for name in chance.sample(list(rules), chance.choice((1, 1, 2)))}}

    def _change(self, arns: list[str]) -> dict[str, Any]:
        """Return the arguments of a state update that suit some images."""
        chance = self._chance
        inputs: dict[str, Any] = {"in_use": self._in_use(), **self._max_amis()}
        docker = any(self._images[arn].get("type") == "DOCKER" for arn in arns)
        failed = any(self._images[arn].get("state") == "FAILED" for arn in arns)
        if docker or failed or chance.random() < 0.08:
            include = {"containers": True} if docker else {"amis": True, "snapshots": chance.random() < 0.7}
            inputs |= {"state": "DELETED", "execution_role": self._role(), "include_resources": include}
        else:
            inputs["state"] = chance.choice(TARGETS)
            if chance.random() < 0.65:
                inputs |= {"execution_role": self._role(), "include_resources": {"amis": True}}
        if "include_resources" in inputs and not docker and chance.random() < 0.2:
            inputs["exclusion_rules"] = self._exclusion_rules()
        if inputs["state"] == "DEPRECATED" and chance.random() < 0.4:
            ahead = chance.choice((60.0, 400.0, 900.0, 7200.0, 90000.0, 5e6))
            inputs["update_at"] = (START + timedelta(seconds=int(self._clock + ahead))).strftime("%Y-%m-%dT%H:%M:%SZ")
        inputs["on_destroy"] = chance.choice(
            ("retain", "retain", "cancel") if inputs["state"] == "DELETED" else ("retain", "cancel", "restore")
        )
        if chance.random() < 0.1:
            inputs["triggers"] = [f"{SECRET}{chance.randint(1, 3)}"]
        if chance.random() < 0.07:
            inputs["client_token"] = TOKEN.format(chance.randint(1, 2))
        if chance.random() < 0.1:
            inputs["wait"] = False
        return inputs

    # --- edits -----------------------------------------------------------------------------------------------------

    def _edit_change(self, program: Program) -> Program:
        chance = self._chance
        one = self._one(program, "single", "fleet")
        if one is None:
            return program
        arns = {name: one.inputs[name] for name in ("resource_arn", "resource_arns") if name in one.inputs}
        if chance.random() < 0.3:
            inputs = {**one.inputs, "triggers": [f"{SECRET}{chance.randint(1, 9)}"]}
        elif chance.random() < 0.3 and "exclusion_rules" in one.inputs:
            inputs = {name: value for name, value in one.inputs.items() if name != "exclusion_rules"}
        else:
            inputs = {**arns, **self._change(list(one.arns))}
        return _with(program, one, replace(one, inputs=inputs))

    def _edit_scope(self, program: Program) -> Program:
        """Change the image alone, or the AMIs under it too."""
        one = self._one(program, "single", "fleet")
        if one is None or one.inputs["state"] == "DELETED":
            return program
        scope = ("execution_role", "include_resources", "exclusion_rules")
        inputs = {name: value for name, value in one.inputs.items() if name not in scope}
        if "include_resources" not in one.inputs:
            inputs |= {"execution_role": self._role(), "include_resources": {"amis": True}}
        return _with(program, one, replace(one, inputs=inputs))

    def _revert(self, program: Program) -> Program:
        """Go back to an earlier program, now and then under other names."""
        earlier = self._chance.choice(self._programs)
        if self._chance.random() < 0.5:
            return earlier
        names = {each.name: self._name(each.kind) for each in earlier}
        return tuple(
            replace(each, name=names[each.name], alias=None, after=tuple(names.get(name, name) for name in each.after))
            for each in earlier
        )

    def _import(self, program: Program) -> Program:
        """Declare an image that is there as it may be, once it has been imported."""
        declared = {arn for each in program for arn in each.arns if each.kind != "cleanup"}
        free = [
            arn
            for arn, about in self._images.items()
            if arn not in declared and about.get("type") != "DOCKER" and about["state"] != "FAILED"
        ]
        if not free:
            return program
        inputs = {"resource_arn": self._chance.choice(free), "state": self._chance.choice(TARGETS)}
        new = Declaration(self._name("single"), "single", inputs)
        self._imports.append(new.name)
        return self._order([*program, new])

    def _edit_options(self, program: Program) -> Program:
        chance = self._chance
        one = self._one(program)
        if one is None:
            return program
        inputs = dict(one.inputs)
        if "execution_role" in inputs:
            inputs["execution_role"] = self._role()
        if one.kind != "cleanup":
            inputs["wait"] = chance.random() < 0.8
            inputs |= self._max_amis()
            inputs["on_destroy"] = chance.choice(
                ("retain", "cancel") if inputs["state"] == "DELETED" else ("retain", "cancel", "restore")
            )
        return _with(program, one, replace(one, inputs=inputs, time_limit=self._draw_time_limit()))

    def _rename(self, program: Program) -> Program:
        one = self._one(program)
        if one is None:
            return program
        alias = one.name if self._chance.random() < 0.3 else None
        return self._order([*_without(program, one), replace(one, name=self._name(one.kind), alias=alias)])

    def _move(self, program: Program) -> Program:
        """Move an image from one resource to another of the same meaning."""
        chance = self._chance
        one = self._one(program, "single", "fleet")
        if one is None:
            return program
        meaning = {name: value for name, value in one.inputs.items() if not name.startswith("resource_arn")}
        rest = _without(program, one)
        if one.kind == "single":
            kind = chance.choice(("single", "fleet"))
            named = {"resource_arn": one.arns[0]} if kind == "single" else {"resource_arns": list(one.arns)}
            return self._order([*rest, Declaration(self._name(kind), kind, {**named, **meaning}, one.time_limit)])
        moved = chance.choice(one.arns) if one.arns else None
        if moved is None:
            return program
        kept = [arn for arn in one.arns if arn != moved]
        new = Declaration(self._name("single"), "single", {"resource_arn": moved, **meaning}, one.time_limit)
        old = [replace(one, inputs={**one.inputs, "resource_arns": kept})] if kept else []
        return self._order([*rest, *old, new])

    def _add(self, program: Program) -> Program:
        chance = self._chance
        declared = {arn for each in program for arn in each.arns if each.kind != "cleanup"}
        free = [arn for arn in self._images if arn not in declared]
        if free and chance.random() < 0.7:
            return self._order([*program, self._single(chance.choice(free))])
        cleaned = {arn for each in program for arn in each.arns if each.kind == "cleanup"}
        free = [arn for arn in self._images if arn not in cleaned]
        return self._order([*program, self._cleanup(chance.choice(free))]) if free else program

    def _remove(self, program: Program) -> Program:
        one = self._one(program)
        return tuple(_without(program, one)) if one and len(program) > 1 else program

    def _add_image(self, program: Program) -> Program:
        declared = {arn for each in program for arn in each.arns if each.kind != "cleanup"}
        free = [arn for arn in self._images if arn not in declared]
        one = self._one(program, "fleet")
        if one is None or not free or any(self._images[arn].get("type") == "DOCKER" for arn in (*one.arns, *free)):
            return program
        arns = [*one.arns, self._chance.choice(free)]
        return _with(program, one, replace(one, inputs={**one.inputs, "resource_arns": arns}))

    def _remove_image(self, program: Program) -> Program:
        one = self._one(program, "fleet")
        if one is None or not one.arns:
            return program
        gone = self._chance.choice(one.arns)
        arns = [arn for arn in one.arns if arn != gone]
        return _with(program, one, replace(one, inputs={**one.inputs, "resource_arns": arns}))

    def _replace(self, program: Program) -> Program:
        """Point a resource at another image."""
        chance = self._chance
        one = self._one(program, "single", "cleanup")
        declared = {
            arn for each in program for arn in each.arns if (each.kind == "cleanup") == (one and one.kind == "cleanup")
        }
        free = [
            arn
            for arn in self._images
            if arn not in declared and one and self._images[arn].get("type") == self._images[one.arns[0]].get("type")
        ]
        if one is None or not free:
            return program
        inputs = {**one.inputs, "resource_arn": chance.choice(free)}
        return _with(program, one, replace(one, inputs=inputs, delete_first=chance.random() < 0.3))

    def _one(self, program: Program, *kinds: str) -> Declaration | None:
        found = [each for each in program if not kinds or each.kind in kinds]
        return self._chance.choice(found) if found else None

    # --- runs ------------------------------------------------------------------------------------------------------

    def _steps(self, program: Program, pause: float) -> list[Step]:
        """Return the runs of one program: it is applied once or more often, with what goes wrong."""
        chance = self._chance
        steps = []
        for attempt in range(chance.choice((1, 1, 2, 3))):
            if attempt:
                pause = chance.choice((0.0, 0.0, 0.5, 3.0, 20.0, 700.0))
                self._clock += pause
            if chance.random() < 0.15:
                steps.append(Step(chance.getrandbits(32), "preview", program, pause, faults=self._draw_faults()))
                pause = 0.0
            command = chance.choices(("up", "refresh", "refresh-up", "destroy"), (75, 8, 7, 10))[0]
            steps.append(
                Step(
                    chance.getrandbits(32),
                    command,
                    program,
                    pause,
                    kill=self._draw_kill() if chance.random() < 0.4 else None,
                    faults=self._draw_faults(),
                    events=self._draw_events(),
                    parallel=chance.choice((1, 4, 16, 16)),
                    imports=tuple(each.name for each in program if each.name in self._imports),
                )
            )
        if self._rivals and chance.random() < 0.3:
            steps.insert(chance.randrange(len(steps)), self._rival_step())
        return steps

    def _rival_step(self) -> Step:
        """Return a run of a second stack that declares something of one of the images."""
        chance = self._chance
        arn = chance.choice(list(self._images))
        declaration = replace(self._single(arn), name=f"rival-{arn.rpartition('/')[2]}")
        return Step(
            chance.getrandbits(32),
            chance.choice(("up", "up", "destroy")),
            (declaration,),
            chance.choice((0.0, 5.0)),
            stack="rival",
            alongside=chance.random() < 0.7,
        )

    def _draw_kill(self) -> Kill:
        chance = self._chance
        how = chance.choices(("kill", "engine", "interrupt", "cancel"), (60, 15, 10, 15))[0]
        if chance.random() < 0.7:
            return Kill(
                how, chance.choice((1, 1, 2, 2, 3, 4, 5, 6, 8, 10, 15)), chance.choice(("before", "work", "after"))
            )
        return Kill(how, at=round(chance.uniform(0, 2.0) * self._execution_time, 3))

    def _draw_faults(self) -> tuple[Fault, ...]:
        chance = self._chance
        if chance.random() < 0.4:
            return ()
        kinds = ("throttle", "500", "drop-request", "drop-answer", "stall", "slow", "shuffle", "expired", "blind")
        faults = []
        for kind in chance.sample(kinds, chance.choice((1, 1, 2, 3))):
            operation, share = "", round(chance.uniform(0.05, 0.5), 2)
            if kind in ("drop-answer", "drop-request", "stall") and chance.random() < 0.4:
                operation, share = "start_resource_state_update", 0.7
            if kind in ("stall", "expired"):
                share /= 8
            faults.append(Fault(kind, share, operation))
        return tuple(faults)

    def _draw_events(self) -> tuple[Event, ...]:
        chance = self._chance
        events = []
        if chance.random() < 0.2:
            events.append(Event(round(chance.uniform(0, 60), 2), "role"))
        if chance.random() < 0.1:
            arn = chance.choice(list(self._images))
            # Of an image without AMIs an execution that hangs cannot be told from a schedule.
            events.append(Event(0.0, chance.choice(("fail", "hang")) if self._images[arn].get("amis") else "fail", arn))
            if chance.random() < 0.5:
                events.append(Event(chance.choice((3.0, 20.0, 1000.0)), "heal", arn))
        if chance.random() < 0.05:
            events.append(Event(round(chance.uniform(0, 20), 2), "clock", detail=chance.choice((2.0, 400.0, 90000.0))))
        if chance.random() < 0.15:
            arn = chance.choice(list(self._images))
            events.append(Event(0.0, "use", arn, chance.choice(("parameter", "template", "instance"))))
            if chance.random() < 0.6:
                events.append(Event(chance.choice((0.1, 30.0, 200.0)), "release", arn))
        if self._rivals and chance.random() < 0.4:
            events += [self._draw_rival_event() for _ in range(chance.choice((1, 1, 2)))]
        return tuple(sorted(events, key=lambda event: event.at))

    def _draw_rival_event(self) -> Event:
        chance = self._chance
        at, arn = round(chance.uniform(0, 1.5) * self._execution_time, 2), chance.choice(list(self._images))
        what = chance.choice(("start", "start", "detour", "cancel", "policy", "retry"))
        detail: Any = {"state": chance.choice(TARGETS), "amis": True} if what == "detour" else None
        if what in ("start", "policy"):
            detail = {"state": chance.choice(TARGETS), "amis": chance.random() < 0.5}
            if what == "start" and chance.random() < 0.2:
                detail = {"state": "DEPRECATED", "amis": False, "ahead": 5e6}
        return Event(at, what, arn, detail)


def _with(program: Program, old: Declaration, new: Declaration) -> Program:
    return tuple(new if each is old else each for each in program)


def _without(program: Program, old: Declaration) -> list[Declaration]:
    return [each for each in program if each is not old]
