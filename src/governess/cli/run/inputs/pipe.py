"""Standard input in blocks of whole records, one for each command: `--pipe`."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from governess.cli.run.inputs.errors import SourceError
from governess.cli.run.inputs.records import open_input, read_chunks

__all__ = ["Piping"]

LONGEST = 2**30
"""The most bytes of one record."""


@dataclass(frozen=True, slots=True)
class Piping:
    """How input is cut into blocks."""

    block: int = 2**20
    """The size of a block in bytes; it is cut after its last whole record."""
    records: int | None = None
    """How many records a block has; None for as many as the size allows."""
    lines: int = 1
    """How many lines are a record, where lines are records."""
    start: bytes = b""
    """With what a record starts."""
    end: bytes = b"\n"
    """With what a record ends."""
    removes_separators: bool = False
    """Whether the starts and ends are taken out of the blocks."""
    header: bool = False
    """Whether each block begins with the first line of the input."""

    def blocks(self, path: str) -> Iterator[bytes]:
        """Return the blocks of a file (`-` is standard input), which are read when they are needed.

        Raises:
            SourceError: the file cannot be opened; later: it cannot be read, or a record is far too long.
        """
        if not self._separator and self.records is not None:
            raise SourceError("-N counts records, so --pipe needs a --recend or a --recstart that is not empty")
        return self._blocks(read_chunks(open_input(path), path), bytearray())

    @property
    def _separator(self) -> bytes:
        return self.end + self.start

    def _blocks(self, chunks: Iterator[bytes], buffer: bytearray) -> Iterator[bytes]:
        header = _take_line(chunks, buffer) if self.header else b""
        cut = self._by_size if self.records is None else self._by_number
        for block in cut(itertools.chain((b"",), chunks), buffer):  # the buffer may hold more than the header
            if self.removes_separators and self._separator:
                block = block.replace(self._separator, b"").removeprefix(self.start).removesuffix(self.end)
            yield header + block

    def _by_size(self, chunks: Iterator[bytes], buffer: bytearray) -> Iterator[bytes]:
        for chunk in chunks:
            buffer += chunk
            while len(buffer) >= self.block and (cut := self._end_near(buffer, self.block)):
                yield _take(buffer, cut)
            if len(buffer) > max(LONGEST, self.block):
                raise SourceError(f"no record ends within {len(buffer)} bytes of input: is --recend right?")
        if self.lines > 1 and (cut := self._end_near(buffer, len(buffer))):
            yield _take(buffer, cut)
        if buffer:
            yield bytes(buffer)

    def _end_near(self, buffer: bytearray, size: int) -> int:
        """Return where the last record within the size ends, or else the first one; 0 if none ends."""
        if self.lines > 1:
            count = buffer.count(b"\n", 0, size) // self.lines * self.lines
            return _end_of_line(buffer, count or self.lines)
        if not self._separator:
            return size
        at = buffer.rfind(self._separator, self._first, size)
        if at < 0:
            at = buffer.find(self._separator, self._first)
        return at + len(self.end) if at >= 0 else 0

    @property
    def _first(self) -> int:
        """Where in a buffer the first separator may be: a start at its very beginning separates nothing."""
        return 0 if self.end else 1

    def _by_number(self, chunks: Iterator[bytes], buffer: bytearray) -> Iterator[bytes]:
        wanted = (self.records or 1) * self.lines
        seen, at = 0, self._first
        for chunk in chunks:
            buffer += chunk
            while (found := buffer.find(self._separator, at)) >= 0:
                seen += 1
                at = found + max(len(self.end), 1)
                if seen == wanted:
                    yield _take(buffer, found + len(self.end))
                    seen, at = 0, self._first
            at = max(at, len(buffer) - len(self._separator) + 1)
        if buffer:
            yield bytes(buffer)


def _take(buffer: bytearray, size: int) -> bytes:
    taken = bytes(buffer[:size])
    del buffer[:size]
    return taken


def _take_line(chunks: Iterator[bytes], buffer: bytearray) -> bytes:
    while b"\n" not in buffer and (chunk := next(chunks, b"")):
        buffer += chunk
    return _take(buffer, buffer.find(b"\n") + 1 or len(buffer))


def _end_of_line(buffer: bytearray, number: int) -> int:
    """Return the position after the line with this number, from 1; 0 if there is no such line."""
    at = 0
    for _ in range(number):
        at = buffer.find(b"\n", at) + 1
        if not at:
            return 0
    return at
