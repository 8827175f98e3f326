"""What holds starts back: a delay between two, the load of the machine, too little free memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Protocol

__all__ = ["Delay", "FreeMemory", "Gate", "Load", "free_memory", "parse_load", "total_memory"]

# Seconds between two looks at the machine.
_INTERVAL = 0.25
# Seconds until a process that is being started is counted.
_SETTLE = 0.02


class Gate(Protocol):
    """Delays the starts of jobs; a gate never ends a job."""

    def pause(self, now: float, running: int) -> float:
        """Return 0 if a job may be started now, else the number of seconds until the next call.

        Args:
            now: the time in seconds of the loop's clock.
            running: the number of running jobs.
        """
        ...

    def started(self, now: float) -> None:
        """Record that a job is being started.

        Args:
            now: the time in seconds of the loop's clock.
        """
        ...


class Delay:
    """Waits for a number of seconds between two starts."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    def pause(self, now: float, running: int) -> float:
        """Return the number of seconds until the next start."""
        return max(self._next - now, 0.0)

    def started(self, now: float) -> None:
        """Begin a new delay."""
        self._next = now + self._seconds


class _Sample:
    """Asks a question about the machine now and then, and keeps the answer in between."""

    def __init__(self, is_fine: Callable[[], bool]) -> None:
        self._is_fine = is_fine
        self._until = 0.0
        self._answer = True

    def pause(self, now: float, running: int) -> float:
        """Return how many seconds to wait for the next answer."""
        if now >= self._until:
            self._answer = self._is_fine()
            self._until = now + _INTERVAL
        return 0.0 if self._answer else self._until - now

    def started(self, now: float) -> None:
        """Do nothing."""


class Load(_Sample):
    """Delays starts while `limit` or more processes are running or waiting for a processor.

    The gate counts the processes at this moment, not the average of the last minute, so a new process counts at once.
    Where the system does not report their number, the gate uses the average of the last minute.
    """

    def __init__(self, limit: float, count: Callable[[], float] | None = None) -> None:
        count = count or running_processes
        super().__init__(lambda: count() < limit)

    def started(self, now: float) -> None:
        """Ask again before the next start, when the process that is being started now is counted."""
        self._answer = False
        self._until = now + _SETTLE


class FreeMemory(_Sample):
    """Delays starts while less than `limit` bytes of memory are available."""

    def __init__(self, limit: int, available: Callable[[], int | None] | None = None) -> None:
        available = available or free_memory
        super().__init__(lambda: (found := available()) is None or found >= limit)


def parse_load(text: str, cpus: int) -> float:
    """Return the limit that is written as a number of processes, or as a percentage of the processors.

    Raises:
        ValueError: it is neither.
    """
    try:
        limit = float(text.removesuffix("%"))
    except ValueError:
        limit = -1.0
    if not 0 < limit < 1e9:
        raise ValueError(f"{text!r} is neither a number of processes above 0 nor a percentage of the processors")
    return limit * cpus / 100 if text.endswith("%") else limit


def running_processes() -> float:
    """Return how many processes are running or waiting for a processor, without this one."""
    try:
        with open("/proc/loadavg", "rb") as file:
            return max(int(file.read().split()[3].partition(b"/")[0]) - 1, 0)
    except (OSError, ValueError, IndexError):
        return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def free_memory() -> int | None:
    """Return how many bytes of memory can be had without swapping; None if the system does not tell."""
    return _meminfo(b"MemAvailable:")


def total_memory() -> int | None:
    """Return how many bytes of memory there are; None if the system does not tell."""
    if (total := _meminfo(b"MemTotal:")) is not None:
        return total
    if sys.platform == "win32":
        return None
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def _meminfo(key: bytes) -> int | None:
    try:
        with open("/proc/meminfo", "rb") as file:
            for line in file:
                if line.startswith(key):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None
