"""A program for the length of a block; the end of the block ends the program and its process group."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Unpack

from governess.children._spawn.command import Command, Program, Stdio, command_of
from governess.subprocess._end import EndBounds
from governess.subprocess._foreground import Foreground
from governess.subprocess._habits import OF_RUN, checked_options
from governess.subprocess._limits import child_options
from governess.subprocess._lines import BinaryFile, LineListener, listeners_of
from governess.subprocess._options import ChildOptions
from governess.subprocess._process import Process, create
from governess.subprocess._protocol import ChildProtocol
from governess.subprocess._streams import LIMIT, Streams

__all__ = ["NO_INPUT", "Start", "foreground_of", "group_command", "leading_group", "start", "words_of"]


class _NoInput(int):
    """DEVNULL where the caller has not chosen it: with the terminal, a program gets the parent's input instead."""


NO_INPUT: Final = _NoInput(DEVNULL)


def start(
    *argv: Program | Sequence[Program],
    stdin: Stdio = NO_INPUT,
    stdout: Stdio = None,
    stderr: Stdio = None,
    session: bool = False,
    foreground: bool = False,
    grace: float = 5.0,
    kill_timeout: float = 5.0,
    drain: float = 1.0,
    tee: BinaryFile | None = None,
    on_line: LineListener | Mapping[str | re.Pattern[str], LineListener] | None = None,
    limit: int = LIMIT,
    **options: Unpack[ChildOptions],
) -> Start:
    """Start a program for the length of an ``async with`` block. The value of the block is the `Process`.

    The program leads a process group of its own. At the end of the block, whether normal, by an error or by a
    cancellation, the whole group gets TERM, and KILL after a grace period. Then the rest of the output is read, and the
    program is reaped; each of these steps has a time limit. A second cancellation ends the grace period. After
    `Process.detach` the program keeps running.

    Args:
        *argv: the program and its arguments, or one list of them.
        stdin: PIPE, DEVNULL, a descriptor, an open file, the Path of a file, or None for the standard input of this
            process. The default is DEVNULL; with `foreground` it is None.
        stdout: the same for standard output.
        stderr: the same for standard error; STDOUT sends it to the same place as standard output.
        session: whether the program also leads a session, which has no controlling terminal.
        foreground: whether the group gets the controlling terminal of this process until the program has ended, as a
            shell gives it to a job. An editor, a pager, and a program that asks for a password need it. Ctrl-C then
            goes to the program, and not to this process; Ctrl-Z stops both. Without `foreground`, the kernel stops a
            program that reads from the terminal, and a warning is logged. If this process has no terminal, the option
            has no effect.
        grace: the seconds between TERM and KILL.
        kill_timeout: the seconds to wait for the end of the program after KILL.
        drain: the seconds to read the rest of the output, if a process outside of the group holds the pipes open.
        tee: a file, opened for bytes, to which the output is copied. The caller still has to read the pipes: the
            program blocks when the buffers of the readers are full.
        on_line: a function that is called with each `Line` of the output, or a mapping from patterns (`re.search`) to
            functions, which get the lines that match. Lines are decoded as UTF-8, with U+FFFD for bytes that cannot be
            decoded. The caller still has to read the pipes, as with `tee`; `run` reads them itself. If a function
            raises an exception, the call that reads raises it.
        limit: how many bytes a reader buffers before the program has to wait.
        **options: as in `create_subprocess_exec`.

    Raises:
        OSError: at the beginning of the block, if the program cannot be started; all errors of `subprocess.Popen` are
            possible.
        ValueError: an option would make the streams anything but bytes; there is no pipe for `tee` or `on_line`;
            `foreground` is given with `session` or `pty`.
        TypeError: `process_group` or `start_new_session` is given, instead of `session`; an option does not exist, and
            the text says what to write instead.
    """
    options = checked_options(options, OF_RUN) if options else options  # type: ignore[assignment]
    if (tee or on_line) is not None and PIPE not in (stdout, stderr):
        raise ValueError("tee and on_line take what comes from a pipe: give stdout=PIPE or stderr=PIPE")
    terminal = foreground_of(session, options) if foreground else None
    if foreground and stdin is NO_INPUT:
        stdin = None
    command = group_command(words_of(argv), stdin, stdout, stderr, session, options)
    bounds = EndBounds(grace, kill_timeout, drain)
    return Start(command, partial(Streams, limit, listeners_of(tee, on_line)), bounds, terminal)


def foreground_of(session: bool, options: Mapping[str, Any]) -> Foreground:
    """Return what gives a child the terminal.

    Raises:
        ValueError: the child is to have a session, or a terminal of its own.
        NotImplementedError: this is Windows.
    """
    if session or options.get("pty"):
        other = "session=True gives it none" if session else "pty=True gives it one of its own"
        raise ValueError(f"foreground=True gives the child the terminal of this process, and {other}")
    return Foreground()


def group_command(
    argv: tuple[Program, ...], stdin: Stdio, stdout: Stdio, stderr: Stdio, session: bool, options: Mapping[str, Any]
) -> Command:
    """Return the command of a child that leads a process group, which can be signalled after the child has exited.

    Raises:
        TypeError: an option would give it another group, or is written in another way here.
        ValueError: an option would make the streams anything but bytes.
    """
    options = checked_options(options) if options else options
    return leading_group(command_of, argv, stdin, stdout, stderr, session, options)


def words_of(argv: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the program and its arguments, which may also be given as one list, as to `subprocess.run`.

    Raises:
        TypeError: there is no program.
    """
    if len(argv) == 1 and isinstance(argv[0], (list, tuple)):
        argv = tuple(argv[0])
    if not argv:
        raise TypeError("there is no program to start")
    return argv


def leading_group(
    make: Callable[..., Command],
    words: Any,
    stdin: Stdio,
    stdout: Stdio,
    stderr: Stdio,
    session: bool,
    options: Mapping[str, Any],
) -> Command:
    """Return what `make` makes of the words, of a child that leads a process group; errors as `group_command`."""
    if taken := sorted({"process_group", "start_new_session"} & options.keys()):
        raise TypeError(f"{', '.join(taken)}: the child leads a group of its own; session=True gives it a session")
    options = child_options(options) if options else {}
    command = make(words, stdin, stdout, stderr, options)
    command.options = {**command.options, **_of_its_own(session, options)}
    command.keep_group = True
    return command


def _of_its_own(session: bool, options: Mapping[str, Any]) -> dict[str, Any]:
    if sys.platform == "win32":
        if session:
            raise NotImplementedError("session=True gives a child a session of POSIX, which Windows does not have")
        return {"creationflags": options.get("creationflags", 0) | subprocess.CREATE_NEW_PROCESS_GROUP}
    has_terminal = options.get("controlling_terminal") is not None or options.get("pty") not in (None, False)
    return {"start_new_session": True} if session or has_terminal else {"process_group": 0}


class Start:
    """The async context manager that `start` returns. Its value is the `Process`.

    The beginning of the block starts the program, and the end of the block ends it. Each object serves one block.

    Attributes:
        bounds: the time limits of the steps that end the program, in seconds.
    """

    def __init__(
        self,
        command: Command,
        make_protocol: Callable[[asyncio.AbstractEventLoop], ChildProtocol],
        bounds: EndBounds,
        foreground: Foreground | None = None,
    ) -> None:
        """Store the command, which starts with the block; `foreground` gives it the terminal."""
        self._command = command
        self._make_protocol = make_protocol
        self.bounds = bounds
        self._foreground = foreground
        self._process: Process | None = None

    if not TYPE_CHECKING:  # for type checkers it cannot be awaited

        def __await__(self) -> object:
            raise TypeError("start() is used in `async with start(…) as process:`; run() can be awaited")

    async def __aenter__(self) -> Process:
        if self._process is not None:
            raise RuntimeError("each start() is good for one block")
        self._process = process = await create(self._command, self._make_protocol)
        if self._foreground is not None:
            self._foreground.add(process)
        return process

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        assert process is not None
        if process._is_detached:
            return
        if kind is GeneratorExit:  # the coroutine is thrown away, and cannot wait for anything
            process._kill_now()
            return
        await process._end(self.bounds)
