"""SIGCHLD in the main thread's loop: asks for each child that it knows, and for no other."""

from __future__ import annotations

from governess.watchers.attached import AttachedChildWatcher

__all__ = ["SafeChildWatcher"]


class SafeChildWatcher(AttachedChildWatcher):
    """Asks for every child it knows when SIGCHLD comes, in the loop it is attached to.

    It leaves other processes alone; an exit costs O(children).
    """

    def _search(self) -> int:
        for child in self._watched():
            child.reap()
        return len(self._handlers)
