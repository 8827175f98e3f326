"""A queue in which the most urgent is first, and nothing waits for ever."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

__all__ = ["AGING_STEP", "WaitQueue"]

# A waiting task becomes more urgent by one level after this many tasks have started.
AGING_STEP = 100


class _Waiting(Protocol):
    level: int
    due: int


W = TypeVar("W", bound=_Waiting)


class WaitQueue(Generic[W]):
    """Queued items by their level and the time of their arrival, as in the ready queue of a prioritized loop."""

    __slots__ = ("_levels",)

    def __init__(self) -> None:
        self._levels: dict[int, OrderedDict[W, None]] = {}  # those that are not empty

    def add(self, waiting: W) -> None:
        """Add one to the end of its level."""
        level = self._levels.get(waiting.level)
        if level is None:
            level = self._levels[waiting.level] = OrderedDict()  # whose first is found at once, after many were removed
        level[waiting] = None

    def discard(self, waiting: W) -> None:
        """Remove one, if it is there."""
        level = self._levels.get(waiting.level)
        if level is not None:
            level.pop(waiting, None)
            if not level:
                del self._levels[waiting.level]

    def first(self) -> W:
        """Return the one that is next; there must be one."""
        firsts = [next(iter(level)) for level in self._levels.values()]
        return firsts[0] if len(firsts) == 1 else min(firsts, key=_place)

    def __iter__(self) -> Iterator[W]:
        for level in self._levels.values():
            yield from level

    def __len__(self) -> int:
        return sum(map(len, self._levels.values()))

    def __bool__(self) -> bool:
        return bool(self._levels)


def _place(waiting: _Waiting) -> tuple[int, int]:
    # Of two that are due together, the less urgent one has waited longer.
    return waiting.due + AGING_STEP * waiting.level, -waiting.level
