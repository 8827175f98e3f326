"""The lines of both outputs of a child, in the order of their arrival."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal

from governess.subprocess.lines import Line, LineSplitter, check_encoding
from governess.subprocess.streams import Streams

__all__ = ["MergedLines"]


class MergedLines:
    """Reads both outputs; what it has read of a line that is not complete stays here when the reading is cut off."""

    def __init__(self, streams: Streams) -> None:
        """Read from both readers of a child."""
        self._arrivals = streams.arrivals
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
        fd, size = await self._arrivals.next()
        splitter = self._splitters[fd]
        lines = splitter.feed(await self._open[fd].take(size)) if size else splitter.flush()
        if not size:
            del self._open[fd]
        stream: Literal["stdout", "stderr"] = "stdout" if fd == 1 else "stderr"
        self._ready.extend((stream, line) for line in lines)
