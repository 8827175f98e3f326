"""Lines of a child's output, found in bytes that arrive in pieces; and the listeners to the output."""

from __future__ import annotations

import inspect
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, AnyStr, Generic, Literal, NamedTuple, Protocol, TypeVar

from governess.children._callbacks import coroutine_refused, refuse_coroutine_function
from governess.transports._write_buffer import write_all

if TYPE_CHECKING:
    from governess.subprocess._streams import Streams

__all__ = [
    "BinaryFile",
    "Line",
    "LineIterator",
    "LineListener",
    "LineSplitter",
    "Listener",
    "MergedLines",
    "check_encoding",
    "copy_to_parents_output",
    "listeners_of",
    "without_end",
]


LineT = TypeVar("LineT")


class Line(NamedTuple, Generic[AnyStr]):
    """A line that a program has written.

    Attributes:
        stream: the output on which the line came, ``stdout`` or ``stderr``.
        text: the line without its end, as text or bytes.
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


class LineIterator(AsyncIterator[LineT]):
    """An async iterator of lines.

    A timeout or a cancellation around the next line loses nothing. The iterator can be used again after that, unlike an
    async generator.
    """

    def __init__(self, next_line: Callable[[], Awaitable[LineT | None]]) -> None:
        """Yield the results of the function, until it returns None."""
        self._next_line = next_line

    async def __anext__(self) -> LineT:
        if (line := await self._next_line()) is None:
            raise StopAsyncIteration
        return line

    async def aclose(self) -> None:
        """Do nothing; `contextlib.aclosing` calls this method."""


class MergedLines:
    """Reads the lines of both outputs; an incomplete line is kept here when the reading is cancelled."""

    def __init__(self, streams: Streams) -> None:
        """Read from both readers of a child."""
        self._order = streams.order
        readers = {1: streams.stdout, 2: streams.stderr}
        self._open = {fd: reader for fd, reader in readers.items() if reader is not None}
        self._splitters = {fd: LineSplitter() for fd in self._open}
        self._ready: deque[tuple[Literal["stdout", "stderr"], bytes]] = deque()

    def lines(self, encoding: str | None, errors: str, drain: float) -> LineIterator[Line[Any]]:
        """Give the lines as they come."""
        check_encoding(encoding)
        for reader in self._open.values():
            reader._limit_drain(drain)

        async def next_line() -> Line[Any] | None:
            while self._open and not self._ready:
                await self._read_on()
            if not self._ready:
                return None
            stream, line = self._ready.popleft()
            text: Any = line if encoding is None else line.decode(encoding, errors)
            return Line(stream, text)

        return LineIterator(next_line)

    async def _read_on(self) -> None:
        fd, size = await self._order.next()
        splitter = self._splitters[fd]
        lines = splitter.feed(await self._open[fd]._take(size)) if size else splitter.flush()
        if not size:
            del self._open[fd]
        stream: Literal["stdout", "stderr"] = "stdout" if fd == 1 else "stderr"
        self._ready.extend((stream, line) for line in lines)


#: A function that is called with each line, for `on_line`.
LineListener = Callable[[Line[str]], object]


class BinaryFile(Protocol):
    """An object to which bytes can be written, such as a file that is opened for bytes."""

    def write(self, data: bytes, /) -> object:
        """Write the bytes."""
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
        TypeError: `on_line` is a coroutine function, which would never be awaited.
        re.error: a pattern is not a regular expression.
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


class _ParentsOutput:
    def write(self, data: bytes) -> None:
        write_all(1, data)


#: Copies the output to the standard output of this process.
copy_to_parents_output: Listener = _Copy(_ParentsOutput())


class _Lines:
    def __init__(
        self, on_line: LineListener | Mapping[str | re.Pattern[str], LineListener], encoding: str, errors: str
    ) -> None:
        check_encoding(encoding)
        listeners = on_line if isinstance(on_line, Mapping) else {"": on_line}
        for listener in listeners.values():
            refuse_coroutine_function("on_line", listener)
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
                result = listener(line)
                if inspect.iscoroutine(result):  # it was wrapped, so that this shows at its first call only
                    result.close()
                    raise coroutine_refused("on_line", listener)
