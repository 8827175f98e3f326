"""SIGCHLD for the loops of all threads: asks for each child that it knows, and for no other."""

from __future__ import annotations

import asyncio
import contextlib

from governess.children.child import Child
from governess.children.closing import when_closed
from governess.children.reaper import entrust
from governess.watchers.base import ChildWatcher, running_loop
from governess.watchers.per_loop import PerLoop
from governess.watchers.sigchld import BRISK, Patrol, SigchldHandler
from governess.watchers.threaded import wait_in_thread

__all__ = ["MultiLoopChildWatcher"]

# How often a loop asks for its children by itself where a signal helps, in seconds.
SLOW = 0.5


class MultiLoopChildWatcher(ChildWatcher):
    """Asks for every child it knows when SIGCHLD comes, each in the loop that it was added in.

    It serves the loops of all threads and leaves other processes alone; an exit costs O(children). Made in the main
    thread, it sets a SIGCHLD handler, which calls the one it found; `close` puts that one back. Made in another thread,
    it has no signal, and asks every 20 ms instead.
    """

    def __init__(self) -> None:
        """Set the SIGCHLD handler, if this is the main thread."""
        super().__init__()
        self._rounds: PerLoop[_Round] = PerLoop()
        self._round_of: dict[Child, _Round] = {}
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
        for round in self._rounds.values():
            round.stop()
        self._rounds.clear()
        if self._sigchld is not None:
            self._sigchld.restore()

    def _watch(self, child: Child) -> None:
        loop = running_loop()
        if loop is None:
            wait_in_thread(child)
            return
        if (round := self._rounds.get(loop)) is None:
            round = _Round(loop, SLOW if self._sigchld else BRISK)
            self._rounds.set(loop, round)
        self._round_of[child] = round
        round.children.add(child)
        round.patrol.call()

    def _unwatch(self, child: Child) -> None:
        if (round := self._round_of.pop(child, None)) is not None:
            round.children.discard(child)

    def _call_all(self) -> None:
        for round in self._rounds.values():
            round.patrol.note_signal()

    def _start_anew(self) -> None:
        super()._start_anew()
        self._rounds.clear()
        self._round_of.clear()
        self._sigchld = None


class _Round:
    """The children of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, interval: float) -> None:
        self.children: set[Child] = set()
        self.patrol = Patrol(loop, self._reap_all, interval=interval)
        self._end = when_closed(loop, self._give_up)

    def stop(self) -> None:
        self.patrol.stop()
        self._end.cancel()

    def _give_up(self) -> None:
        for child in list(self.children):
            entrust(child)

    def _reap_all(self) -> int:
        for child in list(self.children):
            child.reap()
        return len(self.children)
