"""SIGCHLD, taken politely: the handler that was found is called too, and put back at the end.

A watcher never relies on the signal alone. Another library can replace the handler under Python's eyes (uvloop's own
process code does so, for good), or the signal can come in the instant before a loop goes to sleep. So a slow patrol
goes with it, as long as there are children to watch.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["Patrol", "SigchldHandler"]

logger = logging.getLogger("governess")


class SigchldHandler:
    """A handler of SIGCHLD in this process, set in the main thread."""

    def __init__(self, notify: Callable[[], object], loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Call `notify`, which must not block, after each SIGCHLD.

        Args:
            notify: called in the main thread, wherever that is.
            loop: the main thread's loop, which is then woken even if the signal comes before it goes to sleep.

        Raises:
            ValueError: this is not the main thread.
        """
        self._notify = notify
        self._loop = None
        self._before: Any = signal.getsignal(signal.SIGCHLD)
        if loop is not None:
            # uvloop keeps SIGCHLD for itself, and wakes up for every signal anyway.
            with contextlib.suppress(RuntimeError, NotImplementedError):
                loop.add_signal_handler(signal.SIGCHLD, notify)
                self._loop = loop
        signal.signal(signal.SIGCHLD, self._handle)
        signal.siginterrupt(signal.SIGCHLD, False)

    def restore(self) -> bool:
        """Put back the handler that was there before, unless somebody else has set another one meanwhile.

        Returns:
            False if this is not the main thread, which alone can do it.
        """
        if threading.current_thread() is not threading.main_thread():
            logger.warning("SIGCHLD handler can only be put back by the main thread")
            return False
        # A plain asyncio loop that was closed has set the default handler.
        ours = signal.getsignal(signal.SIGCHLD) in (self._handle, signal.SIG_DFL)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_signal_handler(signal.SIGCHLD)
        if ours:
            # None is a handler that was not set by Python, and cannot be set again.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL if self._before is None else self._before)
        else:
            logger.warning("SIGCHLD handler was changed by outside code")
        return True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._notify()
        if callable(self._before):
            self._before(number, frame)


class Patrol:
    """Searches for exited children in one loop: soon after it is called, and now and then by itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop, search: Callable[[], bool], *, interval: float) -> None:
        """Run `search` in the loop; again after `interval` seconds, as long as it returns True."""
        self._loop = weakref.ref(loop)
        self._search: Callable[[], bool] | None = search
        self._interval = interval
        self._called = False
        self._timer: asyncio.TimerHandle | None = None

    def call(self) -> None:
        """Have the search done soon, whichever thread or signal handler asks."""
        loop = self._loop()
        if loop is None or self._called:
            return
        self._called = True
        try:
            loop.call_soon_threadsafe(self._go_round)
        except RuntimeError:  # the loop is closed
            self._called = False

    def stop(self) -> None:
        """Do not search any more; ends the timer soon, whichever thread asks."""
        self._search = None
        self.call()

    def _go_round(self) -> None:
        self._called = False
        more = self._search is not None and self._search()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if more and (loop := self._loop()) is not None:
            self._timer = loop.call_later(self._interval, self._go_round)
