"""One pipe of a child: our end of it, what reads or writes that, and how its events get to the child's transport."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from governess.transports._pipe_reader import PipeReader
from governess.transports._stdin import StdinTransport, TerminalWriter

if sys.platform == "win32":
    import msvcrt
    from os import close
else:
    from posix import close  # gevent replaces os.close by one that waits for its hub, which this loop may block

if TYPE_CHECKING:
    from governess.transports._transport import ChildTransport

__all__ = ["ChildPipe", "PipeEnd"]

# The modules whose `connect_read_pipe` a `PipeReader` stands in for. A loop that has another one is asked for it.
_REPLACED = ("asyncio.base_events", "uvloop.loop")


class ChildPipe(asyncio.Protocol):
    """Passes the events of one pipe on to the child's transport.

    Attributes:
        transport: what reads or writes; None until it is connected.
        disconnected: whether `connection_lost` was called.
    """

    def __init__(self, owner: ChildTransport, fd: int) -> None:
        """Be the pipe that is `fd` in the child."""
        self._owner: Any = owner
        self._fd = fd
        self.transport: Any = None
        self.disconnected = False

    def connect_here(self, loop: asyncio.AbstractEventLoop, end: PipeEnd) -> bool:
        """Read by `add_reader`, or write to a terminal; return False if that is left to the loop."""
        if self._fd == 0:
            if not os.isatty(end.fileno()):
                return False
            TerminalWriter(loop, self, end)
        else:
            if sys.platform == "win32" or getattr(loop.connect_read_pipe, "__module__", "") not in _REPLACED:
                return False
            try:
                PipeReader(loop, self, end)
            except NotImplementedError:  # the loop has no add_reader
                return False
        return True

    async def connect_by_loop(self, loop: asyncio.AbstractEventLoop, end: PipeEnd) -> None:
        """Have the loop read or write; it also closes the end, in its own way."""
        end.share()
        try:
            await (loop.connect_read_pipe if self._fd else loop.connect_write_pipe)(lambda: self, end)
        except NotImplementedError:
            # Few loops have none of their own.
            from governess.transports._threaded_pipes import connect_read_pipe, connect_write_pipe

            await (connect_read_pipe if self._fd else connect_write_pipe)(loop, lambda: self, end)

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self.transport = StdinTransport(transport) if self._fd == 0 else transport

    def data_received(self, data: bytes) -> None:
        """Pass the data on."""
        self._owner.pipe_data_received(self._fd, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on that the pipe is closed."""
        if isinstance(exc, OSError) and exc.errno == errno.EIO:
            exc = None  # a terminal reports EIO when its other end is closed
        self.disconnected = True
        owner, self._owner = self._owner, None  # which leads back here: no garbage is left to be collected
        owner.pipe_connection_lost(self._fd, exc)

    def pause_writing(self) -> None:
        """Pass on that the pipe is full."""
        self._owner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that there is room in it again."""
        self._owner.resume_writing()


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
