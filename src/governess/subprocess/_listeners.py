"""Listeners to the output of a child, beside its reader: a copy to a file, a callback for each line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from governess.subprocess._lines import Line, LineSplitter, check_encoding

__all__ = ["BinaryFile", "LineListener", "Listener", "listeners_of"]

LineListener = Callable[[Line[str]], object]


class BinaryFile(Protocol):
    """What bytes can be written to."""

    def write(self, data: bytes, /) -> object:
        """Write the data."""
        ...


class Listener(Protocol):
    """A listener to the output of a child."""

    def feed(self, fd: int, data: bytes) -> None:
        """Take what the child has written to its descriptor `fd`, 1 or 2; no data at its end."""
        ...


def listeners_of(
    tee: BinaryFile | None,
    on_line: LineListener | Mapping[str | re.Pattern[str], LineListener] | None,
    encoding: str | None = None,
    errors: str | None = None,
) -> list[Listener]:
    """Return the listeners.

    Raises:
        ValueError: lines cannot be found in that encoding.
        re.error: a pattern is none.
    """
    listeners: list[Listener] = [] if tee is None else [_Copy(tee)]
    if on_line is not None:
        listeners.append(_Lines(on_line, encoding or "utf-8", errors or "replace"))
    return listeners


class _Copy:
    def __init__(self, file: BinaryFile) -> None:
        self._file = file
        self._flush: Callable[[], Any] = getattr(file, "flush", lambda: None)

    def feed(self, fd: int, data: bytes) -> None:
        if data:
            self._file.write(data)
            self._flush()


class _Lines:
    def __init__(
        self, on_line: LineListener | Mapping[str | re.Pattern[str], LineListener], encoding: str, errors: str
    ) -> None:
        check_encoding(encoding)
        listeners = on_line if isinstance(on_line, Mapping) else {"": on_line}
        self._listeners = [(re.compile(pattern), listener) for pattern, listener in listeners.items()]
        self._encoding = encoding
        self._errors = errors
        self._splitters = {1: LineSplitter(), 2: LineSplitter()}

    def feed(self, fd: int, data: bytes) -> None:
        splitter = self._splitters[fd]
        stream: Literal["stdout", "stderr"] = "stdout" if fd == 1 else "stderr"
        for line in splitter.feed(data) if data else splitter.flush():
            self._tell(Line(stream, line.decode(self._encoding, self._errors)))

    def _tell(self, line: Line[str]) -> None:
        for pattern, listener in self._listeners:
            if pattern.search(line.text):
                listener(line)
