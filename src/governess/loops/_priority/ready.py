"""Callbacks that are ready, ordered by the priority of their context.

The extension `_ready` has what this module exports in C: the queue, the handles, and the methods of loops.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any

from governess.loops._priority.level import (
    AGING_STEP,
    LEAST_URGENT,
    MOST_URGENT,
    checked,
    current_priority,
    priority,
)
from governess.loops._priority.methods import call_at, call_later, call_soon, call_soon_threadsafe
from governess.loops._priority.plain_handles import ReadyHandle, TimerHandle, compare_timers, describe

__all__ = [
    "AGING_STEP",
    "LEAST_URGENT",
    "ReadyHandle",
    "ReadyQueue",
    "TimerHandle",
    "call_at",
    "call_later",
    "call_soon",
    "call_soon_threadsafe",
    "compare_timers",
    "current_priority",
    "describe",
    "priority",
]


class ReadyQueue:
    """The callbacks that are ready, ordered by priority; callbacks of one priority run in the order of their arrival.

    A callback is due at `ran + step * priority`, where `ran` is the number of callbacks that had run when it arrived.
    The callback with the lowest due runs next. A callback whose priority is higher by d levels can overtake it only
    while fewer than step * d callbacks have run since.

    Other threads may add callbacks, and so may a signal handler in the middle of any method. Each change to the shared
    state is therefore one call of a method of dict or deque.

    Attributes:
        handle_class: the class of the handles that `call_soon` creates.
        timer_class: the class of the handles that `call_later` and `call_at` create.
        schedule: asks the underlying loop to call `run_batch` soon; None while there is no loop.
        wake: does the same from another thread.
        start_at, start_later: `call_at` and `call_later` of the underlying loop.
        starts_at: whether `call_at` of the underlying loop is the quicker one.
        others: the underlying loop's own queue of ready handles, if it has one that can be changed.
        batch_context: the context of batches, by which they are told from other handles.
        is_scheduled: whether `run_batch` has been scheduled since the last batch.
        report: called with a handle and the exception that its callback raised in a batch.
        least_urgent: the least urgent priority that was ever queued.
        waits: the tasks that wait for others, of which one may be less urgent.
        waiters: the tasks that these wait for.
        after_step: called with a task and its context after a step of a task that is in `waits`, or perhaps should be.
        level_of: returns the level of a task in `waiters`, for a level of its own.
    """

    __slots__ = (
        "_least_urgent_first",
        "_levels",
        "_step",
        "after_step",
        "batch_context",
        "handle_class",
        "is_scheduled",
        "least_urgent",
        "level_of",
        "others",
        "ran",
        "report",
        "schedule",
        "start_at",
        "start_later",
        "starts_at",
        "timer_class",
        "waiters",
        "waits",
        "wake",
    )

    def __init__(self, step: int) -> None:
        self._levels: dict[int, deque[ReadyHandle]] = {0: deque()}
        self._least_urgent_first = tuple(self._levels.values())
        self._step = step
        self.ran = 0
        self.handle_class: type[ReadyHandle] = ReadyHandle
        self.schedule: Callable[[], object] | None = None
        self.is_scheduled = False
        self.report: Callable[[ReadyHandle, BaseException], object] | None = None
        self.timer_class: type[TimerHandle] = TimerHandle
        self.wake: Callable[[], object] | None = None
        self.start_at: Callable[[float, Any], asyncio.TimerHandle] | None = None
        self.start_later: Callable[[float, Any], asyncio.TimerHandle] | None = None
        self.starts_at = False
        self.others: deque[asyncio.Handle] | None = None
        self.batch_context: Context | None = None
        self.least_urgent = MOST_URGENT
        self.after_step: Callable[[Any, Context], object] | None = None
        self.level_of: Callable[[Any, int], int] | None = None
        self.waits: dict[Any, Any] = {}
        self.waiters: dict[Any, Any] = {}

    def add(self, handle: ReadyHandle, priority: int) -> None:
        """Add a handle to the queue."""
        try:
            level = self._levels[priority]
        except KeyError:
            level = self._levels.setdefault(checked(priority), deque())
        if priority > self.least_urgent:
            self.least_urgent = priority
        handle.level = priority
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
            callback = handle.callback
            try:
                handle.context.run(callback, *handle.args)  # type: ignore[arg-type, misc]
                if self.waits or handle.level < self.least_urgent:
                    self._look_after_step(getattr(callback, "__self__", None), handle)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                report(handle, error)
        return handle

    def inherited(self, callback: Callable[..., object], args: tuple[Any, ...], level: int) -> int:
        """Return the level of a callback: `level`, or a more urgent one that its task inherits.

        The callbacks that are told of the end of a task, which have it as their one argument, inherit with it.
        """
        for task in getattr(callback, "__self__", None), args[0] if len(args) == 1 else None:
            if _is_in(task, self.waiters):
                return self.level_of(task, level)  # type: ignore[misc]
        return level

    def _look_after_step(self, task: Any, handle: ReadyHandle) -> None:
        is_suspended = handle.level < self.least_urgent and getattr(task, "_fut_waiter", None) is not None
        if self.after_step is not None and (is_suspended or _is_in(task, self.waits)):
            self.after_step(task, handle.context)

    def join(self, handle: ReadyHandle, priority: int) -> None:
        """Add a handle whose timer or descriptor has fired, for a batch in this turn of the underlying loop.

        In debug mode the caller schedules the batch.
        """
        self.add(handle, priority)
        if self.is_scheduled or self.handle_class is not ReadyHandle:
            return
        if self.others is not None:
            self.run_batch()
        elif self.schedule is not None:
            self.schedule()
            self.is_scheduled = True

    def promote(self, task: Any, priority: int) -> None:
        """Move the callbacks of a task that are queued with a less urgent priority to this one."""
        for level, handles in list(self._levels.items()):
            for handle in list(handles) if level > priority else ():
                if getattr(handle.callback, "__self__", None) is task:
                    with contextlib.suppress(ValueError, IndexError):  # it was taken, or another thread has added some
                        handles.remove(handle)
                        self.add(handle, priority)

    def run_batch(self) -> None:
        """Run the callbacks that are queued now; schedule another batch if some are queued afterwards.

        If the underlying loop has other handles in this turn, the next of these takes the place of this batch, and the
        batch comes last: so the callbacks of all timers and descriptors that have fired are in it.
        """
        if self.others and self.others[0]._context is not self.batch_context:  # type: ignore[attr-defined]
            self._let_another_go_first()
            return
        self.is_scheduled = True
        try:
            self.run(len(self), self.report)  # type: ignore[arg-type]
        finally:
            # In this order: a signal handler or a thread may add to the queue between any two steps.
            self.is_scheduled = False
            if self and self.schedule is not None:
                self.schedule()
                self.is_scheduled = True

    def _let_another_go_first(self) -> None:
        other: Any = self.others.popleft()  # type: ignore[union-attr]
        self.schedule()  # type: ignore[misc]
        self.is_scheduled = True
        if not other._cancelled:
            other._run()

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


def _is_in(task: Any, tasks: dict[Any, Any]) -> bool:
    try:
        return task in tasks
    except TypeError:  # the callback is a method of something that has no hash
        return False
