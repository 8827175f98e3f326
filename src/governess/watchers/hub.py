"""Watching many children through one descriptor of the kernel's, which is the loop's one reader for them."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import deque
from collections.abc import Iterable
from contextvars import Context
from typing import Protocol

from governess.children.child import Child
from governess.children.closing import when_closed
from governess.children.reaper import entrust
from governess.watchers.base import ChildWatcher, running_loop
from governess.watchers.per_loop import PerLoop
from governess.watchers.threaded import wait_in_thread

__all__ = ["ExitQueue", "HubChildWatcher"]

# How many exits are handled before the loop has its turn again.
BATCH = 64


class ExitQueue(Protocol):
    """A kernel object that becomes readable when one of its children has exited."""

    def fileno(self) -> int:
        """Return its descriptor."""
        ...

    def add(self, child: Child) -> None:
        """Take the child in; OSError if that cannot be done."""
        ...

    def discard(self, child: Child) -> None:
        """Take the child out, if it is in."""
        ...

    def exited(self, most: int) -> Iterable[Child]:
        """Return children that have exited, each once, without blocking."""
        ...

    def close(self) -> None:
        """Close the descriptor."""
        ...


class HubChildWatcher(ChildWatcher):
    """Notices exits through one `ExitQueue` a loop. A child that finds no place in it gets a thread: nobody notices."""

    def __init__(self) -> None:
        """Start with no child to watch."""
        super().__init__()
        self._hubs: PerLoop[_Hub] = PerLoop()
        self._hub_of: dict[Child, _Hub] = {}

    def close(self) -> None:
        """Leave the loops. Children that still live are passed on to the reaper: no handler is lost."""
        super().close()
        for hub in self._hubs.values():
            hub.close()

    def _new_queue(self) -> ExitQueue:
        """Make an empty queue; OSError if none can be had."""
        raise NotImplementedError

    def _watch(self, child: Child) -> None:
        loop = running_loop()
        try:
            if loop is None:
                raise OSError("no loop runs in this thread")
            self._hub_of[child] = hub = self._open_hub(loop)
            hub.add(child)
        except (OSError, NotImplementedError):  # a loop without add_reader
            self._hub_of.pop(child, None)
            wait_in_thread(child)
        else:
            if child.exit is not None:  # another thread was faster
                self._unwatch(child)

    def _unwatch(self, child: Child) -> None:
        if (hub := self._hub_of.pop(child, None)) is not None:
            hub.discard(child)

    def _open_hub(self, loop: asyncio.AbstractEventLoop) -> _Hub:
        hub = self._hubs.get(loop)
        if hub is None or hub.is_closed():
            hub = _Hub(loop, self._new_queue())
            self._hubs.set(loop, hub)
        return hub

    def _start_anew(self) -> None:
        super()._start_anew()
        for hub in self._hubs.values():
            hub.abandon()
        self._hub_of.clear()


class _Hub:
    """The children of one loop. It stays until the loop closes; only until it is empty if the loop cannot tell that."""

    def __init__(self, loop: asyncio.AbstractEventLoop, queue: ExitQueue) -> None:
        self._loop = weakref.ref(loop)
        self._queue = queue
        self._children: set[Child] = set()
        self._closed = False
        try:
            # In a context of its own: it serves others too, whatever priority this one has.
            Context().run(loop.add_reader, queue.fileno(), self._handle_exits)
        except BaseException:
            queue.close()
            raise
        self._end = when_closed(loop, self._give_up)

    def add(self, child: Child) -> None:
        self._children.add(child)
        try:
            self._queue.add(child)
        except OSError:
            self.discard(child)
            raise

    def discard(self, child: Child) -> None:
        self._children.discard(child)
        if self._closed:
            return
        self._queue.discard(child)
        if not self._children and not self._end.is_sure:
            self.close()

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Leave the loop, from whichever thread, unless there are new children by then."""
        loop = self._loop()
        if loop is None or loop.is_closed():
            self.abandon()
        elif loop.is_running() and loop is not running_loop():
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self.close)
        elif not self._children and not self._closed:
            loop.remove_reader(self._queue.fileno())
            self.abandon()

    def abandon(self) -> None:
        """Close the queue alone, without a word to the loop or about the children in it."""
        if not self._closed:
            self._closed = True
            self._end.cancel()
            self._children.clear()
            self._queue.close()

    def _give_up(self) -> None:
        orphans = list(self._children)
        self._children.clear()
        self.close()
        for child in orphans:
            entrust(child)

    def _handle_exits(self) -> None:
        exited = deque(self._queue.exited(BATCH))
        try:
            while exited:
                self._reap(exited.popleft())
        finally:
            for child in exited:  # a callback raised KeyboardInterrupt or its like
                entrust(child)

    def _reap(self, child: Child) -> None:
        if child.reap() is None and not child.is_anothers():
            # A tracer keeps it, and there will be no second event.
            self._queue.discard(child)
            wait_in_thread(child)
