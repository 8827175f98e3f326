"""Output that waits to be written: in memory, and past a limit in one unnamed temporary file."""

import contextlib
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

__all__ = ["Block", "FileBlock", "Spool"]

IN_MEMORY = 2**25
"""How many bytes of all blocks stay in memory."""
SMALLEST = 2**12
LARGEST = 2**20


class Spool:
    """The place of all blocks; the loop's thread adds to blocks, and the writing thread reads and releases them."""

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self.held = 0
        """How many bytes wait, in memory and in the file."""
        self._room = in_memory
        self._in_memory = 0
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._end = 0
        self._free: defaultdict[int, list[int]] = defaultdict(list)

    def block(self) -> "Block":
        """Return a new block."""
        return Block(self)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def keep(self, size: int) -> bool:
        """Count bytes that are held now; return whether they fit into memory."""
        with self._lock:
            self.held += size
            self._in_memory += size
            return self._in_memory <= self._room

    def release(self, size: int, in_memory: int) -> None:
        """Count bytes that are no longer held."""
        with self._lock:
            self.held -= size
            self._in_memory -= in_memory

    def write(self, data: bytes | bytearray) -> tuple[int, int]:
        """Write at most `LARGEST` bytes to the file; return where, and how many bytes.

        Raises:
            OSError: the file cannot be written.
        """
        room = _room(len(data))
        with self._lock:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - open as long as this object exists
            free = self._free[room]
            start = free.pop() if free else self._end
            if start == self._end:
                self._end += room
            self._file.seek(start)
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
            self._in_memory -= len(data)
        return start, len(data)

    def read(self, start: int, size: int) -> bytes:
        """Read bytes back, and have their place used anew."""
        with self._lock:
            assert self._file is not None
            self._file.seek(start)
            data = bytearray()
            while len(data) < size and (piece := self._file.read(size - len(data))):
                data += piece
            self._free[_room(size)].append(start)
        return bytes(data)


def _room(size: int) -> int:
    return max(SMALLEST, 1 << (size - 1).bit_length())


class Block:
    """What one command has written to both of its outputs and that waits, in the order in which it was written."""

    __slots__ = ("_memory", "_parts", "_runs", "_spool", "size")

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._memory = bytearray()
        self._parts: list[tuple[int, int]] = []
        self._runs: list[list[int]] = []
        self.size = 0
        """How many bytes it holds."""

    def add(self, descriptor: int, data: bytes) -> None:
        """Append bytes.

        Raises:
            OSError: they do not fit into memory, and the temporary file cannot be written.
        """
        self._memory += data
        self.size += len(data)
        if self._runs and self._runs[-1][0] == descriptor:
            self._runs[-1][1] += len(data)
        else:
            self._runs.append([descriptor, len(data)])
        if not self._spool.keep(len(data)) or len(self._memory) >= LARGEST:
            while self._memory:
                self._parts.append(self._spool.write(self._memory[:LARGEST]))
                del self._memory[:LARGEST]

    def take(self) -> Iterator[tuple[int, bytes]]:
        """Yield each piece with its descriptor, and release it."""
        runs = iter(self._runs)
        descriptor, left = next(runs, (0, 0))
        for piece, in_memory in self._pieces():
            start = 0
            while start < len(piece):
                if not left:
                    descriptor, left = next(runs)
                size = min(left, len(piece) - start)
                yield descriptor, piece[start : start + size]
                start += size
                left -= size
            self._spool.release(len(piece), in_memory)
        self._parts, self._runs, self._memory, self.size = [], [], bytearray(), 0

    def _pieces(self) -> Iterator[tuple[bytes, int]]:
        for start, size in self._parts:
            yield self._spool.read(start, size), 0
        if self._memory:
            yield bytes(self._memory), len(self._memory)


class FileBlock:
    """What a command has written to files; they are read when they are written.

    Args:
        files: the files with its standard output and its standard error.
        edit: changes each piece; None for no change.
        before: what comes before; None for nothing.
    """

    size = 1
    """How many bytes wait in memory, which is next to nothing."""

    def __init__(
        self,
        files: Sequence[Path],
        edit: Callable[[int, bytes], bytes] | None = None,
        before: "Block | FileBlock | None" = None,
    ) -> None:
        self._files = files
        self._edit = edit
        self._before = before

    def take(self) -> Iterator[tuple[int, bytes]]:
        """Yield each piece with its descriptor."""
        if self._before is not None:
            yield from self._before.take()
        for descriptor, path in enumerate(self._files, 1):
            with contextlib.suppress(FileNotFoundError):  # a command that could not be started has none
                if path.stat().st_size == 0:  # most are empty; to open one takes three times as long
                    continue
                with open(path, "rb", buffering=0) as file:
                    while piece := file.read(LARGEST):
                        yield descriptor, piece if self._edit is None else self._edit(descriptor, piece)
