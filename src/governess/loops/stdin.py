"""The transport of a child's standard input, which forgives a child that has closed it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["StdinTransport"]


class StdinTransport(asyncio.WriteTransport):
    """The loop's write transport, which takes and drops what is written after the other end was closed.

    asyncio's own does so, and tells by `drain`; uvloop's raises a RuntimeError that no caller expects, although a child
    may close its standard input at any time.
    """

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        """Write through `transport`."""
        super().__init__()
        self._transport = transport

    def __repr__(self) -> str:
        return repr(self._transport)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Write data, or drop it if the child can read no more."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """Write several pieces, or drop them if the child can read no more."""
        if not self._transport.is_closing():
            self._transport.writelines(list_of_data)

    def write_eof(self) -> None:
        """Close the pipe after what was written."""
        if not self._transport.is_closing():
            self._transport.write_eof()

    def can_write_eof(self) -> bool:
        """Return whether `write_eof` works."""
        return self._transport.can_write_eof()

    def abort(self) -> None:
        """Close the pipe at once."""
        # asyncio's own calls connection_lost a second time if it is on its way already.
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
