"""Quoting of arguments in shell lines: each for the place where it stands, so that no argument is run as code."""

import re
import shlex
import sys
from enum import Enum

from governess.cli.run.inputs.errors import ArgumentError

__all__ = ["Place", "quote"]


class Place(Enum):
    """Where in a shell line an argument stands."""

    BARE = "bare"
    """Outside of quotes."""
    SINGLE = "single"
    """Inside single quotes."""
    DOUBLE = "double"
    """Inside double quotes."""
    ARITHMETIC = "arithmetic"
    """Inside `$((…))`."""
    CMD = "cmd"
    """In a line for cmd.exe."""


def quote(values: list[str], place: Place) -> str:
    """Return arguments, separated by blanks, as text for this place of a shell line.

    Raises:
        ArgumentError: no quoting makes an argument harmless there.
    """
    match place:
        case Place.BARE:
            return " ".join(map(_bare, values))
        case Place.SINGLE:
            return " ".join(values).replace("'", "'\"'\"'")
        case Place.DOUBLE:
            return _SPECIAL_IN_DOUBLE_QUOTES.sub(r"\\\g<0>", " ".join(values))
        case Place.ARITHMETIC:
            return " ".join(map(_number, values))
        case Place.CMD:
            return " ".join(map(_for_cmd, values))


_SPECIAL_IN_DOUBLE_QUOTES = re.compile(r'[\\"$`]')
_NUMBER = re.compile(r"[-+]?[A-Za-z0-9_.]+", re.ASCII)
_RESERVED = frozenset(
    ["if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "in", "function"]
) | {"select", "time", "coproc"}
_SAFE_FOR_CMD = re.compile(r"[\w@+=:,./\\-]+", re.ASCII)


def _bare(value: str) -> str:
    return f"'{value}'" if value in _RESERVED else shlex.quote(value)


def _number(value: str) -> str:
    # A shell evaluates a subscript in an arithmetic expression once more, whatever quotes are around it.
    if not _NUMBER.fullmatch(value):
        raise ArgumentError(f"{value!r} is no number, so it cannot be put into $((…))")
    return value


def _for_cmd(value: str) -> str:
    if _SAFE_FOR_CMD.fullmatch(value):
        return value
    if unsafe := re.search(r'["%!\r\n]', value):
        raise ArgumentError(f"{value!r} holds {unsafe[0]!r}, which cannot be quoted for cmd.exe")
    return f'"{value}"' if not value.endswith("\\") else f'"{value}\\"'


def place_at_start() -> Place:
    """Return the place of an argument at the start of a line of this platform's shell."""
    return Place.CMD if sys.platform == "win32" else Place.BARE
