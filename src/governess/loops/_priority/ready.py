"""Callbacks that are ready, ordered by the priority of their context.

The extension `_ready` has the classes of handles, `ReadyQueue`, and the methods of loops in C.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import operator
import sys
from collections import deque
from collections.abc import Callable
from contextvars import Context, ContextVar, Token, copy_context
from traceback import StackSummary
from typing import Any, SupportsIndex, TypeVar, TypeVarTuple

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
    "current_priority",
    "describe",
    "priority",
]

# The limits of nice(1).
MOST_URGENT, LEAST_URGENT = -20, 19

# A waiting callback becomes more urgent by one level after this many callbacks have run.
AGING_STEP = 100

Ts = TypeVarTuple("Ts")
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


current_priority: ContextVar[int] = ContextVar("governess.priority", default=0)


class priority:  # it is used as a function
    """Set the priority of callbacks and tasks created in the `with` block, and of this task inside the block.

    The priority belongs to the `contextvars` context, so a task inherits it from its creator. Only `prioritized` loops
    use it. As a decorator, it sets the priority of each call of a function, or of a coroutine from its first step on.
    """

    __slots__ = ("_level", "_tokens")

    def __init__(self, level: SupportsIndex) -> None:
        """Check the priority.

        Args:
            level: from -20 (most urgent) to 19, as for nice(1). The default of every context is 0.

        Raises:
            TypeError: `level` is not an integer.
            ValueError: `level` is not in this range.
        """
        self._level = _checked(level)
        self._tokens: list[Token[int]] = []

    def __enter__(self) -> None:
        self._tokens.append(current_priority.set(self._level))

    def __exit__(self, *_: object) -> None:
        current_priority.reset(self._tokens.pop())

    def __call__(self, function: FunctionT) -> FunctionT:
        """Return the function, or the async function, with this priority.

        Raises:
            TypeError: it is a generator function, whose steps belong to different callers.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"priority() cannot decorate a generator function such as {function!r}")
        level = self._level

        async def await_it(*args: Any, **options: Any) -> Any:
            with priority(level):
                return await function(*args, **options)

        def call_it(*args: Any, **options: Any) -> Any:
            with priority(level):
                return function(*args, **options)

        decorated: Any = await_it if inspect.iscoroutinefunction(function) else call_it
        functools.update_wrapper(decorated, function)
        return decorated  # type: ignore[no-any-return]


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
    if queue.waiters:
        level = queue.inherited(callback, args, level)
    if not queue.is_scheduled:
        if queue.schedule is None or queue.handle_class is not ReadyHandle:
            self._schedule_batch(callback)
        else:
            queue.schedule()
            queue.is_scheduled = True
    handle = queue.handle_class(callback, args, context)
    queue.add(handle, level)
    return handle


def call_soon_threadsafe(
    self: Any, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
) -> ReadyHandle:
    """Do what `call_soon` does, from any thread or signal handler."""
    if context is None:
        context = copy_context()
    queue: ReadyQueue = self._ready_queue
    is_plain = queue.handle_class is ReadyHandle
    if not is_plain:
        self._check_callback_of("call_soon_threadsafe", callback)
    handle = queue.handle_class(callback, args, context)
    queue.add(handle, _get_from(context, current_priority, 0))
    # The batch looks into the queue after it has set `is_scheduled` to False, and this looks at `is_scheduled` after
    # it has added to the queue: one of them sees the other's change. A loop whose batch is scheduled does not sleep.
    if queue.is_scheduled and is_plain:
        return handle
    try:
        if is_plain and queue.wake is not None:
            queue.is_scheduled = True
            queue.wake()
        else:
            self._wake_for_batch()
    except BaseException:
        queue.is_scheduled = False
        handle.cancel()
        raise
    return handle


def call_later(
    self: Any, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
) -> asyncio.TimerHandle:
    """Add `callback` to the ready queue after `delay` seconds; arguments and errors are those of asyncio."""
    queue: ReadyQueue = self._ready_queue
    if isinstance(callback, TimerHandle):  # `call_at` of the underlying loop calls this method
        return queue.start_later(delay, callback)  # type: ignore[misc]
    if delay is None:
        raise TypeError("delay must not be None")
    timer = _new_timer(self, queue, self.time() + delay, callback, args, context)
    timer.inner = queue.start_at(timer._when, timer) if queue.starts_at else queue.start_later(delay, timer)  # type: ignore[misc]
    return _queued_at_once(self, queue, timer)


def call_at(
    self: Any, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
) -> asyncio.TimerHandle:
    """Add `callback` to the ready queue at the time `when`; arguments and errors are those of asyncio."""
    queue: ReadyQueue = self._ready_queue
    if isinstance(callback, TimerHandle):  # `call_later` of the underlying loop calls this method
        return queue.start_at(when, callback)  # type: ignore[misc]
    if when is None:
        raise TypeError("when cannot be None")
    timer = _new_timer(self, queue, when, callback, args, context)
    timer.inner = queue.start_at(when, timer)  # type: ignore[misc]
    return _queued_at_once(self, queue, timer)


def _queued_at_once(loop: Any, queue: ReadyQueue, timer: TimerHandle) -> TimerHandle:
    """Queue a callback that uvloop has given to call_soon, for there is less than a millisecond left."""
    if not queue.starts_at and not hasattr(timer.inner, "when"):
        timer.inner.cancel()
        timer.inner = None
        if not queue.is_scheduled:
            loop._schedule_batch(timer.callback)
            queue.is_scheduled = queue.handle_class is ReadyHandle
        queue.add(timer, _get_from(timer.context, current_priority, 0))  # type: ignore[arg-type]
    return timer


def _new_timer(
    loop: Any,
    queue: ReadyQueue,
    when: float,
    callback: Callable[..., object],
    args: tuple[Any, ...],
    context: Context | None,
) -> Any:
    if queue.start_at is None:
        raise RuntimeError("Event loop is closed")
    if queue.timer_class is not TimerHandle:
        loop._check_callback_of("call_at", callback)
    timer = queue.timer_class(callback, args, copy_context() if context is None else context)
    timer.loop = loop
    timer._when = when
    return timer


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
            level = self._levels.setdefault(_checked(priority), deque())
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
