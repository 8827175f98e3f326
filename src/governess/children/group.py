"""The process group that a child leads, and ending it together with the child."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time

from governess.children import pidfd as pidfds
from governess.children.child import Child
from governess.children.state import CAN_PEEK

__all__ = ["Group", "end_group"]


async def end_group(child: Child, *, grace: float = 5.0) -> None:
    """Send TERM to the process group that the child leads, and KILL to what is left of it after a grace.

    The number of the group cannot pass to strangers meanwhile. When cancelled, it sends the KILL at once.

    Args:
        child: the leader of the group (started with ``process_group=0`` or ``start_new_session=True``).
        grace: how many seconds the group has to end by itself.
    """
    with contextlib.closing(Group(child)) as group:
        await group.end(grace=grace)


class Group:
    """The process group that a child leads: it can be signalled until `close`, its leader dead or not.

    By the leader's pidfd where the kernel can do that (Linux 6.9 and later), and else by its number, which the leader
    keeps for so long, since it is not reaped. If somebody else reaps it there, the group is left alone from then on.

    Attributes:
        leader: the child.
    """

    def __init__(self, leader: Child) -> None:
        """Stand for the group of the child `leader`."""
        self.leader = leader
        self._hold = contextlib.ExitStack()
        self._pidfd = _group_pidfd(leader)
        # Where a held child cannot be seen to have exited, it is held while the group is being ended alone.
        if self._pidfd is None and CAN_PEEK:
            self._hold.enter_context(leader.held())

    def __del__(self) -> None:
        if not sys.is_finalizing():  # when a frozen thread may hold any lock
            self.close()

    def close(self) -> None:
        """Give the group up: its leader is reaped if it has exited."""
        descriptor, self._pidfd = self._pidfd, None
        if descriptor is not None:
            os.close(descriptor)
        self._hold.close()

    def signal(self, number: int) -> None:
        """Send a signal to everyone in the group.

        Raises:
            ProcessLookupError: there is nobody in it, as far as is known.
            PermissionError: nobody in it may be signalled.
        """
        if self._pidfd is not None:
            pidfds.signal_group(self._pidfd, number)
        else:
            self.leader.signal_group(number)

    def kill(self) -> None:
        """Send KILL to everyone who is there."""
        self._try(signal.SIGKILL)

    async def end(self, *, grace: float) -> None:
        """Send TERM, and KILL to those who are left after a grace; when cancelled, the KILL at once."""
        with self.leader.held() if self._pidfd is None else contextlib.nullcontext():
            try:
                self._try(signal.SIGTERM)
                await self.emptied(grace)
            finally:
                self.kill()

    async def emptied(self, timeout: float) -> bool:
        """Wait until nobody in the group lives; return False if that takes longer than `timeout` seconds."""
        now = time.monotonic()
        deadline = now + timeout
        pause = 0.002
        while self._lives(now):
            if (left := deadline - time.monotonic()) <= 0:
                return False
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, 0.1)
        return True

    def _lives(self, since: float) -> bool:
        if CAN_PEEK and not self.leader.wait_for_exit(0):
            return True
        try:
            self.signal(0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return sys.platform == "linux"  # on macOS there are only zombies then
        # OSError: there is no /proc, or no descriptor is left to read it.
        with contextlib.suppress(OSError):
            return self.leader.pid in _snapshot.groups(since)
        return True

    def _try(self, number: int) -> None:
        # PermissionError is how macOS says that there are only zombies in the group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            self.signal(number)


def _group_pidfd(leader: Child) -> int | None:
    descriptor = leader.duplicate_pidfd()
    if descriptor is None or pidfds.can_signal_group(descriptor):
        return descriptor
    os.close(descriptor)
    return None


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
