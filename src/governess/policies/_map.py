"""Spreading work over loops that run in other threads."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from governess.loops._threaded.calls import JOIN_TIMEOUT, LoopFuture, signal_poll_interval
from governess.loops._threaded.loop import ThreadedLoop

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
        if loop.in_loop_thread:
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

    concurrency = min(at_once, -(-total // len(loops)))  # so that no loop takes all before another one has begun
    workers = [loop.prepare(_together(take_one_after_the_other, concurrency)) for loop in loops[:total]]
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
    try:
        for worker in workers:
            worker.add_done_callback(ended.put)
            worker.start()
        _wait(workers, ended)
    except BaseException:
        work.clear()
        _cancel(workers)
        raise
    return [results[index] for index in range(total)]


async def _together(work: Callable[[], Awaitable[None]], concurrency: int) -> None:
    tasks = [asyncio.ensure_future(work()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _wait(workers: Sequence[LoopFuture[Any]], ended: queue.SimpleQueue[LoopFuture[Any]]) -> None:
    """Wait for all; raise the first error."""
    for _ in workers:
        _next(ended).result()


def _next(ended: queue.SimpleQueue[LoopFuture[Any]]) -> LoopFuture[Any]:
    while True:
        with contextlib.suppress(queue.Empty):
            return ended.get(timeout=signal_poll_interval())


def _cancel(workers: Sequence[LoopFuture[Any]]) -> None:
    """Cancel them, those too that were not started yet, and give them a few seconds."""
    for worker in workers:
        worker.cancel()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            worker.start()
    deadline = time.monotonic() + JOIN_TIMEOUT
    for worker in workers:
        worker.wait_for_end(max(deadline - time.monotonic(), 0))
