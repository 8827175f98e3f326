"""Writing to a child through a terminal of ours, whose other end it reads."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from governess.loops.pipes import PipeEnd

__all__ = ["TerminalWriter"]

_HIGH, _LOW = 1 << 16, 1 << 14
_END_OF_FILE = b"\x04"  # what Ctrl-D sends: VEOF of termios(3)


class TerminalWriter(asyncio.WriteTransport):
    """The transport that writes to a terminal, whose reading side is another's.

    `connect_write_pipe` will not do: uvloop's transport reads, too, and so takes away what the child has written.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol, end: PipeEnd) -> None:
        """Own the descriptor, and write from the loop."""
        super().__init__({"pipe": end})
        self._loop = loop
        self._protocol: Any = protocol
        self._end = end
        self._buffer = bytearray()
        self._at_line_start = True
        self._paused = False
        self._closing = False
        self._high, self._low = _HIGH, _LOW
        os.set_blocking(end.fileno(), False)
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write data, or drop it if this is closed."""
        if self._closing or not data:
            return
        self._at_line_start = bytes(data[-1:]) == b"\n"
        self._send(bytes(data))

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
        # In the middle of a line, the first one only hands over what there is of it.
        self._send(_END_OF_FILE if self._at_line_start else 2 * _END_OF_FILE)
        self._closing = True
        if not self._buffer:
            self._lose()

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        self._lose()

    def is_closing(self) -> bool:
        """Return whether it is closed, or about to be."""
        return self._closing

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol."""
        return self._protocol  # type: ignore[no-any-return]

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol take over."""
        self._protocol = protocol

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be written."""
        return len(self._buffer)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return how many waiting bytes resume and pause the writer."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set how many waiting bytes pause and resume the writer."""
        self._high = (_HIGH if low is None else 4 * low) if high is None else high
        self._low = self._high // 4 if low is None else low

    def _send(self, data: bytes) -> None:
        waits = bool(self._buffer)
        self._buffer += data
        if not waits:
            self._flush()
            if self._buffer:
                self._loop.add_writer(self._end.fileno(), self._flush_waiting)
        if len(self._buffer) > self._high and not self._paused:
            self._paused = True
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
        if self._paused and len(self._buffer) <= self._low:
            self._paused = False
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
