"""The handles that `call_soon` and `call_later` of a prioritized loop return, and what its underlying loop calls."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable
from typing import Any

from governess.loops._priority import ReadyHandle

__all__ = ["DebugHandle", "IOTrampoline", "TimerHandle", "TimerTrampoline"]


# As many frames as asyncio keeps of where a handle was made.
DEPTH = 10


class DebugHandle(ReadyHandle):
    """A handle that knows where it was made."""

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
    """A callback that waits for its time, and then in the ready queue.

    Attributes:
        waits_for: the handle of what it waits for now.
    """

    __slots__ = ("waits_for",)

    waits_for: asyncio.Handle | None

    def cancel(self) -> None:
        """Do not call it."""
        # Not TimerHandle.cancel: that counts the cancelled ones among the loop's timers, where this one is not.
        asyncio.Handle.cancel(self)
        waits_for, self.waits_for = self.waits_for, None
        if waits_for is not None:
            waits_for.cancel()


# All kinds of loops: a call may come through several of them.
_LOOPS = __name__.rpartition("._priority")[0]


class TimerTrampoline:
    """Takes a timer from the loop's clock to the queue."""

    __slots__ = ("_join", "_timer")

    def __init__(self, timer: TimerHandle, join: Callable[[], ReadyHandle]) -> None:
        self._timer = timer
        self._join = join

    def __call__(self) -> None:
        """Let it join, now that its time has come."""
        if not self._timer.cancelled():
            self._timer.waits_for = self._join()


class IOTrampoline:
    """Has a callback join the queue whenever a descriptor or a signal fires, but not while it is still there.

    A descriptor stays ready, and the loop below says so in every round, until the callback has had its turn.
    """

    __slots__ = ("_handle", "_join")

    def __init__(self, join: Callable[[], ReadyHandle]) -> None:
        self._join = join
        self._handle: ReadyHandle | None = None

    def __call__(self) -> None:
        """Let it join, if it is not there."""
        if self._handle is None or self._handle.due is None:
            self._handle = self._join()

    def cancel(self) -> None:
        """Do not call it for what has fired before."""
        if self._handle is not None:
            self._handle.cancel()
