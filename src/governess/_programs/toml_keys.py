"""The lines of keys in TOML, which tomllib does not tell, and hints at what a wrong key should be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tomllib

__all__ = ["line_of", "similar", "syntax_error"]

_HEADER = re.compile(r"\s*\[\s*([^\[\]#]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"\s*(\"(?:[^\"\\]|\\.)*\"|'[^']*'|[A-Za-z0-9_-]+)\s*[=.]")
_PART = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|([A-Za-z0-9_-]+)")


def line_of(text: str, table: tuple[str, ...], key: str | None) -> int | None:
    """Return the line of a key in a table of TOML, or of the table itself; None if it is not found."""
    current: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), 1):
        if (header := _HEADER.match(line)) is not None:
            current = tuple(next(filter(None, part.groups()), "") for part in _PART.finditer(header[1]))
            if (key is None and current == table) or (key is not None and current[: len(table) + 1] == (*table, key)):
                return number
            continue
        found = _KEY.match(line) if key is not None and current == table else None
        if found is not None and found[1].strip("\"'") == key:
            return number
    return None


def syntax_error(text: str, error: tomllib.TOMLDecodeError) -> tuple[int, str]:
    """Return the line of an error in TOML, and what is wrong there, with the line itself."""
    found = _AT_LINE.search(str(error))
    lines = text.split("\n")
    number = int(found[1]) if found is not None else max(len(text.rstrip().split("\n")), 1)
    what = str(error).partition(" (at ")[0]
    line = lines[min(number, len(lines)) - 1].strip()
    hint = "; a text stands in quotes" if what == "Invalid value" and _BARE_VALUE.search(line) else ""
    return number, f"{what[:1].lower()}{what[1:]}{hint}: {line}"


_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
_BARE_VALUE = re.compile(r"=\s*[A-Za-z./~$-]")


def similar(name: str, known: Iterable[str]) -> str:
    """Return a hint at the known name that is most like a wrong one; "" if none is."""
    import difflib  # only for errors

    close = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""
