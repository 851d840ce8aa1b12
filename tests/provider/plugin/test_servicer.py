"""The provider's side of Pulumi's protocol."""

from __future__ import annotations

import asyncio
import contextlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, status_pb2
from pulumi_imagebuilder._version import __version__
from pulumi_imagebuilder.aws.configuration import Configuration
from pulumi_imagebuilder.engine import Engine
from pulumi_imagebuilder.errors import PermanentError, TimedOut
from pulumi_imagebuilder.handlers import HANDLERS, Result
from pulumi_imagebuilder.host import Call
from pulumi_imagebuilder.lifecycle.guard import Guard, PreviewText
from pulumi_imagebuilder.plugin.servicer import Servicer
from pulumi_imagebuilder.validation import UNKNOWN, Kind

ROOT = Path(__file__).resolve().parents[3]
ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"
OTHER = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/2"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
GOOD = {"resourceArn": ARN, "state": "DISABLED", "executionRole": "Role", "includeResources": {"amis": True}}
DECLARED = {**GOOD, "wait": True, "onDestroy": "retain", "inUse": "refuse"}
DONE = {**DECLARED, "imageState": "DISABLED", "status": "SUCCESS", "lifecycleExecutionId": "lce-1", "resources": []}


class Aborted(Exception):
    """What `context.abort` raises."""


class Context:
    """Stands in for gRPC's context of one call."""

    def __init__(self) -> None:
        self.text = ""
        self.trailing: tuple[tuple[str, bytes], ...] = ()

    async def abort(self, code: grpc.StatusCode, text: str, trailing: Any = ()) -> None:
        assert code is grpc.StatusCode.UNKNOWN
        self.text, self.trailing = text, trailing
        raise Aborted(text)


class StubHandler:
    """Stands in for a handler: answers what it was made with, and keeps what it was called with."""

    arguments = ("resource_arn", "state")

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        self.calls: list[tuple[Any, ...]] = []

    def images(self, properties: Mapping[str, Any]) -> list[str]:
        return [properties["resource_arn"]] if "resource_arn" in properties else []

    def __getattr__(self, name: str) -> Any:
        async def answer(*arguments: Any) -> Any:
            self.calls.append((name, *arguments))
            return self._answers[name]

        return answer


def urn(kind: str = "ResourceStateUpdate") -> str:
    return f"urn:pulumi:dev::test::imagebuilder:index:{kind}::web"


def struct(values: Mapping[str, Any]) -> Any:
    return json_format.ParseDict(values, struct_pb2.Struct())


def to_dict(message: Any) -> Any:
    return json_format.MessageToDict(message)


def call(method: Any, request: Any) -> tuple[Any, Context]:
    """Call a method; returns its answer, None for an error, and the context."""
    context = Context()
    try:
        return asyncio.run(method(request, context)), context
    except Aborted:
        return None, context


def details(context: Context) -> Any:
    """The details of an error with which a resource is recorded."""
    ((name, value),) = context.trailing
    assert name == "grpc-status-details-bin"
    status = status_pb2.Status.FromString(value)
    found = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(found)
    assert status.message == context.text
    return found


@pytest.fixture
def servicer() -> Servicer:
    return Servicer(None)


def with_handler(servicer: Servicer, **answers: Any) -> StubHandler:
    handler = StubHandler(**answers)
    servicer._handlers["imagebuilder:index:ResourceStateUpdate"] = handler  # type: ignore[assignment]
    return handler


def test_what_it_is(servicer: Servicer) -> None:
    """Version, schema, and what the engine may send it."""
    info, _ = call(servicer.GetPluginInfo, empty_pb2.Empty())
    assert info.version == __version__
    schema, _ = call(servicer.GetSchema, provider_pb2.GetSchemaRequest())
    assert '"name": "imagebuilder"' in schema.schema
    agreed, _ = call(servicer.Handshake, provider_pb2.ProviderHandshakeRequest())
    assert (agreed.accept_secrets, agreed.accept_resources, agreed.accept_outputs) == (True, False, False)
    configured, _ = call(servicer.Configure, provider_pb2.ConfigureRequest())
    assert (configured.acceptSecrets, configured.supportsPreview) == (True, True)


def test_every_kind_is_served(servicer: Servicer) -> None:
    """By its token in the schema."""
    assert len(HANDLERS) == len(Kind)
    for kind in Kind:
        answer, _ = call(servicer.Check, provider_pb2.CheckRequest(urn=urn(kind.value), news=struct({})))
        assert answer.failures


def test_an_unknown_resource_type(servicer: Servicer) -> None:
    """Is named, with the version."""
    _, context = call(servicer.Check, provider_pb2.CheckRequest(urn=urn("Nothing")))
    assert context.text == f"there is no resource imagebuilder:index:Nothing in imagebuilder {__version__}"


def test_attach(servicer: Servicer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine that attaches is the one that is served from then on."""
    monkeypatch.setattr("pulumi_imagebuilder.engine.Engine.watch", lambda _: None)
    call(servicer.Attach, plugin_pb2.PluginAttach(address="127.0.0.1:9"))
    assert servicer._host.engine.address == "127.0.0.1:9"


# --- configuration ---------------------------------------------------------------------------------------------------


def test_the_configurations_keys() -> None:
    """All that the provider reads are accepted; one that does nothing is refused with the reason."""
    servicer = Servicer(None)
    every = struct({**dict.fromkeys(Configuration.KEYS, "x"), "version": "0.1.0"})
    assert not call(servicer.CheckConfig, provider_pb2.CheckRequest(news=every))[0].failures
    answer, _ = call(servicer.CheckConfig, provider_pb2.CheckRequest(news=struct({"reigon": "x", "maxRetries": "3"})))
    unused, unknown = answer.failures
    assert unused.property == "maxRetries"
    assert unused.reason == "not used: a call is retried until the time limit of the resource; leave it out"
    assert unknown.property == "reigon"
    assert unknown.reason.startswith("not a key of imagebuilder; expected one of accessKey,")


def test_the_configuration_is_read(servicer: Servicer) -> None:
    """Texts, JSON, values of other types and secrets; what a preview does not know yet is left out."""
    args = struct(
        {
            "region": "eu-west-1",
            "forbiddenAccountIds": '["1"]',
            "allowedAccountIds": ["2"],
            "insecure": True,
            "secretKey": {**SECRET, "value": "hidden"},
            "accessKey": "AKIA",
            "profile": UNKNOWN,
        }
    )
    call(servicer.Configure, provider_pb2.ConfigureRequest(args=args))
    found = Configuration.parse(servicer._setting, prefix="imagebuilder")
    assert (found.region, found.forbidden_accounts, found.allowed_accounts) == ("eu-west-1", ("1",), ("2",))
    assert (found.verify, found.secret_key, found.profile) == (False, "hidden", None)


def test_another_configuration_replaces_nothing(servicer: Servicer) -> None:
    """It is shown, and that is all."""
    request = provider_pb2.DiffRequest(olds=struct({"profile": "a", "region": "x"}), news=struct({"profile": "b"}))
    answer, _ = call(servicer.DiffConfig, request)
    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert (list(answer.diffs), list(answer.replaces)) == (["profile", "region"], [])
    same, _ = call(servicer.DiffConfig, provider_pb2.DiffRequest(olds=struct({"a": "b"}), news=struct({"a": "b"})))
    assert same.changes == provider_pb2.DiffResponse.DIFF_NONE


# --- check and diff --------------------------------------------------------------------------------------------------


def test_inputs_are_normalised(servicer: Servicer) -> None:
    """With defaults, in the names of the schema; unknown values and secrets stay what they are."""
    rules = {"amis": {"regions": ["us-west-2", "eu-west-1"], "tagMap": {"cost_center": {**SECRET, "value": "x"}}}}
    news = {**GOOD, "resourceArn": UNKNOWN, "exclusionRules": rules, "__internal": "x"}
    answer, _ = call(servicer.Check, provider_pb2.CheckRequest(urn=urn(), news=struct(news)))
    assert not answer.failures
    rules["amis"]["regions"].sort()
    assert to_dict(answer.inputs) == {**DECLARED, "resourceArn": UNKNOWN, "exclusionRules": rules}


def test_failures_are_in_the_names_of_the_schema(servicer: Servicer) -> None:
    """Paths and texts; keys and values of the user's stay as they are."""
    news = {
        **GOOD,
        "includeResources": {"snapshots": True},
        "exclusionRules": {"amis": {"lastLaunched": {"value": 1, "unit": "last_days"}, "tagMap": {"cost_center": 1}}},
        "onDestry": "retain",
    }
    answer, _ = call(servicer.Check, provider_pb2.CheckRequest(urn=urn(), news=struct(news)))
    reasons = {failure.property: failure.reason for failure in answer.failures}
    assert reasons["onDestry"] == "not an argument of ResourceStateUpdate; did you mean `onDestroy`?"
    assert '"last_days" is not valid' in reasons["exclusionRules.amis.lastLaunched.unit"]
    assert "exclusionRules.amis.tagMap.cost_center" in reasons
    assert not any(re.search(r"\b[a-z]+_[a-z]", re.sub('"[^"]*"', "", reason)) for reason in reasons.values())


def test_a_failure_shows_no_secret(servicer: Servicer) -> None:
    """Nor lets it the engine show one."""
    news = {**GOOD, "clientToken": {**SECRET, "value": "x" * 65}}
    answer, _ = call(servicer.Check, provider_pb2.CheckRequest(urn=urn(), news=struct(news)))
    (failure,) = answer.failures
    assert failure.property == '["clientToken"]'
    assert failure.reason.startswith("[secret] is not valid")


def diff(
    servicer: Servicer, olds: Mapping[str, Any], news: Mapping[str, Any], kind: str = "ResourceStateUpdate"
) -> Any:
    request = provider_pb2.DiffRequest(urn=urn(kind), olds=struct(olds), news=struct(news))
    return call(servicer.Diff, request)[0]


def test_no_difference(servicer: Servicer) -> None:
    """Says so, and not that it does not know."""
    assert diff(servicer, DONE, DECLARED).changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_difference_by_path(servicer: Servicer) -> None:
    """The property, and the path inside of it."""
    answer = diff(servicer, DONE, {**DECLARED, "includeResources": {"amis": True, "snapshots": True}})
    assert (answer.changes, list(answer.diffs)) == (provider_pb2.DiffResponse.DIFF_SOME, ["includeResources"])
    assert to_dict(answer)["detailedDiff"] == {"includeResources.snapshots": {}}  # ADD is 0.
    assert list(answer.replaces) == []


def test_a_difference_that_replaces(servicer: Servicer) -> None:
    """Another image is another resource."""
    answer = diff(servicer, DONE, {**DECLARED, "resourceArn": OTHER})
    assert list(answer.replaces) == ["resourceArn"]
    assert answer.detailedDiff["resourceArn"].kind == provider_pb2.PropertyDiff.Kind.UPDATE_REPLACE


def test_drift_is_a_difference(servicer: Servicer) -> None:
    """Although no input differs: of the image's state."""
    answer = diff(servicer, {**DONE, "imageState": "AVAILABLE", "__drift": "the image is AVAILABLE"}, DECLARED)
    assert list(answer.detailedDiff) == ["imageState"]


def test_an_update_that_has_not_ended_is_a_difference(servicer: Servicer) -> None:
    """The next run continues it."""
    answer = diff(servicer, {**DONE, "status": "IN_PROGRESS", "__previous": {}}, DECLARED)
    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME


def test_images_that_a_fleet_gains_and_loses(servicer: Servicer) -> None:
    """Are named one by one."""
    shared = {key: value for key, value in DECLARED.items() if key != "resourceArn"}
    done = {"imageState": "DISABLED", "status": "SUCCESS", "resources": []}
    olds = {**shared, "resourceArns": [ARN], "executions": {ARN: done}}
    answer = diff(servicer, olds, {**shared, "resourceArns": [ARN, OTHER]}, "FleetStateUpdate")
    assert list(answer.detailedDiff) == ["resourceArns[1]"]


@pytest.fixture
def shown(servicer: Servicer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What previews show: as if each change took away one image."""
    texts: list[str] = []

    async def preview(guard: Guard, arns: Iterable[str], request: Mapping[str, Any]) -> PreviewText:
        return PreviewText(size_line=f"would {request.get('state', {}).get('status')} {', '.join(arns)}")

    async def info(engine: Engine, urn: str, text: str) -> None:
        texts.append(text)

    monkeypatch.setattr(Guard, "preview", preview)
    monkeypatch.setattr(Engine, "info", info)
    return texts


# --- preview ---------------------------------------------------------------------------------------------------------


def test_the_preview_of_a_create(servicer: Servicer, shown: list[str]) -> None:
    """Knows the inputs and the id; outputs are unknown, and no call is made."""
    request = provider_pb2.CreateRequest(urn=urn(), properties=struct(DECLARED), preview=True)
    answer, _ = call(servicer.Create, request)
    assert answer.id == ARN
    found = to_dict(answer.properties)
    assert found["lifecycleExecutionId"] == found["imageState"] == found["resources"] == UNKNOWN
    assert found["state"] == "DISABLED"
    assert shown == [f"would DISABLED {ARN}"]


def test_the_preview_of_a_create_of_an_unknown_image(servicer: Servicer, shown: list[str]) -> None:
    """Has no id."""
    properties = struct({**DECLARED, "resourceArn": UNKNOWN})
    answer, _ = call(servicer.Create, provider_pb2.CreateRequest(urn=urn(), properties=properties, preview=True))
    assert answer.id == ""
    assert shown == []


def test_the_preview_of_an_update(servicer: Servicer, shown: list[str]) -> None:
    """Outputs are unknown where something runs again, and stay what they are where only the state is updated."""

    def preview(news: Mapping[str, Any]) -> Any:
        request = provider_pb2.UpdateRequest(urn=urn(), olds=struct(DONE), news=struct(news), preview=True)
        return to_dict(call(servicer.Update, request)[0].properties)

    deleted = {**DECLARED, "state": "DELETED"}
    assert preview(deleted)["imageState"] == UNKNOWN
    assert shown == [f"would DELETED {ARN}"]
    kept = preview({**DECLARED, "onDestroy": "restore"})
    assert (kept["imageState"], kept["onDestroy"]) == ("DISABLED", "restore")
    assert len(shown) == 1


def test_the_preview_of_a_fleet(servicer: Servicer, shown: list[str]) -> None:
    """The image that comes is unknown, the others stay."""
    shared = {key: value for key, value in DECLARED.items() if key != "resourceArn"}
    done = {"imageState": "DISABLED", "status": "SUCCESS", "lifecycleExecutionId": "lce-1", "resources": []}
    olds = struct({**shared, "resourceArns": [ARN], "executions": {ARN: done}})
    news = struct({**shared, "resourceArns": [ARN, OTHER]})
    request = provider_pb2.UpdateRequest(urn=urn("FleetStateUpdate"), olds=olds, news=news, preview=True)
    found = to_dict(call(servicer.Update, request)[0].properties)
    assert found["lifecycleExecutionIds"] == {ARN: "lce-1", OTHER: UNKNOWN}
    assert found["executions"][OTHER] == UNKNOWN
    assert shown == [f"would DISABLED {OTHER}"]


def test_the_preview_of_a_cleanup_that_is_replaced(servicer: Servicer, shown: list[str]) -> None:
    """Shows the deletion of the image before."""
    declared = {"resourceArn": ARN, "executionRole": "Role", "inUse": "wait", "includeResources": {"amis": True}}
    diff(servicer, declared, {**declared, "resourceArn": OTHER}, "ImageCleanup")
    properties = struct({**declared, "resourceArn": OTHER})
    request = provider_pb2.CreateRequest(urn=urn("ImageCleanup"), properties=properties, preview=True)
    answer, _ = call(servicer.Create, request)
    assert answer.id == OTHER
    assert len(shown) == 1
    assert ARN in shown[0]


# --- create, update, read, delete ------------------------------------------------------------------------------------


def test_a_create(servicer: Servicer) -> None:
    """Has URN and time limit from the request; a secret input is a secret output."""
    state = {"resource_arn": ARN, "client_token": "hidden", "image_state": "DISABLED", "__left": "X", "status": None}
    handler = with_handler(servicer, create=Result(ARN, state))
    properties = struct({"resourceArn": ARN, "clientToken": {**SECRET, "value": "hidden"}})
    request = provider_pb2.CreateRequest(urn=urn(), properties=properties, timeout=5)
    answer, _ = call(servicer.Create, request)
    assert answer.id == ARN
    assert to_dict(answer.properties) == {
        "resourceArn": ARN,
        "clientToken": {**SECRET, "value": "hidden"},
        "imageState": "DISABLED",
        "__left": "X",
    }
    assert handler.calls == [
        ("create", Call("create", urn(), 5.0), {"resource_arn": ARN, "client_token": "hidden"}),
    ]


def test_a_create_that_failed_after_its_start(servicer: Servicer) -> None:
    """Is recorded with what is known, and with our one line as the reason."""
    error = TimedOut("time is up", action="changing")
    with_handler(servicer, create=Result(ARN, {"lifecycle_execution_id": "lce-1"}, error))
    request = provider_pb2.CreateRequest(urn=urn(), properties=struct(GOOD))
    _, context = call(servicer.Create, request)
    found = details(context)
    assert (found.id, list(found.reasons)) == (ARN, ["changing: time is up"])
    assert to_dict(found.properties) == {"lifecycleExecutionId": "lce-1"}
    assert to_dict(found.inputs) == GOOD


def test_an_update_that_failed_after_its_start(servicer: Servicer) -> None:
    """Is recorded too."""
    with_handler(servicer, update=Result(ARN, {"state": "DISABLED"}, TimedOut("time is up")))
    _, context = call(servicer.Update, provider_pb2.UpdateRequest(urn=urn(), olds=struct(DONE), news=struct(GOOD)))
    assert to_dict(details(context).properties) == {"state": "DISABLED"}


def test_what_failed_before_its_start_is_not_recorded(servicer: Servicer) -> None:
    """What Pulumi had before is still right."""
    failed = Result(ARN, {}, PermanentError("no"), started=False)
    with_handler(servicer, create=failed, update=failed)
    for method, request in (
        (servicer.Create, provider_pb2.CreateRequest(urn=urn(), properties=struct(GOOD))),
        (servicer.Update, provider_pb2.UpdateRequest(urn=urn(), olds=struct(DONE), news=struct(GOOD))),
    ):
        _, context = call(method, request)
        assert (context.text, context.trailing) == ("no", ())


def test_a_refresh(servicer: Servicer) -> None:
    """Returns the state as it is now, and the inputs as they were."""
    handler = with_handler(servicer, read=({"resource_arn": ARN, "image_state": "AVAILABLE"}, None))
    request = provider_pb2.ReadRequest(id=ARN, urn=urn(), properties=struct(DONE), inputs=struct(GOOD))
    answer, _ = call(servicer.Read, request)
    assert to_dict(answer.properties) == {"resourceArn": ARN, "imageState": "AVAILABLE"}
    assert to_dict(answer.inputs) == GOOD
    assert handler.calls[0][0] == "read"


def test_a_refresh_of_what_is_gone(servicer: Servicer) -> None:
    """Returns no id."""
    with_handler(servicer, read=(None, None))
    answer, _ = call(servicer.Read, provider_pb2.ReadRequest(id=ARN, urn=urn(), properties=struct(DONE)))
    assert answer.id == ""


def test_an_import(servicer: Servicer) -> None:
    """Inputs are the arguments among what was found."""
    found = {"resource_arn": ARN, "state": "DISABLED", "image_state": "DISABLED"}
    handler = with_handler(servicer, import_state=(found, None))
    answer, _ = call(servicer.Read, provider_pb2.ReadRequest(id=ARN, urn=urn()))
    assert to_dict(answer.inputs) == {"resourceArn": ARN, "state": "DISABLED"}
    assert handler.calls == [("import_state", Call("read", urn(), None), ARN)]


@pytest.mark.parametrize("kind", ["FleetStateUpdate", "ImageCleanup"])
def test_an_import_of_what_has_no_image_of_its_own(servicer: Servicer, kind: str) -> None:
    """Is refused in one line."""
    _, context = call(servicer.Read, provider_pb2.ReadRequest(id=ARN, urn=urn(kind)))
    expected = f"importing {ARN}: {kind} cannot be imported; declare it, which starts nothing that is done"
    assert context.text == expected


def test_an_import_by_something_else_than_an_arn(servicer: Servicer) -> None:
    """Is refused before any call."""
    _, context = call(servicer.Read, provider_pb2.ReadRequest(id="web", urn=urn()))
    assert context.text.startswith("importing image web: ")


def test_a_delete_that_failed(servicer: Servicer) -> None:
    """Keeps the resource: the error is all there is."""
    with_handler(servicer, delete=TimedOut("time is up"))
    _, context = call(servicer.Delete, provider_pb2.DeleteRequest(id=ARN, urn=urn(), properties=struct(DONE)))
    assert context.text == "time is up"
    with_handler(servicer, delete=None)
    assert call(servicer.Delete, provider_pb2.DeleteRequest(id=ARN, urn=urn(), properties=struct(DONE)))[0] is not None


def test_cancel(servicer: Servicer) -> None:
    """Ends what waits at once, and what comes after it too."""

    async def run() -> list[Any]:
        async def forever(client: Any) -> None:
            await asyncio.Event().wait()

        servicer._host.context = SimpleNamespace(  # type: ignore[assignment]
            service=None,
            barrier=lambda fleet: SimpleNamespace(membership=contextlib.nullcontext),
            schedule=lambda arn, kind: None,
        )
        work = [
            asyncio.create_task(
                servicer._host.run(Call("create", urn()), {ARN: forever}, verb="changing", target=" to X", fleet=fleet)
            )
            for fleet in (False, True)
        ]
        await asyncio.sleep(0)
        await servicer.Cancel(empty_pb2.Empty(), Context())
        ended = list(await asyncio.gather(*work))
        ended.append(await servicer._host.run(Call("create", urn()), {ARN: forever}, verb="changing", fleet=False))
        return [str(each.error) for each in ended]

    assert asyncio.run(run()) == [
        f"changing image {ARN} to X: the run was cancelled; the next `pulumi up` continues from here",
        "changing 1 image to X: the run was cancelled with 0 of 1 done, 1 in progress; "
        "what is in progress continues, and the next `pulumi up` continues from here",
        f"changing image {ARN}: the run was cancelled; the next `pulumi up` continues from here",
    ]


# --- functions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "arguments", "text"),
    [
        ("nothing", {}, "there is no function nothing; expected one of getImageBuildVersions, getImageReferences"),
        (
            "getImageReferences",
            {"arns": []},
            "arns: not an argument of getImageReferences; expected one of resourceArns",
        ),
        ("getImageReferences", {}, "resourceArns: missing; getImageReferences needs it"),
    ],
)
def test_invokes_that_are_refused(servicer: Servicer, function: str, arguments: dict[str, Any], text: str) -> None:
    """In one line, with what there is."""
    request = provider_pb2.InvokeRequest(tok=f"imagebuilder:index:{function}", args=struct(arguments))
    assert call(servicer.Invoke, request)[1].text == text


def test_an_invoke(servicer: Servicer) -> None:
    """Of nothing, which makes no call."""
    request = provider_pb2.InvokeRequest(tok="imagebuilder:index:getImageReferences", args=struct({"resourceArns": []}))
    answer, _ = call(servicer.Invoke, request)
    assert to_dict(getattr(answer, "return")) == {"imageReferences": []}


def test_cancel_ends_an_invoke(servicer: Servicer, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, in one line: it may wait for minutes otherwise."""

    async def forever(*_: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr("pulumi_imagebuilder.plugin.functions.invoke", forever)

    async def run() -> str:
        context = Context()
        request = provider_pb2.InvokeRequest(tok="imagebuilder:index:getImageReferences", args=struct({}))
        work = asyncio.create_task(servicer.Invoke(request, context))
        await asyncio.sleep(0)
        await servicer.Cancel(empty_pb2.Empty(), Context())
        await asyncio.gather(work, return_exceptions=True)
        return context.text

    assert asyncio.run(run()) == "calling getImageReferences: the run was cancelled; run the same command again"


def test_dependencies_of_the_source_based_plugin() -> None:
    """`provider/requirements.txt` has those of the distribution: an engine installs from there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = (ROOT / "provider" / "requirements.txt").read_text(encoding="utf-8").split()
    assert listed == project["dependencies"]
