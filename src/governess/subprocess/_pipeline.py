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
from governess.subprocess._pipeline_run import PipelineStart, run_pipeline
from governess.subprocess._protocol import ChildProtocol, Collector
from governess.subprocess._results import Completed, CompletedPipeline
from governess.subprocess._run import input_bytes, run
from governess.subprocess._start import NO_INPUT, Start, foreground_of, start, words_of
from governess.subprocess._streams import LIMIT, Streams
from governess.transports._write_buffer import Buffer

__all__ = ["Cmd", "Pipeline", "cmd", "pipeline"]

Words = Sequence[Program]


@dataclass(frozen=True, slots=True)
class Cmd:
    """A command, which `cmd` makes. The operator ``|`` joins commands to a pipeline.

    A command can be run any number of times.

    Attributes:
        argv: the program and its arguments.
        options: the options, as in `start`.
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
        """Start the command for the length of a block, as `start` does; `options` override those of the command."""
        together: Any = {**self.options, **options}
        return start(*self.argv, **together)

    async def run(self, **options: Unpack[CommandRunOptions]) -> Completed[Any]:
        """Run the command to its end, as `run` does; `options` override those of the command."""
        together: Any = {**self.options, **options}
        completed: Completed[Any] = await run(*self.argv, **together)
        return completed


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands in a row; each command reads the output of the one before it.

    A pipeline can be run any number of times.

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
    ) -> PipelineStart:
        """Start the pipeline for the length of a block: ``async with pipeline.start() as flow:``.

        At the end of the block, all programs are ended at the same time.

        Args:
            stdin: the standard input of the first program, as in `start`.
            stdout: the standard output of the last program, as in `start`.
            stderr: the standard error of each program that has no `stderr` among its own options.
            foreground: whether the programs get the controlling terminal of this process until all have ended, as in
                `start`. They are one process group then.
            grace: seconds between TERM and KILL.
            kill_timeout: seconds to wait for the programs after KILL.
            drain: seconds to read the rest of the output, if a process outside the pipeline holds the pipes open.

        Returns:
            An async context manager, whose value is the `PipelineProcess`.

        Raises:
            OSError: as in `subprocess.Popen`, when the block is entered. Programs that had started are ended.
            ValueError: `foreground` is given, and one of the programs has its own session or terminal.
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
        """Run the pipeline to its end. When one of its programs fails, the others are ended.

        Args:
            input: the standard input of the first program.
            capture: whether to keep the standard output of the last program, and the standard error of each program.
            encoding: the encoding of the input and the outputs, which are text then; None for bytes.
            errors: the handling of encoding errors, as in `bytes.decode` and `str.encode`.
            check: whether the failure of a program raises `ProcessError`.
            foreground: whether the programs get the controlling terminal of this process, as in `start`.
            timeout: seconds that the pipeline may take; None for no limit.
            grace: seconds between TERM and KILL.
            kill_timeout: seconds to wait for the programs after KILL.
            drain: seconds to read on after the exit, if another process holds the pipes open.

        Returns:
            The result of the pipeline, with the results of its programs.

        Raises:
            ProcessError: with `check`, a program has failed; the error names the program.
            ProcessTimeout: the pipeline has not ended in time.
            TerminalRequired: a program used the terminal without having it; all programs were ended.
            OSError: as in `subprocess.Popen`, like all errors of the start.
            TypeError: the input is neither bytes nor text with an `encoding`.
            LookupError: there is no such encoding.
            UnicodeError: an output cannot be decoded, or the input cannot be encoded.
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
    ) -> PipelineStart:
        stages = [(command.argv, command.options) for command in self.commands]
        terminal: Foreground | None = None
        if foreground:
            for _, options in stages:
                terminal = foreground_of(options.get("session", False), options)
        return PipelineStart(stages, stdin, stdout, stderr, make_protocol, bounds, terminal)

    def _words(self) -> tuple[Program, ...]:
        words = tuple(word for command in self.commands for word in ("|", *command.argv))
        return words[1:]


def cmd(*argv: Program | Sequence[Program], **options: Unpack[StartOptions]) -> Cmd:
    """Return a command; the operator ``|`` joins commands to a pipeline.

    Args:
        *argv: the program and its arguments, or one list of them.
        **options: as in `start`.

    Raises:
        TypeError: `argv` has no program.
    """
    return Cmd(words_of(argv), dict(options))


def pipeline(*commands: Cmd | Words) -> Pipeline:
    """Return a pipeline of commands.

    Args:
        *commands: results of `cmd`, or lists of a program and its arguments.

    Raises:
        TypeError: there is no command, a command is a string, or a command has `stdin`, `stdout` or `foreground` among
            its own options.
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
