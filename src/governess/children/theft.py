"""Children that somebody else has reaped: what can still be known of their end."""

from __future__ import annotations

import functools
import logging
import signal as signals
import sys

from governess.children import pidfd as pidfds
from governess.children.exit import Exit

__all__ = ["stolen_exit", "warn_of_theft"]

logger = logging.getLogger("governess")


def stolen_exit(pidfd: int | None) -> Exit:
    """Return the Exit of a child that is gone; the kernel knows its status, or nobody does (`Exit.lost`)."""
    status = None if pidfd is None else pidfds.lost_status(pidfd)
    return Exit.unknown() if status is None else Exit.from_status(status)


def warn_of_theft(pid: int, exit: Exit) -> None:
    """Log what is lost of a child that somebody else has reaped."""
    if sys.platform == "win32":  # where nobody can take the status from who holds the handle
        return
    if signals.getsignal(signals.SIGCHLD) is signals.SIG_IGN:
        _warn_of_ignored_sigchld()
    if exit.lost:
        logger.warning(
            "Unknown child process pid %d, will report returncode 255: somebody else reaped it, its status is lost", pid
        )


@functools.cache
def _warn_of_ignored_sigchld() -> None:
    logger.warning("SIGCHLD is ignored in this process, so the kernel reaps its children: their rusage is unknown")
