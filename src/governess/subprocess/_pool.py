"""Runs many children, a limited number at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from governess.children._exit import Exit
from governess.children._spawn.command import Program
from governess.subprocess._options import StartOptions
from governess.subprocess._process import Process
from governess.subprocess._start import Start, start
from governess.subprocess._together import cancel_all, own_task, run_both, wait_for_all

if TYPE_CHECKING:
    from typing import Self, Unpack

__all__ = ["PoolExit", "ProcessPool"]


class PoolExit(Exit):
    """How a child of a pool ended, and which.

    Attributes:
        process: the child, whose output can still be read.
    """

    process: Process


class ProcessPool:
    """Children of which at most `max_children` run at the same time.

    Who wants to start one more waits for a place; the places are given in the order in which they were asked for.
    ``async with pool:`` closes it in the end, which ends the children that still run.

    Attributes:
        max_children: how many may run at the same time.
    """

    def __init__(self, max_children: int) -> None:
        """Have places for `max_children`.

        Raises:
            ValueError: there would be no place.
        """
        if type(max_children) is not int or max_children < 1:
            raise ValueError(f"a pool has places for one child at least, not for {max_children!r}")
        self.max_children = max_children
        self._free = max_children
        self._queue: deque[asyncio.Future[None]] = deque()
        self._starting = 0
        self._running: dict[Process, asyncio.Task[None]] = {}
        self._exits: deque[PoolExit] = deque()
        self._news = asyncio.Event()
        self._closing = asyncio.Event()

    def __repr__(self) -> str:
        return f"<ProcessPool {len(self._running)} of {self.max_children} run, {len(self._queue)} wait>"

    @property
    def running(self) -> tuple[Process, ...]:
        """The children that run, the oldest first."""
        return tuple(self._running)

    async def start(self, *argv: Program | Sequence[Program], **options: Unpack[StartOptions]) -> Process:
        """Start a program as soon as there is a place for it.

        Its place is free again when it has ended, and with it the process group that it leads.

        Args:
            *argv: the program and its arguments.
            **options: as in `governess.subprocess.start`.

        Raises:
            RuntimeError: the pool is closed.
            OSError: as `subprocess.Popen` raises it; so its other errors. The place is free again then.
        """
        block = start(*argv, **options)
        self._starting += 1
        try:
            await self._take_place()
            try:
                process = await block.__aenter__()
            except BaseException:
                self._give_place()
                raise
            task = self._running[process] = own_task(self._attend(process, block))
        finally:
            self._starting -= 1
            self._tell_news()
        if self._closing.is_set():  # while it was being started
            await wait_for_all([task])
            raise RuntimeError("the pool was closed")
        return process

    async def as_exited(self) -> AsyncIterator[PoolExit]:
        """Give the exits in the order in which they come, until no child runs and no start waits for a slot.

        More children may be started meanwhile. Each exit is given once.
        """
        while self._exits or not self._is_idle():
            if self._exits:
                yield self._exits.popleft()
            else:
                await self._news.wait()

    async def join(self) -> None:
        """Wait until no child runs and no start waits for a slot; the exits stay for `as_exited`."""
        while not self._is_idle():
            await self._news.wait()

    async def close(self) -> None:
        """End the running children, all at the same time, as `start` says; starts that wait for a slot get an error."""
        self._closing.set()
        while self._queue:
            _settle(self._queue.popleft(), RuntimeError("the pool was closed"))
        await wait_for_all(self._running.values())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not GeneratorExit:
            await self.close()
            return
        for process in self.running:  # the coroutine is thrown away, and cannot wait for anything
            process._kill_now()

    def _is_idle(self) -> bool:
        return not self._running and not self._starting

    async def _take_place(self) -> None:
        if self._closing.is_set():
            raise RuntimeError("the pool is closed")
        if self._free and not self._queue:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._queue = deque(waiting for waiting in self._queue if waiting is not turn)
            elif turn.exception() is None:
                self._give_place()
            raise

    def _give_place(self) -> None:
        while self._queue:
            if _settle(self._queue.popleft()):
                return
        self._free += 1

    async def _attend(self, process: Process, block: Start) -> None:
        ended = _either(process.wait(), self._closing.wait())
        try:
            await run_both(ended, block.__aexit__(None, None, None))
        except GeneratorExit:  # the task is thrown away, and cannot wait for anything
            process._kill_now()
            raise
        finally:
            del self._running[process]
            self._exits.append(_exit_of(process))
            self._give_place()
            self._tell_news()

    def _tell_news(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._news.set()
        self._news.clear()  # who waits by now is woken all the same


async def _either(*endings: Coroutine[Any, Any, object]) -> None:
    tasks = [own_task(ending) for ending in endings]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        cancel_all(tasks)


def _settle(turn: asyncio.Future[None], error: Exception | None = None) -> bool:
    if turn.done():
        return False
    try:
        if error is None:
            turn.set_result(None)
        else:
            turn.set_exception(error)
    except RuntimeError:  # the loop is closed, and its coroutines are thrown away
        return False
    return True


def _exit_of(process: Process) -> PoolExit:
    exit = Exit.unknown() if process.exit is None else process.exit
    told = PoolExit(int(exit), rusage=exit.rusage, core_dumped=exit.core_dumped, lost=exit.lost)
    told.process = process
    return told
