"""What is written: the marks that pause and resume a writer, a buffer between a loop and a thread, and whole writes."""

from __future__ import annotations

import os
import select
import threading
from typing import Any

__all__ = ["Buffer", "Watermarks", "WriteBuffer", "flat", "write_all"]

Buffer = bytes | bytearray | memoryview


def flat(data: Any) -> Buffer:
    """Return all bytes of a buffer, whatever its items and its shape (cpython#134453).

    Raises:
        TypeError: it is no buffer.
    """
    if isinstance(data, (bytes, bytearray)):
        return data
    view = memoryview(data)
    return view.cast("B") if view.c_contiguous else view.tobytes()


def write_all(descriptor: int, data: Buffer) -> None:
    """Write all of the data to a descriptor, and block until that is done.

    Raises:
        OSError: it cannot be written.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:  # another program has made the file non-blocking, for all who share it
            select.select([], [descriptor], [])


_HIGH = 64 * 1024  # asyncio's mark; its low one is a quarter of that


class Watermarks:
    """The sizes at which the writer of a transport pauses and resumes, and whether it is paused.

    Attributes:
        high: the size above which the writer pauses, in bytes.
        low: the size at which the writer resumes, in bytes.
        is_paused: whether it is paused.
    """

    def __init__(self) -> None:
        """Start with asyncio's marks."""
        self.is_paused = False
        self.set_limits(None, None)

    def set_limits(self, high: int | None, low: int | None) -> None:
        """Set the two marks; None is asyncio's default.

        Raises:
            ValueError: not high >= low >= 0.
        """
        if high is None:
            high = _HIGH if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self.high, self.low = high, low

    def pauses(self, size: int) -> bool:
        """Return whether the writer is to pause now; once until `resumes`."""
        was_paused, self.is_paused = self.is_paused, self.is_paused or size > self.high
        return self.is_paused and not was_paused

    def resumes(self, size: int) -> bool:
        """Return whether the writer, who was paused, is to go on now."""
        was_paused, self.is_paused = self.is_paused, self.is_paused and size > self.low
        return was_paused and not self.is_paused


class WriteBuffer:
    """Bytes between two threads, without any I/O.

    Attributes:
        size: how many bytes are not written yet, those that were taken included.
        marks: where the writer pauses and resumes.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.size = 0
        self.marks = Watermarks()
        self._pieces: list[bytes] = []
        self._finished = False
        self._taker_sleeps = False
        self._lock = threading.Lock()

    def put(self, data: bytes) -> bool:
        """Add data; return whether the reading thread must be woken."""
        with self._lock:
            self._pieces.append(data)
            self.size += len(data)
            return self._wakes()

    def finish(self) -> bool:
        """Mark the end of the data; return whether the reading thread must be woken."""
        with self._lock:
            self._finished = True
            return self._wakes()

    def take(self) -> bytes | None:
        """Return all there is, for the taker to write; None after `finish`. Nothing means: sleep until woken."""
        with self._lock:
            if self._pieces:
                data = b"".join(self._pieces)
                self._pieces.clear()
                return data
            self._taker_sleeps = not self._finished
            return b"" if self._taker_sleeps else None

    def written(self, count: int) -> bool:
        """Take note that `count` bytes are written; return whether to call `resumes` now."""
        with self._lock:
            self.size -= count
            return self.marks.is_paused and self.size <= self.marks.low

    def pauses(self) -> bool:
        """Return whether the writer is to pause now; once until `resumes`."""
        with self._lock:
            return self.marks.pauses(self.size)

    def resumes(self) -> bool:
        """Return whether the writer, who was paused, is to go on now."""
        with self._lock:
            return self.marks.resumes(self.size)

    def _wakes(self) -> bool:
        wakes, self._taker_sleeps = self._taker_sleeps, False
        return wakes
