"""The guardian: a small process that ends children of this one, with all they have started, when this one is gone.

PR_SET_PDEATHSIG reaches the direct child alone. So a process of its own, one for all children, holds the other end of a
socket, which the kernel closes when this process ends in whatever way, and the pidfds of the children. It is started
before the first of them; until it reads, the socket keeps what it is told. A child of the native spawner tells it of
itself, before its first instruction, so it knows of everybody whenever this process is killed. It ends when it has had
nobody to guard for a while, and when it has done its work. If it is killed, the next one takes its place.
"""

from __future__ import annotations

import itertools
import os
import sys

from governess.children import _pidfd as pidfds
from governess.children._after_fork import run_after_fork
from governess.children._child import Child, forget_parents_children
from governess.children._guardian.client import Client, Record
from governess.children._guardian.main import GROUP, PROCESS, SESSION

__all__ = ["GROUP", "PROCESS", "SESSION", "Guard", "is_usable", "promise"]


def is_usable() -> bool:
    """Return whether a guardian can be had here: it needs Linux, pidfds and Python's own executable."""
    if _client.is_running:
        return True
    # In a frozen application (PyInstaller and the like) `sys.executable` is the application itself.
    if sys.platform != "linux" or not sys.executable or getattr(sys, "frozen", False) or _client.is_broken:
        return False
    return _has_pidfds() and not _are_children_elsewhere()


def _has_pidfds() -> bool:
    own = pidfds.open_pidfd(os.getpid())
    if own is None:
        return False
    try:
        return pidfds.send_signal(own, 0)  # a sandbox may allow the one call and not the other
    finally:
        os.close(own)


def _are_children_elsewhere() -> bool:
    """Return whether children of this thread are in another PID namespace (unshare(2)), where numbers mean others.

    The first of them would be the init of that, whose end is the end of all.
    """
    try:
        own = os.stat("/proc/thread-self/ns/pid").st_ino
    except OSError:
        return False
    try:
        return own != os.stat("/proc/thread-self/ns/pid_for_children").st_ino
    except OSError:  # there is no init yet
        return True


def promise(scope: int) -> Guard:
    """Prepare to end a child, which is not started yet, when this process is gone; have a guardian started for that.

    Args:
        scope: what is ended: the PROCESS, the GROUP or the SESSION that it leads.
    """
    run_after_fork(forget_parents_children)  # first: it makes the locks anew that the other one takes
    run_after_fork(_start_anew)
    _client.prepare()
    return Guard(_client, next(_keys), scope)


class Guard:
    """The promise that a child is ended with this process, until `release`: by TERM and CONT, a grace, and KILL.

    Attributes:
        key: names it in messages to the guardian.
        scope: what is ended: the PROCESS, the GROUP or the SESSION that the child leads.
        connection: the socket to the guardian that is there when the child is started; None if none can be had.
        generation: how often a guardian had been told of all children by then; the next time, what this child has told
            before is forgotten.
    """

    __slots__ = ("_child", "_client", "connection", "generation", "key", "scope")

    def __init__(self, client: Client, key: int, scope: int) -> None:
        self._client = client
        self._child: Child | None = None
        self.key = key
        self.scope = scope
        self.connection, self.generation = client.state()

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing to wait for in `settled`."""
        return self._client.is_settled

    async def settled(self) -> None:
        """Wait until a guardian process reads what it is told, or it is known that there can be none."""
        await self._client.settled()
        self.connection, self.generation = self._client.state()

    def hold(self, child: Child, *, is_registered: bool, has_death_signal: bool) -> None:
        """Have the child, which was started, ended when this process is gone.

        If there is no descriptor for it, nobody but the kernel ends it.

        Args:
            child: the child.
            is_registered: whether it has told the guardian of itself, by `connection`.
            has_death_signal: whether the kernel sends it a TERM then.
        """
        self._child = child  # first: interrupted at whichever point after this, `release` gives the descriptor back
        pidfd = child.keep_pidfd(id(self))
        if pidfd is not None:
            record = Record(self, child.pid, has_death_signal, pidfd)
            self._client.guard(record, self.generation if is_registered else None)

    def release(self, *_: object) -> None:
        """Let the child, or what it leads, outlive this process. Finalizers may call this."""
        self._client.forget(self.key)
        self.release_pidfd()

    def release_pidfd(self) -> None:
        """Close the descriptor of the child, if nobody else needs it."""
        child, self._child = self._child, None
        if child is not None:
            child.release_pidfd(id(self))


_keys = itertools.count(1)
_client = Client()


def _start_anew() -> None:
    global _client
    _client.forget_all()
    _client = Client()
