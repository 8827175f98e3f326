"""A parallel map: the calls of an async function, distributed over loops that run each in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence, Sized
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from governess.children._per_loop import set_unless_done
from governess.loops._threaded.calls import JOIN_TIMEOUT, LoopFuture, signal_poll_interval
from governess.loops._threaded.loop import ThreadedLoop

if TYPE_CHECKING:
    import concurrent.futures

__all__ = ["spread"]

T = TypeVar("T")
Item = TypeVar("Item")


def spread(
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
    if isinstance(items, Sized):
        loops = loops[: len(items)]
        if loops:
            at_once = min(at_once, -(-len(items) // len(loops)))  # so that the first loop does not take all items
    work = _Work(function, items)
    ended: queue.SimpleQueue[concurrent.futures.Future[None]] = queue.SimpleQueue()
    workers = [loop.prepare(work.run(at_once)) for loop in loops]
    try:
        for worker in workers:
            worker.add_done_callback(ended.put)
            worker.start()
        for _ in workers:
            _next_of(ended, queue.Empty).result()  # or raise the first error
    except BaseException:
        work.stop()
        _cancel(workers)
        raise
    return [work.results[index] for index in range(len(work.results))]


def _next_of(queue: Any, empty: type[Exception]) -> Any:
    while True:
        with contextlib.suppress(empty):
            return queue.get(timeout=signal_poll_interval())


class _Work(Generic[Item, T]):
    """The items that are not taken yet, and the results.

    Attributes:
        results: by the number of the item.
    """

    def __init__(self, function: Callable[[Item], Awaitable[T]], items: Iterable[Item]) -> None:
        self.results: dict[int, T] = {}
        self._function = function
        self._context = contextvars.copy_context()
        self._items = enumerate(items)
        self._lock = threading.Lock()  # two threads must not advance a generator at the same time
        self._is_over = False

    def stop(self) -> None:
        """Let the loops take no more items."""
        self._is_over = True

    async def run(self, at_once: int) -> None:
        """Take items and run their calls, at most `at_once` at a time, until there are no more."""
        calls = _Calls(self._context)
        try:
            while (taken := self._take()) is not None:
                calls.start(self._call(*taken))
                del taken
                await calls.wait(for_an_end=len(calls.tasks) >= at_once)
            while calls.tasks:
                await calls.wait(for_an_end=True)
            await calls.wait(for_an_end=False)  # or raise the error of the last one
        finally:
            await calls.cancel()

    async def _call(self, index: int, item: Item) -> None:
        self.results[index] = await self._function(item)

    def _take(self) -> tuple[int, Item] | None:
        with self._lock:
            return None if self._is_over else next(self._items, None)


class _Calls:
    """The calls that one loop has in progress.

    Attributes:
        tasks: of the calls; each has a context of its own, as with gather().
    """

    def __init__(self, context: contextvars.Context) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._error: BaseException | None = None

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Start a call in a copy of the context."""
        task = self._loop.create_task(coroutine, context=self._context.copy())
        self.tasks.add(task)
        task.add_done_callback(self._note_end)

    async def wait(self, *, for_an_end: bool) -> None:
        """Wait until a call has ended, or give the calls and the other loops' threads a turn; raise a call's error."""
        if for_an_end and self._error is None:
            self._ended = self._loop.create_future()
            await self._ended
        else:
            await asyncio.sleep(0)
        if self._error is not None:
            raise self._error

    async def cancel(self) -> None:
        """Cancel the calls and wait until they have ended."""
        for task in (tasks := list(self.tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if self._error is None:
            self._error = error
        set_unless_done(self._ended, None)


def _cancel(workers: Sequence[LoopFuture[Any]]) -> None:
    """Cancel the workers, even those not started yet, and wait a few seconds for their end."""
    for worker in workers:
        worker.cancel()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            worker.start()
    deadline = time.monotonic() + JOIN_TIMEOUT
    for worker in workers:
        worker.wait_for_end(max(deadline - time.monotonic(), 0))
