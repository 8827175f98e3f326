"""A watcher with a thread for each child: it works everywhere, and needs neither signals nor pidfds."""

from __future__ import annotations

import functools
import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from governess.children import _registry
from governess.children._adopt import adopt
from governess.children._child import Child
from governess.children._exit import Exit
from governess.children._per_loop import running_loop
from governess.children._reaper import reap_later
from governess.watchers._base import ChildWatcher

__all__ = ["ThreadedChildWatcher", "wait_in_thread"]

logger = logging.getLogger("governess")

# How long close() waits for the threads whose children are over, in seconds.
JOIN_TIMEOUT = 1.0


class ThreadedChildWatcher(ChildWatcher):
    """Waits for each child in a separate thread.

    The watcher serves the loops of all threads, without SIGCHLD. An exit costs O(1); a living child costs a thread.
    """

    def __init__(self) -> None:
        """Start with no child to watch."""
        super().__init__()
        # By pid, as in asyncio, whose own tests join them.
        self._threads: weakref.WeakValueDictionary[int, threading.Thread] = weakref.WeakValueDictionary()

    def close(self) -> None:
        """Wait at most one second for the threads whose children have exited.

        The threads of living children keep running, and call the handlers after the exits.
        """
        deadline = time.monotonic() + JOIN_TIMEOUT
        with self._lock:
            threads = list(self._threads.items())
        for pid, thread in threads:
            if _registry.get(pid) is None and thread is not threading.current_thread():
                thread.join(max(0, deadline - time.monotonic()))

    def _watch(self, child: Child) -> None:
        if self._has_own_verbs:
            self._wait_by_own_verb(child)
            return
        thread = wait_in_thread(child)
        if thread is not None:
            with self._lock:
                self._threads[child.pid] = thread

    def _wait_by_own_verb(self, child: Child) -> None:
        """Have a subclass's own `_do_waitpid` wait in the thread, with asyncio's arguments."""
        report = functools.partial(_report, child)
        name = f"governess-waitpid-{child.pid}"
        args = (running_loop(), child.pid, report, self._handlers[child.pid].args)
        thread = threading.Thread(target=self._do_waitpid, args=args, name=name, daemon=True)
        self._threads[child.pid] = thread
        thread.start()

    def _do_waitpid(self, loop: Any, expected_pid: int, callback: Callable[..., object], args: Sequence[Any]) -> None:
        """Wait for the child, reap it, and call back in the loop, as asyncio's method does."""
        child = adopt(expected_pid)
        while (exit := child.reap()) is None:
            child.wait_for_exit()
        if loop is None or loop.is_closed():
            logger.warning("Loop %s that handles pid %d is closed", repr(loop), expected_pid)
        else:
            loop.call_soon_threadsafe(callback, expected_pid, exit, *args)


def _report(child: Child, pid: int, returncode: int, *args: object) -> None:
    child.set_exit(returncode if isinstance(returncode, Exit) else Exit(returncode))


def wait_in_thread(child: Child) -> threading.Thread | None:
    """Wait for the child's exit in a thread, and reap it; without a thread to be had, leave that to the reaper.

    Raises:
        RuntimeError: the reaper has no thread either.
    """
    thread = threading.Thread(target=_wait_and_reap, args=(child,), name=f"governess-waitpid-{child.pid}", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # can't start new thread
        if not reap_later(child):
            raise
        return None
    return thread


def _wait_and_reap(child: Child) -> None:
    try:
        while child.reap() is None and not child.owned_elsewhere():
            child.wait_for_exit()
    except BaseException:
        reap_later(child)  # which continues after errors, so that no caller waits for the child for ever
        raise
