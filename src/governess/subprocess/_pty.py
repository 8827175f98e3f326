"""A terminal for a child. At a terminal, programs ask questions, write each line at once and use colours."""

from __future__ import annotations

import contextlib
import operator
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from governess.children._descriptors import close_all, move, open_into, open_pair_into
from governess.children._spawn.command import Command, Stdio

if sys.platform != "win32":
    import termios

__all__ = ["WindowSize", "in_terminal", "set_window_size"]


class WindowSize(NamedTuple):
    """The size of a terminal.

    Attributes:
        rows: the number of lines.
        columns: the number of characters in a line.
    """

    rows: int = 24
    columns: int = 80


@contextlib.contextmanager
def in_terminal(command: Command) -> Iterator[tuple[Command, dict[int, int]]]:
    """Yield the command with a new terminal, if its option ``pty`` asks for one, and the parent's ends of the terminal.

    The terminal replaces each stream that is not a descriptor, a file or a path. The end of the block closes the
    parent's ends, except those that the caller has taken out of the dict.

    Raises:
        ValueError: ``pty`` is neither a bool nor a size.
        NotImplementedError: this is Windows.
    """
    if sys.platform == "win32":
        raise NotImplementedError("pty=True gives a child a terminal of POSIX, which Windows does not have")
    options = dict(command.options)
    size = _window_size(options.pop("pty", False))
    ends: dict[int, int] = {}
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(_close_all, ends)
        if size is None:
            streams = command.stdin, command.stdout, command.stderr
        else:
            terminal: list[int] = []
            cleanup.callback(close_all, terminal)
            ours, theirs = open_pair_into(terminal, os.openpty)
            move(terminal, 0, ends, 1)
            termios.tcsetwinsize(theirs, size)
            streams = _put(command, theirs)
            if streams[0] == theirs:
                open_into(terminal, os.dup, ours)
                move(terminal, 1, ends, 0)
            if streams[1] != theirs and streams[2] == theirs:
                ends[2] = ends.pop(1)
            options["controlling_terminal"] = theirs
        own = Command(command.args, command.shell, *streams, options, keep_group=command.keep_group)
        yield own, ends


def set_window_size(descriptor: int, rows: int, columns: int) -> None:
    """Set the size of a terminal; the programs in its foreground get SIGWINCH.

    Raises:
        ValueError: `rows` or `columns` is not from 1 to 65535.
        OSError: the descriptor is not a terminal.
    """
    size = _window_size((rows, columns))
    assert size is not None
    termios.tcsetwinsize(descriptor, size)


def _put(command: Command, terminal: int) -> tuple[Stdio, Stdio, Stdio]:
    """Return the streams with the terminal in place of pipes, of nothing, and of the parent's."""
    places = (None, subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT)
    stdin, stdout, stderr = (
        terminal if not isinstance(wish, os.PathLike) and wish in places else wish
        for wish in (command.stdin, command.stdout, command.stderr)
    )
    return stdin, stdout, stderr


def _window_size(wish: Any) -> WindowSize | None:
    if wish is False or wish is None:
        return None
    if wish is True:
        return WindowSize()
    try:
        rows, columns = map(operator.index, wish)
        if not (0 < rows <= _LARGEST and 0 < columns <= _LARGEST):
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(f"a window has (rows, columns), each from 1 to {_LARGEST}, not {wish!r}") from None
    return WindowSize(rows, columns)


_LARGEST = 0xFFFF  # struct winsize has 16 bits for each


def _close_all(ends: dict[int, int]) -> None:
    for descriptor in ends.values():
        os.close(descriptor)
