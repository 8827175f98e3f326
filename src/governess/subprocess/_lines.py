"""Lines: told from each other in bytes that arrive in pieces, decoded, and merged from both outputs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, AnyStr, Generic, Literal, NamedTuple

if TYPE_CHECKING:
    from governess.subprocess._output import Streams

__all__ = ["Line", "LineSplitter", "MergedLines", "check_encoding", "without_end"]


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


class MergedLines:
    """Reads the lines of both outputs; an incomplete line is kept here when the reading is cancelled."""

    def __init__(self, streams: Streams) -> None:
        """Read from both readers of a child."""
        self._order = streams.order
        readers = {1: streams.stdout, 2: streams.stderr}
        self._open = {fd: reader for fd, reader in readers.items() if reader is not None}
        self._splitters = {fd: LineSplitter() for fd in self._open}
        self._ready: list[tuple[Literal["stdout", "stderr"], bytes]] = []

    async def lines(self, encoding: str | None, errors: str) -> AsyncIterator[Line[Any]]:
        """Give the lines as they come."""
        check_encoding(encoding)
        while self._ready or self._open:
            while self._ready:
                stream, line = self._ready.pop(0)
                text: Any = line if encoding is None else line.decode(encoding, errors)
                yield Line(stream, text)
            if self._open:
                await self._read_on()

    async def _read_on(self) -> None:
        fd, size = await self._order.next()
        splitter = self._splitters[fd]
        lines = splitter.feed(await self._open[fd]._take(size)) if size else splitter.flush()
        if not size:
            del self._open[fd]
        stream: Literal["stdout", "stderr"] = "stdout" if fd == 1 else "stderr"
        self._ready.extend((stream, line) for line in lines)
