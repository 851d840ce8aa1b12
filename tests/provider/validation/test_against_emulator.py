"""Validation against the emulator, which was written without it: what one accepts, the other accepts."""

from __future__ import annotations

import collections
import copy
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore
import botocore.session
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pulumi_imagebuilder.validation import Kind, request, validate

IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"
ROLE = "arn:aws:iam::123456789012:role/ImageLifecycle"
SEED = f"""
roles: [ImageLifecycle]
images:
  - arn: {IMAGE}
    amis: [{{region: us-east-1, snapshots: 1}}]
"""
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/imagebuilder/aws4_request, SignedHeaders=host, Signature=0"
)
REFUSED_BY_SHAPE_OR_RULE = {
    "InvalidRequestException",
    "ValidationException",
    "InvalidParameterException",
    # Images that Amazon owns.
    "ForbiddenException",
}
PASSED_SHAPES_AND_RULES = {
    "ResourceInUseException",
    "IdempotentParameterMismatchException",
    "ResourceNotFoundException",
}
"""The image is in use as soon as one request of many has started something, tokens come twice, and ARNs are made up."""

Verdict = Callable[[dict[str, Any]], str | None]


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verdict]:
    """Send a request to the emulator; return its reason if it refuses the request for its shape or by a rule."""
    seed = tmp_path_factory.mktemp("emulator") / "seed.yaml"
    seed.write_text(SEED, encoding="utf-8")
    command = Path(sys.executable).with_name("imagebuilder-emulator")
    with subprocess.Popen(
        [command, "--port", "0", "--seed", seed, "--execution-time", "24h"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().removeprefix("Listening on ").strip()
            yield lambda parameters: _send(url, parameters)
        finally:
            process.terminate()
            process.wait(10)


def _send(url: str, parameters: dict[str, Any]) -> str | None:
    # Not through boto3, which would refuse some of the requests itself.
    body = json.dumps(parameters, default=datetime.timestamp).encode()
    sent = urllib.request.Request(f"{url}/StartResourceStateUpdate", body, method="PUT")
    sent.add_header("Authorization", AUTHORIZATION)
    sent.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(sent, timeout=10):
            return None
    except urllib.error.HTTPError as error:
        code, text = error.headers["x-amzn-errortype"].split(":")[0], error.read().decode()
        assert code in REFUSED_BY_SHAPE_OR_RULE | PASSED_SHAPES_AND_RULES, (code, text)
        return text if code in REFUSED_BY_SHAPE_OR_RULE else None


def to_parameters(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a declaration as it was written, without any code of the provider."""
    parameters = {"clientToken": "token", **{camel(name): item for name, item in inputs.items()}}
    if "state" in parameters:
        parameters["state"] = {"status": parameters["state"]}
    if isinstance(parameters.get("includeResources"), dict):
        parameters["includeResources"] = {camel(name): item for name, item in parameters["includeResources"].items()}
    rules = parameters.get("exclusionRules")
    if isinstance(rules, dict) and isinstance(rules.get("amis"), dict):
        parameters["exclusionRules"] = {**rules, "amis": {camel(name): item for name, item in rules["amis"].items()}}
    if isinstance(parameters.get("updateAt"), str) and re.fullmatch(r"\d{4}-.*Z", parameters["updateAt"]):
        parameters["updateAt"] = datetime.fromisoformat(parameters["updateAt"].replace("Z", "+00:00")).timestamp()
    return parameters


def camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


RULES = st.fixed_dictionaries(
    {},
    optional={
        "is_public": st.booleans(),
        "regions": st.lists(st.sampled_from(["us-east-1", "eu-west-1", "ap-south-1"]), min_size=1, max_size=4),
        "shared_accounts": st.lists(st.from_regex("(?!0{12})[0-9]{12}", fullmatch=True), min_size=1, max_size=4),
        "last_launched": st.fixed_dictionaries(
            {"value": st.integers(1, 365), "unit": st.sampled_from(["DAYS", "WEEKS", "MONTHS", "YEARS"])}
        ),
        "tag_map": st.dictionaries(
            st.from_regex(r"(?!aws:)[a-zA-Z0-9_.:/=+\-@ ]{1,128}", fullmatch=True),
            st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=256),
            min_size=1,
            max_size=4,
        ),
    },
).filter(bool)


@st.composite
def declarations(draw: st.DrawFn) -> dict[str, Any]:
    """Return declarations that break no rule."""
    state = draw(st.sampled_from(["AVAILABLE", "DEPRECATED", "DISABLED", "DELETED"]))
    inputs: dict[str, Any] = {"resource_arn": IMAGE, "state": state}
    if state == "DELETED" or draw(st.booleans()):
        inputs["execution_role"] = draw(st.sampled_from([ROLE, "ImageLifecycle"]))
        inputs["include_resources"] = {"amis": True}
        if state == "DELETED":
            inputs["include_resources"].update(
                draw(st.fixed_dictionaries({}, optional={"snapshots": st.booleans(), "containers": st.just(False)}))
            )
        if draw(st.booleans()):
            inputs["exclusion_rules"] = {"amis": draw(RULES)}
    if state == "DEPRECATED" and draw(st.booleans()):
        inputs["update_at"] = f"{draw(st.datetimes(datetime(2100, 1, 1), datetime(2200, 1, 1))):%Y-%m-%dT%H:%M:%S}Z"
    if draw(st.booleans()):
        inputs["client_token"] = draw(
            st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=64)
        )
    return inputs


JUNK: list[Any] = [
    "", "x", "x" * 65, "x" * 2049, 0, 1, 3.5, 366, -1, True, False, [], ["x"], [""], [1], {}, {"x": "y"},
    {"aws:x": "y"}, IMAGE, IMAGE[:-2], f"{IMAGE}\n", {"amis": True}, {"snapshots": True}, {"containers": True},
    {"amis": {"is_public": True}}, {"value": 1}, {"value": 0, "unit": "DAYS"}, ["123456789012"], ["12345678901"],
]  # fmt: skip
PLAUSIBLE: dict[str, list[Any]] = {
    "state": ["AVAILABLE", "DEPRECATED", "DISABLED", "DELETED"],
    "execution_role": [ROLE],
    "snapshots": [True],
    "containers": [True],
    "update_at": ["2001-01-01T00:00:00Z", "2150-01-01T00:00:00Z"],
}
"""Valid by themselves, and wrong only beside another argument."""


@st.composite
def broken(draw: st.DrawFn) -> dict[str, Any]:
    """Return declarations with one change: something left out, or a value that may be wrong in its place."""
    inputs = copy.deepcopy(draw(declarations()))
    more = [("execution_role",), ("include_resources",), ("update_at",), ("exclusion_rules",)]
    if "include_resources" in inputs:
        more += [("include_resources", "snapshots"), ("include_resources", "containers")]
    *above, last = draw(st.sampled_from([*paths(inputs), *more]))
    place = inputs
    for name in above:
        place = place[name]
    what = draw(st.sampled_from(["leave out", "junk", "plausible"]))
    if what == "leave out":
        place.pop(last, None)
    else:
        place[last] = copy.deepcopy(draw(st.sampled_from(JUNK if what == "junk" else PLAUSIBLE.get(last, JUNK))))
    return inputs


def paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the path of everything in a declaration that can be left out or replaced."""
    for name, item in value.items() if isinstance(value, dict) else ():
        yield (*above, name)
        yield from paths(item, (*above, name))


MODEL = botocore.session.get_session().get_service_model("imagebuilder")
REQUEST = MODEL.operation_model("StartResourceStateUpdate").input_shape


def of_shape(shape: Any) -> st.SearchStrategy[Any]:
    """Return requests that fit the service's model, at its bounds and beyond, one in twenty with another value."""
    return st.integers(0, 19).flatmap(lambda chance: st.sampled_from(JUNK) if chance == 0 else _near(shape))


def _near(shape: Any) -> st.SearchStrategy[Any]:
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 70)
    if shape.type_name == "structure":
        wanted = {name: of_shape(member) for name, member in shape.members.items()}
        # An executable request is rare among wholly random ones: what is required is mostly there.
        kept = {name: wanted.pop(name) for name in shape.required_members}
        return st.fixed_dictionaries(kept, optional=wanted)
    if shape.type_name == "list":
        return st.lists(of_shape(shape.member), max_size=3)
    if shape.type_name == "map":
        return st.dictionaries(_near(shape.key), of_shape(shape.value), max_size=3)
    if shape.type_name == "string":
        if shape.enum:
            return st.sampled_from(shape.enum)
        if shape.name in KNOWN:
            return st.one_of(st.sampled_from(KNOWN[shape.name]), _text(shape, low, high))
        return _text(shape, low, high)
    if shape.type_name == "timestamp":
        return st.integers(1_000_000_000, 9_000_000_000)
    return st.booleans() if shape.type_name == "boolean" else st.integers(low - 1, high + 1)


KNOWN = {"ImageBuildVersionArn": [IMAGE], "RoleNameOrArn": [ROLE], "AccountId": ["123456789012"]}


def _text(shape: Any, low: int, high: int) -> st.SearchStrategy[str]:
    if "pattern" in shape.metadata:
        return st.from_regex(shape.metadata["pattern"])
    return st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=min(high, 70) + 1)


def as_declared(request: dict[str, Any]) -> dict[str, Any]:
    """Return a request as a program would declare it."""
    inputs = snake(request)
    if isinstance(inputs.get("state"), dict) and inputs["state"].keys() == {"status"}:
        inputs["state"] = inputs["state"]["status"]
    if isinstance(inputs.get("update_at"), int) and inputs["update_at"] >= 1_000_000_000:
        inputs["update_at"] = f"{datetime.fromtimestamp(inputs['update_at'], UTC):%Y-%m-%dT%H:%M:%SZ}"
    return inputs


def snake(value: Any) -> Any:
    """Return a value with the names of members as Python has them; tags keep theirs."""
    if not isinstance(value, dict):
        return value
    return {botocore.xform_name(name): item if name == "tagMap" else snake(item) for name, item in value.items()}


ONE_EMULATOR = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ONE_EMULATOR
@given(inputs=declarations())
def test_valid_declarations_are_accepted_by_both(inputs: dict[str, Any], verdict: Verdict) -> None:
    """A declaration that breaks no rule is valid, and the emulator accepts the request that is made of it."""
    validated = validate(Kind.SINGLE, inputs)

    assert validated.failures == []
    token = inputs.get("client_token", "token")
    assert verdict({**request(validated.inputs), "resourceArn": IMAGE, "clientToken": token}) is None


class Tally(collections.Counter[tuple[str, str]]):
    """Counts each pair of verdicts, so that no property holds only because it was never tried."""

    def judge(self, inputs: dict[str, Any], refusal: str | None) -> None:
        """Assert that validation fails wherever the emulator refuses a request for its shape, or by a rule."""
        failures = validate(Kind.SINGLE, inputs).failures
        self["refused" if refusal else "accepted", "failed" if failures else "valid"] += 1
        assert failures or refusal is None, refusal


def test_emulator_accepts_valid_declarations_as_written(verdict: Verdict) -> None:
    """Every request that the emulator refuses for its shape, or by a rule, fails validation before."""
    tally = Tally()

    @ONE_EMULATOR
    @given(inputs=broken())
    def holds(inputs: dict[str, Any]) -> None:
        tally.judge(inputs, verdict(to_parameters(inputs)))

    holds()
    assert tally["refused", "failed"] >= 50
    assert tally["accepted", "valid"] >= 10


def test_emulator_accepts_valid_requests_made_from_the_model(verdict: Verdict) -> None:
    """The same holds for requests that are made from the service's own model, at its bounds and beyond."""
    tally = Tally()

    @ONE_EMULATOR
    @given(parameters=st.one_of(_near(REQUEST), of_shape(REQUEST).filter(lambda made: isinstance(made, dict))))
    def holds(parameters: dict[str, Any]) -> None:
        tally.judge(as_declared(parameters), verdict({"clientToken": "token", **parameters}))

    holds()
    assert tally["refused", "failed"] >= 50


@ONE_EMULATOR
@given(inputs=broken())
def test_emulator_accepts_requests_of_valid_declarations(inputs: dict[str, Any], verdict: Verdict) -> None:
    """The emulator accepts the request that is made of any valid declaration."""
    validated = validate(Kind.SINGLE, inputs)

    if not validated.failures:
        parameters = {**request(validated.inputs), "resourceArn": inputs["resource_arn"], "clientToken": "token"}
        assert verdict(parameters) is None
