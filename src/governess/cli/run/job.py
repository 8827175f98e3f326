"""One command, run to its end."""

import asyncio
import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, cast

from governess.cli.run.outcome import Outcome
from governess.cli.run.output import Block
from governess.cli.run.sources import Command

__all__ = ["Job", "is_shortage"]

if sys.platform == "win32":
    OWN_GROUP: dict[str, Any] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
else:
    OWN_GROUP: dict[str, Any] = {"process_group": 0}

DRAIN = 0.25
"""Seconds of silence after the exit, after which a pipe that a grandchild holds open is abandoned."""
DRAINS = 4
"""So many times at most a grandchild's words prolong this."""
AFTER_KILL = 5.0
"""Seconds after a KILL until a process that even this does not end is given up."""


class Job(asyncio.SubprocessProtocol):
    """One command: the protocol of its process, and what came of it.

    Args:
        loop: The loop it runs in.
        number: Its number among all commands, from 1.
        command: What is executed.
        on_trouble: Called when what it writes cannot be kept.
    """

    __slots__ = (
        "_command",
        "_drain",
        "_drains",
        "_ending",
        "_exited",
        "_grace",
        "_group_is_ending",
        "_loop",
        "_on_trouble",
        "_open",
        "_process",
        "_seen",
        "_started",
        "_timer",
        "_wall",
        "blocks",
        "done",
        "number",
        "timed_out",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        number: int,
        command: Command,
        on_trouble: Callable[[OSError], None],
    ) -> None:
        self.number = number
        self.done: asyncio.Future[Outcome] = loop.create_future()
        """Its outcome, once it has ended."""
        self.blocks: list[Block | None] = [None, None]
        """What it wrote to standard output and to standard error."""
        self.timed_out = False
        self._loop = loop
        self._command = command
        self._on_trouble = on_trouble
        self._process: asyncio.SubprocessTransport | None = None
        self._open = 2
        self._started = self._wall = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._drain: asyncio.TimerHandle | None = None
        self._drains = 0
        self._seen = 0
        self._exited = False
        self._grace: float | None = None
        self._ending: asyncio.Task[None] | None = None
        self._group_is_ending = False

    async def start(self, timeout: float | None, grace: float) -> None:
        """Start the process.

        Args:
            timeout: Seconds after which it is ended; None for no limit.
            grace: Seconds between TERM and KILL then.

        Raises:
            OSError: It cannot be started.
            ValueError: Its words cannot be passed to a process.
        """
        self._started = self._loop.time()
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **OWN_GROUP}
        if not isinstance(self._command, str):
            await self._loop.subprocess_exec(self._itself, *self._command, **options)
        elif sys.platform == "win32":
            await self._loop.subprocess_shell(self._itself, self._command, **options)
        else:
            await self._loop.subprocess_exec(self._itself, "/bin/sh", "-c", self._command, **options)
        if timeout is not None and not self.done.done():
            self._timer = self._loop.call_later(timeout, self._time_out, grace)

    def end(self, grace: float) -> None:
        """End the process and its group: TERM, a grace, KILL. The second call does not wait for the grace."""
        if self.done.done() or (self._exited and not self._group_is_ending):
            return
        if self._ending is None:
            self._grace = grace
            self._ending = self._loop.create_task(self._end())
        elif self._grace is not None:
            self._grace = 0.0  # it has not begun yet
        elif sys.platform != "win32":
            self._ending.cancel()  # end_group() then sends the KILL

    def could_not_start(self, error: OSError | ValueError) -> Outcome:
        """Give the outcome of a command that never ran: 127 if it does not exist, else 126."""
        missing = isinstance(error, FileNotFoundError)
        return Outcome(self.number, self._command, 127 if missing else 126)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the process."""
        self._process = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Store its output."""
        block = self.blocks[fd - 1]
        if block is None:
            block = self.blocks[fd - 1] = Block()
        try:
            block.add(data)
        except OSError as error:
            self._on_trouble(error)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Note that nothing more comes from one pipe."""
        self._open -= 1
        if not self._open and self._exited:
            self._finish()

    def process_exited(self) -> None:
        """Wait a short time for the rest of its output."""
        self._exited = True
        self._wall = self._loop.time() - self._started
        self._finish_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        """Accept the end."""
        self._finish()

    def _itself(self) -> "Job":
        return self

    def _time_out(self, grace: float) -> None:
        if not self._exited:
            self.timed_out = True
            self.end(grace)

    def _finish_soon(self) -> None:
        if not self._open:
            self._finish()
        elif self._drain is None and not self._group_is_ending:
            self._drain = self._loop.call_later(DRAIN, self._drained)

    def _drained(self) -> None:
        seen = sum(block.size for block in self.blocks if block)
        self._drains += 1
        if seen == self._seen or self._drains == DRAINS:
            self._finish()
        else:
            self._seen = seen
            self._drain = self._loop.call_later(DRAIN, self._drained)

    async def _end(self) -> None:
        grace, self._grace = self._grace or 0.0, None
        if self._process is None or self._exited:
            return
        self._group_is_ending = True
        try:
            await self._end_group(grace)
        finally:
            self._group_is_ending = False
        self._finish_or_give_up()

    def _finish_or_give_up(self) -> None:
        if self._exited:
            self._finish_soon()
        else:
            self._give_up_later()

    async def _end_group(self, grace: float) -> None:
        if self._process is None:
            return
        if sys.platform == "win32":
            await asyncio.to_thread(_end_tree, self._process.get_pid())
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        else:
            from governess.children._group import end_group

            child = self._process.get_extra_info("child")
            with contextlib.suppress(asyncio.CancelledError):
                await end_group(child, grace=grace)

    def _give_up_later(self) -> None:
        if not self._exited and not self.done.done():
            self._cancel_timers()
            self._timer = self._loop.call_later(AFTER_KILL, self._finish)

    def _finish(self) -> None:
        if self.done.done() or self._group_is_ending:  # the leader is gone, others of the group may not be
            return
        self._cancel_timers()
        self.done.set_result(self._outcome())
        if self._open and self._process is not None:
            self._process.close()
        self._process = None

    def _cancel_timers(self) -> None:
        for handle in (self._timer, self._drain):
            if handle is not None:
                handle.cancel()

    def _outcome(self) -> Outcome:
        code = self._process.get_returncode() if self._process is not None else None
        if code is None:
            return Outcome(self.number, self._command, 255, self._loop.time() - self._started, remark="not ended")
        return Outcome.of(self.number, self._command, code, self._wall, self.timed_out)


def is_shortage(error: OSError | ValueError) -> bool:
    """Tell whether starting may work later, when other commands have ended."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)


def _end_tree(pid: int) -> None:
    taskkill = os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "taskkill.exe")
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run([taskkill, "/T", "/F", "/PID", str(pid)], capture_output=True, timeout=10)
