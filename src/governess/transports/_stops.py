"""Children that the kernel stops since they use the terminal, which another process group has."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from governess.children._child import Child
from governess.children._exit import CAN_PEEK

if TYPE_CHECKING:
    from governess.transports._transport import ChildTransport

__all__ = ["BY_TERMINAL", "StopWatch", "has_terminal", "stop_signal"]

#: What stops a process in the background: for reading from the terminal, and for writing to it or changing it.
BY_TERMINAL: frozenset[int] = frozenset() if sys.platform == "win32" else frozenset((signal.SIGTTIN, signal.SIGTTOU))
_INTERVAL = 0.2  # seconds between two looks


class StopWatch:
    """Tells the protocols of a loop's children, by a method ``stopped(child, signal)``, of stops by the terminal.

    It looks at the children now and then, since the SIGCHLD of a stop may be another's.

    Attributes:
        is_idle: whether it does not look now, and has to be started when there is another child.
    """

    def __init__(self, transports: Collection[ChildTransport]) -> None:
        """Look after these children, which live, from `start` on; where there is no terminal, nobody is stopped."""
        self._transports = transports
        self.is_idle = CAN_PEEK and has_terminal()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look until no child lives, or this process has no terminal any more."""
        self.is_idle = False
        loop.call_later(_INTERVAL, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if not has_terminal():
            return
        for transport in list(self._transports):
            stop = stop_signal(transport.child)
            if stop in BY_TERMINAL and _is_in_our_session(transport.child.pid):
                protocol: Any = transport.get_protocol()
                if (stopped := getattr(protocol, "stopped", None)) is not None:
                    stopped(transport.child, signal.Signals(stop))
        if self._transports:
            self.start(loop)
        else:
            self.is_idle = True


def stop_signal(child: Child) -> int:
    """Return the signal by which the child is stopped now; 0 if it is not stopped, or nobody can tell."""
    if not CAN_PEEK or child.exit is not None:
        return 0
    with contextlib.suppress(ChildProcessError):
        seen = os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
        if seen is not None and seen.si_code == os.CLD_STOPPED:
            return seen.si_status
    return 0


def has_terminal() -> bool:
    """Return whether this process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _is_in_our_session(pid: int) -> bool:
    """Return whether it has our terminal, and not one of its own."""
    try:
        return os.getsid(pid) == os.getsid(0)
    except ProcessLookupError:
        return False
