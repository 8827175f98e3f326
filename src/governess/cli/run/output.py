"""The output of the commands: stored until it is written, and written by one thread."""

import contextlib
import os
import queue
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator

from governess.cli.run.schedule import InOrder

__all__ = ["Block", "Blocks", "Delivery", "Spill", "Writer"]


MEMORY_OF_A_BLOCK = 2**20
PIECE = 2**16


class Spill:
    """An unnamed temporary file: several threads may append to it and read from any position."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - open as long as this object exists
        self._lock = threading.Lock()
        self._size = 0

    def append(self, data: bytes) -> int:
        """Append bytes; return the position at which they start."""
        view = memoryview(data)
        with self._lock:
            start = self._size
            self._file.seek(start)
            while view:
                view = view[self._file.write(view) :]
            self._size += len(data)
        return start

    def read(self, start: int, size: int) -> bytes:
        """Read at most `size` bytes, beginning at `start`."""
        with self._lock:
            self._file.seek(start)
            return self._file.read(size)


class Block:
    """The output of one command to one of its pipes."""

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
            OSError: the block is too large for memory, and the temporary file cannot be written.
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
        """How many bytes it holds in memory."""
        return self.size if self._spill is None else 0

    def move_to(self, spill: Spill) -> None:
        """Move all bytes to the end of a file; several finished blocks may share the file."""
        starts = [spill.append(piece) for piece in self.pieces()]
        self._spill, self._start = spill, starts[0] if starts else 0
        self._memory = bytearray()

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes in pieces of a bounded size."""
        if self._spill is None:
            yield bytes(self._memory)
            return
        done = 0
        while done < self.size and (piece := self._spill.read(self._start + done, min(PIECE, self.size - done))):
            yield piece
            done += len(piece)


class Writer:
    """Writes whole blocks to standard output and standard error, one after the other, and a bar below them.

    Args:
        on_broken: called once, in the writing thread, when a write to standard output fails.
    """

    MANY = 64
    """How many blocks may wait to be written before `is_behind` is true."""

    def __init__(self, on_broken: Callable[[OSError], None]) -> None:
        self._on_broken = on_broken
        self._queue: queue.SimpleQueue[tuple[int, Block | bytes] | threading.Event | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._broken: set[int] = set()
        self._terminals = frozenset(descriptor for descriptor in (1, 2) if os.isatty(descriptor))
        self._within_a_line: set[int] = set()
        self._bar = b""

    def write(self, descriptor: int, block: Block | bytes) -> None:
        """Write a block to standard output (1) or standard error (2), after all earlier blocks."""
        self._put((descriptor, block))

    def say(self, text: str) -> None:
        """Write whole lines of governess itself to standard error."""
        self._put((_OWN_LINE, _encoded(text)))

    def show_bar(self, line: str) -> None:
        """Draw a bar below the output, instead of the previous bar; an empty line removes the bar."""
        self._put((_BAR, line.encode("utf-8", "replace")))

    @property
    def is_behind(self) -> bool:
        """Whether too much output waits to be written, so that no job should be started."""
        return self._queue.qsize() > self.MANY

    def mark(self) -> threading.Event:
        """Return an event that is set when all output so far is written."""
        event = threading.Event()
        if self._thread is None:
            event.set()
        else:
            self._queue.put(event)
        return event

    def _put(self, item: tuple[int, Block | bytes]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="governess-writer", daemon=True)
            self._thread.start()
        self._queue.put(item)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
            else:
                self._do(*item)

    def _do(self, target: int, block: Block | bytes) -> None:
        pieces = block.pieces() if isinstance(block, Block) else iter((block,))
        if target == _BAR:
            self._draw(b"".join(pieces))
            return
        descriptor = 2 if target == _OWN_LINE else target
        hidden, on_terminal = self._bar, descriptor in self._terminals
        if hidden and on_terminal:
            self._draw(b"")
        if target == _OWN_LINE:
            self._end_line()
        last = b""
        for piece in pieces:
            last = piece or last
            self._send(descriptor, piece)
        if last:
            touched = self._terminals if on_terminal else {descriptor}
            self._within_a_line -= touched
            if not last.endswith(b"\n"):
                self._within_a_line |= touched
        if hidden and on_terminal:
            self._draw(hidden)

    def _draw(self, bar: bytes) -> None:
        if self._bar:
            self._send(2, _ERASE)
        elif bar:
            self._end_line()
        self._bar = bar
        self._send(2, bar)

    def _end_line(self) -> None:
        """Start a new line on standard error if the last block did not end with one."""
        if 2 in self._within_a_line:
            self._send(2, b"\n")
            self._within_a_line -= self._terminals | {2}

    def _send(self, descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        while view and descriptor not in self._broken:
            try:
                view = view[os.write(descriptor, view) :]
            except BlockingIOError:
                _wait_until_writable(descriptor)
            except OSError as error:
                self._broken.add(descriptor)
                if descriptor == 1:
                    self._on_broken(error)


_OWN_LINE = 3
_BAR = 4
_ERASE = b"\r\x1b[2K"


def _encoded(text: str) -> bytes:
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace")


def _wait_until_writable(descriptor: int) -> None:
    # Another process has made the shared file non-blocking.
    import select

    with contextlib.suppress(OSError, ValueError):
        select.select([], [descriptor], [], 1.0)


Blocks = list[Block | None]
"""The output of a command to standard output and to standard error."""

HELD_IN_MEMORY = 2**25


class Delivery:
    """Passes the output of ended commands to the writer.

    Args:
        writer: writes the output.
        on_trouble: called when output that has to wait cannot be stored.
        keep_order: whether output is written in the order of the commands' numbers.
    """

    def __init__(self, writer: Writer, on_trouble: Callable[[OSError], None], *, keep_order: bool) -> None:
        self._writer = writer
        self._on_trouble = on_trouble
        self._order: InOrder[Blocks] | None = InOrder() if keep_order else None
        self._held = 0
        self._spill: Spill | None = None

    def put(self, number: int, blocks: Blocks) -> None:
        """Write the output of a command, or store it until its turn."""
        if self._order is None:
            self._write(blocks)
            return
        if not self._order.is_next(number):
            self._hold(blocks)
        for due in self._order.add(number, blocks):
            if due is not blocks:
                self._held -= sum(block.in_memory for block in due if block)
            self._write(due)

    def _write(self, blocks: Blocks) -> None:
        for descriptor, block in enumerate(blocks, 1):
            if block is not None:
                self._writer.write(descriptor, block)

    def _hold(self, blocks: Blocks) -> None:
        """Store waiting output: in memory up to a limit, then in one shared file, which bounds the descriptors too."""
        for block in filter(None, blocks):
            self._held += block.in_memory
            if block.in_memory and self._held <= HELD_IN_MEMORY:
                continue
            self._held -= block.in_memory
            try:
                self._spill = self._spill or Spill()
                block.move_to(self._spill)
            except OSError as error:
                self._on_trouble(error)
