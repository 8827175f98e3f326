"""asyncio's functions that start a child, over any running loop; and the streams that the child gets from them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any, Unpack

from governess.children._spawn.command import Program, Stdio, command_of, shell_command_of
from governess.subprocess._limits import child_options
from governess.subprocess._lines import Listener
from governess.subprocess._options import ExecOptions
from governess.subprocess._process import Process, create
from governess.subprocess._protocol import ChildProtocol
from governess.subprocess._reader import OutputOrder, Reader
from governess.subprocess._together import results_of
from governess.transports._write_buffer import Buffer

__all__ = ["LIMIT", "Streams", "create_subprocess_exec", "create_subprocess_shell"]

LIMIT = 1 << 16


async def create_subprocess_exec(
    program: Program,
    *args: Program,
    stdin: Stdio = None,
    stdout: Stdio = None,
    stderr: Stdio = None,
    limit: int = LIMIT,
    **options: Unpack[ExecOptions],
) -> Process:
    """Start a program in the running loop, which may be any loop; return its `Process`.

    Args:
        program: the program.
        *args: the arguments of the program.
        stdin: PIPE, DEVNULL, a descriptor, an open file, the Path of a file, or None for the standard input of this
            process.
        stdout: the same for standard output.
        stderr: the same for standard error; STDOUT sends it to the same place as standard output.
        limit: how many bytes a reader buffers before the program has to wait.
        **options: the other arguments of `subprocess.Popen`, except those that make text of bytes, and three options
            of governess: `limits`, `pty` and `die_with_parent`. `ExecOptions` describes all of them. A terminal
            (`pty`) replaces pipes, DEVNULL and the streams of this process. With `die_with_parent`, the group that the
            program leads gets TERM and CONT when this process ends, and KILL after 5 seconds; a program that leads no
            group gets KILL.

    Raises:
        OSError: the program cannot be started; all errors of `subprocess.Popen` are possible.
        ValueError: an option would make the streams anything but bytes.
        TypeError: an option does not exist, or has the wrong type.
        NotImplementedError: `limits` or `pty` needs the native spawner, which is not used here; or `die_with_parent`
            needs the native spawner or pidfds.
    """
    return await create(
        command_of((program, *args), stdin, stdout, stderr, child_options(options) if options else options),
        partial(Streams, limit, ()),
    )


async def create_subprocess_shell(
    cmd: str | bytes,
    stdin: Stdio = None,
    stdout: Stdio = None,
    stderr: Stdio = None,
    limit: int = LIMIT,
    **options: Unpack[ExecOptions],
) -> Process:
    """Start a shell that runs the line `cmd`, in the running loop; return its `Process`.

    The other arguments and the errors are those of `create_subprocess_exec`.
    """
    return await create(
        shell_command_of(cmd, stdin, stdout, stderr, child_options(options) if options else options),
        partial(Streams, limit, ()),
    )


class Streams(ChildProtocol, asyncio.subprocess.SubprocessStreamProtocol):
    """The streams of one child, for callers that read in parts.

    Attributes:
        stdin: the writer for the standard input of the child; None without a pipe.
        stdout: the reader of its standard output; None without a pipe.
        stderr: the reader of its standard error; None without a pipe.
    """

    stdin: asyncio.StreamWriter | None
    stdout: Reader | None
    stderr: Reader | None
    _pipe_fds: list[int]  # asyncio's: those that are not closed

    def __init__(self, limit: int, listeners: Sequence[Listener], loop: asyncio.AbstractEventLoop) -> None:
        """Have readers that buffer `limit` bytes, before the child has to wait."""
        super().__init__(limit=limit, loop=loop)
        self._readers: dict[int, Reader] = {}
        self._reader_limit = limit
        self._reader_loop = loop
        if listeners:
            self._listen(loop, listeners)

    def connection_made(self, transport: Any) -> None:
        """Make the streams, as asyncio's class does, but with readers of our own."""
        self._transport = transport
        if 0 in transport.pipes:
            self.stdin = asyncio.StreamWriter(transport.get_pipe_transport(0), self, None, self._reader_loop)
        else:  # what asyncio's constructor makes for a writer is most of what a child without pipes takes
            self._drain_waiters = self._stdin_closed = ()
        for fd in (1, 2):
            if fd in transport.pipes:
                self._readers[fd] = Reader(self._reader_limit, self._reader_loop, transport, fd, self.order)
                self._pipe_fds.append(fd)
        self.stdout = self._readers.get(1)  # pyright: ignore[reportIncompatibleVariableOverride]
        self.stderr = self._readers.get(2)  # pyright: ignore[reportIncompatibleVariableOverride]

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        """Pass the data to the reader and to the listeners."""
        assert isinstance(data, bytes)
        drain = self._readers[fd]._drain
        if drain is None or drain.takes(len(data)):
            self.order.note(fd, len(data))
            asyncio.subprocess.SubprocessStreamProtocol.pipe_data_received(self, fd, data)
        if self._listeners:
            self._tell_listeners(fd, data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Pass the end of an output to its reader and to the listeners."""
        asyncio.subprocess.SubprocessStreamProtocol.pipe_connection_lost(self, fd, exc)
        if (reader := self._readers.get(fd)) is None:
            return
        self.order.note(fd, 0)
        if self._listeners:
            self._tell_listeners(fd, b"")
        reader._has_ended = True
        if reader._ended is not None:
            reader._ended.set()

    @cached_property
    def order(self) -> OutputOrder:
        """In which order its two outputs have come."""
        return OutputOrder()

    @property
    def is_finished(self) -> bool:
        """Whether all that the child has written was read or collected, and nothing more comes."""
        return all(reader._is_finished for reader in self._readers.values())

    async def finish(self) -> None:
        """Wait for the ends of the outputs; collect what no caller reads."""
        await results_of(*(reader._finish() for reader in self._readers.values() if not reader._is_finished))

    def collected(self, fd: int) -> bytearray | None:
        """Return what was collected of an output."""
        reader = self._readers.get(fd)
        return None if reader is None else reader._collected

    def feed(self, input: Buffer | None = None) -> None:
        """Write the input, and close the child's standard input when all is written."""
        if self.stdin is not None and not self.stdin.is_closing():
            if input:
                self.stdin.write(input)
            self.stdin.close()

    def _fail(self, error: Exception) -> None:
        """Raise the error of a listener for those who read, and those who wait."""
        super()._fail(error)
        for reader in self._readers.values():
            reader.set_exception(error)
