"""How a copy of a service is, for those who look."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from governess.children._procfs import process_numbers, read_stat
from governess.services._copy import Copy
from governess.services._states import State

__all__ = ["CopyStatus", "status_of_copy", "usages_of"]


@dataclass(frozen=True, slots=True)
class CopyStatus:
    """How a copy of a service is.

    Attributes:
        name: its name, such as `web.1`.
        service: the name of the service.
        state: its state.
        text: what has happened last, or what it waits for.
        pid: the number of its process; None without one.
        code: how the last process ended: an exit status, or minus the number of a signal; None if none has ended.
        starts: how often it was started.
        failures: how often it has died since it was stable.
        seconds: for how long it has run; None without a process.
        cpu: seconds of CPU time of its processes; None where that is not known.
        memory: resident bytes of its processes; None where that is not known.
    """

    name: str
    service: str
    state: State
    text: str
    pid: int | None
    code: int | None
    starts: int
    failures: int
    seconds: float | None
    cpu: float | None
    memory: int | None

    def as_json(self) -> dict[str, Any]:
        """Return it as what JSON knows."""
        return asdict(self)


def usages_of(pids: Iterable[int | None]) -> dict[int, tuple[float, int]]:
    """Return the seconds of CPU time and the resident bytes of the sessions that processes lead; none without /proc."""
    leaders = set(pids)
    usages: dict[int, tuple[float, int]] = {}
    try:
        for number in process_numbers():
            stat = read_stat(number)
            if stat is not None and stat.session in leaders:
                cpu, memory = usages.get(stat.session, (0.0, 0))
                usages[stat.session] = cpu + stat.cpu_ticks / _TICKS, memory + stat.resident_pages * _PAGE
    except OSError:
        return {}
    return usages


_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def status_of_copy(copy: Copy, blocker: str, usages: Mapping[int, tuple[float, int]]) -> CopyStatus:
    """Return how a copy is.

    Args:
        copy: the copy.
        blocker: what it waits for; "" for nothing.
        usages: what `usages_of` has found.
    """
    pid = copy.pid
    cpu, memory = (None, None) if pid is None else usages.get(pid, (None, None))
    return CopyStatus(
        copy.name,
        copy.service.name,
        copy.state,
        f"waits for {blocker}" if copy.state is State.WAITING and blocker else copy.text,
        pid,
        copy.code,
        copy.starts,
        copy.deaths,
        None if pid is None else asyncio.get_running_loop().time() - copy.started,
        cpu,
        memory,
    )
