"""What running jobs use of the memory, with all that they have started."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable

from governess._programs.usage import usages_of_trees
from governess.jobs._attempt import Attempt

__all__ = ["MemoryWatch"]

# Seconds between two looks.
_INTERVAL = 0.1


class MemoryWatch:
    """Looks now and then whether a job uses more memory than it has declared (Linux).

    Args:
        loop: the loop in which it looks.
        on_excess: called with the try whose processes use more; more than once if it does not end.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_excess: Callable[[Attempt], None]) -> None:
        self._loop = loop
        self._on_excess = on_excess
        self._attempts: set[Attempt] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._can_look = sys.platform == "linux" and os.path.exists("/proc/self/stat")

    def add(self, attempt: Attempt) -> None:
        """Look after one more try."""
        self._attempts.add(attempt)
        if self._timer is None and self._can_look:
            self._timer = self._loop.call_later(_INTERVAL, self._look)

    def discard(self, attempt: Attempt) -> None:
        """Look after it no longer."""
        self._attempts.discard(attempt)

    def cancel(self) -> None:
        """Stop looking."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = self._loop.call_later(_INTERVAL, self._look) if self._attempts else None
        by_pid = {attempt.running.pid: attempt for attempt in self._attempts if attempt.running and attempt.running.pid}
        for pid, usage in usages_of_trees(by_pid).items():
            attempt = by_pid[pid]
            if attempt.options.memory is not None and usage.memory > attempt.options.memory:
                self._on_excess(attempt)
