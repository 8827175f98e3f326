"""Learning that a loop is closed."""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import Callable

__all__ = ["when_closed"]


def when_closed(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> bool:
    """Call `callback` right before the loop is closed, if the loop can tell; else when it is garbage.

    Returns:
        Whether the loop can tell (see `governess.loops.watched`).
    """
    if (register := getattr(loop, "call_on_close", None)) is not None:
        register(callback)
        return True
    weakref.finalize(loop, _unless_finalizing, callback).atexit = False
    return False


def _unless_finalizing(callback: Callable[[], object]) -> None:
    # At interpreter shutdown a frozen thread may hold any lock.
    if not sys.is_finalizing():
        callback()
