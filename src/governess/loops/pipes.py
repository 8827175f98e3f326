"""Our end of a child's pipe, in a shape that every loop can own."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any

if sys.platform == "win32":
    import msvcrt
elif sys.platform == "linux":
    import fcntl

__all__ = ["PipeEnd"]


class PipeEnd:
    """A descriptor that `connect_read_pipe` and `connect_write_pipe` take, and may close in either way.

    asyncio closes this object and never the descriptor; uvloop closes the descriptor first and this object then, when
    the number may already be another thread's file. So only the very same pipe is closed, known by its inode.
    """

    def __init__(self, descriptor: int) -> None:
        """Own the descriptor."""
        self._descriptor = descriptor
        self._identity = _identity(descriptor)
        self._ask_user: Callable[[], object] | None = None

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
        if self.closed:
            raise ValueError("I/O operation on a closed pipe")
        if sys.platform == "win32":
            return msvcrt.get_osfhandle(self._descriptor)
        return self._descriptor

    def fit(self, transport: Any) -> None:
        """Let asyncio's transport, which reads from here, ask for as much as the pipe holds, and not for 256 KiB.

        For so much, malloc maps new memory and unmaps it with each read: mallopt(3), M_MMAP_THRESHOLD.
        """
        if sys.platform == "linux" and hasattr(transport, "max_size"):
            with contextlib.suppress(OSError, ValueError):  # it is a terminal, or closed by now
                capacity = fcntl.fcntl(self.fileno(), fcntl.F_GETPIPE_SZ)
                transport.max_size = min(transport.max_size, capacity)

    def lend(self, ask: Callable[[], object]) -> None:
        """Let another thread use it, which calls `close_lent` in the end: `close` only calls `ask`, to hasten that."""
        self._ask_user = ask

    def close(self) -> None:
        """Close the descriptor, unless it is closed already."""
        if (ask_user := self._ask_user) is not None:
            ask_user()
        else:
            self.close_lent()

    def close_lent(self) -> None:
        """Close the descriptor, as the one to whom it is lent."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0 and _identity(descriptor) == self._identity:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def _identity(descriptor: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino
