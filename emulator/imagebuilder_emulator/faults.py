"""Faults on demand: one line of text each, the same on the command line and over HTTP.

``OPERATION KIND [OPTION…]`` disturbs requests, ``execution fail|hang [OPTION…]`` disturbs executions.
``docs/emulator.md`` has the grammar and examples.
"""

from __future__ import annotations

import functools
import itertools
import shlex
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from . import wire_errors
from .clock import parse_duration
from .selection import OPTIONS as _SELECTION
from .selection import Selection, selection
from .shapes import service_model

SERVICES = ("imagebuilder", "ec2", "autoscaling", "ssm", "ecr", "iam", "s3", "sts")
S3_OPERATIONS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE"})
"""S3's operations are named by HTTP method alone: they differ in path, query and headers."""

THROTTLED, BROKEN, AWAY = "CallRateLimitExceededException", "ServiceException", "ServiceUnavailableException"
_ERRORS = {"throttle": THROTTLED, "500": BROKEN, "503": AWAY}
_WAITS = ("delay", "stall")
_WHERE = ("resource", "image", "region")
_RATED = {"rate", "burst"}
_REQUESTS = {"region", "page"}
_OPTIONS = {
    "requests": _SELECTION - _RATED | _REQUESTS,
    "error": _SELECTION - _RATED | _REQUESTS | {"status"},
    "throttle": _SELECTION | _REQUESTS,
    "fail": _SELECTION - _RATED | {"reason", *_WHERE},
    "hang": {"image"},
}


@dataclass(eq=False)
class Fault:
    """One fault, with what it has done so far.

    Attributes:
        text: as it was set.
        service, operation: patterns of what it disturbs; the service is ``execution`` for executions.
        kind: ``error``, ``plain-text``, ``drop-request``, ``drop-answer``, ``delay``, ``stall``, ``fail`` or ``hang``.
        error: code of the error that is answered.
        status: HTTP status of the error or the text that is answered; 0 for the code's own.
        last_page: whether only last pages of lists are disturbed, and what is no list.
        seconds: how long a delay or a stall lasts.
        where: patterns by ``region``, and for executions by ``resource`` and ``image`` too.
        reason: why a resource fails.
        calls, hits: how many calls it has counted, and how many of them it disturbed.
        lifted: set once the fault is removed, so that requests that it delays continue.
    """

    text: str
    service: str
    operation: str
    kind: str
    selects: Selection
    error: str = ""
    status: int = 0
    last_page: bool = False
    seconds: float = 0
    where: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    calls: int = 0
    hits: int = 0
    lifted: threading.Event = field(default_factory=threading.Event)

    def count_and_match(self) -> bool:
        """Count a call and return whether the fault disturbs it. Not thread-safe: `Faults` holds its lock."""
        self.calls += 1
        matches = self.selects(self.calls)
        self.hits += matches
        return matches

    def matches_names(self, **names: str) -> bool:
        """Return whether all that ``where`` asks for is met by these names."""
        return all(fnmatchcase(names.get(key, ""), pattern) for key, pattern in self.where.items())


def parse(text: str) -> Fault:
    """Read a fault.

    Raises:
        ValueError: the text is no fault; the message quotes it and says why.
    """
    try:
        target, kind, *words = shlex.split(text)
    except ValueError:
        raise ValueError(
            f"fault {text!r}: expected OPERATION KIND [OPTION…], or execution fail|hang [OPTION…]"
        ) from None
    try:
        options = _options(words)
        if target == "execution":
            return _of_execution(text, kind, options)
        return _of_requests(text, target, kind, options)
    except ValueError as error:
        raise ValueError(f"fault {text!r}: {error}") from None


def _of_execution(text: str, kind: str, options: dict[str, str]) -> Fault:
    if kind not in {"fail", "hang"}:
        raise ValueError(f"an execution can fail or hang, not {kind!r}")
    _refuse_unknown(kind, options)
    where = {name: options[name] for name in _WHERE if name in options}
    if not where:
        raise ValueError(
            f"name what is to {kind}: {'image=…' if kind == 'hang' else 'resource=…, image=… or region=…'}"
        )
    reason = options.get("reason", "A fault set in the emulator")
    return Fault(text, "execution", "", kind, selection(options), where=where, reason=reason)


def _of_requests(text: str, target: str, kind: str, options: dict[str, str]) -> Fault:
    service, _, operation = target.rpartition(":")
    service = service or "imagebuilder"
    if not any(
        fnmatchcase(name, operation)
        for known in SERVICES
        if fnmatchcase(known, service)
        for name in operation_names(known)
    ):
        raise ValueError(f"no operation is called {target!r}")
    name, has_value, value = kind.partition("=")
    _refuse_unknown(name if name in _OPTIONS else "requests", options)
    make = functools.partial(
        Fault,
        text,
        service,
        operation,
        selects=selection(options),
        where={"region": options["region"]} if "region" in options else {},
        last_page=_last_page(options.get("page"), kind),
    )
    if kind in _ERRORS:
        return make(kind="error", error=_ERRORS[kind])
    if kind in {"drop-request", "drop-answer"}:
        return make(kind=kind)
    if name in _WAITS and has_value:
        return make(kind=name, seconds=parse_duration(value).total_seconds())
    if name == "plain-text" and has_value:
        return make(kind=name, status=_status(value, 500))
    if name == "error" and has_value:
        codes = {code for known in SERVICES if fnmatchcase(known, service) for code in error_statuses(known)}
        status = _status(options["status"], 400) if "status" in options else 0
        if value not in codes and not status:
            known_codes = ", ".join(sorted(codes))
            raise ValueError(f"{value!r} is no error of {service}; known are {known_codes}, and any with status=NUMBER")
        return make(kind="error", error=value, status=status)
    raise ValueError(
        f"{kind!r} is no kind of fault; those are throttle, 500, 503, error=CODE, plain-text=STATUS, "
        "drop-request, drop-answer, delay=TIME, stall=TIME"
    )


def _status(text: str, least: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= 599:
        raise ValueError(f"{text!r} is no HTTP status from {least} to 599")
    return int(text)


def _last_page(page: str | None, kind: str) -> bool:
    if page is None:
        return False
    if page != "last":
        raise ValueError(f"page must be last, got {page!r}; nth chooses another")
    if kind.startswith("delay"):
        raise ValueError("page=last is known after the work is done, and a delay comes before it")
    return True


def _options(words: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not value:
            raise ValueError(f"expected OPTION=VALUE, got {word!r}")
        if name in options:
            raise ValueError(f"{name} is given twice")
        options[name] = value
    return options


def _refuse_unknown(kind: str, options: dict[str, str]) -> None:
    unknown = sorted(set(options) - _OPTIONS[kind])
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r}; known here: {', '.join(sorted(_OPTIONS[kind]))}")


@functools.cache
def operation_names(service: str) -> frozenset[str]:
    """Return the operations of a service, from its model; for S3 `S3_OPERATIONS`."""
    if service == "s3":
        return S3_OPERATIONS
    return frozenset(wire_errors.service_model(service).operation_names)


_JSON_CREDENTIAL_ERRORS = {"ExpiredTokenException": 400, "UnrecognizedClientException": 400}
_QUERY_CREDENTIAL_ERRORS = {"ExpiredToken": 403, "InvalidClientTokenId": 403, "AccessDenied": 403}
_SERVICE_ERRORS: Mapping[str, Mapping[str, int]] = {
    "imagebuilder": {
        "ExpiredTokenException": 403,
        "UnrecognizedClientException": 403,
        "AccessDeniedException": 403,
        "ThrottlingException": 429,
        "InvalidParameterValueException": 400,
    },
    "ec2": {
        "RequestExpired": 400,
        "AuthFailure": 401,
        "UnauthorizedOperation": 403,
        "OperationNotPermitted": 400,
        "RequestLimitExceeded": 503,
        "InternalError": 500,
        "Unavailable": 503,
    },
    "autoscaling": {**_QUERY_CREDENTIAL_ERRORS, "ValidationError": 400, "Throttling": 400},
    "ssm": {**_JSON_CREDENTIAL_ERRORS, "AccessDeniedException": 400, "ThrottlingException": 400},
    "ecr": {**_JSON_CREDENTIAL_ERRORS, "AccessDeniedException": 400},
    "iam": _QUERY_CREDENTIAL_ERRORS,
    "sts": {**_QUERY_CREDENTIAL_ERRORS, "ExpiredTokenException": 400},
    "s3": {"ExpiredToken": 400, "InvalidAccessKeyId": 403, "AccessDenied": 403},
}
"""Errors that no model lists, with their HTTP status: those of credentials, rights and the front of the service."""


@functools.cache
def error_statuses(service: str) -> Mapping[str, int]:
    """Return the HTTP status of each error that ``error=CODE`` knows for a service."""
    modelled = service_model().error_shapes if service == "imagebuilder" else ()
    return {
        **{shape.name: shape.metadata["error"]["httpStatusCode"] for shape in modelled},
        **_SERVICE_ERRORS.get(service, {}),
    }


class Faults:
    """The faults that are set, by number; thread-safe."""

    def __init__(self) -> None:
        self._faults: dict[int, Fault] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, *texts: str) -> list[int]:
        """Set faults beside those that are set; returns their numbers.

        Raises:
            ValueError: one of the texts is no fault; none is set then.
        """
        faults = [parse(text) for text in texts]
        with self._lock:
            added = {next(self._numbers): fault for fault in faults}
            self._faults.update(added)
        return list(added)

    def replace(self, *texts: str) -> list[int]:
        """Set these faults and lift all others; returns the new numbers. Raises as `add` does."""
        before = self.all()
        numbers = self.add(*texts)
        for number in before:
            self.remove(number)
        return numbers

    def remove(self, number: int) -> bool:
        """Lift one fault; return whether it was set."""
        with self._lock:
            fault = self._faults.pop(number, None)
        if fault is not None:
            fault.lifted.set()
        return fault is not None

    def clear(self) -> None:
        """Lift all faults; requests held by them go on."""
        self.replace()

    def all(self) -> dict[int, Fault]:
        """Return the faults by number, in the order they were set."""
        with self._lock:
            return dict(self._faults)

    def as_json(self) -> list[dict[str, Any]]:
        """Return the faults with their numbers, how many calls they have counted, and how many of them disturbed."""
        return [
            {"number": number, "fault": fault.text, "calls": fault.calls, "hits": fault.hits}
            for number, fault in self.all().items()
        ]

    def match(self, service: str, operation: str, region: str = "", *, last_page: bool = False) -> list[Fault]:
        """Count a request and return the faults that disturb it, in the order they were set.

        Args:
            service: as in the signature.
            operation: its name in the service's model.
            region: the region that it was signed for.
            last_page: look at the faults of last pages alone, once the answer is known to be one; else at the others.
        """
        with self._lock:
            return [
                fault
                for fault in self._faults.values()
                if fault.last_page == last_page
                and fnmatchcase(service, fault.service)
                and fnmatchcase(operation, fault.operation)
                and fault.matches_names(region=region)
                and fault.count_and_match()
            ]

    def resource_failure(self, resource: str, *, image: str = "", region: str = "") -> str | None:
        """Return why this resource fails in its execution, if a fault wants it to.

        Args:
            resource: an AMI id or a container image's URI.
            image: ARN of the image build version it belongs to.
            region: where it is.
        """
        with self._lock:
            for fault in self._faults.values():
                if (
                    fault.kind == "fail"
                    and fault.matches_names(resource=resource, image=image, region=region)
                    and fault.count_and_match()
                ):
                    return fault.reason
        return None

    def hangs(self, image_arn: str) -> bool:
        """Return whether executions of an image make no progress."""
        return any(fault.kind == "hang" and fault.matches_names(image=image_arn) for fault in self.all().values())
