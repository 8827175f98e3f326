"""The process group that a child leads, and ending it together with the child."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from governess.children._child import Child
from governess.children._exit import CAN_PEEK
from governess.children._pauses import pauses
from governess.children._procfs import members_by_group, read_stat

if TYPE_CHECKING:
    from governess.children._guardian import Guard

__all__ = ["Group", "end_group"]


async def end_group(child: Child, *, grace: float = 5.0) -> None:
    """Send TERM and CONT to the process group that the child leads, then KILL after the grace.

    Until the function returns, no other group can get the number of this group. If the function is cancelled, the KILL
    is sent at once.

    Args:
        child: the leader of the group, started with ``process_group=0`` or ``start_new_session=True``.
        grace: seconds between TERM and KILL.
    """
    with contextlib.closing(Group(child)) as group:
        await group.end(grace=grace)


class Group:
    """The process group that a child leads. It can be signalled until `close`, also after the exit of the leader.

    Where the kernel supports it (Linux 6.9 and later), signals go through the pidfd of the leader. Elsewhere they go to
    the number of the group, and the leader is not reaped before `close`, so that the number stays valid. If other code
    reaps the leader, the group gets no more signals.

    Attributes:
        leader: the child.
        guard: the registration that ends the group if this process dies; None without one.
        is_closed: whether `close` was called.
    """

    #: What asks its processes to end; the CONT is for those that are stopped.
    _requests: tuple[int, ...] = (signal.SIGTERM, getattr(signal, "SIGCONT", 0))
    #: For the group of a block: its coroutine, if that is thrown away, is garbage together with the group, and may be
    #: finalized after it, when a closed group is out of reach.
    _is_killed_when_dropped = False
    guard: Guard | None = None
    is_closed = True  # until the constructor has finished
    _pidfd: int | None = None
    #: What keeps the leader from being reaped.
    _hold: contextlib.ExitStack | None = None

    def __init__(self, leader: Child) -> None:
        """Use the group of the child `leader`."""
        self.leader = leader
        try:
            self._pidfd = self._usable_pidfd()
            self.is_closed = False
        except BaseException:
            self._release_pidfd()
            raise
        # Where the exit of a held child cannot be seen, the leader is held only while `end` runs.
        if self._pidfd is None and CAN_PEEK:
            self._hold_leader()

    def __del__(self) -> None:
        if self.is_closed or sys.is_finalizing():  # when a frozen thread may hold any lock
            return
        if self._is_killed_when_dropped:
            self.kill()
        self.close()

    def close(self) -> None:
        """Release the group; its leader is reaped if it has exited."""
        self.is_closed = True
        guard, self.guard = self.guard, None
        if guard is not None:
            guard.release()
        self._release_pidfd()
        if self._hold is not None:
            self._hold.close()

    def detach(self) -> None:
        """Release the group, but keep the registration of `guard` until the leader has exited."""
        guard, self.guard = self.guard, None
        if guard is not None:
            self.leader.subscribe(guard.release)
        self.close()

    def signal(self, number: int) -> None:
        """Send a signal to every process in the group.

        Raises:
            ProcessLookupError: the group has no process, as far as the kernel reports.
            PermissionError: this process may signal no process of the group.
        """
        if self._pidfd is None:
            self.leader.signal_group(number)
            return
        try:
            # The group that this process leads or has led, also when it is reaped, and its number another's.
            signal.pidfd_send_signal(self._pidfd, number, None, _PIDFD_SIGNAL_PROCESS_GROUP)
        except ProcessLookupError:
            raise
        except OSError as refusal:  # by a sandbox; or by the kernel, for another user's processes: the number tells
            if self.leader.exit is not None:
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM)) from refusal
            self.leader.signal_group(number)

    def kill(self) -> None:
        """Send KILL to every process in the group."""
        self._try(signal.SIGKILL)

    async def end(self, *, grace: float, request: int | None = None) -> None:
        """Send TERM and CONT, then KILL to the processes that are left after the grace.

        If this method is cancelled, the KILL is sent at once. The CONT is for stopped processes: they handle the TERM
        only when they continue. systemd.kill(5) does the same.

        Args:
            grace: seconds between TERM and KILL.
            request: a signal to send in place of TERM; None for TERM.
        """
        with self.leader.held() if self._pidfd is None else contextlib.nullcontext():
            try:
                asked = signal.SIGTERM if request is None else request
                self._ask([asked if number == signal.SIGTERM else number for number in self._requests])
                await self.emptied(grace)
            finally:
                self.kill()

    async def emptied(self, timeout: float) -> bool:
        """Wait until the group has no living process; return False after `timeout` seconds."""
        now = time.monotonic()
        for pause in pauses(0.002, 0.1, timeout):
            if not self._lives(now):
                return True
            await asyncio.sleep(pause)
        return not self._lives(now)

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
            return _snapshot.has_living_member(self.leader.pid, since)
        return True

    def _usable_pidfd(self) -> int | None:
        """Return the descriptor by which the group can be signalled; None where that is refused."""
        if (descriptor := self.leader.keep_pidfd(id(self))) is None:
            return None
        try:
            signal.pidfd_send_signal(descriptor, 0, None, _PIDFD_SIGNAL_PROCESS_GROUP)
        except ProcessLookupError:  # nobody is left in it
            return descriptor
        except (OSError, AttributeError):
            self._release_pidfd()
            return None
        return descriptor

    def _hold_leader(self) -> None:
        """Have the leader not reaped before `close`."""
        self._hold = contextlib.ExitStack()
        self._hold.enter_context(self.leader.held())

    def _release_pidfd(self) -> None:
        self._pidfd = None
        try:
            self.leader.release_pidfd(id(self))
        except BaseException:  # KeyboardInterrupt, perhaps before anything was done
            self.leader.release_pidfd(id(self))
            raise

    def _ask(self, requests: list[int]) -> None:
        for number in requests:
            self._try(number)

    def _try(self, number: int) -> None:
        # PermissionError is how macOS says that there are only zombies in the group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            self.signal(number)


_PIDFD_SIGNAL_PROCESS_GROUP = 1 << 2  # include/uapi/linux/pidfd.h, since Linux 6.9


class _Snapshot:
    """The members of all process groups; a list up to `MAX_AGE` seconds old only serves to find a living one."""

    MAX_AGE = 0.01

    def __init__(self) -> None:
        self._taken = -1.0
        self._members: dict[int, list[int]] = {}

    def has_living_member(self, group: int, since: float) -> bool:
        """Return whether a process of the group lives.

        Args:
            group: its number.
            since: a moment, by `time.monotonic`; what was read before it is not used, since the group may be younger.
        """
        if self._taken >= max(since, time.monotonic() - self.MAX_AGE) and _lives(group, self._members):
            return True
        # A member may start another one and exit after it was listed: the group is empty only if two new lists say so.
        return any(_lives(group, self._read_again()) for _ in range(2))

    def _read_again(self) -> dict[int, list[int]]:
        now = time.monotonic()
        members = members_by_group()
        self._members, self._taken = members, now
        return members


def _lives(group: int, members: dict[int, list[int]]) -> bool:
    stats = map(read_stat, members.get(group, ()))
    return any(stat.is_alive and stat.group == group for stat in stats if stat is not None)


_snapshot = _Snapshot()
