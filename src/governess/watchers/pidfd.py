"""A descriptor a child: no signal, no thread, and an exit costs the same however many children live."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Iterable

from governess.children.child import Child
from governess.watchers.hub import ExitQueue, HubChildWatcher

__all__ = ["PidfdChildWatcher"]


class PidfdChildWatcher(HubChildWatcher):
    """Watches the children's pidfds, all of a loop's through one epoll (Linux 5.3 and later).

    It serves the loops of all threads. A child for which no pidfd can be had is waited for in a thread.
    """

    def _new_queue(self) -> ExitQueue:
        return _PidfdQueue()


class _PidfdQueue:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._children: dict[int, Child] = {}

    def fileno(self) -> int:
        return self._epoll.fileno()

    def add(self, child: Child) -> None:
        if (pidfd := child.pidfd) is None:
            raise OSError(f"{child!r} has no pidfd")
        self._children[pidfd] = child
        try:
            # One shot, since a dead child that is held is reaped by whoever releases it.
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
        for pidfd, _ in self._epoll.poll(0, most):
            if (child := self._children.get(pidfd)) is not None:
                yield child

    def close(self) -> None:
        self._epoll.close()
