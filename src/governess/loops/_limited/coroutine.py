"""The coroutine that a task of a limited loop runs: the one that it was given, behind a wrapper."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

from governess.children._per_loop import set_unless_done
from governess.loops._limited.limiter import Slot, SlotLimiter

__all__ = ["LimitedCoroutine"]


class LimitedCoroutine(Coroutine[Any, Any, Any]):
    """Lets the coroutine take its first step when its task has a slot, and tells the limiter how it goes on.

    It looks like the coroutine: name, frame, code and the like are the coroutine's. So is its state, in which anyio,
    which cancels no task that has not begun, sees that a queued one has not.
    """

    __slots__ = ("__weakref__", "_coroutine", "_has_begun", "_limiter", "_loop", "_waiting", "slot")

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], limiter: SlotLimiter, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.slot = Slot(limiter.current)
        self._coroutine = coroutine
        self._limiter = limiter
        self._loop = loop
        self._has_begun = False
        self._waiting: Generator[Any, None, None] | None = None

    def send(self, value: Any) -> Any:
        """Take a step, of the coroutine or in the queue."""
        if not self._has_begun and (waiter := self._queue()) is not None:
            return waiter
        return self._step(self._coroutine.send, value)

    def throw(self, *error: Any) -> Any:
        """Raise the error where the coroutine waits; queued, it ends with the error before it has begun."""
        if not self._has_begun:
            self._skip_queue()
            return self._coroutine.throw(*error)
        return self._step(self._coroutine.throw, *error)

    def close(self) -> None:
        """End the coroutine."""
        self._skip_queue()
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coroutine, name)

    def __repr__(self) -> str:
        return repr(self._coroutine)

    def _queue(self) -> Any:
        """Return what to wait for before the first step; None if there is a slot."""
        # It is queued by its task, which is what its maker may await.
        if self._waiting is None and not self._limiter.request(self.slot, asyncio.current_task(self._loop)):
            admitted = self._loop.create_future()
            self.slot.admit = partial(set_unless_done, admitted, None)
            self._waiting = admitted.__await__()
        if self._waiting is not None:
            try:
                return next(self._waiting)
            except StopIteration:
                self._waiting = None
        self._has_begun = True
        return None

    def _skip_queue(self) -> None:
        self._waiting = None
        self._has_begun = True
        self._limiter.release(self.slot)

    def _step(self, step: Callable[..., Any], *value: Any) -> Any:
        limiter, slot = self._limiter, self.slot
        outer, limiter.current = limiter.current, slot
        limiter.resume(slot)
        try:
            awaited = step(*value)
        except BaseException:
            limiter.release(slot)
            raise
        finally:
            limiter.current = outer
        limiter.suspend(slot, awaited)
        return awaited
