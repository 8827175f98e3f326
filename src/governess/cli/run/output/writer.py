"""One thread that writes to standard output and standard error, and draws a bar below the output."""

import os
import queue
import sys
import threading
import time
from collections.abc import Callable

from governess.cli.run.output.spool import Block, FileBlock
from governess.transports._write_buffer import write_all

__all__ = ["Writer"]

MUCH = 2**20
"""How many bytes may wait to be written until what writes them waits."""
LITTLE = 2**18
REDRAW = 0.1
"""Seconds after which the bar comes back while output does not end."""


class Writer:
    """Writes what it is given, in that order.

    Args:
        on_broken: called once, in the writing thread, when a write to standard output fails.
        on_relief: called in the writing thread when little output waits, after much or a block.
    """

    MANY = 64
    """How many blocks may wait to be written before `is_behind` is true."""

    def __init__(self, on_broken: Callable[[OSError], None], on_relief: Callable[[], None] = lambda: None) -> None:
        self._on_broken = on_broken
        self._on_relief = on_relief
        self._queue: queue.SimpleQueue[tuple[int, Block | FileBlock | bytes] | threading.Event | None] = (
            queue.SimpleQueue()
        )
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._pending = 0
        self._blocks = 0
        self._was_much = False
        self._screen = _Screen()
        self._broken: set[int] = set()

    def write(self, descriptor: int, data: bytes) -> bool:
        """Write bytes to standard output (1) or standard error (2); return whether much waits."""
        with self._lock:
            self._pending += len(data)
            is_much = self._pending > MUCH
            self._was_much |= is_much
        self._put((descriptor, data))
        return is_much

    def write_block(self, block: Block | FileBlock) -> None:
        """Write all that a block holds."""
        with self._lock:
            self._blocks += 1
        self._put((_BLOCK, block))

    def end_block(self) -> None:
        """Tell that the command whose output came last writes no more: its last line has ended."""
        if self._thread is not None and self._screen.terminals:
            self._put((_END, b""))

    def say(self, text: str) -> None:
        """Write whole lines of governess itself to standard error."""
        self._put((_OWN_LINE, _encoded(text)))

    def show_bar(self, line: str, width: int = 0) -> None:
        """Draw a bar below the output, instead of the previous bar; an empty line removes the bar.

        Args:
            line: the bar, with escape sequences.
            width: how many columns it takes.
        """
        self._put((_BAR + width, line.encode("utf-8", "replace")))

    @property
    def is_behind(self) -> bool:
        """Whether too much output waits to be written, so that no job should be started."""
        return self._pending > MUCH or self._blocks > self.MANY

    def mark(self) -> threading.Event:
        """Return an event that is set when all output so far is written."""
        event = threading.Event()
        if self._thread is None:
            event.set()
        else:
            self._queue.put(event)
        return event

    def close(self) -> None:
        """Write all that waits, and end the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def start(self) -> None:
        """Start the thread now, and not with the first output.

        Raises:
            RuntimeError: there can be no more threads.
        """
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="governess-writer", daemon=True)
            thread.start()
            self._thread = thread

    def _put(self, item: tuple[int, Block | FileBlock | bytes]) -> None:
        self.start()
        self._queue.put(item)

    def _work(self) -> None:
        screen = self._screen
        while (item := self._queue.get()) is not None:
            if isinstance(item, threading.Event):
                self._send(2, screen.restored(at_once=True))
                item.set()
                continue
            self._do(*item)
            self._send(2, screen.restored(at_once=self._queue.empty()))

    def _do(self, target: int, data: Block | FileBlock | bytes) -> None:
        screen = self._screen
        if isinstance(data, (Block, FileBlock)):
            for descriptor, piece in data.take():
                self._send(descriptor, screen.above(descriptor, piece))
            self._count(0, 1)
        elif target in (1, 2):
            self._send(target, screen.above(target, data))
            self._count(len(data), 0)
        elif target == _OWN_LINE:
            self._send(2, screen.above(2, screen.line_end() + data))
        elif target == _END:
            screen.is_live = False
        elif target >= _BAR:
            self._send(2, screen.changed(data, target - _BAR))

    def _count(self, size: int, blocks: int) -> None:
        with self._lock:
            self._pending -= size
            self._blocks -= blocks
            is_little = self._was_much and self._pending < LITTLE
            if is_little:
                self._was_much = False
        if is_little or blocks:
            self._on_relief()

    def _send(self, descriptor: int, data: bytes) -> None:
        if descriptor in self._broken:
            return
        try:
            write_all(descriptor, data)
        except OSError as error:
            self._broken.add(descriptor)
            if descriptor == 1:
                self._on_broken(error)


_BLOCK, _OWN_LINE, _END, _BAR = 0, 3, 4, 5


class _Screen:
    """What the terminal shows last: a line that has not ended, or the bar."""

    def __init__(self) -> None:
        self.terminals = frozenset(descriptor for descriptor in (1, 2) if os.isatty(descriptor))
        self.is_live = False
        """Whether the command whose output came last goes on to write."""
        self._within_a_line: set[int] = set()
        self._bar = b""
        self._width = 0
        self._is_shown = False
        self._drawn = 0.0

    def above(self, descriptor: int, data: bytes) -> bytes:
        """Return the data with what removes the bar before it, if both are on a terminal."""
        on_terminal = descriptor in self.terminals
        if data:
            touched = self.terminals if on_terminal else frozenset({descriptor})
            self._within_a_line -= touched
            if not data.endswith(b"\n"):
                self._within_a_line |= touched
            self.is_live = True
        return self._erasure() + data if on_terminal else data

    def line_end(self) -> bytes:
        """Return what ends an unfinished line on standard error."""
        return b"\n" if 2 in self._within_a_line else b""

    def changed(self, bar: bytes, width: int) -> bytes:
        """Return what draws another bar, or removes it."""
        erasure = self._erasure()
        self._bar, self._width = bar, width
        return erasure + self.restored(at_once=True)

    def restored(self, *, at_once: bool) -> bytes:
        """Return what draws the bar again if it is hidden; within a line of a command that goes on, it stays hidden."""
        if not self._bar or self._is_shown or (not at_once and time.monotonic() - self._drawn < REDRAW):
            return b""
        start = self.line_end()
        if start and self.is_live:
            return b""
        self._within_a_line -= self.terminals | {2}
        self._is_shown = True
        self._drawn = time.monotonic()
        return start + self._bar

    def _erasure(self) -> bytes:
        if not self._is_shown:
            return b""
        self._is_shown = False
        # A terminal that has become narrower since has broken the line.
        rows = -(-self._width // max(_columns(), 1))
        return b"\r" + b"\x1b[A" * (rows - 1) + b"\x1b[J"


def _columns() -> int:
    try:
        return os.get_terminal_size(2).columns
    except OSError:
        return 80


def _encoded(text: str) -> bytes:
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace")
