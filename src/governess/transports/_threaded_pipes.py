"""Pipes for loops that have none: threads read and write, and hand over by `call_soon_threadsafe`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from governess.children._per_loop import set_unless_done
from governess.transports._child_pipe import PipeEnd
from governess.transports._pipe_thread import BlockingPipe, PipeThread
from governess.transports._pipe_transport import PipeReadTransport, PipeTransport
from governess.transports._write_buffer import Buffer, WriteBuffer, flat

__all__ = ["ThreadedReadTransport", "ThreadedWriteTransport", "connect_read_pipe", "connect_write_pipe"]

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)

_CHUNK = 256 * 1024  # as much as asyncio reads at once


async def connect_read_pipe(
    loop: asyncio.AbstractEventLoop, protocol_factory: Callable[[], ProtocolT], end: PipeEnd
) -> tuple[ThreadedReadTransport, ProtocolT]:
    """Do what `loop.connect_read_pipe` does, for any loop; the end is closed also after a failure.

    Raises:
        OSError: no descriptor is free.
        RuntimeError: no thread can be had.
    """
    protocol = protocol_factory()
    transport = ThreadedReadTransport(loop, protocol, end)
    await _connect(loop, protocol, transport)
    return transport, protocol


async def connect_write_pipe(
    loop: asyncio.AbstractEventLoop, protocol_factory: Callable[[], ProtocolT], end: PipeEnd
) -> tuple[ThreadedWriteTransport, ProtocolT]:
    """Do what `loop.connect_write_pipe` does; as `connect_read_pipe`."""
    protocol = protocol_factory()
    transport = ThreadedWriteTransport(loop, protocol, end)
    await _connect(loop, protocol, transport)
    return transport, protocol


class ThreadedReadTransport(PipeReadTransport):
    """Reads in a thread, which waits with the next chunk until the protocol has taken the one before."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Any, end: PipeEnd) -> None:
        """Own the end; nothing is read before `start`."""
        super().__init__({"pipe": end})
        self._loop = loop
        self._protocol = protocol
        self._kept: bytes | None = None  # what came while paused
        self._thread = PipeThread(loop, end, self._read_all, self._ended)

    def __repr__(self) -> str:
        return _describe(self, "paused" if self._paused else "")

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def pause_reading(self) -> None:
        """Give the protocol no data until `resume_reading`."""
        self._paused = True

    def resume_reading(self) -> None:
        """Give the protocol data again."""
        self._paused = False
        kept, self._kept = self._kept, None
        if kept is not None:
            self._loop.call_soon(self._received, kept)

    def close(self) -> None:
        """Close the pipe, soon."""
        if not self._closing:
            self._lose(None)

    def _read_all(self, pipe: BlockingPipe) -> None:
        while not self._thread.stopped and (data := pipe.read(_CHUNK)):
            if not self._thread.tell(self._received, data):
                return
            self._thread.await_turn()

    def _received(self, data: bytes) -> None:
        if self._closing:
            return
        if self._paused:
            self._kept = data
            return
        try:
            if data:
                self._protocol.data_received(data)
        finally:
            self._let_read_on()

    def _let_read_on(self) -> None:
        if self._paused:
            self._kept = b""
        else:
            self._thread.give_turn()

    def _ended(self, error: OSError | None) -> None:
        if self._closing:
            return
        if error is None:
            self._loop.call_soon(self._protocol.eof_received)
        self._lose(error)

    def _lose(self, error: OSError | None) -> None:
        # In the next round of the loop, as in asyncio: closing is not faster than the kill that may follow.
        self._closing = True
        self._loop.call_soon(self._thread.stop)
        self._loop.call_soon(self._protocol.connection_lost, error)


class ThreadedWriteTransport(PipeTransport, asyncio.WriteTransport):
    """Buffers data, which a thread writes; it pauses the protocol while the buffer is too large."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Any, end: PipeEnd) -> None:
        """Own the end; nothing is written before `start`."""
        super().__init__({"pipe": end})
        self._loop = loop
        self._protocol = protocol
        self._lost = False
        self._buffer = WriteBuffer()
        self._thread = PipeThread(loop, end, self._write_all, self._ended)

    def __repr__(self) -> str:
        return _describe(self, f"bufsize={self.get_write_buffer_size()}")

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def write(self, data: Buffer) -> None:
        """Write data, soon; it is dropped if the pipe is closed.

        Raises:
            TypeError: it is not bytes or their like.
        """
        try:
            data = bytes(flat(data))
        except TypeError:
            raise TypeError(f"data must be a bytes-like object, not {type(data).__name__!r}") from None
        if data and not self._closing:
            self._wake_if(self._buffer.put(data))
            self._pause_if_full()

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        """Write several pieces."""
        for data in list_of_data:
            self.write(data)

    def can_write_eof(self) -> bool:
        """Return True."""
        return True

    def write_eof(self) -> None:
        """Close the pipe after what was written."""
        self.close()

    def close(self) -> None:
        """Close the pipe after what was written."""
        if self._closing:
            return
        if not self._buffer.size:
            self.abort()
            return
        self._closing = True
        self._wake_if(self._buffer.finish())

    def abort(self) -> None:
        """Close the pipe at once."""
        if not self._lost:
            self._lose(None)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be written."""
        return self._buffer.size

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return how many waiting bytes resume and pause the writer."""
        return self._buffer.marks.low, self._buffer.marks.high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set how many waiting bytes pause and resume the writer.

        Raises:
            ValueError: not high >= low >= 0.
        """
        self._buffer.marks.set_limits(high, low)
        self._pause_if_full()

    def _wake_if(self, idle: bool) -> None:
        if idle:
            self._thread.wake()

    def _pause_if_full(self) -> None:
        if self._buffer.pauses():
            self._protocol.pause_writing()

    def _resume(self) -> None:
        if self._buffer.resumes() and not self._lost:
            self._protocol.resume_writing()

    def _write_all(self, pipe: BlockingPipe) -> None:
        while not self._thread.stopped and (data := self._buffer.take()) is not None:
            if data:
                self._write(pipe, data)
            elif pipe.wait_for_hangup():
                if self._buffer.size:
                    raise BrokenPipeError
                return

    def _write(self, pipe: BlockingPipe, data: bytes) -> None:
        view = memoryview(data)
        while view and not self._thread.stopped:
            written = pipe.write(view[:_CHUNK])
            view = view[written:]
            if self._buffer.written(written):
                self._thread.tell(self._resume)

    def _ended(self, error: OSError | None) -> None:
        if not self._lost:
            self._lose(error)

    def _lose(self, error: OSError | None) -> None:
        self._closing = self._lost = True
        self._loop.call_soon(self._thread.stop)  # in the next round, as above
        self._loop.call_soon(self._protocol.connection_lost, error)


async def _connect(
    loop: asyncio.AbstractEventLoop,
    protocol: asyncio.BaseProtocol,
    transport: ThreadedReadTransport | ThreadedWriteTransport,
) -> None:
    connected = loop.create_future()
    loop.call_soon(protocol.connection_made, transport)
    loop.call_soon(set_unless_done, connected, None)
    try:
        await connected
        transport.start()
    except BaseException:
        transport.close()
        raise


def _describe(transport: asyncio.BaseTransport, detail: str) -> str:
    words = [type(transport).__name__, "closing" if transport.is_closing() else "open", detail]
    return f"<{' '.join(filter(None, words))}>"
