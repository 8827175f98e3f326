"""The methods of a prioritized loop that fill its queue, in Python; the extension `_ready` has them in C."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVarTuple

from governess.loops._priority.level import current_priority
from governess.loops._priority.plain_handles import ReadyHandle, TimerHandle

if TYPE_CHECKING:
    from governess.loops._priority.ready import ReadyQueue

__all__ = ["call_at", "call_later", "call_soon", "call_soon_threadsafe"]

Ts = TypeVarTuple("Ts")


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


_get_from = Context.get
