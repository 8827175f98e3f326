"""Whether a process lives, found out without reaping it."""

from __future__ import annotations

import enum
import os

from governess.children import pidfd as pidfds

__all__ = ["CAN_PEEK", "State", "state_of"]

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
    kind, number = (os.P_PID, pid) if pidfd is None else (os.P_PIDFD, pidfd)
    try:
        seen = os.waitid(kind, number, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        # A process that is no child of ours can live, and its pidfd tell of its end.
        if pidfd is not None and not pidfds.has_exited(pidfd):
            return State.ALIVE
        return State.GONE
    return State.ALIVE if seen is None else State.ZOMBIE
