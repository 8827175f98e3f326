"""Waiting for another thread without missing a signal."""

from __future__ import annotations

import signal
import sys
import threading

__all__ = ["PATIENCE", "tick"]

# How long another thread has to come to an end that was asked for, in seconds.
PATIENCE = 5.0


def tick() -> float | None:
    """Return how long this thread may wait for a lock at a stretch, in seconds; None is without a limit.

    Python's signal handlers run in the main thread, and a signal that another thread has received does not wake it:
    SIGCHLD goes to the thread that has started the child. On Windows no signal wakes a thread that waits for a lock.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    if sys.platform == "win32":
        return 0.1
    return 0.02 if callable(signal.getsignal(signal.SIGCHLD)) else None
