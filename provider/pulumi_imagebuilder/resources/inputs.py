"""From keyword arguments to the inputs that Pulumi carries to a resource's provider."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import date
from typing import Any

import pulumi
import pulumi.dynamic

from .. import validation

_DYNAMIC_PACKAGE = "pulumi-python"

_AWS_PACKAGES = ("aws", "aws-native", "imagebuilder")
"""Packages whose providers stand for an AWS account and region."""


class ImageBuilderResource(pulumi.dynamic.Resource):
    """The base of our resources: converts arguments to inputs, and refuses providers that would be passed over.

    A subclass of a resource has the resource's type token, unless it names its own.
    """

    _token = ("", "Resource")

    def __init_subclass__(cls, module: str = "", name: str = "", **kwargs: Any) -> None:
        if module or name:
            cls._token = (module, name or "Resource")
        token_module, token_name = cls._token
        super().__init_subclass__(module=token_module, name=token_name, **kwargs)

    def __init__(
        self,
        provider: pulumi.dynamic.ResourceProvider,
        resource_name: str,
        arguments: Mapping[str, Any],
        outputs: Iterable[str],
        opts: pulumi.ResourceOptions | None,
    ) -> None:
        """Declare the resource.

        Args:
            provider: What carries it out.
            resource_name: The Pulumi name of this resource.
            arguments: Its arguments by name.
            outputs: The names of outputs that are no arguments; Pulumi makes attributes only of names among the inputs.
            opts: Options of any Pulumi resource.

        Raises:
            pulumi.RunError: There is an explicit provider of another package.
        """
        if opts is not None:
            _refuse_explicit_provider(f'{type(self).__name__} "{resource_name}"', opts)
        inputs = {name: to_wire_value(value) for name, value in arguments.items()}
        super().__init__(
            provider, resource_name, {**dict.fromkeys(outputs), **inputs, **provider_metadata(inputs)}, opts
        )


def to_wire_value(value: Any) -> Any:
    """Convert a value to what Pulumi can carry: text for enumerations and times, lists for sets, dicts for Args.

    Of anything else only the type's name is passed on, for the check to refuse beside all other mistakes: Pulumi would
    end the program with a traceback. Outputs stay outputs.

    >>> to_wire_value({"regions": ("us-east-1",), "update_at": date(2030, 1, 31)})
    {'regions': ['us-east-1'], 'update_at': '2030-01-31'}
    """
    if isinstance(value, pulumi.Output):
        return value.apply(to_wire_value)
    if inspect.isawaitable(value):
        return pulumi.Output.from_input(value).apply(to_wire_value)
    if isinstance(value, enum.Enum):
        return to_wire_value(value.value)
    if value is None or isinstance(value, str | bool | int | float | pulumi.Asset | pulumi.Archive):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(type(value), "_pulumi_input_type"):
        return to_wire_value(vars(value))
    if isinstance(value, Mapping):
        return {str(to_wire_value(key)): to_wire_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_wire_value(item) for item in value]
    if isinstance(value, Set):
        return [to_wire_value(item) for item in sorted(value, key=str)]
    return validation.unserializable(type(value).__name__)


def provider_metadata(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return, as inputs that Pulumi does not display, what the engine does not tell a dynamic provider.

    No input may be made from an Output of ``opts.parent``: it would depend on all children of a component, and so on
    the resource itself.

    Args:
        inputs: the arguments as inputs.
    """
    return {
        "__secrets": pulumi.Output.from_input(_secret_inputs(inputs)) if any(_outputs(inputs)) else None,
        "__dry_run": pulumi.runtime.is_dry_run(),
    }


async def _secret_inputs(inputs: Mapping[str, Any]) -> list[str] | None:
    return [
        name
        for name, value in inputs.items()
        if any(_outputs(value)) and await pulumi.Output.from_input(value).is_secret()
    ] or None


def _outputs(value: Any) -> Iterator[pulumi.Output[Any]]:
    """Yield all Outputs anywhere inside a value."""
    if isinstance(value, pulumi.Output):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _outputs(item)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from _outputs(item)


def _refuse_explicit_provider(resource: str, opts: pulumi.ResourceOptions) -> None:
    """Refuse what the SDK passes over in silence: calls would go to the account of the stack's own configuration.

    A provider of AWS counts wherever it comes from, one of any other package only if it is meant for this very
    resource: a component may have a provider for Kubernetes beside ours.
    """
    for provider, origin, way_out in _explicit_providers(opts):
        raise pulumi.RunError(
            f'{resource}: provider "{provider.pulumi_resource_name}" of package {provider.package}{origin} cannot be '
            "used by a dynamic resource, which has its credentials and region from the stack's `aws:*` configuration; "
            f"use the same class of pulumi_imagebuilder.native with a provider of its own, or {way_out}"
        )


def _explicit_providers(opts: pulumi.ResourceOptions) -> Iterator[tuple[pulumi.ProviderResource, str, str]]:
    """Yield the providers to refuse, each with where it comes from and what to do without it."""
    leave_out = "set `aws:*` and leave the provider out"
    if opts.provider is not None and opts.provider.package != _DYNAMIC_PACKAGE:
        yield opts.provider, "", leave_out
    providers = opts.providers or ()
    for provider in providers.values() if isinstance(providers, Mapping) else providers:
        if provider.package in _AWS_PACKAGES:
            yield provider, "", leave_out
    if opts.parent is not None:
        for package in _AWS_PACKAGES:
            # Parents hand on to their children what they have inherited themselves.
            inherited = opts.parent.get_provider(f"{package}:index:Provider")
            if inherited is not None:
                origin = f', inherited from "{opts.parent.pulumi_resource_name}",'
                yield inherited, origin, "set `aws:*` and declare the resource outside of it"
