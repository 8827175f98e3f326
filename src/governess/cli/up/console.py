"""What `governess up` writes: each line with the name of its service in front, in its colour, and never torn."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable

from governess.cli.run.outcome import printable
from governess.transports._write_buffer import write_all

__all__ = ["SYSTEM", "Console", "printable_lines"]

SYSTEM = "system"
"""Stands in front of the lines of governess itself."""
# honcho's order.
_COLOURS = ("36", "33", "32", "35", "31", "34", "36;1", "33;1", "32;1", "35;1", "31;1", "34;1")
_RESET = b"\x1b[0m"


class Console:
    """Writes lines to standard output.

    Attributes:
        is_broken: whether nobody reads any more.
    """

    def __init__(self, on_broken: Callable[[], object]) -> None:
        """Write in colours if standard output is a terminal; `on_broken` is called when nobody reads any more."""
        self._is_terminal = os.isatty(1) and os.environ.get("TERM") != "dumb"
        self._has_colours = self._is_terminal and not os.environ.get("NO_COLOR")
        self._on_broken = on_broken
        self._width = len(SYSTEM)
        self._colours: dict[str, str] = {}
        self.is_broken = False

    def expect(self, names: Iterable[str]) -> None:
        """Have room for these names in front of the lines, and a colour for each."""
        for name in names:
            self._width = max(self._width, len(name))
            self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])

    def write(self, name: str, lines: bytes) -> None:
        """Write whole lines of a copy."""
        prefix = self._prefix(name)
        if self._is_terminal:
            lines = printable_lines(lines)
        body = lines.removesuffix(b"\n").replace(b"\n", b"\n" + prefix)
        self._send(prefix + body + b"\n")

    def say(self, text: str) -> None:
        """Write a line of governess itself."""
        self.write(SYSTEM, printable(text).encode(errors="backslashreplace") + b"\n")

    def _prefix(self, name: str) -> bytes:
        prefix = f"{name.ljust(self._width)} | ".encode()
        if not self._has_colours or name == SYSTEM:
            return prefix
        return f"\x1b[{self._colours.get(name, '0')}m".encode() + prefix + _RESET

    def _send(self, data: bytes) -> None:
        if self.is_broken:
            return
        try:
            write_all(1, data)
        except OSError:
            self.is_broken = True
            self._on_broken()


def printable_lines(lines: bytes) -> bytes:
    """Return lines in which colours are the only thing that speaks to a terminal, and end with the line."""
    if not _CONTROLS.search(lines):
        return lines
    kept = _CONTROLS.sub(lambda found: found[0] if _COLOUR.fullmatch(found[0]) else b"", lines)
    if b"\x1b" not in kept:
        return kept
    return b"".join(line.replace(b"\n", _RESET + b"\n") if b"\x1b" in line else line for line in kept.splitlines(True))


_COLOUR = re.compile(rb"\x1b\[[0-9;:]*m")
_CONTROLS = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]"  # what moves the cursor, clears, colours
    rb"|\x1b[\]P^_X][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # titles, links, clipboards
    rb"|\x1b[ -/]*[0-~]?"
    rb"|\xc2[\x80-\x9f]|[\x00-\x08\x0b-\x1f\x7f]"
)
