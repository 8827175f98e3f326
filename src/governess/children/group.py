"""Ending a child together with the process group that it leads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time

from governess.children.child import Child

__all__ = ["end_group"]


async def end_group(child: Child, *, grace: float = 5.0) -> None:
    """Send TERM to the process group that the child leads, and KILL to what is left of it after a grace.

    The child is reaped at the end only, dead as it may be, so that the number of its group cannot pass to strangers
    meanwhile. When cancelled, it sends the KILL at once.

    Args:
        child: the leader of the group (started with ``process_group=0`` or ``start_new_session=True``).
        grace: how many seconds the group has to end by itself.
    """
    with child.held():
        try:
            _signal(child, signal.SIGTERM)
            await _group_is_empty(child.pid, grace)
        finally:
            _signal(child, signal.SIGKILL)


def _signal(child: Child, number: int) -> None:
    # PermissionError is how macOS says that there are only zombies in the group.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        child.signal_group(number)


async def _group_is_empty(group: int, timeout: float) -> None:
    now = time.monotonic()
    deadline = now + timeout
    pause = 0.005
    while _group_lives(group, now) and (left := deadline - time.monotonic()) > 0:
        await asyncio.sleep(min(pause, left))
        pause = min(2 * pause, 0.1)


def _group_lives(group: int, since: float) -> bool:
    # OSError: there is no /proc, or no descriptor is left to read it.
    with contextlib.suppress(OSError):
        return group in _snapshot.groups(since)
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


class _Snapshot:
    """The process groups that have a living member, read from /proc at most every few milliseconds."""

    MAX_AGE = 0.01

    def __init__(self) -> None:
        self._taken = -1.0
        self._groups: set[int] = set()

    def groups(self, since: float) -> set[int]:
        """Return the groups as they were a moment ago, but not before `since`: a group may be younger than that."""
        now = time.monotonic()
        if self._taken < max(since, now - self.MAX_AGE):
            self._groups = {group for pid in os.listdir("/proc") if pid.isdigit() for group in _living_group(pid)}
            self._taken = now
        return self._groups


_snapshot = _Snapshot()


def _living_group(pid: str) -> tuple[int, ...]:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name stands in parentheses and may hold anything: proc_pid_stat(5).
            state, _parent, group = file.read().rpartition(b")")[2].split()[:3]
    except (FileNotFoundError, ProcessLookupError):
        return ()
    return () if state in b"ZX" else (int(group),)
