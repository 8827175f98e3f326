"""One run at a time for a journal."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from pathlib import Path

from governess.children._backoff import pauses
from governess.jobs._errors import JournalError

if sys.platform != "win32":
    import fcntl

__all__ = ["Lock"]


class Lock:
    """The lock of a journal, which the kernel releases when this process ends, however it does.

    Args:
        folder: the folder of the journal.

    Raises:
        JournalError: another run has it, whose process the text names; or there are no locks here.
        OSError: its file cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        if sys.platform == "win32":
            raise JournalError("a journal needs the locks of POSIX, which Windows does not have")
        self._descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _take(self._descriptor)
        except OSError as error:
            holder = os.pread(self._descriptor, 1000, 0).decode(errors="replace").split()
            os.close(self._descriptor)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise JournalError(f"the journal {folder} cannot be locked: {error.strerror}") from None
            who = f"process {holder[0]} on {holder[1]}" if len(holder) == 2 else "another process"
            raise JournalError(f"the journal {folder} is in use by {who}: wait until it has ended, or end it") from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)

    def release(self) -> None:
        """Release the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _take(descriptor: int) -> None:
    """Take the lock; a reader that looks for its holder holds it for a moment, which is waited for."""
    for pause in pauses(0.005, 0.05, _PATIENCE):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(pause)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_PATIENCE = 0.3  # seconds
