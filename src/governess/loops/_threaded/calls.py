"""A queue of calls that one thread runs for others, and waiting for their results without missing a signal."""

from __future__ import annotations

import concurrent.futures
import contextvars
import functools
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["JOIN_TIMEOUT", "CallQueue", "complete", "signal_poll_interval"]


# Seconds that another thread has to end after it was asked to.
JOIN_TIMEOUT = 5.0


# Python's signal handlers run in the main thread. Not every signal wakes that thread while it waits for a lock: one
# that came just before the wait does not, nor one that another thread has received, as the thread that starts a child
# does with SIGCHLD. On Windows none does. So the wait wakes up at intervals, shorter ones where SIGCHLD has a
# handler.
SLOW, FAST = 0.25, 0.02


def signal_poll_interval() -> float | None:
    """Return how many seconds this thread may wait for a lock at a time; None means without a limit."""
    if threading.current_thread() is not threading.main_thread():
        return None
    if sys.platform != "win32" and callable(signal.getsignal(signal.SIGCHLD)):
        return FAST
    return SLOW


T = TypeVar("T")


class CallQueue:
    """What is still to be called, in the order in which it was asked for."""

    def __init__(self) -> None:
        self._pending: deque[tuple[concurrent.futures.Future[Any], Callable[[], Any]]] = deque()

    def submit(self, function: Callable[[], T]) -> concurrent.futures.Future[T]:
        """Queue the call of a function, in a copy of the caller's context; return the future of its result."""
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._pending.append((outcome, functools.partial(contextvars.copy_context().run, function)))
        return outcome

    def run_pending(self) -> None:
        """Call all of them, but those that were cancelled meanwhile."""
        while self._pending:
            outcome, function = self._pending.popleft()
            if outcome.set_running_or_notify_cancel():
                complete(outcome, function)


def complete(outcome: concurrent.futures.Future[T], function: Callable[[], T]) -> None:
    """Let the future be what the function returns or raises."""
    try:
        result = function()
    except BaseException as error:
        outcome.set_exception(error)
    else:
        outcome.set_result(result)
