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
    """The status of a copy of a service.

    Attributes:
        name: the name of the copy, such as `web.1`.
        service: the name of the service.
        state: the state of the copy.
        text: the last event, or the reason why the copy waits.
        pid: the number of the process; None without a process.
        code: the exit status of the last process, or the negative number of a signal; None if no process has ended.
        starts: the number of starts.
        failures: the number of deaths since the copy was last stable.
        seconds: seconds since the start of the process; None without a process.
        cpu: seconds of CPU time of the processes; None if unknown.
        memory: resident bytes of the processes; None if unknown.
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
        """Return the status as a dict that `json.dumps` accepts."""
        return asdict(self)


def status_of_copy(copy: Copy, blocker: str, usages: Mapping[int, TreeUsage]) -> CopyStatus:
    """Return how a copy is.

    Args:
        copy: the copy.
        blocker: what it waits for; ``""`` for nothing.
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
