"""Who shares a current loop."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from typing import Protocol

__all__ = ["ContextScope", "ProcessScope", "Scope", "ThreadScope"]


class Scope(Protocol):
    """Where a policy keeps the current loop: one for each context, whatever a context is here."""

    def get(self) -> asyncio.AbstractEventLoop | None:
        """Return the loop of the current context, if it has one."""
        ...

    def set(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Give the current context a loop, or take it away."""
        ...

    def may_create(self) -> bool:
        """Return whether the current context gets a loop made when it asks for the first time."""
        ...

    def describe(self) -> str:
        """Name the current context, for an error message."""
        ...


class ThreadScope:
    """Each thread has its own loop; only the main thread gets one made, if none was ever set there."""

    def __init__(self) -> None:
        """Start with no loop in any thread."""
        self._local = _Local()

    def get(self) -> asyncio.AbstractEventLoop | None:
        """Return the loop of this thread, if it has one."""
        return self._here().loop

    def set(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Give this thread a loop, or take it away."""
        here = self._here()
        here.loop = loop
        here.was_set = True

    def may_create(self) -> bool:
        """Return whether this is the main thread, and no loop was ever set in it."""
        return not self._here().was_set and threading.current_thread() is threading.main_thread()

    def describe(self) -> str:
        """Name this thread."""
        return f"thread {threading.current_thread().name!r}"

    def _here(self) -> _Local:
        if self._local.process != os.getpid():
            self._local = _Local()  # a forked child sees no loop of its parent's
        return self._local


class ProcessScope:
    """All threads share one loop, but for a thread that has set one of its own."""

    def __init__(self) -> None:
        """Start with nothing to share, and no loop in any thread."""
        self._own = ThreadScope()
        self._shared: _Kept = _Kept(None, os.getpid())

    def get(self) -> asyncio.AbstractEventLoop | None:
        """Return this thread's own loop, else the shared one, if there is one."""
        own = self.own
        return self.shared if own is None else own

    def set(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Give this thread a loop of its own; None goes back to the shared one."""
        self._own.set(loop)

    @property
    def own(self) -> asyncio.AbstractEventLoop | None:
        """The loop that was set in this thread."""
        return self._own.get()

    @property
    def shared(self) -> asyncio.AbstractEventLoop | None:
        """The loop of all threads that have none of their own; a forked child does not see its parent's."""
        return self._shared.here()

    def share(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Let all threads share `loop`, or nothing."""
        self._shared = _Kept(loop, os.getpid())

    def may_create(self) -> bool:
        """Return False: who shares a loop decides when there is one."""
        return False

    def describe(self) -> str:
        """Name this process."""
        return f"process {os.getpid()}"


class ContextScope:
    """Each `contextvars` context has its own loop: a task, what `asyncio.to_thread` calls, `Context.run`.

    A context inherits the loop of the one that it is a copy of; what it sets itself, only its own copies see.
    """

    def __init__(self) -> None:
        """Start with no loop in any context."""
        self._kept: contextvars.ContextVar[_Kept] = contextvars.ContextVar("governess_event_loop")

    def get(self) -> asyncio.AbstractEventLoop | None:
        """Return the loop of this context, if it has one."""
        kept = self._kept.get(None)
        return None if kept is None else kept.here()

    def set(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Give this context a loop, or take it away."""
        self._kept.set(_Kept(loop, os.getpid()))

    def may_create(self) -> bool:
        """Return whether this is the main thread, and no loop was ever set in this context or those it comes from."""
        kept = self._kept.get(None)
        was_set = kept is not None and kept.process == os.getpid()
        return not was_set and threading.current_thread() is threading.main_thread()

    def describe(self) -> str:
        """Name this context, as far as a context has a name."""
        return f"this context of thread {threading.current_thread().name!r}"


class _Kept:
    """A loop, and the process that it is the current one in."""

    __slots__ = ("loop", "process")

    def __init__(self, loop: asyncio.AbstractEventLoop | None, process: int) -> None:
        self.loop = loop
        self.process = process

    def here(self) -> asyncio.AbstractEventLoop | None:
        """The loop; a forked child sees no loop of its parent's."""
        return self.loop if self.process == os.getpid() else None


class _Local(threading.local):
    def __init__(self) -> None:
        self.process = os.getpid()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.was_set = False
