"""The transports of a child's standard input: one for a pipe, one for a terminal."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from governess.transports._pipe_transport import PipeTransport
from governess.transports._write_buffer import Buffer, Watermarks, flat

if TYPE_CHECKING:
    from governess.transports._child_pipe import PipeEnd

__all__ = ["StdinTransport", "TerminalWriter"]


class StdinTransport(asyncio.WriteTransport):
    """Wraps the loop's write transport, and drops data that is written after the other end was closed.

    asyncio's transport does this, too, and `drain` raises. uvloop's raises a RuntimeError, which callers do not expect,
    although a child may close its standard input at any time.
    """

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        """Write through `transport`."""
        super().__init__()
        self._transport = transport

    @property  # type: ignore[misc]
    def __class__(self) -> type[asyncio.WriteTransport]:  # type: ignore[override]
        """The class of the loop's transport, for programs that look with `isinstance` on which loop they are."""
        return type(self._transport)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def __repr__(self) -> str:
        return repr(self._transport)

    def write(self, data: Buffer) -> None:
        """Write data, or drop it if the pipe is closed."""
        if not self._transport.is_closing():
            self._transport.write(flat(data))

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        """Write several pieces, or drop them if the pipe is closed."""
        if not self._transport.is_closing():
            self._transport.writelines(map(flat, list_of_data))

    def write_eof(self) -> None:
        """Close the pipe after what was written."""
        if not self._transport.is_closing():
            self._transport.write_eof()

    def can_write_eof(self) -> bool:
        """Return whether `write_eof` works."""
        return self._transport.can_write_eof()

    def abort(self) -> None:
        """Close the pipe at once."""
        # asyncio's transport calls connection_lost a second time if the first call is already scheduled.
        if not self._transport.is_closing() or self._transport.get_write_buffer_size():
            self._transport.abort()

    def close(self) -> None:
        """Close the pipe after what was written."""
        self._transport.close()

    def is_closing(self) -> bool:
        """Return whether the pipe is closed, or about to be."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the loop's transport knows."""
        return self._transport.get_extra_info(name, default)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol of the pipe."""
        return self._transport.get_protocol()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol take over."""
        self._transport.set_protocol(protocol)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be written."""
        return self._transport.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return how many waiting bytes resume and pause the writer."""
        return self._transport.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set how many waiting bytes pause and resume the writer."""
        self._transport.set_write_buffer_limits(high, low)


_END_OF_FILE = b"\x04"  # what Ctrl-D sends: VEOF of termios(3)


class TerminalWriter(PipeTransport, asyncio.WriteTransport):
    """Writes to a terminal; another transport reads from it.

    `connect_write_pipe` cannot be used: uvloop's write transport also reads, and would consume the child's output.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol, end: PipeEnd) -> None:
        """Own the descriptor, and write from the loop."""
        super().__init__({"pipe": end})
        self._loop = loop
        self._protocol = protocol
        self._end = end
        self._buffer = bytearray()
        self._at_line_start = True
        self._marks = Watermarks()
        os.set_blocking(end.fileno(), False)
        protocol.connection_made(self)

    def write(self, data: Buffer) -> None:
        """Write data, or drop it if this is closed."""
        data = bytes(flat(data))
        if self._closing or not data:
            return
        self._at_line_start = data.endswith(b"\n")
        self._send(data)

    def write_eof(self) -> None:
        """Let the child read an end of file, as Ctrl-D does, and close."""
        self.close()

    def can_write_eof(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Close after what was written, and after an end of file for the child."""
        if self._closing:
            return
        # In the middle of a line, the first VEOF only delivers the incomplete line; the second one is the end of file.
        self._send(_END_OF_FILE if self._at_line_start else 2 * _END_OF_FILE)
        self._closing = True
        if not self._buffer:
            self._lose()

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        self._lose()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be written."""
        return len(self._buffer)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return how many waiting bytes resume and pause the writer."""
        return self._marks.low, self._marks.high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set how many waiting bytes pause and resume the writer.

        Raises:
            ValueError: not high >= low >= 0.
        """
        self._marks.set_limits(high, low)

    def _send(self, data: bytes) -> None:
        waits = bool(self._buffer)
        self._buffer += data
        if not waits:
            self._flush()
            if self._buffer:
                self._loop.add_writer(self._end.fileno(), self._flush_waiting)
        if self._marks.pauses(len(self._buffer)):
            self._protocol.pause_writing()

    def _flush(self) -> None:
        try:
            del self._buffer[: os.write(self._end.fileno(), self._buffer)]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:  # EIO: nobody has the other end
            self._buffer.clear()
            self._closing = True

    def _flush_waiting(self) -> None:
        self._flush()
        if self._marks.resumes(len(self._buffer)):
            self._protocol.resume_writing()
        if not self._buffer:
            self._loop.remove_writer(self._end.fileno())
            if self._closing:
                self._lose()

    def _lose(self) -> None:
        if self._end.closed:
            return
        self._buffer.clear()
        self._loop.remove_writer(self._end.fileno())
        self._end.close()
        self._loop.call_soon(self._protocol.connection_lost, None)
