"""The coroutine that a task of a limited loop runs: the one that it was given, behind a gate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

from governess.loops.places import Claim, Places

__all__ = ["Gate"]


class Gate(Coroutine[Any, Any, Any]):
    """Lets the coroutine take its first step when its task has a place, and tells the places how it goes on.

    It looks like the coroutine: name, frame, code and the like are the coroutine's. So is its state, in which anyio,
    which cancels no task that has not begun, sees that one in line has not.
    """

    __slots__ = ("__weakref__", "_coroutine", "_is_open", "_loop", "_places", "_queueing", "claim")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], places: Places, loop: asyncio.AbstractEventLoop) -> None:
        self.claim = Claim(places.current)
        self._coroutine = coroutine
        self._places = places
        self._loop = loop
        self._is_open = False
        self._queueing: Generator[Any, None, None] | None = None

    def send(self, value: Any) -> Any:
        """Take a step, of the coroutine or in line."""
        if not self._is_open and (waiter := self._queue()) is not None:
            return waiter
        return self._step(self._coroutine.send, value)

    def throw(self, *error: Any) -> Any:
        """Raise the error where the coroutine waits; in line, it ends with the error before it has begun."""
        if not self._is_open:
            self._shut()
            return self._coroutine.throw(*error)
        return self._step(self._coroutine.throw, *error)

    def close(self) -> None:
        """End the coroutine."""
        self._shut()
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coroutine, name)

    def __repr__(self) -> str:
        return repr(self._coroutine)

    def _queue(self) -> Any:
        """Return what to wait for before the first step; None if there is a place."""
        # It stands in line by its task, which is what its maker may await.
        if self._queueing is None and not self._places.ask(self.claim, asyncio.current_task(self._loop)):
            admitted = self._loop.create_future()
            self.claim.admit = partial(_admit, admitted)
            self._queueing = admitted.__await__()
        if self._queueing is not None:
            try:
                return next(self._queueing)
            except StopIteration:
                self._queueing = None
        self._is_open = True
        return None

    def _shut(self) -> None:
        self._queueing = None
        self._is_open = True
        self._places.end(self.claim)

    def _step(self, step: Callable[..., Any], *value: Any) -> Any:
        places, claim = self._places, self.claim
        outer, places.current = places.current, claim
        places.go_on(claim)
        try:
            awaited = step(*value)
        except BaseException:
            places.end(claim)
            raise
        finally:
            places.current = outer
        places.wait(claim, awaited)
        return awaited


def _admit(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():  # it may have been cancelled
        waiter.set_result(None)
