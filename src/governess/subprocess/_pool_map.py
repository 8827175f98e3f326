"""The results of many programs that a pool runs, each with its command."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from governess.children._per_loop import set_unless_done
from governess.children._spawn.command import Program
from governess.subprocess._pipeline import Cmd
from governess.subprocess._results import Completed
from governess.subprocess._together import own_task

if TYPE_CHECKING:
    from typing import Self

    from governess.subprocess._pool import ProcessPool

__all__ = ["PoolMap", "PoolResult"]


CommandT = TypeVar("CommandT", bound=Sequence[Program] | Cmd)
ResultT = TypeVar("ResultT")


class PoolResult(NamedTuple, Generic[CommandT, ResultT]):
    """A command that a pool has run, and its result.

    Attributes:
        command: the command, as passed to `ProcessPool.map`.
        result: a `Completed`; with ``return_exceptions=True`` it may be the exception of `run`.
    """

    command: CommandT
    result: ResultT


class PoolMap(Generic[CommandT, ResultT]):
    """The async iterator of `PoolResult` that `ProcessPool.map` returns."""

    def __init__(
        self,
        pool: ProcessPool,
        commands: Iterable[CommandT],
        ordered: bool,
        return_exceptions: bool,
        options: Mapping[str, Any],
    ) -> None:
        """Be ready to run the commands in the pool."""
        self._pool = pool
        self._commands = iter(commands)
        self._ordered = ordered
        self._return_exceptions = return_exceptions
        self._options = options
        self._tasks: dict[asyncio.Task[Completed[Any]], CommandT] = {}
        self._done: deque[asyncio.Task[Completed[Any]]] = deque()  # in the order in which they ended, if that counts
        self._waiters: list[asyncio.Future[None]] = []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PoolResult[CommandT, ResultT]:
        """Return the next result; raise StopAsyncIteration after the last one."""
        self._fill()
        while (task := self._take_done()) is None:
            # Not by asyncio.wait(), which adds a callback to each of the tasks and removes it, for each result.
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                self._waiters.remove(waiter)
        command = self._tasks.pop(task)
        self._fill()
        error = task.exception()
        if error is not None and not (self._return_exceptions and isinstance(error, Exception)):
            raise error
        result: Any = task.result() if error is None else error
        return PoolResult(command, result)

    def _take_done(self) -> asyncio.Task[Completed[Any]] | None:
        """Return the task whose result is the next one; None while it has not ended.

        Raises:
            StopAsyncIteration: all results were given.
        """
        if not self._tasks:
            raise StopAsyncIteration
        if self._ordered:
            first = next(iter(self._tasks))
            return first if first.done() else None
        return self._done.popleft() if self._done else None

    def _fill(self) -> None:
        """Have twice as many commands at work as there are places: while the oldest one takes long, others go on."""
        while len(self._tasks) < 2 * self._pool.max_children:
            try:
                command = next(self._commands)
            except StopIteration:
                return
            words, own = _parts(command)
            task = own_task(self._pool.run(*words, **{**own, **self._options}))
            task.add_done_callback(self._note_end)
            self._tasks[task] = command

    def _note_end(self, task: asyncio.Task[Completed[Any]]) -> None:
        if not task.cancelled():
            task.exception()  # otherwise asyncio logs the error of a result that no caller has retrieved
        if not self._ordered:
            self._done.append(task)
        elif task in self._tasks and task is not next(iter(self._tasks)):  # no caller waits for this one yet
            return
        for waiter in self._waiters:
            set_unless_done(waiter, None)


def _parts(command: Any) -> tuple[tuple[Program, ...], Mapping[str, Any]]:
    if isinstance(command, Cmd):
        return command.argv, command.options
    if isinstance(command, (str, bytes)):
        raise TypeError(f"a command is a list of a program and its arguments, or what cmd() returns, not {command!r}")
    return tuple(command), {}
