"""A descriptor a child: no signal, no thread, and an exit costs the same however many children live."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Iterable

from governess.children._child import Child
from governess.watchers._poller import ExitPoller, PollerChildWatcher

__all__ = ["PidfdChildWatcher"]


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

    def fileno(self) -> int:
        return self._epoll.fileno()

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

    def close(self) -> None:
        self._epoll.close()
