"""A running child, as asyncio gives it, and more; and asyncio's functions that start one, over any running loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from typing import Any, Unpack, overload

from governess.children._callbacks import refuse_coroutine_function
from governess.children._child import Child
from governess.children._exit import Exit, MaybeNone
from governess.children._group import Group
from governess.children._reaper import reap_later
from governess.children._spawn.command import Command, Program, Stdio, command_of, shell_command_of
from governess.subprocess._end import EndBounds, end_process
from governess.subprocess._foreground import Foreground
from governess.subprocess._limits import Usage, UsageWatch, check_proc, child_options, usage_of
from governess.subprocess._lines import Line, LineIterator, MergedLines
from governess.subprocess._options import ExecOptions
from governess.subprocess._output import LIMIT, Streams
from governess.subprocess._protocol import ChildProtocol
from governess.subprocess._pty import in_terminal, set_window_size
from governess.subprocess._reader import Reader
from governess.subprocess._together import results_of
from governess.transports._start import start_child
from governess.transports._transport import ChildTransport
from governess.transports._write_buffer import Buffer, flat

__all__ = ["Process", "create", "create_subprocess_exec", "create_subprocess_shell"]


async def create_subprocess_exec(
    program: Program,
    *args: Program,
    stdin: Stdio = None,
    stdout: Stdio = None,
    stderr: Stdio = None,
    limit: int = LIMIT,
    **options: Unpack[ExecOptions],
) -> Process:
    """Start a program in the running loop, whichever it is.

    Args:
        program: what is run.
        *args: its arguments.
        stdin: PIPE, DEVNULL, a descriptor, an open file, the Path of one, or None for the parent's.
        stdout: likewise.
        stderr: likewise, or STDOUT for the same place.
        limit: how many bytes a reader buffers before the child has to wait.
        **options: the other arguments of `subprocess.Popen`, but for those that make text of bytes; and, in force
            before the program's first instruction, which only the native spawner can do: `limits`, the `Limits` of what
            it may use; ``pty=True`` or ``pty=(rows, columns)``, which gives it a terminal in place of pipes, DEVNULL
            and the parent's streams. ``die_with_parent=True`` ends it when this process ends (Linux): with the group
            that it leads, by TERM and CONT, a grace of 5 seconds, and KILL; without a group of its own, by KILL.

    Raises:
        OSError: as `subprocess.Popen` raises it; so its other errors.
        ValueError: an option would make the streams anything but bytes.
        NotImplementedError: an option needs the native spawner, which is not in use here; `die_with_parent` needs that
            or pidfds.
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
    """Start a line of the shell in the running loop; arguments and errors as in `create_subprocess_exec`."""
    return await create(
        shell_command_of(cmd, stdin, stdout, stderr, child_options(options) if options else options),
        partial(Streams, limit, ()),
    )


async def create(command: Command, make_protocol: Callable[[asyncio.AbstractEventLoop], ChildProtocol]) -> Process:
    """Start a command in the running loop, with a protocol for its streams."""
    loop = asyncio.get_running_loop()
    if "pty" not in command.options:
        transport, protocol = await start_child(loop, partial(make_protocol, loop), command)
    else:
        with in_terminal(command) as (command, ends):
            transport, protocol = await start_child(loop, partial(make_protocol, loop), command, ends)
    return Process(transport, protocol, loop)


class Process(asyncio.subprocess.Process):
    """A child, its streams and its end.

    Attributes:
        pid: its number.
        stdin: what writes to it; None where it is no pipe.
        stdout: what reads from it; None where it is no pipe.
        stderr: likewise.
    """

    stdin: asyncio.StreamWriter | MaybeNone
    stdout: Reader | MaybeNone  # pyright: ignore[reportIncompatibleVariableOverride]
    stderr: Reader | MaybeNone  # pyright: ignore[reportIncompatibleVariableOverride]
    #: What has given it the terminal.
    _foreground: Foreground | None = None

    def __init__(self, transport: ChildTransport, protocol: ChildProtocol, loop: asyncio.AbstractEventLoop) -> None:
        """Use the child of the transport."""
        # What asyncio's constructor does.
        self._transport: ChildTransport = transport
        self._protocol: ChildProtocol = protocol
        self._loop = loop
        self.stdin = protocol.stdin
        self.stdout = protocol.stdout  # pyright: ignore[reportIncompatibleVariableOverride]
        self.stderr = protocol.stderr  # pyright: ignore[reportIncompatibleVariableOverride]
        self.pid: int = transport.child.pid
        self._child: Child = transport.child
        self._group: Group | None = transport.group
        self._connection = transport
        self._home = loop
        self._streams = protocol
        self._merged: MergedLines | None = None
        self._is_detached = False

    def __repr__(self) -> str:
        exit = self.exit
        return f"<Process {self.pid} {'running' if exit is None else exit.describe()}>"

    @property
    def argv(self) -> tuple[Any, ...]:
        """What was started."""
        return self._child.argv

    @property
    def exit(self) -> Exit | MaybeNone:
        """How it ended; None while that is not known. It is the `returncode`, and knows more."""
        return self._child.exit

    @property
    def is_detached(self) -> bool:
        """Whether `detach` was called."""
        return self._is_detached

    def poll(self) -> Exit | None:
        """Check without waiting for the loop whether it has ended; return how, or None while it runs."""
        return self._child.reap()

    async def wait(self) -> Exit:
        """Wait until it has ended, even if another process holds its pipes; return how."""
        await self._connection.when_exited()
        if self._foreground is not None:
            self._foreground.remove(self)
        assert self._child.exit is not None
        return self._child.exit

    def signal_tree(self, signal: int) -> None:
        """Send a signal to everyone in the group that the child leads; to the child alone if it leads none.

        With `start` it leads one, whose others can be signalled when the child itself is gone.

        Raises:
            ProcessLookupError: no process of the group lives.
        """
        if self._group is not None:
            self._group.signal(signal)
            return
        try:
            self._child.signal_group(signal)
        except ProcessLookupError:
            self._child.signal(signal)

    def set_window_size(self, rows: int, columns: int) -> None:
        """Set the size of the window of its terminal (``pty=True``); what runs in that gets SIGWINCH.

        Raises:
            ValueError: it is no size; it has no terminal, or that is closed.
        """
        pipes = [pipe for number in (1, 2) if (pipe := self._connection.get_pipe_transport(number)) is not None]
        descriptors = [pipe.get_extra_info("pipe").fileno() for pipe in pipes]
        if not (terminals := [descriptor for descriptor in descriptors if os.isatty(descriptor)]):
            raise ValueError(f"{self!r} has no terminal: it was not started with pty=True")
        set_window_size(terminals[0], rows, columns)

    def usage(self) -> Usage:
        """Return what it uses now, with its group and its session: CPU seconds, resident bytes, processes.

        Raises:
            NotImplementedError: this is not Linux.
        """
        if not self._is_anybody_left():
            return Usage(0.0, 0, 0)
        return usage_of(self.pid)

    def on_usage(
        self,
        callback: Callable[[Usage], object],
        *,
        memory: int | None = None,
        cpu: float | None = None,
        interval: float = 0.5,
    ) -> UsageWatch:
        """Call ``callback(usage)`` once, in the loop, when it uses more than it should.

        Args:
            callback: what is called, with the `Usage` of that moment.
            memory: resident bytes.
            cpu: seconds of CPU time.
            interval: how many seconds go by between two looks.

        Returns:
            What is looking, with a `cancel`.

        Raises:
            ValueError: neither `memory` nor `cpu` is given; the interval is not above 0.
            TypeError: the callback is a coroutine function.
            NotImplementedError: this is not Linux.
        """
        refuse_coroutine_function("callback", callback)
        check_proc()
        if memory is None and cpu is None:
            raise ValueError("too much of what? give memory= or cpu=")
        if not interval > 0:
            raise ValueError(f"the interval between two looks is above 0 seconds, not {interval!r}")

        def is_too_much(usage: Usage) -> bool:
            return (memory is not None and usage.memory > memory) or (cpu is not None and usage.cpu > cpu)

        return UsageWatch(asyncio.get_running_loop(), self.usage, is_too_much, callback, interval)

    def detach(self) -> None:
        """Detach the child: close our ends of its pipes, and let it run on, also after this process has ended.

        It is reaped at its end all the same, for as long as this process lives.
        """
        self._is_detached = True
        self._return_terminal()
        self._connection.detach()
        if self._child.exit is None:
            reap_later(self._child)  # since a loop need not tell when it is closed

    async def communicate(self, input: Buffer | None = None) -> tuple[Any, Any]:
        """Write the input, read both outputs to their ends, and wait for the exit; return (stdout, stderr).

        Cut off by a timeout, it can be called again, without an input; what was read is in ``stdout.collected`` too.
        """
        self._streams.feed(None if input is None else flat(input))
        outputs = await results_of(*(_collected(reader) for reader in (self.stdout, self.stderr)))
        await self.wait()
        return outputs[0], outputs[1]

    @overload
    def merged_lines(
        self, encoding: None = None, errors: str = "strict", *, drain: float = 1.0
    ) -> LineIterator[Line[bytes]]: ...
    @overload
    def merged_lines(self, encoding: str, errors: str = "strict", *, drain: float = 1.0) -> LineIterator[Line[str]]: ...
    def merged_lines(
        self, encoding: str | None = None, errors: str = "strict", *, drain: float = 1.0
    ) -> LineIterator[Line[Any]]:
        """Give the lines of both outputs in the order in which they have come, each with the name of its stream.

        A timeout or a cancellation around the next line loses nothing, and the iterator can be used again.

        Args:
            encoding: decodes the lines; None gives bytes. It must be one in which a line end is the byte 10.
            errors: what is done with bytes that cannot be decoded, as in `bytes.decode`.
            drain: seconds after the exit of the child in which the outputs are read on, as in `Reader.lines`.

        Raises:
            ValueError: the encoding is not of that kind.
            RuntimeError: one of the outputs was read by itself; the next line raises it.
        """
        if self._merged is None:
            assert isinstance(self._streams, Streams)
            self._merged = MergedLines(self._streams)
        return self._merged.lines(encoding, errors, drain)

    async def end(self, *, grace: float = 5.0, kill_timeout: float = 5.0, drain: float = 1.0) -> Exit | None:
        """End it, with its group if `start` has given it one: TERM, a grace, KILL; close its pipes, and reap it.

        Cancelled, it goes on to the next step: to the KILL, and then to the close of the pipes.

        Args:
            grace: how many seconds it has to end by itself.
            kill_timeout: how many seconds after the KILL it is waited for. The kernel may hold it for longer; then it
                is left to the reaper, with a warning.
            drain: how many seconds may go by until the last of its output has been read, if another process holds the
                pipes; then they are closed.

        Returns:
            How it ended, or None if it was given up.
        """
        return await self._end(EndBounds(grace, kill_timeout, drain))

    async def _end(self, bounds: EndBounds) -> Exit | None:
        if self._is_over():
            if self._group is not None:
                self._group.close()
            return self._child.exit
        try:
            await end_process(self, bounds)
        finally:
            if not self._home.is_closed():
                self._connection.abort_pipes()
            self._kill_now()
        return self._child.exit

    def _kill_now(self) -> None:
        """Kill it, with its group, and close its pipes, without waiting for anything; the reaper will reap it."""
        self._connection.close()
        self._connection.kill_group()
        self._return_terminal()
        if self._child.exit is None:
            reap_later(self._child)

    def _return_terminal(self) -> None:
        if self._foreground is not None:
            self._foreground.remove(self)

    def _is_over(self) -> bool:
        """Return whether nothing is left to be done: the child has exited, and its output is closed and read."""
        if not (self._connection.finished and self._streams.is_finished):
            return False
        return self._group is None or self._group.is_closed or not self._is_anybody_left()

    def _is_anybody_left(self) -> bool:
        if self._group is None:
            return self.poll() is None
        try:
            self._group.signal(0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True


async def _collected(reader: Reader | None) -> bytes | None:
    return None if reader is None else await reader.collect()
