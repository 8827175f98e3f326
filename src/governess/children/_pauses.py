"""Pauses between two looks at something that nobody tells of."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

__all__ = ["pauses"]


def pauses(first: float, last: float, timeout: float = math.inf) -> Iterator[float]:
    """Give how many seconds to sleep, each time twice as many, up to `last`, until `timeout` seconds have gone by."""
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        yield min(first, left)
        first = min(2 * first, last)
