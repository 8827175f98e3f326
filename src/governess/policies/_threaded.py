"""The policy whose loops run each in a thread of its own; its `map` distributes work over several loops."""

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
    """Runs each new loop in a thread of its own; any other thread can use it like an ordinary loop."""

    def __init__(
        self,
        loop_factory: LoopFactory | str | None = None,
        *,
        threads: int | None = None,
        scope: Scope | None = None,
        watcher: AbstractChildWatcher | Callable[[], AbstractChildWatcher] | None = None,
    ) -> None:
        """Combine loop factory, scope and watcher, as `DefaultEventLoopPolicy` does.

        Args:
            loop_factory: see `DefaultEventLoopPolicy`; it must be possible to subclass the class of its loops, as with
                those of asyncio and uvloop.
            threads: the number of loops, each in its thread, that `map` uses; None is one for each CPU that this
                process may use.
            scope: see `DefaultEventLoopPolicy`.
            watcher: see `DefaultEventLoopPolicy`.

        Raises:
            ValueError: `threads` is less than 1, or no loop has this name.
            TypeError: an argument has the wrong type.
        """
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        super().__init__(loop_factory, scope=scope, watcher=watcher)
        self._threads = usable_cpus() if threads is None else threads
        self._map_loops: list[ThreadedLoop] = []

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return a new loop, which runs in a thread of its own and uses the watcher of this policy.

        Raises:
            TypeError: the loop factory does not return an event loop, or the class of the loop cannot be changed.
        """
        loop = super().new_event_loop()
        try:
            return make_threaded(loop)
        except BaseException:
            loop.close()
            raise

    def map(self, function: Callable[[Item], Awaitable[T]], items: Iterable[Item], *, at_once: int = 100) -> list[T]:
        """Await ``function(item)`` for each item, distributed over the policy's loops; return the results in order.

        Each loop takes the next item as soon as it is free. The first error cancels the other calls and is raised; an
        interrupt of the caller cancels them too. The calls run in copies of the caller's context.

        Args:
            function: an async function of one argument, or any function that returns an awaitable.
            items: the arguments.
            at_once: how many items one loop has in progress at most.

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
    """Await ``function(item)`` for each item in one of the loops, at most `at_once` in each; return the results.

    Raises:
        RuntimeError: one of the loops runs in this thread.
    """
    import queue  # which nothing else needs that `import governess` imports

    for loop in loops:
        if loop.in_loop_thread:
            raise RuntimeError(f"this thread runs {loop!r}, which is to do the work, and would wait for itself")
    work = deque(enumerate(items))
    results: dict[int, T] = {}
    total = len(work)

    async def take_items() -> None:
        while work:
            try:
                index, item = work.popleft()
            except IndexError:  # another thread has taken the last one
                return
            results[index] = await function(item)

    def next_ended() -> concurrent.futures.Future[Any]:
        while True:
            with contextlib.suppress(queue.Empty):
                return ended.get(timeout=signal_poll_interval())

    concurrency = min(at_once, -(-total // len(loops)))  # so that the first loop does not take all items
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
    """Cancel the workers, even those not started yet, and wait a few seconds for their end."""
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
