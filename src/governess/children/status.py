"""Taking the status of a process that has exited, which reaps it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from governess.children import pidfd as pidfds
from governess.children.exit import Exit
from governess.children.state import CAN_PEEK, peek
from governess.children.theft import stolen_exit

if TYPE_CHECKING:
    import resource

__all__ = ["take_exit"]


def take_exit(pid: int, pidfd: int | None) -> Exit | None:
    """Reap the process and return how it ended; None while it lives. If somebody else has reaped it: what is known."""
    try:
        if pidfd is None or (reap := _reap_of_extension()) is None:
            return _take_by_number(pid, pidfd)
        taken = reap(pidfd)
    except ChildProcessError:
        # A process that is no child of ours can live, and its pidfd tell of its end.
        if pidfd is not None and not pidfds.has_exited(pidfd):
            return None
        return stolen_exit(pidfd)
    if taken is None:
        return None
    returncode, core_dumped, usage = taken
    return Exit(returncode, rusage=_rusage_class()(usage), core_dumped=core_dumped)


def _take_by_number(pid: int, pidfd: int | None) -> Exit | None:
    # The number may be another child's by now, if somebody else has reaped this one; the pidfd is not.
    if pidfd is not None and CAN_PEEK and peek(pid, pidfd) is None:
        return None
    reaped, status, rusage = os.wait4(pid, os.WNOHANG)
    return Exit.from_status(status, rusage) if reaped else None


@functools.cache
def _reap_of_extension() -> Callable[[int], tuple[int, bool, tuple[float, ...]] | None] | None:
    """Return one call for all of it, by the pidfd; None where the extension is not built, or has it not."""
    if os.environ.get("GOVERNESS_PURE"):
        return None
    try:
        from governess.children import _spawn
    except ImportError:
        return None
    return getattr(_spawn, "reap", None)  # on Linux alone


@functools.cache
def _rusage_class() -> type[resource.struct_rusage]:
    import resource

    return resource.struct_rusage
