"""The dynamic provider's classes, which pass the engine's calls to the handlers.

Pulumi's state holds a provider as a reference to its class here, by module path and name, and later versions read that
state: **these paths are a promise.** A class may move only if an alias stays behind.

A user's program imports this module too, so nothing heavy is imported before there is work to do, which is in the
provider's process alone.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    Config,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)
from pulumi.output import Unknown

from ..validation import UNKNOWN, Kind

if TYPE_CHECKING:
    from ..handlers import Handler, Result
    from ..host import Call, Host

Properties = dict[str, Any]

SECRETS, DRY_RUN = "__secrets", "dry_run"
"""The input that names the inputs with secret values, and the key that these names are under in a preview."""


class ImageBuilderProvider(ResourceProvider):
    """Passes each of the engine's calls to the handler of its kind; stored in the state by reference."""

    serialize_as_secret_always = False  # A reference to a class is no secret.
    kind: Kind
    _config: Config

    def configure(self, req: ConfigureRequest) -> None:
        """Take the stack's configuration; called once, in the provider's process and a thread of its pool."""
        from . import sdk

        self._config = req.config
        sdk.widen_pool()
        sdk.print_errors_in_one_line()

    def check(self, _olds: Properties, news: Properties) -> CheckResult:
        """Report every mistake that can be known before a call; return the inputs normalised."""
        inputs = _unknowns_as_text(news)
        secrets = inputs.get(SECRETS)
        dry_run = isinstance(secrets, Mapping)
        if dry_run:
            inputs[SECRETS] = secrets.get(DRY_RUN)
        call = replace(self._call("check"), dry_run=dry_run)
        checked = self._run(self._handler.check(call, _olds, inputs))
        return CheckResult(checked.inputs, [CheckFailure(f.property, f.reason) for f in checked.failures])

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        """Compare by meaning; an image that a refresh found in another state counts as changed."""
        call = self._call("diff")
        changed = self._run(self._handler.diff(call, _olds, _unknowns_as_text(_news)))
        return DiffResult(changes=bool(changed), replaces=sorted(changed.inputs.replace))

    def create(self, props: Properties) -> CreateResult:
        """Create the resource."""
        result = self._run(self._handler.create(self._call("create"), props))
        return CreateResult(_raise_or_return(result).id, result.state)

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Carry out what has changed."""
        result = self._run(self._handler.update(self._call("update"), _olds, _news))
        return UpdateResult(_raise_or_return(result).state)

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Return the state as it is now; no id if the resource is gone."""
        state, error = self._run(self._handler.read(self._call("read"), props))
        if error:
            raise error
        return ReadResult("", {}) if state is None else ReadResult(id_, dict(state))

    def delete(self, _id: str, _props: Properties) -> None:
        """Delete the resource."""
        error = self._run(self._handler.delete(self._call("delete"), _props))
        if error:
            raise error

    def _call(self, operation: str) -> Call:
        from . import sdk

        return sdk.current_call(operation)

    def _run(self, work: Any) -> Any:
        return _process(self._config).loop.run(work)

    @property
    def _host(self) -> Host:
        return _process(self._config).host

    @functools.cached_property
    def _handler(self) -> Handler:
        # Loaded when there is work: the user's program imports this module too.
        from ..handlers import HANDLERS

        return next(handler for handler in HANDLERS if handler.kind is self.kind)(self._host)


class ResourceStateUpdateProvider(ImageBuilderProvider):
    """The provider of ``ResourceStateUpdate``."""

    kind = Kind.SINGLE


class FleetStateUpdateProvider(ImageBuilderProvider):
    """The provider of ``FleetStateUpdate``."""

    kind = Kind.FLEET


class ImageCleanupProvider(ImageBuilderProvider):
    """The provider of ``ImageCleanup``."""

    kind = Kind.CLEANUP


class _Process:
    """The one host of this process; all providers of a stack are given the same configuration."""

    def __init__(self, config: Config) -> None:
        from ..aws import connect
        from ..engine import Engine
        from ..host import Host
        from .loop import LoopThread

        engine = Engine(sys.argv[1] if len(sys.argv) > 1 else None)
        engine.watch()
        self.host = Host(lambda: connect(config.get), engine)
        self.loop = LoopThread()


_lock = threading.Lock()
_processes: list[_Process] = []


def _process(config: Config) -> _Process:
    with _lock:
        if not _processes:
            _processes.append(_Process(config))
        return _processes[0]


def _raise_or_return(result: Result) -> Result:
    # `pulumi.dynamic` records nothing of a call that fails: the service's own records are enough to continue from.
    if result.error:
        raise result.error
    return result


def _unknowns_as_text(value: Any) -> Any:
    """Return the value with :data:`UNKNOWN` for what a preview does not know yet; Pulumi reads it as an object."""
    if isinstance(value, Unknown):
        return UNKNOWN
    if isinstance(value, Mapping):
        return {key: _unknowns_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unknowns_as_text(item) for item in value]
    return value
