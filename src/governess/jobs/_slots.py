"""The slots of a run: tasks that take one job after the other, and wait until something has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from governess.children._per_loop import set_unless_done

__all__ = ["Slots"]


class Slots:
    """Makes slots when they are needed, up to a limit.

    Args:
        loop: the loop in which they work.
        limit: how many there may be.
        work: what each of them does; it gets the number of the slot, from 1.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, limit: int, work: Callable[[int], Coroutine[Any, Any, None]]
    ) -> None:
        self._loop = loop
        self._limit = limit
        self._work = work
        self._count = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiters: list[asyncio.Future[None]] = []
        self._done: asyncio.Future[None] = loop.create_future()

    def grow(self) -> None:
        """Have one more slot, if there may be one, and none waits."""
        if self._count >= self._limit or self._waiters:
            return
        self._count += 1
        task = self._loop.create_task(self._work(self._count))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def finish(self) -> None:
        """Wait until all slots have ended; raise what one of them has raised."""
        await self._done

    @property
    def has_finished(self) -> bool:
        """Whether all slots have ended, and none with an error."""
        return self._done.done() and not self._done.cancelled() and self._done.exception() is None

    @property
    def is_anyone_left(self) -> bool:
        """Whether a slot has not ended."""
        return bool(self._tasks)

    async def leave(self, timeout: float) -> None:
        """Wait until all slots have ended, or `timeout` seconds have passed."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)

    async def wait(self, seconds: float | None) -> None:
        """Wait until `wake` is called, or the `seconds` have passed; None waits without a limit."""
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        timer = None if seconds is None else self._loop.call_later(seconds, set_unless_done, waiter, None)
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()
            if waiter in self._waiters:  # the time was over
                self._waiters.remove(waiter)

    def wake(self) -> None:
        """Wake all slots that wait."""
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                set_unless_done(waiter, None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._done.done():
            return
        if task.cancelled():
            self._done.cancel()
        elif (error := task.exception()) is not None:
            self._done.set_exception(error)
        elif not self._tasks:
            self._done.set_result(None)
