"""What every layer needs of event loops: the running loop, a value for each loop, close hooks, and futures."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["CloseHook", "PerLoop", "running_loop", "set_unless_done", "when_closed"]

T = TypeVar("T")


#: Returns the loop that runs in this thread, or None: one call in C.
running_loop: Callable[[], asyncio.AbstractEventLoop | None] = asyncio._get_running_loop


def set_unless_done(future: asyncio.Future[T], result: T) -> None:
    """Set the future's result, unless it is cancelled or done."""
    if not future.done():
        future.set_result(result)


class PerLoop(Generic[T]):
    """What each loop has of one kind. Threads and signal handlers may change it while somebody walks through it.

    It is an attribute of the loop: what leads back to the loop is garbage together with it, which a
    `weakref.WeakKeyDictionary` would keep for ever. A loop without attributes is kept by a thing that leads to it.

    Attributes:
        name: the name of that attribute.
    """

    def __init__(self) -> None:
        """Start without any loop."""
        self.name = f"_governess_{next(_numbers)}"
        self._loops: dict[weakref.ref[asyncio.AbstractEventLoop], T | None] = {}

    def get(self, loop: asyncio.AbstractEventLoop) -> T | None:
        """Return what belongs to the loop, if there is something."""
        try:
            return loop.__dict__.get(self.name)
        except AttributeError:  # it has slots alone
            return self._loops.get(weakref.ref(loop))

    def set(self, loop: asyncio.AbstractEventLoop, thing: T) -> None:
        """Let the thing belong to the loop."""
        loops, kept_here = self._loops, None
        try:
            loop.__dict__[self.name] = thing
        except AttributeError:
            kept_here = thing
        loops[weakref.ref(loop, lambda gone: loops.pop(gone, None))] = kept_here

    def discard(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let nothing belong to the loop."""
        self._loops.pop(weakref.ref(loop), None)
        with contextlib.suppress(AttributeError):
            loop.__dict__.pop(self.name, None)

    def values(self) -> list[T]:
        """Return the things of all loops."""
        loops = [loop for reference in list(self._loops) if (loop := reference()) is not None]
        return [thing for loop in loops if (thing := self.get(loop)) is not None]

    def clear(self) -> None:
        """Forget all."""
        for reference in list(self._loops):
            if (loop := reference()) is not None:
                self.discard(loop)


_numbers = itertools.count()


class CloseHook:
    """A request to be told of a loop's end.

    Attributes:
        is_reliable: whether the loop tells when it is closed; else it is told of only when the loop is garbage.
        cancel: takes the request back.
    """

    __slots__ = ("cancel", "is_reliable")

    def __init__(self, is_reliable: bool, cancel: Callable[[], object]) -> None:
        self.is_reliable = is_reliable
        self.cancel = cancel


def when_closed(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> CloseHook:
    """Call `callback` right before the loop is closed, if the loop can tell; else when it is garbage."""
    register = getattr(loop, "call_on_close", None)
    if register is not None:
        return CloseHook(True, register(callback))
    finalizer = weakref.finalize(loop, _unless_finalizing, callback)
    finalizer.atexit = False
    return CloseHook(False, finalizer.detach)


def _unless_finalizing(callback: Callable[[], object]) -> None:
    # At interpreter shutdown a frozen thread may hold any lock.
    if not sys.is_finalizing():
        callback()
