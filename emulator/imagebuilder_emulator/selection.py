"""Selection of the calls that a fault disturbs: all, some by number, a share, or those beyond a rate."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping

Selection = Callable[[int], bool]
"""Returns whether the call with this number, counted from 1, is disturbed. Call it once for each call, in order."""

OPTIONS = frozenset({"first", "nth", "share", "seed", "rate", "burst"})
_GOES_WITH = {"seed": "share", "burst": "rate"}


def selection(options: Mapping[str, str], monotonic: Callable[[], float] = time.monotonic) -> Selection:
    """Read which calls are meant; without any of `OPTIONS`, all of them.

    Args:
        options: values by name; other names than `OPTIONS` are left alone.
        monotonic: seconds, for ``rate``. Real ones: it is real clients that are too fast.

    Raises:
        ValueError: a value is out of bounds, or the options exclude each other.
    """
    given = [name for name in ("first", "nth", "share", "rate") if name in options]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} exclude each other")
    for name, needed in _GOES_WITH.items():
        if name in options and needed not in options:
            raise ValueError(f"{name} goes with {needed}")
    if "first" in options:
        first = _count("first", options["first"])
        return lambda call: call <= first
    if "nth" in options:
        chosen = {_count("nth", number) for number in options["nth"].split(",")}
        return lambda call: call in chosen
    if "share" in options:
        return _share(_number("share", options["share"], most=1), _count("seed", options.get("seed", "1")))
    if "rate" in options:
        rate = _number("rate", options["rate"])
        return _beyond(
            rate, _count("burst", options["burst"]) if "burst" in options else max(1, math.ceil(rate)), monotonic
        )
    return lambda call: True


def _share(share: float, seed: int) -> Selection:
    chance = random.Random(seed)  # noqa: S311 - not a secret: a run must be repeatable
    return lambda call: chance.random() < share


def _beyond(rate: float, burst: int, monotonic: Callable[[], float]) -> Selection:
    """Return a token bucket: ``burst`` calls at once pass, and ``rate`` more each second."""
    tokens, last = float(burst), monotonic()

    def select(call: int) -> bool:
        nonlocal tokens, last
        now = monotonic()
        tokens, last = min(burst, tokens + (now - last) * rate), now
        if tokens < 1:
            return True
        tokens -= 1
        return False

    return select


def _count(name: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name} must be a whole number from 1, got {text!r}")
    return int(text)


def _number(name: str, text: str, most: float = math.inf) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= most or math.isinf(number):
        bounds = "from 0" if math.isinf(most) else f"from 0 to {most:g}"
        raise ValueError(f"{name} must be a number {bounds}, got {text!r}")
    return number
