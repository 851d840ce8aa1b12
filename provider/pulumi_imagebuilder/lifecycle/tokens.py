"""Client tokens: the same declared change always asks with the same line of tokens.

A token is a digest of what is declared and of the change it follows, so a run that was killed asks again with the
token it used before, and the service answers with the execution it started then. The next token in the line is for
when that answer no longer holds: its execution failed or was cancelled, or the image was moved elsewhere since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

_NOT_PART_OF_THE_CHANGE = "executionRole"
"""A change of role alone runs nothing again, so it must not look like another change after a kill either."""


def line(
    resource_arn: str,
    request: Mapping[str, Any],
    *,
    triggers: Any = None,
    given: str | None = None,
    follows: str | None = None,
) -> Iterator[str]:
    """The tokens to ask with, in their order, without end.

    Args:
        resource_arn: the image build version.
        request: the other parameters of ``StartResourceStateUpdate``.
        triggers: the values whose change runs the update again.
        given: the user's own token, which then comes first.
        follows: the token of the change before this one; None for a resource's first.
    """
    if given is not None:
        yield given
    declared = {name: value for name, value in request.items() if name != _NOT_PART_OF_THE_CHANGE}
    number = 0
    while True:
        text = json.dumps([resource_arn, declared, triggers, given, follows, number], sort_keys=True, default=_instant)
        yield "pulumi-" + hashlib.sha256(text.encode()).hexdigest()[:48]
        number += 1


def cancel(execution_id: str) -> str:
    """The token to cancel an execution with: always the same one, so that cancelling twice is cancelling once."""
    return "pulumi-" + hashlib.sha256(f"cancel {execution_id}".encode()).hexdigest()[:48]


def _instant(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a request")
