"""How a child ended."""

from __future__ import annotations

import os
import signal as signals
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

    if sys.platform != "win32":
        import resource

__all__ = ["Exit"]

LOST = 255  # what asyncio reports for a status that it cannot know


class Exit(int):
    """The returncode of a child, and what else is known about its end.

    It is the integer that asyncio and `subprocess` use: the exit status, or the negative number of the signal that
    ended the child.

    Attributes:
        rusage: the resources the child used, as `os.wait4` gives them; None where they are not known.
        core_dumped: whether the child left a core dump.
        lost: whether somebody else reaped the child and its status cannot be known; the value is then 255.
    """

    rusage: resource.struct_rusage | None
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
        """Make the Exit of a wait status, as `os.waitpid` returns it."""
        core_dumped = sys.platform != "win32" and os.WCOREDUMP(status)
        return cls(os.waitstatus_to_exitcode(status), rusage=rusage, core_dumped=core_dumped)

    @classmethod
    def unknown(cls) -> Exit:
        """Make the Exit of a child whose status cannot be known any more."""
        return cls(LOST, lost=True)

    @property
    def signal(self) -> signals.Signals | int | None:
        """The signal that ended the child (a plain int for one without a name); None if it exited by itself."""
        if self >= 0:
            return None
        try:
            return signals.Signals(-self)
        except ValueError:
            return -int(self)

    def describe(self) -> str:
        """Return the end in words: ``exit 3``, ``SIGKILL``, ``SIGSEGV (core dumped)``, ``lost``."""
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
