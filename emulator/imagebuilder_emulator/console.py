"""The console at ``/console``: one page, and what it shows.

The page asks ``/_emulator/overview`` again and again. An answer holds one page of images and the newest executions, so
that it stays small with thousands of them.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib import resources
from typing import Any

from . import moto_backends
from .ec2_models import protection
from .entities import Ami, Execution, Image
from .environment import Environment
from .requestlog import Request
from .used_by import UseIndex

PAGE = 50
"""How many images an answer holds at most."""
_EXECUTIONS = 30
_REQUESTS = 14


@functools.lru_cache(maxsize=1)
def page() -> tuple[str, Mapping[str, str]]:
    """Return the page and its headers: it runs its own script alone, and loads nothing from elsewhere."""
    text = resources.files(__package__).joinpath("console.html").read_text(encoding="utf-8")
    allowed = {kind: _digest(text, kind) for kind in ("script", "style")}
    policy = (
        f"default-src 'none'; connect-src 'self'; img-src data:; script-src {allowed['script']}; "
        f"style-src {allowed['style']}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text, {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }


def _digest(text: str, tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    assert found
    return f"'sha256-{base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()}'"


def overview(environment: Environment, *, search: str = "", state: str = "", region: str = "", start: int = 0) -> Any:
    """Return what the page shows, as of now.

    Args:
        environment: what is looked at.
        search: part of an image's ARN or of an AMI's id.
        state: only images in this state.
        region: only images of this region.
        start: how many of the images that match come before the page.
    """
    with environment.lock:
        backend = environment.backend
        backend.advance()
        now = backend.clock.now()
        everything = list(backend.images.values())
        matching = [image for image in everything if _matches(image, search, state, region)]
        matching.sort(key=lambda image: (*image.sort_key, image.region))
        executions = backend.executions.values()
        snapshots, uses = moto_backends.SnapshotIndex(), UseIndex(backend.recipes)
        return {
            "now": now.isoformat(),
            "offset_seconds": backend.clock.offset.total_seconds(),
            "images": {
                "total": len(everything),
                "states": dict(sorted(Counter(image.state for image in everything).items())),
                "regions": sorted({image.region for image in everything}),
                "matching": len(matching),
                "start": start,
                "page": PAGE,
                "rows": [
                    _image(image, backend.store.unfinished_execution(image), snapshots, uses, now)
                    for image in matching[start : start + PAGE]
                ],
            },
            "executions": {
                "statuses": dict(sorted(Counter(execution.status for execution in executions).items())),
                "rows": [_execution(execution, now) for execution in _worth_showing(executions)],
            },
            "faults": environment.faults.as_json(),
            "requests": {
                "total": sum(environment.requests.counts().values()),
                "rows": [_request(request) for request in environment.requests.newest(_REQUESTS)],
            },
        }


def _matches(image: Image, search: str, state: str, region: str) -> bool:
    return (
        (not state or image.state == state)
        and (not region or image.region == region)
        and (not search or search in image.arn or any(search in ami.id for ami in image.amis))
    )


def _worth_showing(executions: Any) -> Iterator[Execution]:
    """Return those under way and then those that ended, the newest first of each."""
    under_way = (each for each in reversed(executions) if each.unfinished)
    ended = (each for each in reversed(executions) if not each.unfinished)
    return itertools.islice(itertools.chain(under_way, ended), _EXECUTIONS)


def _image(
    image: Image,
    under_way: Execution | None,
    snapshots: moto_backends.SnapshotIndex,
    uses: UseIndex,
    now: datetime,
) -> dict[str, Any]:
    return {
        "arn": image.arn,
        "name": image.name,
        "version": f"{image.version}/{image.build}",
        "region": image.region,
        "state": image.state,
        "under_way": under_way.target if under_way and under_way.status != "PENDING" else None,
        "deprecated_at": _text(image.deprecation_time),
        "amis": [_ami(ami, image, snapshots, uses, now) for ami in sorted(image.amis, key=lambda ami: ami.region)],
        "containers": [
            {"region": container.region, "uri": container.uri, "there": moto_backends.container_exists(container)}
            for container in image.containers
        ],
    }


def _ami(
    ami: Ami, image: Image, snapshots: moto_backends.SnapshotIndex, uses: UseIndex, now: datetime
) -> dict[str, Any]:
    found = moto_backends.find_ami(ami)
    deprecated_at = found.deprecation_time if isinstance(found, moto_backends.DistributedAmi) else None
    state = found.state if found else "gone"
    if state == "available" and deprecated_at and datetime.fromisoformat(deprecated_at.replace("Z", "+00:00")) <= now:
        state = "deprecated"
    permissions = found.launch_permissions if found else []
    return {
        "id": ami.id,
        "region": ami.region,
        "account": None if ami.account == image.account else ami.account,
        "state": state,
        "deprecated_at": deprecated_at,
        "public": bool(found and found.is_public),
        "shared_accounts": [each["UserId"] for each in permissions if "UserId" in each],
        "last_launched": getattr(found, "last_launched_time", None),
        "snapshots": snapshots.of(ami),
        "protection": protection(ami),
        "used_by": uses.of(ami, image.arn),
    }


def _execution(execution: Execution, now: datetime) -> dict[str, Any]:
    waits = execution.scheduled and execution.status == "PENDING"
    return {
        "id": execution.id,
        "name": execution.image_arn.rsplit("/", 3)[1],
        "version": "/".join(execution.image_arn.rsplit("/", 2)[1:]),
        "target": execution.target,
        "status": execution.status,
        "reason": execution.reason,
        "scheduled_for": _text(execution.begins_at) if waits else None,
        "seconds": round(((execution.end or now) - execution.asked_at).total_seconds(), 1),
        "resources": [
            {
                "id": impact.resource.id if isinstance(impact.resource, Ami) else impact.resource.uri,
                "region": impact.resource.region,
                "status": impact.status,
                "reason": impact.reason,
            }
            for impact in execution.impacts
        ],
    }


def _request(request: Request) -> dict[str, Any]:
    return {
        "time": request.time.isoformat(timespec="milliseconds"),
        "service": request.service,
        "operation": request.operation,
        "status": request.status if request.answered else None,
        "error": request.error,
        "under_way": request.seconds is None,
    }


def _text(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
