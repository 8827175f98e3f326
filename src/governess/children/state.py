"""Whether a process lives, found out without reaping it."""

from __future__ import annotations

import enum
import os

from governess.children import pidfd as pidfds
from governess.children.exit import Exit

__all__ = ["CAN_PEEK", "State", "exit_of", "peek", "state_of"]

# macOS has os.waitid since Python 3.13 only.
CAN_PEEK = hasattr(os, "waitid")


class State(enum.Enum):
    """What became of a process that was started once."""

    ALIVE = enum.auto()
    ZOMBIE = enum.auto()
    GONE = enum.auto()  # reaped by somebody else


def state_of(pid: int, pidfd: int | None) -> State:
    """Return the state of the process; without `CAN_PEEK` it is a ZOMBIE perhaps, and the reap will tell."""
    if not CAN_PEEK:
        return State.ZOMBIE
    try:
        seen = peek(pid, pidfd)
    except ChildProcessError:
        # A process that is no child of ours can live, and its pidfd tell of its end.
        if pidfd is not None and not pidfds.has_exited(pidfd):
            return State.ALIVE
        return State.GONE
    return State.ALIVE if seen is None else State.ZOMBIE


def exit_of(pid: int, pidfd: int | None) -> Exit | None:
    """Return how a ZOMBIE ended, which stays one; None if that cannot be seen without a reap."""
    try:
        seen = peek(pid, pidfd) if CAN_PEEK else None
    except ChildProcessError:  # somebody has reaped it in this very instant
        return None
    if seen is None:
        return None
    if seen.si_code == os.CLD_EXITED:
        return Exit(seen.si_status)
    return Exit(-seen.si_status, core_dumped=seen.si_code == os.CLD_DUMPED)


def peek(pid: int, pidfd: int | None) -> os.waitid_result | None:
    """Look at the process without a reap."""
    kind, number = (os.P_PID, pid) if pidfd is None else (os.P_PIDFD, pidfd)
    return os.waitid(kind, number, os.WEXITED | os.WNOWAIT | os.WNOHANG)
