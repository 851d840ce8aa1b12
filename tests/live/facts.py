"""The file of facts: what the service answered, with everything replaced that says whose account it is.

Every text is replaced unless it is known to be harmless: a value of an enumeration, a version, a region, or what the
service says in words, and in these all that looks like an ARN, an id, an account or a date. The same value has the same
replacement everywhere, so that it can still be followed through the file.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from .recorder import Call

MAX_ITEMS = 25
"""Entries of one list that are kept: an account may have thousands of launch templates."""

_PROSE = {"message", "reason", "statusMessage"}
"""Members with words of the service."""
_HARMLESS = {"version", "platform", "osVersion", "DeregistrationProtection", "Architecture", "RootDeviceType"}
_OWN_TAGS = {"CreatedBy", "DeprecatedBy", "EC2 Image Builder", "LifecycleExecutionAccess"}
"""Tags that the service sets or asks for."""
_ID_PREFIXES = {"ami", "snap", "i", "lt", "vol"}
"""Beginnings of ids that are AWS's; what stands before a number elsewhere may be somebody's word."""
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d+[a-z]?")
_AWS_HOST = re.compile(r"\.(amazonaws\.com(\.cn)?|api\.aws|amazonaws\.eu)$")
_PATTERNS = {
    "arn": r"arn:[a-z0-9-]+:[^\s\"'<>,;()\[\]{}]*[^\s\"'<>,;()\[\]{}.:]",
    "url": r"https?://[^\s\"'<>]+",
    "execution": r"\blce-[0-9a-fA-F-]{36}",
    "uuid": r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b",
    "id": r"\b[a-z]{1,20}-[0-9a-f]{8,17}\b",
    "key": r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b",
    "time": r"\b\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?",
    "uri": r"\b\d{12}\.dkr\.ecr\.[^\s\"'<>,;]+",
    "account": r"(?<!\d)\d{12}(?!\d)",
    "blob": r"[A-Za-z0-9+/=_-]{60,}",
}


class Redactor:
    """Replaces what is private, the same value always by the same text.

    Args:
        since: what times are told from.
        names: names that no pattern finds, by kind, as ``{"role": "ImageLifecycle"}``.
    """

    def __init__(self, since: datetime, names: Mapping[str, str]) -> None:
        self._since = since
        self._numbers: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._names = {value: kind for kind, value in names.items() if value}
        self._pattern: re.Pattern[str] | None = None

    def redact(self, value: Any, shape: Any, member: str = "") -> Any:
        """Return a value of a request or an answer with all that is private replaced.

        Args:
            value: the value.
            shape: botocore's shape of it; None where there is none.
            member: the member of a structure that it is the value of.
        """
        if isinstance(value, datetime):
            return self.time(value)
        if isinstance(value, bool | int | float | None):
            return value
        kind = getattr(shape, "type_name", "")
        if isinstance(value, Mapping):
            if kind != "structure":
                inner = getattr(shape, "value", None)
                return {self._text(key, "key"): self.redact(each, inner, "value") for key, each in value.items()}
            is_filter = shape.name == "Filter"
            return {
                key: each if is_filter and key.lower() == "name" else self.redact(each, shape.members.get(key), key)
                for key, each in value.items()
            }
        if isinstance(value, list | tuple):
            kept = [self.redact(each, getattr(shape, "member", None), member) for each in value[:MAX_ITEMS]]
            return kept + ([f"<{len(value) - MAX_ITEMS} more>"] if len(value) > MAX_ITEMS else [])
        if not isinstance(value, str):
            return f"<{type(value).__name__}>"
        return value if value in (getattr(shape, "enum", None) or ()) else self._text(value, member)

    def prose(self, text: str) -> str:
        """Return words of the service with all that is private in them replaced."""
        if self._pattern is None:
            # Longest first, so that a name within a longer one does not break it.
            names = "|".join(re.escape(name) for name in sorted(self._names, key=len, reverse=True))
            patterns = [f"(?P<{kind}>{pattern})" for kind, pattern in _PATTERNS.items()]
            named = [rf"(?P<name>(?<![\w-])(?:{names})(?![\w-]))"] if names else []
            self._pattern = re.compile("|".join(named + patterns))
        return self._pattern.sub(lambda match: self._replace(match.lastgroup or "", match[0]), text)

    def time(self, at: datetime) -> str:
        """Return a time as seconds since the run began."""
        return f"<start {(at.astimezone(UTC) - self._since).total_seconds():+.3f} s>"

    def _text(self, text: str, member: str) -> str:
        if text in _OWN_TAGS or member in _HARMLESS or _REGION.fullmatch(text):
            return text
        if member in _PROSE:
            return self.prose(text)
        if text and (replaced := self.prose(text)) != text and re.fullmatch(r"<[^<>]*>", replaced):
            return replaced
        if member.lower().endswith(("name", "role")) and 3 <= len(text) <= 128 and text not in self._names:
            self._names[text], self._pattern = member, None
        return self._numbered(member or "text", text)

    def _replace(self, kind: str, text: str) -> str:
        if kind == "arn":
            parts = text.split(":", 5)
            resource = re.split(r"[/:]", parts[-1], maxsplit=1)[0] if len(parts) == 6 else "?"
            depth = parts[-1].count("/")
            # `image/web`, `image/web/1.0.0` and `image/web/1.0.0/1` are different things.
            part = {1: " name", 2: " version", 3: " build"}.get(depth, "") if parts[2] == "imagebuilder" else ""
            return self._numbered(f"{parts[2]} {resource}{part} ARN", text)
        if kind == "id":
            prefix = text.rpartition("-")[0]
            return self._numbered(prefix if prefix in _ID_PREFIXES else "id", text)
        if kind == "time":
            try:
                at = datetime.fromisoformat(text)
            except ValueError:
                return self._numbered("time", text)
            return self.time(at if at.tzinfo else at.replace(tzinfo=UTC))
        if kind == "name":
            return self._numbered(self._names[text], text)
        return self._numbered(kind, text)

    def _numbered(self, kind: str, text: str) -> str:
        numbers = self._numbers[kind]
        return f"<{kind} {numbers.setdefault(text, len(numbers) + 1)}>"

    def call(self, call: Call) -> dict[str, Any]:
        """Return a call as the file has it."""
        fact: dict[str, Any] = {
            "at": self.time(call.began),
            "operation": call.right,
            "region": call.region,
            "parameters": self.redact(call.parameters, call.model.input_shape),
            "status": call.status,
        }
        if call.request_id:
            fact["request_id"] = self.redact(call.request_id, None, "request")
        if call.answer is not None:
            fact["answer"] = self.redact(call.answer, call.model.output_shape)
        elif call.error is not None:
            fact["error"] = {
                "code": call.error.get("Code"),
                "message": self.prose(str(call.error.get("Message", ""))),
            }
        return fact


def endpoint_of(calls: Iterable[Call]) -> str:
    """Return who was asked: ``AWS``, or ``not AWS`` if any call went elsewhere, as to an emulator."""
    hosts = [urlsplit(call.url).hostname or "" for call in calls]
    return "AWS" if hosts and all(_AWS_HOST.search(host) for host in hosts) else "not AWS"
