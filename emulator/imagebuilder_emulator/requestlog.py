"""The log of requests and how they were answered."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

KEPT = 100_000
"""How many requests are kept; the counts go on."""


@dataclass
class Request:
    """One request. Neither headers nor answers are kept, for these carry credentials.

    Attributes:
        number: counted from 1 in the order of arrival, also across a clearing of the log.
        time: when it arrived, by the emulator's clock.
        service: as in the signature, such as ``ec2``.
        operation: its name in the service's model; for S3 the HTTP method.
        query, body: the parameters as they were sent, for Image Builder alone.
        client: address and port.
        region: the region that it was signed for; empty for an unsigned request.
        status, error, request_id: what the service answered; None as long as it has not.
        seconds: how long it took; None until it is answered.
        answered: whether the client was sent an answer.
        faults: the faults that disturbed it.
    """

    number: int
    time: datetime
    service: str
    operation: str
    query: str
    body: bytes
    client: str
    region: str = ""
    status: int | None = None
    error: str | None = None
    request_id: str | None = None
    seconds: float | None = None
    answered: bool = False
    faults: tuple[str, ...] = ()

    @property
    def parameters(self) -> Any:
        """Query and JSON body together; ``{"body": text}`` for a body that is no JSON object."""
        try:
            body = json.loads(self.body or b"{}")
        except ValueError:
            body = None
        if not isinstance(body, dict):
            body = {"body": self.body.decode(errors="replace")}
        return {**dict(parse_qsl(self.query, keep_blank_values=True)), **body}

    def as_json(self) -> dict[str, Any]:
        """Return the request as ``/_emulator/requests`` shows it."""
        return {
            "number": self.number,
            "time": self.time.isoformat(timespec="milliseconds"),
            "service": self.service,
            "operation": self.operation,
            "region": self.region,
            "parameters": self.parameters,
            "client": self.client,
            "status": self.status,
            "error": self.error,
            "request_id": self.request_id,
            "seconds": self.seconds,
            "answered": self.answered,
            "faults": list(self.faults),
        }


class RequestLog:
    """The last requests, and counts of all since the log was cleared; thread-safe.

    Args:
        kept: how many requests are kept.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._requests: deque[Request] = deque(maxlen=kept)
        self._counts: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def begin(
        self, time: datetime, service: str, operation: str, query: str, body: bytes, client: str, region: str = ""
    ) -> Request:
        """Log a request on its arrival; the caller fills in how it was answered."""
        with self._lock:
            request = Request(next(self._numbers), time, service, operation, query, body, client, region)
            self._requests.append(request)
            self._counts[f"{service}:{operation}"] += 1
        return request

    def all(self, operation: str | None = None, *, after: int = 0) -> list[Request]:
        """Return the requests that are kept, oldest first.

        Args:
            operation: only of this operation, such as ``GetImage`` or ``ec2:DescribeImages``; all by default.
            after: only those with a higher number.
        """
        service, _, name = (operation or "").rpartition(":")
        with self._lock:
            requests = list(self._requests)
        return [
            request
            for request in requests
            if request.number > after
            and (not name or (request.service, request.operation) == (service or "imagebuilder", name))
        ]

    def newest(self, count: int) -> list[Request]:
        """Return the last requests, newest first."""
        with self._lock:
            return list(itertools.islice(reversed(self._requests), count))

    def counts(self) -> dict[str, int]:
        """Return how many requests there were by ``service:operation``, those no longer kept too."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def clear(self) -> None:
        """Forget all requests and their counts."""
        with self._lock:
            self._requests.clear()
            self._counts.clear()
