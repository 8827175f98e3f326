"""What is called after a fork, in the child, and when a loop closes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sys
import weakref
from collections.abc import Callable

__all__ = ["CloseHook", "run_after_fork", "when_closed"]


@functools.cache
def run_after_fork(forget: Callable[[], object]) -> None:
    """Call `forget` in every child that this process forks from now on; asked for twice, it is called once.

    Called on the first need and not at import, since an at-fork handler cannot be taken back. There is one handler for
    all of these functions.
    """
    if not _in_child and hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(after_in_child=_run_in_child)
    _in_child.append(forget)


_in_child: list[Callable[[], object]] = []


def _run_in_child() -> None:
    with contextlib.ExitStack() as every_one_even_if_one_fails:
        for forget in reversed(_in_child):
            every_one_even_if_one_fails.callback(forget)


class CloseHook:
    """A promise to be told of a loop's end.

    Attributes:
        is_reliable: whether the loop tells when it is closed; else it is told of only when the loop is garbage.
        cancel: takes the request back.
    """

    __slots__ = ("cancel", "is_reliable")

    def __init__(self, is_reliable: bool, cancel: Callable[[], object]) -> None:
        self.is_reliable = is_reliable
        self.cancel = cancel


def when_closed(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> CloseHook:
    """Call `callback` right before the loop is closed, if the loop can tell; else when it is garbage."""
    register = getattr(loop, "call_on_close", None)
    if register is not None:
        return CloseHook(True, register(callback))
    finalizer = weakref.finalize(loop, _unless_finalizing, callback)
    finalizer.atexit = False
    return CloseHook(False, finalizer.detach)


def _unless_finalizing(callback: Callable[[], object]) -> None:
    # At interpreter shutdown a frozen thread may hold any lock.
    if not sys.is_finalizing():
        callback()
