"""Collect the mistakes in a declaration: one for each property, without secrets."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .values import UNKNOWN, printable, show

_SECRET = "[secret]"  # noqa: S105 - shown in the place of a secret
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Failure:
    """One mistake.

    Args:
        property: path of the property as the user wrote it, as ``exclusion_rules.amis.last_launched.unit``. A secret
            one is ``["client_token"]``, which is the same path, but keeps Pulumi from printing the value.
        reason: the value, what is allowed, and the way out where there is one. A single line.
    """

    property: str
    reason: str


class FailureCollector:
    """Collects failures; only the first one of a property is kept, for later ones follow from it.

    Args:
        secrets: paths of properties whose values must not be shown; :data:`UNKNOWN` when that is not known yet,
            and then none is shown.
    """

    def __init__(self, secrets: Iterable[str] | None = None) -> None:
        self._all_secret = secrets == UNKNOWN
        self._secrets = () if self._all_secret else tuple(secrets or ())
        self._reasons: dict[str, str] = {}

    def failures(self, order: Sequence[str] = ()) -> list[Failure]:
        """Return all failures, in the order of the arguments and of a list's items: Pulumi passes them in no order.

        Args:
            order: the names of the arguments; others come last.
        """

        def position(path: str) -> tuple[int, int]:
            name = re.split(r"[.\[]", path)[0]
            item = re.match(r"\[([0-9]+)\]", path[len(name) :])
            return order.index(name) if name in order else len(order), int(item[1]) if item else -1

        # Pulumi's engine prints the value of a property that it finds under exactly this name, secrets included.
        return [
            Failure(f'["{path}"]' if _PLAIN_KEY.fullmatch(path) and self.is_secret(path) else path, reason)
            for path, reason in sorted(self._reasons.items(), key=lambda item: position(item[0]))
        ]

    def has_failure(self, path: str) -> bool:
        """Return whether a property has a failure of its own."""
        return path in self._reasons

    def add(self, path: str, reason: str) -> None:
        """Add a failure of a property, if it has none yet."""
        self._reasons.setdefault(path, printable(reason))

    def add_invalid(
        self, path: str, value: Any, expected: str, *, problem: str = "is not valid", hint: Any = None
    ) -> None:
        """Add a failure of a value that is not as expected.

        Args:
            path: the property.
            value: its value.
            expected: what is allowed, to follow "expected".
            problem: what is wrong about it, to follow the value; left out for a secret.
            hint: the value that was probably meant; left out for a secret.
        """
        if self.is_secret(path):
            self.add(path, f"{_SECRET} is not valid; expected {expected}")
        else:
            meant = "" if hint is None else f" (did you mean {show(hint)}?)"
            self.add(path, f"{show(value)} {problem}; expected {expected}{meant}")

    def add_unknown_argument(self, path: str, name: str, owner: str, known: Sequence[str]) -> str | None:
        """Add a failure of a name that does not exist in its place; return the name that was probably meant.

        Args:
            path: the property that contains the name; empty at the top.
            name: the name as the user wrote it.
            owner: what has no such name, for the message.
            known: the names that exist.
        """
        meant = nearest_name(name, known)
        expected = f"expected one of {', '.join(known)}"
        if path and self.is_secret(path):
            self.add(path, f"{_SECRET} has a name in it that is not an argument of {owner}; {expected}")
        else:
            way_out = f"did you mean `{meant}`?" if meant else expected
            self.add(member_path(path, name), f"not an argument of {owner}; {way_out}")
        return meant

    def show(self, path: str, value: Any) -> str:
        """Return the value of a property for a message; ``[secret]`` for a secret one."""
        return _SECRET if self.is_secret(path) else show(value)

    def is_secret(self, path: str) -> bool:
        """Return whether a value is a secret, is part of one, or contains one."""
        return self._all_secret or any(_contains(path, secret) or _contains(secret, path) for secret in self._secrets)

    def entry_path(self, path: str, key: str) -> str:
        """Return the path of an entry of a map; for a secret map its own, because the keys of a map are values too.

        >>> FailureCollector().entry_path("tag_map", "cost center")
        'tag_map["cost center"]'
        """
        if self.is_secret(path):
            return path
        return f"{path}.{key}" if _PLAIN_KEY.fullmatch(key) else f"{path}[{show(key)}]"


def member_path(path: str, name: str) -> str:
    """Return the path of a named member: ``include_resources.amis``."""
    return f"{path}.{name}" if path else name


def nearest_name(name: str, known: Sequence[str]) -> str | None:
    """Return the known name that was probably meant, written as the API has it or slightly wrong.

    >>> nearest_name("includeResources", ["state", "include_resources"])
    'include_resources'
    """
    import botocore

    snake = botocore.xform_name(name.replace("-", "_"))
    if snake in known:
        return str(snake)
    # A part of the name: `role`, `resources`.
    longer = [each for each in known if each.startswith(f"{snake}_") or each.endswith(f"_{snake}")]
    if len(longer) == 1:
        return longer[0]
    return next(iter(difflib.get_close_matches(snake, known, 1)), None)


def _contains(outer: str, inner: str) -> bool:
    return inner == outer or inner.startswith((f"{outer}.", f"{outer}["))
