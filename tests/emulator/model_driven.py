"""Requests made up from the service model, half of them valid, half broken at one place.

A broken one must be refused with the place in the message. A valid one must be accepted, unless a rule of the service
speaks against it: `rules_against` says which, from the documentation alone. Nothing may be answered with 500.

    python tests/emulator/model_driven.py [--count 1000]
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import http.client
import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

import botocore.session
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from imagebuilder_emulator.emulator import Emulator

HERE = "arn:aws:imagebuilder:us-east-1:123456789012"
MODEL = botocore.session.get_session().get_service_model("imagebuilder")
OPERATIONS = (
    "StartResourceStateUpdate",
    "CancelLifecycleExecution",
    "GetLifecycleExecution",
    "ListLifecycleExecutions",
    "ListLifecycleExecutionResources",
    "GetImage",
    "ListImages",
    "ListImageBuildVersions",
    "CreateImage",
    "RetryImage",
    "DeleteImage",
    "TagResource",
    "UntagResource",
    "ListTagsForResource",
    "ListImageRecipes",
    "GetImageRecipe",
    "ListContainerRecipes",
    "GetContainerRecipe",
)
_STATES = ("AVAILABLE", "DEPRECATED", "DISABLED", "FAILED", "CANCELLED", "BUILDING", "AVAILABLE")
_KINDS = ("available", "deprecated", "disabled", "failed", "cancelled", "building", "docker")
IMAGES = {
    f"{HERE}:image/{kind}-{number}/1.0.0/1": state
    for kind, state in zip(_KINDS, _STATES, strict=True)
    for number in range(9)
}
"""What is there, with its state: nine of each kind, as hypothesis never sends the same request twice."""
RECIPES = {kind: [f"{HERE}:{kind}-recipe/web/1.2.{patch}" for patch in range(60)] for kind in ("image", "container")}
SEED = {
    "roles": ["ImageLifecycle"],
    "images": [
        {"arn": arn, "state": state, "type": "DOCKER" if "docker" in arn else "AMI", "amis": [{}], "containers": []}
        for arn, state in IMAGES.items()
    ],
}
SEED["images"][0]["amis"] = [  # type: ignore[index, call-overload]
    {
        "used_by": {
            "recipes": [
                {"name": "web", "version": arn.rpartition("/")[2], "kind": kind}
                for kind, arns in RECIPES.items()
                for arn in arns
            ]
        }
    }
]
SOON = 4_000_000_000
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/imagebuilder/aws4_request, SignedHeaders=host, Signature=0"
)
_FILTERS = {"name", "osVersion", "platform", "type", "version"}
_RECIPE_FILTERS = {
    "ListImageRecipes": {"name", "parentImage", "platform"},
    "ListContainerRecipes": {"containerType", "name", "parentImage", "platform"},
}


@dataclass
class Figures:
    """What became of the requests of one operation."""

    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)

    @property
    def valid(self) -> int:
        """How many were valid by the model."""
        return self.accepted + self.refused.total()


class World:
    """An emulator that is the same again after each request, and what a request can be made of.

    Args:
        emulator: begun with `SEED`.
        variety: how many different texts there are for each pattern.
    """

    def __init__(self, emulator: Emulator, variety: int = 60) -> None:
        self.emulator, self.variety = emulator, variety
        self._images = copy.deepcopy(list(emulator.backend.images.values()))
        self._connection = http.client.HTTPConnection("127.0.0.1", int(emulator.url.rpartition(":")[2]))
        asked = {"state": {"status": "DEPRECATED"}, "updateAt": datetime.fromtimestamp(SOON, UTC)}
        self.executions = []
        for number, arn in enumerate(itertools.islice(IMAGES, 27)):
            request = {"resourceArn": arn, "clientToken": f"before-{number}", **asked}
            answer = emulator.backend.start_resource_state_update(request, "us-east-1")
            self.executions.append(answer["lifecycleExecutionId"])
        for number, execution_id in enumerate(self.executions[::2]):
            emulator.backend.cancel_lifecycle_execution(
                {"lifecycleExecutionId": execution_id, "clientToken": f"before-{number}"}, "us-east-1"
            )
        self.restore()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def restore(self) -> None:
        """Let end what was started, and put the images back."""
        backend = self.emulator.backend
        with self.emulator.lock:
            backend.advance()
            for arn in list(backend.images):
                del backend.images[arn]
            for image in copy.deepcopy(self._images):
                backend.add_image(image)

    def unfinished(self, arn: str) -> bool:
        """Whether an image has an execution under way."""
        return any(execution.unfinished for execution in self.emulator.backend.store.executions_of(arn))

    def ask(self, operation: Any, request: dict[str, Any]) -> tuple[int, str, str]:
        """Status, code and text of the answer to a request, as it is: botocore would refuse some itself."""
        path, query, body = operation.http["requestUri"].partition("?")[0], [], {}
        for name, value in request.items():
            member = operation.input_shape.members.get(name)
            place = member.serialization.get("location") if member is not None else None
            if place == "uri":
                path = path.replace(f"{{{member.serialization['name']}}}", quote(value, safe=""))
            elif place == "querystring":
                query += [(name, item) for item in (value if isinstance(value, list) else [value])]
            else:
                body[name] = value
        headers = {"Authorization": AUTHORIZATION, "Content-Type": "application/json"}
        url = quote(path, safe="/%") + ("?" + urlencode(query) if query else "")
        self._connection.request(operation.http["method"], url, json.dumps(body) if body else None, headers)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        return answer.status, answer.headers.get("x-amzn-errortype", ""), text


def values(shape: Any, world: World) -> st.SearchStrategy[Any]:
    """Values that a shape allows; names of things that are there come up often."""
    known = {
        "ImageBuildVersionArn": list(IMAGES),
        "ImageBuilderArn": list(IMAGES),
        "ImageVersionArnOrBuildVersionArn": [
            *IMAGES,
            *(arn[:-2] for arn in IMAGES),
            *(arn[:-5] + "x.x" for arn in IMAGES),
        ],
        "ImageVersionArn": [arn[:-2] for arn in IMAGES],
        "LifecycleExecutionId": world.executions,
        "FilterName": sorted(_FILTERS),
        "ImageRecipeArn": RECIPES["image"],
        "ContainerRecipeArn": RECIPES["container"],
    }.get(shape.name, [])
    made = _made(shape, world)
    return st.one_of(st.sampled_from(known), st.sampled_from(known), made) if known else made


def _made(shape: Any, world: World) -> st.SearchStrategy[Any]:
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max")
    if shape.type_name == "structure":
        members = {name: values(member, world) for name, member in shape.members.items()}
        needed = {name: members.pop(name) for name in shape.required_members}
        return st.fixed_dictionaries(needed, optional=members)
    if shape.type_name == "list":
        return st.lists(values(shape.member, world), min_size=low, max_size=min(high or 3, 3))
    if shape.type_name == "map":
        return st.dictionaries(values(shape.key, world), values(shape.value, world), min_size=low, max_size=3)
    if shape.type_name == "boolean":
        return st.booleans()
    if shape.type_name == "integer":
        return st.integers(low, high)
    if shape.type_name == "timestamp":
        return st.one_of(st.integers(SOON, SOON + 10**8), st.integers(0, 10**9))
    if shape.enum:
        return st.sampled_from(shape.enum)
    return st.sampled_from(_texts(shape.metadata.get("pattern"), low, high, world.variety))


@functools.cache
def _texts(pattern: str | None, low: int, high: int | None, variety: int) -> list[str]:
    """Texts that match a pattern and are as long as they may be; made once, for hypothesis takes its time over them."""
    if pattern:
        made = st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True)
    else:
        made = st.text(
            st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=low, max_size=min(high or 20, 20)
        )
    found: list[str] = []
    send(variety, made.filter(lambda text: low <= len(text) <= (high or len(text))), found.append)
    return sorted(set(found))


def send(count: int, strategy: st.SearchStrategy[Any], attempt: Callable[[Any], object]) -> None:
    """Call something with ``count`` values that a strategy makes, the same ones each time."""

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def each(case: Any) -> None:
        attempt(case)

    each()


def breakages(shape: Any, value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[str, tuple[Any, ...], Any]]:
    """All ways to break a valid value at one place: what is wrong, where, and what stands there (`...` for nothing)."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    in_body = not (path and "location" in shape.serialization)
    if path and in_body:
        yield "type", path, [] if shape.type_name not in {"list"} else "text"
    if shape.type_name == "structure":
        for name in value:
            yield from breakages(shape.members[name], value[name], (*path, name))
        for name in shape.required_members:
            if name in value and shape.members[name].serialization.get("location") != "uri":
                yield "missing", (*path, name), ...
        if path or not any(member.serialization.get("location") for member in shape.members.values()):
            yield "unknown", (*path, "unheardOf"), 1
    elif shape.type_name == "list":
        if low:
            yield "min", path, []
        if high and in_body and value:
            yield "max", path, [value[0]] * (high + 1)
        for place, item in enumerate(value):
            yield from breakages(shape.member, item, (*path, place))
    elif shape.type_name == "map":
        if low:
            yield "min", path, {}
        if high:
            yield "max", path, {f"key{number}": "value" for number in range(high + 1)}
        for key, item in value.items():
            yield from breakages(shape.value, item, (*path, key))
    elif shape.type_name == "integer":
        yield "min", path, low - 1
        yield "max", path, high + 1
    elif shape.type_name == "string":
        if shape.enum:
            yield "enum", path, f"{value}X"
        if "pattern" in shape.metadata and not re.search(shape.metadata["pattern"], f"\N{PILCROW SIGN}{value}"):
            yield "pattern", path, f"\N{PILCROW SIGN}{value}"
        if low:
            yield "min", path, ""
        if high and high < 5000:
            yield "max", path, "a" * (high + 1)


@st.composite
def minded(draw: st.DrawFn, requests: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    """Requests of which some mind the rules of what goes together, or hardly one would be accepted."""
    request = draw(requests)
    if draw(st.booleans()):
        request.pop("nextToken", None)
        if "state" in request:
            request["resourceArn"] = draw(st.sampled_from(list(IMAGES)[:45]))
            request["state"] = {"status": draw(st.sampled_from(["AVAILABLE", "DISABLED", "DELETED", "DEPRECATED"]))}
            request["includeResources"] = {"amis": True, "snapshots": request["state"]["status"] == "DELETED"}
            request.setdefault("executionRole", "ImageLifecycle")
            if request["state"]["status"] != "DEPRECATED":
                request.pop("updateAt", None)
        if "imageRecipeArn" in request and "clientToken" in request:
            request.pop("containerRecipeArn", None)
            request.setdefault("executionRole", "ImageLifecycle")
    return request


def broken_at(request: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy of a request with one place changed."""
    request = copy.deepcopy(request)
    place: Any = request
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return request


def written(path: tuple[Any, ...]) -> str:
    """A path as the emulator writes it."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def rules_against(operation: str, request: dict[str, Any], world: World) -> set[str]:
    """The errors that the rules call for, read from the documentation alone; empty where it must be accepted."""
    found = {"InvalidPaginationTokenException"} if "nextToken" in request else set()
    arn = request.get("resourceArn") or request.get("imageBuildVersionArn") or ""
    if operation == "StartResourceStateUpdate":
        return found | _against_update(request, world)
    if operation == "RetryImage":
        return _against_retry(arn, world)
    if operation == "CreateImage":
        return _against_build(request)
    if "lifecycleExecutionId" in request and request["lifecycleExecutionId"] not in world.executions:
        return found | {"ResourceNotFoundException"}
    if operation == "CancelLifecycleExecution":
        ended = not world.emulator.backend.executions[request["lifecycleExecutionId"]].unfinished
        return {"InvalidRequestException"} if ended else set()
    if operation == "ListLifecycleExecutions":
        one_of = r"(image/[^/]+/\d+\.\d+\.\d+/\d+|lifecycle-policy/[^/]+)"
        return found | (set() if re.fullmatch(f".*:{one_of}", arn) else {"InvalidRequestException"})
    if operation == "DeleteImage" and (IMAGES.get(arn) == "BUILDING" or (arn in IMAGES and world.unfinished(arn))):
        return {"ResourceDependencyException"}
    if operation == "GetImage" and re.search(r"\.[^/]*$", arn):
        return _against_version(arn)
    if operation in {"GetImageRecipe", "GetContainerRecipe"}:
        known = {recipe for recipes in RECIPES.values() for recipe in recipes}
        wanted = request.get("imageRecipeArn") or request["containerRecipeArn"]
        return set() if wanted in known else {"ResourceNotFoundException"}
    if operation in _RECIPE_FILTERS:
        unknown = {each.get("name") for each in request.get("filters", [])} - _RECIPE_FILTERS[operation]
        return found | ({"InvalidRequestException"} if unknown else set())
    if operation in {"ListImages", "ListImageBuildVersions"}:
        names = {each.get("name") for each in request.get("filters", [])}
        if names - _FILTERS or ("version" in names and request.get("byName")):
            found.add("InvalidRequestException")
        return found
    return found if not arn or arn in IMAGES else found | {"ResourceNotFoundException"}


def _against_update(request: dict[str, Any], world: World) -> set[str]:
    arn, target = request["resourceArn"], request["state"].get("status")
    includes = {kind for kind, wanted in request.get("includeResources", {}).items() if wanted}
    state, at = IMAGES.get(arn), request.get("updateAt")
    forbidden = (
        target is None,
        ("executionRole" in request) != ("includeResources" in request),
        target != "DELETED" and includes & {"snapshots", "containers"},
        target == "DELETED" and not includes,
        at is not None and (target != "DEPRECATED" or at < SOON),
        state == "BUILDING",
        state in {"FAILED", "CANCELLED"} and target != "DELETED",
        "docker" in arn and target != "DELETED",
    )
    found = {"InvalidRequestException"} if any(forbidden) else set()
    if not arn.split(":")[4].isdecimal():
        return {"ForbiddenException"}
    if state is None:
        found.add("ResourceNotFoundException")
    elif (includes or at) and world.unfinished(arn):
        found.add("ResourceInUseException")
    return found


def _against_retry(arn: str, world: World) -> set[str]:
    if arn not in IMAGES:
        return {"ResourceNotFoundException"}
    if "docker" in arn or IMAGES[arn] not in {"FAILED", "CANCELLED"}:
        return {"InvalidRequestException"}
    return {"ResourceInUseException"} if world.unfinished(arn) else set()


def _against_build(request: dict[str, Any]) -> set[str]:
    recipes = [request[name] for name in ("imageRecipeArn", "containerRecipeArn") if name in request]
    group = request.get("loggingConfiguration", {}).get("logGroupName", "/aws/imagebuilder/")
    role = "executionRole" in request
    forbidden = (
        len(recipes) != 1,
        any(not re.search(r":us-east-1:.*/\d+\.\d+\.\d+$", recipe) for recipe in recipes),
        any(int(number) >= 2**30 for recipe in recipes for number in re.findall(r"\d+", recipe.rpartition("/")[2])),
        request.get("workflows") and not role,
        not group.startswith("/aws/imagebuilder/") and not role,
    )
    return {"InvalidRequestException"} if any(forbidden) else set()


def _against_version(arn: str) -> set[str]:
    version = arn.rpartition("/")[2]
    numbers = [int(number) for number in re.findall(r"\d+", version)]
    if re.search(r"x\.\d", version) or any(number >= 2**30 for number in numbers):
        return {"InvalidRequestException"}
    pattern = re.compile(re.escape(arn[: -len(version)]) + version.replace(".", r"\.").replace("x", r"\d+") + r"/\d+")
    there = any(state == "AVAILABLE" and pattern.fullmatch(known) for known, state in IMAGES.items())
    return set() if there else {"ResourceNotFoundException"}


def try_valid(world: World, name: str, figures: Figures, request: dict[str, Any]) -> None:
    """Send a valid request; it must end as the rules say."""
    operation = MODEL.operation_model(name)
    expected = rules_against(name, request, world)
    status, code, text = world.ask(operation, request)
    assert status < 500, (request, status, text)
    assert (not expected) if status == 200 else (code in expected), (request, expected, code, text)
    if status == 200:
        figures.accepted += 1
        world.restore()
    else:
        figures.refused[code] += 1


def try_broken(world: World, name: str, figures: Figures, case: tuple[dict[str, Any], str, tuple[Any, ...]]) -> None:
    """Send a broken request; it must be refused, and told where it is broken."""
    request, kind, path = case
    operation = MODEL.operation_model(name)
    status, code, text = world.ask(operation, request)
    errors = {shape.name for shape in operation.error_shapes} & {"InvalidRequestException", "InvalidParameterException"}
    assert (status, {code}) == (400, errors), (request, kind, path, status, code, text)
    assert written(path) in json.loads(text)["message"], (path, text)
    figures.broken[kind] += 1


def run(world: World, name: str, count: int) -> Figures:
    """Send ``count`` requests of an operation; returns what became of them.

    Raises:
        AssertionError: one was answered wrongly; hypothesis tells the smallest it can find.
    """
    figures = Figures()
    shape = MODEL.operation_model(name).input_shape
    requests = values(shape, world)
    # Every token is a new one: what happens to one that comes twice is in test_service.py.
    if "clientToken" in shape.members:
        numbers = itertools.count()
        requests = requests.map(lambda request: {**request, "clientToken": f"token-{name}-{next(numbers)}"[-64:]})

    @st.composite
    def broken(draw: st.DrawFn) -> tuple[dict[str, Any], str, tuple[Any, ...]]:
        request = draw(requests)
        kind, path, value = draw(st.sampled_from(list(breakages(shape, request))))
        return broken_at(request, path, value), kind, path

    send(count // 2, minded(requests), partial(try_valid, world, name, figures))
    send(count // 2, broken(), partial(try_broken, world, name, figures))
    return figures


def main() -> int:
    """Print the figures; returns the exit code."""
    parser = argparse.ArgumentParser(description="Send the emulator requests made up from the service model.")
    parser.add_argument("--count", type=int, default=1000, help="requests of each operation")
    count: int = parser.parse_args().count
    print(f"{'operation':<33}{'valid':>7}{'accepted':>10}{'by a rule refused':>19}{'broken, all refused':>21}")
    total = 0
    kinds: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    with Emulator(SEED, execution_time="0s") as emulator, contextlib.closing(World(emulator, count)) as world:
        for name in OPERATIONS:
            figures = run(world, name, count)
            by_rule, broken = figures.refused.total(), figures.broken.total()
            total += figures.valid + broken
            print(f"{name:<33}{figures.valid:>7}{figures.accepted:>10}{by_rule:>19}{broken:>21}", flush=True)
            kinds.update(figures.broken)
            codes.update(figures.refused)
    print("broken by:", ", ".join(f"{kind} {many}" for kind, many in kinds.most_common()))
    print("rules refused as:", ", ".join(f"{code} {many}" for code, many in codes.most_common()))
    print(f"{total} requests, each accepted or refused as it should be; none was answered with 500.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
