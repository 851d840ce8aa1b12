"""The resources inside components, with transformations and explicit providers, under Pulumi's mocks."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pulumi
import pytest
from pulumi_imagebuilder import FleetStateUpdate, ImageCleanup, ResourceStateUpdate

if TYPE_CHECKING:
    from conftest import MockEngine

IMAGE = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.2.3/4"
Opts = pulumi.ResourceOptions

Declare = Callable[..., pulumi.CustomResource]


def single(name: str, opts: Opts | None = None, **more: Any) -> ResourceStateUpdate:
    return ResourceStateUpdate(name, **{"resource_arn": IMAGE, "state": "DISABLED", **more}, opts=opts)


def fleet(name: str, opts: Opts | None = None, **more: Any) -> FleetStateUpdate:
    return FleetStateUpdate(name, **{"resource_arns": [IMAGE], "state": "DISABLED", **more}, opts=opts)


def cleanup(name: str, opts: Opts | None = None, **more: Any) -> ImageCleanup:
    return ImageCleanup(name, **{"resource_arn": IMAGE, "execution_role": "R", **more}, opts=opts)


EVERY: list[Declare] = [single, fleet, cleanup]


class Component(pulumi.ComponentResource):
    """A component whose children, one of each resource, depend on each other."""

    def __init__(self, name: str, depth: int, opts: Opts | None = None) -> None:
        super().__init__("test:index:Component", name, None, opts)
        if depth:
            Component(f"{name}-inner", depth - 1, Opts(parent=self))
        first = single(f"{name}-single", Opts(parent=self))
        second = fleet(f"{name}-fleet", Opts(parent=self, depends_on=[first]), triggers=[first.image_state])
        third = cleanup(f"{name}-cleanup", Opts(parent=self, depends_on=[first, second]), resource_arn=first.id)
        self.register_outputs({"last": third.id})


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_every_resource_can_be_the_child_of_a_component(engine: MockEngine, depth: int, preview: bool) -> None:
    """Also in components within components, with children that depend on each other and on other components."""

    def program() -> None:
        outer = Component("outer", depth)
        Component("after", 0, Opts(depends_on=[outer]))
        single("last", Opts(depends_on=[outer]))

    engine.run(program, preview=preview)

    assert len([args for args in engine.registered if args.custom]) == 3 * (depth + 2) + 1
    assert engine.inputs("outer-cleanup")["resource_arn"] == "outer-single-id"


@pytest.mark.parametrize("declare", EVERY)
def test_a_resource_can_be_the_parent_of_another(engine: MockEngine, declare: Declare) -> None:
    """A custom resource may be a parent, too."""

    def program() -> None:
        parent = declare("parent")
        declare("child", Opts(parent=parent))

    engine.run(program)
    assert engine.names() == ["parent", "child"]


@pytest.mark.parametrize("declare", EVERY)
@pytest.mark.parametrize("preview", [True, False])
def test_the_provider_gets_arguments_outputs_and_metadata(engine: MockEngine, declare: Declare, preview: bool) -> None:
    """Of names with two underscores there are no others than these, and none is made from the parent."""
    engine.run(lambda: declare("x"), preview=preview)
    inputs = engine.inputs("x")
    assert {name for name in inputs if name.startswith("__")} <= {"__provider", "__secrets"}
    # Pulumi's plans keep the names of all inputs, so a preview has none of its own.
    assert isinstance(inputs.get("__secrets"), dict) == preview
    assert inputs["in_use"] == ("wait" if declare is cleanup else "refuse")


def test_secret_arguments_are_named(engine: MockEngine) -> None:
    """Anywhere inside an argument; the engine hides from a dynamic provider which values are secret."""

    def program() -> None:
        single("x", execution_role=pulumi.Output.secret("R"), triggers=[{"deep": pulumi.Output.secret(1)}], max_amis=3)

    engine.run(program)
    assert engine.inputs("x")["__secrets"] == ["execution_role", "triggers"]
    assert engine.inputs("x")["max_amis"] == 3


def test_whole_numbers_of_outputs_are_ints(engine: MockEngine) -> None:
    """Pulumi carries doubles; the declared type of the output makes an int of it."""
    found: list[Any] = []

    def program() -> None:
        single("x", max_amis=3).max_amis.apply(found.append)

    engine.run(program)
    assert found == [3]
    assert type(found[0]) is int


def test_transformations_change_arguments(engine: MockEngine) -> None:
    """A component's transformation sees the arguments under their own names."""

    def transform(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if not args.type_.startswith("pulumi-python:dynamic/imagebuilder:"):
            return None
        return pulumi.ResourceTransformationResult({**args.props, "on_destroy": "restore"}, args.opts)

    def program() -> None:
        component = pulumi.ComponentResource("test:index:C", "c", None, Opts(transformations=[transform]))
        single("x", Opts(parent=component))

    engine.run(program)
    assert engine.inputs("x")["on_destroy"] == "restore"


@pytest.mark.parametrize("declare", EVERY)
def test_a_subclass_has_the_type_token_of_its_base(engine: MockEngine, declare: Declare) -> None:
    """So that moving to a subclass of one's own replaces nothing; one that names a token has that."""
    base = {single: ResourceStateUpdate, fleet: FleetStateUpdate, cleanup: ImageCleanup}[declare]

    class Inheriting(base):  # type: ignore[misc,valid-type]
        pass

    class Naming(base, module="mine", name="Own"):  # type: ignore[misc,valid-type,call-arg]
        pass

    class BelowNaming(Naming):
        pass

    tokens = [each._resource_type_name for each in (base, Inheriting, Naming, BelowNaming)]
    assert tokens == [f"dynamic/imagebuilder:{base.__name__}"] * 2 + ["dynamic/mine:Own"] * 2


def provider(package: str, name: str = "eu", **opts: Any) -> pulumi.ProviderResource:
    return pulumi.ProviderResource(package, name, {}, Opts(**opts))


def component(name: str, **opts: Any) -> pulumi.ComponentResource:
    return pulumi.ComponentResource("test:index:C", name, None, Opts(**opts))


REFUSED: dict[str, Callable[[], Opts]] = {
    "provider": lambda: Opts(provider=provider("aws")),
    "provider of another cloud": lambda: Opts(provider=provider("gcp")),
    "provider of Cloud Control": lambda: Opts(provider=provider("aws-native")),
    "provider of the native resources": lambda: Opts(provider=provider("imagebuilder")),
    "providers as a list": lambda: Opts(providers=[provider("gcp", "other"), provider("aws")]),
    "providers as a dict": lambda: Opts(providers={"aws": provider("aws")}),
    "provider merged": lambda: Opts.merge(Opts(protect=True), Opts(provider=provider("aws"))),
    "providers merged": lambda: Opts.merge(Opts(providers=[provider("aws")]), Opts(protect=True)),
    "component with providers": lambda: Opts(parent=component("c", providers=[provider("aws")])),
    "component with a dict": lambda: Opts(parent=component("c", providers={"aws": provider("aws")})),
    "component with a provider": lambda: Opts(parent=component("c", provider=provider("aws"))),
    "component in a component": lambda: Opts(
        parent=component("c", parent=component("b", parent=component("a", providers=[provider("aws")])))
    ),
    "child of a resource with a provider": lambda: Opts(
        parent=pulumi.CustomResource("aws:s3:Bucket", "c", {}, Opts(provider=provider("aws")))
    ),
}


@pytest.mark.parametrize("declare", EVERY)
@pytest.mark.parametrize("case", REFUSED)
def test_an_explicit_provider_is_refused(engine: MockEngine, case: str, declare: Declare) -> None:
    """The SDK passes it over in silence, and calls would go to another account; nothing is registered."""
    opts = REFUSED[case]

    with pytest.raises(pulumi.RunError) as failure:
        engine.run(lambda: declare("web", opts()))

    text = str(failure.value)
    assert "\n" not in text
    assert '"web": provider "eu" of package ' in text
    assert "pulumi_imagebuilder.native" in text
    assert "`aws:*`" in text
    assert "web" not in engine.names()


def test_the_refusal_says_what_to_do(engine: MockEngine) -> None:
    """The whole text, for a provider of the resource's own and for an inherited one."""
    cannot = (
        "cannot be used by a dynamic resource, which has its credentials and region from the stack's `aws:*` "
        "configuration; use the same class of pulumi_imagebuilder.native with a provider of its own, or set `aws:*` and"
    )
    with pytest.raises(pulumi.RunError) as failure:
        engine.run(lambda: single("web", REFUSED["provider"]()))
    own = f'ResourceStateUpdate "web": provider "eu" of package aws {cannot} leave the provider out'
    assert str(failure.value) == own

    with pytest.raises(pulumi.RunError) as failure:
        engine.run(lambda: fleet("web", REFUSED["component with providers"]()))
    inherited = (
        f'FleetStateUpdate "web": provider "eu" of package aws, inherited from "c", {cannot} '
        "declare the resource outside of it"
    )
    assert str(failure.value) == inherited


@pytest.mark.parametrize("declare", EVERY)
def test_a_provider_set_by_a_transformation_is_refused(engine: MockEngine, declare: Declare) -> None:
    """The constructor runs before transformations do: the registration is refused instead."""

    def transform(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
        return pulumi.ResourceTransformationResult(args.props, Opts.merge(args.opts, Opts(provider=found[0])))

    found: list[pulumi.ProviderResource] = []

    def program() -> None:
        found.append(provider("aws"))
        declare("web", Opts(parent=component("c"), transformations=[transform]))

    with pytest.raises(
        pulumi.RunError, match=r'^\w+ "web": provider "eu" of package aws, set by a transformation, .*$'
    ):
        engine.run(program)
    assert "web" not in engine.names()


ACCEPTED: dict[str, Callable[[], Opts | None]] = {
    "no options": lambda: None,
    "options without a provider": lambda: Opts(protect=True),
    "empty providers": lambda: Opts(providers=[]),
    "options merged from nothing": lambda: Opts.merge(None, None),
    "component without providers": lambda: Opts(parent=component("c")),
    "component with another cloud's": lambda: Opts(parent=component("c", providers=[provider("kubernetes")])),
    "sibling with a provider": lambda: Opts(
        depends_on=[pulumi.CustomResource("aws:s3:Bucket", "c", {}, Opts(provider=provider("aws")))]
    ),
    "child of the provider itself": lambda: Opts(parent=provider("aws")),
    "provider of dynamic resources": lambda: Opts(provider=provider("pulumi-python")),
}


@pytest.mark.parametrize("declare", EVERY)
@pytest.mark.parametrize("case", ACCEPTED)
def test_what_is_no_explicit_provider_is_accepted(engine: MockEngine, case: str, declare: Declare) -> None:
    """Default providers, and those that say nothing of an AWS account, do not matter."""
    opts = ACCEPTED[case]
    engine.run(lambda: declare("web", opts()))
    assert "web" in engine.names()


def test_fleets_take_the_arguments_of_single_resources() -> None:
    """The two signatures differ in what names the images, and in nothing else."""
    one, many = (
        {
            name: (str(parameter.annotation), parameter.default, parameter.kind)
            for name, parameter in inspect.signature(resource.__init__).parameters.items()
        }
        for resource in (ResourceStateUpdate, FleetStateUpdate)
    )
    assert one.pop("resource_arn")[1:] == many.pop("resource_arns")[1:]
    assert one == many


@pytest.mark.parametrize(
    ("declare", "arguments", "text"),
    [
        (ResourceStateUpdate, {"state": "DISABLED"}, "missing 1 required keyword-only argument: 'resource_arn'"),
        (FleetStateUpdate, {"resource_arns": []}, "missing 1 required keyword-only argument: 'state'"),
        (ImageCleanup, {"resource_arn": IMAGE}, "missing 1 required keyword-only argument: 'execution_role'"),
        (
            ResourceStateUpdate,
            {"resource_arn": IMAGE, "state": "DISABLED", "sate": 1},
            "unexpected keyword argument 'sate'",
        ),
    ],
)
def test_a_wrong_keyword_is_pythons_own_error(declare: Declare, arguments: dict[str, Any], text: str) -> None:
    """As with every resource of Pulumi."""
    with pytest.raises(TypeError, match=text):
        declare("x", **arguments)
