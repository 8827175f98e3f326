"""Our end of a child's pipe, in a shape that every loop can own; and its reader, for loops with `add_reader`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any

if sys.platform == "win32":
    import msvcrt
    from os import close
else:
    from posix import close  # gevent replaces os.close by one that waits for its hub, which this loop may block

    if sys.platform == "linux":
        import fcntl

from governess.transports._pipe_poller import poller_of

__all__ = ["PipeEnd", "PipeReader"]


class PipeEnd:
    """A descriptor that is closed once; `connect_read_pipe` and `connect_write_pipe` take it when it is shared.

    asyncio closes this object and never the descriptor. uvloop closes the descriptor first, and then this object; by
    then the number may stand for a file of another thread. So `close` compares the inode of a shared end before.
    """

    _descriptor = -1
    _identity: tuple[int, int] | None = None  # its device and inode, if it is shared
    _ask_user: Callable[[], object] | None = None

    def __init__(self, pipes: dict[int, int], number: int) -> None:
        """Take the descriptor out of `pipes`, where its key is the number of the child's descriptor."""
        self._descriptor = pipes.pop(number)

    def __repr__(self) -> str:
        return f"<PipeEnd {'closed' if self.closed else self._descriptor}>"

    @property
    def closed(self) -> bool:
        """Whether the descriptor is closed."""
        return self._descriptor < 0

    def fileno(self) -> int:
        """Return the descriptor; on Windows, the handle, as of asyncio's pipes there.

        Raises:
            ValueError: it is closed.
        """
        if self._descriptor < 0:
            raise ValueError("I/O operation on a closed pipe")
        if sys.platform == "win32":
            return msvcrt.get_osfhandle(self._descriptor)
        return self._descriptor

    def share(self) -> None:
        """Let a loop close the descriptor too, in its own way."""
        self._identity = _identity(self._descriptor)

    def transfer(self, ask: Callable[[], object]) -> None:
        """Transfer ownership to a thread. `close` then only calls `ask`; the thread calls `close_transferred`."""
        self._ask_user = ask

    def close(self) -> None:
        """Close the descriptor, unless it is closed already."""
        if (ask_user := self._ask_user) is not None:
            ask_user()
        else:
            self.close_transferred()

    def close_transferred(self) -> None:
        """Close the descriptor; for the thread that owns it after `transfer`."""
        if self._descriptor < 0:
            return
        if self._identity is None or _identity(self._descriptor) == self._identity:
            # In one step: interrupted between two (KeyboardInterrupt), it would stay open, or be closed twice.
            close(vars(self).pop("_descriptor"))
        else:
            self._descriptor = -1

    def __del__(self) -> None:
        if self._descriptor >= 0:
            self.close()


def _identity(descriptor: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


_DEFAULT_SIZE = 64 * 1024
_CHUNK = 256 * 1024  # as much as asyncio reads at once


class PipeReader(asyncio.ReadTransport):
    """Passes what comes from a pipe or a terminal on to an `asyncio.Protocol`.

    Attributes:
        max_size: how many bytes are read at once: 64 KiB, what a pipe holds by default; more once a read was that long.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol, end: PipeEnd) -> None:
        """Own the end, call ``protocol.connection_made``, and read from now on.

        Raises:
            NotImplementedError: the loop has no `add_reader`; the end is still the caller's.
            OSError: the loop cannot wait for another descriptor; likewise.
        """
        super().__init__({"pipe": end})
        self._loop = loop
        self._protocol: Any = protocol
        self._end = end
        self._descriptor = descriptor = end.fileno()
        self._paused = False
        self._closing = False
        self._poller = poller_of(loop)
        self.max_size = _DEFAULT_SIZE
        os.set_blocking(descriptor, False)
        protocol.connection_made(self)  # from here on it can be closed, if a KeyboardInterrupt comes
        self._wait()

    def __repr__(self) -> str:
        state = "closing" if self._closing else "paused" if self._paused else "reading"
        return f"<PipeReader {state} {self._end!r}>"

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol take over."""
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol; None when the pipe is closed."""
        return self._protocol  # type: ignore[no-any-return]

    def is_closing(self) -> bool:
        """Return whether the pipe is closed, or about to be."""
        return self._closing

    def is_reading(self) -> bool:
        """Return whether the protocol gets data."""
        return not self._paused and not self._closing

    def pause_reading(self) -> None:
        """Give the protocol no data until `resume_reading`."""
        if self.is_reading():
            self._paused = True
            self._wait_no_longer()

    def resume_reading(self) -> None:
        """Give the protocol data again."""
        if self._paused and not self._closing:
            self._paused = False
            self._wait()

    def close(self) -> None:
        """Close the pipe in the next iteration of the loop."""
        if not self._closing:
            self._stop()
            self._loop.call_soon(self._lose, None)

    def _wait(self) -> None:
        if self._poller is not None:
            self._poller.add(self._descriptor, self._read)
        else:
            self._loop.add_reader(self._descriptor, self._read)

    def _wait_no_longer(self) -> None:
        if self._poller is not None:
            self._poller.discard(self._descriptor)
        else:
            self._loop.remove_reader(self._descriptor)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, self.max_size)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:  # EIO: a terminal that nobody has any more
            self._stop()
            self._lose(error)
            return
        if data:
            if len(data) == _DEFAULT_SIZE:
                self._expect_much()
            self._protocol.data_received(data)
            return
        self._stop()
        try:
            self._protocol.eof_received()
        finally:
            self._lose(None)

    def _expect_much(self) -> None:
        """Read more at once, and have the loop itself wait, which costs less for each read."""
        self.max_size = _read_size(self._descriptor)
        if self._poller is not None:
            self._wait_no_longer()
            self._poller = None
            self._wait()

    def _stop(self) -> None:
        self._closing = True
        if not self._paused:
            self._wait_no_longer()

    def _lose(self, error: OSError | None) -> None:
        self._end.close()
        protocol, self._protocol = self._protocol, None  # which leads back here: no garbage is left to be collected
        protocol.connection_lost(error)


def _read_size(descriptor: int) -> int:
    """Return as much as the pipe holds, at most 256 KiB.

    For more than it needs malloc maps new memory, and unmaps it, with each read: mallopt(3), M_MMAP_THRESHOLD.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # it is a terminal
            return min(_CHUNK, fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ))
    return _CHUNK
