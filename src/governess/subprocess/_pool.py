"""Runs many programs, a limited number at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from governess.children._cpus import usable_cpus
from governess.children._spawn.command import Program
from governess.subprocess._end import EndBounds
from governess.subprocess._options import CommandRunOptions, RunOptions, StartOptions
from governess.subprocess._pool_map import CommandT, PoolMap
from governess.subprocess._process import Process
from governess.subprocess._results import Completed
from governess.subprocess._run import run
from governess.subprocess._start import start
from governess.subprocess._together import cancel_all, own_task, wait_for_all
from governess.transports._write_buffer import Buffer

if TYPE_CHECKING:
    from typing import Self

__all__ = ["ProcessPool"]


class ProcessPool:
    """Runs programs, at most `max_children` at the same time, for the length of a block.

    Any further program waits for a slot; the slots are given in the order of the requests. At the end of
    ``async with ProcessPool() as pool:`` the pool waits for the running and the waiting programs. After an error or a
    cancellation, the running programs are ended, and each waiting call raises `RuntimeError`.

    Attributes:
        max_children: the largest number of programs that run at the same time.
        timeout: seconds that a program may run by default; None for no limit.
    """

    def __init__(self, max_children: int | None = None, *, timeout: float | None = None) -> None:
        """Make a pool without programs.

        Args:
            max_children: the number of programs that may run at the same time; None for the number of processors that
                this process may use.
            timeout: seconds that a program may run by default; None for no limit.

        Raises:
            ValueError: `max_children` is less than 1, or not an integer.
        """
        if max_children is None:
            max_children = usable_cpus()
        if type(max_children) is not int or max_children < 1:
            raise ValueError(f"a pool has places for one child at least, not for {max_children!r}")
        self.max_children = max_children
        self.timeout = timeout
        self._free = max_children
        self._queue: deque[asyncio.Future[None]] = deque()
        self._runs: dict[asyncio.Timeout, asyncio.Task[Any] | None] = {}
        self._blocks: dict[Process, EndBounds] = {}
        self._is_closed = False
        self._idle: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        taken = self.max_children - self._free
        return f"<ProcessPool {taken} of {self.max_children} run, {len(self._queue)} wait>"

    @overload
    async def run(
        self,
        *argv: Program | Sequence[Program],
        input: Buffer | None = None,
        capture: Literal[True] = True,
        encoding: None = None,
        check: bool = False,
        timeout: float | None = ...,
        **options: Unpack[RunOptions],
    ) -> Completed[bytes]: ...
    @overload
    async def run(
        self,
        *argv: Program | Sequence[Program],
        input: str | None = None,
        capture: Literal[True] = True,
        encoding: str,
        check: bool = False,
        timeout: float | None = ...,
        **options: Unpack[RunOptions],
    ) -> Completed[str]: ...
    @overload
    async def run(
        self,
        *argv: Program | Sequence[Program],
        input: Buffer | str | None = None,
        capture: Literal[False],
        encoding: str | None = None,
        check: bool = False,
        timeout: float | None = ...,
        **options: Unpack[RunOptions],
    ) -> Completed[None]: ...
    async def run(self, *argv: Any, **options: Any) -> Completed[Any]:
        """Wait for a slot, then run a program to its end as `governess.subprocess.run` does.

        Args:
            *argv: the program and its arguments.
            **options: as in `governess.subprocess.run`. The default of `timeout` is the `timeout` of the pool; the time
                in which the call waits for a slot does not count.

        Returns:
            The result of the program.

        Raises:
            RuntimeError: the pool is closed, or was closed while the program ran; the program was ended then.
            ProcessError: as in `governess.subprocess.run`, like all other errors.
        """
        options.setdefault("timeout", self.timeout)
        await self._take_place()
        guard = asyncio.timeout(None)
        self._runs[guard] = asyncio.current_task()
        try:
            async with guard:
                completed: Completed[Any] = await run(*argv, **options)
            return completed
        except TimeoutError:
            if guard.expired():
                raise RuntimeError("the pool was closed while the program ran, which was ended") from None
            raise
        finally:
            del self._runs[guard]
            self._give_place()

    @overload
    def map(
        self,
        commands: Iterable[CommandT],
        *,
        ordered: bool = True,
        return_exceptions: Literal[True],
        **options: Unpack[CommandRunOptions],
    ) -> PoolMap[CommandT, Completed[Any] | Any]: ...
    @overload
    def map(
        self,
        commands: Iterable[CommandT],
        *,
        ordered: bool = True,
        return_exceptions: Literal[False] = False,
        capture: Literal[True] = True,
        encoding: None = None,
        check: bool = False,
        timeout: float | None = ...,
        **options: Unpack[RunOptions],
    ) -> PoolMap[CommandT, Completed[bytes]]: ...
    @overload
    def map(
        self,
        commands: Iterable[CommandT],
        *,
        ordered: bool = True,
        return_exceptions: Literal[False] = False,
        capture: Literal[True] = True,
        encoding: str,
        check: bool = False,
        timeout: float | None = ...,
        **options: Unpack[RunOptions],
    ) -> PoolMap[CommandT, Completed[str]]: ...
    @overload
    def map(
        self,
        commands: Iterable[CommandT],
        *,
        ordered: bool = True,
        return_exceptions: bool = False,
        **options: Unpack[CommandRunOptions],
    ) -> PoolMap[CommandT, Any]: ...
    def map(
        self,
        commands: Iterable[CommandT],
        *,
        ordered: bool = True,
        return_exceptions: bool = False,
        **options: Any,
    ) -> PoolMap[CommandT, Any]:
        """Run many programs, and iterate over their results.

        The caller may leave the iteration early. A timeout around the next result loses no result. At most
        ``2 * max_children`` commands are taken from `commands` in advance. To stop at the first failure, pass
        ``ordered=False, check=True``: the iterator raises the failure at once, and the end of the pool's block then
        ends the other programs.

        Args:
            commands: lists of a program and its arguments, or results of `cmd`.
            ordered: whether the results come in the order of the commands. With False, each result comes as soon as its
                program has ended.
            return_exceptions: whether an exception of `run` is returned as the result: a program that does not exist, a
                timeout, or with `check` a failure. With False, the iterator raises the exception, and the iteration can
                be continued.
            **options: as in `governess.subprocess.run`, for all programs. They override the options of a `Cmd`.

        Returns:
            An async iterator of `PoolResult`, each a pair (command, result).
        """
        return PoolMap(self, commands, ordered, return_exceptions, options)

    @contextlib.asynccontextmanager
    async def start(
        self, *argv: Program | Sequence[Program], **options: Unpack[StartOptions]
    ) -> AsyncIterator[Process]:
        """Wait for a slot, then start a program for the length of a block: ``async with pool.start(…) as process:``.

        The end of the block ends the program and releases the slot.

        Args:
            *argv: the program and its arguments.
            **options: as in `governess.subprocess.start`.

        Raises:
            RuntimeError: the pool is closed.
            OSError: as in `subprocess.Popen`, like all errors of the start. The slot is released then.
        """
        await self._take_place()
        try:
            block = start(*argv, **options)
            async with block as process:
                if self._is_closed:  # while it was being started
                    raise RuntimeError("the pool was closed")
                self._blocks[process] = block.bounds
                try:
                    yield process
                finally:
                    del self._blocks[process]
        finally:
            self._give_place()

    async def close(self) -> None:
        """End all running programs at the same time, as `Process.end` does; waiting calls raise `RuntimeError`.

        If this method is cancelled, the programs are killed before the end of their grace.
        """
        self._is_closed = True
        while self._queue:
            _settle(self._queue.popleft(), RuntimeError("the pool was closed"))
        for guard in self._runs:
            with contextlib.suppress(RuntimeError):  # it is over in this very iteration of the loop
                guard.reschedule(0.0)
        ends = [own_task(process._end(bounds)) for process, bounds in self._blocks.items()]
        try:
            await wait_for_all(ends)
            await self._emptied()
        except asyncio.CancelledError:
            cancel_all([task for task in self._runs.values() if task is not None])
            await self._emptied()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is GeneratorExit:  # the coroutine is thrown away, and can wait for nothing; so are all others
            self._is_closed = True
            return
        try:
            if kind is None:
                await self._emptied()
        finally:
            await self.close()

    async def _emptied(self) -> None:
        """Wait until nothing runs and nothing waits."""
        while self._queue or self._free < self.max_children:
            if self._idle is None:
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)

    async def _take_place(self) -> None:
        if self._is_closed:
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
        if self._free == self.max_children and self._idle is not None:
            _settle(self._idle)
            self._idle = None


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
