"""The guardian: a small process that ends children of this one, with all they have started, when this one is gone.

PR_SET_PDEATHSIG reaches the direct child alone. So a process of its own, one for all children, holds the other end of a
socket, which the kernel closes when this process ends in whatever way, and the pidfds of the children. It is started
with the first of them, beside it: until it runs, the socket keeps what it is told. It ends when it has had nobody to
guard for a while, and when it has done its work. If it is killed, the next one takes its place.
"""

from __future__ import annotations

import itertools
import os
import sys

from governess.children import _pidfd as pidfds
from governess.children._after_fork import run_after_fork
from governess.children._child import Child
from governess.children._guardian.client import Client, Record
from governess.children._guardian.main import GROUP, PROCESS, SESSION

__all__ = ["GROUP", "PROCESS", "SESSION", "Guard", "guard", "is_usable", "prepare"]


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


def prepare() -> None:
    """Have a guardian started, if there is none, while the child is started that will be guarded.

    If this process is killed right after the start of the child, there already is somebody who holds the socket.
    """
    run_after_fork(_start_anew)
    _client.prepare()


def guard(child: Child, scope: int, *, has_death_signal: bool) -> Guard | None:
    """Have the child ended when this process is gone, by TERM and CONT, a grace, and KILL, until the guard is released.

    Args:
        child: the child.
        scope: what is ended: the PROCESS, the GROUP or the SESSION that it leads.
        has_death_signal: whether the kernel sends the child itself a TERM then.

    Returns:
        None if there is no descriptor for it: then nobody but the kernel ends the child.
    """
    pidfd = child.duplicate_pidfd()
    if pidfd is None:
        return None
    key = next(_keys)
    _client.guard(Record(key, scope, child.pid, has_death_signal, pidfd))
    return Guard(_client, key)


class Guard:
    """The promise that a child is ended with this process, until `release`."""

    __slots__ = ("_client", "_key")

    def __init__(self, client: Client, key: int) -> None:
        self._client = client
        self._key = key

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing to wait for in `settled`."""
        return self._client.is_settled

    async def settled(self) -> None:
        """Wait until a guardian process holds the promise, or it is known that there can be none."""
        await self._client.settled()

    def release(self, *_: object) -> None:
        """Let the child, or what it leads, outlive this process. Finalizers may call this."""
        self._client.forget(self._key)


_keys = itertools.count(1)
_client = Client()


def _start_anew() -> None:
    global _client
    _client.forget_all()
    _client = Client()
