"""A watcher with a descriptor for each child, without signals and threads. An exit costs O(1).

All children of a loop are in one kernel object, for which the loop has one reader: an epoll here, a kqueue on a BSD.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import select
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Any, Protocol

from governess.children._child import Child
from governess.children._per_loop import CloseHook, PerLoop, running_loop, when_closed
from governess.children._reaper import reap_later
from governess.children._starting import Starts, starts_of
from governess.watchers._base import ChildWatcher
from governess.watchers._threaded import wait_in_thread

__all__ = ["ExitPoller", "PidfdChildWatcher", "PollerChildWatcher"]

# How many exits are handled before the loop runs its other callbacks.
BATCH = 64


class ExitPoller(Protocol):
    """A kernel object that becomes readable when one of its children has exited; its user closes it."""

    @property
    def fileno(self) -> Callable[[], int]:
        """A function that returns the descriptor; -1 if the object is not open."""
        ...

    def add(self, child: Child) -> bool:
        """Register the child, and return whether that has opened the object; raise OSError if it is not possible."""
        ...

    def discard(self, child: Child, close: bool = False) -> None:
        """Unregister the child if it is registered; then close the object if `close` is true."""
        ...

    def close(self) -> None:
        """Close the object, if it is open."""
        ...

    def exited(self, most: int) -> Iterable[Child]:
        """Return children that have exited, each once, without blocking."""
        ...


class PollerChildWatcher(ChildWatcher):
    """Notices exits through one `ExitPoller` for each loop, which is open while the loop has or starts children.

    A child that cannot be registered there is waited for in a thread; callers see no difference.
    """

    def __init__(self) -> None:
        """Start with no child to watch."""
        super().__init__()
        self._pollers: PerLoop[_LoopPoller] = PerLoop()
        self._poller_of: dict[Child, _LoopPoller] = {}

    def close(self) -> None:
        """Detach from the loops. The background reaper waits for living children, and their handlers are called."""
        super().close()
        for poller in self._pollers.values():
            poller.close()

    def _new_queue(self) -> ExitPoller:
        """Make an empty queue, which is not open yet."""
        raise NotImplementedError

    def _watch(self, child: Child) -> None:
        loop = running_loop()
        try:
            if loop is None:
                raise OSError("no loop runs in this thread")
            # Not PerLoop.get() at once: this is done for each child.
            poller = getattr(loop, "__dict__", _NO_ATTRIBUTES).get(self._pollers.name) or self._pollers.get(loop)
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
    """The children of one loop. Its queue is open, and the loop reads it, while it has children, or starts of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, queue: ExitPoller) -> None:
        self._loop: Callable[[], asyncio.AbstractEventLoop | None] = weakref.ref(loop)
        self._queue = queue
        self._children: set[Child] = set()
        self._starts: Starts | None = None
        self.is_closed = False
        self._end: CloseHook = when_closed(loop, self._give_up)

    def add(self, child: Child) -> None:
        self._children.add(child)
        try:
            # A child may be found dead in this very moment, be taken out, and leave the queue closed.
            if self._queue.add(child) and self._children and (loop := self._loop()) is not None:
                # In a context of its own: it serves others too, whatever priority this one has.
                Context().run(loop.add_reader, self._queue.fileno(), self._handle_exits)
                self._starts = starts_of.get(loop)
        except BaseException:
            self.discard(child)
            raise

    def discard(self, child: Child) -> None:
        self._children.discard(child)
        if self._children or (loop := running_loop()) is None or loop is not self._loop():
            self._queue.discard(child)
            self._close_queue()
        elif (starts := self._starts) is not None and starts.queue is not None:
            self._queue.discard(child)
            starts.kept.add(self._close_queue)
        else:
            if (descriptor := self._queue.fileno()) >= 0:
                loop.remove_reader(descriptor)
            self._queue.discard(child, True)
            if not self._end.is_reliable:  # nothing is left in a loop that does not tell of its end
                self.is_closed = True
                self._end.cancel()

    def close(self) -> None:
        """Leave the loop, from any thread."""
        if not self._children:
            self._end.cancel()
            self._close_queue()

    def _close_queue(self) -> None:
        """Close the queue, from any thread, unless there are children by then."""
        if self._children or self._queue.fileno() < 0:
            return
        loop = self._loop()
        if loop is not None and not loop.is_closed():
            if loop.is_running() and loop is not running_loop():
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._close_queue)
                return
            loop.remove_reader(self._queue.fileno())
        self._queue.close()
        if not self._end.is_reliable:
            self.is_closed = True
            self._end.cancel()

    def abandon(self) -> None:
        """Close the queue only: the loop is not told, and the children in it are dropped."""
        self.is_closed = True
        self._loop = _no_loop
        self._end.cancel()
        self._children.clear()
        self._queue.close()

    def _give_up(self) -> None:
        orphans = list(self._children)
        self._children.clear()
        self._close_queue()
        self.is_closed = True
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


_NO_ATTRIBUTES: dict[str, _LoopPoller] = {}


def _no_loop() -> None:
    return None


#: The `fileno` of a queue that is not open; like that of a closed socket it returns -1, and it is one call in C.
_no_descriptor: Callable[[], int] = functools.partial(int, -1)


class PidfdChildWatcher(PollerChildWatcher):
    """Polls the pidfds of the children, through one epoll for each loop (Linux 5.3 and later).

    The watcher serves the loops of all threads. A thread waits for a child whose pidfd cannot be opened.
    """

    def _new_queue(self) -> ExitPoller:
        return _PidfdPoller()


def _epoll_of_new_module() -> Any:
    import importlib.util

    spec: Any = importlib.util.find_spec("select")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.epoll()


# gevent takes `epoll` out of the module `select`, perhaps before this is imported. A new instance of the module has it.
_make_epoll: Callable[[], Any] = getattr(select, "epoll", None) or _epoll_of_new_module


class _PidfdPoller:
    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        self._children: dict[int, Child] = {}
        self.fileno = _no_descriptor

    def add(self, child: Child) -> bool:
        if (pidfd := child.pidfd) is None:
            raise OSError(f"{child!r} has no pidfd")
        opened = False
        if (epoll := self._epoll) is None:
            epoll = self._epoll = _make_epoll()
            self.fileno = epoll.fileno
            opened = True
        self._children[pidfd] = child
        try:
            # One shot: a dead child that is held is reaped when the hold is released, so a second event is not needed.
            epoll.register(pidfd, select.EPOLLIN | select.EPOLLONESHOT)
        except OSError:
            del self._children[pidfd]
            raise
        return opened

    def discard(self, child: Child, close: bool = False) -> None:
        """Take the pidfd out while it is open: a process between clone and exec may hold it after we closed it."""
        epoll = self._epoll
        if (pidfd := child.pidfd) is not None and self._children.pop(pidfd, None) is not None and epoll is not None:
            try:  # noqa: SIM105 - suppress() takes a microsecond for each child
                epoll.unregister(pidfd)
            except OSError:
                pass
        if close and epoll is not None:
            self._epoll, self.fileno = None, _no_descriptor
            epoll.close()

    def close(self) -> None:
        epoll, self._epoll, self.fileno = self._epoll, None, _no_descriptor
        self._children.clear()
        if epoll is not None:
            epoll.close()

    def exited(self, most: int) -> Iterable[Child]:
        found: list[Child] = []
        for pidfd, _ in () if self._epoll is None else self._epoll.poll(0, most):
            if (child := self._children.get(pidfd)) is not None:
                found.append(child)
        return found
