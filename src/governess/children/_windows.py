"""A child process on Windows, for which a handle stands: its number cannot become another's while we hold that."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Any

from governess.children._child import Child
from governess.children._exit import Exit, State

__all__ = ["WindowsChild"]


class WindowsChild(Child):
    """A child whose handle is that of a `subprocess.Popen`."""

    def __init__(self, process: subprocess.Popen[bytes], argv: Sequence[Any]) -> None:
        """Take over the process; nobody else may wait for it."""
        super().__init__(process.pid, argv)
        self._process = process

    def signal(self, number: int) -> None:
        """Send what Windows has: SIGTERM, which ends the child, CTRL_C_EVENT or CTRL_BREAK_EVENT.

        Raises:
            ProcessLookupError: the child has exited and this was noted.
            ValueError: Windows has no such signal.
        """
        with self._lock:
            self._check_unreaped()
            self._process.send_signal(number)

    def kill(self) -> None:
        """End the child; errors as `signal`."""
        self.terminate()

    def signal_group(self, number: int) -> None:
        """Raise NotImplementedError: a child leads no group of processes on Windows."""
        raise NotImplementedError("Windows has no groups of processes to be signalled")

    def wait_for_exit(self, timeout: float | None = None) -> bool:
        """Block until the child has exited; return False if `timeout` seconds were not enough."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _state(self) -> State:
        return State.ALIVE if self._process.poll() is None else State.ZOMBIE

    def _take_exit(self, pid: int, pidfd: int | None) -> Exit | None:
        returncode = self._process.poll()
        return None if returncode is None else Exit(returncode)
