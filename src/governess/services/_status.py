"""How a copy of a service is, for those who look."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from governess._programs.usage import TreeUsage
from governess.services._copy import Copy
from governess.services._states import State

__all__ = ["CopyStatus", "status_of_copy"]


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


def status_of_copy(copy: Copy, blocker: str, usages: Mapping[int, TreeUsage]) -> CopyStatus:
    """Return how a copy is.

    Args:
        copy: the copy.
        blocker: what it waits for; "" for nothing.
        usages: what the processes use, by the number of the first one of each copy.
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
