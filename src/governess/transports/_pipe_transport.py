"""What all transports of pipes have: a protocol, and an end."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["PipeReadTransport", "PipeTransport"]


class PipeTransport(asyncio.BaseTransport):
    """The part of a pipe's transport that does not depend on how it reads or writes.

    A subclass sets `_protocol`, which may be None when the pipe is closed, and `_closing`.
    """

    _protocol: Any
    _closing = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol take over."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol."""
        return self._protocol  # type: ignore[no-any-return]

    def is_closing(self) -> bool:
        """Return whether the pipe is closed, or about to be."""
        return self._closing


class PipeReadTransport(PipeTransport, asyncio.ReadTransport):
    """The same of a transport that reads; a subclass sets `_paused`."""

    _paused = False

    def is_reading(self) -> bool:
        """Return whether the protocol gets data."""
        return not self._paused and not self._closing
