"""Commands as asyncio takes them: its loops refuse what would make a child's streams anything but bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from governess.children._spawn.command import Command, Program, Stdio

__all__ = ["command_of", "shell_command_of"]

_FIXED = {"universal_newlines": False, "bufsize": 0, "text": False, "encoding": None, "errors": None}


def command_of(
    argv: Sequence[Program], stdin: Stdio, stdout: Stdio, stderr: Stdio, options: Mapping[str, Any]
) -> Command:
    """Return the command of a program and its arguments.

    Raises:
        ValueError: an option has a value that asyncio refuses.
    """
    return Command(argv, False, stdin, stdout, stderr, _allowed(options) if options else {})


def shell_command_of(
    line: str | bytes, stdin: Stdio, stdout: Stdio, stderr: Stdio, options: Mapping[str, Any]
) -> Command:
    """Return the command of a line for the shell.

    Raises:
        ValueError: it is no line, or an option has a value that asyncio refuses.
    """
    if not isinstance(line, (bytes, str)):
        raise ValueError("cmd must be a string")
    return Command(line, True, stdin, stdout, stderr, _allowed(options) if options else {})


def _allowed(options: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in _FIXED.items():
        if options.get(name, value) != value:
            raise ValueError(f"{name} must be {value}")
    return {name: value for name, value in options.items() if name not in _FIXED}
