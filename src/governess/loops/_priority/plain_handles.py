"""The handles of a prioritized loop, in Python; the extension `_ready` has them in C."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable
from contextvars import Context
from traceback import StackSummary
from typing import Any

from governess.loops._priority.level import current_priority

__all__ = ["ReadyHandle", "TimerHandle", "compare_timers", "describe"]


class ReadyHandle(asyncio.Handle):
    """One callback that is scheduled.

    Each `call_soon` makes one. To be quick, it skips asyncio's `__init__` and has its own fields and methods.

    Attributes:
        args: the arguments of the callback; None when the handle is cancelled.
        due: the queue's sort key; None when the handle is not queued any more.
        level: the priority with which it was queued last.
        source_traceback: where the handle was created; set in debug mode only.
    """

    __slots__ = ("args", "callback", "context", "due", "level")

    due: int | None
    level: int
    source_traceback: StackSummary | None = None

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args: tuple[Any, ...] | None = args
        self.context = context

    def cancel(self) -> None:
        """Cancel the call, and release the callback and its arguments."""
        # `args` tells a cancelled handle: a caller may pass None as the callback by mistake.
        self.args = self.callback = None

    def cancelled(self) -> bool:
        """Return whether it was cancelled."""
        return self.args is None

    def get_context(self) -> Context:
        """Return the context in which the callback runs."""
        return self.context

    def __repr__(self) -> str:
        return describe(self)


class TimerHandle(asyncio.TimerHandle):
    """The handle of a timer: the callback of the underlying loop's timer, and then a handle in the ready queue.

    It has the fields and methods of `ReadyHandle`, which cannot be its base beside asyncio's class.

    Attributes:
        loop: the prioritized loop.
        inner: the handle in the underlying loop, until the timer has fired or is cancelled.
    """

    __slots__ = ("args", "callback", "context", "due", "inner", "level", "loop")

    loop: Any
    inner: Any
    _when: float
    source_traceback: StackSummary | None = None

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args: tuple[Any, ...] | None = args
        self.context = context
        self.inner = self.due = None

    def when(self) -> float:
        """Return the time at which it fires, by the loop's clock."""
        return self._when

    def cancel(self) -> None:
        """Cancel the timer, before it fires or while it is queued."""
        self.args = self.callback = None
        inner, self.inner = self.inner, None
        if inner is not None:
            inner.cancel()

    def cancelled(self) -> bool:
        """Return whether it was cancelled."""
        return self.args is None

    def get_context(self) -> Context:
        """Return the context in which the callback runs."""
        return self.context

    def __call__(self) -> None:
        """Join the ready queue: the timer has fired."""
        self.inner = None
        if self.args is not None:
            self.loop._ready_queue.join(self, _get_from(self.context, current_priority, 0))

    def __repr__(self) -> str:
        return describe(self)

    def __hash__(self) -> int:
        return hash(self.when())

    def __lt__(self, other: object) -> Any:
        return compare_timers(self, other, "lt")

    def __le__(self, other: object) -> Any:
        return compare_timers(self, other, "le")

    def __gt__(self, other: object) -> Any:
        return compare_timers(self, other, "gt")

    def __ge__(self, other: object) -> Any:
        return compare_timers(self, other, "ge")

    __eq__ = object.__eq__  # pyright: ignore[reportAssignmentType]  # in C: `promote` relies on it that nothing else runs meanwhile


def compare_timers(one: Any, other: Any, operation: str) -> Any:
    """Compare two timers by their times, as asyncio's handles do; `operation` is a function's name in `operator`."""
    if not isinstance(other, asyncio.TimerHandle):
        return NotImplemented
    return getattr(operator, operation)(one.when(), other.when())


def describe(handle: Any) -> str:
    """Return the repr that asyncio gives such a handle."""
    if handle.args is None:
        return "<TimerHandle cancelled>" if isinstance(handle, asyncio.TimerHandle) else "<Handle cancelled>"
    if isinstance(handle, asyncio.TimerHandle):
        timer: Any = handle
        return repr(asyncio.TimerHandle(timer.when(), timer.callback, timer.args, _NOT_DEBUGGING, timer.context))
    return repr(asyncio.Handle(handle.callback, handle.args, _NOT_DEBUGGING, handle.context))


class _NotDebugging:
    """The loop of a temporary asyncio.Handle, which then stores no traceback of its creation."""

    def get_debug(self) -> bool:
        return False


_NOT_DEBUGGING: Any = _NotDebugging()
_get_from = Context.get
