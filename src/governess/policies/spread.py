"""Spreading work over loops that run in other threads."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from governess.loops.submitted import Submitted
from governess.loops.threaded import ThreadedLoop
from governess.loops.waiting import PATIENCE, tick

__all__ = ["spread"]

T = TypeVar("T")
Item = TypeVar("Item")


def spread(
    function: Callable[[Item], Awaitable[T]], items: Iterable[Item], loops: Sequence[ThreadedLoop], at_once: int
) -> list[T]:
    """Await ``function(item)`` for each item in one of the loops, `at_once` of them in each; return the results.

    Raises:
        RuntimeError: one of the loops runs in this thread.
    """
    for loop in loops:
        if loop.lives_here:
            raise RuntimeError(f"this thread runs {loop!r}, over which the work is spread, and would wait for itself")
    work = deque(enumerate(items))
    results: dict[int, T] = {}
    total = len(work)

    async def take_one_after_the_other() -> None:
        while work:
            try:
                index, item = work.popleft()
            except IndexError:  # another thread was quicker
                return
            results[index] = await function(item)

    hands = min(at_once, -(-total // len(loops)))  # so that no loop takes all before another one has begun
    crews = [loop.prepare(_together(take_one_after_the_other, hands)) for loop in loops[:total]]
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
    try:
        for crew in crews:
            crew.add_done_callback(ended.put)
            crew.hand_over()
        _wait(crews, ended)
    except BaseException:
        work.clear()
        _cancel(crews)
        raise
    return [results[index] for index in range(total)]


async def _together(work: Callable[[], Awaitable[None]], hands: int) -> None:
    tasks = [asyncio.ensure_future(work()) for _ in range(hands)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _wait(crews: Sequence[Submitted[Any]], ended: queue.SimpleQueue[Submitted[Any]]) -> None:
    """Wait for all; raise the first error."""
    for _ in crews:
        _next(ended).result()


def _next(ended: queue.SimpleQueue[Submitted[Any]]) -> Submitted[Any]:
    while True:
        with contextlib.suppress(queue.Empty):
            return ended.get(timeout=tick())


def _cancel(crews: Sequence[Submitted[Any]]) -> None:
    """Cancel them, those too that were not handed over yet, and give them a few seconds."""
    for crew in crews:
        crew.cancel()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            crew.hand_over()
    deadline = time.monotonic() + PATIENCE
    for crew in crews:
        crew.wait_for_end(max(deadline - time.monotonic(), 0))
