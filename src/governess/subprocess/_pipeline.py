"""Commands that can be joined to pipelines, as in a shell, but without one."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Unpack, overload

from governess.children._spawn.command import Program, Stdio
from governess.subprocess._end import EndBounds
from governess.subprocess._foreground import Foreground
from governess.subprocess._options import CommandRunOptions, StartOptions
from governess.subprocess._output import LIMIT, Streams
from governess.subprocess._pipeline_run import FlowStart, run_pipeline
from governess.subprocess._protocol import ChildProtocol, Collector
from governess.subprocess._results import Completed, CompletedPipeline
from governess.subprocess._run import input_bytes, run
from governess.subprocess._start import NO_INPUT, Start, foreground_of, start, words_of
from governess.transports._write_buffer import Buffer

__all__ = ["Cmd", "Pipeline", "cmd", "pipeline"]

Words = Sequence[Program]


@dataclass(frozen=True, slots=True)
class Cmd:
    """A command, which `cmd` makes; it can be joined with others by ``|``, and be run any number of times.

    Attributes:
        argv: the program and its arguments.
        options: as in `start`.
    """

    argv: tuple[Program, ...]
    options: dict[str, Any] = field(default_factory=dict, repr=False)  # the environment may hold secrets

    def __hash__(self) -> int:
        return hash(self.argv)  # the options may have values without a hash

    def __or__(self, other: Cmd | Pipeline | Words) -> Pipeline:
        return pipeline(self, *_stages(other))

    def __ror__(self, other: Words) -> Pipeline:
        return pipeline(*_stages(other), self)

    def start(self, **options: Unpack[StartOptions]) -> Start:
        """Start it for the length of a block, as `start` does; the options are added to its own."""
        together: Any = {**self.options, **options}
        return start(*self.argv, **together)

    async def run(self, **options: Unpack[CommandRunOptions]) -> Completed[Any]:
        """Run it to its end, as `run` does; the options are added to its own."""
        together: Any = {**self.options, **options}
        completed: Completed[Any] = await run(*self.argv, **together)
        return completed


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands each of which reads what the one before it writes; it can be run any number of times.

    Attributes:
        commands: the commands in their order.
    """

    commands: tuple[Cmd, ...]

    def __or__(self, other: Cmd | Pipeline | Words) -> Pipeline:
        return pipeline(*self.commands, *_stages(other))

    def __ror__(self, other: Words) -> Pipeline:
        return pipeline(*_stages(other), *self.commands)

    def start(
        self,
        *,
        stdin: Stdio = NO_INPUT,
        stdout: Stdio = None,
        stderr: Stdio = None,
        foreground: bool = False,
        grace: float = 5.0,
        kill_timeout: float = 5.0,
        drain: float = 1.0,
    ) -> FlowStart:
        """Start it for the length of a block, in ``async with``, whose value is the `Flow`.

        Args:
            stdin: what the first program reads; as in `start`.
            stdout: where the last one writes.
            stderr: where each of them writes its standard error, unless its own options say it.
            foreground: whether they get the controlling terminal of this process until all have ended, as in `start`;
                then they are one process group.
            grace: seconds between TERM and KILL; as in `start`, so the others. All programs are ended at the same time.
            kill_timeout: seconds after KILL in which they are waited for.
            drain: seconds for what is left in the pipes, if a process outside of the pipeline holds them.

        Raises:
            OSError: on entering the block, as `subprocess.Popen` raises it; what had started before is ended then.
            ValueError: `foreground` is given, and one of the programs has a session or a terminal of its own.
        """
        bounds = EndBounds(grace, kill_timeout, drain)
        if foreground and stdin is NO_INPUT:
            stdin = None
        return self._start(stdin, stdout, stderr, partial(Streams, LIMIT, ()), bounds, foreground)

    @overload
    async def run(
        self,
        *,
        input: Buffer | None = None,
        capture: Literal[True] = True,
        encoding: None = None,
        errors: str = "strict",
        check: bool = False,
        foreground: bool = False,
        timeout: float | None = None,
        grace: float = 5.0,
        kill_timeout: float = 5.0,
        drain: float = 1.0,
    ) -> CompletedPipeline[bytes]: ...
    @overload
    async def run(
        self,
        *,
        input: str | None = None,
        capture: Literal[True] = True,
        encoding: str,
        errors: str = "strict",
        check: bool = False,
        foreground: bool = False,
        timeout: float | None = None,
        grace: float = 5.0,
        kill_timeout: float = 5.0,
        drain: float = 1.0,
    ) -> CompletedPipeline[str]: ...
    @overload
    async def run(
        self,
        *,
        input: Buffer | str | None = None,
        capture: Literal[False],
        encoding: str | None = None,
        errors: str = "strict",
        check: bool = False,
        foreground: bool = False,
        timeout: float | None = None,
        grace: float = 5.0,
        kill_timeout: float = 5.0,
        drain: float = 1.0,
    ) -> CompletedPipeline[None]: ...
    async def run(
        self,
        *,
        input: Any = None,
        capture: bool = True,
        encoding: str | None = None,
        errors: str = "strict",
        check: bool = False,
        foreground: bool = False,
        timeout: float | None = None,
        grace: float = 5.0,
        kill_timeout: float = 5.0,
        drain: float = 1.0,
    ) -> CompletedPipeline[Any]:
        """Run it to its end; when one of its programs fails, the others are ended.

        Args:
            input: what the first program reads.
            capture: whether to keep the output of the last one, and the standard error of each.
            encoding: makes text of that, and bytes of the input; None leaves bytes.
            errors: what is done with what cannot be decoded or encoded, as in `bytes.decode` and `str.encode`.
            check: whether it is an error if one of them fails.
            foreground: whether they get the controlling terminal of this process, as in `start`.
            timeout: how many seconds it may take.
            grace: seconds between TERM and KILL; as in `start`, so the others.
            kill_timeout: seconds after KILL in which they are waited for.
            drain: seconds after the exit in which the output is read on, if another process still holds the pipes.

        Raises:
            ProcessError: with `check`, the program that it tells of has failed.
            ProcessTimeout: it has not ended in its time.
            TerminalRequired: one of them uses the terminal, and has it not; all were ended.
            OSError: as `subprocess.Popen` raises it; so its other errors.
            TypeError: the input is neither bytes nor text with an `encoding`.
            LookupError: there is no such encoding.
            UnicodeError: what was written is not in that encoding, or the input cannot be encoded.
        """
        data = input_bytes(input, encoding, errors)
        place = PIPE if capture else None
        bounds = EndBounds(grace, kill_timeout, drain)
        stdin = PIPE if input is not None else None if foreground else DEVNULL
        return await run_pipeline(
            self._start(stdin, place, place, partial(Collector, capture, ()), bounds, foreground),
            self._words(),
            input=data,
            capture=capture,
            encoding=encoding,
            errors=errors,
            check=check,
            timeout=timeout,
            drain=drain,
        )

    def _start(
        self,
        stdin: Stdio,
        stdout: Stdio,
        stderr: Stdio,
        make_protocol: Callable[[asyncio.AbstractEventLoop], ChildProtocol],
        bounds: EndBounds,
        foreground: bool,
    ) -> FlowStart:
        stages = [(command.argv, command.options) for command in self.commands]
        terminal: Foreground | None = None
        if foreground:
            for _, options in stages:
                terminal = foreground_of(options.get("session", False), options)
        return FlowStart(stages, stdin, stdout, stderr, make_protocol, bounds, terminal)

    def _words(self) -> tuple[Program, ...]:
        words = tuple(word for command in self.commands for word in ("|", *command.argv))
        return words[1:]


def cmd(*argv: Program | Sequence[Program], **options: Unpack[StartOptions]) -> Cmd:
    """Return a command, which can be joined with others by ``|``.

    Args:
        *argv: the program and its arguments; a list of them will do, too.
        **options: as in `start`.

    Raises:
        TypeError: there is no program.
    """
    return Cmd(words_of(argv), dict(options))


def pipeline(*commands: Cmd | Words) -> Pipeline:
    """Return a pipeline of commands: of `cmd`, or lists of a program and its arguments.

    Raises:
        TypeError: there is no command, one of them is a string, or says itself where it reads or writes.
    """
    stages = tuple(command if isinstance(command, Cmd) else cmd(*_words(command)) for command in commands)
    if not stages:
        raise TypeError("there is no command for the pipeline")
    for stage in stages:
        if taken := sorted({"stdin", "stdout", "foreground"} & stage.options.keys()):
            raise TypeError(f"{', '.join(taken)} of {stage}: that is the business of the pipeline")
    return Pipeline(stages)


def _stages(other: Cmd | Pipeline | Words) -> Iterable[Cmd | Words]:
    return other.commands if isinstance(other, Pipeline) else (other,)


def _words(command: Words) -> Words:
    if isinstance(command, (str, bytes)) or not isinstance(command, Iterable):
        raise TypeError(f"a command is a list of a program and its arguments, not {command!r}")
    return command
