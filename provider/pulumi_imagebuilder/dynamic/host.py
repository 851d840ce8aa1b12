"""The provider's process: one service and one engine for all resources of a stack, and time limits on all work."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from pulumi.dynamic import Config

from .. import lifecycle, rules
from ..aws import Configuration, Service
from ..durations import seconds
from ..errors import ImageBuilderError
from .engine import Engine

T = TypeVar("T")

DEFAULT_LIMIT = "60m"
"""The time limit of each operation without ``custom_timeouts``."""

_MOST_NAMED = 10
_SAME_COMMAND = {"delete", "read"}
"""Operations that only the same command goes on with after an error."""

_TICK = 1.0
"""The least seconds between two lines of progress."""


class Host:
    """Runs the work of the providers' methods, each inside its time limit and shown on its resource's row.

    Args:
        config: the stack's configuration.
        engine: the engine that this process serves.
    """

    def __init__(self, config: Config, engine: Engine) -> None:
        self._config = config
        self._engine = engine

    @functools.cached_property
    def _service(self) -> Service:
        # Made at the first call: what needs none is not held up by a configuration that cannot be used.
        try:
            return Service(Configuration.parse(self._config.get))
        except ImageBuilderError as error:
            raise _told(error) from None

    def apply(
        self, inputs: Mapping[str, Any], operation: str, olds: Mapping[str, Any] | None = None
    ) -> lifecycle.Record:
        """Carry out the state update that the inputs declare, after the one that ``olds`` records."""
        arn, before = inputs["resource_arn"], olds or {}
        change = lifecycle.Change(
            resource_arn=arn,
            request=rules.request(inputs),
            triggers=inputs.get("triggers"),
            client_token=inputs.get("client_token"),
            follows=before.get("client_token"),
            superseded=before.get("lifecycle_execution_id"),
            own_schedule=before.get("lifecycle_execution_id") if before.get("update_at") else None,
            came_true=before.get("status") == "SUCCESS" and before.get("update_at") == inputs.get("update_at"),
            wait=inputs["wait"],
        )

        async def work(client: lifecycle.ImageClient) -> lifecycle.Record:
            outcome = await lifecycle.apply(change, client)
            if outcome.cut:
                self.tell(inputs, lifecycle.how_to_read_all(arn, outcome))
            return lifecycle.record(outcome)

        return self._run(inputs, operation, f"changing image {arn} to {inputs['state']}", work)

    def refresh(self, olds: Mapping[str, Any]) -> lifecycle.Record | None:
        """The record as it stands now; None when the image has vanished."""

        async def work(client: lifecycle.ImageClient) -> lifecycle.Record | None:
            return await lifecycle.refresh(lifecycle.kept(olds), olds["state"], client)

        return self._run(olds, "read", f"reading image {olds['resource_arn']}", work)

    def destroy(self, olds: Mapping[str, Any]) -> None:
        """Do what ``on_destroy`` says: cancel what is unfinished, or restore."""
        arn = olds["resource_arn"]
        if olds["on_destroy"] == "cancel":
            self._run(
                olds,
                "delete",
                f"cancelling the state update of image {arn}",
                lambda client: lifecycle.cancel(olds, client),
            )
        else:
            self._run(
                olds,
                "delete",
                f"restoring image {arn}",
                lambda client: lifecycle.restore(olds, rules.request(olds), client),
            )

    def image_exists(self, olds: Mapping[str, Any]) -> bool:
        """Whether the image is still there."""
        arn = olds["resource_arn"]
        image = self._run(olds, "read", f"reading image {arn}", lambda client: client.find_image())
        return image.state != lifecycle.IMAGE_GONE

    def clean_up(self, olds: Mapping[str, Any]) -> None:
        """Delete the image with what is under it, and tell what was not deleted."""
        arn = olds["resource_arn"]
        outcome = self._run(
            olds,
            "delete",
            f"deleting image {arn}",
            lambda client: lifecycle.clean_up(rules.request(olds), client, declared=olds.get("__declared")),
        )
        if outcome is None:
            self._engine.warn(
                olds.get("__urn", ""),
                f"image {arn} is gone already, and no lifecycle execution deleted it: AMIs, snapshots or containers of "
                "it that are still there are to be deleted by hand",
            )
        elif outcome.image.state != lifecycle.IMAGE_GONE:
            skipped = [each for each in outcome.resources if each["status"] == "SKIPPED"]
            named = ", ".join(f"{each['resource_id']} ({each['region']})" for each in skipped[:_MOST_NAMED])
            more = f" and {len(skipped) - _MOST_NAMED} more" if len(skipped) > _MOST_NAMED else ""
            self.tell(
                olds,
                f"the record of image {arn} is kept, for the exclusion rules left out {named}{more}",
            )

    def leave(self, olds: Mapping[str, Any]) -> None:
        """Leave the image as it is, and say so."""
        self.tell(
            olds,
            f"image {olds['resource_arn']} is left as it is: the program declares a clean-up of it still",
        )

    def tell(self, resource: Mapping[str, Any], text: str) -> None:
        """Tell something of a resource, on its row and in the closing diagnostics."""
        self._engine.tell(resource.get("__urn", ""), text)

    def _run(
        self,
        resource: Mapping[str, Any],
        operation: str,
        asked: str,
        work: Callable[[lifecycle.ImageClient], Coroutine[Any, Any, T]],
    ) -> T:
        progress = lifecycle.Progress(asked, same_command=operation in _SAME_COMMAND)
        client = lifecycle.ImageClient(self._service, resource["resource_arn"], progress)
        return self._within(resource, operation, progress, work(client))

    def carry_out_for_each(
        self,
        resource: Mapping[str, Any],
        operation: str,
        asked: str,
        asked_of_each: str,
        work: Mapping[str, lifecycle.Work[T]],
    ) -> dict[str, T]:
        """Do something for many images side by side, inside the one time limit of their resource.

        Args:
            resource: the resource.
            operation: ``create``, ``update``, ``read`` or ``delete``.
            asked: what is being done, for messages.
            asked_of_each: what is being done for one image, with ``{}`` for its ARN.
            work: what is to be done, by the image's ARN; without any there is no call.
        """
        if not work:
            return {}
        progress = lifecycle.FleetProgress(asked, same_command=operation in _SAME_COMMAND)
        return self._within(resource, operation, progress, lifecycle.each(self._service, progress, asked_of_each, work))

    def _within(
        self,
        resource: Mapping[str, Any],
        operation: str,
        progress: lifecycle.Progress,
        work: Coroutine[Any, Any, T],
    ) -> T:
        limit = seconds((resource.get("__timeouts") or {}).get(operation) or DEFAULT_LIMIT)
        try:
            return asyncio.run(
                self._shown(lifecycle.within(limit, work, progress), progress, resource.get("__urn", ""))
            )
        except ImageBuilderError as error:
            raise _told(error) from None

    async def _shown(self, work: Awaitable[T], progress: lifecycle.Progress, urn: str) -> T:
        async def show() -> None:
            while True:
                await asyncio.sleep(_TICK)
                if text := progress.news():
                    await asyncio.to_thread(self._engine.show, urn, text)

        showing = asyncio.create_task(show())
        try:
            done = await work
        finally:
            showing.cancel()
        if progress.status != lifecycle.STARTING:
            # What stays on the row of a resource that is done must not read as if it went on.
            await asyncio.to_thread(self._engine.show, urn, progress.text())
        return done


def _told(error: ImageBuilderError) -> Exception:
    """An error as Pulumi is to print it: its text alone.

    The SDK prints what Python prints last of an exception: its class, and its text if there is one. So the text becomes
    the name of the class. Neither a traceback nor what led to it follows, for the text has told that.
    """
    kind: type[Exception] = type(str(error), (Exception,), {"__module__": "builtins"})
    return kind()


_lock = threading.Lock()
_hosts: list[Host] = []


def host(config: Config) -> Host:
    """The one host of this process; all providers of a stack are given the same configuration."""
    with _lock:
        if not _hosts:
            # In this process alone: it makes an error that reaches Pulumi one line. In a program it breaks the SDK.
            sys.tracebacklimit = 0
            engine = Engine(sys.argv[1] if len(sys.argv) > 1 else None)
            engine.watch()
            _hosts.append(Host(config, engine))
        return _hosts[0]
