"""asyncio's two functions that start a child, over any running loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from governess.children._spawn.command import Command, Program, Stdio
from governess.subprocess._limits import child_options
from governess.subprocess._listeners import Listener
from governess.subprocess._output import LIMIT, Output, Streams
from governess.subprocess._process import Process
from governess.subprocess._pty import in_terminal
from governess.transports._commands import command_of, shell_command_of
from governess.transports._start import start_child

__all__ = ["create", "create_subprocess_exec", "create_subprocess_shell"]


async def create_subprocess_exec(
    program: Program,
    *args: Program,
    stdin: Stdio = None,
    stdout: Stdio = None,
    stderr: Stdio = None,
    limit: int = LIMIT,
    **options: Any,
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
            it may use; ``die_with_parent=True``, which kills it when this process ends (Linux); ``pty=True`` or
            ``pty=(rows, columns)``, which gives it a terminal in place of pipes, DEVNULL and the parent's streams.

    Raises:
        OSError: as `subprocess.Popen` raises it; so its other errors.
        ValueError: an option would make the streams anything but bytes.
        NotImplementedError: an option needs the native spawner, which is not in use here.
    """
    return await create(
        command_of((program, *args), stdin, stdout, stderr, child_options(options) if options else options), limit
    )


async def create_subprocess_shell(
    cmd: str | bytes,
    stdin: Stdio = None,
    stdout: Stdio = None,
    stderr: Stdio = None,
    limit: int = LIMIT,
    **options: Any,
) -> Process:
    """Start a line of the shell in the running loop; arguments and errors as in `create_subprocess_exec`."""
    return await create(
        shell_command_of(cmd, stdin, stdout, stderr, child_options(options) if options else options), limit
    )


async def create(
    command: Command, limit: int = LIMIT, output: Output = Output.READ, listeners: Sequence[Listener] = ()
) -> Process:
    """Start a command in the running loop."""
    loop = asyncio.get_running_loop()
    if "pty" not in command.options:
        transport, streams = await start_child(loop, partial(Streams, loop, limit, output, listeners), command)
    else:
        with in_terminal(command) as (command, ends):
            protocol_factory = partial(Streams, loop, limit, output, listeners)
            transport, streams = await start_child(loop, protocol_factory, command, ends)
    return Process(transport, streams, loop)
