"""Watchers that use SIGCHLD: through one loop in the main thread, or through the loops of all threads."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import ClassVar, TypeVarTuple

from governess.children._child import Child
from governess.children._per_loop import CloseHook, PerLoop, running_loop, when_closed
from governess.children._reaper import reap_later
from governess.watchers import _sweep
from governess.watchers._base import ChildWatcher
from governess.watchers._private_names import SignalNames, is_waitpid_replaced, own_waitpid
from governess.watchers._sweep import SigchldHandler, Sweeper
from governess.watchers._threaded import wait_in_thread

__all__ = ["MultiLoopChildWatcher", "SafeChildWatcher", "SigchldChildWatcher"]


Ts = TypeVarTuple("Ts")

logger = logging.getLogger("governess")


class SigchldChildWatcher(ChildWatcher):
    """Searches for exited children when SIGCHLD arrives, in the attached loop.

    Loops in other threads can use the watcher while the attached loop runs in the main thread.

    Attributes:
        was_made: whether this process has ever had such a watcher.
    """

    was_made: ClassVar[bool] = False

    def __init__(self) -> None:
        """Start without a loop, and so inactive."""
        super().__init__()
        SigchldChildWatcher.was_made = True
        self._loop = None
        self._sweeper: Sweeper | None = None
        self._sigchld: SigchldHandler | None = None
        self._end: CloseHook | None = None

    def is_active(self) -> bool:
        """Return whether the watcher has a loop and the loop runs."""
        loop = self._loop
        return loop is not None and loop.is_running()

    def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Use `loop` from now on; None detaches the loop, with a warning if there are children to watch.

        Raises:
            TypeError: `loop` is not an event loop.
            RuntimeError: this is not the main thread; signals are handled only there.
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
        """Detach the loop and restore the SIGCHLD handler. The background reaper waits for living children."""
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
        self._sig_chld()
        return len(self._handlers)

    def _sig_chld(self) -> None:
        """Call asyncio's inner verbs, of which a subclass may have its own."""
        try:
            self._do_waitpid_all()
        except Exception as error:
            message = "Unknown exception in SIGCHLD handler"
            if self._loop is None:
                logger.warning(message, exc_info=True)
            else:
                self._loop.call_exception_handler({"message": message, "exception": error})

    def _do_waitpid_all(self) -> None:
        raise NotImplementedError

    def _do_waitpid(self, expected_pid: int) -> None:
        raise NotImplementedError

    def _watch(self, child: Child) -> None:
        if self._sweeper is not None:
            self._sweeper.call()
        elif not self._has_own_verbs:
            reap_later(child)

    def _enter_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._sweeper = sweeper = Sweeper(loop, self._search, interval=_sweep.SLOW)
        self._sigchld = SigchldHandler(sweeper.note_signal)
        left = weakref.WeakMethod(self._loop_is_closed)
        self._end = when_closed(loop, lambda: (leave := left()) and leave(sweeper))
        # A child may have exited while there was no loop.
        sweeper.call()

    def _leave_loop(self) -> None:
        """Detach the loop. The reaper waits for the children, unless another loop notices their exits earlier."""
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
            if not self._has_own_verbs:
                reap_later(child)

    def _loop_is_closed(self, sweeper: Sweeper) -> None:
        if sweeper is self._sweeper:
            self._leave_loop()

    def _start_anew(self) -> None:
        super()._start_anew()
        self._loop = self._sweeper = self._sigchld = self._end = None


class SafeChildWatcher(SigchldChildWatcher):
    """Checks each of its children when SIGCHLD arrives, in the attached loop.

    The watcher never reaps the children of other code. An exit costs O(children).
    """

    def _search(self) -> int:
        if self._has_own_verbs:
            return super()._search()
        for child in self._watched():
            child.reap()
        return len(self._handlers)

    def _watch(self, child: Child) -> None:
        super()._watch(child)
        if self._has_own_verbs or is_waitpid_replaced():
            self._do_waitpid(child.pid)

    def _do_waitpid_all(self) -> None:
        for pid in list(self._callbacks):
            self._do_waitpid(pid)

    def _do_waitpid(self, expected_pid: int) -> None:
        own_waitpid(self, expected_pid)


class MultiLoopChildWatcher(SignalNames, ChildWatcher):
    """Checks each of its children when SIGCHLD arrives, in the loop in which the child was added.

    The watcher serves the loops of all threads, and never reaps the children of other code. An exit costs O(children).

    In the main thread, the constructor sets a SIGCHLD handler, which also calls the previous handler; `close` restores
    the previous one. In another thread, the watcher gets no signal, and checks the children every 20 ms instead.
    """

    def __init__(self) -> None:
        """Set the SIGCHLD handler, if this is the main thread."""
        super().__init__()
        self._sweepers: PerLoop[_LoopSweeper] = PerLoop()
        self._sweeper_of: dict[Child, _LoopSweeper] = {}
        self._closed = True
        self._sigchld: SigchldHandler | None = None
        self._open()

    def _open(self) -> None:
        self._closed = False
        with contextlib.suppress(ValueError):  # not the main thread
            self._sigchld = SigchldHandler(self._call_all)

    def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Open a closed watcher again if `loop` is not None, as in asyncio."""
        if self._closed and loop is not None:
            self._open()

    def is_active(self) -> bool:
        """Return whether the watcher is open."""
        return not self._closed

    def close(self) -> None:
        """Restore the previous SIGCHLD handler. The background reaper waits for the children that still live."""
        self._closed = True
        super().close()
        for sweeper in self._sweepers.values():
            sweeper.stop()
        self._sweepers.clear()
        if self._sigchld is not None and not self._sigchld.restore():
            logger.warning("SIGCHLD handler was changed by outside code")

    def _watch(self, child: Child) -> None:
        loop = running_loop()
        if loop is None:
            wait_in_thread(child)
            return
        if (sweeper := self._sweepers.get(loop)) is None:
            own = self._sig_chld if self._has_own_verbs else None
            sweeper = _LoopSweeper(loop, _sweep.SLOW if self._sigchld else _sweep.FAST, own)
            self._sweepers.set(loop, sweeper)
        self._sweeper_of[child] = sweeper
        sweeper.children.add(child)
        sweeper.search.call()
        if self._has_own_verbs:
            self._do_waitpid(child.pid)

    def _unwatch(self, child: Child) -> None:
        if (sweeper := self._sweeper_of.pop(child, None)) is not None:
            sweeper.children.discard(child)

    def _call_all(self) -> None:
        for sweeper in self._sweepers.values():
            sweeper.search.note_signal()

    def _start_anew(self) -> None:
        super()._start_anew()
        self._sweepers.clear()
        self._sweeper_of.clear()
        self._sigchld = None


class _LoopSweeper:
    """The children of one loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, interval: float, own: Callable[[int, None], object] | None
    ) -> None:
        self._own = own
        self.children: set[Child] = set()
        self.search = Sweeper(loop, self._reap_all, interval=interval)
        # Of the children alone: the search's timer leads back to the loop.
        self._end = when_closed(loop, functools.partial(_reap_all_later, self.children))

    def stop(self) -> None:
        self.search.stop()
        self._end.cancel()

    def _reap_all(self) -> int:
        if self._own is not None:
            self._own(signal.SIGCHLD, None)
            return len(self.children)
        for child in list(self.children):
            child.reap()
        return len(self.children)


def _reap_all_later(children: set[Child]) -> None:
    for child in list(children):
        reap_later(child)
