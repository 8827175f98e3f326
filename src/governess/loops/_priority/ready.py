"""Callbacks that are ready, ordered by the priority of their context.

The extension `_ready` has `call_soon`, `ReadyHandle` and `ReadyQueue` in C.
"""

from __future__ import annotations

import asyncio
import contextlib
import operator
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context, ContextVar, copy_context
from traceback import StackSummary
from typing import Any, SupportsIndex, TypeVarTuple

__all__ = ["AGING_STEP", "ReadyHandle", "ReadyQueue", "call_soon", "current_priority", "describe", "priority"]

# The limits of nice(1).
MOST_URGENT, LEAST_URGENT = -20, 19

# A waiting callback becomes more urgent by one level after this many callbacks have run.
AGING_STEP = 100

Ts = TypeVarTuple("Ts")


current_priority: ContextVar[int] = ContextVar("governess.priority", default=0)


@contextlib.contextmanager
def priority(level: SupportsIndex) -> Iterator[None]:
    """Set the priority of callbacks and tasks created in the `with` block, and of this task inside the block.

    The priority belongs to the `contextvars` context, so a task inherits it from its creator. Only `prioritized` loops
    use it.

    Args:
        level: from -20 (most urgent) to 19, as for nice(1). The default of every context is 0.

    Raises:
        TypeError: `level` is not an integer.
        ValueError: `level` is not in this range.
    """
    token = current_priority.set(_checked(level))
    try:
        yield
    finally:
        current_priority.reset(token)


def _checked(level: SupportsIndex) -> int:
    """Return the priority as an int; raise an error if it is not a priority."""
    try:
        number = operator.index(level)
    except TypeError:
        raise TypeError(f"a priority is an integer, not {level!r}") from None
    if not MOST_URGENT <= number <= LEAST_URGENT:
        raise ValueError(f"a priority is from {MOST_URGENT}, the most urgent, to {LEAST_URGENT}, not {number}")
    return number


def call_soon(self: Any, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> ReadyHandle:
    """Call `callback` when no ready callback is more urgent; arguments and errors are those of asyncio."""
    # This becomes a method of the loop, and every step of every task calls it. For another class of handles, and for a
    # closed loop, `_schedule_batch` of the loop decides what to do.
    if context is None:
        context = copy_context()
        level = current_priority.get()
    else:
        level = _get_from(context, current_priority, 0)
    queue: ReadyQueue = self._ready_queue
    if not queue.is_scheduled:
        if queue.schedule is None or queue.handle_class is not ReadyHandle:
            self._schedule_batch(callback)
        else:
            queue.schedule()
            queue.is_scheduled = True
    handle = queue.handle_class(callback, args, context)
    queue.add(handle, level)
    return handle


class ReadyHandle(asyncio.Handle):
    """One callback that is scheduled.

    Each `call_soon` makes one. To be quick, it skips asyncio's `__init__` and has its own fields and methods.

    Attributes:
        args: the arguments of the callback; None when the handle is cancelled.
        due: the queue's sort key; None when the handle is not queued any more.
        source_traceback: where the handle was created; set in debug mode only.
    """

    __slots__ = ("args", "callback", "context", "due")

    due: int | None
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


class ReadyQueue:
    """The callbacks that are ready, ordered by priority; callbacks of one priority run in the order of their arrival.

    A callback is due at `ran + step * priority`, where `ran` is the number of callbacks that had run when it arrived.
    The callback with the lowest due runs next. A callback whose priority is higher by d levels can overtake it only
    while fewer than step * d callbacks have run since.

    Other threads may add callbacks, and so may a signal handler in the middle of any method. Each change to the shared
    state is therefore one call of a method of dict or deque.

    Attributes:
        handle_class: the class of the handles that `call_soon` creates.
        schedule: asks the underlying loop to call `run_batch` soon; None while there is no loop.
        is_scheduled: whether `run_batch` has been scheduled since the last batch.
        report: called with a handle and the exception that its callback raised in a batch.
    """

    __slots__ = ("_least_urgent_first", "_levels", "_step", "handle_class", "is_scheduled", "ran", "report", "schedule")

    def __init__(self, step: int) -> None:
        self._levels: dict[int, deque[ReadyHandle]] = {0: deque()}
        self._least_urgent_first = tuple(self._levels.values())
        self._step = step
        self.ran = 0
        self.handle_class: type[ReadyHandle] = ReadyHandle
        self.schedule: Callable[[], object] | None = None
        self.is_scheduled = False
        self.report: Callable[[ReadyHandle, BaseException], object] | None = None

    def add(self, handle: ReadyHandle, priority: int) -> None:
        """Add a handle to the queue."""
        try:
            level = self._levels[priority]
        except KeyError:
            level = self._levels.setdefault(_checked(priority), deque())
        handle.due = self.ran + self._step * priority
        level.append(handle)

    def take(self) -> ReadyHandle | None:
        """Remove and return the next handle that is not cancelled; None if there is none."""
        while (level := self._next_level()) is not None:
            handle = level.popleft()
            handle.due = None
            if handle.args is not None:
                self.ran += 1
                return handle
        return None

    def run(self, count: int, report: Callable[[ReadyHandle, BaseException], object]) -> ReadyHandle | None:
        """Run at most `count` queued callbacks; return the handle of the last one, None if the queue became empty.

        `report` gets what a callback raises, except SystemExit and KeyboardInterrupt, which are raised.
        """
        handle, take = None, self.take
        for _ in range(count):
            if (handle := take()) is None:
                break
            try:
                handle.context.run(handle.callback, *handle.args)  # type: ignore[arg-type, misc]
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                report(handle, error)
        return handle

    def run_batch(self) -> None:
        """Run the callbacks that are queued now; schedule another batch if some are queued afterwards."""
        try:
            self.run(len(self), self.report)  # type: ignore[arg-type]
        finally:
            # In this order: a signal handler or a thread may add to the queue between any two steps.
            self.is_scheduled = False
            if self and self.schedule is not None:
                self.schedule()
                self.is_scheduled = True

    def clear(self) -> None:
        """Remove all handles."""
        for level in self._in_order():
            forgotten = list(level)
            level.clear()
            for handle in forgotten:
                handle.due = None

    def __len__(self) -> int:
        return sum(map(len, self._in_order()))

    def __bool__(self) -> bool:
        return any(self._in_order())

    def _next_level(self) -> deque[ReadyHandle] | None:
        levels = self._in_order()
        if len(levels) == 1:
            return levels[0] or None
        least, next_level = sys.maxsize, None
        for level in levels:
            # Of two that are due together, the less urgent one has waited longer, and comes first here.
            if level and (due := level[0].due) < least:  # type: ignore[operator]
                least, next_level = due, level  # type: ignore[assignment]
        return next_level

    def _in_order(self) -> tuple[deque[ReadyHandle], ...]:
        if len(self._least_urgent_first) != len(self._levels):
            self._least_urgent_first = tuple(self._levels[it] for it in sorted(self._levels, reverse=True))
        return self._least_urgent_first


def describe(handle: ReadyHandle) -> str:
    """Return the repr that asyncio gives such a handle."""
    if handle.args is None:
        return "<Handle cancelled>"
    return repr(asyncio.Handle(handle.callback, handle.args, _NOT_DEBUGGING, handle.context))  # type: ignore[arg-type]


class _NotDebugging:
    """The loop of a temporary asyncio.Handle, which then stores no traceback of its creation."""

    def get_debug(self) -> bool:
        return False


_NOT_DEBUGGING: Any = _NotDebugging()
_get_from = Context.get
