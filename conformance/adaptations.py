"""What stands between a suite and an interpreter that is not its own, or that no longer has what it looks for."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import sys
import unittest
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

from test import support

import governess

__all__ = ["adapt", "turn_around"]


def turn_around(assertions: frozenset[tuple[str, str]]) -> set[tuple[str, str]]:
    """Turn assertions around: where one waits for a warning or an exception, there must be none.

    Args:
        assertions: function, as `module.Class.function`, and assertion, each.

    Returns:
        Those that have been met so far.
    """
    met: set[tuple[str, str]] = set()

    def turn(name: str) -> Callable[..., Any]:
        original = getattr(unittest.TestCase, name)

        def assert_it_or_not(self: unittest.TestCase, *args: Any, **kwargs: Any) -> Any:
            caller = sys._getframe(1)
            module = caller.f_globals["__name__"].rpartition(".")[2]
            assertion = (f"{module}.{caller.f_code.co_qualname}", name)
            if assertion not in assertions:
                return original(self, *args, **kwargs)
            met.add(assertion)
            return _no_warning()

        return assert_it_or_not

    for name in {name for _, name in assertions}:
        setattr(unittest.TestCase, name, turn(name))
    return met


def adapt(module: ModuleType) -> None:
    """Adapt the classes of a module of tests that has just been imported."""
    for name, adaptation in _ADAPTATIONS.items():
        if (test_case := vars(module).get(name)) is not None:
            adaptation(test_case)


@contextlib.contextmanager
def _no_warning() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        yield


def _try_multiloop_too(test_case: type[unittest.TestCase]) -> None:
    """3.11 skips the tests of its MultiLoopChildWatcher for a race that ours does not have."""
    test_case.__unittest_skip__ = False  # type: ignore[attr-defined]


def _watch_by_threads(test_case: type[unittest.TestCase]) -> None:
    """3.14 asks for threads by a private function of asyncio; ours are asked for by the watcher's name."""
    if not hasattr(test_case, "Watcher") and not hasattr(test_case, "_get_watcher"):
        _before_set_up(test_case, _set_threaded_watcher)


def _set_threaded_watcher(test: unittest.TestCase) -> None:
    watcher = governess.ThreadedChildWatcher()
    governess.set_child_watcher(watcher)
    test.addCleanup(watcher.close)
    test.addCleanup(governess.set_child_watcher, None)


def _take_python_tasks(test_case: type[unittest.TestCase]) -> None:
    """From 3.14 on, C's tasks do not know of a running loop that was set in Python; its own suite changes them too."""
    if sys.version_info >= (3, 14) and not hasattr(test_case, "Task"):
        _before_set_up(test_case, _set_python_tasks)


def _set_python_tasks(test: unittest.TestCase) -> None:
    for owners, name in (((asyncio, asyncio.tasks), "Task"), ((asyncio, asyncio.futures), "Future")):
        for owner in owners:
            test.addCleanup(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, getattr(owners[1], f"_Py{name}"))


def _before_set_up(test_case: type[unittest.TestCase], prepare: Callable[[Any], None]) -> None:
    set_up = test_case.setUp

    def prepare_and_set_up(self: unittest.TestCase) -> None:
        prepare(self)
        set_up(self)

    test_case.setUp = prepare_and_set_up  # type: ignore[method-assign]


_ADAPTATIONS: dict[str, Callable[[type[unittest.TestCase]], None]] = {
    "SubprocessMultiLoopWatcherTests": _try_multiloop_too,
    "SubprocessThreadedWatcherTests": _watch_by_threads,
    "TestPyGetEventLoop": _take_python_tasks,
}


def _can_use_pidfd() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


def _skip_for_no_sanitizer(reason: str = "", **_: bool) -> Callable[[Any], Any]:
    return lambda test: test


# What a suite looks for in an interpreter that does not have it.
_MISSING: tuple[tuple[Any, str, Any], ...] = (
    (asyncio.events, "_get_event_loop_policy", governess.get_event_loop_policy),
    (asyncio.events, "_set_event_loop_policy", governess.set_event_loop_policy),
    (asyncio.unix_events, "_DefaultEventLoopPolicy", governess.DefaultEventLoopPolicy),
    (asyncio.unix_events, "can_use_pidfd", _can_use_pidfd),
)
for owner, missing, value in _MISSING:
    if missing not in vars(owner):
        setattr(owner, missing, value)

# Tests since 3.13 pass `thread=True`, which older versions of this function do not know.
if "thread" not in inspect.signature(support.skip_if_sanitizer).parameters:
    support.skip_if_sanitizer = _skip_for_no_sanitizer
