"""The Pulumi side: check, diff, create, read, update and delete. Thin, and without knowledge of AWS.

Pulumi's state holds a provider as a reference to its class here, by module path and name, and later versions read that
state: **these paths are a promise.** A class may move only if an alias stays behind.

A user's program imports this module too, so nothing heavy is imported before there is work to do, which is in the
provider's process alone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

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

from .. import rules

if TYPE_CHECKING:
    from .host import Host

Properties = dict[str, Any]


class ImageBuilderProvider(ResourceProvider):
    """What the providers share: they are stored by reference, checked by the rules, and run by the host."""

    serialize_as_secret_always = False  # A reference to a class is no secret.
    kind: rules.Kind
    _config: Config

    def configure(self, req: ConfigureRequest) -> None:
        """Take the stack's configuration; called once, in the provider's process."""
        self._config = req.config

    @property
    def _host(self) -> Host:
        # Loaded when there is work: an unchanged program is checked and compared without boto3.
        from .host import host

        return host(self._config)

    def check(self, olds: Properties, news: Properties) -> CheckResult:
        """Name every mistake that can be known before a call; hand back the inputs normalised."""
        checked = rules.check(self.kind, unknowns_as_text(news), previous=olds or None)
        return CheckResult(checked.inputs, [CheckFailure(f.property, f.reason) for f in checked.failures])

    def changes(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> rules.Changes:
        """What differs in meaning between the recorded inputs and the declared ones."""
        news = unknowns_as_text(news)
        return rules.changes(self.kind, declared(olds), {**news, "client_token": digest(news.get("client_token"))})


class ResourceStateUpdateProvider(ImageBuilderProvider):
    """The life of a ``ResourceStateUpdate``."""

    kind = rules.Kind.SINGLE

    def diff(self, id_: str, olds: Properties, news: Properties) -> DiffResult:
        """Changed are inputs that mean something else, and images that a refresh found moved elsewhere."""
        found = self.changes(olds, news)
        if olds.get("__drift"):
            # Pulumi displays a difference between inputs, and here there may be none.
            self._host.tell(news, f"{olds['__drift']}: `pulumi up` applies the declaration again")
        changed = bool(found.replace or found.rerun or found.record or olds.get("__drift"))
        return DiffResult(changes=changed, replaces=sorted(found.replace))

    def create(self, props: Properties) -> CreateResult:
        """Carry out the declared state update, or take over the one started for it before."""
        return CreateResult(props["resource_arn"], recorded(props, self._host.apply(props, "create")))

    def update(self, id_: str, olds: Properties, news: Properties) -> UpdateResult:
        """Carry out what has changed; a change of role, ``wait``, ``on_destroy`` or time limits makes no call."""
        if not self.changes(olds, news).rerun and not olds.get("__drift"):
            from ..lifecycle import kept

            return UpdateResult(recorded(news, kept(olds)))
        return UpdateResult(recorded(news, self._host.apply(news, "update", olds)))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Read the image and its execution; an image that vanished, and was not to, is gone from the stack too."""
        record = self._host.refresh(props)
        if record is None:
            return ReadResult("", {})
        return ReadResult(id_, {**props, **record})

    def delete(self, id_: str, props: Properties) -> None:
        """Do what ``on_destroy`` says."""
        if props["on_destroy"] != "retain":
            self._host.destroy(props)


class FleetStateUpdateProvider(ImageBuilderProvider):
    """The life of a ``FleetStateUpdate``."""

    kind = rules.Kind.FLEET

    def diff(self, id_: str, olds: Properties, news: Properties) -> DiffResult:
        """Changed are inputs that mean something else, images that come or go, and those found moved elsewhere."""
        if olds.get("__drift"):
            from ..lifecycle import drifted

            self._host.tell(news, f"{drifted(olds)}: `pulumi up` applies the declaration again")
        return DiffResult(changes=bool(self.changes(olds, news) or olds.get("__drift")))

    def create(self, props: Properties) -> CreateResult:
        """Carry out the declared state update for all images, or take over what was started for them before."""
        from . import fleets

        record = fleets.apply(self._host, props, "create", {}, again=props["resource_arns"], removed=())
        return CreateResult(props["__urn"].rpartition("::")[2], recorded(props, record))

    def update(self, id_: str, olds: Properties, news: Properties) -> UpdateResult:
        """Carry out what has changed: for all images, or for those alone that came, went, or moved elsewhere."""
        from . import fleets

        found = self.changes(olds, news)
        again = set(news["resource_arns"]) if found.rerun else found.added | set(olds.get("__drift") or ())
        record = fleets.apply(self._host, news, "update", olds, again=again, removed=found.removed)
        return UpdateResult(recorded(news, record))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Read the images and what was unfinished; the fleet is there whatever has become of them."""
        from . import fleets

        kept = {key: value for key, value in props.items() if key not in {"__left", "__drift"}}
        return ReadResult(id_, {**kept, **fleets.refresh(self._host, props)})

    def delete(self, id_: str, props: Properties) -> None:
        """Do what ``on_destroy`` says for each image."""
        from . import fleets

        if props["on_destroy"] != "retain":
            fleets.destroy(self._host, props)


class ImageCleanupProvider(ImageBuilderProvider):
    """The life of an ``ImageCleanup``: a record that acts when it goes."""

    kind = rules.Kind.CLEANUP
    _in_the_program: ClassVar[set[str]] = set()
    """The images that the program declares a clean-up of in this run, which this process serves alone."""

    def check(self, olds: Properties, news: Properties) -> CheckResult:
        """Name every mistake that can be known before a call; hand back the inputs normalised."""
        # The engine checks what a program declares; in a destroy it checks nothing, not even where it runs the program.
        if isinstance(news.get("resource_arn"), str):
            self._in_the_program.add(news["resource_arn"])
        return super().check(olds, news)

    def diff(self, id_: str, olds: Properties, news: Properties) -> DiffResult:
        """Another image replaces; all else is only written down."""
        found = self.changes(olds, news)
        return DiffResult(changes=bool(found.replace or found.record), replaces=sorted(found.replace))

    def create(self, props: Properties) -> CreateResult:
        """Write down what to delete one day; no call."""
        # Of one image there may be a clean-up again later on, and what the one before it did is not its doing.
        return CreateResult(props["resource_arn"], {**props, "__declared": str(time.time_ns())})

    def update(self, id_: str, olds: Properties, news: Properties) -> UpdateResult:
        """Write down what to delete one day; no call."""
        return UpdateResult({**news, "__declared": olds.get("__declared")})

    def read(self, id_: str, props: Properties) -> ReadResult:
        """An image that is gone leaves nothing to clean up."""
        return ReadResult(id_, props) if self._host.image_exists(props) else ReadResult("", {})

    def delete(self, id_: str, props: Properties) -> None:
        """Delete the image with what is under it, and wait until that has ended.

        Not where the program declares a clean-up of the same image still: then this one was renamed, or is left over
        from a replacement that was taken back, and the image is not to go.
        """
        if props["resource_arn"] in self._in_the_program:
            self._host.leave(props)
        else:
            self._host.clean_up(props)


def recorded(inputs: Mapping[str, Any], record: Mapping[str, Any]) -> Properties:
    """What Pulumi keeps: the inputs and the record. The token asked with hides the one declared, so both are kept.

    Of the one declared a digest: it may be a secret, which Pulumi would know under its own name alone.
    """
    return {**inputs, **record, "__client_token": digest(inputs.get("client_token"))}


def digest(token: str | None) -> str | None:
    """What tells one declared token from another; unknown as long as the token is, and None without one."""
    if token is None or token == rules.UNKNOWN:
        return token
    return hashlib.sha256(token.encode()).hexdigest()


def unknowns_as_text(value: Any) -> Any:
    """The same value with :data:`rules.UNKNOWN` for what a preview does not know yet; Pulumi reads it as an object."""
    if isinstance(value, Unknown):
        return rules.UNKNOWN
    if isinstance(value, Mapping):
        return {key: unknowns_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unknowns_as_text(item) for item in value]
    return value


def declared(olds: Mapping[str, Any]) -> Properties:
    """The inputs in what Pulumi kept, with the digest of the token."""
    return {**olds, "client_token": olds.get("__client_token")}
