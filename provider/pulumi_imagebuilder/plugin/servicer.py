"""The provider's side of Pulumi's protocol: each request to the handler of its kind, and what came of it back.

The SDK's own provider class hides what is needed here: what is known of a resource that could not be completed, and
errors without a traceback.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from .._version import __version__
from ..aws import connect
from ..aws.configuration import UNUSED_KEYS, Configuration
from ..engine import Engine
from ..errors import ImageBuilderError, PermanentError
from ..handlers import HANDLERS, Handler, ResourceDiff, Result
from ..host import Call, Host
from ..names import to_camel_case, to_snake_case, with_camel_case, with_snake_case
from ..validation import UNKNOWN, Failure, Kind
from ..validation.schema import installed
from . import functions, schema, wire
from .differences import find_differences, with_replacement

PACKAGE = "imagebuilder"

_ENGINE_KEYS = frozenset({"version", "pluginDownloadURL", "pluginChecksums"})
"""What an engine adds to a provider's inputs for itself."""

Context = Any
Request = TypeVar("Request")
Answer = TypeVar("Answer")
Method = Callable[[Any, Request, Context], Awaitable[Answer]]


def _errors_in_one_line(method: Method[Request, Answer]) -> Method[Request, Answer]:
    """Let a method's errors reach users as the one line that they are."""

    @functools.wraps(method)
    async def call(self: Any, request: Request, context: Context) -> Answer:
        try:
            return await method(self, request, context)
        except ImageBuilderError as error:
            await context.abort(grpc.StatusCode.UNKNOWN, str(error))
            raise

    return call


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """The native provider of one engine.

    Args:
        address: the engine's address; None if it is still to attach.
    """

    def __init__(self, address: str | None) -> None:
        self._attach(address)
        self._config: Mapping[str, str] = {}

    def _attach(self, address: str | None) -> None:
        engine = Engine(address)
        engine.watch()
        self._host = Host(lambda: connect(self._setting, prefix=PACKAGE), engine)
        self._handlers = {f"{PACKAGE}:index:{handler.kind.value}": handler(self._host) for handler in HANDLERS}

    def _setting(self, key: str) -> str | None:
        return self._config.get(key.partition(":")[2])

    def _handler(self, urn: str) -> Handler:
        token = urn.split("::")[2].rpartition("$")[2]
        try:
            return self._handlers[token]
        except KeyError:
            raise PermanentError(f"there is no resource {token} in {PACKAGE} {__version__}") from None

    # --- the plugin ------------------------------------------------------------------------------------------------

    async def Handshake(  # noqa: N802
        self, request: provider_pb2.ProviderHandshakeRequest, context: Context
    ) -> provider_pb2.ProviderHandshakeResponse:
        """Agree on what requests and answers contain."""
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    async def Attach(self, request: plugin_pb2.PluginAttach, context: Context) -> empty_pb2.Empty:  # noqa: N802
        """Serve an engine that has not started this process."""
        self._attach(request.address)
        return empty_pb2.Empty()

    async def GetPluginInfo(self, request: empty_pb2.Empty, context: Context) -> plugin_pb2.PluginInfo:  # noqa: N802
        """Return the version."""
        return plugin_pb2.PluginInfo(version=__version__)

    async def GetSchema(  # noqa: N802
        self, request: provider_pb2.GetSchemaRequest, context: Context
    ) -> provider_pb2.GetSchemaResponse:
        """Return the schema of the package."""
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema.package_schema()))

    async def Cancel(self, request: empty_pb2.Empty, context: Context) -> empty_pb2.Empty:  # noqa: N802
        """End all waiting at once; what was started continues at the service, and the next run waits for it."""
        self.cancel()
        return empty_pb2.Empty()

    def cancel(self) -> None:
        """End all waiting at once, with what is known by then."""
        self._host.cancel()

    # --- configuration ---------------------------------------------------------------------------------------------

    async def CheckConfig(  # noqa: N802
        self, request: provider_pb2.CheckRequest, context: Context
    ) -> provider_pb2.CheckResponse:
        """Refuse keys that would silently do nothing."""
        failures = []
        for key in sorted(wire.read(request.news).values.keys() - _ENGINE_KEYS - {*Configuration.KEYS}):
            reason = (
                f"not used: {UNUSED_KEYS[key]}; leave it out"
                if key in UNUSED_KEYS
                else f"not a key of {PACKAGE}; expected one of {', '.join(Configuration.KEYS)}"
            )
            failures.append(provider_pb2.CheckFailure(property=key, reason=reason))
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    async def DiffConfig(  # noqa: N802
        self, request: provider_pb2.DiffRequest, context: Context
    ) -> provider_pb2.DiffResponse:
        """Compare configurations: other credentials are no reason to replace what was made with the ones before."""
        old, new = wire.read(request.olds).values, wire.read(request.news).values
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        changes = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=changes, diffs=changed)

    async def Configure(  # noqa: N802
        self, request: provider_pb2.ConfigureRequest, context: Context
    ) -> provider_pb2.ConfigureResponse:
        """Take the configuration; it is looked into at the first call."""
        values = wire.read(request.args).values
        self._config = {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in values.items()
            if value is not None and value != UNKNOWN
        }
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    # --- resources -------------------------------------------------------------------------------------------------

    @_errors_in_one_line
    async def Check(  # noqa: N802
        self, request: provider_pb2.CheckRequest, context: Context
    ) -> provider_pb2.CheckResponse:
        """Report every mistake that can be known before a call; return the inputs normalised."""
        received = wire.read(request.news)
        inputs = {name: value for name, value in received.values.items() if not name.startswith("__")}
        inputs = with_snake_case(inputs)
        if received.secrets:
            inputs["__secrets"] = sorted({to_snake_case(path[0]) for path in received.secrets})
        olds = with_snake_case(wire.read(request.olds).values)
        checked = await self._handler(request.urn).check(Call("check", request.urn), olds, inputs)
        normalised = {name: value for name, value in checked.inputs.items() if name != "__secrets"}
        return provider_pb2.CheckResponse(
            inputs=wire.write(with_camel_case(normalised), received.secrets),
            failures=[_to_check_failure(failure) for failure in checked.failures],
        )

    @_errors_in_one_line
    async def Diff(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:  # noqa: N802
        """Compare by meaning; an image that a refresh found in another state counts as changed."""
        handler, olds, news = self._handler(request.urn), _snake(request.olds), _snake(request.news)
        changed = await handler.diff(Call("diff", request.urn), olds, news)
        if not changed:
            return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)
        details = _detail(handler.kind, changed, with_camel_case(olds), with_camel_case(news))
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME,
            replaces=sorted(map(to_camel_case, changed.inputs.replace)),
            diffs=sorted({re.split(r"[.\[]", path)[0] for path in details}),
            detailedDiff=details,
            hasDetailedDiff=True,
        )

    @_errors_in_one_line
    async def Create(  # noqa: N802
        self, request: provider_pb2.CreateRequest, context: Context
    ) -> provider_pb2.CreateResponse:
        """Create the resource; in a preview, return what is known of it."""
        handler, call = self._handler(request.urn), _call("create", request)
        inputs, secrets = _snake(request.properties), wire.read(request.properties).secrets
        if request.preview:
            result = await handler.preview(call, {}, inputs)
            id_ = "" if result.id == UNKNOWN else result.id
            return provider_pb2.CreateResponse(id=id_, properties=_write_state(result.state, secrets))
        result = await handler.create(call, inputs)
        if result.error:
            await _abort(context, result, secrets, request.properties)
        return provider_pb2.CreateResponse(id=result.id, properties=_write_state(result.state, secrets))

    @_errors_in_one_line
    async def Update(  # noqa: N802
        self, request: provider_pb2.UpdateRequest, context: Context
    ) -> provider_pb2.UpdateResponse:
        """Carry out what has changed; in a preview, return what is known of it."""
        handler, call = self._handler(request.urn), _call("update", request)
        olds, news, secrets = _snake(request.olds), _snake(request.news), wire.read(request.news).secrets
        if request.preview:
            result = await handler.preview(call, olds, news)
        else:
            result = await handler.update(call, olds, news)
            if result.error:
                await _abort(context, result, secrets, request.news)
        return provider_pb2.UpdateResponse(properties=_write_state(result.state, secrets))

    @_errors_in_one_line
    async def Read(self, request: provider_pb2.ReadRequest, context: Context) -> provider_pb2.ReadResponse:  # noqa: N802
        """Return the resource as it is now, without an id where it is gone; one that is not known yet is imported."""
        handler, call = self._handler(request.urn), _call("read", request)
        known = wire.read(request.properties)
        state, inputs = with_snake_case(known.values), request.inputs
        imported = not handler.images(state)
        found, error = await (handler.import_state(call, request.id) if imported else handler.read(call, state))
        if error:
            raise error
        if found is None:
            return provider_pb2.ReadResponse()
        if imported:
            inputs = wire.write(with_camel_case({name: found[name] for name in found if name in handler.arguments}))
        return provider_pb2.ReadResponse(id=request.id, properties=_write_state(found, known.secrets), inputs=inputs)

    @_errors_in_one_line
    async def Delete(self, request: provider_pb2.DeleteRequest, context: Context) -> empty_pb2.Empty:  # noqa: N802
        """Delete the resource."""
        handler, call = self._handler(request.urn), _call("delete", request)
        error = await handler.delete(call, _snake(request.properties))
        if error:
            raise error
        return empty_pb2.Empty()

    # --- functions -------------------------------------------------------------------------------------------------

    @_errors_in_one_line
    async def Invoke(self, request: provider_pb2.InvokeRequest, context: Context) -> provider_pb2.InvokeResponse:  # noqa: N802
        """Carry out a function."""
        arguments = with_snake_case(wire.read(request.args).values)
        name = request.tok.rpartition(":")[2]
        work = functions.invoke(self._host.context.service, name, arguments)
        found = await self._host.look_up(f"calling {name}", work)
        return provider_pb2.InvokeResponse(**{"return": wire.write(with_camel_case(found))})


def _call(operation: str, request: Any) -> Call:
    return Call(operation, request.urn, request.timeout or None)


def _snake(struct: Any) -> dict[str, Any]:
    return with_snake_case(wire.read(struct).values)


_HOLD_ARNS = (("executions",), ("lifecycleExecutionIds",))


def _write_state(state: Mapping[str, Any], secrets: frozenset[wire.Path]) -> Any:
    """Return a state for an answer: what was declared as a secret stays one, also where outputs repeat it."""
    if ("resourceArns",) in secrets:
        secrets = secrets.union(_HOLD_ARNS)
    return wire.write(with_camel_case(state), secrets)


async def _abort(context: Context, result: Result, secrets: frozenset[wire.Path], inputs: Any) -> None:
    """End a create or an update that failed; what was started is recorded, so that the next run continues it."""
    assert result.error is not None
    if not result.started:
        raise result.error
    details = provider_pb2.ErrorResourceInitFailed(
        id=result.id, properties=_write_state(result.state, secrets), reasons=[str(result.error)], inputs=inputs
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(result.error))
    status.details.add().Pack(details)
    trailing = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(grpc.StatusCode.UNKNOWN, str(result.error), trailing)


def _detail(kind: Kind, changed: ResourceDiff, olds: Mapping[str, Any], news: Mapping[str, Any]) -> dict[str, Any]:
    """Return what has changed by the path of the property."""
    inputs = changed.inputs
    names = {to_camel_case(name) for name in inputs.replace | inputs.rerun | inputs.state_only}
    if inputs.added or inputs.removed:
        names.add("resourceArns")
    replacing = set(map(to_camel_case, inputs.replace))
    details = {
        path: provider_pb2.PropertyDiff(kind=with_replacement(found) if name in replacing else found, inputDiff=False)
        for name in sorted(names)
        for path, found in find_differences(name, olds.get(name), news.get(name)).items()
    }
    if changed.drift or (changed.incomplete and not details):
        name = "imageState" if kind is Kind.SINGLE else "executions"
        details[name] = provider_pb2.PropertyDiff(kind=provider_pb2.PropertyDiff.Kind.UPDATE, inputDiff=False)
    return details


_SNAKE_NAME = re.compile(r'"(?:[^"\\]|\\.)*"|\b[a-z]+(?:_[a-z]+)+\b')
"""A quoted value, or a name outside of one."""


def _to_check_failure(failure: Failure) -> provider_pb2.CheckFailure:
    """Return a failure in the names of the schema."""
    reason = _SNAKE_NAME.sub(lambda found: found[0] if found[0][0] == '"' else to_camel_case(found[0]), failure.reason)
    return provider_pb2.CheckFailure(property=_camel_path(failure.property), reason=reason)


def _camel_path(path: str) -> str:
    """Return a path in the names of the schema; what follows a map's name is a key of the user's."""
    found = re.search(rf"\b({'|'.join(sorted(installed().maps))})\b", path)
    end = found.end() if found else len(path)
    return to_camel_case(path[:end]) + path[end:]
