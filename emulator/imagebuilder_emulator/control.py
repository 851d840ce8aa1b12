"""The control side of the emulator for tests and people: ``/_emulator/…``, JSON over HTTP.

| path                             | methods |
| --- | --- |
| ``/_emulator/clock``             | GET; POST ``{"advance": "90d"}`` or ``{"set": "2027-01-31T00:00:00Z"}`` |
| ``/_emulator/faults``            | GET; POST (add) or PUT (replace all) ``["GetImage 503 first=2"]``; DELETE |
| ``/_emulator/faults/NUMBER``     | DELETE |
| ``/_emulator/variants``          | GET; POST (set) or PUT (replace all) ``{"pages": "short"}``; DELETE |
| ``/_emulator/policy-executions`` | POST (start) an entry of the seed's ``policy_executions`` |
| ``/_emulator/requests``          | GET, with ``?operation=`` and ``?after=NUMBER``; DELETE |
| ``/_emulator/requests/counts``   | GET |
| ``/_emulator/state``             | GET (save), PUT (load), DELETE (back to the seed) |
| ``/_emulator/overview``          | GET, with ``?search=``, ``?state=``, ``?region=``, ``?start=``: for the console |
| ``/console``                     | GET: the page itself |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import BadRequest, HTTPException, NotFound, UnsupportedMediaType
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from . import console, seed
from .clock import parse_duration
from .environment import Environment

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Control:
    """The WSGI application.

    Args:
        environment: what is steered.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._map = Map(
            [
                Rule(path, methods=[method], endpoint=endpoint)
                for path, method, endpoint in (
                    ("/_emulator/clock", "GET", self._clock),
                    ("/_emulator/clock", "POST", self._move_clock),
                    ("/_emulator/faults", "GET", self._faults),
                    ("/_emulator/faults", "POST", self._add_faults),
                    ("/_emulator/faults", "PUT", self._replace_faults),
                    ("/_emulator/faults", "DELETE", self._clear_faults),
                    ("/_emulator/faults/<int:number>", "DELETE", self._remove_fault),
                    ("/_emulator/variants", "GET", self._variants),
                    ("/_emulator/variants", "POST", self._set_variants),
                    ("/_emulator/variants", "PUT", self._replace_variants),
                    ("/_emulator/variants", "DELETE", self._reset_variants),
                    ("/_emulator/policy-executions", "POST", self._start_policy_execution),
                    ("/_emulator/requests", "GET", self._requests),
                    ("/_emulator/requests", "DELETE", self._clear_requests),
                    ("/_emulator/requests/counts", "GET", self._counts),
                    ("/_emulator/state", "GET", self._save),
                    ("/_emulator/state", "PUT", self._load),
                    ("/_emulator/state", "DELETE", self._reset),
                    ("/_emulator/overview", "GET", self._overview),
                    ("/console", "GET", self._console),
                )
            ]
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer, all but the console with JSON; a mistake is ``{"error": "…"}`` with status 400, 404, 405 or 415."""
        request = Request(environ)
        response: Response
        try:
            endpoint, arguments = self._map.bind_to_environ(environ).match()
            answer: Callable[..., Any] = endpoint
            answered = answer(request, **arguments)
            response = answered if isinstance(answered, Response) else _json(answered)
        except ValueError as error:
            response = _json({"error": str(error)}, 400)
        except HTTPException as error:
            response = _json({"error": error.description}, error.code or 500)
            if "Allow" in (headers := dict(error.get_headers(environ))):
                response.headers["Allow"] = headers["Allow"]
        return response(environ, start_response)

    def _clock(self, request: Request) -> Any:
        clock = self._environment.clock
        return {"now": clock.now().isoformat(), "offset_seconds": clock.offset.total_seconds()}

    def _move_clock(self, request: Request) -> Any:
        wanted = _body(request)
        match wanted:
            case {"advance": str(by), **rest} if not rest:
                self._environment.clock.advance(parse_duration(by))
            case {"set": str(to), **rest} if not rest:
                self._environment.clock.set(datetime.fromisoformat(to.replace("Z", "+00:00")))
            case _:
                raise BadRequest('expected {"advance": "90d"} or {"set": "2027-01-31T00:00:00Z"}')
        return self._clock(request)

    def _faults(self, request: Request) -> Any:
        return self._environment.faults.as_json()

    def _add_faults(self, request: Request) -> Any:
        return {"numbers": self._environment.faults.add(*_texts(request))}

    def _replace_faults(self, request: Request) -> Any:
        return {"numbers": self._environment.faults.replace(*_texts(request))}

    def _clear_faults(self, request: Request) -> Any:
        self._environment.faults.clear()
        return []

    def _remove_fault(self, request: Request, number: int) -> Any:
        if not self._environment.faults.remove(number):
            raise NotFound(f"there is no fault {number}")
        return self._faults(request)

    def _variants(self, request: Request) -> Any:
        return self._environment.variants.as_json()

    def _set_variants(self, request: Request) -> Any:
        self._environment.variants.set(_body(request))
        return self._variants(request)

    def _replace_variants(self, request: Request) -> Any:
        self._environment.variants.replace(_body(request))
        return self._variants(request)

    def _reset_variants(self, request: Request) -> Any:
        self._environment.variants.reset()
        return self._variants(request)

    def _start_policy_execution(self, request: Request) -> Any:
        with self._environment.lock:
            self._environment.backend.advance()
            started = seed.start_policy_execution(_body(request), self._environment.backend)
        return {"lifecycleExecutionId": started.id}

    def _requests(self, request: Request) -> Any:
        after = request.args.get("after", 0, type=int)
        found = self._environment.requests.all(request.args.get("operation"), after=after)
        return [each.as_json() for each in found]

    def _clear_requests(self, request: Request) -> Any:
        self._environment.requests.clear()
        return {}

    def _counts(self, request: Request) -> Any:
        return self._environment.requests.counts()

    def _save(self, request: Request) -> Any:
        return self._environment.save()

    def _load(self, request: Request) -> Any:
        self._environment.load(_body(request))
        return {}

    def _reset(self, request: Request) -> Any:
        self._environment.reset()
        return {}

    def _overview(self, request: Request) -> Any:
        asked = {name: request.args.get(name, "") for name in ("search", "state", "region")}
        return console.overview(self._environment, **asked, start=max(0, request.args.get("start", 0, type=int)))

    def _console(self, request: Request) -> Response:
        text, headers = console.page()
        return Response(text, headers=dict(headers), mimetype="text/html")


def _json(answer: Any, status: int = 200) -> Response:
    return Response(json.dumps(answer) + "\n", status, mimetype="application/json")


def _body(request: Request) -> Any:
    if not request.is_json:
        # A page of another site can send plain text without asking; JSON it cannot.
        raise UnsupportedMediaType("send JSON, with Content-Type: application/json")
    try:
        return json.loads(request.get_data())
    except ValueError:
        raise BadRequest("the body is not valid JSON") from None


def _texts(request: Request) -> list[str]:
    texts = _body(request)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadRequest('expected a list of faults, as ["GetImage 503 first=2"]')
    return texts
