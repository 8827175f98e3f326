"""Who shares a current loop."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Protocol

__all__ = ["Scope", "ThreadScope"]


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


class _Local(threading.local):
    def __init__(self) -> None:
        self.process = os.getpid()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.was_set = False
