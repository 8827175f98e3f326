"""One command, run to its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from governess.children._child import Child
from governess.children._spawn import can_die_with_parent
from governess.children._spawn.command import Stdio, command_of, shell_command_of
from governess.cli.run.outcome import Outcome
from governess.cli.run.output import Block
from governess.cli.run.sources import Command
from governess.subprocess import DEVNULL, PIPE, Process
from governess.subprocess._end import output_ended
from governess.subprocess._foreground import Foreground
from governess.subprocess._process import create
from governess.subprocess._protocol import Collector
from governess.subprocess._start import leading_group
from governess.transports._stops import has_terminal

__all__ = ["Job", "is_shortage"]

# Seconds of silence after the exit, after which a pipe that another process still holds open is closed.
DRAIN = 0.25
# How many times output of such a process prolongs this.
DRAINS = 4
# Seconds after a KILL until a process that does not end even so is given up.
AFTER_KILL = 5.0


class Job:
    """One command: its process, what it writes, and its outcome.

    Attributes:
        number: its number among all commands, from 1.
        blocks: what it wrote to standard output and to standard error.
        command: what is run.
        timed_out: whether it was ended because its time was over.
        stop: the signal by which the terminal has stopped it, since it did not have that; 0 if that is not so.
        ending: the task that ends it, if there is one.
    """

    def __init__(
        self,
        number: int,
        command: Command,
        on_trouble: Callable[[OSError], None],
        on_stop: Callable[[Job], None],
        *,
        foreground: bool = False,
    ) -> None:
        """Be ready to run the command.

        Args:
            number: its number among all commands.
            command: its words, or a line for the shell.
            on_trouble: called when what it writes cannot be kept.
            on_stop: called when it is stopped since it uses the terminal and does not have it.
            foreground: whether it has the terminal, and writes there itself.
        """
        self.number = number
        self.command = command
        self.stop = 0
        self.blocks: list[Block | None] = [None, None]
        self.timed_out = False
        self._on_trouble = on_trouble
        self._on_stop = on_stop
        self._foreground = Foreground() if foreground else None
        self._process: Process | None = None
        self._started = 0.0
        self._seen = 0
        self._timer: asyncio.Timeout | None = None
        self._grace: float | None = None
        self.ending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process.

        Raises:
            OSError: it cannot be started.
            ValueError: its words cannot be passed to a process.
        """
        make, words = command_of, self.command
        if isinstance(words, str):
            if sys.platform == "win32":
                make = shell_command_of
            else:
                words = "/bin/sh", "-c", words
        streams: tuple[Stdio, Stdio, Stdio] = DEVNULL, PIPE, PIPE
        if self._foreground is not None:
            streams = _terminal_input(), None, None
        options = {"die_with_parent": True} if can_die_with_parent() else {}
        command = leading_group(make, words, *streams, False, options)
        self._started = asyncio.get_running_loop().time()
        self._process = await create(command, partial(Collector, False, [self]))
        if self._foreground is not None:
            self._foreground.add(self._process)
        else:
            self._process._streams.on_stop = self._stopped

    async def outcome(self, timeout: float | None, grace: float) -> Outcome:
        """Wait until the process has ended and its output is read; return what came of it.

        Args:
            timeout: seconds after the start after which it is ended; None for no limit.
            grace: seconds between TERM and KILL then.
        """
        process = self._process
        assert process is not None
        try:
            async with asyncio.timeout_at(None if timeout is None else self._started + timeout) as self._timer:
                if self.ending is not None:
                    self._set_timer(None)
                await process.wait()
        except TimeoutError:
            if self.ending is None and process.exit is None:  # it has not ended in this very instant
                self.timed_out = True
                self.end(grace)
        wall = asyncio.get_running_loop().time() - self._started
        if self.ending is None:
            await self._drain(process)
            process.detach()
        else:
            await asyncio.wait((self.ending,))
        if process.exit is None:
            return Outcome(self.number, self.command, 255, wall, remark="not ended")
        return Outcome.of(
            self.number, self.command, process.exit, wall, timed_out=self.timed_out, lacked_terminal=bool(self.stop)
        )

    def could_not_start(self, error: OSError | ValueError) -> Outcome:
        """Return the outcome of a command that never ran: 127 if it does not exist, else 126."""
        missing = isinstance(error, FileNotFoundError)
        return Outcome(self.number, self.command, 127 if missing else 126)

    def end(self, grace: float) -> None:
        """End the process and its group: TERM, a grace, KILL. The second call does not wait for the grace."""
        if self._process is None or (self._process.exit is not None and self.ending is None):
            return
        if self.ending is None:
            self._grace = grace
            self.ending = asyncio.get_running_loop().create_task(self._end(self._process))
            self._set_timer(None)
        elif self._grace is not None:
            self._grace = 0.0  # it has not begun yet
        else:
            self.ending.cancel()  # it goes on to the KILL

    def signal(self, number: int) -> None:
        """Send a signal to the process and its group, unless they have ended."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                self._process.signal_tree(number)

    def feed(self, fd: int, data: bytes) -> None:
        """Keep what it has written to its descriptor `fd`."""
        self._seen += len(data)
        if (block := self.blocks[fd - 1]) is None:
            if not data:
                return
            block = self.blocks[fd - 1] = Block()
        try:
            block.add(data)
        except OSError as error:
            self._on_trouble(error)

    def _stopped(self, child: Child, stop: int) -> None:
        self.stop = stop
        self._on_stop(self)

    async def _end(self, process: Process) -> None:
        grace, self._grace = self._grace or 0.0, None
        if await process.end(grace=grace, kill_timeout=AFTER_KILL, drain=DRAIN) is None:
            self._set_timer(0.0)  # nobody waits for it any more

    def _set_timer(self, when: float | None) -> None:
        if self._timer is not None:
            with contextlib.suppress(RuntimeError):  # it has expired in this very iteration of the loop
                self._timer.reschedule(when)

    async def _drain(self, process: Process) -> None:
        for _ in range(DRAINS):
            seen = self._seen
            if await output_ended(process, DRAIN) or self._seen == seen:
                return


def _terminal_input() -> Stdio:
    """Return the terminal; our own input may be a pipe, from which the arguments come."""
    if os.isatty(0):
        return None
    return Path("/dev/tty") if has_terminal() else DEVNULL


def is_shortage(error: OSError | ValueError) -> bool:
    """Return whether starting may work later, when other commands have ended."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)
