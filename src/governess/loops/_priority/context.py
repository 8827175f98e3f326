"""The priority of the current context: `with priority(-5):`."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Iterator
from contextvars import ContextVar
from typing import SupportsIndex

__all__ = ["checked", "current_priority", "priority"]

# Those of nice(1).
MOST_URGENT, LEAST_URGENT = -20, 19

current_priority: ContextVar[int] = ContextVar("governess.priority", default=0)


@contextlib.contextmanager
def priority(level: SupportsIndex) -> Iterator[None]:
    """Give a priority to callbacks and tasks made in the `with` block, and to this task until it leaves it.

    It belongs to the `contextvars` context, so tasks inherit it from who makes them. Only `prioritized` loops heed it.

    Args:
        level: from -20, the most urgent, to 19, as for nice(1); 0 is that of all who were given none.

    Raises:
        TypeError: `level` is no integer.
        ValueError: it is not in this range.
    """
    token = current_priority.set(checked(level))
    try:
        yield
    finally:
        current_priority.reset(token)


def checked(level: SupportsIndex) -> int:
    """Return the priority as an int; raise an error if it is not a priority."""
    try:
        number = operator.index(level)
    except TypeError:
        raise TypeError(f"a priority is an integer, not {level!r}") from None
    if not MOST_URGENT <= number <= LEAST_URGENT:
        raise ValueError(f"a priority is from {MOST_URGENT}, the most urgent, to {LEAST_URGENT}, not {number}")
    return number
