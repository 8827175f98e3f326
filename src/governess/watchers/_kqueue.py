"""A watcher like that of pidfds for macOS and the BSDs: one kqueue for all children of a loop."""

from __future__ import annotations

import contextlib
import errno
import select
from collections.abc import Iterable
from typing import Any

from governess.children._child import Child
from governess.watchers._pidfd import ExitPoller, PollerChildWatcher

__all__ = ["KqueueChildWatcher"]


class KqueueChildWatcher(PollerChildWatcher):
    """Waits for NOTE_EXIT events of the children, through one kqueue for each loop (macOS and the BSDs).

    The watcher serves the loops of all threads. It was tested with a simulated kqueue, which behaves as the manual
    pages say, and was never run on a BSD or a Mac.
    """

    def _new_queue(self) -> ExitPoller:
        return _KqueuePoller(select)


class _KqueuePoller:
    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel  # the module `select`, where it has a kqueue
        self._kqueue: Any = None
        self._children: dict[int, Child] = {}

    def fileno(self) -> int:
        return -1 if self._kqueue is None else int(self._kqueue.fileno())

    def close(self) -> None:
        kqueue, self._kqueue = self._kqueue, None
        self._children.clear()
        if kqueue is not None:
            kqueue.close()

    def add(self, child: Child) -> bool:
        if opened := self._kqueue is None:
            self._kqueue = self._kernel.kqueue()
        self._children[child.pid] = child
        try:
            self._change(child, self._kernel.KQ_EV_ADD | self._kernel.KQ_EV_ONESHOT)
        except OSError as error:
            del self._children[child.pid]
            if error.errno != errno.ESRCH:
                raise
            # The child is dying already, and there will be no event: kqueue(2).
            _finish(child)
        else:
            # macOS attaches to a zombie and then keeps silent.
            child.reap()
        return opened

    def discard(self, child: Child, close: bool = False) -> None:
        if self._children.pop(child.pid, None) is not None:
            with contextlib.suppress(OSError):  # gone with its event
                self._change(child, self._kernel.KQ_EV_DELETE)
        if close:
            self.close()

    def exited(self, most: int) -> Iterable[Child]:
        for event in self._kqueue.control(None, most, 0):
            if (child := self._children.get(event.ident)) is not None:
                # NOTE_EXIT can come before the child can be reaped: wait for that instant.
                child.wait_for_exit(timeout=1.0)
                yield child

    def _change(self, child: Child, flags: int) -> None:
        kernel = self._kernel
        event = kernel.kevent(child.pid, kernel.KQ_FILTER_PROC, flags, kernel.KQ_NOTE_EXIT)
        self._kqueue.control([event], 0, 0)


def _finish(child: Child) -> None:
    child.wait_for_exit(timeout=1.0)
    child.reap()
