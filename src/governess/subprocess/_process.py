"""A running program, and its start in the running loop, which may be any loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast, overload

from governess.children._callbacks import refuse_coroutine_function
from governess.children._child import Child
from governess.children._exit import Exit, MaybeNone
from governess.children._group import Group
from governess.children._reaper import reap_later
from governess.children._spawn.command import Command
from governess.subprocess._end import EndBounds, end_process
from governess.subprocess._foreground import Foreground
from governess.subprocess._limits import Usage, UsageWatch, check_proc, usage_of
from governess.subprocess._lines import Line, LineIterator, MergedLines
from governess.subprocess._protocol import ChildProtocol
from governess.subprocess._pty import in_terminal, set_window_size
from governess.subprocess._reader import Reader
from governess.subprocess._together import results_of
from governess.transports._start import start_child
from governess.transports._transport import ChildTransport
from governess.transports._write_buffer import Buffer, flat

if TYPE_CHECKING:
    from governess.subprocess._streams import Streams

__all__ = ["Process", "create"]


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
    """A running program: an `asyncio.subprocess.Process` with more methods.

    Attributes:
        pid: the number of the process.
        stdin: the writer for its standard input; None without a pipe.
        stdout: the reader of its standard output; None without a pipe.
        stderr: the reader of its standard error; None without a pipe.
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
        """The program and its arguments."""
        return self._child.argv

    @property
    def exit(self) -> Exit | MaybeNone:
        """The exit of the program; None until the exit is known. It is equal to the `returncode`."""
        return self._child.exit

    @property
    def is_detached(self) -> bool:
        """Whether `detach` was called."""
        return self._is_detached

    def poll(self) -> Exit | None:
        """Return the exit if the program has ended, else None; this needs no iteration of the loop."""
        return self._child.reap()

    async def wait(self) -> Exit:
        """Wait until the program has ended, and return its exit; other processes may still hold its pipes open."""
        await self._connection.when_exited()
        if self._foreground is not None:
            self._foreground.remove(self)
        assert self._child.exit is not None
        return self._child.exit

    def signal_tree(self, signal: int) -> None:
        """Send a signal to every process in the group that the program leads; to the program alone if it leads none.

        A program that was started by `start` leads a group. The group gets the signal even if the program itself has
        ended before.

        Args:
            signal: the number of the signal.

        Raises:
            ProcessLookupError: no process of the group is left.
        """
        if self._group is not None:
            self._group.signal(signal)
            return
        try:
            self._child.signal_group(signal)
        except ProcessLookupError:
            self._child.signal(signal)

    def set_window_size(self, rows: int, columns: int) -> None:
        """Set the size of the program's terminal (`pty`); the programs in its foreground get SIGWINCH.

        Args:
            rows: the number of lines, from 1 to 65535.
            columns: the number of characters in a line, from 1 to 65535.

        Raises:
            ValueError: the size is out of range; or the program has no terminal, or the terminal is closed.
        """
        pipes = [pipe for number in (1, 2) if (pipe := self._connection.get_pipe_transport(number)) is not None]
        descriptors = [pipe.get_extra_info("pipe").fileno() for pipe in pipes]
        if not (terminals := [descriptor for descriptor in descriptors if os.isatty(descriptor)]):
            raise ValueError(f"{self!r} has no terminal: it was not started with pty=True")
        set_window_size(terminals[0], rows, columns)

    def usage(self) -> Usage:
        """Return the `Usage` of the program at this moment, together with its group and its session (Linux).

        Raises:
            NotImplementedError: this system has no /proc like that of Linux.
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
        """Call ``callback(usage)`` once, in the loop, when the usage of the program exceeds a limit (Linux).

        Args:
            callback: a function of one argument, the `Usage` of that moment.
            memory: the limit in bytes of resident memory; None for no limit.
            cpu: the limit in seconds of processor time; None for no limit.
            interval: the seconds between two checks.

        Returns:
            A `UsageWatch`, whose method `cancel` ends the checks.

        Raises:
            ValueError: neither `memory` nor `cpu` is given; or the interval is not above 0.
            TypeError: the callback is a coroutine function.
            NotImplementedError: this system has no /proc like that of Linux.
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
        """Close this process's ends of the pipes, and let the program keep running, also when this process ends.

        While this process runs, governess still reaps the program when it ends. A program with `die_with_parent` ends
        with this process nevertheless.
        """
        self._is_detached = True
        self._return_terminal()
        self._connection.detach()
        if self._child.exit is None:
            reap_later(self._child)  # since a loop need not tell when it is closed

    async def communicate(self, input: Buffer | None = None) -> tuple[Any, Any]:
        """Write the input, read both outputs to their ends, and wait for the exit.

        After a timeout or a cancellation, it can be called again without an input. Until then, what was read is in
        ``stdout.collected`` and ``stderr.collected``.

        Args:
            input: the bytes for standard input; None for no input.

        Returns:
            The pair (standard output, standard error), as bytes; None in place of an output without a pipe.
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
        """Return an async iterator of the lines of both outputs, each a `Line`, in the order in which they arrived.

        A timeout or a cancellation around the next line loses nothing, and the iterator can be used again.

        Args:
            encoding: the encoding of the lines; None for bytes. Its line end must be the byte 10.
            errors: how to handle bytes that cannot be decoded, as in `bytes.decode`.
            drain: the seconds to read on after the exit of the program, if another process still holds the pipes open.

        Raises:
            ValueError: the line end of the encoding is not the byte 10.
            LookupError: the encoding does not exist.
            RuntimeError: from the iterator, if other code has read one of the outputs.
        """
        if self._merged is None:
            self._merged = MergedLines(cast("Streams", self._streams))  # which all have that callers get
        return self._merged.lines(encoding, errors, drain)

    async def end(self, *, grace: float = 5.0, kill_timeout: float = 5.0, drain: float = 1.0) -> Exit | None:
        """End the program, and its group if `start` has given it one; close its pipes, and reap it.

        The program gets TERM, and KILL after the grace period. Then its remaining output is read. A cancellation ends
        the current step, and the next step follows.

        Args:
            grace: the seconds between TERM and KILL.
            kill_timeout: the seconds to wait for the end of the program after KILL. If the kernel holds the program
                for longer, a warning is logged, and a background thread reaps the program later.
            drain: the seconds to read the rest of the output, if another process holds the pipes open.

        Returns:
            The exit of the program; None if the program has not ended.
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
