"""A child that exits when it is told to, and no sooner."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

__all__ = ["HELD", "holding"]

#: Exits with 7 at the end of its standard input.
HELD = ["sh", "-c", "read line; exit 7"]


@contextlib.contextmanager
def holding() -> Iterator[tuple[int, Callable[[], None]]]:
    """Give what is to be the child's standard input, and what lets it exit."""
    source, sink = os.pipe()
    with open(source, "rb", 0) as stdin, open(sink, "wb", 0) as hold:
        yield stdin.fileno(), hold.close
