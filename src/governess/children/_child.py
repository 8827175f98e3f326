"""One child process: its descriptor, its signals, and its reaping, which happens once.

Everything hard about reaping stands here. The reap and every signal happen under one lock, so that no signal can reach
a stranger that got the child's number after it. A child that is held is told of when it has exited, and reaped later.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal as signals
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from governess.children import _pidfd as pidfds
from governess.children import _registry
from governess.children._after_fork import run_after_fork
from governess.children._exit import CAN_PEEK, Exit, State, exit_of, state_of, take_exit, warn_of_theft
from governess.children._registry import tell_of_exit
from governess.children._wait import wait_for_exit

__all__ = ["Child", "forget_parents_children"]

logger = logging.getLogger("governess")

Subscriber = Callable[["Child", Exit], None]


class Child:
    """A child process, from its start to its reap.

    Attributes:
        pid: the number of the process.
        argv: the program and its arguments, as passed to the spawner; empty for an adopted child.
        adopted: whether other code started the child.
        started: when the child was started or adopted, in seconds of `time.monotonic`.
        exit: the exit of the child; None until the exit is known. Its `rusage` is known after the reap.
    """

    #: The descriptor that stands for the process; None where there is none, and after the reap.
    pidfd: int | None = None
    #: Those who still need the descriptor after the reap, and the descriptor then.
    _keepers: frozenset[int] = frozenset()
    _kept: int | None = None

    def __init__(self, pid: int, argv: Sequence[Any] = (), *, pidfd: int | None = None, adopted: bool = False) -> None:
        """Take over the child `pid`, and the descriptor that stands for it."""
        run_after_fork(forget_parents_children)
        self.pid = pid
        self.argv = tuple(argv)
        self.adopted = adopted
        self.started = time.monotonic()
        self.exit: Exit | None = None
        if pidfd is not None:
            self.pidfd = pidfd
        self._lock = threading.RLock()  # a finalizer may send a signal while this very thread reaps
        self._holds = 0
        self._reap_is_due = False
        self._is_reaped = False
        self._is_told = False
        self._is_disowned = False
        self._subscribers: list[Subscriber] = []
        before, _registry.living[pid] = _registry.living.get(pid), self
        if before is not None:
            before._give_up_number()

    def __repr__(self) -> str:
        state = "running" if self.exit is None else self.exit.describe()
        return f"<Child pid={self.pid} {state}>"

    def signal(self, number: int) -> None:
        """Send the signal `number` to the child, and to no other process.

        Raises:
            ProcessLookupError: the child has been reaped.
            PermissionError: the child runs under another user.
        """
        with self._lock_unless_finalizing():
            if self.pidfd is None or not pidfds.send_signal(self.pidfd, number):
                self._check_unreaped()
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM to the child; on Windows, end the child. The errors are those of `signal`."""
        self.signal(signals.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the child; on Windows, do the same as `terminate`. The errors are those of `signal`."""
        self.signal(signals.SIGKILL)

    def signal_group(self, number: int) -> None:
        """Send the signal `number` to every process of the group that the child leads.

        Raises:
            ProcessLookupError: the child has been reaped, or leads no group.
        """
        with self._lock:
            self._check_unreaped()
            os.killpg(self.pid, number)

    def keep_pidfd(self, keeper: int) -> int | None:
        """Return the pidfd of the child, which stays open until `release_pidfd`; None if the child has no pidfd.

        Args:
            keeper: a number that identifies the caller, such as its `id`.
        """
        with self._lock:
            if self.pidfd is not None:
                self._keepers |= {keeper}
            return self.pidfd

    def release_pidfd(self, keeper: int) -> None:
        """Close the pidfd if the child is reaped and no other caller keeps the pidfd; a second call does nothing.

        Args:
            keeper: the number that was passed to `keep_pidfd`.
        """
        with self._lock_unless_finalizing():
            self._keepers -= {keeper}
            if self._kept is not None and not self._keepers:
                os.close(vars(self).pop("_kept"))

    def reap(self) -> Exit | None:
        """Reap the child if it has exited; return its exit, or None while the child lives.

        The thread that reaps calls the subscribers. If other code has reaped the child, the exit status comes from the
        kernel (`PIDFD_INFO_EXIT`, Linux 6.15 and later). Where the kernel does not report it, the Exit is `lost`, and a
        warning is logged.

        While the child is held, the subscribers are called at its exit, but the reap is delayed until the last hold is
        released. On macOS before Python 3.13 an exit is seen only through a reap, so the subscribers are called then.
        """
        is_stolen = False
        with self._lock:
            if self._is_disowned or (self._is_told and self.pidfd is None):
                return self.exit
            if not self._is_reaped:
                is_reaped = self._holds == 0
                found = None if is_reaped else self._see_exit()
                # Held or not: if other code has reaped it, perhaps in this very instant, there is nothing left to see.
                if is_reaped or (found is None and self._state() is State.GONE):
                    is_reaped = True
                    found = self._take_exit(self.pid, self.pidfd)
                if found is None:
                    return self.exit
                is_stolen = self.exit is None and is_reaped and found.rusage is None
                self._record(found, is_reaped=is_reaped)
        if is_stolen and self.exit is not None:
            warn_of_theft(self.pid, self.exit)
        self._tell_all()
        return self.exit

    def set_exit(self, exit: Exit) -> None:
        """Record the exit of a child that other code has reaped."""
        with self._lock:
            if self._is_reaped:
                return
            self._record(exit, is_reaped=True)
        self._tell_all()

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call ``subscriber(child, exit)`` once, as soon as the exit is known; at once if it is known already."""
        with self._lock:
            if self.exit is None:
                self._subscribers.append(subscriber)
                return
            exit = self.exit
        subscriber(self, exit)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Remove the subscriber; do nothing if it is not subscribed."""
        with self._lock, contextlib.suppress(ValueError):
            self._subscribers.remove(subscriber)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Delay the reap of the child until the end of this block.

        Until the reap, no other process gets the pid of the child, and no other group gets the number of its group. The
        delay does not bind other code, nor the kernel if SIGCHLD is ignored: both may still reap the child.
        """
        with self._lock:
            self._holds += 1
        try:
            yield
        finally:
            with self._lock:
                self._holds -= 1
                due = self._reap_is_due and not self._holds
            if due:
                self.reap()

    def release(self) -> None:
        """Close the pidfd if the child is reaped and no subscriber waits for a call."""
        if self._is_reaped and not self._subscribers:
            self._close_pidfd()

    def owned_elsewhere(self) -> bool:
        """Return whether other code will reap the child: the holder of an exited child, or the code that started it."""
        return self._is_disowned or self._reap_is_due

    def disown(self) -> None:
        """Leave the reap to the code that started the child; do nothing if there are subscribers."""
        with self._lock:
            if self._subscribers or self.exit is not None:
                return
            self._is_disowned = True
            if _registry.living.get(self.pid) is self:
                del _registry.living[self.pid]
        self._close_pidfd()

    def wait_for_exit(self, timeout: float | None = None) -> bool:
        """Block until the child has exited, without a reap; return False after `timeout` seconds.

        Args:
            timeout: seconds to wait; None for no limit.
        """
        return wait_for_exit(self, timeout)

    def _give_up_number(self) -> None:
        """Report the exit of a child whose pid now belongs to another child: other code has reaped it unnoticed."""
        if self.pidfd is not None:
            self.reap()
            return
        exit = Exit.unknown()
        warn_of_theft(self.pid, exit)
        self.set_exit(exit)

    def _lock_unless_finalizing(self) -> contextlib.AbstractContextManager[object]:
        """Return the lock. During finalization return a no-op: a frozen thread may hold the lock for ever."""
        return contextlib.nullcontext() if sys.is_finalizing() else self._lock

    def _lives(self) -> bool:
        if not CAN_PEEK:
            return self.reap() is None
        with self._lock:
            return self.exit is None and self._state() is State.ALIVE

    def _state(self) -> State:
        return state_of(self.pid, self.pidfd)

    _take_exit = staticmethod(take_exit)

    def _see_exit(self) -> Exit | None:
        """Look how a held child ended, without a reap; None if it lives or its exit is known already."""
        if self._state() is State.ALIVE:
            return None
        self._reap_is_due = True
        return exit_of(self.pid, self.pidfd) if self.exit is None else None

    def _check_unreaped(self) -> None:
        if self._is_reaped or (CAN_PEEK and self._state() is State.GONE):
            raise ProcessLookupError(f"process {self.pid} has exited and is reaped")

    def _record(self, found: Exit, *, is_reaped: bool) -> None:
        """Record how it ended; the caller holds the lock."""
        if is_reaped and _registry.living.get(self.pid) is self:  # and not another child that has its pid by now
            del _registry.living[self.pid]
        if self.exit is None:
            self.exit = found
        else:
            self.exit.rusage = found.rusage
        self._is_reaped = is_reaped

    def _tell_all(self) -> None:
        """Call the subscribers; if the child is reaped, close its descriptor and call the observers.

        If a KeyboardInterrupt comes in between, the next `reap` continues.
        """
        if (exit := self.exit) is None:
            return
        try:
            self._tell_subscribers(exit)
        finally:
            if self._is_reaped:
                try:
                    self._close_pidfd()
                finally:
                    with self._lock:
                        is_told, self._is_told = self._is_told, True
                    if _registry.observers and not is_told:
                        tell_of_exit(self, exit)

    def _tell_subscribers(self, exit: Exit) -> None:
        try:
            while self._subscribers:
                subscriber = self._subscribers.pop(0)
                try:
                    subscriber(self, exit)
                except Exception:
                    logger.exception("the end of %r was not taken by %r", self, subscriber)
        except BaseException:  # a KeyboardInterrupt must not keep the exit from the other subscribers
            self._tell_subscribers(exit)
            raise

    def _close_pidfd(self) -> None:
        with self._lock:
            # In one step: interrupted between two, it would stay open, or be closed twice.
            if self.pidfd is not None and self._keepers:
                self._kept, self.pidfd = self.pidfd, None
            elif self.pidfd is not None:
                os.close(vars(self).pop("pidfd"))


def forget_parents_children() -> None:
    """Close the descriptors of the parent's children, in a forked child."""
    for child in _registry.children():
        child._lock = threading.RLock()
        child._close_pidfd()
    _registry.living.clear()
