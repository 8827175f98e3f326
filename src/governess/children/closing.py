"""Learning that a loop is about to be closed."""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import Callable

__all__ = ["Notice", "when_closed"]


class Notice:
    """A promise to be told of a loop's end.

    Attributes:
        is_sure: whether the loop tells when it is closed; else it is told of only when the loop is garbage.
        cancel: takes the request back.
    """

    __slots__ = ("cancel", "is_sure")

    def __init__(self, is_sure: bool, cancel: Callable[[], object]) -> None:
        self.is_sure = is_sure
        self.cancel = cancel


def when_closed(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> Notice:
    """Call `callback` right before the loop is closed, if the loop can tell; else when it is garbage."""
    register = getattr(loop, "call_on_close", None)
    if register is not None:
        return Notice(True, register(callback))
    finalizer = weakref.finalize(loop, _unless_finalizing, callback)
    finalizer.atexit = False
    return Notice(False, finalizer.detach)


def _unless_finalizing(callback: Callable[[], object]) -> None:
    # At interpreter shutdown a frozen thread may hold any lock.
    if not sys.is_finalizing():
        callback()
