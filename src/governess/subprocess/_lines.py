"""Lines of a child's output, found in bytes that arrive in pieces; and the listeners to the output."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, AnyStr, Generic, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from governess.subprocess._output import Streams

__all__ = [
    "BinaryFile",
    "Line",
    "LineListener",
    "LineSplitter",
    "Listener",
    "MergedLines",
    "check_encoding",
    "listeners_of",
    "without_end",
]


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


LineListener = Callable[[Line[str]], object]


class BinaryFile(Protocol):
    """What bytes can be written to."""

    def write(self, data: bytes, /) -> object:
        """Write the data."""
        ...


class Listener(Protocol):
    """A listener to the output of a child."""

    def feed(self, fd: int, data: bytes) -> None:
        """Take what the child has written to its descriptor `fd`, 1 or 2; no data at its end."""
        ...


def listeners_of(
    tee: BinaryFile | None,
    on_line: LineListener | Mapping[str | re.Pattern[str], LineListener] | None,
    encoding: str | None = None,
    errors: str | None = None,
) -> list[Listener]:
    """Return the listeners.

    Raises:
        ValueError: lines cannot be found in that encoding.
        re.error: a pattern is none.
    """
    listeners: list[Listener] = [] if tee is None else [_Copy(tee)]
    if on_line is not None:
        listeners.append(_Lines(on_line, encoding or "utf-8", errors or "replace"))
    return listeners


class _Copy:
    def __init__(self, file: BinaryFile) -> None:
        self._file = file
        self._flush: Callable[[], Any] = getattr(file, "flush", lambda: None)

    def feed(self, fd: int, data: bytes) -> None:
        if data:
            self._file.write(data)
            self._flush()


class _Lines:
    def __init__(
        self, on_line: LineListener | Mapping[str | re.Pattern[str], LineListener], encoding: str, errors: str
    ) -> None:
        check_encoding(encoding)
        listeners = on_line if isinstance(on_line, Mapping) else {"": on_line}
        self._listeners = [(re.compile(pattern), listener) for pattern, listener in listeners.items()]
        self._encoding = encoding
        self._errors = errors
        self._splitters = {1: LineSplitter(), 2: LineSplitter()}

    def feed(self, fd: int, data: bytes) -> None:
        splitter = self._splitters[fd]
        stream: Literal["stdout", "stderr"] = "stdout" if fd == 1 else "stderr"
        for line in splitter.feed(data) if data else splitter.flush():
            self._tell(Line(stream, line.decode(self._encoding, self._errors)))

    def _tell(self, line: Line[str]) -> None:
        for pattern, listener in self._listeners:
            if pattern.search(line.text):
                listener(line)
