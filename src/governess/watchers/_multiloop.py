"""SIGCHLD for the loops of all threads: asks for each child that it knows, and for no other."""

from __future__ import annotations

import asyncio
import contextlib
import functools

from governess.children._child import Child
from governess.children._per_loop import PerLoop, running_loop, when_closed
from governess.children._reaper import reap_later
from governess.watchers import _sweep
from governess.watchers._base import ChildWatcher
from governess.watchers._sweep import SigchldHandler, Sweeper
from governess.watchers._threaded import wait_in_thread

__all__ = ["MultiLoopChildWatcher"]


class MultiLoopChildWatcher(ChildWatcher):
    """Asks for every child it knows when SIGCHLD comes, each in the loop that it was added in.

    It serves the loops of all threads and leaves other processes alone; an exit costs O(children). Made in the main
    thread, it sets a SIGCHLD handler, which calls the one it found; `close` puts that one back. Made in another thread,
    it has no signal, and asks every 20 ms instead.
    """

    def __init__(self) -> None:
        """Set the SIGCHLD handler, if this is the main thread."""
        super().__init__()
        self._sweepers: PerLoop[_LoopSweeper] = PerLoop()
        self._sweeper_of: dict[Child, _LoopSweeper] = {}
        self._closed = False
        self._sigchld: SigchldHandler | None = None
        with contextlib.suppress(ValueError):  # not the main thread
            self._sigchld = SigchldHandler(self._call_all)

    def is_active(self) -> bool:
        """Return whether the watcher is open."""
        return not self._closed

    def close(self) -> None:
        """Put back the SIGCHLD handler that was found. Children that still live are passed on to the reaper."""
        self._closed = True
        super().close()
        for sweeper in self._sweepers.values():
            sweeper.stop()
        self._sweepers.clear()
        if self._sigchld is not None:
            self._sigchld.restore()

    def _watch(self, child: Child) -> None:
        loop = running_loop()
        if loop is None:
            wait_in_thread(child)
            return
        if (sweeper := self._sweepers.get(loop)) is None:
            sweeper = _LoopSweeper(loop, _sweep.SLOW if self._sigchld else _sweep.FAST)
            self._sweepers.set(loop, sweeper)
        self._sweeper_of[child] = sweeper
        sweeper.children.add(child)
        sweeper.search.call()

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

    def __init__(self, loop: asyncio.AbstractEventLoop, interval: float) -> None:
        self.children: set[Child] = set()
        self.search = Sweeper(loop, self._reap_all, interval=interval)
        # Of the children alone: the search's timer leads back to the loop.
        self._end = when_closed(loop, functools.partial(_reap_all_later, self.children))

    def stop(self) -> None:
        self.search.stop()
        self._end.cancel()

    def _reap_all(self) -> int:
        for child in list(self.children):
            child.reap()
        return len(self.children)


def _reap_all_later(children: set[Child]) -> None:
    for child in list(children):
        reap_later(child)
