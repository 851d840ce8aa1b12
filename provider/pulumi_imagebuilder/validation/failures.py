"""The mistakes found in one declaration, each told once, and never with a secret in it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .values import UNKNOWN, printable, shown

_SECRET = "[secret]"  # noqa: S105 - what stands for a secret
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Failure:
    """One mistake.

    Args:
        property: path of the property as the user wrote it, as ``exclusion_rules.amis.last_launched.unit``. A secret
            one is ``["client_token"]``, which is the same path, but makes Pulumi not print the value.
        reason: the value, what is allowed, and the way out where there is one. A single line.
    """

    property: str
    reason: str


class Findings:
    """Collects failures; the first one of a property stands, for the later ones follow from it.

    Args:
        secrets: paths of properties whose values are not to be shown; :data:`UNKNOWN` when that is not known yet,
            and then none is shown.
    """

    def __init__(self, secrets: Iterable[str] | None = None) -> None:
        self._all_secret = secrets == UNKNOWN
        self._secrets = () if self._all_secret else tuple(secrets or ())
        self._reasons: dict[str, str] = {}

    def failures(self, order: Sequence[str] = ()) -> list[Failure]:
        """What was found, by the order of the arguments and of a list's items: Pulumi hands arguments over in no order.

        Args:
            order: the names of the arguments; others come last.
        """

        def place(path: str) -> tuple[int, int]:
            name = re.split(r"[.\[]", path)[0]
            item = re.match(r"\[([0-9]+)\]", path[len(name) :])
            return order.index(name) if name in order else len(order), int(item[1]) if item else -1

        # Pulumi's engine prints the value of a property that it finds under exactly this name, secrets included.
        return [
            Failure(f'["{path}"]' if _PLAIN_KEY.fullmatch(path) and self.is_secret(path) else path, reason)
            for path, reason in sorted(self._reasons.items(), key=lambda found: place(found[0]))
        ]

    def failed(self, path: str) -> bool:
        """Whether a property has a failure of its own."""
        return path in self._reasons

    def add(self, path: str, reason: str) -> None:
        """Note a failure of a property, if it has none yet."""
        self._reasons.setdefault(path, printable(reason))

    def invalid(self, path: str, value: Any, expected: str, *, problem: str = "is not valid", hint: Any = None) -> None:
        """Note that a value is not what is expected.

        Args:
            path: the property.
            value: what it was given.
            expected: what is allowed, to follow on "expected".
            problem: what is wrong about it, to follow on the value; not told of a secret.
            hint: the value that was probably meant; not told of a secret.
        """
        if self.is_secret(path):
            self.add(path, f"{_SECRET} is not valid; expected {expected}")
        else:
            meant = "" if hint is None else f" (did you mean {shown(hint)}?)"
            self.add(path, f"{shown(value)} {problem}; expected {expected}{meant}")

    def stranger(self, path: str, name: str, owner: str, known: Sequence[str]) -> str | None:
        """Note a name that is not known where it stands; returns the name that was probably meant.

        Args:
            path: the property that has the name in it; empty at the top.
            name: the name as the user wrote it.
            owner: what has no such name, for the message.
            known: the names there are.
        """
        meant = nearest(name, known)
        expected = f"expected one of {', '.join(known)}"
        if path and self.is_secret(path):
            self.add(path, f"{_SECRET} has a name in it that is not an argument of {owner}; {expected}")
        else:
            way_out = f"did you mean `{meant}`?" if meant else expected
            self.add(member(path, name), f"not an argument of {owner}; {way_out}")
        return meant

    def shown(self, path: str, value: Any) -> str:
        """The value of a property for a message; ``[secret]`` where it is one."""
        return _SECRET if self.is_secret(path) else shown(value)

    def is_secret(self, path: str) -> bool:
        """Whether a value is a secret, is part of one, or has one in it."""
        return self._all_secret or any(_holds(path, secret) or _holds(secret, path) for secret in self._secrets)

    def entry(self, path: str, key: str) -> str:
        """Path of an entry of a map. Keys of a map are values of the user's, so a secret map's path ends at the map.

        >>> Findings().entry("tag_map", "cost center")
        'tag_map["cost center"]'
        """
        if self.is_secret(path):
            return path
        return f"{path}.{key}" if _PLAIN_KEY.fullmatch(key) else f"{path}[{shown(key)}]"


def member(path: str, name: str) -> str:
    """Path of a named member: ``include_resources.amis``."""
    return f"{path}.{name}" if path else name


def nearest(name: str, known: Sequence[str], cutoff: float = 0.6) -> str | None:
    """The one of the known names that was probably meant, written as the API has it or slightly wrong.

    >>> nearest("includeResources", ["state", "include_resources"])
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
    return next(iter(difflib.get_close_matches(snake, known, 1, cutoff)), None)


def _holds(outer: str, inner: str) -> bool:
    return inner == outer or inner.startswith((f"{outer}.", f"{outer}["))
