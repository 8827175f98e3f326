"""The thread that a loop lives in."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from governess.children.fork import in_forked_child
from governess.loops.errands import Errands, fulfil
from governess.loops.submitted import Submitted
from governess.loops.waiting import PATIENCE, tick

__all__ = ["Host"]

T = TypeVar("T")

# How long what is handed to a new loop waits for somebody to run the loop, in seconds.
MOMENT = 0.1

_ENDS_A_LOOP = (KeyboardInterrupt, SystemExit)

_numbers = itertools.count(1)


class Host:
    """Runs a loop in a thread of its own: either when somebody outside runs the loop, or always, from one day on.

    Which of both is decided once, by what comes first: somebody runs the loop, or something handed to it has waited for
    a moment. Between two runs by somebody else the loop stands still, as ordinary loops do: `asyncio.gather` and
    `asyncio.Runner.close`, which put futures together outside, rely on it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start without a thread, which begins on the first need."""
        self._loop = weakref.ref(loop, self._let_go)
        self._process = os.getpid()
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stand_in: int | None = None
        self._job: Callable[[], object] | None = None
        self._works = False  # the thread is with the loop
        self._works_loose = False
        self._is_decided = self._is_loose = self._is_over = False
        self._handed_at: float | None = None
        self._errands = Errands()
        self._guests: set[Submitted[Any]] = set()
        self._told: list[BaseException] = []
        self._visitors: set[threading.Event] = set()
        self._has_stopped = False
        in_forked_child(_unlock_all)
        _hosts.add(self)

    @property
    def is_here(self) -> bool:
        """Whether this is the loop's own thread, or stands in for it."""
        here = threading.get_ident()
        return here == self._stand_in or (self._thread is not None and self._thread.ident == here)

    @property
    def is_loose(self) -> bool:
        """Whether the loop runs by itself."""
        return self._is_loose and not self._is_over

    def note_handed(self) -> None:
        """Know that something was handed to the loop, which may be a new one."""
        if self._is_decided or self._handed_at is not None or self._is_elsewhere():
            return
        with self._change:
            self._handed_at = time.monotonic()
            with contextlib.suppress(RuntimeError):  # no thread can start while the interpreter ends
                self._wake()

    def start(self) -> None:
        """Let the loop run by itself from now on."""
        with self._change:
            self._check()
            self._is_decided = self._is_loose = True
            self._wake()

    def claim(self) -> bool:
        """Let others decide when the loop runs; return False if it runs by itself already."""
        with self._change:
            self._check()
            self._is_decided = True
            return not self._is_loose

    def run(self, function: Callable[[], T]) -> T:
        """Call the function, which runs the loop, in the thread; return or raise what it does.

        Interrupted, it stops the loop.
        """
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        is_done = threading.Event()  # unlike concurrent.futures.wait, an interrupt does not leave its locks locked
        context = contextvars.copy_context()

        def job() -> None:
            fulfil(outcome, functools.partial(context.run, function))
            is_done.set()

        try:
            with self._change:
                self._check()
                if self._works or self._job is not None:
                    raise RuntimeError("This event loop is already running")
                self._job = job
                self._wake()
            while not is_done.wait(tick()):
                pass
        except BaseException:
            if self._interrupt(job):
                is_done.wait(PATIENCE)
            raise
        return outcome.result()

    def perform(self, function: Callable[[], T]) -> T:
        """Call the function, which does something to the loop, in the thread; return or raise what it does.

        For a task it matters: asyncio.all_tasks of 3.14 sees, inside a loop, only those made in its thread.
        """
        with self._change:
            loop = self._loop()
            if self._is_over or loop is None or self._is_elsewhere():
                return function()
            outcome = self._errands.ask(function)
            self._wake()
            works = self._works
        if works:
            loop.call_soon_threadsafe(self._errands.do)
        try:
            return outcome.result()
        except BaseException:
            outcome.cancel()
            raise

    def add_guest(self, guest: Submitted[Any]) -> None:
        """Keep a submitted coroutine, so that nobody waits for it any more when the loop is closed."""
        self._guests.add(guest)

    def remove_guest(self, guest: Submitted[Any], error: BaseException | None) -> None:
        """Forget a submitted coroutine, which has ended, perhaps with an error, and has told its caller."""
        self._guests.discard(guest)
        if isinstance(error, _ENDS_A_LOOP):
            self._told.append(error)

    def wait_for_stop(self) -> None:
        """Wait until somebody stops the loop, which runs by itself; also if that was since the last time."""
        visitor = threading.Event()
        with self._change:
            if self._has_stopped or self._is_over:
                self._has_stopped = False
                return
            self._visitors.add(visitor)
        try:
            while not visitor.wait(tick()):
                pass
        finally:
            self._visitors.discard(visitor)

    def takes_stop(self) -> bool:
        """Take a request to stop a loop that runs by itself: who waits for it waits no more, and the loop runs on."""
        with self._change:
            if not self._works_loose or self._is_over:
                return False
            self._has_stopped = not self._visitors
            self._dismiss_visitors()
            return True

    def end(self, close: Callable[[], object]) -> None:
        """Close the loop by `close`, its own method, and end the thread.

        Raises:
            RuntimeError: somebody else runs the loop; or it runs by itself, in a callback that does not return.
        """
        if self._is_elsewhere():
            close()
            return
        with self._change:
            if self._works_loose:
                self._is_over = True
                self._stop_loose()
            if self._works:
                raise RuntimeError("Cannot close a running event loop")
            self._stand_in = threading.get_ident()  # the thread is idle, or was never needed
            try:
                close()
            finally:
                self._stand_in = None
            self._is_over = True
            self._dismiss_visitors()
            self._change.notify_all()
            guests, self._guests = self._guests, set()
        for guest in guests:
            guest.abandon()
        if self._thread is not None and not self.is_here:
            self._thread.join(PATIENCE)

    def _interrupt(self, job: Callable[[], object]) -> bool:
        """Stop the loop, if it runs because of this job; return whether it does."""
        with self._change:
            loop = self._loop()
            if self._job is not job or loop is None:
                return False
            if not self._works:
                self._job = None
                return False
        loop.call_soon_threadsafe(loop.stop)
        return True

    def _stop_loose(self) -> None:
        loop = self._loop()
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # closed by what ran in it
                loop.call_soon_threadsafe(loop.stop)
        if not self._change.wait_for(lambda: not self._works, PATIENCE):
            raise RuntimeError(f"{loop!r} runs in a thread of its own and has not stopped within {PATIENCE:g} s")

    def _check(self) -> None:
        if self._is_over:
            raise RuntimeError("Event loop is closed")
        if self._is_elsewhere():
            raise RuntimeError(f"{self._loop()!r} lives in a thread of the process that this one was forked from")

    def _is_elsewhere(self) -> bool:
        return self._process != os.getpid()

    def _wake(self) -> None:
        if self._thread is None and not self._is_over:
            self._thread = threading.Thread(target=self._live, name=f"governess-loop-{next(_numbers)}", daemon=True)
            try:
                self._thread.start()
            except BaseException:
                self._thread = None
                raise
        self._change.notify_all()

    def _let_go(self, _: object) -> None:
        with self._change:
            self._is_over = True
            self._change.notify_all()

    def _dismiss_visitors(self) -> None:
        for visitor in self._visitors:
            visitor.set()

    # What follows runs in the thread, which knows the loop only while it is with it: an idle loop can be garbage.

    def _live(self) -> None:
        while (work := self._next()) is not None:
            work()
            del work

    def _next(self) -> Callable[[], object] | None:
        with self._change:
            if self._works:
                self._works = self._works_loose = False
                self._job = None
            self._change.notify_all()
            while not self._is_over:
                self._errands.do()
                if self._job is not None:
                    self._works = True
                    return self._job
                if self._is_loose:
                    self._works = self._works_loose = True
                    return self._run_loose
                self._change.wait(self._time_to_decide())
            self._errands.do()
            return None

    def _time_to_decide(self) -> float | None:
        if self._is_decided or self._handed_at is None:
            return None
        left = self._handed_at + MOMENT - time.monotonic()
        if left <= 0:
            self._is_decided = self._is_loose = True
        return max(left, 0)

    def _run_loose(self) -> None:
        while (loop := self._loop()) is not None and not self._is_over:
            try:
                loop.run_forever()
            except _ENDS_A_LOOP as error:  # others use this loop
                loop.call_soon(self._report, error)  # when who waits for the task, if it was a task, has been told
            finally:
                del loop

    def _report(self, error: BaseException) -> None:
        told = error in self._told
        self._told.clear()
        if not told and (loop := self._loop()) is not None:
            loop.call_exception_handler({"message": f"{error!r} does not end {loop!r}", "exception": error})


_hosts: weakref.WeakSet[Host] = weakref.WeakSet()


def _unlock_all() -> None:
    """Free, in a forked child, what threads had locked that are not there."""
    for host in list(_hosts):
        host._change = threading.Condition()
