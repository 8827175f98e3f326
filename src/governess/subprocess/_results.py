"""The results of programs and pipelines that were run to their ends, and the errors."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from governess.children._exit import Exit, MaybeNone

if TYPE_CHECKING:
    import resource

__all__ = [
    "Completed",
    "CompletedPipeline",
    "ProcessError",
    "ProcessTimeout",
    "TerminalRequired",
    "joined",
    "terminal_hint",
]


OutputT = TypeVar("OutputT", bytes, str, None)


@dataclass(frozen=True, slots=True, repr=False)
class Completed(Generic[OutputT]):
    """The result of a program that has ended, with all attributes of `subprocess.CompletedProcess`, and more.

    Attributes:
        args: the program and its arguments.
        exit: the exit of the program; equal to the returncode.
        stdout: the standard output, text if `encoding` was given, else bytes; None if not captured.
        stderr: the standard error, in the same form; None if not captured.
        duration: the seconds from the start of the program to its end.
    """

    args: tuple[Any, ...]
    exit: Exit
    stdout: OutputT
    stderr: OutputT
    duration: float

    def __repr__(self) -> str:
        outputs: dict[str, Any] = {"stdout": self.stdout, "stderr": self.stderr}
        sizes = [f", {len(text)} in {name}" for name, text in outputs.items() if text]
        return f"<Completed {joined(self.args)!r}: {self.exit.describe()}{''.join(sizes)}>"

    @property
    def returncode(self) -> Exit:
        """The exit status, or the negative number of the signal that ended the program."""
        return self.exit

    def check_returncode(self) -> None:
        """Do nothing if the program exited with 0.

        Raises:
            ProcessError: the program failed.
        """
        if self.exit != 0:
            raise ProcessError(self)

    @property
    def rusage(self) -> resource.struct_rusage | MaybeNone:
        """The resources used by the program and by the children that it has waited for; None if unknown."""
        return self.exit.rusage


class ProcessError(subprocess.CalledProcessError):
    """A program has failed, and the caller had asked for a check.

    The error has the attributes of `subprocess.CalledProcessError`: ``cmd``, ``returncode``, ``output``, ``stdout`` and
    ``stderr``.

    Attributes:
        exit: the exit of the program.
        duration: the seconds from the start of the program to its end.
        completed: the whole result.
    """

    def __init__(self, completed: Completed[Any]) -> None:
        super().__init__(completed.exit, completed.args, completed.stdout, completed.stderr)
        self.completed = completed
        self.exit = completed.exit
        self.duration = completed.duration

    def __str__(self) -> str:
        return f"{joined(self.cmd)}: {self.exit.describe()}{_last_line(self.stderr)}"


class TerminalRequired(ProcessError):
    """A program used the terminal without having it: the kernel stopped the program, and governess ended it.

    ``foreground=True`` gives a program the terminal.

    Attributes:
        stop: the signal that stopped the program, SIGTTIN or SIGTTOU.
    """

    def __init__(self, completed: Completed[Any], stop: int) -> None:
        super().__init__(completed)
        self.stop = stop

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.completed, self.stop)

    def __str__(self) -> str:
        return terminal_hint(joined(self.cmd), self.stop)


def terminal_hint(command: str, stop: int, remedy: str = "foreground=True gives it the terminal") -> str:
    """Return the sentence that names a command, why the terminal has stopped it, and what to do."""
    reads = sys.platform != "win32" and stop == signal.SIGTTIN
    use = "reads from the terminal" if reads else "writes to the terminal or changes its settings"
    name = signal.Signals(stop).name
    return f"{command}: stopped by {name}, since it {use}, which another process group has; {remedy}"


class ProcessTimeout(subprocess.TimeoutExpired, TimeoutError):
    """A program has not ended in time, and was ended.

    The error has the attributes of `subprocess.TimeoutExpired`: ``cmd``, ``timeout`` in seconds, ``output``, ``stdout``
    and ``stderr``. The outputs are text if `encoding` was given, else bytes; None if not captured.

    Attributes:
        exit: the exit of the program; None if the program was not started in time, or could not be ended.
    """

    # bytes or text, which the base class does not know
    stdout: Any
    stderr: Any
    output: Any

    def __init__(self, cmd: tuple[Any, ...], timeout: float, exit: Exit | None, stdout: Any, stderr: Any) -> None:
        super().__init__(cmd, timeout, stdout, stderr)
        self.exit: Exit | MaybeNone = exit
        self.args = (str(self),)  # of several arguments OSError would make an errno and names of files

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.cmd, self.timeout, self.exit, self.stdout, self.stderr)

    def __str__(self) -> str:
        return f"{joined(self.cmd)}: not done in {self.timeout:g} s{_last_line(self.stderr)}"


def joined(argv: tuple[Any, ...]) -> str:
    """Return the words of a command as a shell would take them."""
    return shlex.join(word.decode(errors="replace") if isinstance(word, bytes) else str(word) for word in argv)


def _last_line(complaint: bytes | str | None) -> str:
    text = complaint.decode(errors="replace") if isinstance(complaint, bytes) else complaint or ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # A compiler shows the place after its error, by lines of signs.
    words = [line for line in lines if any(map(str.isalpha, line))] or lines
    return f": {words[-1]}" if words else ""


@dataclass(frozen=True, slots=True)
class CompletedPipeline(Generic[OutputT]):
    """The result of a pipeline that has ended.

    Attributes:
        commands: the results of the programs, in their order. Only the last one has a `stdout`; each has a `stderr`.
        first_failure: the result of the program that failed first; None if none failed.
        duration: the seconds from the start of the pipeline to its end.
    """

    commands: tuple[Completed[Any], ...]
    first_failure: Completed[Any] | MaybeNone
    duration: float

    @property
    def exits(self) -> tuple[Exit, ...]:
        """The exit of each program, in their order."""
        return tuple(completed.exit for completed in self.commands)

    @property
    def exit(self) -> Exit:
        """The exit of the program that failed first, or else of the last program."""
        return (self.first_failure or self.commands[-1]).exit

    @property
    def stdout(self) -> OutputT:
        """The output of the last program, text if `encoding` was given, else bytes; None if not captured."""
        return self.commands[-1].stdout  # type: ignore[no-any-return]
