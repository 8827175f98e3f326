"""Waiting for another thread without missing a signal."""

from __future__ import annotations

import signal
import sys
import threading

__all__ = ["PATIENCE", "tick"]

# How long another thread has to come to an end that was asked for, in seconds.
PATIENCE = 5.0


# Python's signal handlers run in the main thread, and not every signal wakes it while it waits for a lock: not one that
# has come in the instant before, and not one that another thread has received, as the thread that has started a child
# does with SIGCHLD. On Windows none does. So it looks now and then, and oftener where somebody handles SIGCHLD.
SLOW, BRISK = 0.25, 0.02


def tick() -> float | None:
    """Return how long this thread may wait for a lock at a stretch, in seconds; None is without a limit."""
    if threading.current_thread() is not threading.main_thread():
        return None
    if sys.platform != "win32" and callable(signal.getsignal(signal.SIGCHLD)):
        return BRISK
    return SLOW
