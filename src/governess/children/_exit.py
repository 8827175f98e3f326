"""How a child ended, and how that is found out: by a reap, by a look, or from the kernel after another's reap."""

from __future__ import annotations

import enum
import errno
import functools
import logging
import os
import signal as signals
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from governess.children import _pidfd as pidfds

if TYPE_CHECKING:
    from typing import Self

    if sys.platform != "win32":
        import resource

__all__ = [
    "CAN_PEEK",
    "Exit",
    "MaybeNone",
    "State",
    "exit_of",
    "exit_of_reaped",
    "peek",
    "state_of",
    "take_exit",
    "warn_of_theft",
]

logger = logging.getLogger("governess")

#: Stands in a type for a None that the caller can exclude: that knows whether there is a pipe, and when a child has
#: ended. Type checkers let its use pass; typeshed has the same name for it.
MaybeNone = Any

LOST = 255  # what asyncio reports for a status that it cannot know


class Exit(int):
    """The returncode of a child, with further attributes.

    The value is the integer that asyncio and `subprocess` use: the exit status, or the negative number of the signal
    that ended the child.

    Attributes:
        rusage: the resources that the child used, as `os.wait4` returns them; None if unknown.
        core_dumped: whether the child left a core dump.
        lost: whether the exit status is unknown because other code reaped the child; the value is 255 then.
    """

    rusage: resource.struct_rusage | MaybeNone
    core_dumped: bool = False
    lost: bool = False

    def __new__(
        cls,
        returncode: int,
        *,
        rusage: resource.struct_rusage | None = None,
        core_dumped: bool = False,
        lost: bool = False,
    ) -> Self:
        """Make the Exit of a known returncode."""
        self = super().__new__(cls, returncode)
        self.rusage = rusage
        if core_dumped or lost:
            self.core_dumped, self.lost = core_dumped, lost
        return self

    @classmethod
    def from_status(cls, status: int, rusage: resource.struct_rusage | None = None) -> Exit:
        """Make an Exit from a wait status, as `os.waitpid` returns it."""
        core_dumped = sys.platform != "win32" and os.WCOREDUMP(status)
        return cls(os.waitstatus_to_exitcode(status), rusage=rusage, core_dumped=core_dumped)

    @classmethod
    def unknown(cls) -> Exit:
        """Make the Exit of a child whose exit status is lost."""
        return cls(LOST, lost=True)

    @property
    def signal(self) -> signals.Signals | int | None:
        """The signal that ended the child; an int if the signal has no name; None if the child exited by itself."""
        if self >= 0:
            return None
        try:
            return signals.Signals(-self)
        except ValueError:
            return -int(self)

    def describe(self) -> str:
        """Return the exit as a text: ``exit 3``, ``SIGKILL``, ``SIGSEGV (core dumped)``, ``lost``."""
        if self.lost:
            return "lost"
        if (signal := self.signal) is None:
            return f"exit {int(self)}"
        name = signal.name if isinstance(signal, signals.Signals) else f"signal {signal}"
        return f"{name} (core dumped)" if self.core_dumped else name

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (int(self), self.rusage, self.core_dumped, self.lost)


def _restore(returncode: int, rusage: Any, core_dumped: bool, lost: bool) -> Exit:
    return Exit(returncode, rusage=rusage, core_dumped=core_dumped, lost=lost)


# macOS has os.waitid since Python 3.13 only.
CAN_PEEK = hasattr(os, "waitid")


class State(enum.Enum):
    """What became of a process that was started once."""

    ALIVE = enum.auto()
    ZOMBIE = enum.auto()
    GONE = enum.auto()  # reaped by somebody else


def state_of(pid: int, pidfd: int | None) -> State:
    """Return the state of the process; without `CAN_PEEK` always ZOMBIE, and the reap finds out."""
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
    """Return how a ZOMBIE ended without reaping it; None if that is not possible."""
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
    """Look at the process without a reap.

    By its pidfd; by its number where waitid(2) takes no pidfd (before Linux 5.4, or in a sandbox).

    Raises:
        ChildProcessError: it is no child of ours, or reaped.
    """
    options = os.WEXITED | os.WNOWAIT | os.WNOHANG
    if pidfd is None:
        return os.waitid(os.P_PID, pid, options)
    try:
        return os.waitid(os.P_PIDFD, pidfd, options)
    except ChildProcessError:
        raise
    except OSError:
        # Somebody else may have reaped it, and another child have its number.
        if pidfds.is_detached(pidfd):
            raise ChildProcessError(errno.ECHILD, os.strerror(errno.ECHILD)) from None
        return os.waitid(os.P_PID, pid, options)


def take_exit(pid: int, pidfd: int | None) -> Exit | None:
    """Reap the process and return how it ended, None while it lives; what is known if other code has reaped it."""
    try:
        if pidfd is None or (reap := _reap_of_extension()) is None:
            return _take_by_number(pid, pidfd)
        try:
            taken = reap(pidfd)
        except ChildProcessError:
            raise
        except OSError:  # waitid(2) takes no pidfd here: before Linux 5.4, or in a sandbox
            return _take_by_number(pid, pidfd)
    except ChildProcessError:
        # A process that is no child of ours can live, and its pidfd tell of its end.
        if pidfd is not None and not pidfds.has_exited(pidfd):
            return None
        return exit_of_reaped(pidfd)
    if taken is None:
        return None
    returncode, core_dumped, usage = taken
    exit = int.__new__(Exit, returncode)  # this runs for every child, and Exit.__new__ is slower
    exit.rusage = _rusage_class()(usage)
    if core_dumped:
        exit.core_dumped = True
    return exit


def _take_by_number(pid: int, pidfd: int | None) -> Exit | None:
    # The number may be another child's by now, if somebody else has reaped this one; the pidfd is not.
    if pidfd is not None and CAN_PEEK and peek(pid, pidfd) is None:
        return None
    reaped, status, rusage = os.wait4(pid, os.WNOHANG)
    return Exit.from_status(status, rusage) if reaped else None


@functools.cache
def _reap_of_extension() -> Callable[[int], tuple[int, bool, tuple[float, ...]] | None] | None:
    """Return the extension's function that reaps by pidfd; None where the extension is not built or lacks it."""
    if os.environ.get("GOVERNESS_PURE"):
        return None
    try:
        from governess.children._spawn import _native
    except ImportError:
        return None
    return getattr(_native, "reap", None)  # on Linux alone


@functools.cache
def _rusage_class() -> type[resource.struct_rusage]:
    import resource

    return resource.struct_rusage


def exit_of_reaped(pidfd: int | None) -> Exit:
    """Return the Exit of a child that other code has reaped; it is `lost` if the kernel does not keep its status."""
    status = None if pidfd is None else pidfds.lost_status(pidfd)
    return Exit.unknown() if status is None else Exit.from_status(status)


def warn_of_theft(pid: int, exit: Exit) -> None:
    """Log a warning about a child that other code has reaped."""
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
