"""Convert keyword arguments to the inputs that Pulumi passes to a resource's provider."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import date
from typing import Any

import pulumi
import pulumi.dynamic

from .. import validation
from ..dynamic import DRY_RUN, SECRETS

_DYNAMIC_PACKAGE = "pulumi-python"

_AWS_PACKAGES = ("aws", "aws-native", "imagebuilder")
"""Packages whose providers stand for an AWS account and region."""

_LEAVE_OUT = "leave the provider out"


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
        name = f'{type(self).__name__} "{resource_name}"'
        for found, origin, way_out in _explicit_providers(opts or pulumi.ResourceOptions()):
            raise _refusal(name, found, origin, way_out)
        inputs = {name: to_wire_value(value) for name, value in arguments.items()}
        # What the engine does not tell a dynamic provider. No input may be made from an Output of `opts.parent`: it
        # would depend on all children of a component, and so on this resource itself.
        secrets: pulumi.Input[Any] = self._secret_inputs(name, inputs)
        if pulumi.runtime.is_dry_run():
            # Not an input of its own: plans keep the names of all inputs, those too that the check takes out.
            secrets = {DRY_RUN: secrets}
        metadata: dict[str, Any] = {SECRETS: pulumi.Output.from_input(secrets)}
        super().__init__(provider, resource_name, {**dict.fromkeys(outputs), **inputs, **metadata}, opts)

    async def _secret_inputs(self, name: str, inputs: Mapping[str, Any]) -> list[str] | None:
        """Return the names of the inputs with secret values, or refuse to register the resource."""
        # Awaited at the registration: a transformation may have set a provider since the constructor looked.
        for found in _aws_providers(self):
            raise _refusal(name, found, ", set by a transformation,", _LEAVE_OUT)
        return [
            name
            for name, value in inputs.items()
            if any(_outputs(value)) and await pulumi.Output.from_input(value).is_secret()
        ] or None


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


def _explicit_providers(opts: pulumi.ResourceOptions) -> Iterator[tuple[pulumi.ProviderResource, str, str]]:
    """Yield the providers to refuse, each with where it comes from and what to do without it.

    A provider of AWS counts wherever it comes from, one of any other package only if it is meant for this very
    resource: a component may have a provider for Kubernetes beside ours.
    """
    if opts.provider is not None and opts.provider.package != _DYNAMIC_PACKAGE:
        yield opts.provider, "", _LEAVE_OUT
    providers = opts.providers or ()
    for provider in providers.values() if isinstance(providers, Mapping) else providers:
        if provider.package in _AWS_PACKAGES:
            yield provider, "", _LEAVE_OUT
    if opts.parent is not None:
        origin = f', inherited from "{opts.parent.pulumi_resource_name}",'
        for provider in _aws_providers(opts.parent):
            yield provider, origin, "declare the resource outside of it"


def _aws_providers(resource: pulumi.Resource) -> Iterator[pulumi.ProviderResource]:
    """Yield the providers of AWS that a resource hands on to its children, inherited ones too."""
    for package in _AWS_PACKAGES:
        provider = resource.get_provider(f"{package}:index:Provider")
        if provider is not None:
            yield provider


def _refusal(resource: str, provider: pulumi.ProviderResource, origin: str, way_out: str) -> pulumi.RunError:
    """Return the error for a provider that the SDK would pass over in silence, so that calls go to another account."""
    return pulumi.RunError(
        f'{resource}: provider "{provider.pulumi_resource_name}" of package {provider.package}{origin} cannot be '
        "used by a dynamic resource, which has its credentials and region from the stack's `aws:*` configuration; "
        f"use the same class of pulumi_imagebuilder.native with a provider of its own, or set `aws:*` and {way_out}"
    )
