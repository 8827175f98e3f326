"""The reader of an output of a child, and the order in which data of both outputs has arrived."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from governess.subprocess._drain import Drain
from governess.subprocess._lines import LineIterator, check_encoding, without_end

if TYPE_CHECKING:
    from governess.transports._transport import ChildTransport

__all__ = ["OutputOrder", "Reader"]

_CHUNK = 1 << 16


class Reader(asyncio.StreamReader):
    """An `asyncio.StreamReader` of a program's output, with more methods."""

    def __init__(
        self, limit: int, loop: asyncio.AbstractEventLoop, transport: ChildTransport, fd: int, order: OutputOrder
    ) -> None:
        """Read the pipe from the child's descriptor `fd`; `limit` bytes are buffered before the child has to wait."""
        super().__init__(limit=limit, loop=loop)
        pipe: Any = transport.get_pipe_transport(fd)
        self._pipe: asyncio.ReadTransport = pipe
        self.set_transport(pipe)
        self._home = loop
        self._child = transport.child
        self._fd = fd
        self._order = order
        self._drain: Drain | None = None
        self._has_ended = False
        self._ended: asyncio.Event | None = None  # made for whoever waits: its deque takes 600 bytes
        self._begun_line = bytearray()
        self._collected = bytearray()

    @property
    def collected(self) -> bytes:
        """The bytes that `collect` and `Process.communicate` have read so far, also if a timeout has interrupted them.

        After the block of `start`, and after `Process.end`, it also has the output that no caller has read.
        """
        return bytes(self._collected)

    async def collect(self) -> bytes:
        """Read until all processes that hold the pipe have closed it; return all that was collected.

        After a timeout or a cancellation, it can be called again.
        """
        while chunk := await self.read(_CHUNK):
            self._collected += chunk
        return self.collected

    @overload
    def lines(self, encoding: None = None, errors: str = "strict", *, drain: float = 1.0) -> LineIterator[bytes]: ...
    @overload
    def lines(self, encoding: str, errors: str = "strict", *, drain: float = 1.0) -> LineIterator[str]: ...
    def lines(self, encoding: str | None = None, errors: str = "strict", *, drain: float = 1.0) -> LineIterator[Any]:
        r"""Return an async iterator of the lines, which may have any length, without their ends (``\n`` or ``\r\n``).

        A timeout or a cancellation around the next line loses nothing, and the iterator can be used again.

        Args:
            encoding: the encoding of the lines; None for bytes. Its line end must be the byte 10.
            errors: how to handle bytes that cannot be decoded, as in `bytes.decode`.
            drain: the seconds to read on after the exit of the program, if another process still holds the pipe open.
                After that the lines end; they include all that the program itself has written. With `math.inf` they end
                when all processes have closed the pipe.

        Raises:
            ValueError: the line end of the encoding is not the byte 10.
            LookupError: the encoding does not exist.
        """
        check_encoding(encoding)
        self._limit_drain(drain)

        async def next_line() -> Any:
            line = await self._next_line()
            return line if encoding is None or line is None else line.decode(encoding, errors)

        return LineIterator(next_line)

    def close(self) -> None:
        """Close this end of the pipe, even if there is unread output; if the program writes more, it gets SIGPIPE."""
        self._pipe.close()

    async def read(self, n: int = -1) -> bytes:
        """Read at most `n` bytes; by default, read to the end."""
        self._order.stop()
        return await super().read(n)

    async def readexactly(self, n: int) -> bytes:
        """Read exactly `n` bytes; the errors are those of `asyncio.StreamReader.readexactly`."""
        self._order.stop()
        return await super().readexactly(n)

    async def readuntil(self, separator: bytes = b"\n") -> bytes:  # type: ignore[override]  # tuples since 3.13
        """Read until the separator; the errors are those of `asyncio.StreamReader.readuntil`."""
        self._order.stop()
        return await super().readuntil(separator)

    def _limit_drain(self, seconds: float) -> None:
        """End the output for readers of lines this number of seconds after the exit."""
        if self._drain is None:
            self._drain = Drain(self._home, self._child, self._pipe, lambda: self._has_ended, self._end)
        self._drain.limit(seconds)

    def _end(self) -> None:
        self.feed_eof()
        self._order.note(self._fd, 0)

    async def _take(self, count: int) -> bytes:
        """Return the next `count` bytes, which have arrived already; `MergedLines` calls this."""
        return await super().readexactly(count)

    @property
    def _is_finished(self) -> bool:
        """Whether all that the child has written was read or collected, and nothing more comes."""
        return self._has_ended and (self._order.is_followed or self.at_eof())

    async def _finish(self) -> None:
        """Wait for the end of the output; collect what no other caller reads."""
        if not self._order.is_followed:
            with contextlib.suppress(Exception):  # other code reads, or gets the error
                await self.collect()
        if not self._has_ended:
            self._ended = self._ended or asyncio.Event()
            await self._ended.wait()

    async def _next_line(self) -> bytes | None:
        end = False
        while not end:
            try:
                piece, end = await self.readuntil(b"\n"), True
            except asyncio.LimitOverrunError as longer:
                piece = await self.readexactly(longer.consumed)  # it is there already, so nothing can come between
            except asyncio.IncompleteReadError as last:
                piece, end = last.partial, True
            self._begun_line += piece
        line = bytes(self._begun_line)
        self._begun_line.clear()
        return without_end(line) if line else None


class OutputPiece(NamedTuple):
    """Bytes that came in one piece.

    Attributes:
        fd: the child's descriptor, 1 or 2.
        size: how many bytes; 0 at the end.
    """

    fd: int
    size: int


class OutputOrder:
    """The order in which unread data of both outputs arrived; kept until a caller reads one of the outputs by itself.

    Attributes:
        is_followed: whether a caller reads both outputs in this order.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._waiting: list[OutputPiece] = []
        self._news: asyncio.Event | None = None
        self._stopped = False
        self.is_followed = False

    def note(self, fd: int, size: int) -> None:
        """Take note of bytes; 0 of them are the end."""
        if self._stopped:
            return
        # Adjacent pieces of one output are one, so that what is kept is bounded by what the readers buffer.
        if size and self._waiting and self._waiting[-1].fd == fd:
            size += self._waiting.pop().size
        self._waiting.append(OutputPiece(fd, size))
        if self._news is not None:
            self._news.set()

    def stop(self) -> None:
        """Stop recording the order."""
        self._stopped = True
        self._waiting.clear()
        if self._news is not None:
            self._news.set()

    async def next(self) -> OutputPiece:
        """Wait for the oldest piece that is not yet read, and return it.

        Raises:
            RuntimeError: other code has read one of the outputs.
        """
        self.is_followed = True
        while not self._waiting:
            if self._stopped:
                raise RuntimeError("the order of the lines is not known: one of the outputs was read by itself")
            self._news = self._news or asyncio.Event()
            self._news.clear()
            await self._news.wait()
        return self._waiting.pop(0)
