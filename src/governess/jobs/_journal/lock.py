"""One run at a time for a journal."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from pathlib import Path

from governess.children._pauses import pauses
from governess.jobs._errors import JournalError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["Lock", "holder_of"]


class Lock:
    """The lock of a journal, which the kernel releases when this process ends, however it does.

    Args:
        folder: the folder of the journal.

    Raises:
        JournalError: another run has it, whose process the text names.
        OSError: its file cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _take(self._descriptor)
        except OSError as error:
            holder = _read(self._descriptor)
            os.close(self._descriptor)
            if not _is_taken(error):
                raise JournalError(f"the journal {folder} cannot be locked: {error.strerror}") from None
            who = f"process {holder[0]} on {holder[1]}" if len(holder) == 2 else "another process"
            raise JournalError(f"the journal {folder} is in use by {who}: wait until it has ended, or end it") from None
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())

    def release(self) -> None:
        """Release the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def holder_of(folder: Path) -> int | None:
    """Return the number of the process that has the lock of a journal; 0 if it is not known, None if none has it."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    except OSError:
        return None
    try:
        _lock(descriptor, is_shared=True)
    except OSError:
        holder = _read(descriptor)
        return int(holder[0]) if holder and holder[0].isdigit() else 0
    finally:
        os.close(descriptor)
    return None


def _take(descriptor: int) -> None:
    """Take the lock; a reader that looks for its holder holds it for a moment, which is waited for."""
    for pause in pauses(0.005, 0.05, _LOCK_TIMEOUT):
        try:
            _lock(descriptor)
            return
        except OSError as error:
            if not _is_taken(error):
                raise
            time.sleep(pause)
    _lock(descriptor)


if sys.platform == "win32":

    def _lock(descriptor: int, *, is_shared: bool = False) -> None:
        # What is locked cannot be read by others: a byte behind the end of the file, which need not exist.
        os.lseek(descriptor, _BEHIND_THE_END, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:

    def _lock(descriptor: int, *, is_shared: bool = False) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def _is_taken(error: OSError) -> bool:
    return error.errno in (errno.EWOULDBLOCK, errno.EACCES, 0)  # 0 is what Wine tells


def _read(descriptor: int) -> list[str]:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, 1000).decode(errors="replace").split()


_LOCK_TIMEOUT = 0.3  # seconds
_BEHIND_THE_END = 1 << 30
