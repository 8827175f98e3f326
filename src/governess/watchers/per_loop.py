"""One thing for each loop, as long as the loop lives."""

from __future__ import annotations

import asyncio
import weakref
from typing import Generic, TypeVar

__all__ = ["PerLoop"]

T = TypeVar("T")


class PerLoop(Generic[T]):
    """A `weakref.WeakKeyDictionary` that threads and signal handlers may change while somebody walks through it."""

    def __init__(self) -> None:
        """Start without any loop."""
        self._things: dict[weakref.ref[asyncio.AbstractEventLoop], T] = {}

    def get(self, loop: asyncio.AbstractEventLoop) -> T | None:
        """Return what belongs to the loop, if there is something."""
        return self._things.get(weakref.ref(loop))

    def set(self, loop: asyncio.AbstractEventLoop, thing: T) -> None:
        """Let the thing belong to the loop."""
        things = self._things
        things[weakref.ref(loop, lambda gone: things.pop(gone, None))] = thing

    def values(self) -> list[T]:
        """Return the things of all loops."""
        return list(self._things.values())  # in one step of the interpreter

    def clear(self) -> None:
        """Forget all."""
        self._things.clear()
