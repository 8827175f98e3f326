"""The thread that owns a loop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from governess.children._after_fork import run_after_fork
from governess.loops._threaded.calls import JOIN_TIMEOUT, CallQueue, LoopFuture, prepare_call, wait_until_set

__all__ = ["LoopThread"]

T = TypeVar("T")

# Seconds that work submitted to a new loop waits for a caller to run the loop.
START_DELAY = 0.1

_ENDS_A_LOOP = (KeyboardInterrupt, SystemExit)

_numbers = itertools.count(1)


class LoopThread:
    """Runs a loop in a thread of its own, in one of two modes: when a caller runs the loop, or continuously.

    The mode is fixed by whichever comes first: a caller runs the loop, or submitted work has waited `START_DELAY`
    seconds. Between two runs by callers the loop does not run, as with ordinary loops: `asyncio.gather` and
    `asyncio.Runner.close` use futures of the loop outside of it, and rely on that.

    Attributes:
        here: the idents of the loop's own thread, and of one that acts for it.
        is_decided: whether the mode is fixed.
        pending: the futures of submitted coroutines, which fail when the loop is closed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start without a thread; the first need starts it."""
        self._loop = weakref.ref(loop, self._loop_is_gone)
        self._process = os.getpid()
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self.here: tuple[int, ...] = ()
        self._job: Callable[[], object] | None = None  # a run by a caller
        self._job_is_done = threading.Event()
        self._is_busy = False  # whether the thread is using the loop: for the job, or else continuously
        self.is_decided = self._runs_continuously = self._is_over = False
        self._work_since: float | None = None
        self._calls = CallQueue()
        self.pending: set[LoopFuture[Any]] = set()
        self._reported: list[BaseException] = []
        self._stop_waiters: set[threading.Event] = set()
        self._has_stopped = False
        run_after_fork(_unlock_all)
        _loop_threads.add(self)

    @property
    def is_here(self) -> bool:
        """Whether the current thread is the loop's own thread, or acts for it."""
        return threading.get_ident() in self.here

    @property
    def runs_continuously(self) -> bool:
        """Whether the loop runs continuously."""
        return self._runs_continuously and not self._is_over

    def note_work(self) -> None:
        """Note that work was submitted to the loop; if the mode is not fixed yet, the thread starts and waits."""
        if self.is_decided or self._work_since is not None or self._is_elsewhere():
            return
        with self._change:
            self._work_since = time.monotonic()
            with contextlib.suppress(RuntimeError):  # no thread can start while the interpreter ends
                self._wake()

    def start(self) -> None:
        """Run the loop continuously from now on."""
        with self._change:
            self._check()
            self.is_decided = self._runs_continuously = True
            self._wake()

    def set_on_demand(self) -> bool:
        """Fix the mode in which callers run the loop; return False if it runs continuously already."""
        with self._change:
            self._check()
            self.is_decided = True
            return not self._runs_continuously

    def run(self, function: Callable[[], T]) -> T:
        """Have the thread call the function, which runs the loop; return its result. An interrupt stops the loop."""
        outcome, job = prepare_call(function)
        # Set when the thread is free again, too: the caller may run the loop once more at once. And unlike
        # concurrent.futures.wait, an interrupt does not leave the locks of an Event locked.
        is_done = threading.Event()
        try:
            with self._change:
                self._check()
                if self._is_busy or self._job is not None:
                    raise RuntimeError("This event loop is already running")
                self._job, self._job_is_done = job, is_done
                self._wake()
            wait_until_set(is_done)
        except BaseException:
            if self._interrupt(job):
                is_done.wait(JOIN_TIMEOUT)
            raise
        try:
            return outcome.result()
        finally:
            del outcome, job  # of this frame, which an error keeps: no garbage is left to be collected

    def call_in_thread(self, function: Callable[[], T]) -> T:
        """Have the thread call the function, which uses the loop; return its result or raise its exception.

        Tasks must be created there: inside a loop, asyncio.all_tasks of 3.14 lists only tasks that its thread created.
        """
        with self._change:
            loop = self._loop()
            if self._is_over or loop is None or self._is_elsewhere():
                return function()
            outcome = self._calls.submit(function)
            self._wake()
            is_busy = self._is_busy
        if is_busy:
            loop.call_soon_threadsafe(self._calls.run_pending)
        try:
            return outcome.result()
        except BaseException:
            outcome.cancel()
            raise
        finally:
            del outcome  # as in `run`

    def remove_pending(self, future: LoopFuture[Any], error: BaseException | None) -> None:
        """Unregister the future of a submitted coroutine, which has ended, perhaps with an error."""
        self.pending.discard(future)
        if isinstance(error, _ENDS_A_LOOP):
            self._reported.append(error)

    def wait_for_stop(self) -> None:
        """Wait until `stop` of the continuously running loop is called, or was called since the last wait."""
        waiter = threading.Event()
        with self._change:
            if self._has_stopped or self._is_over:
                self._has_stopped = False
                return
            self._stop_waiters.add(waiter)
        try:
            wait_until_set(waiter)
        finally:
            self._stop_waiters.discard(waiter)

    def absorb_stop(self) -> bool:
        """Absorb a call of `stop` if the loop runs continuously: waiting callers return, and the loop goes on."""
        with self._change:
            if not self._is_busy or self._job is not None or self._is_over:
                return False
            self._has_stopped = not self._stop_waiters
            self._release_stop_waiters()
            return True

    def begin_end(self) -> None:
        """Ask the loop to stop if it runs continuously; `end` waits for that."""
        with self._change:
            if not self._is_elsewhere():
                self._stop_continuous()

    def end(self, close: Callable[[], object], timeout: float) -> None:
        """Close the loop by `close`, its own method, and end the thread.

        Args:
            close: the method.
            timeout: how many seconds the loop has to stop, and the thread to end.

        Raises:
            RuntimeError: a caller runs the loop; or it runs continuously, and a callback does not return.
        """
        if self._is_elsewhere():
            close()
            return
        deadline = time.monotonic() + timeout
        with self._change:
            if self._stop_continuous() and not self._change.wait_for(lambda: not self._is_busy, timeout):
                text = f"{self._loop()!r} runs in a thread of its own and has not stopped within {JOIN_TIMEOUT:g} s"
                raise RuntimeError(text)
            if self._is_busy:
                raise RuntimeError("Cannot close a running event loop")
            own = self.here
            self.here = (*own, threading.get_ident())  # the thread is idle, or was never needed
            try:
                close()
            finally:
                self.here = own
            self._is_over = True
            self._release_stop_waiters()
            self._change.notify_all()
            pending, self.pending = self.pending, set()
        for future in pending:
            future.fail_closed()
        if self._thread is not None and not self.is_here:
            self._thread.join(max(deadline - time.monotonic(), 0))

    def _interrupt(self, job: Callable[[], object]) -> bool:
        """Stop the loop if it runs this job; return whether it does."""
        with self._change:
            loop = self._loop()
            if self._job is not job or loop is None:
                return False
            if not self._is_busy:
                self._job = None
                return False
        loop.call_soon_threadsafe(loop.stop)
        return True

    def _stop_continuous(self) -> bool:
        """Ask the loop to stop for ever if it runs continuously; return whether it does."""
        if not self._is_busy or self._job is not None:
            return False
        self._is_over = True
        if (loop := self._loop()) is not None:
            with contextlib.suppress(RuntimeError):  # a callback has closed it
                loop.call_soon_threadsafe(loop.stop)
        return True

    def _check(self) -> None:
        if self._is_over:
            raise RuntimeError("Event loop is closed")
        if self._is_elsewhere():
            raise RuntimeError(f"{self._loop()!r} lives in a thread of the process that this one was forked from")

    def _is_elsewhere(self) -> bool:
        return self._process != os.getpid()

    def _wake(self) -> None:
        if self._thread is None and not self._is_over:
            self._thread = threading.Thread(target=self._main, name=f"governess-loop-{next(_numbers)}", daemon=True)
            try:
                self._thread.start()
            except BaseException:
                self._thread = None
                raise
        self._change.notify_all()

    def _loop_is_gone(self, _: object) -> None:
        with self._change:
            self._is_over = True
            self._change.notify_all()

    def _release_stop_waiters(self) -> None:
        for waiter in self._stop_waiters:
            waiter.set()

    # The methods below run in the thread. It references the loop only while it uses it: an idle loop can be collected.

    def _main(self) -> None:
        with self._change:
            self.here = (threading.get_ident(),)
        while (work := self._next()) is not None:
            work()
            del work

    def _next(self) -> Callable[[], object] | None:
        with self._change:
            if self._is_busy:
                self._is_busy = False
                self._job = None
                self._job_is_done.set()
            self._change.notify_all()
            while not self._is_over:
                self._calls.run_pending()
                if self._job is not None:
                    self._is_busy = True
                    return self._job
                if self._runs_continuously:
                    self._is_busy = True
                    return self._run_continuously
                self._change.wait(self._time_to_decide())
            self._calls.run_pending()
            return None

    def _time_to_decide(self) -> float | None:
        if self.is_decided or self._work_since is None:
            return None
        left = self._work_since + START_DELAY - time.monotonic()
        if left <= 0:
            self.is_decided = self._runs_continuously = True
        return max(left, 0)

    def _run_continuously(self) -> None:
        while (loop := self._loop()) is not None and not self._is_over:
            try:
                loop.run_forever()
            except _ENDS_A_LOOP as error:  # they end the caller, but other callers use this loop
                loop.call_soon(self._report, error)  # after the future of the task, if it was a task, is done
            finally:
                del loop

    def _report(self, error: BaseException) -> None:
        reported = error in self._reported
        self._reported.clear()
        if not reported and (loop := self._loop()) is not None:
            loop.call_exception_handler({"message": f"{error!r} does not end {loop!r}", "exception": error})


_loop_threads: weakref.WeakSet[LoopThread] = weakref.WeakSet()


def _unlock_all() -> None:
    """In a forked child, replace locks that may be held by threads of the parent."""
    for loop_thread in list(_loop_threads):
        loop_thread._change = threading.Condition()
