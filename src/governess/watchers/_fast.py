"""A watcher that uses SIGCHLD in the loop of the main thread, and reaps every child of the process."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import threading
import time
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from governess.children import _registry
from governess.children._child import Child
from governess.children._exit import Exit
from governess.children._per_loop import running_loop
from governess.watchers import _sweep
from governess.watchers._private_names import FastNames, is_waitpid_replaced, status_of
from governess.watchers._sigchld import SigchldChildWatcher

if TYPE_CHECKING:
    from typing import Self

__all__ = ["FastChildWatcher"]

logger = logging.getLogger("governess")

# How many exits of unknown children are kept at most.
MAX_UNCLAIMED = 4096


class FastChildWatcher(FastNames, SigchldChildWatcher):
    """Reaps any exited child of the process when SIGCHLD arrives, in the attached loop.

    An exit costs O(1). But the watcher also reaps the children of other code, which then cannot wait for them. Start a
    child inside ``with watcher:``, because the child can exit before its handler is added. The watcher keeps the exit
    of such a child until the end of the block.
    """

    def __init__(self) -> None:
        """Start without a loop, and so inactive."""
        super().__init__()
        self._unclaimed = _UnclaimedExits()
        self._next_sweep = 0.0

    def __enter__(self) -> Self:
        with self._lock:
            self._unclaimed.open_window()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            strangers = self._unclaimed.close_window()
        if strangers:
            logger.warning("Caught subprocesses termination from unknown pids: %s", strangers)

    def close(self) -> None:
        """Detach the loop and restore the SIGCHLD handler. The background reaper waits for living children."""
        super().close()
        self._unclaimed = _UnclaimedExits()

    def _watch(self, child: Child) -> None:
        if not self._claim_exit(child):
            super()._watch(child)

    def _claim_exit(self, child: Child) -> bool:
        with self._lock:
            unclaimed = self._unclaimed.get(child.pid)
        if unclaimed is None:
            return False
        # An unclaimed exit of that number is another, earlier child's if a child with it is there.
        if is_its_own := _is_no_child(child.pid):
            child.set_exit(unclaimed)
        with self._lock:  # not before: another thread that finds it taken would call the child lost
            self._unclaimed.forget(child.pid, unclaimed)
        return is_its_own

    def _search(self) -> int:
        if self._has_own_verbs:
            return super()._search()
        self._do_waitpid_all()
        self._sweep_known()
        return len(self._handlers)

    def _do_waitpid_all(self) -> None:
        if is_waitpid_replaced():
            self._ask_replaced_waitpid()
            return
        last = None
        while (pid := _exited_pid()) not in (None, last):
            assert pid is not None
            last = pid
            with self._lock:  # another thread may be adding that very child's handler
                child = _registry.get(pid)
                if child is None or pid not in self._handlers:
                    self._keep_exit(pid, child)
                    continue
            child.reap()
        if pid is not None:
            self._next_sweep = 0.0  # it is held, and stands before all others till it is released

    def _sweep_known(self) -> None:
        """Ask for each known child now and then: one that was reaped elsewhere is never seen among the dead."""
        if (now := time.monotonic()) >= self._next_sweep:
            self._next_sweep = now + _sweep.SLOW
            for child in self._watched():
                if not self._claim_exit(child):
                    child.reap()

    def _ask_replaced_waitpid(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                child = _registry.get(pid) if pid in self._handlers else None
                if child is not None:
                    child.set_exit(status_of(status))
                else:
                    self._keep(pid, status_of(status), None)

    def _keep_exit(self, pid: int, child: Child | None) -> None:
        self._keep(pid, _reap_unknown(pid) if child is None else child.reap(), child)

    def _keep(self, pid: int, exit: Exit | None, child: Child | None) -> None:
        if exit is not None and not self._unclaimed.keep(pid, exit, child is None) and child is None:
            logger.warning("Caught subprocess termination from unknown pid: %d -> %d", pid, exit)

    def _start_anew(self) -> None:
        super()._start_anew()
        self._unclaimed = _UnclaimedExits()


class _UnclaimedExits:
    """Exits of unknown children, each kept while a start that began before it is pending: it may be that child's."""

    def __init__(self) -> None:
        self.exits: dict[int, _UnclaimedExit] = {}  # by pid, oldest first
        self._epochs = itertools.count(1)
        self._youngest = 0
        self.open: dict[int, None] = {}  # the epochs of pending starts, oldest first
        self._windows_of: dict[object, list[int]] = {}

    def open_window(self) -> None:
        self._youngest = next(self._epochs)
        self.open[self._youngest] = None
        self._windows_of.setdefault(_who(), []).append(self._youngest)

    def close_window(self) -> list[int]:
        """Close the caller's last window; return the pids of exits that no pending start can claim any more."""
        who = _who()
        mine = self._windows_of.get(who, [])
        if mine:
            del self.open[mine.pop()]
        else:
            self._close_orphaned_windows()
        if not mine:
            self._windows_of.pop(who, None)
        oldest = next(iter(self.open), self._youngest + 1)
        unwanted = [pid for pid, unclaimed in self.exits.items() if unclaimed.epoch < oldest]
        return [pid for pid in unwanted if self.exits.pop(pid).is_unknown]

    def _close_orphaned_windows(self) -> None:
        """Close the windows of tasks that were destroyed with their loop; these tasks leave their blocks as no task."""
        for who, epochs in list(self._windows_of.items()):
            task = who() if isinstance(who, weakref.ref) else None
            if isinstance(who, weakref.ref) and (task is None or task.get_loop().is_closed()):
                for epoch in epochs:
                    del self.open[epoch]
                del self._windows_of[who]

    def keep(self, pid: int, exit: Exit, is_unknown: bool) -> bool:
        """Keep the exit if a start is pending; return whether it is kept."""
        self.exits.pop(pid, None)
        if not self.open:
            return False
        if len(self.exits) >= MAX_UNCLAIMED:
            del self.exits[next(iter(self.exits))]
        self.exits[pid] = _UnclaimedExit(exit, self._youngest, is_unknown)
        return True

    def get(self, pid: int) -> Exit | None:
        unclaimed = self.exits.get(pid)
        return None if unclaimed is None else unclaimed.exit

    def forget(self, pid: int, exit: Exit) -> None:
        if self.get(pid) is exit:
            del self.exits[pid]


class _UnclaimedExit(NamedTuple):
    exit: Exit
    epoch: int  # the youngest one when it was unclaimed
    is_unknown: bool  # whether governess does not know the child


def _who() -> object:
    """Windows of one task, or of one thread without a loop, are closed in the order that nesting gives them."""
    task = asyncio.current_task() if running_loop() is not None else None
    return threading.get_ident() if task is None else weakref.ref(task)


def _exited_pid() -> int | None:
    try:
        seen = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return None
    return None if seen is None else seen.si_pid


def _reap_unknown(pid: int) -> Exit | None:
    try:
        reaped, status, rusage = os.wait4(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return Exit.from_status(status, rusage) if reaped else None


def _is_no_child(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return True
    return False
