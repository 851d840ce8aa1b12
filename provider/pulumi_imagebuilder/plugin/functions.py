"""The functions of the package: which builds there are, and what uses them."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import PermanentError
from ..lifecycle import listing
from ..names import to_camel_case

if TYPE_CHECKING:
    from ..aws.service import Service

FUNCTIONS: Mapping[str, tuple[Callable[..., Awaitable[list[dict[str, Any]]]], str]] = {
    "getImageBuildVersions": (listing.find_build_versions, "image_build_versions"),
    "getImageReferences": (listing.find_image_references, "image_references"),
}
"""By the name in the schema: what finds, and the property of the answer that holds the list."""


async def invoke(service: Service, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer of a function.

    Args:
        service: where calls go.
        name: the function, as ``getImageBuildVersions``.
        arguments: by their names in Python; None is left out.

    Raises:
        ImageBuilderError: there is no such function or argument, or the service refused.
    """
    if name not in FUNCTIONS:
        raise PermanentError(f"there is no function {name}; expected one of {', '.join(FUNCTIONS)}")
    find, result = FUNCTIONS[name]
    known = {each.name: each for each in list(inspect.signature(find).parameters.values())[1:]}
    for argument in sorted(arguments.keys() - known.keys()):
        names = ", ".join(map(to_camel_case, known))
        raise PermanentError(f"{to_camel_case(argument)}: not an argument of {name}; expected one of {names}")
    for argument, parameter in known.items():
        if parameter.default is parameter.empty and arguments.get(argument) is None:
            raise PermanentError(f"{to_camel_case(argument)}: missing; {name} needs it")
    given = {argument: value for argument, value in arguments.items() if value is not None}
    return {result: await find(service, **given)}
