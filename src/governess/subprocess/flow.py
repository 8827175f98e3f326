"""Several programs at once, each reading what the one before it writes, through pipes of the kernel's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

from governess.children.command import Program, Stdio
from governess.children.exit import Exit
from governess.subprocess.create import create
from governess.subprocess.process import Process
from governess.subprocess.reader import Reader
from governess.subprocess.start import group_command
from governess.subprocess.streams import LIMIT, Output
from governess.subprocess.together import cancel_all, in_turn, wait_for_all

__all__ = ["Flow", "FlowStart"]

Stage = tuple[tuple[Program, ...], Mapping[str, Any]]


class Flow:
    """A pipeline that runs.

    When one of its programs fails, the others are ended. A program fails if it exits with anything but 0; the end by
    SIGPIPE is no failure of any but the last: the next one had read enough.

    Attributes:
        processes: its programs in their order, each a `Process` that leads a group of its own.
    """

    def __init__(self, processes: Sequence[Process], grace: float) -> None:
        """Attend to the processes; `grace` is for those that are ended because of another one."""
        self.processes = tuple(processes)
        self._grace = grace
        self._culprit: Process | None = None
        self._over = asyncio.ensure_future(self._attend())

    def __repr__(self) -> str:
        return f"<Flow {' | '.join(map(repr, self.processes))}>"

    @property
    def stdin(self) -> asyncio.StreamWriter | None:
        """What writes to the first program, if that has a pipe."""
        return self.processes[0].stdin

    @property
    def stdout(self) -> Reader | None:
        """What reads from the last program, if that has a pipe."""
        return self.processes[-1].stdout

    @property
    def exits(self) -> tuple[Exit | None, ...]:
        """How each of them ended; None for those that run."""
        return tuple(process.exit for process in self.processes)

    @property
    def culprit(self) -> Process | None:
        """The program that failed first; None if there is none."""
        return self._culprit

    @property
    def exit(self) -> Exit | None:
        """How the program ended that failed first; else how the last one did; None while any runs."""
        if not all(exit is not None for exit in self.exits):
            return None
        return (self._culprit or self.processes[-1]).exit

    async def wait(self) -> Exit:
        """Wait until all have ended; return the `exit` of the pipeline."""
        if self.exit is None or not self._over.done():
            await asyncio.shield(self._over)
        exit = self.exit
        assert exit is not None
        return exit

    async def end(self, **bounds: float) -> None:
        """End all of them at the same time, as `Process.end` does, with its arguments."""
        self._look_for_a_failure()
        await in_turn(_end_all(self.processes, bounds), self._attend_no_more())

    def abandon(self) -> None:
        """Kill all of them, without waiting for anything."""
        cancel_all([self._over])
        for process in self.processes:
            process.abandon()

    async def _attend_no_more(self) -> None:
        self._over.cancel()
        await asyncio.wait((self._over,))

    async def _attend(self) -> None:
        tasks = {asyncio.ensure_future(process.wait()): process for process in self.processes}
        running = set(tasks)
        try:
            while running and self._culprit is None:
                _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                self._look_for_a_failure()
            for number, patience in ((signal.SIGTERM, self._grace), (signal.SIGKILL, None)):
                for task in running:
                    _signal(tasks[task], number)
                if running:
                    _, running = await asyncio.wait(running, timeout=patience)
        finally:
            cancel_all(running)

    def _look_for_a_failure(self) -> None:
        if self._culprit is None:
            self._culprit = next(filter(self._has_failed, self.processes), None)

    def _has_failed(self, process: Process) -> bool:
        exit = process.poll()
        if not exit:  # it runs, or has exited with 0
            return False
        return exit != -signal.SIGPIPE or process is self.processes[-1]


class FlowStart:
    """What starts a pipeline for the length of a block, in ``async with``, whose value is the `Flow`."""

    def __init__(
        self, stages: Sequence[Stage], stdin: Stdio, stdout: Stdio, stderr: Stdio, output: Output, **bounds: float
    ) -> None:
        """Be ready to start; `bounds` are those of `Process.end`."""
        self._stages = stages
        self._ends = stdin, stdout
        self._stderr = stderr
        self._output = output
        self._bounds = bounds
        self._flow: Flow | None = None

    async def __aenter__(self) -> Flow:
        if self._flow is not None:
            raise RuntimeError("each start() is good for one block")
        processes: list[Process] = []
        try:
            await self._start_all(processes)
        except GeneratorExit:  # as in `__aexit__`
            for process in processes:
                process.abandon()
            raise
        except BaseException:
            await _end_all(processes, self._bounds)
            raise
        self._flow = Flow(processes, self._bounds["grace"])
        return self._flow

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._flow is not None
        if kind is GeneratorExit:  # the coroutine is thrown away, and cannot wait for anything
            self._flow.abandon()
        else:
            await self._flow.end(**self._bounds)

    async def _start_all(self, processes: list[Process]) -> None:
        stdin, stdout = self._ends
        with contextlib.ExitStack() as our_copies:
            for stage in self._stages[:-1]:
                reading, writing = os.pipe()
                our_copies.callback(os.close, reading)
                try:
                    processes.append(await self._start(stage, stdin, writing))
                finally:
                    os.close(writing)
                stdin = reading
            processes.append(await self._start(self._stages[-1], stdin, stdout))

    async def _start(self, stage: Stage, stdin: Stdio, stdout: Stdio) -> Process:
        argv, options = stage
        own = {"stderr": self._stderr, "session": False, **options}
        command = group_command(argv, stdin, stdout, own.pop("stderr"), own.pop("session"), own)
        return await create(command, LIMIT, self._output)


async def _end_all(processes: Iterable[Process], bounds: Mapping[str, float]) -> None:
    ends = [asyncio.ensure_future(process.end(**bounds)) for process in processes if not process.is_detached]
    await wait_for_all(ends)
    for end in ends:
        end.result()


def _signal(process: Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        process.signal_tree(number)
