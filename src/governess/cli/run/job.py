"""One command, run to its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import sys
from collections.abc import Callable

from governess.children._spawn.command import command_of, shell_command_of
from governess.cli.run.outcome import Outcome
from governess.cli.run.output import Block
from governess.cli.run.sources import Command
from governess.subprocess import DEVNULL, PIPE, Process
from governess.subprocess._end import output_ended
from governess.subprocess._output import LIMIT, Output
from governess.subprocess._process import create
from governess.subprocess._start import leading_group

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
        timed_out: whether it was ended because its time was over.
        ending: the task that ends it, if there is one.
    """

    def __init__(self, number: int, command: Command, on_trouble: Callable[[OSError], None]) -> None:
        """Be ready to run the command; `on_trouble` is called when what it writes cannot be kept."""
        self.number = number
        self.blocks: list[Block | None] = [None, None]
        self.timed_out = False
        self._command = command
        self._on_trouble = on_trouble
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
        make, words = command_of, self._command
        if isinstance(words, str):
            if sys.platform == "win32":
                make = shell_command_of
            else:
                words = "/bin/sh", "-c", words
        command = leading_group(make, words, DEVNULL, PIPE, PIPE, False, {})
        self._started = asyncio.get_running_loop().time()
        self._process = await create(command, LIMIT, Output.DROP, [self])

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
            return Outcome(self.number, self._command, 255, wall, remark="not ended")
        return Outcome.of(self.number, self._command, process.exit, wall, self.timed_out)

    def could_not_start(self, error: OSError | ValueError) -> Outcome:
        """Return the outcome of a command that never ran: 127 if it does not exist, else 126."""
        missing = isinstance(error, FileNotFoundError)
        return Outcome(self.number, self._command, 127 if missing else 126)

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


def is_shortage(error: OSError | ValueError) -> bool:
    """Return whether starting may work later, when other commands have ended."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)
