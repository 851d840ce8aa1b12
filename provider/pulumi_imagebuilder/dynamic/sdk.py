"""All that is taken from the private parts of Pulumi's Python SDK, each with a fallback that works without it.

The main module of a dynamic provider's process is ``pulumi.dynamic.__main__``: a gRPC servicer whose methods call the
provider's, and pass on neither the request nor how errors are to be printed.
"""

from __future__ import annotations

import sys
import threading
import types
from typing import Any

from ..errors import ImageBuilderError
from ..host import Call

_POOL_SIZE = 256
"""Calls that the process serves at a time: the engine's own `--parallel` is the limit then, and not four."""

_MAX_FRAMES = 12


def widen_pool() -> bool:
    """Let the process serve more than the four calls at a time that the SDK fixes; return whether it does.

    To be called in a thread of the SDK's pool, before there is more than one call. Fallback: four calls at a time.
    """
    # The first argument of a pool's thread is a weak reference to the pool.
    arguments = getattr(threading.current_thread(), "_args", None) or (None,)
    pool: Any = arguments[0]() if callable(arguments[0]) else None
    if not isinstance(getattr(pool, "_max_workers", None), int):
        return False
    pool._max_workers = max(pool._max_workers, _POOL_SIZE)
    return True


def current_call(operation: str) -> Call:
    """Return what the request says beside the properties: the resource's URN and its time limit after transforms.

    Fallback: no URN, so that text is shown in the run's log and not on a row, and the default time limit.

    Args:
        operation: the method that the engine calls.
    """
    frame: types.FrameType | None = sys._getframe(1)
    for _ in range(_MAX_FRAMES):
        if frame is None:
            break
        request: Any = frame.f_locals.get("request")
        if hasattr(request, "urn"):
            return Call(operation, str(request.urn), float(getattr(request, "timeout", 0) or 0) or None)
        frame = frame.f_back
    return Call(operation)


class _OneLine(types.ModuleType):
    """Stands in for the module ``traceback`` in the SDK's main module, which prints an error by ``format_exc``."""

    def __init__(self, original: types.ModuleType) -> None:
        super().__init__(original.__name__)
        self._original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def format_exc(self, *args: Any, **kwargs: Any) -> str:
        """Return the text of our errors alone, and the traceback of all others."""
        error = sys.exc_info()[1]
        return str(error) if isinstance(error, ImageBuilderError) else str(self._original.format_exc(*args, **kwargs))


def print_errors_in_one_line() -> bool:
    """Let errors of this package reach users as one line; return whether they do.

    Errors of other dynamic providers in the process keep their tracebacks. Fallback: the traceback is printed, and its
    last line is the error's text.
    """
    main = sys.modules.get("__main__")
    module = getattr(main, "traceback", None)
    if isinstance(module, _OneLine):
        return True
    if main is None or not hasattr(main, "DynamicResourceProviderServicer") or not isinstance(module, types.ModuleType):
        return False
    main.traceback = _OneLine(module)  # type: ignore[attr-defined]
    return True
