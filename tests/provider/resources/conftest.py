"""Pulumi's mocks: a program is run to its end, and what it registers and asks for is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pulumi.runtime import mocks, settings, stack


class MockEngine(mocks.Mocks):
    """Keeps registrations and calls, and answers calls with :attr:`answers` by their tokens."""

    def __init__(self) -> None:
        self.registered: list[mocks.MockResourceArgs] = []
        self.calls: list[mocks.MockCallArgs] = []
        self.answers: dict[str, Any] = {}

    def call(self, args: mocks.MockCallArgs) -> Any:
        """Answer a function."""
        self.calls.append(args)
        return self.answers.get(args.token, {})

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Create a resource whose outputs are its inputs."""
        self.registered.append(args)
        return f"{args.name}-id", dict(args.inputs)

    def names(self) -> list[str]:
        """Return the names of what was registered, in order."""
        return [args.name for args in self.registered]

    def inputs(self, name: str) -> dict[str, Any]:
        """Return the inputs that a resource was registered with."""
        (found,) = [args.inputs for args in self.registered if args.name == name]
        return dict(found)

    def run(self, program: Callable[[], object], *, preview: bool = False) -> None:
        """Run a program to its end, as the language host does."""
        # The SDK's mocks want an event loop in the threads that they are called in, and would leave it open.
        loop = asyncio.new_event_loop()

        def without_result() -> None:
            program()

        async def main() -> None:
            executor = ThreadPoolExecutor(1, initializer=asyncio.set_event_loop, initargs=[loop])
            asyncio.get_running_loop().set_default_executor(executor)
            mocks.set_mocks(self, preview=preview)
            # As `pulumi.runtime.test` does: a program that failed has left its own.
            settings.SETTINGS.outputs.clear()
            await stack.run_pulumi_func(without_result)

        try:
            asyncio.run(main())
        finally:
            loop.close()


@pytest.fixture
def engine() -> Iterator[MockEngine]:
    """An engine of mocks, and no trace of it afterwards."""
    before = settings.SETTINGS
    yield MockEngine()
    settings.configure(before)
