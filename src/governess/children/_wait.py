"""Blocking until a child has exited, without a reap."""

from __future__ import annotations

import contextlib
import math
import os
import time
from typing import TYPE_CHECKING

from governess.children import _pidfd as pidfds
from governess.children._exit import CAN_PEEK
from governess.children._pauses import pauses

if TYPE_CHECKING:
    from governess.children._child import Child

__all__ = ["wait_for_exit"]


def wait_for_exit(child: Child, timeout: float | None) -> bool:
    """Block until the child has exited; return False if `timeout` seconds were not enough. It is not reaped."""
    if timeout is None and CAN_PEEK and child.exit is None:
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            return True
    for pause in pauses(0.001, 0.05, math.inf if timeout is None else timeout):
        if not child._lives():
            return True
        _sleep(child, pause)
    return not child._lives()


def _sleep(child: Child, seconds: float) -> None:
    if (descriptor := child.pidfd) is None:
        time.sleep(seconds)
        return
    # Bounded, since another thread may reap and close the descriptor, whose number then is another file's.
    with contextlib.suppress(OSError):
        if pidfds.has_exited(descriptor, seconds) and child._lives():
            time.sleep(seconds)  # a tracer has not let go of it yet
