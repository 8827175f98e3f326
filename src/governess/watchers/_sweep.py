"""SIGCHLD, taken politely: the handler that was found is called too, and put back at the end.

A watcher never relies on the signal alone. Another library can replace the handler under Python's eyes (uvloop's own
process code does so, for good), or the signal can come in the instant before a loop goes to sleep. So a slow sweeper
goes with it, as long as there are children to watch.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import signal
import threading
import time
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

from governess.children._after_fork import run_after_fork

__all__ = ["SigchldHandler", "Sweeper", "found_handler"]


class SigchldHandler:
    """A request to be notified of each SIGCHLD in this process; all requests share one signal handler."""

    def __init__(self, notify: Callable[[], object]) -> None:
        """Call `notify`, which must not block, in the main thread after each SIGCHLD.

        Raises:
            ValueError: this is not the main thread.
        """
        self._notify = notify
        _dispatcher.add(notify)

    def restore(self) -> bool:
        """Take the request back; the last one puts back the handler that the first one found.

        Returns:
            False if other code has set another handler meanwhile, which stays.
        """
        return _dispatcher.remove(self._notify)


class _Dispatcher:
    """The shared handler of SIGCHLD, installed while there are requests; it also calls the handler that it replaced."""

    def __init__(self) -> None:
        self._notifies: tuple[Callable[[], object], ...] = ()
        self.before: Any = None
        self._is_handling = False

    def add(self, notify: Callable[[], object]) -> None:
        # Also where the handler is set already: only the main thread can put the one before back.
        if threading.current_thread() is not threading.main_thread():
            raise ValueError("SIGCHLD can be asked for in the main thread only")
        found = signal.getsignal(signal.SIGCHLD)
        if found != self._handle:
            signal.signal(signal.SIGCHLD, self._handle)
            signal.siginterrupt(signal.SIGCHLD, False)
            self.before = found
        run_after_fork(_forget_all)
        # A signal during the interpreter's last moments, when it has dropped the handler, makes it complain.
        atexit.unregister(_forget_all)
        atexit.register(_forget_all)
        self._notifies += (notify,)

    def remove(self, notify: Callable[[], object]) -> bool:
        was_there = notify in self._notifies
        self._notifies = tuple(other for other in self._notifies if other != notify)
        if self._notifies:
            return True
        if signal.getsignal(signal.SIGCHLD) != self._handle:
            return not was_there
        # ValueError: only the main thread can. Until it asks, the handler stays, and only calls the one before.
        with contextlib.suppress(ValueError):
            # None is a handler that was not set by Python, and cannot be set again.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL if self.before is None else self.before)
        return True

    def forget(self) -> None:
        for notify in self._notifies:
            self.remove(notify)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        for notify in self._notifies:
            notify()
        # A handler that was set over this one, and calls it, may be the one that this one has found later.
        if callable(self.before) and not self._is_handling:
            self._is_handling = True
            try:
                self.before(number, frame)
            finally:
                self._is_handling = False


_dispatcher = _Dispatcher()


def found_handler() -> Any:
    """Return the handler of SIGCHLD that the shared one has replaced, and calls."""
    before = _dispatcher.before
    return signal.SIG_DFL if before is None else before


def _forget_all() -> None:
    _dispatcher.forget()


# How often a sweeper goes by itself, in seconds: where the signals come in time, and where they have come too late.
SLOW, FAST = 0.5, 0.02
# How much of the time it may take.
SHARE = 0.05


class Sweeper:
    """Searches for exited children in one loop: soon after it is called, and now and then by itself.

    Linux gives SIGCHLD to any thread that does not block it, the main thread or another, and stays with that one
    (`complete_signal` in kernel/signal.c). If it is another, Python's handler runs when the main thread wakes up for
    some other reason. A sweeper that finds, by itself, what no signal has told of in time goes more often from then on,
    and less often again with each signal that comes in time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, search: Callable[[], int], *, interval: float) -> None:
        """Run `search` in the loop, and again after `interval` seconds as long as it returns that children are left."""
        self._loop = weakref.ref(loop)
        self._search: Callable[[], int] | None = search
        self._slow = self._interval = interval
        self._left = 0
        self._called = False
        self._signalled = False
        self._timer: asyncio.TimerHandle | None = None

    def call(self) -> None:
        """Have the search done soon, whichever thread or signal handler asks."""
        loop = self._loop()
        if loop is None or self._called:
            return
        try:
            self._called = True
            loop.call_soon_threadsafe(self._sweep)
        except RuntimeError:  # the loop is closed
            self._called = False
        except BaseException:  # KeyboardInterrupt, in a signal handler
            self._called = False
            raise

    def note_signal(self) -> None:
        """Have the search done soon, since SIGCHLD has come."""
        self._signalled = True
        self.call()

    def stop(self) -> None:
        """Do not search any more; ends the timer soon, whichever thread asks."""
        self._search = None
        self.call()

    def _sweep(self) -> None:
        loop, search = self._loop(), self._search
        by_itself = self._is_due(loop)
        signalled, self._called, self._signalled = self._signalled, False, False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if loop is None or search is None:
            return
        before, began, self._left = self._left, time.perf_counter(), 1
        try:
            self._left = search()
        finally:  # a callback may raise KeyboardInterrupt
            if by_itself and self._left < before:
                self._interval = min(self._slow, max(FAST, (time.perf_counter() - began) / SHARE))
            elif signalled:  # in time, if perhaps because the loop was awake just then
                self._interval = min(self._slow, self._interval * 2)
            if self._left and not loop.is_closed():
                self._timer = loop.call_later(self._interval, self._sweep)

    def _is_due(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Return whether this is the timer's sweeper, although a signal may have come as the loop woke up for it."""
        # Loops round their clock to a millisecond.
        return loop is not None and self._timer is not None and self._timer.when() <= loop.time() + 0.001
