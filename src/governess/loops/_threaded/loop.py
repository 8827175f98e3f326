"""Loop classes whose loops run each in a thread of its own: `threaded` derives one from any loop class."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, cast

from governess.loops._change import LoopChange
from governess.loops._threaded.calls import JOIN_TIMEOUT, LoopFuture, deadlock_error
from governess.loops._threaded.thread import LoopThread

if sys.platform != "win32":
    from governess.loops._watched import WatchedLoop, attach_watcher

if TYPE_CHECKING:
    from asyncio import BaseEventLoop as _Base

    from _typeshed import FileDescriptorLike
else:
    _Base = object

__all__ = ["THREADED", "ThreadedLoop", "make_threaded", "threaded"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
LoopT = TypeVar("LoopT", bound=asyncio.AbstractEventLoop)


class ThreadedLoop(_Base):
    """The mixin of a threaded loop class: calls from other threads are passed to the loop's own thread.

    The mode is fixed by whichever comes first. If a caller runs the loop by `run_until_complete` or `run_forever`, the
    loop runs only during such calls. If `start` is called, or submitted work has waited 0.1 s, the loop runs
    continuously until it is closed; then any number of callers may be in `run_until_complete` and `run_forever`, which
    only wait, and `stop` makes `run_forever` return.
    """

    _loop_thread: LoopThread

    def __init__(self, *args: Any, **options: Any) -> None:
        """Make the loop; arguments are those of the loop class. The thread starts later, when it is needed."""
        self._loop_thread = LoopThread(self)
        super().__init__(*args, **options)

    def start(self) -> None:
        """Run the loop continuously from now on, until it is closed.

        Raises:
            RuntimeError: the loop is closed.
        """
        self._loop_thread.start()

    @property
    def runs_continuously(self) -> bool:
        """Whether the loop runs continuously until it is closed, without a caller that runs it."""
        return self._loop_thread.runs_continuously

    @property
    def in_loop_thread(self) -> bool:
        """Whether this is the loop's own thread."""
        return self._loop_thread.is_here

    def prepare(self, coroutine: Coroutine[Any, Any, T]) -> LoopFuture[T]:
        """Return the future that `submit` returns, not started yet; a caller that is interrupted can cancel it.

        Raises:
            TypeError: the argument is not a coroutine.
        """
        if not asyncio.iscoroutine(coroutine):
            raise TypeError(f"a coroutine is required, not {coroutine!r}")
        thread = self._loop_thread
        future = LoopFuture(self, coroutine, thread.remove_pending)
        thread.pending.add(future)
        return future

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> LoopFuture[T]:
        """Run a coroutine in the loop, in a copy of the caller's context; return its `concurrent.futures.Future`.

        Raises:
            TypeError: the argument is not a coroutine.
            RuntimeError: the loop is closed.
        """
        future = self.prepare(coroutine)
        future.start()
        return future

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop, wait for it, and return its result or raise its exception.

        If the caller is interrupted, the coroutine is cancelled.

        Raises:
            RuntimeError: this is the loop's own thread, which would wait for itself; or the loop is closed.
        """
        if get_ident() in self._loop_thread.here:
            if asyncio.iscoroutine(coroutine):
                coroutine.close()
            raise deadlock_error(self)
        return self.prepare(coroutine).run()

    def run_forever(self) -> None:
        """Run until `stop` is called; if the loop runs continuously, only wait for that."""
        if self._loop_thread.is_here:
            super().run_forever()
            return
        _attach_watcher(self)
        if self._loop_thread.set_on_demand():
            self._loop_thread.run(super().run_forever)
        else:
            self._loop_thread.wait_for_stop()

    def run_until_complete(self, future: Any) -> Any:
        """Run until the future is done and return its result; if the loop runs continuously, only wait for that."""
        if self._loop_thread.is_here:
            return super().run_until_complete(future)
        _attach_watcher(self)
        if self._loop_thread.set_on_demand():
            return self._loop_thread.run(functools.partial(super().run_until_complete, future))
        return self.call(future if asyncio.iscoroutine(future) else _outcome(future))

    def stop(self) -> None:
        """Make `run_forever` return soon."""
        if self._loop_thread.absorb_stop():
            return
        if self._loop_thread.is_here or not self.is_running():
            super().stop()
        else:
            self.call_soon_threadsafe(super().stop)

    def close(self) -> None:
        """Close the loop and end its thread; a loop that runs continuously is stopped first."""
        self.close_within(JOIN_TIMEOUT)

    def close_within(self, timeout: float) -> None:
        """Do what `close` does, within `timeout` seconds.

        Raises:
            RuntimeError: a caller runs the loop; or it runs continuously, and a callback does not return.
        """
        if self._loop_thread.is_here:
            super().close()
        else:
            self._loop_thread.end(super().close, timeout)

    def begin_close(self) -> None:
        """Ask a loop that runs continuously to stop, and do not wait for it; `close` must follow."""
        self._loop_thread.begin_end()

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call the callback in the loop's thread."""
        handle = super().call_soon_threadsafe(callback, *args, context=context)
        thread = self._loop_thread
        if not thread.is_decided and get_ident() not in thread.here:
            thread.note_work()
        return handle

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call the callback in the loop's thread."""
        if get_ident() in self._loop_thread.here:  # not by `is_here`: each step of each task comes here
            return super().call_soon(callback, *args, context=context)
        return self.call_soon_threadsafe(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call the callback in the loop's thread at the time `when`."""
        return self._do(functools.partial(super().call_at, when, callback, *args, context=context))

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call the callback in the loop's thread after `delay` seconds."""
        return self._do(functools.partial(super().call_later, delay, callback, *args, context=context))

    def create_task(  # type: ignore[override]  # each version has another option more
        self, coroutine: Coroutine[Any, Any, T], **options: Any
    ) -> asyncio.Task[T]:
        """Run the coroutine as a task in the loop's thread; a task created in another thread never starts eagerly."""
        if get_ident() in self._loop_thread.here:
            return super().create_task(coroutine, **options)
        options.pop("eager_start", None)
        make: Callable[[], Any] = functools.partial(super().create_task, coroutine, **options)
        return cast("asyncio.Task[T]", self._do(make))

    def add_reader(self, fd: FileDescriptorLike, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Call the callback in the loop's thread when the descriptor is readable."""
        self._do(functools.partial(super().add_reader, fd, callback, *args))

    def remove_reader(self, fd: FileDescriptorLike) -> bool:
        """Stop watching the descriptor for reading."""
        return self._do(functools.partial(super().remove_reader, fd))

    def add_writer(self, fd: FileDescriptorLike, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Call the callback in the loop's thread when the descriptor is writable."""
        self._do(functools.partial(super().add_writer, fd, callback, *args))

    def remove_writer(self, fd: FileDescriptorLike) -> bool:
        """Stop watching the descriptor for writing."""
        return self._do(functools.partial(super().remove_writer, fd))

    def add_signal_handler(self, sig: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Raise NotImplementedError: signal handlers run in the main thread.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            "Python handles signals in the main thread, and this loop runs in a thread of its own: use signal.signal() "
            "with a handler that calls loop.call_soon_threadsafe()"
        )

    def _do(self, function: Callable[[], T]) -> T:
        if get_ident() in self._loop_thread.here:
            return function()
        result = self._loop_thread.call_in_thread(function)
        self._loop_thread.note_work()
        return result


def threaded(loop_class: type[LoopT]) -> type[LoopT]:
    """Return a subclass of the loop class; each of its loops runs in a thread of its own.

    Args:
        loop_class: any class with asyncio's public methods; a threaded class is returned unchanged.
    """
    return loop_class if issubclass(loop_class, ThreadedLoop) else _threaded(loop_class)  # type: ignore[arg-type]


def make_threaded(loop: asyncio.AbstractEventLoop) -> ThreadedLoop:
    """Change the class of an existing loop to its `threaded` class; return the loop.

    Raises:
        TypeError: the class of the loop cannot be changed, as with some classes written in C.
    """
    if not isinstance(loop, ThreadedLoop):
        loop.__class__ = threaded(type(loop))
        assert isinstance(loop, ThreadedLoop)
        loop._loop_thread = LoopThread(loop)
    return loop


@functools.cache
def _threaded(loop_class: type[Any]) -> type[Any]:
    namespace = {"__module__": __name__, "__doc__": f"{loop_class.__qualname__} in a thread of its own."}
    return type(loop_class.__name__, (ThreadedLoop, loop_class), namespace)


def _attach_watcher(loop: asyncio.AbstractEventLoop) -> None:
    """Attach the policy's watcher, as an ordinary loop does when it is run in the main thread."""
    if sys.platform != "win32" and isinstance(loop, WatchedLoop):
        attach_watcher(loop)


async def _outcome(future: Awaitable[T]) -> T:
    return await future


THREADED = LoopChange(threaded, make_threaded)
