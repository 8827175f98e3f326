"""Calls of coroutines and functions in the thread of a loop, and waiting for their results."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # its getsignal() takes 0.1 µs; that of `signal` makes enums, in 3 µs
import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from governess.loops._threaded.loop import ThreadedLoop

__all__ = ["JOIN_TIMEOUT", "CallQueue", "LoopFuture", "deadlock_error", "prepare_call", "wait_until_set"]

T = TypeVar("T")

# Seconds that another thread has to end after it was asked to.
JOIN_TIMEOUT = 5.0


class Latch:
    """An event that is set once, made of one lock: it takes half the time of a `threading.Event`.

    Attributes:
        is_set: whether it is.
    """

    __slots__ = ("_lock", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Let all waiting threads go on."""
        if not self.is_set:
            self.is_set = True
            self._lock.release()

    def wait(self, timeout: float | None) -> bool:
        """Wait at most `timeout` seconds; return whether it is set."""
        if not self.is_set and self._lock.acquire(True, -1 if timeout is None else timeout):
            self._lock.release()  # for the next thread
        return self.is_set


class LoopFuture(concurrent.futures.Future[T]):
    """The future of a coroutine in the loop of another thread; to cancel the future cancels the coroutine.

    `result` and `exception` raise RuntimeError in the thread of that loop, where they would wait for ever.
    """

    def __init__(
        self,
        loop: ThreadedLoop,
        coroutine: Coroutine[Any, Any, T],
        when_ended: Callable[[LoopFuture[T], BaseException | None], object],
    ) -> None:
        """Store the coroutine; when it has ended, `when_ended` is called with this future and the coroutine's error."""
        super().__init__()
        self._loop = loop
        self._coroutine = coroutine
        self._when_ended = when_ended
        self._task: asyncio.Task[T] | None = None
        self._is_cancelled = self._is_run = False
        self._results: tuple[T] | None = None  # of a coroutine that `run` has started
        self._has_ended = Latch()

    def start(self) -> None:
        """Have the loop start the coroutine; a second call does nothing.

        Raises:
            RuntimeError: the loop is closed.
        """
        try:
            self._loop.call_soon_threadsafe(self._begin)
        except RuntimeError:
            self.fail_closed()
            raise

    def run(self) -> T:
        """Start the coroutine and return its result. An interrupt cancels it, and waits a few seconds for its end.

        No other caller waits for this future, so a result does not go through the locks of `concurrent.futures`.
        """
        self._is_run = True
        interval = signal_poll_interval()  # before the start, after which the loop's thread wants to have the GIL
        try:
            self.start()
            while not self._has_ended.wait(interval):
                interval = signal_poll_interval()
        except BaseException:
            self.cancel()
            self.wait_for_end(JOIN_TIMEOUT)
            raise
        if self._results is not None:
            return self._results[0]
        try:
            return super().result()
        except concurrent.futures.CancelledError:
            raise asyncio.CancelledError from None
        finally:
            del self  # of this frame, which the error keeps: no garbage is left to be collected

    def wait_for_end(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until the coroutine, cancelled or not, has ended."""
        self._has_ended.wait(timeout)

    def fail_closed(self) -> None:
        """Fail with RuntimeError, because the loop is closed."""
        if not self._has_ended.is_set:
            if self._task is None:
                self._coroutine.close()
            self._end_with_error(RuntimeError(f"{self._loop!r} was closed before the coroutine had come to its end"))

    def cancel(self) -> bool:
        """Cancel the coroutine; return False if it is done already."""
        was_cancelled = self.cancelled()
        if not super().cancel():
            return False
        self._is_cancelled = True
        if not was_cancelled:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._cancel_task)
        return True

    def result(self, timeout: float | None = None) -> T:
        """Return what the coroutine returns, or raise what it raises."""
        self._refuse_to_wait_here()
        try:
            return super().result(timeout)
        finally:
            del self  # as in `run`

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the exception of the coroutine; None if it returns a result."""
        self._refuse_to_wait_here()
        return super().exception(timeout)

    def _refuse_to_wait_here(self) -> None:
        if not self.done() and self._loop.in_loop_thread:
            raise deadlock_error(self._loop)

    def _begin(self) -> None:
        if self._has_ended.is_set or self._task is not None:
            return
        if self.cancelled():
            self.fail_closed()
            return
        try:
            self._task = self._loop.create_task(self._coroutine)
        except Exception as error:  # a task factory is free to raise
            self._coroutine.close()
            self._end_with_error(error)
        else:
            self._task.add_done_callback(self._take_outcome)

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _take_outcome(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            super().cancel()
            self._is_cancelled = True
            self._end_with_error(asyncio.CancelledError())
        elif not self._is_cancelled and (error := task.exception()) is not None:
            self._end_with_error(error)
        elif self._is_run and not self._is_cancelled:
            self._results = (task.result(),)
            self._end()
        else:
            if self.set_running_or_notify_cancel():
                self.set_result(task.result())
            self._end()

    def _end_with_error(self, error: BaseException) -> None:
        if self.set_running_or_notify_cancel():
            self.set_exception(error)
        self._end(error)

    def _end(self, error: BaseException | None = None) -> None:
        self._has_ended.set()
        self._when_ended(self, error)


def deadlock_error(loop: ThreadedLoop) -> RuntimeError:
    """Return the error of a thread that would wait for a coroutine in the loop that it runs itself."""
    return RuntimeError(f"this thread runs {loop!r}, and would wait for itself for ever: await the coroutine instead")


class CallQueue:
    """Calls that wait to be run, in the order of their submission."""

    def __init__(self) -> None:
        self._pending: deque[Callable[[], None]] = deque()

    def submit(self, function: Callable[[], T]) -> concurrent.futures.Future[T]:
        """Queue the call of a function; return the future of its result."""
        outcome, call = prepare_call(function)
        self._pending.append(call)
        return outcome

    def run_pending(self) -> None:
        """Run all queued calls, except cancelled ones."""
        while self._pending:
            self._pending.popleft()()


def prepare_call(function: Callable[[], T]) -> tuple[concurrent.futures.Future[T], Callable[[], None]]:
    """Return the future of a function's result, and what calls the function, in a copy of this context."""
    outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
    return outcome, functools.partial(_complete, outcome, functools.partial(contextvars.copy_context().run, function))


def _complete(outcome: concurrent.futures.Future[T], function: Callable[[], T]) -> None:
    """Call the function, unless the future is cancelled; set the future's result or exception."""
    if not outcome.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:
        outcome.set_exception(error)
    else:
        outcome.set_result(result)
    finally:
        del outcome  # of this frame, which the error keeps: no garbage is left to be collected


# Python's signal handlers run in the main thread. A signal does not wake that thread from waiting for a lock if it
# arrived just before the wait, or if another thread received it, as the thread that starts a child receives SIGCHLD.
# On Windows no signal does. So the wait is split into intervals, which are shorter if SIGCHLD has a handler.
SLOW, FAST = 0.25, 0.02


def signal_poll_interval() -> float | None:
    """Return for how many seconds this thread may wait for a lock at a time; None means no limit."""
    if threading.current_thread() is not threading.main_thread():
        return None
    if sys.platform != "win32" and callable(_signal.getsignal(signal.SIGCHLD)):
        return FAST
    return SLOW


def wait_until_set(event: threading.Event) -> None:
    """Wait for an event that another thread sets; Python's signal handlers run meanwhile."""
    while not event.wait(signal_poll_interval()):
        pass
