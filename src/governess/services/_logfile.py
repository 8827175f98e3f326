"""A log file that is followed by the next one when it is full, and that a full disk does not stop."""

from __future__ import annotations

import contextlib
import os

__all__ = ["LogFile"]


class LogFile:
    """A file to which whole lines are appended.

    When it would get too large, it is renamed to ``NAME.1``, ``NAME.1`` to ``NAME.2`` and so on. When it cannot be
    written, lines are dropped until it can be; a line is written as a whole or not at all.

    Attributes:
        path: its path.
        dropped: bytes that were dropped since it could be written the last time.
    """

    def __init__(self, path: str) -> None:
        """Open nothing yet."""
        self.path = path
        self.dropped = 0
        self._file = -1
        self._size = 0

    def write(self, lines: bytes, size: int, keep: int) -> OSError | None:
        """Append whole lines; return why they were dropped, or None if they were not.

        Args:
            lines: the lines, with their ends.
            size: how many bytes the file has at most. A longer line has a file of its own.
            keep: how many older files are kept.
        """
        view = memoryview(lines)
        try:
            self._open_again_if_moved()
            while view:
                part = self._part(lines, len(lines) - len(view), size)
                if self._size and self._size + part > size:
                    self._rotate(keep)
                else:
                    self._append(view[:part])
                    view = view[part:]
        except OSError as error:
            self.dropped += len(view)
            return error
        self.dropped = 0
        return None

    def close(self) -> None:
        """Close it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _part(self, lines: bytes, start: int, size: int) -> int:
        """Return how many bytes, as whole lines, fit into the file; if none do, into the next one; at least a line."""
        left = len(lines) - start
        for room in (size - self._size, size):
            if left <= room:
                return left
            if room > 0 and (end := lines.rfind(b"\n", start, start + room)) >= 0:
                return end + 1 - start
        end = lines.find(b"\n", start)
        return left if end < 0 else end + 1 - start

    def _append(self, data: memoryview) -> None:
        try:
            while data:
                written = os.write(self._file, data)
                self._size += written
                data = data[written:]
        except OSError:
            self._drop_torn_line()
            raise

    def _drop_torn_line(self) -> None:
        """Cut off what was written of a line whose rest was not."""
        with contextlib.suppress(OSError):
            self._size = os.fstat(self._file).st_size
            start = max(0, self._size - _TAIL)
            with open(self.path, "rb") as file:
                file.seek(start)
                tail = file.read(_TAIL)
            if not tail.endswith(b"\n"):
                self._size = start + tail.rfind(b"\n") + 1
                os.ftruncate(self._file, self._size)

    def _open_again_if_moved(self) -> None:
        """Open it, again if another program has moved or removed it meanwhile."""
        if self._file >= 0:
            with contextlib.suppress(FileNotFoundError):
                there, ours = os.stat(self.path), os.fstat(self._file)
                if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                    self._size = ours.st_size
                    return
        self._open()

    def _open(self) -> None:
        self.close()
        if folder := os.path.dirname(self.path):
            os.makedirs(folder, exist_ok=True)
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._file).st_size

    def _rotate(self, keep: int) -> None:
        for number in range(keep, 0, -1):
            older = self.path if number == 1 else f"{self.path}.{number - 1}"
            with contextlib.suppress(FileNotFoundError):
                os.replace(older, f"{self.path}.{number}")
        if not keep:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        self._open()


# Of a line that was torn by a full disk, so much is looked at.
_TAIL = 1 << 21
