"""Between a child's transport and those who read and write: asyncio's protocol, with our readers."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Sequence
from typing import Any

from governess.subprocess.arrivals import Arrivals
from governess.subprocess.reader import Reader
from governess.subprocess.taps import Tap

__all__ = ["LIMIT", "Output", "Streams"]

LIMIT = 1 << 16


class Output(enum.Enum):
    """What is done with the child's output."""

    READ = enum.auto()  # it waits in a buffer for somebody who reads
    KEEP = enum.auto()  # it is collected, however much it is
    DROP = enum.auto()  # those who listen have heard it


class Streams(asyncio.subprocess.SubprocessStreamProtocol):
    """The streams of one child.

    Attributes:
        stdin: what writes to the child, if that is a pipe.
        stdout: what reads from it, likewise.
        stderr: likewise.
        arrivals: in which order its two outputs have come.
        failure: done with the exception of one who listens, if there is any.
    """

    stdin: asyncio.StreamWriter | None
    stdout: Reader | None
    stderr: Reader | None

    def __init__(
        self, loop: asyncio.AbstractEventLoop, limit: int, output: Output = Output.READ, taps: Sequence[Tap] = ()
    ) -> None:
        """Have readers that buffer `limit` bytes, before the child has to wait."""
        super().__init__(limit=limit, loop=loop)
        self.arrivals = Arrivals()
        self.failure: asyncio.Future[Exception] = loop.create_future()
        self._reader_limit = limit
        self._reader_loop = loop
        self._output = output
        self._taps = taps

    def connection_made(self, transport: Any) -> None:
        """Make the streams."""
        super().connection_made(transport)
        self.stdout = self._reader(transport.get_pipe_transport(1))  # pyright: ignore[reportIncompatibleVariableOverride]
        self.stderr = self._reader(transport.get_pipe_transport(2))  # pyright: ignore[reportIncompatibleVariableOverride]

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        """Give the data to the reader, and to those who listen."""
        assert isinstance(data, bytes)
        if self._output is Output.READ:
            self.arrivals.note(fd, len(data))
            super().pipe_data_received(fd, data)
        elif self._output is Output.KEEP and (reader := self._reader_of(fd)) is not None:
            reader.keep(data)
        self._let_hear(fd, data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Tell of the end."""
        super().pipe_connection_lost(fd, exc)
        if (reader := self._reader_of(fd)) is not None:
            self.arrivals.note(fd, 0)
            self._let_hear(fd, b"")
            reader.end()

    def _reader(self, pipe: asyncio.BaseTransport | None) -> Reader | None:
        return None if pipe is None else Reader(self._reader_limit, self._reader_loop, pipe, self.arrivals)

    def _reader_of(self, fd: int) -> Reader | None:
        return self.stdout if fd == 1 else self.stderr if fd == 2 else None

    def _let_hear(self, fd: int, data: bytes) -> None:
        try:
            for tap in self._taps:
                tap.hear(fd, data)
        except Exception as error:  # it is raised for those who read
            self._taps = ()
            self.failure.set_result(error)
            for reader in filter(None, (self.stdout, self.stderr)):
                reader.set_exception(error)
