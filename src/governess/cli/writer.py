"""Everything the command line writes, one block after the other, by one thread: a slow reader stops no loop."""

import contextlib
import os
import queue
import sys
import threading
from collections.abc import Callable

from governess.cli.block import Block

__all__ = ["Writer"]


class Writer:
    """Writes blocks to standard output and standard error, none torn by another, below them a bar.

    Args:
        on_broken: Called in the writing thread, once, when standard output cannot be written any more.
    """

    MANY = 64
    """So many blocks may wait to be written before `is_behind` says so."""

    def __init__(self, on_broken: Callable[[OSError], None]) -> None:
        self._on_broken = on_broken
        self._queue: queue.SimpleQueue[tuple[int, Block | bytes] | threading.Event | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._broken: set[int] = set()
        self._terminals = frozenset(descriptor for descriptor in (1, 2) if os.isatty(descriptor))
        self._within_a_line: set[int] = set()
        self._bar = b""

    def write(self, descriptor: int, block: Block | bytes) -> None:
        """Write a block to standard output (1) or standard error (2), after those before it."""
        self._put((descriptor, block))

    def say(self, text: str) -> None:
        """Write whole lines of our own to standard error."""
        self._put((_OWN_LINE, _encoded(text)))

    def show_bar(self, line: str) -> None:
        """Draw a bar below everything, in place of the one before; an empty one takes it away."""
        self._put((_BAR, line.encode("utf-8", "replace")))

    @property
    def is_behind(self) -> bool:
        """Whether so much waits to be written that no more should be made."""
        return self._queue.qsize() > self.MANY

    def mark(self) -> threading.Event:
        """Give an event that is set once everything until now is written."""
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
        """Go to a new line of standard error if a block left us within one."""
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
    # Somebody else made the file non-blocking, for all who share it.
    import select

    with contextlib.suppress(OSError, ValueError):
        select.select([], [descriptor], [], 1.0)
