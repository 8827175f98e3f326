"""Our end of a child's pipe, in a shape that every loop can own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

if sys.platform == "win32":
    import msvcrt
    from os import close
else:
    from posix import close  # gevent replaces os.close by one that waits for its hub, which this loop may block

__all__ = ["PipeEnd"]


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
