"""What a child writes: lines of any length, reading that can be cut off without a loss, a pipe to close."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import overload

from governess.subprocess.arrivals import Arrivals
from governess.subprocess.lines import check_encoding, without_end

__all__ = ["Reader"]

_CHUNK = 1 << 16


class Reader(asyncio.StreamReader):
    """`asyncio.StreamReader` of a child's output, and more."""

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop, pipe: asyncio.BaseTransport, arrivals: Arrivals):
        """Read from the transport of a pipe; `limit` bytes are buffered before the child has to wait."""
        super().__init__(limit=limit, loop=loop)
        self.set_transport(pipe)
        self._pipe = pipe
        self._arrivals = arrivals
        self._ended = asyncio.Event()
        self._begun_line = bytearray()
        self._collected = bytearray()

    @property
    def collected(self) -> bytes:
        """What `collect`, or `Process.communicate`, has read so far, also when it was cut off by a timeout.

        After `start` and `Process.end` also what nobody had read before.
        """
        return bytes(self._collected)

    async def collect(self) -> bytes:
        """Read until the child, and whoever has the pipe from it, has closed it; return all that was collected.

        Cut off by a timeout or a cancellation, it can be called again.
        """
        while chunk := await self.read(_CHUNK):
            self._collected += chunk
        return self.collected

    @overload
    def lines(self, encoding: None = None, errors: str = "strict") -> AsyncIterator[bytes]: ...
    @overload
    def lines(self, encoding: str, errors: str = "strict") -> AsyncIterator[str]: ...
    async def lines(self, encoding: str | None = None, errors: str = "strict") -> AsyncIterator[bytes | str]:
        r"""Give the lines one by one, of whatever length, without their ends (``\n`` or ``\r\n``).

        Args:
            encoding: decodes the lines; None gives bytes. It must be one in which a line end is the byte 10.
            errors: what is done with bytes that cannot be decoded, as in `bytes.decode`.

        Raises:
            ValueError: the encoding is not of that kind.
            LookupError: there is no such encoding.
        """
        check_encoding(encoding)
        while (line := await self._next_line()) is not None:
            yield line if encoding is None else line.decode(encoding, errors)

    def close(self) -> None:
        """Close our end of the pipe, read or unread; a child that goes on writing gets SIGPIPE."""
        self._pipe.close()

    async def read(self, n: int = -1) -> bytes:
        """Read at most `n` bytes; all until the end by default."""
        self._arrivals.stop()
        return await super().read(n)

    async def readexactly(self, n: int) -> bytes:
        """Read exactly `n` bytes; errors as `asyncio.StreamReader.readexactly`."""
        self._arrivals.stop()
        return await super().readexactly(n)

    async def readuntil(self, separator: bytes = b"\n") -> bytes:  # type: ignore[override]  # tuples since 3.13
        """Read until the separator; errors as `asyncio.StreamReader.readuntil`."""
        self._arrivals.stop()
        return await super().readuntil(separator)

    async def take(self, count: int) -> bytes:
        """Return the next `count` bytes, which have arrived; for who reads both outputs of the child."""
        return await super().readexactly(count)

    def keep(self, data: bytes) -> None:
        """Add to what was collected; for who feeds this reader."""
        self._collected += data

    def end(self) -> None:
        """Take note that nothing more comes; for who feeds this reader."""
        self._ended.set()

    async def finish(self) -> None:
        """Wait until nothing more comes; what nobody else reads is collected."""
        if not self._arrivals.are_followed:
            with contextlib.suppress(Exception):  # somebody else reads, or will be told of the failure
                await self.collect()
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
