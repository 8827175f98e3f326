"""The protocol between a child's transport and its readers; both outputs in the order of arrival."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

from governess.subprocess._lines import Line, LineSplitter, check_encoding
from governess.subprocess._listeners import Listener
from governess.subprocess._reader import OutputOrder, Reader

__all__ = ["LIMIT", "MergedLines", "Output", "Streams"]


LIMIT = 1 << 16


class Output(enum.Enum):
    """What is done with the child's output."""

    READ = enum.auto()  # it is buffered until a caller reads it
    KEEP = enum.auto()  # it is collected, however much it is
    DROP = enum.auto()  # it goes to the listeners only


class Streams(asyncio.subprocess.SubprocessStreamProtocol):
    """The streams of one child.

    Attributes:
        stdin: what writes to the child, if that is a pipe.
        stdout: what reads from it, likewise.
        stderr: likewise.
        order: in which order its two outputs have come.
        failure: done with the exception of a listener, if there is any.
        has_listeners: whether there are any.
    """

    stdin: asyncio.StreamWriter | None
    stdout: Reader | None
    stderr: Reader | None

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limit: int,
        output: Output = Output.READ,
        listeners: Sequence[Listener] = (),
    ) -> None:
        """Have readers that buffer `limit` bytes, before the child has to wait."""
        super().__init__(limit=limit, loop=loop)
        self.order = OutputOrder()
        self.failure: asyncio.Future[Exception] = loop.create_future()
        self._reader_limit = limit
        self._reader_loop = loop
        self._output = output
        self._listeners = listeners
        self.has_listeners = bool(listeners)

    def connection_made(self, transport: Any) -> None:
        """Make the streams."""
        super().connection_made(transport)
        self.stdout = self.stderr = None
        if (pipe := transport.get_pipe_transport(1)) is not None:
            self.stdout = Reader(self._reader_limit, self._reader_loop, pipe, self.order)  # pyright: ignore[reportIncompatibleVariableOverride]
        if (pipe := transport.get_pipe_transport(2)) is not None:
            self.stderr = Reader(self._reader_limit, self._reader_loop, pipe, self.order)  # pyright: ignore[reportIncompatibleVariableOverride]

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        """Pass the data to the reader and to the listeners."""
        assert isinstance(data, bytes)
        if self._output is Output.READ:
            self.order.note(fd, len(data))
            super().pipe_data_received(fd, data)
        elif self._output is Output.KEEP and (reader := self._reader_of(fd)) is not None:
            reader._keep(data)
        self._let_hear(fd, data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Pass the end of an output to its reader and to the listeners."""
        super().pipe_connection_lost(fd, exc)
        if (reader := self._reader_of(fd)) is not None:
            self.order.note(fd, 0)
            self._let_hear(fd, b"")
            reader._end()

    def _reader_of(self, fd: int) -> Reader | None:
        return self.stdout if fd == 1 else self.stderr if fd == 2 else None

    def _let_hear(self, fd: int, data: bytes) -> None:
        try:
            for listener in self._listeners:
                listener.feed(fd, data)
        except Exception as error:  # it is raised for those who read
            self._listeners = ()
            self.failure.set_result(error)
            for reader in filter(None, (self.stdout, self.stderr)):
                reader.set_exception(error)


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
