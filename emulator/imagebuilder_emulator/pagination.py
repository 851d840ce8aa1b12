"""Lists, page by page."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from .exceptions import InvalidPaginationTokenException

_DEFAULT_SIZE = 25
_SHORT_SIZE = 3
Item = TypeVar("Item")


def paginate(
    key: str,
    items: Iterable[Item],
    request: Mapping[str, Any],
    row: Callable[[Item], Mapping[str, Any]],
    *,
    short: bool = False,
) -> dict[str, Any]:
    """Return one page of a list; its token holds where the next begins and what it was handed out for.

    Args:
        key: the list's name in the answer.
        items: all that is listed, in order; looked at no further than the page goes.
        request: with ``nextToken`` and ``maxResults``, and what the list was asked for.
        row: makes an item of the answer.
        short: whether pages are shorter than asked for: the first is empty, the others have at most three items.

    Raises:
        InvalidPaginationTokenException: the token was not handed out for this list.
    """
    asked = {name: value for name, value in request.items() if name not in {"nextToken", "maxResults"}}
    token, size = request.get("nextToken"), request.get("maxResults", _DEFAULT_SIZE)
    start = _offset(token, key, asked)
    if short:
        size = min(size, _SHORT_SIZE) if token else 0
    found = list(itertools.islice(items, start, start + size + 1))
    answer: dict[str, Any] = {key: [row(item) for item in found[:size]]}
    if len(found) > size:
        answer["nextToken"] = base64.urlsafe_b64encode(json.dumps([key, asked, start + size]).encode()).decode()
    return answer


def _offset(token: str | None, key: str, asked: Mapping[str, Any]) -> int:
    if token is None:
        return 0
    try:
        handed_to, request, start = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError, RecursionError):
        raise InvalidPaginationTokenException("The nextToken is not one that was handed out") from None
    if handed_to != key or request != asked or type(start) is not int or start < 0:
        raise InvalidPaginationTokenException("The nextToken was handed out for another request")
    return start
