"""Looking at processes that may be no children, and ending what a library has left behind."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterable
from pathlib import Path

__all__ = ["end", "ended_within", "is_alive", "own_children"]


def is_alive(pid: int) -> bool:
    """Return whether there is such a process that is no zombie."""
    return not ended_within(pid, 0)


def ended_within(pid: int, seconds: float) -> bool:
    """Wait, with the loop standing still, until the process has ended, reaped or not; False if it took too long."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        return bool(poller.poll(seconds * 1000))
    finally:
        os.close(descriptor)


def own_children() -> set[int]:
    """Return the children of this process, dead ones too."""
    found: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            found.update(map(int, task.read_text().split()))
    return found


def end(pids: Iterable[int]) -> None:
    """Kill the processes, and reap those of them that are children nobody else reaps."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
