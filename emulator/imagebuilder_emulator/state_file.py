"""The emulator's state as one JSON document, to save and to load.

Saved are the clock, images, executions, client tokens, the AMIs, snapshots and containers under the images as EC2 and
ECR have them, and the roles with their trust policies. Not saved is what else was put into moto: S3's buckets,
policies of roles, AMIs and repositories that no image knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

import cattrs
from cattrs.preconf.json import make_converter

from . import ec2_models, moto_backends, roles
from .entities import Ami, Container, Execution, Image
from .models import ImageBuilderBackend
from .recipes import Recipe

FORMAT = 1
"""Grows when a document of before can no longer be read."""


class StateError(ValueError):
    """A document that is no state of an emulator; the text says why."""


@dataclass
class SavedAmi:
    """An AMI as EC2 has it."""

    ami: Ami
    name: str
    created: datetime
    state: str
    launch_permissions: list[dict[str, str]]
    tags: dict[str, str]
    deprecation_time: str | None
    last_launched_time: str | None
    snapshots: list[str]
    deregistration_protection: str = ec2_models.UNPROTECTED
    unprotected_at: datetime | None = None


@dataclass
class SavedSnapshot:
    """A snapshot as EC2 has it; its AMI may be gone."""

    id: str
    region: str
    account: str
    from_ami: str | None
    description: str


@dataclass
class SavedRole:
    """A role as IAM has it."""

    account: str
    name: str
    path: str
    trust: str
    created: datetime | None = None


@dataclass
class SavedToken:
    """What was answered to a client token."""

    region: str
    operation: str
    token: str
    request: str
    answer: dict[str, Any]


@dataclass
class State:
    """All that is saved."""

    format: int
    clock_offset_seconds: float = 0
    images: list[Image] = field(default_factory=list)
    recipes: list[Recipe] = field(default_factory=list)
    deleted: list[Image] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    tokens: list[SavedToken] = field(default_factory=list)
    amis: list[SavedAmi] = field(default_factory=list)
    snapshots: list[SavedSnapshot] = field(default_factory=list)
    containers: list[Container] = field(default_factory=list)
    roles: list[SavedRole] = field(default_factory=list)


_converter = make_converter(forbid_extra_keys=True, detailed_validation=False)


def save(backend: ImageBuilderBackend) -> dict[str, Any]:
    """Return the state as a JSON document."""
    accounts = {image.account for image in backend.images.values()} | moto_backends.iam_accounts()
    state = State(
        format=FORMAT,
        clock_offset_seconds=backend.clock.offset.total_seconds(),
        images=list(backend.images.values()),
        recipes=list(backend.recipes.values()),
        deleted=list(backend.store.deleted.values()),
        executions=list(backend.executions.values()),
        tokens=[SavedToken(*key, request, dict(answer)) for key, (request, answer) in backend.tokens.items()],
        amis=[saved for ami in sorted(_amis(backend), key=lambda each: each.id) for saved in _saved_ami(ami)],
        snapshots=[
            SavedSnapshot(snapshot.id, region, account, snapshot.from_ami, snapshot.description)
            for account, region, snapshot in moto_backends.list_ami_snapshots()
        ],
        containers=sorted(filter(moto_backends.container_exists, _containers(backend)), key=lambda each: each.uri),
        roles=[
            SavedRole(
                account,
                role.name,
                role.path,
                _document(role.assume_role_policy_document),
                moto_backends.role_created(role),
            )
            for account in sorted(accounts)
            for role in moto_backends.list_roles(account)
        ],
    )
    document: dict[str, Any] = _converter.unstructure(state)
    return document


def load(document: Mapping[str, Any], backend: ImageBuilderBackend) -> None:
    """Fill an empty emulator from a document of `save`.

    Raises:
        StateError: the document is none; the emulator is still empty then.
    """
    if not isinstance(document, Mapping) or document.get("format") != FORMAT:
        raise StateError(f"this is not a state of format {FORMAT}, as this emulator saves it")
    try:
        state = _converter.structure(document, State)
        backend.clock.restore(timedelta(seconds=state.clock_offset_seconds))
    except (cattrs.BaseValidationError, cattrs.ForbiddenExtraKeysError, TypeError, ValueError, KeyError) as error:
        raise StateError(f"the state cannot be read: {type(error).__name__}: {error}") from None
    for role in state.roles:
        created = {"created": role.created} if role.created else {}
        roles.create(role.name, role.account, path=role.path, trust=role.trust, **created)
    for snapshot in state.snapshots:
        moto_backends.restore_snapshot(
            snapshot.account, snapshot.region, snapshot.id, snapshot.description, snapshot.from_ami
        )
    for ami in state.amis:
        _restore_ami(ami)
    for container in state.containers:
        moto_backends.push_container(container)
    for image in state.images:
        backend.add_image(image)
    for recipe in state.recipes:
        backend.recipes[recipe.arn] = recipe
    for image in state.deleted:
        backend.store.deleted[image.arn] = image
    for execution in state.executions:
        backend.add_execution(execution)
    for token in state.tokens:
        backend.tokens[token.region, token.operation, token.token] = (token.request, token.answer)


def _amis(backend: ImageBuilderBackend) -> set[Ami]:
    """Return all AMIs that an image or an execution knows."""
    under = {ami for image in backend.images.values() for ami in image.amis}
    return under | {each for each in _touched(backend) if isinstance(each, Ami)}


def _containers(backend: ImageBuilderBackend) -> set[Container]:
    under = {container for image in backend.images.values() for container in image.containers}
    return under | {each for each in _touched(backend) if isinstance(each, Container)}


def _touched(backend: ImageBuilderBackend) -> Iterator[Ami | Container]:
    for execution in backend.executions.values():
        yield from (impact.resource for impact in execution.impacts)


def _saved_ami(ami: Ami) -> Iterator[SavedAmi]:
    """Return the AMI, if EC2 still has it."""
    found = moto_backends.find_ami(ami)
    if isinstance(found, moto_backends.DistributedAmi):
        yield SavedAmi(
            ami,
            name=found.name or "",
            created=found.creation_date,
            state=found.state,
            launch_permissions=list(found.launch_permissions),
            tags=moto_backends.ami_tags(found),
            deprecation_time=found.deprecation_time,
            last_launched_time=found.last_launched_time,
            snapshots=moto_backends.ami_snapshots(ami),
            deregistration_protection=found.deregistration_protection,
            unprotected_at=found.unprotected_at,
        )


def _restore_ami(saved: SavedAmi) -> None:
    found = moto_backends.restore_ami(saved.ami, name=saved.name, created=saved.created, snapshots=saved.snapshots)
    found.state, found.launch_permissions = saved.state, saved.launch_permissions
    found.deprecation_time, found.last_launched_time = saved.deprecation_time, saved.last_launched_time
    found.deregistration_protection, found.unprotected_at = saved.deregistration_protection, saved.unprotected_at
    moto_backends.set_ami_tags(saved.ami, saved.tags)


def _document(trust: Any) -> str:
    return unquote(trust) if isinstance(trust, str) else json.dumps(trust)
