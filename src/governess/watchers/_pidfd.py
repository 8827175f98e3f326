"""A descriptor a child: no signal, no thread, and an exit costs the same however many children live.

All children of a loop are in one kernel object, for which the loop has one reader: an epoll here, a kqueue on a BSD.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Protocol

from governess.children._child import Child
from governess.children._per_loop import CloseHook, PerLoop, running_loop, when_closed
from governess.children._reaper import reap_later
from governess.watchers._base import ChildWatcher
from governess.watchers._threaded import wait_in_thread

__all__ = ["ExitPoller", "PidfdChildWatcher", "PollerChildWatcher"]

# How many exits are handled before the loop runs its other callbacks.
BATCH = 64


class ExitPoller(Protocol):
    """A kernel object that becomes readable when one of its children has exited."""

    #: Returns its descriptor.
    fileno: Callable[[], int]
    #: Closes it.
    close: Callable[[], None]

    def add(self, child: Child) -> None:
        """Take the child in; OSError if that cannot be done."""
        ...

    def discard(self, child: Child) -> None:
        """Take the child out, if it is in."""
        ...

    def exited(self, most: int) -> Iterable[Child]:
        """Return children that have exited, each once, without blocking."""
        ...


class PollerChildWatcher(ChildWatcher):
    """Notices exits through one `ExitPoller` per loop.

    A child that cannot be registered there is waited for in a thread; callers see no difference.
    """

    def __init__(self) -> None:
        """Start with no child to watch."""
        super().__init__()
        self._pollers: PerLoop[_LoopPoller] = PerLoop()
        self._poller_of: dict[Child, _LoopPoller] = {}

    def close(self) -> None:
        """Leave the loops. Children that still live are passed on to the reaper: no handler is lost."""
        super().close()
        for poller in self._pollers.values():
            poller.close()

    def _new_queue(self) -> ExitPoller:
        """Make an empty queue; OSError if none can be had."""
        raise NotImplementedError

    def _watch(self, child: Child) -> None:
        loop = running_loop()
        try:
            if loop is None:
                raise OSError("no loop runs in this thread")
            poller = self._pollers.get(loop)
            if poller is None or poller.is_closed:
                poller = _LoopPoller(loop, self._new_queue())
                self._pollers.set(loop, poller)
            self._poller_of[child] = poller
            poller.add(child)
        except (OSError, NotImplementedError):  # a loop without add_reader
            self._poller_of.pop(child, None)
            wait_in_thread(child)
        else:
            if child.exit is not None:  # another thread was faster
                self._unwatch(child)

    def _unwatch(self, child: Child) -> None:
        if (poller := self._poller_of.pop(child, None)) is not None:
            poller.discard(child)

    def _start_anew(self) -> None:
        super()._start_anew()
        for poller in self._pollers.values():
            poller.abandon()
        self._poller_of.clear()


class _LoopPoller:
    """The children of one loop. It exists until the loop closes; if the loop has no close hook, until it is empty."""

    def __init__(self, loop: asyncio.AbstractEventLoop, queue: ExitPoller) -> None:
        self._loop: Callable[[], asyncio.AbstractEventLoop | None] = weakref.ref(loop)
        self._queue = queue
        self._children: set[Child] = set()
        self.is_closed = False
        self._end: CloseHook | None = None
        try:
            # In a context of its own: it serves others too, whatever priority this one has.
            Context().run(loop.add_reader, queue.fileno(), self._handle_exits)
            self._end = when_closed(loop, self._give_up)
        except BaseException:
            self.close()
            raise

    def add(self, child: Child) -> None:
        self._children.add(child)
        try:
            self._queue.add(child)
        except OSError:
            self.discard(child)
            raise

    def discard(self, child: Child) -> None:
        self._children.discard(child)
        if self.is_closed:
            return
        self._queue.discard(child)
        if not self._children and not (self._end and self._end.is_reliable):
            self.close()

    def close(self) -> None:
        """Leave the loop, from any thread, unless there are new children by then."""
        loop = self._loop()
        if loop is not None and not loop.is_closed():
            if loop.is_running() and loop is not running_loop():
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self.close)
                return
            if self._children or self.is_closed:
                return
            loop.remove_reader(self._queue.fileno())
        if not self.is_closed:
            self.is_closed = True
            if self._end is not None:
                self._end.cancel()
            self._children.clear()
            self._queue.close()

    def abandon(self) -> None:
        """Close the queue only: the loop is not told, and the children in it are dropped."""
        self._loop = _no_loop
        self.close()

    def _give_up(self) -> None:
        orphans = list(self._children)
        self._children.clear()
        self.close()
        for child in orphans:
            reap_later(child)

    def _handle_exits(self) -> None:
        exited = deque(self._queue.exited(BATCH))
        try:
            while exited:
                child = exited[0]
                if child.reap() is None and not child.owned_elsewhere():
                    # A tracer keeps it, and there will be no second event.
                    self._queue.discard(child)
                    wait_in_thread(child)
                exited.popleft()
        finally:
            for child in exited:  # a callback raised KeyboardInterrupt or its like
                reap_later(child)


def _no_loop() -> None:
    return None


class PidfdChildWatcher(PollerChildWatcher):
    """Watches the children's pidfds, all of a loop's through one epoll (Linux 5.3 and later).

    It serves the loops of all threads. A child for which no pidfd can be had is waited for in a thread.
    """

    def _new_queue(self) -> ExitPoller:
        return _PidfdPoller()


class _PidfdPoller:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._children: dict[int, Child] = {}
        self.fileno, self.close = self._epoll.fileno, self._epoll.close

    def add(self, child: Child) -> None:
        if (pidfd := child.pidfd) is None:
            raise OSError(f"{child!r} has no pidfd")
        self._children[pidfd] = child
        try:
            # One shot: a dead child that is held is reaped when the hold is released, so a second event is not needed.
            self._epoll.register(pidfd, select.EPOLLIN | select.EPOLLONESHOT)
        except OSError:
            del self._children[pidfd]
            raise

    def discard(self, child: Child) -> None:
        """Take the pidfd out while it is open: a process between clone and exec may hold it after we closed it."""
        if (pidfd := child.pidfd) is not None and self._children.pop(pidfd, None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(pidfd)

    def exited(self, most: int) -> Iterable[Child]:
        found: list[Child] = []
        for pidfd, _ in self._epoll.poll(0, most):
            if (child := self._children.get(pidfd)) is not None:
                found.append(child)
        return found
