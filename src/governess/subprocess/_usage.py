"""What a child and its group use while they run, read from /proc."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

from governess.children._procfs import process_numbers, read_stat

__all__ = ["Usage", "UsageWatch", "usage_of"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a child and those in its group use.

    Attributes:
        cpu: seconds of CPU time, of those who run and of those they have waited for.
        memory: resident bytes of those who run; what they share is counted for each.
        processes: how many run.
    """

    cpu: float
    memory: int
    processes: int


def usage_of(pid: int) -> Usage:
    """Return what the process uses, with those in the group and in the session that it leads or has led.

    Raises:
        NotImplementedError: there is no /proc as Linux has it.
    """
    if not os.path.exists("/proc/self/stat"):
        raise NotImplementedError("what a child uses is read from Linux's /proc, which is not here")
    members = [found for number in process_numbers() if (found := _usage(number, pid))]
    return Usage(
        cpu=sum(cpu for cpu, _, _ in members),
        memory=sum(memory for _, memory, _ in members),
        processes=sum(runs for _, _, runs in members),
    )


class UsageWatch:
    """Checks the usage of a child at intervals, until it exceeds a limit or no process is left."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        measure: Callable[[], Usage],
        is_too_much: Callable[[Usage], bool],
        callback: Callable[[Usage], object],
        interval: float,
    ) -> None:
        """Call `callback` once, if there is any reason."""
        self._loop = loop
        self._measure = measure
        self._is_too_much = is_too_much
        self._callback = callback
        self._interval = interval
        self._timer: asyncio.Handle | None = loop.call_soon(self._look)

    def cancel(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        usage = self._measure()
        if self._is_too_much(usage):
            self._callback(usage)
        elif usage.processes:
            self._timer = self._loop.call_later(self._interval, self._look)


def _usage(pid: int, leader: int) -> tuple[float, int, int] | None:
    """Return the CPU seconds, resident bytes and 1 of a process that belongs to the leader; None for any other."""
    stat = read_stat(pid)
    if stat is None or leader not in (pid, stat.group, stat.session):
        return None
    memory = stat.resident_pages * os.sysconf("SC_PAGE_SIZE") if stat.is_alive else 0
    return stat.cpu_ticks / os.sysconf("SC_CLK_TCK"), memory, int(stat.is_alive)
