"""The session that a child leads in a terminal of its own, and ending all of it, the jobs of a shell included."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from collections.abc import Iterator

from governess.children._child import Child
from governess.children._exit import CAN_PEEK
from governess.children._group import Group
from governess.children._pidfd import send_signal_if
from governess.children._procfs import leaders_of, process_numbers, read_stat

__all__ = ["Session"]

_ROUNDS = 10  # of a KILL: for processes that start others faster, there is no end


class Session(Group):
    """The session of a child: it is ended with all its process groups. Where there is no /proc, it is a `Group`.

    Shells ignore TERM and give each job a group of its own. HUP is what a terminal that closes sends: then a shell
    passes it to its jobs and ends. `systemd.kill(5)` sends both, too (``SendSIGHUP=``). The shell gets both before its
    job gets any: between the end of a job and the next prompt bash loses a HUP.
    """

    _requests = (signal.SIGTERM, signal.SIGHUP, signal.SIGCONT)

    def __init__(self, leader: Child) -> None:
        """Use the session of the child `leader`, which is not reaped before `close`: its number names the session."""
        super().__init__(leader)
        if self._pidfd is not None and CAN_PEEK:
            self._hold_leader()

    def signal(self, number: int) -> None:
        """Send a signal to the group of the leader; 0 looks whether anybody of the session lives.

        Raises:
            ProcessLookupError: there is nobody, as far as is known.
            PermissionError: no process in the group may be signalled.
        """
        if number or self.is_closed:
            super().signal(number)
        elif not self._lives(0.0):
            raise ProcessLookupError(f"nobody of the session of process {self.leader.pid} lives")

    def kill(self) -> None:
        """Send KILL to everyone in the session, also to those who are started meanwhile."""
        self._try(signal.SIGKILL)
        killed: set[int] = set()
        with contextlib.suppress(OSError):  # as in `_try`
            for _ in range(_ROUNDS):
                if self.is_closed or not (fresh := set(self._members()) - killed):
                    break
                self._send(fresh, signal.SIGKILL)
                killed |= fresh

    def _ask(self, requests: list[int]) -> None:
        if self.is_closed:
            return
        with contextlib.suppress(OSError):  # there is no /proc, or no descriptor is left to read it
            for pid in sorted(self._members(), key=lambda pid: pid != self.leader.pid):
                self._send({pid}, *requests)
            return
        super()._ask(requests)

    def _try(self, number: int) -> None:
        if self.is_closed:
            return
        with contextlib.suppress(OSError):  # as above
            self._send(set(self._members()), number)
            return
        super()._try(number)

    def _lives(self, since: float) -> bool:
        with contextlib.suppress(OSError):  # as above
            # A member may start another one and exit after it was listed: empty means that two new lists say so.
            return any(True for _ in range(2) for _ in self._members())
        return super()._lives(since)

    def _send(self, members: set[int], *numbers: int) -> None:
        for pid, number in itertools.product(members, numbers):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                self._send_to(pid, number)

    def _send_to(self, pid: int, number: int) -> None:
        if not send_signal_if(self._is_member, pid, number) and self._is_member(pid):
            os.kill(pid, number)

    def _members(self) -> Iterator[int]:
        return filter(self._is_member, process_numbers())

    def _is_member(self, pid: int) -> bool:
        if self.leader.pid not in leaders_of(pid)[1:]:
            return False
        stat = read_stat(pid)
        return stat is not None and stat.is_alive and stat.session == self.leader.pid
