"""Loop classes that run callbacks by priority: `prioritized` derives one from any loop class."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections import deque
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from governess.loops._change import LoopChange
from governess.loops._priority import (
    ReadyHandle,
    ReadyQueue,
    TimerHandle,
    call_at,
    call_later,
    call_soon,
    call_soon_threadsafe,
)
from governess.loops._priority.handles import DebugHandle, DebugTimerHandle, IOTrampoline
from governess.loops._priority.inheritance import Inheritance
from governess.loops._priority.ready import AGING_STEP
from governess.loops._priority.waiting import record_holders

if TYPE_CHECKING:
    from asyncio import BaseEventLoop as _Base

    from _typeshed import FileDescriptorLike
else:
    _Base = object

__all__ = ["PRIORITIZED", "PrioritizedLoop", "make_prioritized", "prioritized"]

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
        _find_others(self)

    call_soon = call_soon
    call_soon_threadsafe = call_soon_threadsafe
    call_later = call_later
    call_at = call_at

    def add_reader(self, fd: FileDescriptorLike, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Add `callback` to the ready queue when `fd` is readable; arguments and errors are those of asyncio."""
        trampoline = IOTrampoline(self, callback, args)
        super().add_reader(fd, trampoline)
        self._keep_trampoline("reader", fd, trampoline)

    def remove_reader(self, fd: FileDescriptorLike) -> bool:
        """Stop watching `fd`; a callback that is queued for it is not called."""
        self._keep_trampoline("reader", fd, None)
        return super().remove_reader(fd)

    def add_writer(self, fd: FileDescriptorLike, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Add `callback` to the ready queue when `fd` is writable; arguments and errors are those of asyncio."""
        trampoline = IOTrampoline(self, callback, args)
        super().add_writer(fd, trampoline)
        self._keep_trampoline("writer", fd, trampoline)

    def remove_writer(self, fd: FileDescriptorLike) -> bool:
        """Stop watching `fd`; a callback that is queued for it is not called."""
        self._keep_trampoline("writer", fd, None)
        return super().remove_writer(fd)

    def add_signal_handler(self, sig: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Add `callback` to the ready queue when the signal arrives; arguments and errors are those of asyncio."""
        _check(callback, "add_signal_handler")
        trampoline = IOTrampoline(self, callback, args)
        super().add_signal_handler(sig, trampoline)
        self._keep_trampoline("signal", sig, trampoline)

    def remove_signal_handler(self, sig: int) -> bool:
        """Remove the handler; a callback that is queued for it is not called."""
        self._keep_trampoline("signal", sig, None)
        return super().remove_signal_handler(sig)

    def set_debug(self, enabled: bool) -> None:
        """Turn asyncio's debug mode on or off."""
        super().set_debug(enabled)
        queue = self._ready_queue
        queue.handle_class = DebugHandle if enabled else ReadyHandle
        queue.timer_class = DebugTimerHandle if enabled else TimerHandle

    def close(self) -> None:
        """Close the loop and drop the queued callbacks, as asyncio's loops do."""
        super().close()
        queue = self._ready_queue
        queue.is_scheduled = False
        queue.schedule = queue.wake = queue.report = queue.start_at = queue.start_later = queue.others = None
        queue.after_step = queue.level_of = None
        queue.waits, queue.waiters = {}, {}
        queue.clear()
        self._trampolines.clear()

    def _schedule_batch(self, callback: Callable[..., object]) -> None:
        """In debug mode, schedule a batch of this one callback in the underlying loop; raise if the loop is closed."""
        if self._ready_queue.handle_class is DebugHandle:
            self._check_callback_of("call_soon", callback)
            self._schedule_debug_batch()
        else:
            super().call_soon(self._ready_queue.run_batch, context=self._batch_context)

    def _schedule_debug_batch(self) -> None:
        super().call_soon(_DebugBatch(self), context=self._batch_context)

    def _wake_for_batch(self) -> None:
        """Schedule a batch from another thread; in debug mode, of one callback; raise if the loop is closed."""
        batch = _DebugBatch(self) if self._ready_queue.handle_class is DebugHandle else self._ready_queue.run_batch
        super().call_soon_threadsafe(batch, context=self._batch_context)

    def _check_callback_of(self, method: str, callback: Callable[..., object]) -> None:
        _check(callback, method)

    def _report(self, handle: ReadyHandle, error: BaseException) -> None:
        # The message and the keys are asyncio's.
        report = {"message": f"Exception in callback {handle!r}", "exception": error, "handle": handle}
        if handle.source_traceback is not None:
            report["source_traceback"] = handle.source_traceback
        self.call_exception_handler(report)

    def _keep_trampoline(self, kind: str, fd: Any, trampoline: IOTrampoline | None) -> None:
        key = kind, fd if isinstance(fd, int) else fd.fileno()
        before = self._trampolines.pop(key, None)
        if before is not None:
            before.cancel()
        if trampoline is not None:
            self._trampolines[key] = trampoline


class _DebugBatch:
    """A batch of one callback; the loop logs it under the name of that callback, or of its task."""

    def __init__(self, loop: PrioritizedLoop) -> None:
        self._loop = loop
        self._handle: ReadyHandle | None = None

    def __call__(self) -> None:
        queue = self._loop._ready_queue
        if queue.others and (number := _first_other(queue.others, queue.batch_context)) is not None:
            # As `ReadyQueue.run_batch` does, but batches stay in front of each other.
            other: Any = queue.others[number]
            del queue.others[number]
            self._loop._schedule_debug_batch()
            if not other._cancelled:
                other._run()
            return
        self._handle = queue.run(1, self._loop._report)

    @property
    def __self__(self) -> Any:
        """The task whose step was run: asyncio logs a slow step under its name."""
        if self._handle is None:
            raise AttributeError("__self__")
        return self._handle.callback.__self__  # type: ignore[union-attr]

    def __repr__(self) -> str:
        return "<a batch>" if self._handle is None else repr(self._handle)


def _first_other(handles: deque[asyncio.Handle], batch_context: Context | None) -> int | None:
    """Return the number of the first handle that is not a batch."""
    for number, handle in enumerate(list(handles)):
        if handle._context is not batch_context:  # type: ignore[attr-defined]
            return number
    return None


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
        _find_others(loop)
        loop.set_debug(loop.get_debug())
    return loop


@functools.cache
def _prioritized(loop_class: type[Any]) -> type[Any]:
    namespace = {"__module__": __name__, "__doc__": f"{loop_class.__qualname__} that runs callbacks by priority."}
    return type(loop_class.__name__, (PrioritizedLoop, loop_class), namespace)


def _begin(loop: Any) -> None:
    loop._trampolines = {}
    loop._ready_queue = queue = ReadyQueue(AGING_STEP)
    loop._batch_context = queue.batch_context = context = Context()
    queue.report = loop._report
    below: Any = super(PrioritizedLoop, loop)
    queue.schedule = partial(below.call_soon, queue.run_batch, context=context)
    queue.wake = partial(below.call_soon_threadsafe, queue.run_batch, context=context)
    # Without a context of their own: uvloop copies one in less time than it takes a keyword argument.
    queue.start_at, queue.start_later = below.call_at, below.call_later
    queue.starts_at = isinstance(loop, asyncio.BaseEventLoop)  # whose call_later only calls call_at
    Inheritance(queue)  # which the queue refers to
    record_holders()


def _find_others(loop: Any) -> None:
    """Note the ready queue of asyncio's loops, which runs the handles that are in it when an iteration begins."""
    others = getattr(loop, "_ready", None)
    if loop._ready_queue.starts_at and isinstance(others, deque):
        loop._ready_queue.others = others


def _check(callback: Any, method: str) -> None:
    """Raise the TypeErrors that asyncio's debug mode raises."""
    if asyncio.iscoroutine(callback) or inspect.iscoroutinefunction(callback):
        raise TypeError(f"coroutines cannot be used with {method}()")
    if not callable(callback):
        raise TypeError(f"a callable object was expected by {method}(), got {callback!r}")


PRIORITIZED = LoopChange(prioritized, make_prioritized)
