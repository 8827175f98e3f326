"""A fifo that tells who lives."""

import os
from pathlib import Path

__all__ = ["Roll"]


class Roll:
    """A fifo that children answer to when they live, and that ends when none of them lives any more."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._writer: int | None = os.open(path, os.O_WRONLY)
        os.set_blocking(self._reader, True)

    def wait_for(self, count: int) -> None:
        """Wait until so many have answered, each with a line; from then on only they keep the fifo open."""
        data = b""
        while data.count(b"\n") < count:
            data += os.read(self._reader, 1)
        os.close(self._take_writer())

    def wait_until_all_are_gone(self) -> None:
        """Wait until nobody holds the fifo any more; an orphan that lives on runs into the test's time limit."""
        while os.read(self._reader, 100):
            pass

    def close(self) -> None:
        if self._writer is not None:
            os.close(self._take_writer())
        os.close(self._reader)

    def _take_writer(self) -> int:
        writer, self._writer = self._writer, None
        assert writer is not None
        return writer
