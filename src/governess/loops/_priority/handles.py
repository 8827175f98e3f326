"""Handles of debug mode, and the callback (trampoline) that a prioritized loop gives its underlying loop for I/O."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from governess.loops._priority import ReadyHandle, TimerHandle
from governess.loops._priority.ready import current_priority

__all__ = ["DebugHandle", "DebugTimerHandle", "IOTrampoline"]

# How many frames asyncio stores of the place where a handle was created.
DEPTH = 10

# The package of all loop classes: a call may pass through several of them.
_LOOPS = __name__.rpartition("._priority")[0]


class DebugHandle(ReadyHandle):
    """A handle that stores where it was created, as in asyncio's debug mode."""

    __slots__ = ("_place", "source_traceback")

    source_traceback: traceback.StackSummary | None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.source_traceback, self._place = _creation()

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]} created at {self._place}>"


class DebugTimerHandle(TimerHandle):
    """The same for a timer."""

    __slots__ = ("_place", "source_traceback")

    source_traceback: traceback.StackSummary | None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.source_traceback, self._place = _creation()

    def __call__(self) -> None:
        """Join the ready queue, with a batch of its own, in which the loop measures the time of the callback."""
        loop = self.loop
        super().__call__()
        if not self.cancelled():
            loop._schedule_debug_batch()

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]} created at {self._place}>"


def _creation() -> tuple[traceback.StackSummary, str]:
    """Return where the caller outside of this package is."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_LOOPS):
        frame = frame.f_back
    stack = traceback.extract_stack(frame, DEPTH)
    return stack, f"{stack[-1].filename}:{stack[-1].lineno}"


class IOTrampoline:
    """Adds a callback to the ready queue when a descriptor or a signal fires, unless it is still queued.

    Until the callback runs, the descriptor stays ready and the underlying loop reports it in every iteration.
    """

    __slots__ = ("_args", "_callback", "_context", "_handle", "_loop")

    def __init__(self, loop: Any, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Store the callback, to be run in a copy of the current context."""
        self._loop = loop
        self._callback = callback
        self._args = args
        self._context: Context = copy_context()
        self._handle: ReadyHandle | None = None

    def __call__(self) -> None:
        """Add the callback to the ready queue, if it is not queued."""
        if self._handle is not None and self._handle.due is not None:
            return
        queue = self._loop._ready_queue
        self._handle = queue.handle_class(self._callback, self._args, self._context)
        queue.join(self._handle, self._context.get(current_priority, 0))
        if queue.handle_class is DebugHandle:
            self._loop._schedule_debug_batch()

    def cancel(self) -> None:
        """Cancel the queued callback."""
        if self._handle is not None:
            self._handle.cancel()
