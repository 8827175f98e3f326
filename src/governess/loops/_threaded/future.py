"""A coroutine handed over to a loop that runs in another thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from governess.loops._threaded.calls import JOIN_TIMEOUT, signal_poll_interval

if TYPE_CHECKING:
    from governess.loops._threaded.loop import ThreadedLoop

__all__ = ["LoopFuture"]

T = TypeVar("T")


class LoopFuture(concurrent.futures.Future[T]):
    """The future of a coroutine in a loop of another thread; cancelled, it cancels the coroutine.

    To wait for it in the thread of that loop would be to wait for ever, and is a RuntimeError.
    """

    def __init__(
        self,
        loop: ThreadedLoop,
        coroutine: Coroutine[Any, Any, T],
        when_ended: Callable[[LoopFuture[T], BaseException | None], object],
    ) -> None:
        """Prepare to hand over the coroutine; at its end, `when_ended` gets this object and the coroutine's error."""
        super().__init__()
        self._loop = loop
        self._coroutine = coroutine
        self._when_ended = when_ended
        self._task: asyncio.Task[T] | None = None
        self._has_ended = threading.Event()

    def start(self) -> None:
        """Have the loop start the coroutine; asked for again, nothing more happens.

        Raises:
            RuntimeError: the loop is closed.
        """
        try:
            self._loop.call_soon_threadsafe(self._begin)
        except RuntimeError:
            self.fail_closed()
            raise

    def run(self) -> T:
        """Submit the coroutine and return its result; if interrupted, cancel it and wait a few seconds for its end."""
        try:
            self.start()
            while not self._has_ended.wait(signal_poll_interval()):
                pass
        except BaseException:
            self.cancel()
            self.wait_for_end(JOIN_TIMEOUT)
            raise
        try:
            return self.result()
        except concurrent.futures.CancelledError:
            raise asyncio.CancelledError from None

    def wait_for_end(self, timeout: float) -> None:
        """Wait until the coroutine, cancelled or not, has come to its end; at the most `timeout` seconds."""
        self._has_ended.wait(timeout)

    def fail_closed(self) -> None:
        """End without an outcome, since the loop is closed."""
        if not self._has_ended.is_set():
            if self._task is None:
                self._coroutine.close()
            self._end_with_error(RuntimeError(f"{self._loop!r} was closed before the coroutine had come to its end"))

    def cancel(self) -> bool:
        """Cancel the coroutine; return whether it was not done before."""
        was_cancelled = self.cancelled()
        if not super().cancel():
            return False
        if not was_cancelled:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._cancel_task)
        return True

    def result(self, timeout: float | None = None) -> T:
        """Return what the coroutine returns, or raise what it raises."""
        self._refuse_to_wait_here()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the coroutine raises, None if it returns."""
        self._refuse_to_wait_here()
        return super().exception(timeout)

    def _refuse_to_wait_here(self) -> None:
        if not self.done() and self._loop.in_loop_thread:
            raise RuntimeError(
                f"this thread runs {self._loop!r}, and would wait for itself for ever: await the coroutine instead"
            )

    def _begin(self) -> None:
        if self._has_ended.is_set() or self._task is not None:
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
            self._end_with_error(asyncio.CancelledError())
        elif not self.cancelled() and (error := task.exception()) is not None:
            self._end_with_error(error)
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
