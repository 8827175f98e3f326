"""Reading arguments from files: records that a delimiter ends, columns, CSV."""

import csv
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from governess.cli.run.inputs.errors import SourceError

__all__ = ["Format", "open_input", "parse_delimiter", "read_records"]

CHUNK = 2**16
LONGEST = 2**24
"""The most bytes of one record; no system takes an argument of that length."""

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Format:
    """How the records of files, and the arguments after `:::`, become arguments."""

    delimiter: bytes = b"\n"
    columns: re.Pattern[str] | None = None
    """What separates columns; None for one argument a record."""
    csv: bool = False
    """Whether records are rows of CSV."""
    comma: str = ","
    """What separates the columns of CSV."""
    trim: str = ""
    """Where blanks are removed from an argument: `l`, `r`, `lr`, or nowhere."""
    skip_empty: bool = False
    """Whether records that are empty, or blanks alone, are left out."""

    @property
    def has_columns(self) -> bool:
        """Whether a record may be several arguments."""
        return self.csv or self.columns is not None

    def rows(self, records: Iterable[str]) -> Iterator[Row]:
        """Yield the arguments of each record."""
        if self.skip_empty:
            records = filter(str.strip, records)
        if self.csv:
            return self._trimmed(map(tuple, self._csv_rows(records)))
        if self.columns is not None:
            split = self.columns.split
            return self._trimmed(tuple(split(record)) for record in records)
        return self._trimmed((record,) for record in records)

    def _csv_rows(self, records: Iterable[str]) -> Iterator[list[str]]:
        # A quoted field may go over several records, so csv gets them with their ends.
        try:
            yield from csv.reader((record + "\n" for record in records), delimiter=self.comma, strict=True)
        except csv.Error as error:
            raise SourceError(f"the input is no CSV: {error}") from None

    def _trimmed(self, rows: Iterator[Row]) -> Iterator[Row]:
        trim = {"l": str.lstrip, "r": str.rstrip, "lr": str.strip, "rl": str.strip}.get(self.trim)
        return rows if trim is None else (tuple(map(trim, row)) for row in rows)


def parse_delimiter(text: str) -> bytes:
    r"""Return the bytes of a delimiter as people type it: characters, or escapes such as `\n`, `\0`, `\x1f`.

    Raises:
        SourceError: it is empty, or no escape.
    """
    if text == "":
        raise SourceError(r"-d needs a delimiter, such as , or \t; for NUL there is -0")
    return os.fsencode(_ESCAPE.sub(_unescaped, text))


_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|0?[0-7]{1,3}|.?)", re.DOTALL)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\"}


def _unescaped(match: re.Match[str]) -> str:
    escape = match[1]
    if escape in _CONTROLS:
        return _CONTROLS[escape]
    number = 256
    if escape[1:] and escape[0] == "x":
        number = int(escape[1:], 16)
    elif escape and escape.strip("01234567") == "":
        number = int(escape, 8)
    if number > 255:
        raise SourceError(f"{match[0]!r} is no character: write it as it stands, or an escape such as \\t or \\x1f")
    return os.fsdecode(bytes([number]))


def open_input(path: str) -> BinaryIO:
    """Open a file of input without buffering (`-` is standard input).

    Raises:
        SourceError: it cannot be opened.
    """
    try:
        # Not sys.stdin: a thread may still wait in it when the interpreter ends.
        return open(0, "rb", buffering=0, closefd=False) if path == "-" else open(path, "rb", buffering=0)
    except OSError as error:
        raise cannot_read(path, error) from None


def cannot_read(path: str, error: OSError) -> SourceError:
    """Return the error for a file that cannot be read."""
    return SourceError(f"cannot read {'standard input' if path == '-' else path}: {error.strerror}")


def read_records(file: BinaryIO, path: str, delimiter: bytes = b"\n") -> Iterator[str]:
    """Yield the records of a file without their delimiters; undecodable bytes become surrogates. Closes the file.

    Raises:
        SourceError: the file cannot be read, or a record is far too long.
    """
    decode = _decoder(delimiter)
    begun = bytearray()
    for chunk in read_chunks(file, path):
        searched = max(0, len(begun) - len(delimiter) + 1)
        begun += chunk
        if begun.find(delimiter, searched) >= 0:
            *records, rest = bytes(begun).split(delimiter)
            yield from map(decode, records)
            begun = bytearray(rest)
        elif len(begun) > LONGEST:
            name = "standard input" if path == "-" else path
            raise SourceError(f"a record of {name} is longer than {LONGEST} bytes: is the delimiter right?")
    if begun:
        yield decode(bytes(begun))


def read_chunks(file: BinaryIO, path: str, size: int = CHUNK) -> Iterator[bytes]:
    """Yield what can be read at a time. Closes the file.

    Raises:
        SourceError: the file cannot be read.
    """
    with file:
        while True:
            try:
                chunk = file.read(size)
            except OSError as error:
                raise cannot_read(path, error) from None
            if not chunk:
                return
            yield chunk


def _decoder(delimiter: bytes) -> Callable[[bytes], str]:
    if sys.platform == "win32" and delimiter == b"\n":
        return lambda data: os.fsdecode(data.removesuffix(b"\r"))
    return os.fsdecode
