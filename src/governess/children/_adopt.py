"""Adoption: the Child of a process that other code has started."""

from __future__ import annotations

import threading

from governess.children import _pidfd, _registry
from governess.children._after_fork import run_after_fork
from governess.children._child import Child
from governess.children._exit import CAN_PEEK, State, peek

__all__ = ["adopt"]


def adopt(pid: int) -> Child:
    """Return the Child with this pid; make a new Child if other code started the process.

    Raises:
        ValueError: `pid` is not positive.
    """
    if pid <= 0:
        raise ValueError(f"a child has a positive pid, not {pid!r}")
    run_after_fork(_unlock)
    with _lock:
        if (known := _registry.get(pid)) is not None and not _has_lost_number(known):
            return known
        child = Child(pid, pidfd=_pidfd.open_pidfd(pid), adopted=True)
    _registry.tell_of_spawn(child)
    return child


_lock = threading.RLock()  # a signal handler or a finalizer may adopt while this very thread does


def _unlock() -> None:
    """In a forked child, replace the lock, which a thread of the parent may hold."""
    global _lock
    _lock = threading.RLock()


def _has_lost_number(child: Child) -> bool:
    """Return whether other code has reaped the child, and another child has its pid by now."""
    with child._lock:
        if child.pidfd is None or child.exit is not None or not CAN_PEEK or child._state() is not State.GONE:
            return False
    try:
        peek(child.pid, None)
    except ChildProcessError:
        return False
    return True
