"""The median of durations that come one by one."""

from __future__ import annotations

import heapq

__all__ = ["Median"]


class Median:
    """The median of the values so far, in two heaps."""

    def __init__(self) -> None:
        self._low: list[float] = []  # negated: the largest first
        self._high: list[float] = []

    def __len__(self) -> int:
        return len(self._low) + len(self._high)

    def add(self, value: float) -> None:
        """Add a value."""
        heapq.heappush(self._high, -heapq.heappushpop(self._low, -value))
        if len(self._high) > len(self._low):
            heapq.heappush(self._low, -heapq.heappop(self._high))

    @property
    def value(self) -> float:
        """The median, the lower one of two; there is at least one value."""
        return -self._low[0]
