"""What the services write: made into whole lines in the loop, and written by a thread, which a disk may block."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from governess.services._events import EventLog, ServiceEvent
from governess.services._logfile import LogFile
from governess.services._service import Log
from governess.transports._write_buffer import write_all

logger = logging.getLogger("governess")

__all__ = ["LineJoiner", "OnOutput", "OutputWriter", "write_to_stdout"]

OnOutput = Callable[[str, bytes], object]
"""Is called with the name of a copy and whole lines that it has written, in a thread of its own."""

# A longer line is passed on in parts, each of which becomes a line.
_LONGEST_LINE = 1 << 20


class LineJoiner:
    """Takes bytes as they come, and gives whole lines in one piece."""

    def __init__(self) -> None:
        """Begin with an empty line."""
        self._begun = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Return the lines that this data completes; no data is the end, and completes the last line."""
        end = data.rfind(b"\n") + 1
        if not data or (not end and len(self._begun) + len(data) > _LONGEST_LINE):
            self._begun += data
            lines = bytes(self._begun) + b"\n" if self._begun else b""
            self._begun.clear()
            return lines
        if not end:
            self._begun += data
            return b""
        lines = bytes(self._begun) + data[:end] if self._begun else data[:end]
        self._begun[:] = data[end:]
        return lines


class RecentOutput:
    """The last lines of each copy, for those who ask for its log."""

    _KEPT = 1 << 16  # bytes of each

    def __init__(self) -> None:
        """Start with nothing."""
        self._lines: dict[str, deque[bytes]] = {}
        self._sizes: dict[str, int] = {}

    def add(self, name: str, lines: bytes) -> None:
        """Keep lines that a copy has written, and forget older ones."""
        self._sizes[name] = self.size(name) + len(lines)
        kept = self._lines.setdefault(name, deque())
        kept.append(lines[-self._KEPT :])
        size = sum(map(len, kept))
        while size - len(kept[0]) >= self._KEPT:
            size -= len(kept.popleft())

    def size(self, name: str) -> int:
        """Return how many bytes a copy has written, those that are forgotten included."""
        return self._sizes.get(name, 0)

    def of(self, name: str) -> bytes:
        """Return the last lines, about 64 KB of them, that a copy has written."""
        return b"".join(self._lines.get(name, ()))


class _Item(NamedTuple):
    name: str
    lines: bytes
    log: Log | None


class OutputWriter:
    """Writes lines to the log files, and passes them on, in a thread.

    Attributes:
        is_full: whether so much waits to be written that nobody should give more.
        recent: what was given lately.
    """

    _LIMIT = 1 << 20

    def __init__(self, on_output: OnOutput, events: EventLog) -> None:
        """Start nothing yet.

        Args:
            on_output: gets the lines.
            events: gets an event, in the loop, when a log file cannot be written, and when it can be again.
        """
        self._loop = asyncio.get_running_loop()
        self._on_output = on_output
        self._events = events
        self.recent = RecentOutput()
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._pending = 0
        self._files: dict[str, LogFile] = {}
        self._thread: threading.Thread | None = None
        self._waiting: list[Callable[[], object]] = []
        self.is_full = False

    def write(self, name: str, lines: bytes, log: Log | None) -> None:
        """Write whole lines of a copy to its log file, if there is one, and pass them on."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="governess-output", daemon=True)
            self._thread.start()
        with self._lock:
            self._pending += len(lines)
            self.is_full = self.is_full or self._pending > self._LIMIT
        self.recent.add(name, lines)
        self._queue.put(_Item(name, lines, log))

    def when_there_is_room(self, callback: Callable[[], object]) -> None:
        """Call back once, in the loop, when it is not full any more."""
        self._waiting.append(callback)
        if not self.is_full:
            self._relieve()

    async def close(self, timeout: float) -> None:
        """Write what is left, for at most `timeout` seconds, and end the thread."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._queue.put(None)
        deadline = self._loop.time() + timeout
        while thread.is_alive() and self._loop.time() < deadline:
            await asyncio.sleep(0.005)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if item.log is not None:
                self._write_file(item.log, item.lines)
            try:
                self._on_output(item.name, item.lines)
            except Exception:  # the thread has to go on for the other services
                logger.exception("%r failed with the output of %s", self._on_output, item.name)
            self._written(len(item.lines))
        for file in self._files.values():
            file.close()

    def _write_file(self, log: Log, lines: bytes) -> None:
        file = self._files.get(log.file)
        if file is None:
            file = self._files[log.file] = LogFile(log.file)
        before = file.dropped
        error = file.write(lines, log.size, log.keep)
        if bool(before) != bool(error):
            self._call(self._log_trouble, log.file, error, before)

    def _log_trouble(self, path: str, error: OSError | None, dropped: int) -> None:
        if error is not None:
            text = f"cannot write {path}: {error.strerror}; its lines are dropped until it can be written"
        else:
            text = f"{path} is written again; {dropped} bytes were dropped"
        self._events.add(ServiceEvent("", None, text))

    def _written(self, size: int) -> None:
        with self._lock:
            self._pending -= size
            if not self.is_full or self._pending > self._LIMIT // 2:
                return
            self.is_full = False
        self._call(self._relieve)

    def _call(self, function: Callable[..., object], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(function, *args)

    def _relieve(self) -> None:
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()


def write_to_stdout(name: str, lines: bytes) -> None:
    """Write lines to the standard output of this process; drop them if nobody reads it any more."""
    with contextlib.suppress(OSError):
        write_all(1, lines)
