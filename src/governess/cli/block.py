"""What the children wrote, kept until it is written out: short in memory, long in a file."""

import tempfile
import threading
from collections.abc import Iterator

__all__ = ["Block", "Spill"]

MEMORY_OF_A_BLOCK = 2**20
PIECE = 2**16


class Spill:
    """A file without a name that grows at its end and is read anywhere, by more than one thread."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it lives as long as this object
        self._lock = threading.Lock()
        self._size = 0

    def append(self, data: bytes) -> int:
        """Write at the end; give the place where these bytes start."""
        view = memoryview(data)
        with self._lock:
            start = self._size
            self._file.seek(start)
            while view:
                view = view[self._file.write(view) :]
            self._size += len(data)
        return start

    def read(self, start: int, size: int) -> bytes:
        """Read so many bytes from a place on, or fewer."""
        with self._lock:
            self._file.seek(start)
            return self._file.read(size)


class Block:
    """What one child wrote to one of its pipes."""

    __slots__ = ("_memory", "_spill", "_start", "size")

    def __init__(self) -> None:
        self._memory = bytearray()
        self._spill: Spill | None = None
        self._start = 0
        self.size = 0
        """How many bytes it holds."""

    def add(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            OSError: They are too many for the memory, and no file takes them.
        """
        if self._spill is not None:
            self._spill.append(data)
        else:
            self._memory += data
            if self.size + len(data) > MEMORY_OF_A_BLOCK:
                self.move_to(Spill())
        self.size += len(data)

    @property
    def in_memory(self) -> int:
        """How many bytes of memory it takes."""
        return self.size if self._spill is None else 0

    def move_to(self, spill: Spill) -> None:
        """Move all bytes to the end of a file, which finished blocks can share."""
        starts = [spill.append(piece) for piece in self.pieces()]
        self._spill, self._start = spill, starts[0] if starts else 0
        self._memory = bytearray()

    def pieces(self) -> Iterator[bytes]:
        """Give the bytes, in pieces of a bounded size."""
        if self._spill is None:
            yield bytes(self._memory)
            return
        done = 0
        while done < self.size and (piece := self._spill.read(self._start + done, min(PIECE, self.size - done))):
            yield piece
            done += len(piece)
