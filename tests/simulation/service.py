"""The core's `Service` over the emulator in this process, in virtual time: no HTTP, no threads, no sleep."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError
from imagebuilder_emulator.clock import Clock
from imagebuilder_emulator.environment import Environment
from imagebuilder_emulator.inprocess import InProcessService
from pulumi_imagebuilder.aws.configuration import Configuration
from pulumi_imagebuilder.aws.service import Service, is_transient

from .virtual_time import VirtualTimeLoop

LATENCY = 0.02
"""Seconds between a request and the service's work on it, and again until its answer arrives."""


class World:
    """The services, with a clock that follows a loop's virtual time.

    Args:
        seed: what is there to begin with.
        loop: whose time the services have.
        execution_time: how long an execution takes.
        variants: the readings that differ from the documented ones.
    """

    def __init__(
        self,
        seed: Mapping[str, Any],
        loop: VirtualTimeLoop,
        *,
        execution_time: str = "10s",
        variants: Mapping[str, str] | None = None,
    ) -> None:
        self.loop = loop
        start = datetime.now(UTC)
        clock = Clock(lambda: start + timedelta(seconds=loop.time()))
        self.environment = Environment(seed, execution_time=execution_time, variants=dict(variants or {}), clock=clock)
        self.inprocess = InProcessService(self.environment)

    @property
    def images(self) -> Any:
        """The image records by ARN, as of now."""
        self.environment.backend.advance()
        return self.environment.backend.images

    def executions(self, arn: str) -> list[Any]:
        """The state updates' executions of an image, oldest first, as of now."""
        self.environment.backend.advance()
        return [each for each in self.environment.backend.executions.values() if each.image_arn == arn]

    def calls(self, operation: str | None = None) -> list[Any]:
        """The requests to Image Builder, of one operation or of all."""
        return [
            request
            for request in self.environment.requests.all()
            if request.service == "imagebuilder" and operation in (None, request.operation)
        ]


class SimulatedService(Service):
    """A run's service: what the core calls reaches the world's services after some latency.

    Args:
        world: the services.
        interrupt: called before each call and before its answer with the operation; may raise or kill the run. Where it
            raises what is transient, the request or the answer is lost.
    """

    def __init__(self, world: World, interrupt: Callable[[str, str], None] = lambda when, operation: None) -> None:
        super().__init__(Configuration())
        self._world = world
        self._interrupt = interrupt
        self.counts: dict[str, int] = {}

    async def call(
        self,
        service: str,
        region: str,
        operation: str,
        *,
        account: str | None = None,
        on_retry: Callable[[str], None] | None = None,
        **parameters: Any,
    ) -> dict[str, Any]:
        if account is not None:
            self.configuration.check_account(account)
        delay = 0.5
        while True:
            await asyncio.sleep(LATENCY)
            self.counts[operation] = self.counts.get(operation, 0) + 1
            try:
                self._interrupt("before", operation)
                answer = self._world.inprocess.call(service, region, operation, parameters)
                await asyncio.sleep(LATENCY)
                self._interrupt("after", operation)
                return answer
            except (ClientError, ConnectionClosedError) as error:
                await asyncio.sleep(LATENCY)
                if not is_transient(error):
                    raise self._convert(error, service, operation) from error
                if on_retry:
                    on_retry(f"retrying after {self._describe(error)}")
                await asyncio.sleep(delay)
                delay = min(2 * delay, 20.0)
