"""Callbacks that are ready, in the order in which they are to run."""

from __future__ import annotations

import sys
from collections import deque

from governess.loops.handles import ReadyHandle

__all__ = ["STEP", "Ready"]

# What one step of priority is worth: so many callbacks that have run meanwhile.
STEP = 100


class Ready:
    """The callbacks that are ready: by priority, inside one first come first served.

    A callback is due at `ran + STEP * priority`, `ran` being how many have run before it came, and the one with the
    least due is next. So nothing that comes after STEP * d more have run can overtake it, d being the distance between
    the two priorities.

    Foreign threads may add to it, and so may a signal handler in the middle of any method here: what they touch they
    touch by one call of a dict's or a deque's own method.
    """

    __slots__ = ("_least_urgent_first", "levels", "ran")

    def __init__(self) -> None:
        self.levels: dict[int, deque[ReadyHandle]] = {0: deque()}
        self.ran = 0
        self._least_urgent_first = tuple(self.levels.values())

    def add(self, handle: ReadyHandle, priority: int) -> None:
        """Let it wait for its turn."""
        handle.due = self.ran + STEP * priority
        try:
            level = self.levels[priority]
        except KeyError:
            level = self.levels.setdefault(priority, deque())
        level.append(handle)

    def take(self) -> ReadyHandle | None:
        """Take the one that is next; None if none is left that is not cancelled."""
        while (level := self._next_level()) is not None:
            handle = level.popleft()
            handle.due = None
            if handle.callback is not None:
                self.ran += 1
                return handle
        return None

    def _next_level(self) -> deque[ReadyHandle] | None:
        levels = self._in_order()
        if len(levels) == 1:
            return levels[0] or None
        least, next_level = sys.maxsize, None
        for level in levels:
            # Of two that are due together, the first here is the one that has waited longer.
            if level and (due := level[0].due) < least:  # type: ignore[operator]
                least, next_level = due, level  # type: ignore[assignment]
        return next_level

    def _in_order(self) -> tuple[deque[ReadyHandle], ...]:
        if len(self._least_urgent_first) != len(self.levels):
            self._least_urgent_first = tuple(self.levels[it] for it in sorted(self.levels, reverse=True))
        return self._least_urgent_first

    def __len__(self) -> int:
        return sum(map(len, self._in_order()))

    def __bool__(self) -> bool:
        return any(self._in_order())

    def clear(self) -> None:
        """Forget them all."""
        for level in self._in_order():
            level.clear()
