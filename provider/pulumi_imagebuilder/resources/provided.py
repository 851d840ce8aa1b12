"""What every resource hands to its provider beside its arguments: the provider's process is not told it otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pulumi
import pulumi.dynamic


def for_the_provider(
    resource_type: type[pulumi.dynamic.Resource],
    name: str,
    arguments: Mapping[str, Any],
    opts: pulumi.ResourceOptions | None,
) -> dict[str, Any]:
    """What the provider's process is not told otherwise, as inputs that Pulumi does not display."""
    timeouts = opts.custom_timeouts if opts else None
    if isinstance(timeouts, Mapping):
        timeouts = pulumi.CustomTimeouts(**timeouts)
    limits = {key: getattr(timeouts, key, None) for key in ("create", "update", "delete", "read")}
    return {
        "__urn": pulumi.create_urn(
            name, f"pulumi-python:{resource_type._resource_type_name}", opts.parent if opts else None
        ),
        "__timeouts": {key: limit for key, limit in limits.items() if limit} or None,
        "__secrets": pulumi.Output.from_input(_secret_arguments(arguments)) if any(_outputs(arguments)) else None,
    }


async def _secret_arguments(arguments: Mapping[str, Any]) -> list[str] | None:
    """The names of the arguments whose values are secret: the engine hides that from a dynamic provider."""
    return [
        name
        for name, value in arguments.items()
        if any(_outputs(value)) and await pulumi.Output.from_input(value).is_secret()
    ] or None


def _outputs(value: Any) -> Iterator[pulumi.Output[Any]]:
    """All Outputs anywhere inside a value."""
    if isinstance(value, pulumi.Output):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _outputs(item)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from _outputs(item)
