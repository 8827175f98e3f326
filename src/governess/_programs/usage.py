"""What processes use of the processors and the memory, with all that they have started."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple

from governess.children._procfs import ProcessStat, process_numbers, read_stat

__all__ = ["TreeUsage", "usages_of_trees"]


class TreeUsage(NamedTuple):
    """What processes use.

    Attributes:
        cpu: seconds of CPU time, with that of children they have waited for.
        memory: resident bytes; memory that processes share is counted for each of them.
    """

    cpu: float
    memory: int


def usages_of_trees(leaders: Iterable[int]) -> dict[int, TreeUsage]:
    """Return what each leader uses with its descendants, and with those in its group and its session.

    Where there is no /proc, psutil tells it; without both nothing is returned.
    """
    wanted = frozenset(leaders)
    try:
        stats = {number: stat for number in process_numbers() if (stat := read_stat(number)) is not None}
    except OSError:
        stats = _stats_by_psutil()
    sums: dict[int, TreeUsage] = {}
    for number, stat in stats.items():
        if stat.is_alive and (leader := _leader(number, stats, wanted)) is not None:
            cpu, memory = sums.get(leader, (0.0, 0))
            sums[leader] = TreeUsage(cpu + stat.cpu_ticks / _TICKS, memory + stat.resident_pages * _PAGE)
    return sums


def _stats_by_psutil() -> dict[int, ProcessStat]:
    """Return the processes of this user and others that the system shows; none without psutil."""
    try:
        import psutil
    except ImportError:
        return {}
    stats: dict[int, ProcessStat] = {}
    for process in psutil.process_iter():
        try:
            with process.oneshot():
                status = process.status()
                cpu, resident, parent = process.cpu_times(), process.memory_info().rss, process.ppid()
            group, session = os.getpgid(process.pid), os.getsid(process.pid)
        except (psutil.Error, OSError):  # it has ended, or is another user's
            continue
        ticks = int((cpu.user + cpu.system) * _TICKS)
        started = int(process.create_time())
        is_zombie, is_stopped = status == psutil.STATUS_ZOMBIE, status == psutil.STATUS_STOPPED
        stats[process.pid] = ProcessStat(
            not is_zombie, is_zombie, is_stopped, group, session, ticks, started, resident // _PAGE, parent
        )
    return stats


def _leader(pid: int, stats: Mapping[int, ProcessStat], leaders: Container[int]) -> int | None:
    """Return the leader to which a process belongs; None if it belongs to none."""
    seen = 0
    while (stat := stats.get(pid)) is not None and seen < _DEEPEST:
        for number in (pid, stat.group, stat.session):
            if number in leaders:
                return number
        pid = stat.parent
        seen += 1
    return None


_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
# The processes are not read at one instant, so that their parents might seem to go round in a circle.
_DEEPEST = 1000
