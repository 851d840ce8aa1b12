"""A seed file: the roles and images that are there when the emulator begins, in YAML or JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml

from . import ec2_models, moto_backends, roles
from .clock import parse_duration
from .entities import Container, Execution, Image
from .models import DEFAULT_ACCOUNT, ImageBuilderBackend
from .seed_values import SeedError, read_choice, read_list, read_object
from .shapes import find_problems, service_model
from .used_by import Uses

_KEYS = {"roles", "images", "policy_executions"}
_IMAGE_KEYS = {"arn", "type", "state", "date_created", "amis", "containers", "tags", "platform", "os_version"} | {
    "name",
    "reason",
    "failure_context",
}
_AMI_KEYS = {
    "region",
    "account",
    "snapshots",
    "public",
    "shared_accounts",
    "tags",
    "last_launched",
    "deregistration_protection",
    "used_by",
}
_POLICY_EXECUTION_KEYS = {"policy", "image", "state", "include_resources", "execution_role", "takes"}
_CONTAINER_KEYS = {"region", "repository", "tag"}


def read_seed(path: Path) -> Mapping[str, Any]:
    """Read a seed file.

    Raises:
        SeedError: it cannot be opened, or is neither YAML nor JSON.
    """
    try:
        return read_object(yaml.safe_load(path.read_text(encoding="utf-8")) or {}, "the seed", _KEYS)
    except OSError as error:
        raise SeedError(f"{path} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise SeedError(f"{path} is neither YAML nor JSON: {' '.join(str(error).split())}") from None


def load_seed(seed: Mapping[str, Any], backend: ImageBuilderBackend) -> None:
    """Create what a seed names.

    Raises:
        SeedError: a key or a value in it cannot be used.
    """
    read_object(seed, "the seed", _KEYS)
    for role in read_list(seed.get("roles"), "roles"):
        _create_role(str(role))
    for place, entry in enumerate(read_list(seed.get("images"), "images")):
        where = f"images[{place}]"
        _add_image(read_object(entry, where, _IMAGE_KEYS), where, backend)
    for place, entry in enumerate(read_list(seed.get("policy_executions"), "policy_executions")):
        start_policy_execution(entry, backend, f"policy_executions[{place}]")


def start_policy_execution(entry: Any, backend: ImageBuilderBackend, where: str = "policy execution") -> Execution:
    """Start an execution of a lifecycle policy, as an entry of ``policy_executions`` describes it.

    Args:
        entry: ``policy`` and ``image`` (ARNs), and with defaults ``state`` (``DEPRECATED``), ``include_resources``
            (none), ``execution_role`` and ``takes`` (the execution time).
        backend: where it is started.
        where: how messages name the entry.

    Raises:
        SeedError: a key or a value in it cannot be used, or the image is in use.
    """
    read_object(entry, where, _POLICY_EXECUTION_KEYS)
    model = service_model()
    policy, role = str(entry.get("policy")), entry.get("execution_role")
    if not re.fullmatch(model.shape_for("LifecyclePolicyArn").metadata["pattern"], policy):
        raise SeedError(f"{where}.policy: {policy!r} is not the ARN of a lifecycle policy")
    targets = model.shape_for("ResourceStatus").enum
    try:
        return backend.start_policy_execution(
            policy,
            str(entry.get("image")),
            read_choice(entry.get("state", "DEPRECATED"), f"{where}.state", targets),
            includes=[
                read_choice(kind, f"{where}.include_resources", ["amis", "snapshots", "containers"])
                for kind in read_list(entry.get("include_resources"), f"{where}.include_resources")
            ],
            role=None if role is None else str(role),
            takes=parse_duration(str(entry["takes"])) if "takes" in entry else None,
        )
    except SeedError:
        raise
    except ValueError as error:
        raise SeedError(f"{where}: {error}") from None


def _add_image(entry: Mapping[str, Any], where: str, backend: ImageBuilderBackend) -> None:
    arn = str(entry.get("arn"))
    model = service_model()
    if not re.fullmatch(model.shape_for("ImageBuildVersionArn").metadata["pattern"], arn):
        raise SeedError(f"{where}.arn: {arn!r} is not the ARN of an image build version")
    if arn in backend.images:
        raise SeedError(f"{where}.arn: {arn} is there twice")
    kind = read_choice(entry.get("type", "AMI"), f"{where}.type", model.shape_for("ImageType").enum)
    state = read_choice(entry.get("state", "AVAILABLE"), f"{where}.state", model.shape_for("ImageStatus").enum)
    created = _time(entry.get("date_created"), f"{where}.date_created") or backend.clock.now()
    image = Image(
        arn=arn,
        state=state,
        type=kind,
        date_created=created,
        platform=read_choice(entry.get("platform", "Linux"), f"{where}.platform", model.shape_for("Platform").enum),
        os_version=entry.get("os_version"),
        tags=_texts(entry, where),
        given_name=_text(entry, "name", where),
        reason=_text(entry, "reason", where),
        failure_context=_failure_context(entry, state, where),
    )
    if kind == "DOCKER":
        for place, container in enumerate(read_list(entry.get("containers"), f"{where}.containers")):
            read_object(container, f"{where}.containers[{place}]", _CONTAINER_KEYS)
            pushed = Container(
                _region(container, image, f"{where}.containers[{place}]"),
                image.account,
                str(container.get("repository", image.name)),
                str(container.get("tag", f"{image.version}-{image.build}")),
            )
            moto_backends.push_container(pushed)
            image.containers.append(pushed)
    else:
        uses = Uses(backend.recipes, backend.clock.now())
        for place, ami in enumerate(read_list(entry.get("amis"), f"{where}.amis")):
            spot = f"{where}.amis[{place}]"
            read_object(ami, spot, _AMI_KEYS)
            registered = moto_backends.register_ami(
                _region(ami, image, spot),
                _account(ami.get("account", image.account), f"{spot}.account"),
                name=image.label,
                snapshots=_count(ami.get("snapshots", 1), f"{spot}.snapshots"),
                public=bool(ami.get("public", False)),
                shared_accounts=[
                    _account(account, f"{spot}.shared_accounts")
                    for account in read_list(ami.get("shared_accounts"), f"{spot}.shared_accounts")
                ],
                tags=_texts(ami, spot),
                last_launched=_time(ami.get("last_launched"), f"{spot}.last_launched"),
                created=created,
            )
            if _protection(ami, spot) != "none":
                ec2_models.protect(registered, with_cooldown=_protection(ami, spot) == "with-cooldown")
            uses.create(ami.get("used_by") or {}, registered, image.arn, f"{spot}.used_by")
            image.amis.append(registered)
    backend.add_image(image)


def _protection(ami: Mapping[str, Any], where: str) -> str:
    """``none``, ``without-cooldown`` or ``with-cooldown``; true and false stand for the first two."""
    value = ami.get("deregistration_protection", False)
    if isinstance(value, bool):
        return "without-cooldown" if value else "none"
    return read_choice(value, f"{where}.deregistration_protection", ["without-cooldown", "with-cooldown"])


def _create_role(role: str) -> None:
    """By its name, or by its ARN in another account."""
    found = re.fullmatch(r"arn:aws[a-z-]*:iam::(\d{12}):role(/|/.+/)([^/]+)", role)
    if found:
        roles.create(found[3], found[1], path=found[2])
    elif re.fullmatch(r"[\w+=,.@-]+", role):
        roles.create(role, DEFAULT_ACCOUNT)
    else:
        raise SeedError(f"roles: {role!r} is neither the name nor the ARN of a role")


def _texts(entry: Mapping[str, Any], where: str) -> dict[str, str]:
    tags = entry.get("tags") or {}
    if not isinstance(tags, Mapping):
        raise SeedError(f"{where}.tags must be an object, got {tags!r}")
    return {str(key): str(value) for key, value in tags.items()}


def _text(entry: Mapping[str, Any], key: str, where: str) -> str | None:
    value = entry.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise SeedError(f"{where}.{key} must be a text, got {value!r}")
    return value


def _failure_context(entry: Mapping[str, Any], state: str, where: str) -> dict[str, Any] | None:
    """Return the context of a failed build; by default the build failed while it was building."""
    if state != "FAILED":
        if "failure_context" in entry:
            raise SeedError(f"{where}.failure_context goes with the state FAILED, not with {state}")
        return None
    context = entry.get("failure_context", {"imageStatus": "BUILDING"})
    problems = list(find_problems(service_model().shape_for("ImageFailureContext"), context, "failure_context"))
    if problems:
        raise SeedError(f"{where}: {'; '.join(problems)}")
    return dict(context)


def _account(value: Any, where: str) -> str:
    if not re.fullmatch(r"\d{12}", str(value)):
        raise SeedError(f"{where}: {value!r} is not an account of twelve digits, in quotes")
    return str(value)


def _region(entry: Mapping[str, Any], image: Image, where: str) -> str:
    region = str(entry.get("region", image.region))
    if not moto_backends.region_exists(region, DEFAULT_ACCOUNT):
        raise SeedError(f"{where}.region: {region!r} is not a Region of AWS")
    return region


def _count(value: Any, where: str) -> int:
    if type(value) is not int or not 1 <= value <= 25:
        raise SeedError(f"{where}: {value!r} is not a number from 1 to 25")
    return value


def _time(value: Any, where: str) -> datetime | None:
    if value is None:
        return None
    try:
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        raise SeedError(f"{where}: {value!r} is not a time such as 2026-01-31T00:00:00Z") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
