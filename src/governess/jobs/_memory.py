"""What running jobs use of the memory, with all that they have started."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Container, Iterable

from governess.children._procfs import ProcessStat, process_numbers, read_stat
from governess.jobs._attempt import Attempt

__all__ = ["MemoryWatch", "tree_memory"]

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
        for pid, memory in tree_memory(by_pid).items():
            attempt = by_pid[pid]
            if attempt.options.memory is not None and memory > attempt.options.memory:
                self._on_excess(attempt)


def tree_memory(leaders: Iterable[int]) -> dict[int, int]:
    """Return the resident bytes of each leader with its descendants, and with those in its group and its session.

    Memory that processes share is counted for each of them.
    """
    stats = {number: stat for number in process_numbers() if (stat := read_stat(number)) is not None}
    sums = dict.fromkeys(leaders, 0)
    for number, stat in stats.items():
        if stat.is_alive and (leader := _leader(number, stats, sums)) is not None:
            sums[leader] += stat.resident_pages * _PAGE
    return sums


def _leader(pid: int, stats: dict[int, ProcessStat], leaders: Container[int]) -> int | None:
    """Return the leader to which a process belongs; None if it belongs to none."""
    seen = 0
    while (stat := stats.get(pid)) is not None and seen < _DEEPEST:
        for number in (pid, stat.group, stat.session):
            if number in leaders:
                return number
        pid = stat.parent
        seen += 1
    return None


_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
# The processes are not read at one instant, so that their parents might seem to go round in a circle.
_DEEPEST = 1000
