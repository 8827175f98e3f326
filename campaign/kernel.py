"""What this kernel can do for a child that somebody else reaps."""

from __future__ import annotations

import functools
import os
import signal

from governess.children import _pidfd as pidfds

__all__ = ["signals_groups", "tells_lost_exits"]

PIDFD_SIGNAL_PROCESS_GROUP = 1 << 2  # include/uapi/linux/pidfd.h


@functools.cache
def tells_lost_exits() -> bool:
    """Return whether a pidfd tells how a child has ended that other code has reaped (Linux 6.15 and later)."""
    pid = os.posix_spawn("/bin/true", ["true"], {})
    pidfd = pidfds.open_pidfd(pid)
    os.waitpid(pid, 0)
    if pidfd is None:
        return False
    try:
        return pidfds.lost_status(pidfd) is not None
    finally:
        os.close(pidfd)


@functools.cache
def signals_groups() -> bool:
    """Return whether a group can be signalled by the pidfd of its leader (Linux 6.9 and later)."""
    pidfd = pidfds.open_pidfd(os.getpid())
    if pidfd is None:
        return False
    try:
        signal.pidfd_send_signal(pidfd, 0, None, PIDFD_SIGNAL_PROCESS_GROUP)
    except ProcessLookupError:  # this process leads none
        return True
    except OSError:
        return False
    finally:
        os.close(pidfd)
    return True
