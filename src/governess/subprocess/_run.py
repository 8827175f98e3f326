"""A program that is run to its end."""

from __future__ import annotations

import asyncio
import codecs
import re
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, Unpack, overload

from governess.children._exit import Exit
from governess.children._spawn.command import Program, Stdio
from governess.subprocess._end import EndBounds, output_ended
from governess.subprocess._lines import BinaryFile, LineListener, copy_to_parents_output, listeners_of
from governess.subprocess._options import RunOptions
from governess.subprocess._process import Process
from governess.subprocess._protocol import Collector, text_of
from governess.subprocess._results import Completed, ProcessError, ProcessTimeout, TerminalRequired
from governess.subprocess._start import NO_INPUT, Start, foreground_of, group_command, words_of
from governess.subprocess._together import cancel_all, own_task
from governess.transports._write_buffer import Buffer, flat

__all__ = ["run"]


@overload
async def run(
    *argv: Program | Sequence[Program],
    input: Buffer | None = None,
    capture: Literal[True] = True,
    encoding: None = None,
    check: bool = False,
    timeout: float | None = None,
    **options: Unpack[RunOptions],
) -> Completed[bytes]: ...
@overload
async def run(
    *argv: Program | Sequence[Program],
    input: str | None = None,
    capture: Literal[True] = True,
    encoding: str,
    check: bool = False,
    timeout: float | None = None,
    **options: Unpack[RunOptions],
) -> Completed[str]: ...
@overload
async def run(
    *argv: Program | Sequence[Program],
    input: Buffer | str | None = None,
    capture: Literal[False],
    encoding: str | None = None,
    check: bool = False,
    timeout: float | None = None,
    **options: Unpack[RunOptions],
) -> Completed[None]: ...
async def run(
    *argv: Program | Sequence[Program],
    input: Any = None,
    capture: bool = True,
    encoding: str | None = None,
    errors: str = "strict",
    check: bool = False,
    timeout: float | None = None,
    grace: float = 5.0,
    kill_timeout: float = 5.0,
    drain: float = 1.0,
    stdin: Stdio = NO_INPUT,
    stdout: Stdio = None,
    stderr: Stdio = None,
    session: bool = False,
    foreground: bool = False,
    tee: BinaryFile | None = None,
    on_line: LineListener | Mapping[str | re.Pattern[str], LineListener] | None = None,
    **options: Any,
) -> Completed[Any]:
    """Run a program to its end, and then end the other processes of the group that it leads.

    Args:
        *argv: the program and its arguments, or one list of them.
        input: the text or the bytes that the program reads from its standard input.
        capture: whether to keep the output. Otherwise the program writes to the outputs of this process, also with a
            terminal of its own (``pty=True``).
        encoding: the encoding of input and output, which are text then; with None they are bytes.
        errors: how to handle errors of encoding and decoding, as in `str.encode` and `bytes.decode`.
        check: whether to raise an error if the program does not exit with 0.
        timeout: the seconds that the program may take, including its start.
        grace: the seconds between TERM and KILL, if the program has to be ended.
        kill_timeout: the seconds to wait for the end of the program after KILL.
        drain: the seconds to read its output after the exit, if another process still holds the pipes open.
        stdin: PIPE, DEVNULL, a descriptor, an open file, the Path of a file, or None for the standard input of this
            process. The default is DEVNULL; with `foreground` it is None.
        stdout: the same for standard output; with None, `capture` decides.
        stderr: the same for standard error; STDOUT sends it to the same place as standard output.
        session: whether the program also leads a session, which has no controlling terminal.
        foreground: whether the program gets the controlling terminal of this process until it has ended, as in `start`.
            For an editor or a pager, use ``capture=False`` too, because they write to the terminal.
        tee: a file, opened for bytes, to which the output is copied as it arrives.
        on_line: a function that is called with each `Line` as it arrives, or a mapping from patterns to functions,
            which get the lines that match. If a function raises an exception, the program is ended, and `run`
            raises the exception. Lines are decoded with `encoding` and `errors`; without an encoding as UTF-8, with
            U+FFFD for bytes that cannot be decoded.
        **options: as in `create_subprocess_exec`.

    Returns:
        The exit, the output and the duration of the program.

    Raises:
        ProcessError: the program has failed, and `check` is true.
        ProcessTimeout: the program has not ended in time.
        TerminalRequired: the program uses the terminal without `foreground`, and was ended.
        OSError: the program cannot be started; all errors of `subprocess.Popen` are possible.
        ValueError: an option would make the streams anything but bytes; `input` and `stdin` are given; there is no
            pipe for `tee` or `on_line`; `foreground` is given with `session` or `pty`.
        TypeError: the input is neither bytes nor text with an `encoding`; `on_line` is a coroutine function; an option
            does not exist, and the text says what to write instead.
        LookupError: the encoding does not exist.
        UnicodeError: the output cannot be decoded, or the input cannot be encoded.
    """
    if options.get("capture_output") is True:  # a habit of `subprocess.run`, and what is done anyway
        del options["capture_output"]
    words = words_of(argv)
    if isinstance(stdin, str):
        raise TypeError(f"stdin={stdin!r}: what the program reads is given as input; a file to read from, as a Path")
    if input is not None and stdin != DEVNULL:
        raise ValueError("stdin and input cannot both be given")
    if timeout is not None and not isinstance(timeout, (int, float)):
        raise TypeError(f"the timeout is a number of seconds, not {timeout!r}")
    data = None if input is None and encoding is None else input_bytes(input, encoding, errors)
    listens = tee is not None or on_line is not None
    if capture or listens:
        stdout, stderr = PIPE if stdout is None else stdout, PIPE if stderr is None else stderr
    if listens and PIPE not in (stdout, stderr):
        raise ValueError("tee and on_line take what comes from a pipe: let stdout or stderr be PIPE or None")
    terminal = foreground_of(session, options) if foreground else None
    if input is not None:
        stdin = PIPE
    elif foreground and stdin is NO_INPUT:
        stdin = None
    command = group_command(words, stdin, stdout, stderr, session, options)
    # Without an encoding the caller gets bytes, and has not asked for a strict reading of them.
    listeners = listeners_of(tee, on_line, encoding, errors if encoding else None) if listens else []
    if not capture and stdout is None and options.get("pty"):
        listeners.append(copy_to_parents_output)
    bounds = EndBounds(grace, kill_timeout, drain)
    starting = Start(command, partial(Collector, capture, listeners), bounds, terminal)
    timer = asyncio.timeout(timeout)
    execution = _Execution(starting, data, timer)
    try:
        async with timer:
            await execution.run(drain)
    except TimeoutError:
        if not timer.expired():
            raise
        texts = execution.outputs(capture, encoding, "replace")  # a character may be cut off
        if execution.stop:
            raise TerminalRequired(execution.completed(words, *texts), execution.stop) from None
        raise ProcessTimeout(words, timeout or 0, execution.exit, *texts) from None
    completed = execution.completed(words, *execution.outputs(capture, encoding, errors))
    if check and completed.exit != 0:
        raise ProcessError(completed)
    return completed


def input_bytes(input: Any, encoding: str | None, errors: str) -> Buffer | None:
    """Return the input as bytes.

    Raises:
        TypeError: it is neither bytes nor text with an encoding.
        LookupError: there is no such encoding.
        UnicodeEncodeError: the text cannot be encoded.
    """
    if encoding is not None:
        codecs.lookup(encoding)
        if isinstance(input, str):
            return input.encode(encoding, errors)
    if input is None:
        return None
    try:
        return flat(input)
    except TypeError:
        words = f"the input is bytes, or text if an encoding is given, not {type(input).__name__}"
        raise TypeError(words) from None


class _Execution:
    """What is known of a program that is being run."""

    def __init__(self, starting: Start, input: Buffer | None, timer: asyncio.Timeout) -> None:
        self._starting = starting
        self._input = input
        self._timer = timer
        self._process: Process | None = None
        self.duration = 0.0

    @property
    def stop(self) -> int:
        return 0 if self._process is None else self._process._streams.stop

    @property
    def exit(self) -> Exit | None:
        return None if self._process is None else self._process._child.exit

    async def run(self, drain: float) -> None:
        started = time.monotonic()
        async with self._starting as process:
            self._process = process
            if process._foreground is None:
                process._streams.timer = self._timer
            if self._input is not None:
                process._streams.feed(self._input)
            await (process.wait() if process._streams.failure is None else _wait_unless_failed(process))
            self._timer.reschedule(None)
            self.duration = time.monotonic() - started
            if not process._streams.is_finished:
                await output_ended(process, drain)

    def completed(self, argv: tuple[Program, ...], stdout: Any, stderr: Any) -> Completed[Any]:
        exit = Exit.unknown() if self.exit is None else self.exit  # it was killed, and has not ended even so
        return Completed(argv, exit, stdout, stderr, self.duration)

    def outputs(self, capture: bool, encoding: str | None, errors: str) -> tuple[Any, Any]:
        process = self._process
        if not capture or process is None:
            return None, None
        outputs = process._streams.collected(1), process._streams.collected(2)
        return text_of(outputs[0], encoding, errors), text_of(outputs[1], encoding, errors)


async def _wait_unless_failed(process: Process) -> None:
    """Wait until it has ended; raise what a listener to its output has raised."""
    waiting = own_task(process.wait())
    failure = process._streams.failure
    assert failure is not None
    try:
        await asyncio.wait((waiting, failure), return_when=asyncio.FIRST_COMPLETED)
        if failure.done():
            raise failure.result()
        await waiting
    finally:
        cancel_all([waiting])
