"""Pulumi's dynamic side: each of the engine's calls goes to the handler of its kind."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from pulumi.dynamic import Config, ConfigureRequest
from pulumi.output import Unknown
from pulumi_imagebuilder import dynamic
from pulumi_imagebuilder.dynamic import (
    FleetStateUpdateProvider,
    ImageBuilderProvider,
    ImageCleanupProvider,
    ResourceStateUpdateProvider,
    sdk,
)
from pulumi_imagebuilder.errors import ExecutionFailed, ServiceError
from pulumi_imagebuilder.validation import UNKNOWN

from tests.provider.simulated import AHEAD, ARN, ROLE, Simulation, arns, images, refusal

UPDATE: dict[str, Any] = {
    "resource_arn": ARN,
    "state": "DISABLED",
    "execution_role": ROLE,
    "include_resources": {"amis": True},
    "in_use": "ignore",
}
CLEANUP: dict[str, Any] = {"resource_arn": ARN, "execution_role": ROLE, "in_use": "ignore"}


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch) -> Simulation:
    """The process of the provider, with a simulated service."""
    sim = Simulation(images(2))
    process = SimpleNamespace(host=sim.host, loop=sim)
    monkeypatch.setattr(dynamic, "_processes", [process])
    return sim


def begin_destroy(sim: Simulation) -> None:
    """Begin a run in which the program declares nothing any more."""
    sim.begin_run()
    dynamic._processes[0].host = sim.host


@pytest.fixture
def provide(sim: Simulation) -> Callable[..., Any]:
    """Make a provider as the SDK does: unpickled, then configured."""

    def make(kind: type[ImageBuilderProvider] = ResourceStateUpdateProvider) -> Any:
        provider = pickle.loads(pickle.dumps(kind()))
        provider.configure(ConfigureRequest(Config({}, "project")))
        return provider

    return make


def checked(provider: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    result = provider.check({}, inputs)
    assert result.failures == []
    found: dict[str, Any] = result.inputs
    return found


def test_the_state_holds_a_provider_by_its_path() -> None:
    """A promise: later versions read the state of earlier ones."""
    for kind, name in (
        (ResourceStateUpdateProvider, "ResourceStateUpdateProvider"),
        (FleetStateUpdateProvider, "FleetStateUpdateProvider"),
        (ImageCleanupProvider, "ImageCleanupProvider"),
    ):
        pickled = pickle.dumps(kind())
        assert b"pulumi_imagebuilder.dynamic" in pickled
        assert name.encode() in pickled
        assert len(pickled) < 120
        assert kind.serialize_as_secret_always is False


def test_a_life(sim: Simulation, provide: Callable[..., Any]) -> None:
    provider = provide()
    inputs = checked(provider, UPDATE)
    created = provider.create(inputs)
    assert created.id == ARN
    assert created.outs["image_state"] == "DISABLED"
    assert not provider.diff(ARN, created.outs, inputs).changes
    news = checked(provider, {**UPDATE, "state": "DEPRECATED"})
    assert provider.diff(ARN, created.outs, news).changes
    updated = provider.update(ARN, created.outs, news)
    assert updated.outs["image_state"] == "DEPRECATED"
    read = provider.read(ARN, updated.outs)
    assert (read.id, read.outs) == (ARN, updated.outs)
    provider.delete(ARN, {**updated.outs, "on_destroy": "restore"})
    assert sim.row.logged == [f": left unchanged, because the program still declares it: image {ARN}"]
    begin_destroy(sim)
    provide().delete(ARN, {**updated.outs, "on_destroy": "restore"})
    assert sim.state() == "AVAILABLE"


def test_what_is_wrong_is_reported_with_its_path(sim: Simulation, provide: Callable[..., Any]) -> None:
    failures = (
        provide().check({}, {**UPDATE, "state": "GONE", "exclusion_rules": {"amis": {"regions": ["mars"]}}}).failures
    )
    assert [each.property for each in failures] == ["state", "exclusion_rules.amis.regions[0]"]
    assert sim.counts == {}


def test_unknown_values_are_known_as_such_and_the_dry_run_is_no_input(provide: Callable[..., Any]) -> None:
    inputs = {**UPDATE, "resource_arn": Unknown(), "triggers": [{"a": Unknown()}], "__secrets": {"dry_run": ["x"]}}
    found = checked(provide(), inputs)
    assert (found["resource_arn"], found["triggers"]) == (UNKNOWN, [{"a": UNKNOWN}])
    assert found["__secrets"] == ["x"]
    assert provide().diff(ARN, {**UPDATE, "resources": []}, {**UPDATE, "resource_arn": Unknown()}).replaces == [
        "resource_arn"
    ]


def test_a_preview_shows_what_would_be_taken_away(sim: Simulation, provide: Callable[..., Any]) -> None:
    inputs = {**UPDATE, "in_use": "refuse"}
    checked(provide(), inputs)
    assert sim.row.logged == []
    checked(provide(), {**inputs, "__secrets": {}})
    assert [each.partition(" 2 AMIs")[0] for each in sim.row.logged] == [": would disable 1 image:"]


def test_what_is_changed_replaces_only_where_it_must(provide: Callable[..., Any]) -> None:
    provider = provide(ImageCleanupProvider)
    created = provider.create(checked(provider, CLEANUP))
    other = checked(provider, {**CLEANUP, "resource_arn": arns(2)[1]})
    assert provider.diff(ARN, created.outs, other).replaces == ["resource_arn"]
    role = provider.diff(ARN, created.outs, checked(provider, {**CLEANUP, "execution_role": "Another"}))
    assert (role.changes, role.replaces) == (True, [])


def test_what_has_vanished_is_read_as_gone(sim: Simulation, provide: Callable[..., Any]) -> None:
    provider = provide()
    state = provider.create(checked(provider, UPDATE)).outs
    del sim.backend.images[ARN]
    gone = provider.read(ARN, state)
    assert (gone.id, gone.outs) == ("", {})
    assert provide(ImageCleanupProvider).read(ARN, CLEANUP).id == ""


def test_errors_are_raised_for_the_sdk_to_print(sim: Simulation, provide: Callable[..., Any]) -> None:
    """It records nothing of a call that fails: the service's own records are enough to continue from."""
    provider = provide()
    inputs = checked(provider, UPDATE)
    sim.fault(f"execution fail image={ARN}")
    with pytest.raises(ExecutionFailed):
        provider.create(inputs)
    with pytest.raises(ExecutionFailed):
        provider.update(ARN, {**UPDATE, "state": "DEPRECATED", "on_destroy": "retain", "wait": True}, inputs)
    sim.heal()
    state = provider.create(inputs).outs

    def refuse(parameters: Any, ask: Any) -> Any:
        raise refusal("ForbiddenException")

    sim.overrides["get_image"] = refuse
    with pytest.raises(ServiceError):
        provider.read(ARN, state)
    begin_destroy(sim)
    with pytest.raises(ServiceError):
        provide().delete(ARN, {**state, "on_destroy": "restore"})


@pytest.mark.parametrize("kind", [ResourceStateUpdateProvider, FleetStateUpdateProvider])
def test_a_schedule_that_goes_is_cancelled(sim: Simulation, provide: Callable[..., Any], kind: type[Any]) -> None:
    inputs = {**UPDATE, "state": "DEPRECATED", "update_at": AHEAD, "on_destroy": "cancel"}
    if kind is FleetStateUpdateProvider:
        inputs["resource_arns"] = [inputs.pop("resource_arn")]
    provider = provide(kind)
    state = provider.create(checked(provider, inputs)).outs
    begin_destroy(sim)
    provide(kind).delete(ARN, state)
    assert sim.executions() == [("DEPRECATED", "CANCELLED")]


def test_configuring_prepares_the_sdk_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(sdk, "widen_pool", lambda: done.append("pool"))
    monkeypatch.setattr(sdk, "print_errors_in_one_line", lambda: done.append("errors"))
    ResourceStateUpdateProvider().configure(ConfigureRequest(Config({}, "project")))
    assert done == ["pool", "errors"]


@pytest.mark.parametrize("address", [None, "127.0.0.1:9"])
def test_all_providers_of_a_process_share_its_host(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the address of the engine that started it, and reads the stack's configuration at the first call."""
    monkeypatch.setattr(dynamic, "_processes", [])
    watched: list[str | None] = []
    monkeypatch.setattr("pulumi_imagebuilder.engine.Engine.watch", lambda self: watched.append(self.address))
    monkeypatch.setattr(dynamic.sys, "argv", ["provider", *([address] if address else [])])
    loops: list[Any] = []

    class Loop:
        def run(self, work: Coroutine[Any, Any, Any]) -> Any:
            loops.append(work)
            work.close()

    monkeypatch.setattr("pulumi_imagebuilder.dynamic.loop.LoopThread", Loop)
    config = Config({"aws:profile": "p"}, "project")
    first, second = dynamic._process(config), dynamic._process(config)
    assert first is second
    assert watched == [address]
    assert first.host.context.service.configuration.profile == "p"
