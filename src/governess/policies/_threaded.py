"""The policy whose loops live each in a thread of its own, and its `map`, which spreads work over them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from governess.abc import AbstractChildWatcher
from governess.loops._choose import LoopFactory
from governess.loops._threaded.calls import JOIN_TIMEOUT, LoopFuture, signal_poll_interval
from governess.loops._threaded.loop import ThreadedLoop, make_threaded
from governess.policies._closing import close_at_exit
from governess.policies._default import DefaultEventLoopPolicy
from governess.policies._scopes import Scope

__all__ = ["ThreadedEventLoopPolicy", "usable_cpus"]

T = TypeVar("T")
Item = TypeVar("Item")


class ThreadedEventLoopPolicy(DefaultEventLoopPolicy):
    """Each new loop lives and runs in a thread of its own, and can be used from any other as an ordinary loop."""

    def __init__(
        self,
        loop_factory: LoopFactory | str | None = None,
        *,
        threads: int | None = None,
        scope: Scope | None = None,
        watcher: AbstractChildWatcher | Callable[[], AbstractChildWatcher] | None = None,
    ) -> None:
        """Combine the three choices, as `DefaultEventLoopPolicy` does.

        Args:
            loop_factory: a callable or a name, as there; its loops are of a class that can be subclassed: asyncio's,
                uvloop's.
            threads: over how many loops, each in its thread, `map` spreads work; None is one for each CPU that this
                process may use.
            scope: who shares a loop.
            watcher: a watcher, or what makes one on the first need.

        Raises:
            ValueError: `threads` is less than 1; or there is no loop of that name.
            TypeError: an argument is not of its kind.
        """
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        super().__init__(loop_factory, scope=scope, watcher=watcher)
        self._threads = usable_cpus() if threads is None else threads
        self._map_loops: list[ThreadedLoop] = []

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return a new loop, which lives in a thread of its own and asks this policy for its watcher.

        Raises:
            TypeError: the loop factory has made something else, or a loop whose class is closed to change.
        """
        loop = super().new_event_loop()
        try:
            return make_threaded(loop)
        except BaseException:
            loop.close()
            raise

    def map(self, function: Callable[[Item], Awaitable[T]], items: Iterable[Item], *, at_once: int = 100) -> list[T]:
        """Await ``function(item)`` for each item, spread over the policy's loops; return the results in order.

        A loop takes the next item when it has time for it. The first error cancels the rest and is raised; so does an
        interrupt of the caller. Everything runs in copies of the caller's context.

        Args:
            function: an async function of one argument; or any function whose result can be awaited.
            items: what it is called with, one after the other.
            at_once: how many items one loop has in progress at the most.

        Raises:
            RuntimeError: this is the thread of one of these loops, which would wait for itself.
            ValueError: `at_once` is less than 1.
        """
        if at_once < 1:
            raise ValueError(f"at_once must be at least 1, not {at_once}")
        return _map(function, items, self._loops_for_map(), at_once)

    def _loops_for_map(self) -> list[ThreadedLoop]:
        with self._lock:
            self._map_loops = [loop for loop in self._map_loops if loop in self._loops and not loop.is_closed()]
            while len(self._map_loops) < self._threads:
                loop = make_threaded(self.new_event_loop())
                loop.start()
                close_at_exit(self)
                self._map_loops.append(loop)
            return list(self._map_loops)


def _map(
    function: Callable[[Item], Awaitable[T]], items: Iterable[Item], loops: Sequence[ThreadedLoop], at_once: int
) -> list[T]:
    """Await ``function(item)`` for each item in one of the loops, `at_once` of them in each; return the results.

    Raises:
        RuntimeError: one of the loops runs in this thread.
    """
    import queue  # nothing else that governess imports at first needs it

    for loop in loops:
        if loop.in_loop_thread:
            raise RuntimeError(f"this thread runs {loop!r}, over which the work is spread, and would wait for itself")
    work = deque(enumerate(items))
    results: dict[int, T] = {}
    total = len(work)

    async def take_items() -> None:
        while work:
            try:
                index, item = work.popleft()
            except IndexError:  # another thread was quicker
                return
            results[index] = await function(item)

    def next_ended() -> concurrent.futures.Future[Any]:
        while True:
            with contextlib.suppress(queue.Empty):
                return ended.get(timeout=signal_poll_interval())

    concurrency = min(at_once, -(-total // len(loops)))  # so that no loop takes all before another one has begun
    workers = [loop.prepare(_run_concurrently(take_items, concurrency)) for loop in loops[:total]]
    ended: queue.SimpleQueue[concurrent.futures.Future[Any]] = queue.SimpleQueue()
    try:
        for worker in workers:
            worker.add_done_callback(ended.put)
            worker.start()
        for _ in workers:
            next_ended().result()  # or raise the first error
    except BaseException:
        work.clear()
        _cancel(workers)
        raise
    return [results[index] for index in range(total)]


async def _run_concurrently(work: Callable[[], Awaitable[None]], concurrency: int) -> None:
    tasks = [asyncio.ensure_future(work()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _cancel(workers: Sequence[LoopFuture[Any]]) -> None:
    """Cancel them, those too that were not started yet, and give them a few seconds."""
    for worker in workers:
        worker.cancel()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            worker.start()
    deadline = time.monotonic() + JOIN_TIMEOUT
    for worker in workers:
        worker.wait_for_end(max(deadline - time.monotonic(), 0))


def usable_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    count = getattr(os, "process_cpu_count", None)  # 3.13 and later
    if count is None and hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return (count or os.cpu_count)() or 1
