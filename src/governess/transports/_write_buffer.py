"""A buffer between a loop, which adds data, and a thread, which writes it; two watermarks pause and resume the loop."""

from __future__ import annotations

import threading

__all__ = ["WriteBuffer"]

_HIGH = 64 * 1024  # asyncio's mark; its low one is a quarter of that


class WriteBuffer:
    """Bytes between two threads, without any I/O.

    Attributes:
        size: how many bytes are not written yet, those that were taken included.
        high: the watermark above which the writer pauses, in bytes.
        low: the watermark at which the writer resumes, in bytes.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.size = 0
        self._pieces: list[bytes] = []
        self._finished = False
        self._full = False
        self._taker_sleeps = False
        self._lock = threading.Lock()
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
            return self._full and self.size <= self.low

    def pauses(self) -> bool:
        """Return whether the writer is to pause now; once until `resumes`."""
        with self._lock:
            was_full, self._full = self._full, self._full or self.size > self.high
            return self._full and not was_full

    def resumes(self) -> bool:
        """Return whether the writer, who was paused, is to go on now."""
        with self._lock:
            was_full, self._full = self._full, self._full and self.size > self.low
            return was_full and not self._full

    def _wakes(self) -> bool:
        wakes, self._taker_sleeps = self._taker_sleeps, False
        return wakes
