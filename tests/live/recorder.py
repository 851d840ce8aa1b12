"""Record every call that a botocore session sends, and what was answered."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import botocore.session


@dataclass
class Call:
    """One call of an operation, and what came of it.

    Attributes:
        step: the step that made it.
        model: botocore's model of the operation.
        region: the region that was called.
        url: where it was sent.
        parameters: what was sent.
        began: when.
        status: HTTP status of the answer; None while there is none.
        answer: the answer, without its metadata; None where there is none, or an error.
        error: the service's error, or why no answer came.
        request_id: the service's id of the request.
    """

    step: str
    model: Any = field(repr=False)
    region: str
    url: str
    parameters: dict[str, Any]
    began: datetime
    status: int | None = None
    answer: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    request_id: str | None = None

    @property
    def right(self) -> str:
        """The call as IAM names it, such as ``imagebuilder:GetImage``."""
        return f"{self.model.service_model.signing_name}:{self.model.name}"

    @property
    def is_answered(self) -> bool:
        """Whether the service answered; what was sent may have been carried out without that."""
        return self.status is not None


class Recorder:
    """Keeps the calls of all clients that are made from a session after it.

    Args:
        session: where clients come from.
        now: the time.

    Attributes:
        calls: the calls, in their order.
        step: name of the step that makes the calls that come.
    """

    def __init__(self, session: botocore.session.Session, now: Callable[[], datetime]) -> None:
        self.calls: list[Call] = []
        self.step = ""
        self._now = now
        events = session.get_component("event_emitter")
        events.register("before-parameter-build", self._keep_parameters)
        events.register("before-call", self._begin)
        events.register("after-call", self._end)
        events.register("after-call-error", self._fail)

    def _keep_parameters(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["recorded_parameters"] = params

    def _begin(self, model: Any, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        # Copied only now: botocore puts the client token in after the parameters were built.
        parameters = copy.deepcopy(context.get("recorded_parameters", {}))
        call = Call(self.step, model, context["client_region"], params["url"], parameters, self._now())
        context["recorded_call"] = call
        self.calls.append(call)

    def _end(self, http_response: Any, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        call: Call = context["recorded_call"]
        call.status = http_response.status_code
        call.request_id = parsed.get("ResponseMetadata", {}).get("RequestId")
        if http_response.status_code >= 300:
            call.error = copy.deepcopy(parsed.get("Error", {}))
        else:
            call.answer = {key: copy.deepcopy(value) for key, value in parsed.items() if key != "ResponseMetadata"}

    def _fail(self, exception: BaseException, context: dict[str, Any], **_: Any) -> None:
        if "recorded_call" in context:
            context["recorded_call"].error = {"Code": type(exception).__name__, "Message": str(exception)}
