"""Callbacks that are ready, in the order in which they are to run; `_ready` has the same three names, written in C."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from traceback import StackSummary
from typing import Any, TypeVarTuple

from governess.loops.priority import checked, current_priority

__all__ = ["STEP", "Ready", "ReadyHandle", "call_soon", "describe"]

# What one step of priority is worth: so many callbacks that have run meanwhile.
STEP = 100

Ts = TypeVarTuple("Ts")


def call_soon(self: Any, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> ReadyHandle:
    """Call `callback` when nothing that is ready is more urgent; arguments and errors are those of asyncio."""
    # A loop's method, which every step of every task calls. Other handles than these want a turn for each, or a closed
    # loop an error: that is the loop's to say.
    if context is None:
        context = copy_context()
        priority = current_priority.get()
    else:
        priority = _get_from(context, current_priority, 0)
    line: Ready = self._line
    if not line.near:
        if line.ask is None or line.handle_class is not ReadyHandle:
            self._ask_for_turn(callback)
        else:
            line.ask()
            line.near = True
    handle = line.handle_class(callback, args, context)
    line.add(handle, priority)
    return handle


class ReadyHandle(asyncio.Handle):
    """One callback that waits for its turn.

    One is made for each `call_soon`, so it leaves out asyncio's `__init__`, and has fields and methods of its own.

    Attributes:
        args: None when it is cancelled.
        due: what the line orders it by; None when it is not in line any more.
        source_traceback: where it was made, if that was in debug mode.
    """

    __slots__ = ("args", "callback", "context", "due")

    due: int | None
    source_traceback: StackSummary | None = None

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args: tuple[Any, ...] | None = args
        self.context = context

    def cancel(self) -> None:
        """Do not call it; what it was to be called with is let go at once."""
        # A cancelled one is known by its args: None may be a callback, if a wrong one.
        self.args = self.callback = None

    def cancelled(self) -> bool:
        """Return whether it was cancelled."""
        return self.args is None

    def get_context(self) -> Context:
        """Return the context in which it is called."""
        return self.context

    def __repr__(self) -> str:
        return describe(self)


class Ready:
    """The callbacks that are ready: by priority, inside one first come first served.

    A callback is due at `ran + step * priority`, `ran` being how many have run before it came, and the one with the
    least due is next. So nothing that comes after step * d more have run can overtake it, d being the distance between
    the two priorities.

    Foreign threads may add to it, and so may a signal handler in the middle of any method here: what they touch they
    touch by one call of a dict's or a deque's own method.

    Attributes:
        handle_class: what `call_soon` makes.
        ask: asks the loop below to call `turn` soon; None where there is no loop, or not any more.
        near: whether that has been done since the last turn.
        report: called with a handle and what its callback raised in a turn.
    """

    __slots__ = ("_least_urgent_first", "_levels", "_step", "ask", "handle_class", "near", "ran", "report")

    def __init__(self, step: int) -> None:
        self._levels: dict[int, deque[ReadyHandle]] = {0: deque()}
        self._least_urgent_first = tuple(self._levels.values())
        self._step = step
        self.ran = 0
        self.handle_class: type[ReadyHandle] = ReadyHandle
        self.ask: Callable[[], object] | None = None
        self.near = False
        self.report: Callable[[ReadyHandle, BaseException], object] | None = None

    def add(self, handle: ReadyHandle, priority: int) -> None:
        """Let it wait for its turn."""
        try:
            level = self._levels[priority]
        except KeyError:
            level = self._levels.setdefault(checked(priority), deque())
        handle.due = self.ran + self._step * priority
        level.append(handle)

    def take(self) -> ReadyHandle | None:
        """Take the one that is next; None if none is left that is not cancelled."""
        while (level := self._next_level()) is not None:
            handle = level.popleft()
            handle.due = None
            if handle.args is not None:
                self.ran += 1
                return handle
        return None

    def run(self, count: int, report: Callable[[ReadyHandle, BaseException], object]) -> ReadyHandle | None:
        """Call so many of those in line, or what there is; return the last.

        What one raises goes to `report`, but for SystemExit and KeyboardInterrupt.
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

    def turn(self) -> None:
        """Run those that are in line now, and ask for another turn if some are there then."""
        try:
            self.run(len(self), self.report)  # type: ignore[arg-type]
        finally:
            # In this order: a signal handler or a thread may add to the line between any two steps.
            self.near = False
            if self and self.ask is not None:
                self.ask()
                self.near = True

    def clear(self) -> None:
        """Forget them all."""
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
            # Of two that are due together, the first here is the one that has waited longer.
            if level and (due := level[0].due) < least:  # type: ignore[operator]
                least, next_level = due, level  # type: ignore[assignment]
        return next_level

    def _in_order(self) -> tuple[deque[ReadyHandle], ...]:
        if len(self._least_urgent_first) != len(self._levels):
            self._least_urgent_first = tuple(self._levels[it] for it in sorted(self._levels, reverse=True))
        return self._least_urgent_first


def describe(handle: ReadyHandle) -> str:
    """Return what asyncio's `repr` says of such a handle."""
    if handle.args is None:
        return "<Handle cancelled>"
    return repr(asyncio.Handle(handle.callback, handle.args, _NOT_DEBUGGING, handle.context))  # type: ignore[arg-type]


class _NotDebugging:
    """The loop of a handle that lives for one `repr`, whose place of birth is of no interest."""

    def get_debug(self) -> bool:
        return False


_NOT_DEBUGGING: Any = _NotDebugging()
_get_from = Context.get
