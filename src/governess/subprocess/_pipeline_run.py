"""A pipeline that runs: several programs at once, each reading what the one before it writes."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

from governess.children._descriptors import close_all, close_last, open_pair_into
from governess.children._exit import Exit, MaybeNone
from governess.children._spawn.command import Command, Program, Stdio
from governess.subprocess._end import EndBounds, output_ended, terminate
from governess.subprocess._foreground import Foreground
from governess.subprocess._process import Process, create
from governess.subprocess._protocol import ChildProtocol, text_of
from governess.subprocess._reader import Reader
from governess.subprocess._results import (
    Completed,
    CompletedPipeline,
    ProcessError,
    ProcessTimeout,
    TerminalRequired,
)
from governess.subprocess._start import group_command
from governess.subprocess._together import cancel_all, own_task, results_of, run_both, wait_for_all
from governess.transports._write_buffer import Buffer

__all__ = ["PipelineProcess", "PipelineStart", "run_pipeline"]


_BY_SIGPIPE = -13  # on Windows, where no child ends in this way, there is no signal.SIGPIPE
Stage = tuple[tuple[Program, ...], Mapping[str, Any]]


class PipelineProcess:
    """A running pipeline.

    When one of its programs fails, the others are ended. A program fails if its exit status is not 0. An end by SIGPIPE
    is a failure only of the last program: for any other, it means that the next program stopped reading.

    Attributes:
        processes: the programs in their order. Each is a `Process` with its own process group; with `foreground`, all
            are in one group.
    """

    def __init__(self, processes: Sequence[Process], grace: float) -> None:
        """Attend to the processes; `grace` is for those that are ended because of another one."""
        self.processes = tuple(processes)
        self._grace = grace
        self._first_failure: Process | None = None
        self._over = own_task(self._attend())

    def __repr__(self) -> str:
        return f"<PipelineProcess {' | '.join(map(repr, self.processes))}>"

    @property
    def stdin(self) -> asyncio.StreamWriter | MaybeNone:
        """The writer for the standard input of the first program; None without a pipe."""
        return self.processes[0].stdin

    @property
    def stdout(self) -> Reader | MaybeNone:
        """The reader of the standard output of the last program; None without a pipe."""
        return self.processes[-1].stdout

    @property
    def exits(self) -> tuple[Exit | None, ...]:
        """The exit of each program, in their order; None for a program that runs."""
        return tuple(process.exit for process in self.processes)

    @property
    def first_failure(self) -> Process | MaybeNone:
        """The program that failed first; None if there is none."""
        return self._first_failure

    @property
    def exit(self) -> Exit | MaybeNone:
        """The exit of the program that failed first, or else of the last program; None while any program runs."""
        if not all(exit is not None for exit in self.exits):
            return None
        return (self._first_failure or self.processes[-1]).exit

    async def wait(self) -> Exit:
        """Wait until all programs have ended; return the `exit` of the pipeline."""
        if self.exit is None or not self._over.done():
            await asyncio.shield(self._over)
        exit = self.exit
        assert exit is not None
        return exit

    async def end(self, *, grace: float = 5.0, kill_timeout: float = 5.0, drain: float = 1.0) -> None:
        """End all programs at the same time, as `Process.end` does.

        Args:
            grace: seconds between TERM and KILL.
            kill_timeout: seconds to wait for the programs after KILL.
            drain: seconds to read the rest of the output, if another process holds the pipes open.
        """
        await self._end(EndBounds(grace, kill_timeout, drain))

    async def _end(self, bounds: EndBounds) -> None:
        self._look_for_a_failure()
        await run_both(_end_all(self.processes, bounds), self._attend_no_more())

    def _kill_now(self) -> None:
        """Kill all of them, without waiting for anything."""
        cancel_all([self._over])
        for process in self.processes:
            process._kill_now()

    async def _attend_no_more(self) -> None:
        self._over.cancel()
        await asyncio.wait((self._over,))

    async def _attend(self) -> None:
        tasks = {own_task(process.wait()): process for process in self.processes}
        running = set(tasks)
        try:
            while running and self._first_failure is None:
                _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                self._look_for_a_failure()
            ends = [own_task(terminate(tasks[task], self._grace)) for task in running]
            await wait_for_all([*ends, *running])
        finally:
            cancel_all(running)

    def _look_for_a_failure(self) -> None:
        if self._first_failure is None:
            self._first_failure = next(filter(self._has_failed, self.processes), None)

    def _has_failed(self, process: Process) -> bool:
        exit = process.poll()
        if not exit:  # it runs, or has exited with 0
            return False
        return exit != _BY_SIGPIPE or process is self.processes[-1]


class PipelineStart:
    """The async context manager that `Pipeline.start` returns; its value is the `PipelineProcess`."""

    def __init__(
        self,
        stages: Sequence[Stage],
        stdin: Stdio,
        stdout: Stdio,
        stderr: Stdio,
        make_protocol: Callable[[asyncio.AbstractEventLoop], ChildProtocol],
        bounds: EndBounds,
        foreground: Foreground | None = None,
    ) -> None:
        """Be ready to start, with the terminal if `foreground` is given; `bounds` are those of `Process.end`."""
        self._stages = stages
        self._ends = stdin, stdout
        self._stderr = stderr
        self._make_protocol = make_protocol
        self._bounds = bounds
        self._foreground = foreground
        self._flow: PipelineProcess | None = None

    async def __aenter__(self) -> PipelineProcess:
        if self._flow is not None:
            raise RuntimeError("each start() is good for one block")
        processes: list[Process] = []
        try:
            await self._start_all(processes)
        except GeneratorExit:  # as in `__aexit__`
            for process in processes:
                process._kill_now()
            raise
        except BaseException:
            await _end_all(processes, self._bounds)
            raise
        self._flow = PipelineProcess(processes, self._bounds.grace)
        return self._flow

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._flow is not None
        if kind is GeneratorExit:  # the coroutine is thrown away, and cannot wait for anything
            self._flow._kill_now()
        else:
            await self._flow._end(self._bounds)

    async def _start_all(self, processes: list[Process]) -> None:
        stdin, stdout = self._ends
        with contextlib.ExitStack() as our_copies:
            for stage in self._stages[:-1]:
                pipe: list[int] = []
                our_copies.callback(close_all, pipe)
                reading, writing = open_pair_into(pipe, os.pipe)
                try:
                    processes.append(await self._start(stage, stdin, writing))
                finally:
                    close_last(pipe)
                stdin = reading
                leader = processes[-1]
                if self._foreground is not None and self._foreground.group == leader.pid:
                    our_copies.enter_context(leader._child.held())  # the others join its group
                    if not leader._is_anybody_left():  # the group is gone
                        self._foreground.leave_group()
            processes.append(await self._start(self._stages[-1], stdin, stdout))

    async def _start(self, stage: Stage, stdin: Stdio, stdout: Stdio) -> Process:
        argv, options = stage
        own = {"stderr": self._stderr, "session": False, **options}
        command = group_command(argv, stdin, stdout, own.pop("stderr"), own.pop("session"), own)
        terminal = self._foreground
        if terminal is None:
            return await create(command, self._make_protocol)
        try:
            process = await create(_in_group(command, terminal.group), self._make_protocol)
        except PermissionError:
            if not terminal.group or terminal.has_group():
                raise
            terminal.leave_group()  # its last process has ended meanwhile
            process = await create(command, self._make_protocol)
        terminal.add(process)
        return process


def _in_group(command: Command, group: int) -> Command:
    """Return the command of a child that joins the group; 0 is a group of its own."""
    if not group:
        return command
    joining = copy.copy(command)
    joining.options = {**command.options, "process_group": group}
    joining.keep_group = False
    return joining


async def _end_all(processes: Iterable[Process], bounds: EndBounds) -> None:
    ends = [own_task(process._end(bounds)) for process in processes if not process.is_detached]
    await wait_for_all(ends)
    for end in ends:
        end.result()


async def run_pipeline(
    starting: PipelineStart,
    words: Sequence[Program],
    *,
    input: Buffer | None,
    capture: bool,
    encoding: str | None,
    errors: str,
    check: bool,
    timeout: float | None,
    drain: float,
) -> CompletedPipeline[Any]:
    """Do what `Pipeline.run` says, with what starts the pipeline, and its words for an error."""
    timer = asyncio.timeout(timeout)
    execution = _Execution(starting, input, timer)
    try:
        async with timer:
            await execution.run(drain)
    except TimeoutError:
        if not timer.expired():
            raise
        if (failure := execution.terminal_failure(capture, encoding)) is not None:
            raise failure from None
        raise ProcessTimeout(tuple(words), timeout or 0, *execution.outcome(capture, encoding)) from None
    completed = execution.completed(capture, encoding, errors)
    if check and completed.exit != 0:
        raise ProcessError(completed.first_failure or completed.commands[-1])
    return completed


class _Execution:
    """What is known of a pipeline that is being run."""

    def __init__(self, starting: PipelineStart, input: Buffer | None, timer: asyncio.Timeout) -> None:
        self._starting = starting
        self._input = input
        self._timer = timer
        self._flow: PipelineProcess | None = None
        self._duration = 0.0

    async def run(self, drain: float) -> None:
        started = time.monotonic()
        async with self._starting as self._flow:
            processes = self._flow.processes
            for process in processes:
                if process._foreground is None:
                    process._streams.timer = self._timer
            if self._input is not None:
                processes[0]._streams.feed(self._input)
            await self._flow.wait()
            self._timer.reschedule(None)
            self._duration = time.monotonic() - started
            await results_of(*(output_ended(process, drain) for process in processes))

    def terminal_failure(self, capture: bool, encoding: str | None) -> TerminalRequired | None:
        """Return the error of a program that was stopped by the terminal, if there is one."""
        for process in () if self._flow is None else self._flow.processes:
            if stop := process._streams.stop:
                return TerminalRequired(self._command(process, capture, encoding, "replace"), stop)
        return None

    def outcome(self, capture: bool, encoding: str | None) -> tuple[Any, Any, Any]:
        """Return the exit, the output, and everything written to standard error, as far as it has arrived."""
        flow = self._flow
        if flow is None:
            return None, None, None
        if not capture:
            return flow.exit, None, None
        complaints = b"".join(process._streams.collected(2) or b"" for process in flow.processes)
        # A character may be cut off.
        stdout = text_of(flow.processes[-1]._streams.collected(1), encoding, "replace")
        return flow.exit, stdout, complaints if encoding is None else complaints.decode(encoding, "replace")

    def completed(self, capture: bool, encoding: str | None, errors: str) -> CompletedPipeline[Any]:
        """Return all of it, when it is over."""
        flow = self._flow
        assert flow is not None
        commands = {process: self._command(process, capture, encoding, errors) for process in flow.processes}
        first_failure = None if flow.first_failure is None else commands[flow.first_failure]
        return CompletedPipeline(tuple(commands.values()), first_failure, self._duration)

    def _command(self, process: Process, capture: bool, encoding: str | None, errors: str) -> Completed[Any]:
        exit = Exit.unknown() if process.exit is None else process.exit  # it was killed, and has not ended even so
        outputs = [process._streams.collected(fd) if capture else None for fd in (1, 2)]
        stdout, stderr = (text_of(output, encoding, errors) for output in outputs)
        return Completed(process.argv, exit, stdout, stderr, self._duration)
