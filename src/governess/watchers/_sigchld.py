"""Watchers that work through SIGCHLD and one loop, that of the main thread."""

from __future__ import annotations

import asyncio
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import TypeVarTuple

from governess.children._child import Child
from governess.children._per_loop import CloseHook, when_closed
from governess.children._reaper import reap_later
from governess.watchers import _sweep
from governess.watchers._base import ChildWatcher
from governess.watchers._sweep import SigchldHandler, Sweeper

__all__ = ["SafeChildWatcher", "SigchldChildWatcher"]

Ts = TypeVarTuple("Ts")


class SigchldChildWatcher(ChildWatcher):
    """Searches for exited children in the loop it is attached to, when SIGCHLD comes.

    Other threads' loops can use it while that loop runs in the main thread.
    """

    def __init__(self) -> None:
        """Start without a loop, and so inactive."""
        super().__init__()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweeper: Sweeper | None = None
        self._sigchld: SigchldHandler | None = None
        self._end: CloseHook | None = None

    def is_active(self) -> bool:
        """Return whether the watcher has a loop and that loop runs."""
        loop = self._loop
        return loop is not None and loop.is_running()

    def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Work through `loop` from here on; None leaves the loop, and with children still to watch that warns.

        Raises:
            TypeError: `loop` is no event loop.
            RuntimeError: this is not the main thread, where alone signals are handled.
        """
        if loop is not None and not isinstance(loop, asyncio.AbstractEventLoop):
            raise TypeError(f"a child watcher attaches to an event loop or None, not to {loop!r}")
        if loop is not None and threading.current_thread() is not threading.main_thread():
            raise RuntimeError(f"{type(self).__name__} works through SIGCHLD: attach its loop in the main thread")
        if loop is self._loop:
            return
        if loop is None and self._handlers:
            warnings.warn(
                "A loop is being detached from a child watcher with pending handlers", RuntimeWarning, stacklevel=2
            )
        self._leave_loop()
        if loop is not None:
            self._enter_loop(loop)

    def close(self) -> None:
        """Leave the loop, and put back the SIGCHLD handler. Children that still live are passed on to the reaper."""
        super().close()
        self._leave_loop()

    def add_child_handler(self, pid: int, callback: Callable[[int, int, *Ts], object], *args: *Ts) -> None:
        """Call ``callback(pid, returncode, *args)`` once when the child `pid` has exited.

        Raises:
            RuntimeError: no loop is attached.
        """
        if self._loop is None:
            raise RuntimeError("Cannot add child handler, the child watcher does not have a loop attached")
        super().add_child_handler(pid, callback, *args)

    def _search(self) -> int:
        """Reap the children that have exited; return how many are left."""
        raise NotImplementedError

    def _watch(self, child: Child) -> None:
        if self._sweeper is not None:
            self._sweeper.call()
        else:
            reap_later(child)

    def _enter_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._sweeper = sweeper = Sweeper(loop, self._search, interval=_sweep.SLOW)
        self._sigchld = SigchldHandler(sweeper.note_signal)
        left = weakref.WeakMethod(self._loop_is_closed)
        self._end = when_closed(loop, lambda: (leave := left()) and leave(sweeper))
        # Somebody may have exited while there was no loop.
        sweeper.call()

    def _leave_loop(self) -> None:
        """Nobody is lost: the reaper waits for them until another loop, perhaps, does so sooner."""
        self._loop = None
        if self._sweeper is not None:
            self._sweeper.stop()
            self._sweeper = None
        if self._sigchld is not None:
            self._sigchld.restore()
            self._sigchld = None
        if self._end is not None:
            self._end.cancel()
            self._end = None
        for child in self._watched():
            reap_later(child)

    def _loop_is_closed(self, sweeper: Sweeper) -> None:
        if sweeper is self._sweeper:
            self._leave_loop()

    def _start_anew(self) -> None:
        super()._start_anew()
        self._loop = self._sweeper = self._sigchld = self._end = None


class SafeChildWatcher(SigchldChildWatcher):
    """Asks for every child it knows when SIGCHLD comes, in the loop it is attached to.

    It leaves other processes alone; an exit costs O(children).
    """

    def _search(self) -> int:
        for child in self._watched():
            child.reap()
        return len(self._handlers)
