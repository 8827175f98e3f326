"""What came of a program that was run to its end, or was not."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from governess.children.exit import Exit

if TYPE_CHECKING:
    import resource

__all__ = ["Completed", "ProcessError", "ProcessTimeout"]

OutputT = TypeVar("OutputT", bytes, str, None)


@dataclass(frozen=True, slots=True)
class Completed(Generic[OutputT]):
    """A program that has ended.

    Attributes:
        argv: the program and its arguments.
        exit: how it ended; equal to the returncode.
        stdout: what it wrote, bytes or text as `encoding` says; None where it was not captured.
        stderr: likewise.
        wall: how many seconds it ran.
    """

    argv: tuple[Any, ...]
    exit: Exit
    stdout: OutputT
    stderr: OutputT
    wall: float

    @property
    def rusage(self) -> resource.struct_rusage | None:
        """The resources that it used, and the children that it has waited for; None where they are not known."""
        return self.exit.rusage


class ProcessError(subprocess.CalledProcessError):
    """A program that was to succeed has failed.

    It has what `subprocess.CalledProcessError` has: ``cmd``, ``returncode``, ``output``, ``stdout``, ``stderr``.

    Attributes:
        argv: the program and its arguments.
        exit: how it ended.
        wall: how many seconds it ran.
        completed: all of it.
    """

    def __init__(self, completed: Completed[Any]) -> None:
        super().__init__(completed.exit, completed.argv, completed.stdout, completed.stderr)
        self.completed = completed
        self.argv = completed.argv
        self.exit = completed.exit
        self.wall = completed.wall

    def __str__(self) -> str:
        return f"{_words(self.argv)}: {self.exit.describe()}{_last_line(self.stderr)}"


class ProcessTimeout(TimeoutError):
    """A program has not ended in its time, and was ended.

    Attributes:
        argv: the program and its arguments.
        timeout: how many seconds it had.
        exit: how it ended then; None if it could not be started in that time, or not be ended.
        stdout: what had come, bytes or text as `encoding` says; None where it was not captured.
        stderr: likewise.
    """

    def __init__(self, argv: tuple[Any, ...], timeout: float, exit: Exit | None, stdout: Any, stderr: Any) -> None:
        self.argv = argv
        self.timeout = timeout
        self.exit = exit
        self.stdout = stdout
        self.stderr = stderr
        super().__init__(str(self))  # of several arguments OSError makes an errno and names of files

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.argv, self.timeout, self.exit, self.stdout, self.stderr)

    def __str__(self) -> str:
        return f"{_words(self.argv)}: not done in {self.timeout:g} s{_last_line(self.stderr)}"


def _words(argv: tuple[Any, ...]) -> str:
    return shlex.join(word.decode(errors="replace") if isinstance(word, bytes) else str(word) for word in argv)


def _last_line(complaint: bytes | str | None) -> str:
    text = complaint.decode(errors="replace") if isinstance(complaint, bytes) else complaint or ""
    lines = text.strip().splitlines()
    return f": {lines[-1]}" if lines else ""
