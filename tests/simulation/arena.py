"""The world of one history: the emulator of this process, emptied in place, for moto takes long to reset."""

from __future__ import annotations

import json
import random
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import imagebuilder_emulator.inprocess
import imagebuilder_emulator.models
from imagebuilder_emulator import moto_backends, roles
from imagebuilder_emulator.clock import Clock
from imagebuilder_emulator.entities import Ami, Container, Execution, Image
from imagebuilder_emulator.environment import Environment
from imagebuilder_emulator.inprocess import InProcessService
from imagebuilder_emulator.models import ImageBuilderBackend
from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends

from tests.provider.lifecycle import fake_ec2

from .virtual_time import VirtualTimeLoop

START = datetime(2100, 1, 1, tzinfo=UTC)
"""When each history begins: ahead of this machine's clock, so that no schedule has passed when it is declared."""

ACCOUNT = "123456789012"
REGION = "us-east-1"
ROLE = "ImageLifecycle"
"""The role that always can be assumed."""

Body = tuple[tuple[str, str], ...]
"""What a request asks for, in a form that can be compared: its parameters without image, token and role."""


def body_of(parameters: Mapping[str, Any]) -> Body:
    """Return what a request asks for."""
    left_out = {"resourceArn", "clientToken", "executionRole"}
    return tuple(
        sorted(
            (name, json.dumps(value, sort_keys=True, default=str))
            for name, value in parameters.items()
            if name not in left_out
        )
    )


def without_schedule(body: Body) -> Body:
    """Return what a request asks for, whenever."""
    return tuple(entry for entry in body if entry[0] != "updateAt")


@dataclass(frozen=True)
class Write:
    """Something that has changed an image, or is about to.

    Args:
        at: the loop's time.
        arn: the image.
        by: the stack, or whoever else it was.
        run: the stack's run.
        call: the engine's call in whose course it was made.
        body: what was asked for.
        execution: the execution that was started; None for an immediate change.
        generation: how often the stack had declared something else of the image before.
    """

    at: float
    arn: str
    by: str
    run: int = 0
    call: Any = None
    body: Body = ()
    execution: str | None = None
    generation: int = 0


def is_removal(write: Write) -> bool:
    """Return whether something was done because a resource has lost an image."""
    return write.call is not None and (write.call.operation == "delete" or write.arn not in write.call.arns)


@dataclass
class Trouble:
    """What goes wrong with executions: the emulator's fault policy."""

    failing: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)

    def resource_failure(self, resource: str, *, image: str, region: str) -> str | None:
        """Return why a resource is to fail; None when it is not."""
        return "The resource is locked" if image in self.failing else None

    def hangs(self, image_arn: str) -> bool:
        """Return whether executions of an image make no progress."""
        return image_arn in self.hanging


class _Pool:
    """AMIs that are registered again for each history, as good as new."""

    def __init__(self) -> None:
        self._made: defaultdict[str, list[tuple[Ami, Any, dict[str, Any]]]] = defaultdict(list)
        self._taken: defaultdict[str, int] = defaultdict(int)

    def clear(self) -> None:
        self._taken.clear()
        for region in self._made:
            ec2_backends[ACCOUNT][region].amis.clear()

    def take(self, region: str, about: Mapping[str, Any], now: datetime) -> Ami:
        backend = ec2_backends[ACCOUNT][region]
        place, made = self._taken[region], self._made[region]
        self._taken[region] += 1
        if place == len(made):
            ami = moto_backends.register_ami(region, ACCOUNT, name=f"web-{region}-{place}")
            ids = moto_backends.ami_snapshots(ami)
            made.append((ami, backend.amis[ami.id], {each: backend.snapshots[each] for each in ids}))
        ami, found, snapshots = made[place]
        backend.amis[ami.id] = found
        backend.snapshots.update(snapshots)
        found.state, found.deprecation_time = "available", None
        found.launch_permissions = [{"Group": "all"}] if about.get("public") else []
        found.launch_permissions += [{"UserId": user} for user in about.get("shared_accounts", ())]
        launched = about.get("launched_days_ago")
        found.last_launched_time = (
            None if launched is None else moto_backends.format_time(now - timedelta(days=launched))
        )
        backend.tags[ami.id] = {"CreatedBy": "EC2 Image Builder", **about.get("tags", {})}
        return ami


class _Undisturbed(InProcessService):
    """The services without the emulator's own faults and log, which cost as much as the work."""

    def _disturbed(
        self,
        service: str,
        region: str,
        operation: str,
        parameters: Mapping[str, Any],
        perform: Callable[[], dict[str, Any]],
    ) -> dict[str, Any]:
        return perform()


class Arena:
    """The emulator of this process."""

    def __init__(self) -> None:
        self._loop: VirtualTimeLoop | None = None
        self.clock = Clock(lambda: START + timedelta(seconds=self._loop.time() if self._loop else 0.0))
        self.environment = Environment({}, clock=self.clock)
        self.inprocess = _Undisturbed(self.environment)
        self._pool = _Pool()
        self._chance = random.Random()
        # Ids that are the same each time make a history repeatable.
        generator = SimpleNamespace(uuid4=lambda: uuid.UUID(int=self._chance.getrandbits(128), version=4))
        imagebuilder_emulator.models.uuid = generator  # type: ignore[assignment]
        imagebuilder_emulator.inprocess.uuid = generator  # type: ignore[assignment]

    def begin(
        self, seed: int, images: Mapping[str, Mapping[str, Any]], variants: Mapping[str, str], execution_time: float
    ) -> World:
        """Return a world with nothing in it but these images.

        Args:
            seed: decides the ids.
            images: what is there of each image, by ARN.
            variants: readings that differ from the documented ones.
            execution_time: seconds that an execution takes.
        """
        self._chance.seed(seed)
        loop = self._loop = VirtualTimeLoop()
        environment = self.environment
        self.clock.restore(timedelta(0))
        environment.requests.clear()
        environment.variants.replace(variants)
        trouble = Trouble()
        environment.backend = ImageBuilderBackend(
            self.clock, timedelta(seconds=execution_time), trouble, environment.variants
        )
        self._pool.clear()
        iam_backends[ACCOUNT]["aws"].roles.clear()
        roles.create(ROLE, ACCOUNT)
        for arn, about in images.items():
            self._add_image(arn, about)
        return World(self, loop, trouble, execution_time)

    def _add_image(self, arn: str, about: Mapping[str, Any]) -> None:
        now, backend = self.clock.now(), self.environment.backend
        image = Image(arn, about.get("state", "AVAILABLE"), about.get("type", "AMI"), now - timedelta(days=30))
        if image.state == "BUILDING":
            image.available_at = now + timedelta(seconds=about["built_in"])
        if image.type == "DOCKER":
            container = Container(REGION, ACCOUNT, image.name, f"{image.version}-{image.build}")
            moto_backends.push_container(container)
            image.containers.append(container)
        image.amis = [self._pool.take(ami["region"], ami, now) for ami in about.get("amis", ())]
        backend.add_image(image)


class World:
    """What there is in a history: images, executions, roles, and who has changed what.

    Args:
        arena: the emulator.
        loop: whose time it has; to be closed by the caller.
        trouble: what goes wrong with executions.
        execution_time: seconds that one takes.

    Attributes:
        writes: what was started, in order.
        uses: what uses an AMI, by region and id, and since when.
    """

    def __init__(self, arena: Arena, loop: VirtualTimeLoop, trouble: Trouble, execution_time: float) -> None:
        self.arena, self.trouble, self.execution_time = arena, trouble, execution_time
        self.loop, self.inprocess = loop, arena.inprocess
        self.environment = arena.environment
        self.writes: list[Write] = []
        self._by_execution: dict[str, Write] = {}
        self.uses: dict[tuple[str, str], tuple[str, float]] = {}
        self._ec2 = fake_ec2.FakeService()

    @property
    def now(self) -> datetime:
        """The service's time."""
        return self.arena.clock.now()

    def advance(self) -> None:
        """Carry out what is due."""
        self.environment.backend.advance()

    def image(self, arn: str) -> Image | None:
        """Return an image as it is; None for one that is gone."""
        self.advance()
        found: Image | None = self.environment.backend.images.get(arn)
        return found

    def state(self, arn: str) -> str:
        """Return an image's state; ``DELETED`` for one that is gone."""
        image = self.image(arn)
        return image.state if image else "DELETED"

    def executions(self, arn: str) -> list[Execution]:
        """Return an image's executions, newest first."""
        self.advance()
        return self.environment.backend.store.executions_of(arn)

    def execution(self, execution_id: str) -> Execution | None:
        """Return an execution."""
        self.advance()
        return self.environment.backend.executions.get(execution_id)

    def write(self, write: Write) -> None:
        """Note what has changed an image."""
        self.writes.append(write)
        if write.execution:
            self._by_execution[write.execution] = write

    def write_of(self, execution_id: str) -> Write | None:
        """Return who started an execution."""
        return self._by_execution.get(execution_id)

    def writes_of(self, arn: str) -> list[Write]:
        """Return what has changed an image, in order."""
        return [write for write in self.writes if write.arn == arn]

    def ended_at(self, execution: Execution) -> float:
        """Return when an execution ended, by the loop's time; for one after a jump of the clock at the latest."""
        assert execution.end is not None
        return min((execution.end - START).total_seconds(), self.loop.time())

    def touched_by_others(self, arn: str, stack: str, since: float = 0.0) -> bool:
        """Return whether somebody else has changed an image, or may still."""
        return any(write.by != stack and self._moves(write, since) for write in self.writes_of(arn))

    def touched_by_run_before(self, arn: str, stack: str, run: int, since: float) -> bool:
        """Return whether another run of a stack has changed an image since, or may still."""
        own = [write for write in self.writes_of(arn) if write.by == stack and write.run != run]
        return any(self._moves(write, since) for write in own)

    def _moves(self, write: Write, since: float) -> bool:
        execution = self.execution(write.execution) if write.execution else None
        end = self.ended_at(execution) if execution and execution.end else write.at
        return write.at >= since or end >= since or (execution is not None and execution.unfinished)

    def is_half_undone(self, arn: str, stack: str) -> bool:
        """Return whether a stack has begun to undo something, which only a refresh shows where it has failed."""
        writes = [write for write in self.writes_of(arn) if write.by == stack]
        return bool(writes) and is_removal(writes[-1])

    def heal(self, arn: str) -> None:
        """Let executions of an image go on: from now on, not as if they had ended in the past."""
        backend, now = self.environment.backend, self.now
        for execution in self.executions(arn):
            due = execution.due()
            if due is not None and due < now:
                execution.begins_at += now - due
                execution.ends_at += now - due
                backend.runner.schedule(execution)
        self.trouble.failing.discard(arn)
        self.trouble.hanging.discard(arn)

    def add_role(self, name: str) -> None:
        """Create a role that can be assumed."""
        roles.create(name, ACCOUNT, created=self.now)

    def use(self, arn: str, kind: str) -> None:
        """Let something use the AMIs of an image.

        Args:
            arn: the image.
            kind: ``parameter``, ``template`` or ``instance``.
        """
        image = self.image(arn)
        for ami in image.amis if image else ():
            self.uses.setdefault((ami.region, ami.id), (kind, self.loop.time()))

    def release(self, arn: str) -> None:
        """Let nothing use the AMIs of an image any more."""
        image = self.image(arn)
        for ami in image.amis if image else ():
            self.uses.pop((ami.region, ami.id), None)

    def call_ec2(self, region: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Answer an operation that tells what uses AMIs."""
        regional = self._uses_of(region)
        answer: dict[str, Any] = getattr(self._ec2, f"_{operation}")(regional, region, **parameters)
        return answer

    def _uses_of(self, region: str) -> fake_ec2.World:
        found = fake_ec2.World()
        for ami in ec2_backends[ACCOUNT][region].amis.values():
            found.amis[ami.id] = {
                "ImageId": ami.id,
                "OwnerId": ACCOUNT,
                "State": ami.state,
                "Public": ami.is_public,
                "LastLaunchedTime": ami.last_launched_time,
                "Tags": [{"Key": key, "Value": value} for key, value in moto_backends.ami_tags(ami).items()],
                "BlockDeviceMappings": [],
            }
            for permission in ami.launch_permissions:
                if "UserId" in permission:
                    found.shares.setdefault(permission["UserId"], set()).add(ami.id)
        for number, ((place, ami_id), (kind, _)) in enumerate(self.uses.items()):
            if place != region:
                continue
            if kind == "parameter":
                found.parameters[f"/golden/{number}"] = ami_id
            elif kind == "template":
                found.add_template(f"web-{number}", ami_id)
            else:
                found.instances[f"i-{number}"] = (ami_id, "running")
        return found

    def ami_state(self, ami: Ami) -> str:
        """Return ``available``, ``deprecated``, ``disabled`` or ``gone``."""
        found = moto_backends.find_ami(ami)
        if found is None:
            return "gone"
        if found.state != "available":
            return str(found.state)
        if found.deprecation_time:
            return "deprecated"
        return "available"
