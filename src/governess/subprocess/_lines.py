"""Lines: told from each other in bytes that arrive in pieces, and decoded."""

from __future__ import annotations

from typing import AnyStr, Generic, Literal, NamedTuple

__all__ = ["Line", "LineSplitter", "check_encoding", "without_end"]


class Line(NamedTuple, Generic[AnyStr]):
    """A line that a child has written.

    Attributes:
        stream: where it came from.
        text: the line, without its end.
    """

    stream: Literal["stdout", "stderr"]
    text: AnyStr


class LineSplitter:
    """Takes bytes as they come, and gives whole lines."""

    def __init__(self) -> None:
        """Begin with an empty line."""
        self._begun = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that this data completes."""
        *whole, rest = data.split(b"\n")
        if whole:
            whole[0] = bytes(self._begun + whole[0])
            self._begun.clear()
        self._begun += rest
        return [without_end(line + b"\n") for line in whole]

    def flush(self) -> list[bytes]:
        """Return the last line if it has no end."""
        line = bytes(self._begun)
        self._begun.clear()
        return [line] if line else []


def without_end(line: bytes) -> bytes:
    """Return the line without its end."""
    return line.removesuffix(b"\n").removesuffix(b"\r") if line.endswith(b"\n") else line


def check_encoding(encoding: str | None) -> None:
    """Check that lines can be told from each other before they are decoded.

    Raises:
        ValueError: their end is not the byte 10 in that encoding.
        LookupError: there is no such encoding.
    """
    if encoding is not None and "\n".encode(encoding) != b"\n":
        raise ValueError(f"lines cannot be found in {encoding!r}: its line end is not the byte 10; read and decode")
