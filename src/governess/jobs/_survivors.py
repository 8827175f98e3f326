"""Jobs that outlived the run that has started them: they are found, watched or ended.

A process belongs to a job if its environment has the mark of the job, which its children inherit. The first process of
a job is known by its number and the time when it was started, too, should it have removed the mark.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable

from governess._programs.marks import boot_id, end_all, identity_of, living, mark_in, signal_all
from governess.children._exit import Exit
from governess.children._pauses import pauses
from governess.children._pidfd import has_exited, open_pidfd, reaped_status
from governess.children._procfs import process_numbers, read_stat
from governess.jobs._errors import JournalError
from governess.subprocess._watch import wait_for_end

__all__ = [
    "MARK",
    "WORKER",
    "Survivor",
    "boot_id",
    "can_tell_exits",
    "end_survivors",
    "find_marked",
    "find_survivor",
    "mark_of",
]

MARK = "GOVERNESS_JOB"
WORKER = "GOVERNESS_WORKER"
"""The variable that tells a job on another machine the address of its worker."""
# Seconds in which the parent of an orphan may reap it, whose status cannot be seen before.
_REAP_TIMEOUT = 10.0


def mark_of(journal: str, job: int, start: int) -> str:
    """Return the value of the variable that marks the processes of a job."""
    return f"{journal}:{job}.{start}"


def find_marked(journal: str) -> dict[tuple[int, int], list[int]]:
    """Return the numbers of all living processes of a journal's jobs, by the job and its start."""
    found: dict[tuple[int, int], list[int]] = {}
    for pid in process_numbers():
        owner, _, rest = (mark_in(pid, MARK) or "").partition(":")
        job, _, start = rest.partition(".")
        if owner == journal and job.isdigit() and start.isdigit() and identity_of(pid) is not None:
            found.setdefault((int(job), int(start)), []).append(pid)
    return found


class Survivor:
    """The first process of a job, which an earlier run has started; it is a `RunningJob` for this one.

    Attributes:
        pid: its number.
        pid_started: when it was started, as /proc tells.
        mark: the mark of its job.
        started_at: when it was started, in seconds since the epoch.
        stop: 0.
        ended: when it has ended, by the clock of the loop; 0 before.
    """

    stop = 0

    def __init__(self, pid: int, pidfd: int, mark: str, started_at: float, pid_started: int) -> None:
        self.pid = pid
        self.pid_started = pid_started
        self.mark = mark
        self.started_at = started_at
        self.ended = 0.0
        self._pidfd = pidfd
        self._ending: asyncio.Task[None] | None = None
        self._grace = 0.0

    @property
    def is_alive(self) -> bool:
        """Whether it has not exited; a closed one has."""
        return self._pidfd >= 0 and not has_exited(self._pidfd)

    @property
    def environment(self) -> dict[str, str]:
        """Its environment; nothing if it cannot be read."""
        try:
            with open(f"/proc/{self.pid}/environ", "rb") as file:
                pairs = (os.fsdecode(pair).partition("=") for pair in file.read().split(b"\0"))
        except OSError:
            return {}
        return {name: value for name, equals, value in pairs if equals}

    async def wait(self) -> int | None:
        """Wait until it has ended; return how, as an `Exit` that is lost if the kernel does not tell."""
        await wait_for_end(self.pid, self._pidfd)
        self.ended = asyncio.get_running_loop().time()
        exit = await self._status()
        if self._ending is not None:
            await asyncio.wait((self._ending,))
        self.close()
        return exit

    async def _status(self) -> Exit:
        for pause in pauses(0.001, 0.1, _REAP_TIMEOUT):
            zombie = _zombie_status(self.pid)
            # It is read before: until this one is reaped, its number is not another process's.
            status = reaped_status(self._pidfd)
            if (found := zombie if status is None else status) is not None:
                return Exit.from_status(found)
            await asyncio.sleep(pause)
        return Exit.unknown()

    def end(self, grace: float) -> bool:
        """End it with all that it has started; the second call does not wait for the grace."""
        if self._ending is None:
            if not self.is_alive:
                return False
            self._ending = asyncio.get_running_loop().create_task(end_survivors([self.mark], grace, [self]))
        else:
            self._ending.cancel()  # it goes on to the KILL
        return True

    def signal(self, number: int) -> None:
        """Send a signal to it and all that it has started."""
        self.signal_group(number)
        signal_all(_is_marked([self.mark]), number)

    def signal_group(self, number: int) -> None:
        """Send a signal to its process group, while it lives and so keeps the number of the group."""
        if not self.is_alive:
            return
        try:
            signal.pidfd_send_signal(self._pidfd, number, None, _PIDFD_SIGNAL_PROCESS_GROUP)
        except ProcessLookupError:
            pass
        except OSError:  # before Linux 6.9
            stat = read_stat(self.pid)
            if stat is not None and stat.group == self.pid and self.is_alive:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, number)

    def pause_output(self) -> None:
        """Do nothing: it writes into files."""

    def resume_output(self) -> None:
        """Do nothing: it writes into files."""

    def close(self) -> None:
        """Let it go."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


def _zombie_status(pid: int) -> int | None:
    """Return the wait status of a dead process that is not reaped yet; None if there is none, or it is hidden.

    The kernel shows it to the user of the process, and shows 0 to all others: `do_task_stat()` in fs/proc/array.c.
    """
    ours = str(os.geteuid()).encode(), str(os.getegid()).encode()
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            lines = dict(line.split(b":", 1) for line in file if b":" in line)
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if fields[0] != b"Z" or (set(lines[b"Uid"].split()), set(lines[b"Gid"].split())) != ({ours[0]}, {ours[1]}):
        return None
    return int(fields[49])


_PIDFD_SIGNAL_PROCESS_GROUP = 1 << 2  # include/uapi/linux/pidfd.h, since Linux 6.9


def find_survivor(
    mark: str, pid: int | None, pid_started: int | None, marked: Iterable[int], started_at: float
) -> Survivor | None:
    """Return the first process of a job if it lives.

    Args:
        mark: the mark of the job.
        pid: its number, as the journal has it; None if that was not written any more.
        pid_started: when it was started, as /proc tells; None if that was not written.
        marked: the processes with its mark.
        started_at: when it was started, in seconds since the epoch.
    """
    candidates = sorted(marked, key=_start_time)
    if pid is not None and pid_started is not None and pid not in candidates:
        candidates.append(pid)
    for candidate in candidates:
        pidfd = open_pidfd(candidate)
        if pidfd is None:
            continue
        # What is read now is of the process that the descriptor stands for, if that still lives afterwards.
        stat = read_stat(candidate)
        is_marked = mark_in(candidate, MARK) == mark
        if stat is not None and stat.is_alive and not has_exited(pidfd):
            is_recorded = candidate == pid and stat.started == pid_started
            is_leader = stat.group == candidate and (pid is None or candidate == pid)
            if is_recorded or (is_marked and is_leader):
                return Survivor(candidate, pidfd, mark, started_at, stat.started)
        os.close(pidfd)
    return None


def _start_time(pid: int) -> float:
    stat = read_stat(pid)
    return float("inf") if stat is None else stat.started


async def end_survivors(marks: list[str], grace: float, leaders: Iterable[Survivor] = ()) -> None:
    """End all processes with these marks, and the groups of the leaders: TERM, a grace, KILL.

    Cancelled, it kills them at once.

    Raises:
        JournalError: a process does not end.
    """
    leaders, is_marked = list(leaders), _is_marked(marks)

    def send(number: int) -> None:
        for leader in leaders:
            leader.signal_group(number)
        signal_all(is_marked, number)

    def lives() -> bool:
        return bool(living(is_marked)) or any(leader.is_alive for leader in leaders)

    if not await end_all(send, lives, grace):
        raise JournalError("a process of an earlier run does not end, even after a KILL: its job cannot be run again")


def _is_marked(marks: Iterable[str]) -> Callable[[int], bool]:
    """Return what tells whether a process lives and has one of the marks."""
    wanted = frozenset(marks)
    return lambda pid: mark_in(pid, MARK) in wanted and identity_of(pid) is not None


@functools.cache
def can_tell_exits() -> bool:
    """Return whether the kernel tells how a process has ended that is no child of this one (Linux 6.15 and later)."""
    if sys.platform != "linux":
        return False
    try:
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], {})
    except OSError:
        return False
    pidfd = open_pidfd(pid)
    try:
        os.waitpid(pid, 0)
        if pidfd is None:
            return False
        deadline = time.monotonic() + 0.05
        while (status := reaped_status(pidfd)) is None and time.monotonic() < deadline:
            time.sleep(0.001)
        return status is not None and os.waitstatus_to_exitcode(status) == 3
    except OSError as error:
        if error.errno != errno.ECHILD:
            raise
        return False
    finally:
        if pidfd is not None:
            os.close(pidfd)
