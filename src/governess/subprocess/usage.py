"""What a child and its group use while they run, read from /proc."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

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
    members = [found for name in os.listdir("/proc") if name.isdigit() and (found := _usage(int(name), pid))]
    return Usage(
        cpu=sum(cpu for cpu, _, _ in members),
        memory=sum(memory for _, memory, _ in members),
        processes=sum(runs for _, _, runs in members),
    )


class UsageWatch:
    """Looks now and then at what a child uses, until that is more than it should be, or nobody is left."""

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
        """Look no more."""
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
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name stands in parentheses and may hold anything: proc_pid_stat(5).
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    group, session = int(fields[2]), int(fields[3])
    if leader not in (pid, group, session):
        return None
    ticks = sum(map(int, fields[11:15]))  # its own in user and system mode, and those of children it has waited for
    runs = fields[0] not in b"ZX"
    return ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE") if runs else 0, int(runs)
