"""Scopes: which code shares a current loop."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import weakref
from typing import Protocol

from governess.children._per_loop import PerLoop

__all__ = ["ContextScope", "ProcessScope", "Scope", "ThreadScope"]


class Scope(Protocol):
    """Stores the current loops of a policy: one loop for each thread, process or context."""

    def get(self) -> asyncio.AbstractEventLoop | None:
        """Return the current loop; None if there is none."""
        ...

    def set(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Set the current loop; None removes it."""
        ...

    def may_create(self) -> bool:
        """Return whether `get_event_loop` may make a loop if there is no current one."""
        ...

    def describe(self) -> str:
        """Return a name of the current thread, process or context, for error messages."""
        ...


class ThreadScope:
    """Each thread has its own loop; only the main thread may get a new one, if none was ever set there."""

    def __init__(self) -> None:
        """Start with no loop in any thread."""
        self._local = _Local()

    def get(self) -> asyncio.AbstractEventLoop | None:
        """Return the loop of this thread; None if there is none."""
        return self._here().loop

    def set(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Set the loop of this thread; None removes it."""
        here = self._local
        if here.process != os.getpid():
            here = self._here()
        here.loop = loop
        here.was_set = True

    @property
    def was_set(self) -> bool:
        """Whether a loop, or None, was ever set in this thread; setting it to False forgets that."""
        return self._here().was_set

    @was_set.setter
    def was_set(self, was_set: bool) -> None:
        self._here().was_set = was_set

    def may_create(self) -> bool:
        """Return whether this is the main thread and no loop was ever set in it."""
        return not self._here().was_set and threading.current_thread() is threading.main_thread()

    def describe(self) -> str:
        """Return the name of this thread."""
        return f"thread {threading.current_thread().name!r}"

    def _here(self) -> _Local:
        if self._local.process != os.getpid():
            self._local = _Local()  # a forked child does not inherit the loop of its parent
        return self._local


class ProcessScope:
    """All threads share one loop, except threads that have set a loop of their own."""

    def __init__(self) -> None:
        """Start without a shared loop, and with no loop in any thread."""
        self._own = ThreadScope()
        self._shared: _Setting = _Setting(None, os.getpid())

    def get(self) -> asyncio.AbstractEventLoop | None:
        """Return this thread's own loop, else the shared one; None if there is neither."""
        own = self.own
        return self.shared if own is None else own

    def set(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Set this thread's own loop; None makes the thread use the shared loop again."""
        self._own.set(loop)

    @property
    def own(self) -> asyncio.AbstractEventLoop | None:
        """The loop that was set in this thread."""
        return self._own.get()

    @property
    def shared(self) -> asyncio.AbstractEventLoop | None:
        """The loop of all threads that have none of their own; a forked child does not inherit it."""
        shared = self._shared
        return shared.loop if shared.process == os.getpid() else None

    def share(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Set the loop that all threads share; None removes it."""
        self._shared = _Setting(loop, os.getpid())

    @property
    def was_set(self) -> bool:
        """Whether a loop, or None, was ever set in this thread; setting it to False forgets that."""
        return self._own.was_set

    @was_set.setter
    def was_set(self, was_set: bool) -> None:
        self._own.was_set = was_set

    def may_create(self) -> bool:
        """Return False: the policy makes the shared loop itself."""
        return False

    def describe(self) -> str:
        """Return a name of this process."""
        return f"process {os.getpid()}"


class ContextScope:
    """Each `contextvars` context has its own loop: each task, call of `asyncio.to_thread` or `Context.run`.

    A copy of a context inherits the loop of the original. A loop that is set in the copy is visible only there, and in
    later copies of the copy.
    """

    def __init__(self) -> None:
        """Start with no loop in any context."""
        self._setting: contextvars.ContextVar[_Setting] = contextvars.ContextVar("governess_event_loop")
        # A context keeps its values as long as it exists. So each loop has one setting, which can release the loop.
        self._settings: PerLoop[_Setting] = PerLoop()

    def get(self) -> asyncio.AbstractEventLoop | None:
        """Return the loop of this context; None if there is none, or if it is closed and nothing else references it."""
        setting = self._setting.get(None)
        return None if setting is None else setting.here()

    def set(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Set the loop of this context; None removes it."""
        self._setting.set(_Setting(None, os.getpid()) if loop is None else self._setting_of(loop))

    def release(self) -> None:
        """Drop the references to the loops."""
        for setting in self._settings.values():
            setting.release()

    @property
    def was_set(self) -> bool:
        """Whether a loop, or None, was set in this context or in its originals; setting it to False forgets that."""
        setting = self._setting.get(None)
        return setting is not None and setting.was_set and setting.process == os.getpid()

    @was_set.setter
    def was_set(self, was_set: bool) -> None:
        self._setting.set(_Setting(self.get(), os.getpid(), was_set))

    def may_create(self) -> bool:
        """Return whether this is the main thread and no loop was set in this context or in its originals."""
        return not self.was_set and threading.current_thread() is threading.main_thread()

    def describe(self) -> str:
        """Return the name of this thread, because contexts have no names."""
        return f"this context of thread {threading.current_thread().name!r}"

    def _setting_of(self, loop: asyncio.AbstractEventLoop) -> _Setting:
        setting = self._settings.get(loop)
        if setting is None or setting.process != os.getpid() or setting.here() is not loop:
            setting = _Setting(loop, os.getpid())
            self._settings.set(loop, setting)
            # A loop that cannot call this keeps its place until the policy is closed.
            if (call_on_close := getattr(loop, "call_on_close", None)) is not None:
                call_on_close(setting.release)
        elif not loop.is_closed():
            setting.loop = loop
        return setting


class _Setting:
    """A loop, the process in which it was set, and whether that counts as set.

    Attributes:
        loop: None if there is none, or it was released.
        process: the id.
        was_set: whether a loop, or None, counts as set.
    """

    __slots__ = ("_released", "loop", "process", "was_set")

    def __init__(self, loop: asyncio.AbstractEventLoop | None, process: int, was_set: bool = True) -> None:
        self.loop = loop
        self.process = process
        self.was_set = was_set
        self._released: weakref.ref[asyncio.AbstractEventLoop] | None = None

    def release(self) -> None:
        """Keep only a weak reference: `here` returns the loop as long as other code keeps it alive."""
        loop, self.loop = self.loop, None
        if loop is not None:
            self._released = weakref.ref(loop)

    def here(self) -> asyncio.AbstractEventLoop | None:
        """Return the loop; None in a forked child, which does not inherit it."""
        if self.process != os.getpid():
            return None
        return self._released() if self.loop is None and self._released is not None else self.loop


class _Local(threading.local):
    def __init__(self) -> None:
        self.process = os.getpid()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.was_set = False
