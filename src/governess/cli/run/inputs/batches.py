"""Several arguments for one command: `-n`, `-N`, `-L`, `-X`, `-m`, `-s`."""

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from governess.cli.run.inputs.errors import SourceError
from governess.cli.run.inputs.records import Row
from governess.cli.run.inputs.templates import Fill

__all__ = ["Batching"]

LONGEST_COMMAND = 131_071
"""The most characters of a command, which every Linux takes."""
_ROOM_FOR_ENVIRONMENT = 4096


@dataclass(frozen=True, slots=True)
class Batching:
    """How many arguments a command gets."""

    size: int | None = None
    """The most rows of a command; None for one, or with `fills` for as many as it can take."""
    fills: bool = False
    """Whether a command gets as many as it can take (`-X`, `-m`, `--xargs`)."""
    shares: int = 1
    """Over how many commands the last of the arguments are spread, so that all slots have work."""
    longest: int | None = None
    """The most characters of a command (`-s`)."""
    fill: Fill = Fill.JOIN
    """What becomes of a word with a replacement string."""

    @property
    def is_single(self) -> bool:
        """Whether a command gets one row."""
        return self.size is None and not self.fills

    def size_of(self, rows: int | None) -> int | None:
        """Return how many commands a number of rows makes; None if that is not known."""
        if rows is None or self.fills or self.longest is not None:
            return None
        return rows if self.size is None else -(-rows // max(self.size, 1))

    def batches(self, rows: Iterable[Row], used: int, times: int) -> Iterator[Row]:
        """Yield the arguments of each command.

        Args:
            rows: the rows of arguments.
            used: how many characters the command has without them.
            times: how often the command contains them.

        Raises:
            SourceError: an argument is too long for a command.
        """
        if self.size == 0:
            yield from (() for _ in rows)
        elif self.is_single:
            yield from rows
        elif not self.fills and self.longest is None:
            iterator = iter(rows)
            while batch := tuple(itertools.islice(iterator, self.size)):
                yield tuple(itertools.chain.from_iterable(batch))
        else:
            yield from self._filled(rows, used, max(times, 1))

    def _filled(self, rows: Iterable[Row], used: int, times: int) -> Iterator[Row]:
        limit = self.longest or _longest_command()
        batch: list[Row] = []
        length = used
        for row in rows:
            cost = sum(len(argument) + 3 for argument in row) * times
            if used + cost > limit:
                raise SourceError(f"an argument of {sum(map(len, row))} characters does not fit into {limit} (see -s)")
            if batch and (length + cost > limit or len(batch) == self.size):
                yield tuple(itertools.chain.from_iterable(batch))
                batch, length = [], used
            batch.append(row)
            length += cost
        share = len(batch) if self.size is not None else -(-len(batch) // self.shares)
        for start in range(0, len(batch), max(share, 1)):
            yield tuple(itertools.chain.from_iterable(batch[start : start + share]))


def _longest_command() -> int:
    if os.name == "nt":
        return 8191
    environment = sum(len(name) + len(value) + 2 for name, value in os.environ.items())
    return max(min(LONGEST_COMMAND, os.sysconf("SC_ARG_MAX") - environment - _ROOM_FOR_ENVIRONMENT), 4096)
