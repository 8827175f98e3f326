"""Handles of a prioritized loop, and the callbacks (trampolines) that it gives to its underlying loop."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable
from typing import Any

from governess.loops._priority import ReadyHandle

__all__ = ["DebugHandle", "IOTrampoline", "TimerHandle", "TimerTrampoline"]


# How many frames asyncio stores of the place where a handle was created.
DEPTH = 10


class DebugHandle(ReadyHandle):
    """A handle that stores where it was created, as in asyncio's debug mode."""

    __slots__ = ("_store", "source_traceback")

    source_traceback: traceback.StackSummary | None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_LOOPS):
            frame = frame.f_back
        self.source_traceback = stack = traceback.extract_stack(frame, DEPTH)
        self._store = f"{stack[-1].filename}:{stack[-1].lineno}"

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]} created at {self._store}>"


class TimerHandle(asyncio.TimerHandle):
    """The handle of a timer, which waits first in the underlying loop and then in the ready queue.

    Attributes:
        waits_for: the handle in the underlying loop, and later the one in the ready queue.
    """

    __slots__ = ("waits_for",)

    waits_for: asyncio.Handle | None

    def cancel(self) -> None:
        """Cancel the timer."""
        # Not TimerHandle.cancel: it counts this handle as a cancelled timer of the loop, which does not have it.
        asyncio.Handle.cancel(self)
        waits_for, self.waits_for = self.waits_for, None
        if waits_for is not None:
            waits_for.cancel()


# The package of all loop classes: a call may pass through several of them.
_LOOPS = __name__.rpartition("._priority")[0]


class TimerTrampoline:
    """Adds the callback of a timer to the ready queue when the underlying loop's timer fires."""

    __slots__ = ("_join", "_timer")

    def __init__(self, timer: TimerHandle, join: Callable[[], ReadyHandle]) -> None:
        self._timer = timer
        self._join = join

    def __call__(self) -> None:
        """Add the callback to the ready queue."""
        if not self._timer.cancelled():
            self._timer.waits_for = self._join()


class IOTrampoline:
    """Adds a callback to the ready queue when a descriptor or a signal fires, unless it is still queued.

    Until the callback runs, the descriptor stays ready and the underlying loop reports it in every iteration.
    """

    __slots__ = ("_handle", "_join")

    def __init__(self, join: Callable[[], ReadyHandle]) -> None:
        self._join = join
        self._handle: ReadyHandle | None = None

    def __call__(self) -> None:
        """Add the callback to the ready queue, if it is not queued."""
        if self._handle is None or self._handle.due is None:
            self._handle = self._join()

    def cancel(self) -> None:
        """Cancel the queued callback."""
        if self._handle is not None:
            self._handle.cancel()
