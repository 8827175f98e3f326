"""The engine that runs jobs on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from governess.children._child import Child
from governess.children._per_loop import set_unless_done
from governess.children._spawn import can_die_with_parent
from governess.children._spawn.command import Command as SpawnCommand
from governess.children._spawn.command import Stdio, command_of
from governess.jobs._attempt import Attempt, Files, Inherited
from governess.jobs._job import Command
from governess.subprocess import DEVNULL, PIPE, Limits, Process
from governess.subprocess._end import output_ended
from governess.subprocess._foreground import Foreground
from governess.subprocess._process import create
from governess.subprocess._protocol import ChildProtocol, Collector, ignore_stop
from governess.subprocess._start import leading_group
from governess.transports._stops import has_terminal

__all__ = ["LocalEngine"]

# Seconds of silence after the exit, after which a pipe that another process still holds open is closed.
DRAIN = 0.25
# How many times output of such a process prolongs this.
DRAINS = 4
# Seconds after a KILL until a process that does not end even so is given up.
AFTER_KILL = 5.0


class LocalEngine:
    """Runs each job on this machine, as a child process that leads a process group."""

    def __init__(self) -> None:
        self._environment: dict[str, str] | None = None
        self._common: dict[tuple[bool, int], Mapping[str, Any]] = {}

    async def start(self, attempt: Attempt) -> LocalJob:
        """Start a job.

        Raises:
            OSError: it cannot be started.
            ValueError: its words cannot be passed to a process.
        """
        job = LocalJob()
        await job.start(attempt, self._options(attempt))
        return job

    def _options(self, attempt: Attempt) -> Mapping[str, Any]:
        kind = attempt.survives, attempt.options.nice
        options = self._common.get(kind)
        if options is None:
            options = self._common[kind] = _common_options(*kind)
        if attempt.job.cwd is not None:
            options = {**options, "cwd": attempt.job.cwd}
        if attempt.env:
            if self._environment is None:
                self._environment = dict(os.environ)
            options = {**options, "env": {**self._environment, **attempt.env}}
        return options


def _common_options(survives: bool, nice: int) -> Mapping[str, Any]:
    """Return the options of a child that leads a group, which many jobs have in common."""
    options: dict[str, Any] = {"die_with_parent": True} if not survives and can_die_with_parent() else {}
    if nice:
        options["limits"] = Limits(nice=nice)
    return leading_group(command_of, (), None, None, None, False, options).options


class LocalJob:
    """A job that runs as a child of this process.

    Attributes:
        stop: the signal by which the terminal has stopped it; 0 if that is not so.
        ended: when it has ended, by the clock of the loop.
    """

    __slots__ = ("_ending", "_exited", "_grace", "_paused", "_process", "_streams", "ended", "stop")

    def __init__(self) -> None:
        self.stop = 0
        self.ended = 0.0
        self._process: Process | None = None
        self._streams: _Streams | None = None
        self._grace: float | None = None
        self._ending: asyncio.Task[None] | None = None
        self._exited: asyncio.Future[None] | None = None
        self._paused: asyncio.Future[None] | None = None

    @property
    def pid(self) -> int:
        """The number of its process."""
        return 0 if self._process is None else self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it is not reaped."""
        return self._process is not None and self._process.exit is None

    async def start(self, attempt: Attempt, options: Mapping[str, Any]) -> None:
        """Start the process of a try; errors as `LocalEngine.start`."""
        output = attempt.output
        foreground: Foreground | None = None
        make_protocol: Callable[[asyncio.AbstractEventLoop], ChildProtocol] = _NO_STREAMS
        stdout: Stdio = None
        stderr: Stdio = None
        if isinstance(output, Files):
            stdout, stderr = output
        elif isinstance(output, Inherited):
            foreground = Foreground() if output.foreground else None
        else:
            stdout = stderr = PIPE
            make_protocol = partial(_Streams, output.feed)
        stdin: Any = _terminal_input() if foreground is not None else _input(attempt.job.stdin, attempt.job.cwd)
        try:
            command = _spawn_command(attempt.command, stdin, stdout, stderr, options)
            self._process = process = await create(command, make_protocol)
        finally:
            if hasattr(stdin, "close"):
                stdin.close()
        self._exited = process._connection.when_exited()
        if isinstance(process._streams, _Streams):
            self._streams = process._streams
        if foreground is not None:
            foreground.add(process)
        else:
            process._streams.on_stop = partial(self._stopped, attempt)

    async def wait(self) -> int | None:
        """Wait until it has ended and its output is read; return how; None if it could not be ended."""
        process = self._process
        assert process is not None
        assert self._exited is not None
        await self._exited
        self.ended = asyncio.get_running_loop().time()
        process._streams.on_stop = ignore_stop  # what was there leads back here: no garbage is left to be collected
        if process._foreground is not None:
            process._foreground.remove(process)
        if self._ending is None and self._streams is not None:
            while self._paused is not None:
                await self._paused
            if not self._streams.is_finished:
                await self._drain(process, self._streams)
        if self._ending is None:
            process.detach()
        else:
            await asyncio.wait((self._ending,))
        return process.exit

    def end(self, grace: float) -> bool:
        """End it and its group: TERM, a grace, KILL. The second call does not wait for the grace.

        Returns:
            Whether it has not ended before by itself.
        """
        if self._process is None or (self._process.exit is not None and self._ending is None):
            return False
        self.resume_output()
        if self._ending is None:
            self._grace = grace
            self._ending = asyncio.get_running_loop().create_task(self._end(self._process))
        elif self._grace is not None:
            self._grace = 0.0  # it has not begun yet
        else:
            self._ending.cancel()  # it goes on to the KILL
        return True

    def signal(self, number: int) -> None:
        """Send a signal to the process and its group, unless they have ended."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                self._process.signal_tree(number)

    def pause_output(self) -> None:
        """Read no more of its pipes, unless it is being ended."""
        if self._ending is None and self._paused is None:
            self._paused = asyncio.get_running_loop().create_future()
            self._each_pipe("pause_reading")

    def resume_output(self) -> None:
        """Read its pipes again."""
        if self._paused is not None:
            set_unless_done(self._paused, None)
            self._paused = None
            self._each_pipe("resume_reading")

    def _each_pipe(self, verb: str) -> None:
        if self._process is None:
            return
        for fd in (1, 2):
            pipe: Any = self._process._connection.get_pipe_transport(fd)
            if pipe is not None and not pipe.is_closing():
                with contextlib.suppress(RuntimeError):  # it is in that state already
                    getattr(pipe, verb)()

    def _stopped(self, attempt: Attempt, child: Child, stop: int) -> None:
        self.stop = stop
        if attempt.on_stop is not None:
            attempt.on_stop(attempt)

    async def _end(self, process: Process) -> None:
        grace, self._grace = self._grace or 0.0, None
        ended = await process.end(grace=grace, kill_timeout=AFTER_KILL, drain=DRAIN)
        if ended is None and self._exited is not None:
            set_unless_done(self._exited, None)  # it is given up

    async def _drain(self, process: Process, streams: _Streams) -> None:
        for _ in range(DRAINS):
            seen = streams.seen
            if await output_ended(process, DRAIN) or streams.seen == seen:
                return


_NO_STREAMS = partial(Collector, False, ())


class _Streams(Collector):
    """Passes what a job writes to its pipes on to its sink.

    Attributes:
        seen: how many bytes have come.
    """

    def __init__(self, sink: Callable[[int, bytes], None], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(False, (), loop)
        self._sink = sink
        self.seen = 0

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.seen += len(data)
        self._sink(fd, data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        super().pipe_connection_lost(fd, exc)
        self._sink(fd, b"")


def _spawn_command(
    command: Command, stdin: Stdio, stdout: Stdio, stderr: Stdio, options: Mapping[str, Any]
) -> SpawnCommand:
    words: Any = command
    is_line = isinstance(words, str)
    if is_line and sys.platform != "win32":
        words, is_line = ("/bin/sh", "-c", words), False
    return SpawnCommand(words, is_line, stdin, stdout, stderr, options, keep_group=True)


def _input(stdin: bytes | Path | None, cwd: str | None) -> Any:
    """Return what a job reads: bytes come from an unnamed file, so that nothing has to write them while it runs."""
    if stdin is None:
        return DEVNULL
    if isinstance(stdin, Path):
        return Path(cwd, stdin) if cwd is not None else stdin
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed when the job has been started
    try:
        view = memoryview(stdin)
        while view:
            view = view[file.write(view) :]
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def _terminal_input() -> Stdio:
    """Return the terminal; our own input may be a pipe, from which the arguments come."""
    if os.isatty(0):
        return None
    return Path("/dev/tty") if has_terminal() else DEVNULL
