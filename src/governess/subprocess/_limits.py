"""Limits for the resources that a child may use, and the usage of a child while it runs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from governess.children._procfs import leaders_of, process_numbers, read_stat

if sys.platform != "win32":
    import resource

__all__ = ["Limits", "Usage", "UsageWatch", "check_proc", "child_options", "usage_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a child; None means the limit of this process.

    The limits take effect before the program's first instruction. They hold separately for the child and for each
    process that the child starts, except `processes`.

    Attributes:
        memory: bytes of address space (RLIMIT_AS); a process cannot allocate more.
        cpu: whole seconds of processor time (RLIMIT_CPU). A process that has used them gets SIGXCPU, and SIGKILL one
            second later.
        open_files: one more than the highest number of a descriptor (RLIMIT_NOFILE).
        processes: how many processes and threads the user of the child may have in total (RLIMIT_NPROC). The limit has
            no effect on root.
        nice: a number that is added to the niceness of this process. A number below 0 needs a privilege.

    Raises:
        ValueError: a limit is not an integer above 0, or `nice` is not an integer.
    """

    memory: int | None = None
    cpu: int | None = None
    open_files: int | None = None
    processes: int | None = None
    nice: int = 0

    def __post_init__(self) -> None:
        for name in ("memory", "cpu", "open_files", "processes"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not 0 < value <= _LARGEST):
                raise ValueError(f"the limit {name} is a whole number above 0, not {value!r}")
        if type(self.nice) is not int:
            raise ValueError(f"nice is a whole number, not {self.nice!r}")

    def rlimits(self) -> dict[int, tuple[int, int]]:
        """Return the limits as a dict from ``resource.RLIMIT_…`` to (soft limit, hard limit)."""
        wishes = {
            resource.RLIMIT_AS: self.memory,
            resource.RLIMIT_NOFILE: self.open_files,
            resource.RLIMIT_NPROC: self.processes,
        }
        limits = {number: (wish, wish) for number, wish in wishes.items() if wish is not None}
        if self.cpu is not None:
            limits[resource.RLIMIT_CPU] = self.cpu, _below_hard_limit(self.cpu + 1)
        return limits


_LARGEST = (1 << 63) - 1  # which Python's resource takes


def _below_hard_limit(seconds: int) -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    return seconds if hard == resource.RLIM_INFINITY else min(seconds, hard)


def child_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with `limits` in the words of the native spawner, and `die_with_parent` checked.

    Raises:
        TypeError: one of them is given in both ways, or `limits` is no `Limits`.
        NotImplementedError: this is Windows, which has neither.
    """
    if sys.platform == "win32" and (options.get("limits") is not None or options.get("die_with_parent")):
        raise NotImplementedError("limits and die_with_parent do not exist on Windows")
    options = dict(options)
    limits = options.pop("limits", None)
    own: dict[str, Any] = {}
    if limits is not None:
        if not isinstance(limits, Limits):
            raise TypeError(f"limits must be a governess.subprocess.Limits, not {limits!r}")
        own = {"rlimits": limits.rlimits(), "nice": limits.nice}
    own = {name: value for name, value in own.items() if value}
    chosen = own.keys() | ({"parent_death_signal"} if options.get("die_with_parent") else set())
    if twice := sorted(chosen & options.keys()):
        raise TypeError(f"{', '.join(twice)}: given twice, once by limits or die_with_parent")
    return options | own


@dataclass(frozen=True, slots=True)
class Usage:
    """The resources that a child uses at one moment, together with the processes of its group and its session.

    Attributes:
        cpu: seconds of processor time, of these processes and of the children that they have waited for.
        memory: bytes of resident memory; shared memory counts once for each process.
        processes: the number of running processes.
    """

    cpu: float
    memory: int
    processes: int


def usage_of(pid: int) -> Usage:
    """Return the usage of the process, and of the group and the session that it leads or has led.

    Raises:
        NotImplementedError: this system has no /proc like that of Linux.
    """
    check_proc()
    members = [found for number in process_numbers() if (found := _usage(number, pid))]
    return Usage(
        cpu=sum(cpu for cpu, _, _ in members),
        memory=sum(memory for _, memory, _ in members),
        processes=sum(runs for _, _, runs in members),
    )


def check_proc() -> None:
    """Check that the usage of a child can be measured.

    Raises:
        NotImplementedError: this system has no /proc like that of Linux.
    """
    if sys.platform != "linux" or not os.path.exists("/proc/self/stat"):
        raise NotImplementedError("what a child uses is read from Linux's /proc, which is not here")


class UsageWatch:
    """The checks that `Process.on_usage` has begun; they end when a limit is exceeded or no process is left."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        measure: Callable[[], Usage],
        is_too_much: Callable[[Usage], bool],
        callback: Callable[[Usage], object],
        interval: float,
    ) -> None:
        """Begin the checks; `callback` is called once, as soon as `is_too_much` returns true."""
        self._loop = loop
        self._measure = measure
        self._is_too_much = is_too_much
        self._callback = callback
        self._interval = interval
        self._timer: asyncio.Handle | None = loop.call_soon(self._look)

    def cancel(self) -> None:
        """End the checks; the callback is not called any more."""
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
    if leader not in (pid, *leaders_of(pid)):
        return None
    stat = read_stat(pid)
    if stat is None or leader not in (pid, stat.group, stat.session):
        return None
    memory = stat.resident_pages * os.sysconf("SC_PAGE_SIZE") if stat.is_alive else 0
    return stat.cpu_ticks / os.sysconf("SC_CLK_TCK"), memory, int(stat.is_alive)
