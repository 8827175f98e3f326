"""Spreading work over loops that run in other threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

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
    crews = [loop.submit(_together(take_one_after_the_other, hands)) for loop in loops[:total]]
    try:
        _wait(crews)
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


def _wait(crews: Sequence[concurrent.futures.Future[Any]]) -> None:
    """Wait for all; raise the first error."""
    left = set(crews)
    while left:
        done, left = concurrent.futures.wait(left, tick(), concurrent.futures.FIRST_EXCEPTION)
        for crew in done:
            crew.result()


def _cancel(crews: Sequence[concurrent.futures.Future[Any]]) -> None:
    for crew in crews:
        crew.cancel()
    concurrent.futures.wait(crews, PATIENCE)
