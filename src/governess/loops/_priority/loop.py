"""Loop classes that run callbacks by priority: `prioritized` derives one from any loop class."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from governess.loops._priority import ReadyHandle, ReadyQueue, call_soon
from governess.loops._priority.handles import DebugHandle, IOTrampoline, TimerHandle, TimerTrampoline
from governess.loops._priority.ready import AGING_STEP, current_priority

if TYPE_CHECKING:
    from asyncio import BaseEventLoop as _Base

    from _typeshed import FileDescriptorLike
else:
    _Base = object

__all__ = ["PrioritizedLoop", "make_prioritized", "prioritized"]

LoopT = TypeVar("LoopT", bound=asyncio.AbstractEventLoop)
Ts = TypeVarTuple("Ts")


class PrioritizedLoop(_Base):
    """The mixin of a prioritized loop class: it has a ready queue of its own.

    The underlying loop sees only batches. A batch runs as many callbacks as were queued when it began, so the loop
    polls descriptors and timers as often as without priorities. In debug mode each batch is one callback: the loop
    measures the time of every batch, and so reports the slow callbacks.
    """

    _ready_queue: ReadyQueue
    _batch_context: Context
    _trampolines: dict[tuple[str, int], IOTrampoline]

    def __init__(self, *args: Any, **options: Any) -> None:
        """Initialise the underlying loop with these arguments."""
        _begin(self)
        super().__init__(*args, **options)

    call_soon = call_soon

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Do what `call_soon` does, from any thread or signal handler."""
        if self.get_debug():
            _check(callback, "call_soon_threadsafe")
        handle = self._enqueue(callback, args, context or copy_context())
        try:
            super().call_soon_threadsafe(self._next_batch())
        except BaseException:
            handle.cancel()
            raise
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Add `callback` to the ready queue after `delay` seconds; arguments and errors are those of asyncio."""
        start = super().call_later
        if isinstance(callback, TimerTrampoline):  # call_at of the underlying loop calls this method
            return start(delay, callback)
        return self._new_timer(partial(start, delay), self.time() + delay, callback, args, context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Add `callback` to the ready queue at the time `when`; arguments and errors are those of asyncio."""
        start = super().call_at
        if isinstance(callback, TimerTrampoline):  # call_later of the underlying loop calls this method
            return start(when, callback)
        return self._new_timer(partial(start, when), when, callback, args, context)

    def add_reader(self, fd: FileDescriptorLike, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Add `callback` to the ready queue when `fd` is readable; arguments and errors are those of asyncio."""
        trampoline = self._new_trampoline(callback, args)
        super().add_reader(fd, trampoline)
        self._keep_trampoline("reader", fd, trampoline)

    def remove_reader(self, fd: FileDescriptorLike) -> bool:
        """Stop watching `fd`; a callback that is queued for it is not called."""
        self._keep_trampoline("reader", fd, None)
        return super().remove_reader(fd)

    def add_writer(self, fd: FileDescriptorLike, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Add `callback` to the ready queue when `fd` is writable; arguments and errors are those of asyncio."""
        trampoline = self._new_trampoline(callback, args)
        super().add_writer(fd, trampoline)
        self._keep_trampoline("writer", fd, trampoline)

    def remove_writer(self, fd: FileDescriptorLike) -> bool:
        """Stop watching `fd`; a callback that is queued for it is not called."""
        self._keep_trampoline("writer", fd, None)
        return super().remove_writer(fd)

    def add_signal_handler(self, sig: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Add `callback` to the ready queue when the signal arrives; arguments and errors are those of asyncio."""
        _check(callback, "add_signal_handler")
        trampoline = self._new_trampoline(callback, args)
        super().add_signal_handler(sig, trampoline)
        self._keep_trampoline("signal", sig, trampoline)

    def remove_signal_handler(self, sig: int) -> bool:
        """Remove the handler; a callback that is queued for it is not called."""
        self._keep_trampoline("signal", sig, None)
        return super().remove_signal_handler(sig)

    def set_debug(self, enabled: bool) -> None:
        """Turn asyncio's debug mode on or off."""
        super().set_debug(enabled)
        self._ready_queue.handle_class = DebugHandle if enabled else ReadyHandle

    def close(self) -> None:
        """Close the loop and drop the queued callbacks, as asyncio's loops do."""
        super().close()
        queue = self._ready_queue
        queue.is_scheduled = False
        queue.schedule = queue.report = None
        queue.clear()
        self._trampolines.clear()

    def _join(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context) -> ReadyHandle:
        return call_soon(self, callback, *args, context=context)

    def _enqueue(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context) -> ReadyHandle:
        handle = self._ready_queue.handle_class(callback, args, context)
        self._ready_queue.add(handle, context.get(current_priority, 0))
        return handle

    def _schedule_batch(self, callback: Callable[..., object]) -> None:
        """In debug mode, schedule a batch of this one callback in the underlying loop; raise if the loop is closed."""
        if self._ready_queue.handle_class is DebugHandle:
            _check(callback, "call_soon")
        super().call_soon(self._next_batch(), context=self._batch_context)

    def _next_batch(self) -> Callable[[], None]:
        return _DebugBatch(self) if self._ready_queue.handle_class is DebugHandle else self._ready_queue.run_batch

    def _report(self, handle: ReadyHandle, error: BaseException) -> None:
        # The message and the keys are asyncio's.
        report = {"message": f"Exception in callback {handle!r}", "exception": error, "handle": handle}
        if handle.source_traceback is not None:
            report["source_traceback"] = handle.source_traceback
        self.call_exception_handler(report)

    def _new_timer(
        self,
        start: Callable[[TimerTrampoline], asyncio.TimerHandle],
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context | None,
    ) -> TimerHandle:
        if when is None:
            raise TypeError("when cannot be None")
        if self.get_debug():
            _check(callback, "call_at")
        context = context or copy_context()
        timer = TimerHandle(when, callback, args, self, context)
        timer.waits_for = start(TimerTrampoline(timer, partial(self._join, callback, args, context)))
        return timer

    def _new_trampoline(self, callback: Callable[..., object], args: tuple[Any, ...]) -> IOTrampoline:
        return IOTrampoline(partial(self._join, callback, args, copy_context()))

    def _keep_trampoline(self, kind: str, fd: Any, trampoline: IOTrampoline | None) -> None:
        key = kind, fd if isinstance(fd, int) else fd.fileno()
        before = self._trampolines.pop(key, None)
        if before is not None:
            before.cancel()
        if trampoline is not None:
            self._trampolines[key] = trampoline


class _DebugBatch:
    """A batch of one callback; its repr names that callback."""

    def __init__(self, loop: PrioritizedLoop) -> None:
        self._loop = loop
        self._handle: ReadyHandle | None = None

    def __call__(self) -> None:
        self._handle = self._loop._ready_queue.run(1, self._loop._report)

    def __repr__(self) -> str:
        return "<a batch>" if self._handle is None else repr(self._handle)


def prioritized(loop_class: type[LoopT]) -> type[LoopT]:
    """Return a subclass of the loop class whose callbacks run by `governess.priority`.

    Callbacks of `call_soon` and `call_soon_threadsafe` run in the order of the priority of their context; callbacks of
    equal priority run in the order of their arrival. Callbacks of timers, descriptors and signals are added when these
    fire. A waiting callback becomes more urgent by one level for each hundred callbacks that have run meanwhile.

    Args:
        loop_class: any class with asyncio's public methods; a prioritized class is returned unchanged.
    """
    return loop_class if issubclass(loop_class, PrioritizedLoop) else _prioritized(loop_class)  # type: ignore[arg-type]


def make_prioritized(loop: LoopT) -> LoopT:
    """Change the class of an existing loop, which has no callbacks yet, to its `prioritized` class; return the loop.

    Raises:
        TypeError: the class of the loop cannot be changed, as with some classes written in C.
    """
    if not isinstance(loop, PrioritizedLoop):
        loop.__class__ = prioritized(type(loop))
        _begin(loop)
        loop.set_debug(loop.get_debug())
    return loop


@functools.cache
def _prioritized(loop_class: type[Any]) -> type[Any]:
    namespace = {"__module__": __name__, "__doc__": f"{loop_class.__qualname__} that runs callbacks by priority."}
    return type(loop_class.__name__, (PrioritizedLoop, loop_class), namespace)


def _begin(loop: Any) -> None:
    loop._ready_queue = queue = ReadyQueue(AGING_STEP)
    loop._batch_context = context = Context()
    below: Any = super(PrioritizedLoop, loop)
    queue.schedule = partial(below.call_soon, queue.run_batch, context=context)
    queue.report = loop._report
    loop._trampolines = {}


def _check(callback: Any, method: str) -> None:
    """Raise the TypeErrors that asyncio's debug mode raises."""
    if asyncio.iscoroutine(callback) or inspect.iscoroutinefunction(callback):
        raise TypeError(f"coroutines cannot be used with {method}()")
    if not callable(callback):
        raise TypeError(f"a callable object was expected by {method}(), got {callback!r}")
