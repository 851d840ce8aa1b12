"""What is taken from the SDK's private parts, each with a fallback that works without it."""

from __future__ import annotations

import sys
import threading
import traceback
import types
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pulumi.dynamic
import pytest
from pulumi_imagebuilder.dynamic import sdk
from pulumi_imagebuilder.errors import ServiceError
from pulumi_imagebuilder.host import Call

MAIN = Path(pulumi.dynamic.__file__).with_name("__main__.py").read_text(encoding="utf-8")
"""The main module of a dynamic provider's process, of the SDK that is installed."""


# --- the pool ---


def test_a_pool_serves_as_many_calls_as_the_engine_makes() -> None:
    """Widened in one of its own threads: forty calls that wait for each other end."""
    everyone = threading.Barrier(40)
    with ThreadPoolExecutor(4) as pool:
        assert pool.submit(sdk.widen_pool).result(10) is True
        calls = [pool.submit(everyone.wait, 10) for _ in range(40)]
        assert len({call.result(20) for call in calls}) == 40
        assert pool._max_workers == 256


def test_a_pool_that_is_wider_stays_so() -> None:
    with ThreadPoolExecutor(500) as pool:
        assert pool.submit(sdk.widen_pool).result(10) is True
        assert pool._max_workers == 500


class Pool:
    """What a thread of another kind of pool may have for its arguments."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


@pytest.mark.parametrize(
    "arguments",
    [
        None,
        (),
        ("text",),
        (lambda: None,),
        (lambda: Pool(),),
        (lambda: Pool(_max_workers="4"),),
        (lambda: Pool(_max_workers=None),),
    ],
)
def test_a_thread_that_is_of_no_such_pool_is_left_as_it_is(arguments: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fallback: four calls at a time."""
    monkeypatch.setattr(threading, "current_thread", lambda: types.SimpleNamespace(_args=arguments))
    assert sdk.widen_pool() is False


def test_a_thread_without_arguments_or_of_a_pool_that_is_gone_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "current_thread", lambda: types.SimpleNamespace())
    assert sdk.widen_pool() is False
    pool = Pool(_max_workers=4)
    reference = weakref.ref(pool)
    monkeypatch.setattr(threading, "current_thread", lambda: types.SimpleNamespace(_args=(reference,)))
    assert sdk.widen_pool() is True
    assert vars(pool) == {"_max_workers": 256}
    del pool
    assert sdk.widen_pool() is False


def test_the_installed_sdk_serves_from_a_pool_of_threads() -> None:
    assert "futures.ThreadPoolExecutor(" in MAIN


# --- the request ---


class Request:
    urn = "urn:pulumi:dev::project::type::web"
    timeout = 4.0


def asked(request: Any, depth: int = 0) -> Call:
    """Stands in for the servicer: the provider's method is called some frames below it."""
    return sdk.current_call("create") if depth == 0 else deeper(depth)


def deeper(depth: int) -> Call:
    return sdk.current_call("create") if depth == 1 else deeper(depth - 1)


def test_urn_and_time_limit_are_those_of_the_request() -> None:
    assert asked(Request()) == Call("create", Request.urn, 4.0)
    assert asked(Request(), 11) == Call("create", Request.urn, 4.0)


@pytest.mark.parametrize("timeout", [0, 0.0, None])
def test_a_request_without_a_time_limit_has_the_default(timeout: Any) -> None:
    assert asked(types.SimpleNamespace(urn="urn", timeout=timeout)) == Call("create", "urn", None)
    assert asked(types.SimpleNamespace(urn="urn")) == Call("create", "urn", None)


@pytest.mark.parametrize("request_", [None, "text", types.SimpleNamespace(timeout=4)])
def test_without_a_request_there_is_neither(request_: Any) -> None:
    """Fallback: text is shown in the run's log, and the time limit is the default one."""
    assert asked(request_) == Call("create")


def test_a_request_further_away_is_not_looked_for() -> None:
    """It would be that of something else."""
    assert asked(Request(), 12) == Call("create")


def test_a_thread_without_further_frames_has_no_request() -> None:
    found: list[Call] = []
    thread = threading.Thread(target=lambda: found.append(sdk.current_call("check")))
    thread.start()
    thread.join()
    assert found == [Call("check")]


@pytest.mark.parametrize("method", ["Check", "Diff", "Create", "Update", "Read", "Delete"])
def test_the_methods_of_the_installed_sdk_have_a_request(method: str) -> None:
    assert f"def {method}(self, request, context)" in MAIN.replace(": Any", "")


# --- errors ---


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The SDK's main module, as far as errors are concerned."""
    module = types.ModuleType("__main__")
    module.traceback = traceback  # type: ignore[attr-defined]
    module.DynamicResourceProviderServicer = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


def printed(main: Any, error: Exception) -> str:
    try:
        raise error
    except Exception:
        text: str = main.traceback.format_exc()
        return text


def test_our_errors_are_one_line_and_others_keep_their_tracebacks(main: Any) -> None:
    """Other dynamic providers may run in the same process."""
    assert sdk.print_errors_in_one_line() is True
    assert printed(main, ServiceError("no", "Code", action="changing")) == "changing: no"
    other = printed(main, ValueError("theirs"))
    assert other.startswith("Traceback (most recent call last):\n")
    assert other.endswith("ValueError: theirs\n")
    assert traceback.format_exc is not main.traceback.format_exc
    assert not hasattr(sys, "tracebacklimit")


def test_what_else_the_module_has_is_still_there(main: Any) -> None:
    sdk.print_errors_in_one_line()
    assert main.traceback.print_exc is traceback.print_exc
    assert main.traceback.__name__ == "traceback"
    with pytest.raises(AttributeError):
        _ = main.traceback.nothing
    try:
        raise ValueError("theirs")
    except ValueError:
        assert main.traceback.format_exc(limit=0) == "ValueError: theirs\n"


def test_it_is_done_once(main: Any) -> None:
    assert sdk.print_errors_in_one_line() is True
    first = main.traceback
    assert sdk.print_errors_in_one_line() is True
    assert main.traceback is first


@pytest.mark.parametrize("missing", ["traceback", "DynamicResourceProviderServicer", "the module"])
def test_a_main_module_of_another_shape_is_left_as_it_is(
    main: Any, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fallback: the traceback is printed, and its last line is the error's text."""
    if missing == "the module":
        monkeypatch.delitem(sys.modules, "__main__")
    else:
        delattr(main, missing)
    assert sdk.print_errors_in_one_line() is False
    assert isinstance(getattr(main, "traceback", traceback), types.ModuleType)
    assert getattr(main, "traceback", traceback) is traceback


def test_a_function_in_place_of_the_module_is_left_as_it_is(main: Any) -> None:
    main.traceback = traceback.format_exc
    assert sdk.print_errors_in_one_line() is False
    assert main.traceback is traceback.format_exc


def test_the_installed_sdk_prints_errors_by_its_main_modules_traceback() -> None:
    assert "traceback.format_exc()" in MAIN
    assert "class DynamicResourceProviderServicer" in MAIN
    assert "import traceback" in MAIN
